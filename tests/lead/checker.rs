//! The checker of recorded histories finds what it is for.

use bson::{Document, doc};

use crate::history::History;

fn update(collection: &str, id: &str, set: Document) -> Document {
    doc! {
        "operationType": "update", "ns": { "coll": collection }, "documentKey": { "_id": id },
        "updateDescription": { "updatedFields": set },
    }
}

fn taken(token: i64, owner: &str) -> Document {
    update("Migration", "Statefold", doc! { "LeaseToken": token, "Lease": { "Owner": owner } })
}

fn violations(changes: &[Document]) -> usize {
    let mut history = History::default();
    for change in changes {
        history.push(change);
    }
    history.violations().len()
}

#[test]
fn an_orderly_take_over_violates_nothing() {
    let pointer =
        |token: i64| update("Migration", "Statefold", doc! { "Generations.A": { "Token": token } });
    let changes = [
        taken(1, "a"),
        update("Statefold_Builds", "A3", doc! { "Token": 1_i64 }),
        update("Statefold_Checkpoints", "A3/0", doc! { "Token": 1_i64 }),
        update("Statefold_Checkpoints", "A3/0", doc! { "Done": true, "DoneBy": 1_i64 }),
        taken(2, "b"),
        update("Statefold_Builds", "A3", doc! { "Token": 2_i64 }),
        update("Statefold_Checkpoints", "A3/0", doc! { "Token": 2_i64 }),
        pointer(2),
    ];
    assert_eq!(violations(&changes), 0);
}

#[test]
fn every_kind_of_violation_is_found() {
    let twice = [taken(1, "a"), taken(1, "b")];
    let skipped = [taken(1, "a"), taken(3, "b")];
    let same_owner = [taken(1, "a"), taken(2, "a")];
    let pointer = update("Migration", "Statefold", doc! { "Generations.A": { "Token": 1_i64 } });
    let old_pointer = [taken(1, "a"), taken(2, "b"), pointer];
    let build = |token: i64| update("Statefold_Builds", "A3", doc! { "Token": token });
    let back = [taken(1, "a"), taken(2, "b"), build(2), build(1)];
    let unknown = [taken(1, "a"), build(9)];
    let zombie = [
        taken(1, "a"),
        taken(2, "b"),
        update("Statefold_Checkpoints", "A3/0", doc! { "Token": 2_i64 }),
        update("Statefold_Checkpoints", "A3/0", doc! { "DoneBy": 1_i64 }),
    ];
    let stolen = [taken(1, "a"), update("Migration", "Statefold", doc! { "Lease": { "Owner": "b" } })];
    for changes in [&twice[..], &skipped, &same_owner, &old_pointer, &back, &unknown, &zombie, &stolen] {
        assert!(violations(changes) > 0, "{changes:?}");
    }
}

#[test]
fn late_inserts_are_counted() {
    let mut history = History::default();
    let insert = |collection: &str| doc! { "operationType": "insert", "ns": { "coll": collection } };
    for collection in ["S3__t1", "S3__t2", "S3__t1", "S4__t2"] {
        history.push(&insert(collection));
    }
    assert_eq!((history.late_writes(), history.violations().len()), (1, 0));
}
