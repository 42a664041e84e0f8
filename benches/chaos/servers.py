"""The replica set: members are killed and restarted, primaries step down, commands fail."""

import os
import signal
import socket
import subprocess
import sys
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
# Commands of the engines that are held, so that engines are killed just before they take effect.
MOMENTS = [
    "aggregate", "collMod", "commitTransaction", "create", "createIndexes", "delete", "drop", "find",
    "findAndModify", "getMore", "insert", "renameCollection", "update",
]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Servers:
    """The members, each behind a proxy: their own hosts are `hosts`, what all clients see is `uri`."""

    def __init__(self, name, uri):
        self.name = name
        own = MongoClient(uri, serverSelectionTimeoutMS=60000)
        hello = own.admin.command("hello")
        self.hosts = sorted(hello["hosts"])
        ports = {host: free_port() for host in self.hosts}
        pairs = [f"{port}:{host.split(':')[1]}" for host, port in ports.items()]
        proxy = os.path.join(os.path.dirname(__file__), "proxy.py")
        self.proxy = subprocess.Popen(
            [sys.executable, proxy, *pairs], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.proxy.stdout.readline() == "ready\n"
        self.ports = list(ports.values())
        config = own.admin.command("replSetGetConfig")["config"]
        for member in config["members"]:
            member["host"] = f"127.0.0.1:{ports[member['host']]}"
        config["version"] += 1
        own.admin.command("replSetReconfig", config, force=True)
        own.close()
        seeds = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        self.uri = f"mongodb://{seeds}/?replicaSet={hello['setName']}"
        self.client = MongoClient(self.uri, serverSelectionTimeoutMS=60000)
        self.kills = self.elections = self.faults = self.cuts = 0

    def tell(self, line):
        self.proxy.stdin.write(line + "\n")
        self.proxy.stdin.flush()

    def cut(self, chance):
        """Closes all connections of a member, or lets nothing through for a while."""
        port = chance.choice(self.ports)
        self.tell(f"cut {port}" if chance.random() < 0.6 else f"hold {port} {chance.uniform(0.2, 4):.2f}")
        self.cuts += 1

    def hold_at(self, chance, seconds):
        """Holds the next command of a kind of the engines. Returns whether one came."""
        data = {"failCommands": [chance.choice(MOMENTS)], "appName": "statefold",
                "blockConnection": True, "blockTimeMS": int(seconds * 2000)}
        try:
            on = self.client.admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=data)
            self.client.admin.command(
                "waitForFailPoint", "failCommand", timesEntered=on["count"] + 1, maxTimeMS=int(seconds * 1000))
            return True
        except PyMongoError:
            try:
                self.client.admin.command("configureFailPoint", "failCommand", mode="off")
            except PyMongoError:
                pass
            return False

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
        # A member that starts has to reach itself, or it takes itself for one that was removed.
        for port in self.ports:
            self.tell(f"open {port}")
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

    def lag(self, seconds):
        """Lets the secondaries that may not become primary be so many seconds behind; 0 ends that."""
        try:
            config = self.client.admin.command("replSetGetConfig")["config"]
            own = self.client.primary
            last = [one for one in config["members"] if one["host"] != f"{own[0]}:{own[1]}"][-1]
            for member in config["members"]:
                late = seconds > 0 and member is last
                member["priority"], member["secondaryDelaySecs"] = (0, seconds) if late else (1, 0)
            config["version"] += 1
            self.client.admin.command("replSetReconfig", config)
            return True
        except (PyMongoError, TypeError, IndexError):
            return False

    def delay(self, chance):
        """Stops a secondary from applying what it gets, for a while."""
        if chance.random() < 0.5:
            return self.lag(chance.choice([1, 2, 3]))
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
                if self.client.admin.command("hello").get("isWritablePrimary") and self.lag(0):
                    return
            except PyMongoError:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError("no primary came back")
            time.sleep(0.2)

    def close(self):
        self.proxy.kill()
