"""The application beside the engines: it writes events and keeps count of what was acknowledged."""

import json
import random
import threading
import time
import uuid

from bson import Int64, Timestamp
from pymongo import MongoClient, WriteConcern
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError, WriteError

APP = "11111111-2222-4333-8444-555555555555"
FENCED = 121
INDEXES = [
    ([("EventStream", 1), ("EventStreamOffset", -1)], True),
    ([("EventStream", 1), ("Timestamp", 1)], False),
    ([("Timestamp", -1), ("EventStream", 1)], False),
]


def key(asset):
    return f"{APP}--{asset}"


def stream(asset):
    return f"asset-{key(asset)}"


def event(kind, payload):
    headers = {"EventId": str(uuid.uuid4()), "Timestamp": "2024-01-02T03:04:05Z", "AggregateId": "k"}
    return {"Type": kind, "Payload": json.dumps(payload), "Metadata": headers}


def created(asset):
    return event("AssetCreatedEventV2", {
        "parentId": None, "fileName": f"{asset}.png", "fileHash": "h", "mimeType": "image/png", "slug": "s",
        "fileVersion": 0, "fileSize": 10, "type": "Image", "metadata": {}, "tags": [], "assetId": asset,
        "appId": f"{APP},demo", "actor": "subject:u", "fromRule": False,
    })


def renamed(asset, name):
    return event("AssetAnnotatedEvent", {
        "fileName": name, "slug": None, "isProtected": None, "metadata": None, "tags": None,
        "assetId": asset, "appId": f"{APP},demo", "actor": "subject:u", "fromRule": False,
    })


class Acknowledged:
    """Ids of commits that the server acknowledged and that nobody deleted, and those of which it isn't known."""

    def __init__(self):
        self.lock = threading.Lock()
        self.known, self.unknown = {}, set()
        self.events = self.refused = 0

    def add(self, commits):
        with self.lock:
            for commit in commits:
                self.known[commit["_id"]] = commit["EventStream"]
                self.unknown.discard(commit["_id"])
                self.events += len(commit["Events"])

    def doubt(self, ids):
        with self.lock:
            for one in ids:
                self.known.pop(one, None)
                self.unknown.add(one)

    def forget(self, name):
        with self.lock:
            for one in [one for one, of in self.known.items() if of == name]:
                del self.known[one]

    def missing(self, events):
        """Ids that were acknowledged and are not in the event store."""
        there = {one["_id"] for one in events.find({}, {"_id": 1})}
        with self.lock:
            return [one for one in self.known if one not in there]


class Writer(threading.Thread):
    """Writes events of all shapes into streams of its own, until it is told to stop."""

    def __init__(self, uri, database, number, seed, acknowledged, pace):
        super().__init__(daemon=True)
        self.chance = random.Random(seed * 1000 + number)
        self.client = MongoClient(uri, w="majority", retryWrites=True, serverSelectionTimeoutMS=60000)
        self.events = self.client[database].get_collection(
            "Events2", write_concern=WriteConcern("majority", wtimeout=60000))
        self.number, self.acknowledged, self.pace = number, acknowledged, pace
        self.heads = {}
        self.clock = 1_700_000_000
        self.stopping = threading.Event()
        self.failure = None

    def run(self):
        try:
            while not self.stopping.is_set():
                self.act()
                time.sleep(self.pace * self.chance.random() * 2)
        except Exception as failure:  # noqa: BLE001 - reported as a violation
            self.failure = repr(failure)

    def act(self):
        chance = self.chance.random()
        if chance < 0.25 or not self.heads:
            self.create()
        elif chance < 0.75:
            self.append(self.chance.choice(list(self.heads)), self.chance.choice([1, 1, 1, 3]))
        elif chance < 0.82:
            self.delete(self.chance.choice(list(self.heads)))
        elif chance < 0.92:
            self.make_again(self.chance.choice(list(self.heads)))
        else:
            self.transaction()

    def commit(self, asset, offset, events):
        # A clock that jumps, back as well.
        self.clock += self.chance.choice([1, 1, 1, 1, 3600, -1800])
        return {
            "_id": str(uuid.UUID(int=self.chance.getrandbits(128))), "Events": events,
            "Timestamp": Timestamp(self.clock, self.chance.randrange(1, 1000)),
            "EventStreamOffset": Int64(offset), "EventsCount": Int64(len(events)), "EventStream": stream(asset),
        }

    def new(self):
        return f"{self.number:02}-{self.chance.getrandbits(64):016x}"

    def create(self):
        asset = self.new()
        self.write([self.commit(asset, -1, [created(asset)])], asset)

    def append(self, asset, number):
        events = [renamed(asset, f"{self.chance.getrandbits(32):x}.png") for _ in range(number)]
        self.write([self.commit(asset, self.heads[asset], events)], asset)

    def write(self, commits, asset):
        try:
            self.insert(lambda: self.events.insert_many(commits))
            self.acknowledged.add(commits)
            last = commits[-1]
            self.heads[asset] = int(last["EventStreamOffset"]) + len(last["Events"])
        except PyMongoError:
            self.acknowledged.doubt([commit["_id"] for commit in commits])
            self.look(asset)

    def insert(self, attempt):
        """Sends an insert again while the fence stands, as an application has to."""
        while True:
            try:
                return attempt()
            except (BulkWriteError, WriteError, OperationFailure) as error:
                details = error.details or {}
                codes = {one.get("code") for one in details.get("writeErrors", [])} | {error.code}
                if FENCED not in codes or self.stopping.is_set():
                    raise
                self.acknowledged.refused += 1
                time.sleep(0.01)

    def look(self, asset):
        """Reads where a stream stands, after a write whose outcome isn't known."""
        while not self.stopping.is_set():
            try:
                last = self.events.find_one({"EventStream": stream(asset)}, sort=[("EventStreamOffset", -1)])
                if last is None:
                    self.heads.pop(asset, None)
                else:
                    self.heads[asset] = int(last["EventStreamOffset"]) + len(last["Events"])
                return
            except PyMongoError:
                time.sleep(0.5)

    def delete(self, asset):
        name = stream(asset)
        try:
            with_lock = self.events.delete_many({"EventStream": name})
            assert with_lock.acknowledged
            self.acknowledged.forget(name)
            self.heads.pop(asset, None)
            return True
        except PyMongoError:
            with self.acknowledged.lock:
                ids = [one for one, of in self.acknowledged.known.items() if of == name]
            self.acknowledged.doubt(ids)
            self.look(asset)
            return False

    def make_again(self, asset):
        """Deletes a stream for good and creates it again, often with the same head."""
        number = self.heads[asset]
        if not self.delete(asset):
            return
        commits = [self.commit(asset, -1, [created(asset)])]
        if number > 0:
            events = [renamed(asset, f"again-{self.chance.getrandbits(16):x}.png") for _ in range(number)]
            commits.append(self.commit(asset, 0, events))
        self.write(commits, asset)

    def transaction(self):
        asset, other = self.new(), self.new()
        commits = [self.commit(one, -1, [created(one)]) for one in (asset, other)]

        def attempt():
            with self.client.start_session() as session:
                session.with_transaction(
                    lambda inside: [self.events.insert_one(one, session=inside) for one in commits],
                    write_concern=WriteConcern("majority", wtimeout=60000))
        try:
            self.insert(attempt)
            self.acknowledged.add(commits)
            self.heads[asset] = self.heads[other] = 0
        except DuplicateKeyError:
            # The first attempt was made, and only its answer was lost.
            self.look(asset), self.look(other)
            self.acknowledged.doubt([one["_id"] for one in commits])
        except PyMongoError:
            self.acknowledged.doubt([one["_id"] for one in commits])
            self.look(asset), self.look(other)
