"""Readers of the active generation: some assets are never touched, and must always be found."""

import threading
import time

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from store import key


class Reader(threading.Thread):
    """Follows the pointer and looks for the untouched assets in what it names."""

    def __init__(self, uri, database, untouched):
        super().__init__(daemon=True)
        self.db = MongoClient(uri, readConcernLevel="majority", serverSelectionTimeoutMS=60000)[database]
        self.untouched = [key(asset) for asset in untouched]
        self.stopping = threading.Event()
        self.reads, self.violations = 0, []

    def pointer(self):
        control = self.db.Migration.find_one({"_id": "Statefold"}) or {}
        return control.get("Generations", {}).get("Assets")

    def run(self):
        while not self.stopping.is_set():
            try:
                self.look()
            except PyMongoError:
                time.sleep(0.2)
            time.sleep(0.02)

    def look(self):
        pointer = self.pointer()
        if pointer is None:
            return
        found = self.db[pointer["Collection"]].count_documents({"_id": {"$in": self.untouched}})
        # What it named may have been replaced and dropped since.
        again = self.pointer()
        same = again is not None and again["Active"] == pointer["Active"] and again["Since"] == pointer["Since"]
        self.reads += 1
        if same and found != len(self.untouched):
            self.violations.append(
                f"{pointer['Collection']} of generation {pointer['Active']} has {found} of "
                f"{len(self.untouched)} untouched assets")
