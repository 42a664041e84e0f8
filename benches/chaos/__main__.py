"""Chaos: a live workload on a replica set of three, while engines and servers die at random moments.

In rounds: some seconds of blows, then calm, then every check. --seed replays the decisions.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

from pymongo import MongoClient
from pymongo.errors import PyMongoError

import checks
from engines import Engine, run
from readers import Reader
from servers import Servers
from store import APP, INDEXES, Acknowledged, Writer, created, stream

DATABASE = "chaos"
UNTOUCHED = [f"untouched-{number}" for number in range(50)]
STAYING = ("follow", "work")
MEMORY_MAX = 512 << 20
FILES_MAX = 200
SETTINGS = """[lease]
ttl = "3s"
poll = "200ms"
attempts = 1000
wait = "60s"
judge_processes = {judge}
"""


class Watch(threading.Thread):
    """Records the changes of the control document."""

    def __init__(self, db):
        super().__init__(daemon=True)
        self.collection, self.changes, self.stopping = db.Migration, [], threading.Event()

    def run(self):
        token = None
        while not self.stopping.is_set():
            try:
                match = [{"$match": {"documentKey._id": "Statefold"}}]
                with self.collection.watch(match, resume_after=token, max_await_time_ms=500) as stream_:
                    while not self.stopping.is_set():
                        change = stream_.try_next()
                        if change is not None:
                            self.changes.append(change)
                        token = stream_.resume_token
            except PyMongoError:
                time.sleep(0.5)


class Chaos:
    def __init__(self, options):
        self.options, self.chance = options, random.Random(options.seed)
        self.servers = Servers(options.server, options.uri)
        self.uri = self.servers.uri
        self.client = MongoClient(self.uri, w="majority", tz_aware=True, serverSelectionTimeoutMS=60000)
        self.db = self.client[DATABASE]
        self.folder = tempfile.mkdtemp(prefix="chaos-", dir=options.folder)
        self.small_disk = self.small_disk_in(self.folder)
        self.engines, self.number = [], 0
        self.kills = self.stops = self.terms = self.moments = self.rounds = 0
        self.memory = self.files = 0
        self.violations, self.ended = [], {}
        self.acknowledged = Acknowledged()

    @staticmethod
    def small_disk_in(folder):
        """A disk that is full at once; None where it may not be mounted."""
        disk = os.path.join(os.path.abspath(folder), "small-disk")
        os.mkdir(disk)
        mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk]
        if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
            print("no small disk may be mounted here: none becomes full", flush=True)
            return None
        return disk

    def prepare(self):
        self.client.drop_database(DATABASE)
        for keys, unique in INDEXES:
            self.db.Events2.create_index(keys, unique=unique)
        maker = Writer(self.uri, DATABASE, 99, self.options.seed, self.acknowledged, 0)
        maker.events.insert_many([maker.commit(asset, -1, [created(asset)]) for asset in UNTOUCHED])
        commits = [maker.commit(f"base-{number}", -1, [created(f"base-{number}")])
                   for number in range(self.options.streams)]
        maker.events.insert_many(commits)
        self.acknowledged.add(commits)
        self.db.App_Settings.insert_one({"_id": APP, "name": "demo"})
        self.db.States_Apps.insert_one({"_id": APP, "doc": {"name": "demo"}})
        self.application = checks.application(self.db)
        with open(os.path.join(self.folder, "statefold.toml"), "w", encoding="utf8") as file:
            file.write(SETTINGS.format(judge="true" if self.options.seed % 2 else "false"))
        self.verb("rebuild", "Assets", "--yes")

    def verb(self, *words, within=180):
        code, said = run(self.options.statefold, self.folder, self.uri, DATABASE, *words, within=within)
        if code != 0:
            self.violations.append(f"calm, `statefold {' '.join(words)}` ended with {code}: {said[-600:]}")
        return code

    def start(self, *words):
        self.number += 1
        engine = Engine(self.options.statefold, self.folder, self.uri, DATABASE, list(words), self.number)
        self.engines.append(engine)
        return engine

    def some_work(self):
        """A run that an operator, a server or a schedule may begin."""
        chance = self.chance
        mode = chance.choice(["pointer", "pointer", "view", "rename"])
        strategy = chance.choice(["natural", "stream", "spill"])
        shared = ["--workers", "3", "--strategy", chance.choice(["stream", "exchange"])]
        if self.small_disk and chance.random() < 0.05:
            return ["rebuild", "Assets", "--yes", "--fresh", "--strategy", "spill", "--spill-dir", self.small_disk]
        return chance.choices([
            ["rebuild", "Assets", "--yes", "--fresh", "--mode", mode, "--strategy", strategy],
            ["rebuild", "Assets", "--yes", "--mode", mode, "--strategy", strategy],
            ["rebuild", "Assets", "--yes", "--postpone", "--strategy", strategy],
            ["rebuild", "Assets", "--yes", "--fresh", *shared],
            ["rebuild", "Assets", "--yes", "--lead-only", *shared],
            ["cutover", "Assets", "--yes", "--mode", mode],
            ["rollback", "Assets", "--yes"],
            ["cleanup", "--yes", "--keep", "1"],
            ["migrate"],
            ["errors", "retry", "--yes"],
            ["abort", "Assets", "--yes"],
            ["read-only", "on", "--yes", "--reason", "chaos"],
            ["read-only", "off", "--yes"],
            ["verify", "Assets"],
        ], weights=[6, 6, 3, 4, 2, 4, 5, 2, 4, 1, 1, 1, 2, 1])[0]

    def blow(self):
        """One blow: mostly against an engine."""
        chance = self.chance
        running = [engine for engine in self.engines if engine.runs() and engine.continue_at is None]
        kind = chance.random()
        if running and kind < 0.40:
            chance.choice(running).kill()
            self.kills += 1
        elif running and kind < 0.50:
            # At a chosen moment: before a command takes effect.
            if self.servers.hold_at(chance, 1.5):
                self.moments += 1
                for engine in running:
                    if engine.runs() and engine.words[0] not in STAYING:
                        engine.kill()
                        self.kills += 1
        elif running and kind < 0.62:
            chance.choice(running).stop_for(chance.uniform(0.2, 6))
            self.stops += 1
        elif running and kind < 0.66:
            chance.choice(running).terminate()
            self.terms += 1
        elif kind < 0.73:
            self.servers.fail(chance)
        elif kind < 0.78:
            self.servers.cut(chance)
        elif kind < 0.91:
            self.servers.kill(chance)
        elif kind < 0.97:
            self.servers.step_down()
        else:
            self.servers.delay(chance)

    def disturb(self):
        end = time.monotonic() + self.options.disturbed
        next_blow = next_work = 0
        while time.monotonic() < end:
            now = time.monotonic()
            for engine in self.engines:
                engine.continue_when_due()
                self.weigh(engine)
            followers = [one for one in self.engines if one.words[0] == "follow" and one.runs()]
            if len(followers) < 2:
                self.start("follow", "Assets")
            workers = [one for one in self.engines if one.words[0] == "work" and one.runs()]
            if len(workers) < 2:
                self.start("work", "--linger", "--readers", "1", "--batch-docs", "50")
            at_work = [one for one in self.engines if one.words[0] not in STAYING and one.runs()]
            if len(at_work) < 3 and now >= next_work:
                self.start(*self.some_work())
                next_work = now + self.chance.uniform(0.05, 0.8)
            if now >= next_blow:
                self.blow()
                next_blow = now + self.chance.uniform(0.1, self.options.pace)
            time.sleep(0.02)

    def weigh(self, engine):
        memory, files = engine.memory()
        self.memory, self.files = max(self.memory, memory), max(self.files, files)
        if memory > MEMORY_MAX or files > FILES_MAX:
            words = " ".join(engine.words)
            self.violations.append(f"{words} has {memory >> 20} MiB of memory and {files} open files")

    def settle(self):
        """Ends the blows and every engine but one that follows."""
        for engine in self.engines:
            engine.continue_when_due(now=True)
        self.servers.calm()
        # Who only leads waits for workers.
        if not any(one.words[0] == "work" and one.runs() for one in self.engines):
            self.start("work", "--linger")
        for engine in self.engines:
            if engine.runs() and engine.words[0] == "follow":
                engine.terminate()
        checks.becomes_true(lambda: not any(one.runs() for one in self.engines if one.words[0] != "work"), 150)
        for engine in self.engines:
            if engine.runs() and engine.words[0] == "work":
                engine.terminate()
        if not checks.becomes_true(lambda: not any(one.runs() for one in self.engines), 150):
            for engine in [one for one in self.engines if one.runs()]:
                self.violations.append(f"{' '.join(engine.words)} did not end: {engine.log()[-600:]}")
                engine.kill()
        for engine in self.engines:
            name = f"{engine.words[0]} {engine.code()}"
            self.ended[name] = self.ended.get(name, 0) + 1
            if "panicked" in engine.log():
                self.violations.append(f"{' '.join(engine.words)} panicked: {engine.log()[-600:]}")
        self.engines = []
        if self.small_disk and (left := os.listdir(self.small_disk)):
            self.violations.append(f"spill files are left: {left}")

    def judge(self):
        """Every check; the application goes on writing until the end of the first ones."""
        self.verb("read-only", "off", "--yes")
        # Whoever leads next lifts what a dead leader left, and finishes its work.
        self.verb("rebuild", "Assets", "--yes")
        if checks.fenced(self.db):
            self.violations.append("the event store is fenced although nobody is at work")
        follower = self.start("follow", "Assets")
        for writer in self.writers:
            writer.stopping.set()
        for writer in self.writers:
            writer.join(120)
            if writer.is_alive() or writer.failure:
                self.violations.append(f"a writer failed: {writer.failure or 'it hangs'}")
        collection = lambda: checks.control(self.db)["Generations"]["Assets"]["Collection"]  # noqa: E731
        if not checks.becomes_true(lambda: not checks.differences(self.db, collection()), 60):
            lines = checks.differences(self.db, collection())
            self.violations.append(f"{collection()} differs: {'; '.join(lines[:5])} ({len(lines)} in all)")
        follower.terminate()
        checks.becomes_true(lambda: not follower.runs(), 30)
        self.engines = []
        self.verb("verify", "Assets")
        missing = self.acknowledged.missing(self.db.Events2)
        if missing:
            self.violations.append(f"{len(missing)} acknowledged commits are not in the event store")
        if checks.application(self.db) != self.application:
            self.violations.append("something of the application has changed")
        control = checks.control(self.db)
        for field in ("Lease", "Fence"):
            if field in control:
                self.violations.append(f"{field} is left in the control document: {control[field]}")
        version = self.db.Migration.find_one({"_id": "Default"}) or {}
        if version.get("IsLocked") or version.get("Version", 0) != 0:
            self.violations.append(f"the version document was left as {version}")
        self.verb("cleanup", "--yes", "--keep", "0")
        self.verb("abort", "--yes")
        left = [name for name in self.db.list_collection_names() if "__t" in name]
        if left:
            self.violations.append(f"staging collections are left: {left}")
        self.violations += self.reader.violations
        self.reader.violations = []
        self.violations += checks.leaders(self.watch.changes)
        self.watch.changes.clear()

    def go(self):
        self.prepare()
        self.reader, self.watch = Reader(self.uri, DATABASE, UNTOUCHED), Watch(self.db)
        self.reader.start(), self.watch.start()
        end = time.monotonic() + self.options.seconds
        while time.monotonic() < end and not self.violations:
            self.rounds += 1
            self.writers = [
                Writer(self.uri, DATABASE, self.rounds * 10 + number, self.options.seed, self.acknowledged,
                       self.options.write_pace)
                for number in range(3)
            ]
            for writer in self.writers:
                writer.start()
            self.disturb()
            self.settle()
            self.judge()
            self.say()
        self.reader.stopping.set(), self.watch.stopping.set()
        self.servers.close()
        if self.small_disk:
            subprocess.run(["umount", self.small_disk], check=False)
        print("ended engines:", ", ".join(f"{name}: {number}" for name, number in sorted(self.ended.items())))
        for violation in self.violations:
            print(f"VIOLATION: {violation}")
        print(f"{len(self.violations)} violations; logs and settings in {self.folder}")
        return 1 if self.violations else 0

    def say(self):
        print(
            f"round {self.rounds}: {self.kills} engines killed, {self.moments} moments, "
            f"{self.stops} stopped, {self.terms} terminated; "
            f"{self.servers.kills} servers killed, {self.servers.elections} elections, "
            f"{self.servers.faults} faults, {self.servers.cuts} cuts; {self.acknowledged.events} events acknowledged, "
            f"{self.acknowledged.refused} refused by a fence; {self.reader.reads} reads; "
            f"at most {self.memory >> 20} MiB and {self.files} files; "
            f"{len(self.violations)} violations", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--uri", required=True)
    parser.add_argument("--server", required=True, help="name of the servers for scripts/mongod")
    parser.add_argument("--statefold", required=True, help="path of the program")
    parser.add_argument("--folder", default=None, help="folder for logs")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--disturbed", type=float, default=20, help="seconds of blows in a round")
    parser.add_argument("--pace", type=float, default=0.6, help="most seconds between two blows")
    parser.add_argument("--write-pace", type=float, default=0.02, help="average pause of a writer")
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    return Chaos(options).go()


if __name__ == "__main__":
    sys.exit(main())
