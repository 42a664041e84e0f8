"""What has to hold once everything is calm. The oracle is outside: an independent fold of the event store."""

import os
import sys
import time
from itertools import groupby
from operator import itemgetter

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "pymongo"))
import rebuild as oracle  # noqa: E402

PREFIX = "asset-"


def folded(db):
    """The snapshots that the event store gives."""
    commits = db.Events2.find({"EventStream": {"$regex": "^" + PREFIX}})
    commits = commits.sort([("EventStream", 1), ("EventStreamOffset", 1)])
    documents = {}
    for stream, group in groupby(commits, key=itemgetter("EventStream")):
        if stream.endswith("--deleted"):
            continue
        state, _ = oracle.fold(group)
        if state is not None:
            key = stream[len(PREFIX):]
            documents[key] = oracle.document(key, state)
    return documents


def differences(db, collection):
    """Documents of a collection that differ from the event store, in words."""
    expected = folded(db)
    found = {document["_id"]: document for document in db[collection].find()}
    lines = [f"{key} is missing" for key in expected.keys() - found.keys()]
    lines += [f"{key} is one too many" for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        if expected[key] != found[key]:
            fields = [name for name in expected[key].keys() | found[key].keys()
                      if expected[key].get(name) != found[key].get(name)]
            lines.append(f"{key} differs in {', '.join(sorted(fields))}")
    return lines


def becomes_true(condition, within):
    """Waits for a condition, with a deadline."""
    deadline = time.monotonic() + within
    while True:
        found = condition()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def fenced(db):
    """Whether the event store has a validator."""
    listed = db.command("listCollections", filter={"name": "Events2"})["cursor"]["firstBatch"]
    return bool(listed[0].get("options", {}).get("validator"))


def control(db):
    return db.Migration.find_one({"_id": "Statefold"}) or {}


def application(db):
    """Everything of the application but its events, as one hash."""
    return db.command("dbHash", collections=["App_Settings", "States_Apps"])["md5"]


def leaders(changes):
    """Tokens that had more than one owner, from the changes of the control document."""
    owners = {}
    for change in changes:
        document = change.get("fullDocument") or {}
        set_fields = change.get("updateDescription", {}).get("updatedFields", {})
        lease = set_fields.get("Lease") or document.get("Lease")
        token = set_fields.get("LeaseToken") or document.get("LeaseToken")
        if isinstance(lease, dict) and token is not None:
            owners.setdefault(token, set()).add(lease.get("Owner"))
    return [f"token {token} had {len(of)} owners" for token, of in owners.items() if len(of) > 1]
