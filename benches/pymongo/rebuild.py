#!/usr/bin/env python3
"""Rebuilds asset snapshots in a plain script: reads, folds into dicts, inserts in batches.

A contender of the end-to-end benchmark (scripts/bench), which compares its documents with the reference.
Reads the prefix in the order of the index on streams, folds each stream with json.loads and inserts
batches of 1000; --indexes builds the indexes afterwards. Prints its measurement as JSON.
"""

import argparse
import json
import resource
import time
from datetime import datetime, timezone
from itertools import groupby
from operator import itemgetter

from bson.int64 import Int64
from pymongo import ASCENDING, DESCENDING, IndexModel, MongoClient

PREFIX, TARGET, BATCH = "asset-", "Bench_Pymongo", 1000
EMPTY_ID = "00000000-0000-0000-0000-000000000000"
ASSET_TYPES = {"Unknown": 0, "Image": 1, "Audio": 2, "Video": 3}
INDEXES = [
    IndexModel([("mt", -1), ("id", 1), ("_ai", 1), ("dl", 1), ("pi", 1), ("td", 1)]),
    IndexModel([("_ai", 1), ("sl", 1)]),
    IndexModel([("_ai", 1), ("fh", 1)]),
    IndexModel([("id", 1), ("dl", 1)]),
]
NO_CASE = {"ı": "ı", "ſ": "ſ"}  # the two letters that .NET doesn't convert to ASCII capitals


def upper(text):
    """Upper case for a comparison without case, letter by letter."""
    if text.isascii():
        return text.upper()
    return "".join(NO_CASE.get(c) or (c.upper() if len(c.upper()) == 1 else c) for c in text)


def escape(name):
    """A name inside metadata, in a form that MongoDB can store."""
    if name == "":
        return "§empty"
    if name != "$" and name.startswith("$"):
        name = "§" + name[1:]
    return name.replace(".", "_§§_")


def value(json_value):
    """A JSON value in its stored form: all numbers are doubles."""
    if isinstance(json_value, bool) or json_value is None or isinstance(json_value, str):
        return json_value
    if isinstance(json_value, (int, float)):
        return float(json_value)
    if isinstance(json_value, list):
        return [value(item) for item in json_value]
    return {escape(name): value(item) for name, item in json_value.items()}


def metadata_of(payload):
    found = payload.get("metadata")
    return None if found is None else {name: value(item) for name, item in found.items()}


def tags_of(payload, name="tags"):
    tags = payload.get(name)
    return None if tags is None else list(dict.fromkeys(tags))


def old_image(payload):
    """Type and metadata of an event of a former version, which had no metadata."""
    size = payload.get("pixelWidth"), payload.get("pixelHeight")
    if payload.get("isImage") and None not in size:
        return 1, {"pixelWidth": float(size[0]), "pixelHeight": float(size[1])}
    return 0, {}


def named_id(text):
    key, name = text.split(",", 1)
    return {"_id": key, "Name": name}


def ref_token(text):
    if text is None:
        return None
    text = text.strip(" :")
    kind, colon, rest = text.partition(":")
    if not colon:
        return "subject:" + text
    return text if kind in ("subject", "client") else "subject:" + rest


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)


def created(payload, kind, metadata):
    size = payload.get("fileSize") or 0
    return {
        "id": payload.get("assetId") or EMPTY_ID,
        "app": named_id(payload["appId"]),
        "parent": payload.get("parentId") or EMPTY_ID,
        "name": payload.get("fileName"),
        "hash": payload.get("fileHash"),
        "size": size,
        "file_version": payload.get("fileVersion") or 0,
        "protected": False,
        "metadata": metadata,
        "mime": payload.get("mimeType"),
        "slug": payload.get("slug"),
        "tags": tags_of(payload) or [],
        "total": size,
        "type": kind,
        "deleted": False,
        "created": None,
        "created_by": None,
    }


def updated(state, payload, kind, metadata):
    if payload.get("fileHash") == state["hash"]:
        return False
    size = payload.get("fileSize") or 0
    state.update(
        app=named_id(payload["appId"]),
        mime=payload.get("mimeType"),
        hash=payload.get("fileHash"),
        total=state["size"] + size,
        size=size,
        file_version=payload.get("fileVersion") or 0,
        type=kind,
        metadata=metadata,
    )
    return True


def annotated(state, name=None, slug=None, protected=None, tags=None, metadata=None):
    changes = {}
    if name is not None and upper(name) != upper(state["name"] or ""):
        changes["name"] = name
    if slug is not None and upper(slug) != upper(state["slug"] or ""):
        changes["slug"] = slug
    if protected is not None and protected != state["protected"]:
        changes["protected"] = protected
    if tags is not None and set(tags) != set(state["tags"]):
        changes["tags"] = tags
    if metadata is not None and metadata != state["metadata"]:
        changes["metadata"] = metadata
    state.update(changes)
    return bool(changes)


def apply(state, kind, payload):
    """Folds one event; returns the state, and True if it changed."""
    if kind in ("assetcreatedevent", "assetcreatedeventv2"):
        old = kind == "assetcreatedevent"
        image = old_image(payload) if old else (ASSET_TYPES[payload["type"]], metadata_of(payload) or {})
        return created(payload, *image), True
    if state is None or state["deleted"]:
        return state, False
    if kind in ("assetupdated", "assetupdatedeventv2"):
        old = kind == "assetupdated"
        image = old_image(payload) if old else (ASSET_TYPES[payload["type"]], metadata_of(payload) or {})
        return state, updated(state, payload, *image)
    if kind == "assetannotatedevent":
        return state, annotated(state, payload.get("fileName"), payload.get("slug"),
                                payload.get("isProtected"), tags_of(payload), metadata_of(payload))
    if kind == "assetrenamedevent":
        return state, annotated(state, name=payload.get("fileName"))
    if kind == "assettaggedevent":
        return state, annotated(state, tags=tags_of(payload))
    if kind == "assetmovedevent":
        parent = payload.get("parentId") or EMPTY_ID
        changed = parent != state["parent"]
        state["parent"] = parent
        return state, changed
    if kind == "assetdeletedevent":
        state["deleted"] = True
        return state, True
    return state, False


def fold(commits):
    """The folded state of one stream, and the number of its events."""
    state, version, events = None, -1, 0
    for commit in commits:
        for event in commit["Events"]:
            events += 1
            kind = event["Type"].lower()
            if not kind.startswith("asset"):
                continue
            payload = json.loads(event["Payload"])
            state, changed = apply(state, kind, payload)
            if not changed:
                continue
            version += 1
            at, actor = moment(event["Metadata"]["Timestamp"]), ref_token(payload.get("actor"))
            state["created"] = state["created"] or at
            state["created_by"] = state["created_by"] or actor
            state["modified"], state["modified_by"], state["version"] = at, actor, version
    return state, events


def document(key, state):
    """The snapshot of a state."""
    snapshot = {
        "_id": key,
        "id": state["id"],
        "mt": state["modified"],
        "mb": state["modified_by"],
        "ct": state["created"],
        "cb": state["created_by"],
        "vs": Int64(state["version"]),
        "ai": state["app"],
        "dl": state["deleted"],
    }
    if state["parent"] != EMPTY_ID:
        snapshot["pi"] = state["parent"]
    snapshot["fn"] = state["name"]
    snapshot["fh"] = state["hash"]
    snapshot["fs"] = Int64(state["size"])
    snapshot["fv"] = Int64(state["file_version"])
    if state["protected"]:
        snapshot["pt"] = True
    snapshot["md"] = state["metadata"]
    snapshot["mm"] = state["mime"]
    snapshot["sl"] = state["slug"]
    snapshot["td"] = state["tags"]
    snapshot["ts"] = Int64(state["total"])
    snapshot["at"] = state["type"]
    snapshot["_ai"] = state["app"]["_id"]
    return snapshot


def rebuild(db, indexes):
    target = db[TARGET]
    target.drop()
    # The order of the index on streams, read backwards, so that the server needs no sort.
    order = [("EventStream", DESCENDING), ("EventStreamOffset", ASCENDING)]
    commits = db.Events2.find({"EventStream": {"$regex": "^" + PREFIX}}).sort(order)
    events, written, batch = 0, 0, []
    for stream, group in groupby(commits, key=itemgetter("EventStream")):
        if stream.endswith("--deleted"):
            continue
        state, count = fold(group)
        events += count
        if state is None:
            continue
        batch.append(document(stream[len(PREFIX):], state))
        if len(batch) == BATCH:
            target.insert_many(batch, ordered=False)
            written, batch = written + len(batch), []
    if batch:
        target.insert_many(batch, ordered=False)
        written += len(batch)
    if indexes:
        target.create_indexes(INDEXES)
    return events, written


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uri", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--server-pid", type=int, required=True)
    parser.add_argument("--indexes", action="store_true")
    options = parser.parse_args()
    db = MongoClient(options.uri, tz_aware=True)[options.database]
    db.command("ping")
    began, server, own = time.perf_counter(), cpu_seconds(options.server_pid), time.process_time()
    events, documents = rebuild(db, options.indexes)
    print(json.dumps({
        "seconds": time.perf_counter() - began,
        "server_cpu_seconds": cpu_seconds(options.server_pid) - server,
        "client_cpu_seconds": time.process_time() - own,
        "client_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "events": events,
        "documents": documents,
        "collection": TARGET,
    }))


if __name__ == "__main__":
    main()
