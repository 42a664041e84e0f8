//! Written snapshots are read back; a failed one leaves nothing.
#![expect(clippy::unwrap_used, reason = "tests")]

use bson::{Bson, RawDocument, doc};

use super::*;

fn only(snapshots: &Snapshots) -> Document {
    let bytes = snapshots.targets().first().unwrap().documents().next().unwrap();
    Document::try_from(RawDocument::from_bytes(bytes).unwrap()).unwrap()
}

#[test]
fn every_type_reads_back() {
    let mut snapshots = Snapshots::new(1);
    snapshots
        .of_stream("k", |sink| {
            sink.put(0, |document| {
                document.str("s", "ä");
                document.str_or_null("n", None);
                document.bool("b", true);
                document.i32("i", -3);
                document.i64("l", 1 << 40);
                document.f64("d", 1.5);
                document.date_ms("t", 1234);
                document.document("o", |inner| inner.document("p", |_| {}));
                document.array("a", |array| (0..12).for_each(|at| array.str(&at.to_string())));
            })
        })
        .unwrap();
    let twelve: Vec<Bson> = (0..12).map(|at| Bson::String(at.to_string())).collect();
    let expected = doc! {
        "_id": "k", "s": "ä", "n": null, "b": true, "i": -3, "l": 1_i64 << 40, "d": 1.5,
        "t": bson::DateTime::from_millis(1234), "o": {"p": {}}, "a": twelve,
    };
    assert_eq!(only(&snapshots), expected);
}

#[test]
fn a_ready_made_document_gets_the_key_of_its_stream() {
    let mut snapshots = Snapshots::new(1);
    let document = doc! {"a": {"b": [1, "x"]}, "_id": "other", "c": bson::oid::ObjectId::from_bytes([7; 12])};
    snapshots.of_stream("k", |sink| sink.put_document(0, &document)).unwrap();
    let expected = doc! {"_id": "k", "a": {"b": [1, "x"]}, "c": bson::oid::ObjectId::from_bytes([7; 12])};
    assert_eq!(only(&snapshots), expected);
}

#[test]
fn the_last_of_as_many_targets_as_there_may_be_is_one_like_the_first() {
    // Squidex has up to a hundred shards of each of two collections of contents.
    let mut snapshots = Snapshots::new(256);
    let written = snapshots.of_stream("a", |sink| {
        sink.put(64, |_| {})?;
        sink.put(255, |_| {})
    });
    assert_eq!(written, Ok(2));
    let twice = snapshots.of_stream("b", |sink| {
        sink.put(255, |_| {})?;
        sink.put(255, |_| {})
    });
    assert_eq!(twice, Err(FoldError::Duplicate(255)));
    assert_eq!(snapshots.targets().iter().map(SnapshotBuffer::len).sum::<usize>(), 2);
}

#[test]
fn a_stream_that_fails_leaves_nothing_in_any_target() {
    let mut snapshots = Snapshots::new(2);
    snapshots.of_stream("a", |sink| sink.put(0, |document| document.i32("x", 1))).unwrap();
    let before = snapshots.byte_len();
    let twice = snapshots.of_stream("b", |sink| {
        sink.put(0, |_| {})?;
        sink.put(1, |_| {})?;
        sink.put(1, |_| {})
    });
    assert_eq!(twice, Err(FoldError::Duplicate(1)));
    let name = snapshots.of_stream("c", |sink| sink.put(1, |document| document.null("a\0b")));
    assert_eq!(name, Err(FoldError::ElementName));
    let large = "x".repeat(SNAPSHOT_BYTES_MAX);
    let too_large = snapshots.of_stream("d", |sink| sink.put(0, |document| document.str("x", &large)));
    assert!(matches!(too_large, Err(FoldError::TooLarge(_))));
    let none = snapshots.of_stream("e", |sink| sink.put(2, |_| {}));
    assert_eq!(none, Err(FoldError::NoSuchTarget(2)));
    assert_eq!((snapshots.len(), snapshots.byte_len()), (1, before));
    assert_eq!(only(&snapshots), doc! {"_id": "a", "x": 1});
}
