"""The replica set: members are killed and restarted, primaries step down, commands fail."""

import os
import signal
import subprocess
import time

from pymongo import MongoClient
from pymongo.errors import PyMongoError

SCRIPT = os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "mongod")
# Commands of the engines that fail, with how.
FAULTS = [
    ({"failCommands": ["getMore"], "errorCode": 43}, 2),
    ({"failCommands": ["getMore", "find"], "closeConnection": True}, 2),
    ({"failCommands": ["insert"], "errorCode": 189}, 2),
    ({"failCommands": ["update"], "closeConnection": True}, 2),
    ({"failCommands": ["update"], "writeConcernError": {"code": 91, "errmsg": "shutting down"}}, 1),
    ({"failCommands": ["collMod"], "writeConcernError": {"code": 64, "errmsg": "timed out"}}, 1),
    ({"failCommands": ["collMod"], "errorCode": 50}, 2),
    ({"failCommands": ["collMod"], "closeConnection": True}, 1),
    ({"failCommands": ["renameCollection"], "closeConnection": True}, 1),
    ({"failCommands": ["commitTransaction"], "closeConnection": True}, 1),
    ({"failCommands": ["aggregate"], "errorCode": 11600}, 2),
    ({"failCommands": ["createIndexes"], "closeConnection": True}, 1),
]


class Servers:
    def __init__(self, name, uri):
        self.name, self.uri = name, uri
        self.client = MongoClient(uri, serverSelectionTimeoutMS=60000)
        self.hosts = sorted(self.client.admin.command("hello")["hosts"])
        self.kills = self.elections = self.faults = 0

    def member(self, host):
        return MongoClient(f"mongodb://{host}/?directConnection=true", serverSelectionTimeoutMS=5000)

    def kill(self, chance):
        """Kills a member and restarts it at once: a majority has to come back soon."""
        host = chance.choice(self.hosts)
        member = self.member(host)
        try:
            status = member.admin.command("serverStatus")
            was_primary = member.admin.command("hello").get("isWritablePrimary", False)
        except PyMongoError:
            return None
        os.kill(status["pid"], signal.SIGKILL)
        self.kills += 1
        self.elections += int(was_primary)
        time.sleep(chance.uniform(0.2, 2))
        self.restart()
        return "killed the primary" if was_primary else "killed a secondary"

    def restart(self, within=180):
        """Starts the members that don't run. That waits for a primary, which a stalled secondary can hinder."""
        deadline = time.monotonic() + within
        while True:
            done = subprocess.run(
                [SCRIPT, "start", "--name", self.name, "--nodes", "3"], check=False, capture_output=True)
            if done.returncode == 0:
                return
            self.apply_again()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the servers don't come back: {done.stderr.decode()[-600:]}")
            time.sleep(1)

    def apply_again(self):
        """Ends what keeps secondaries from applying what they get."""
        for host in self.hosts:
            try:
                self.member(host).admin.command("configureFailPoint", "rsSyncApplyStop", mode="off")
            except PyMongoError:
                pass

    def step_down(self):
        try:
            self.client.admin.command("replSetStepDown", 10, secondaryCatchUpPeriodSecs=5, force=True)
        except PyMongoError:
            pass
        self.elections += 1
        return "stepped down"

    def fail(self, chance):
        """Makes some commands of the engines fail on the primary."""
        data, times = chance.choice(FAULTS)
        data = dict(data, appName="statefold")
        mode = {"times": times}
        try:
            self.client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)
            self.faults += 1
        except PyMongoError:
            pass
        return f"{data['failCommands']} fail"

    def delay(self, chance):
        """Stops a secondary from applying what it gets, for a while."""
        for host in chance.sample(self.hosts, len(self.hosts)):
            member = self.member(host)
            try:
                if member.admin.command("hello").get("secondary"):
                    member.admin.command("configureFailPoint", "rsSyncApplyStop", mode="alwaysOn")
                    return host
            except PyMongoError:
                continue
        return None

    def calm(self):
        """Ends all faults, and waits for a primary."""
        self.restart()
        for host in self.hosts:
            for point in ("failCommand", "rsSyncApplyStop"):
                try:
                    self.member(host).admin.command("configureFailPoint", point, mode="off")
                except PyMongoError:
                    pass
        deadline = time.monotonic() + 60
        while True:
            try:
                self.client.admin.command("ping")
                if self.client.admin.command("hello").get("isWritablePrimary"):
                    return
            except PyMongoError:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError("no primary came back")
            time.sleep(0.2)
