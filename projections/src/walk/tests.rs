//! The walk compared with the reader of the bson crate, over whole and broken documents.
#![expect(clippy::unwrap_used, reason = "tests")]

use bson::spec::BinarySubtype;
use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use proptest::prelude::*;

use super::*;

fn value() -> impl Strategy<Value = Bson> {
    let subtypes = [BinarySubtype::Generic, BinarySubtype::Uuid, BinarySubtype::BinaryOld];
    let leaf = prop_oneof![
        4 => ".{0,6}".prop_map(Bson::String),
        1 => any::<f64>().prop_map(Bson::Double),
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => any::<i32>().prop_map(Bson::Int32),
        1 => any::<i64>().prop_map(Bson::Int64),
        1 => any::<[u8; 12]>().prop_map(|bytes| Bson::ObjectId(bytes.into())),
        1 => any::<i64>().prop_map(|ms| Bson::DateTime(bson::DateTime::from_millis(ms))),
        1 => any::<[u8; 16]>().prop_map(|bytes| Bson::Decimal128(bson::Decimal128::from_bytes(bytes))),
        1 => (any::<u32>(), any::<u32>())
            .prop_map(|(time, increment)| Bson::Timestamp(bson::Timestamp { time, increment })),
        1 => (prop::sample::select(subtypes.to_vec()), prop::collection::vec(any::<u8>(), 0..6))
            .prop_map(|(subtype, bytes)| Bson::Binary(bson::Binary { subtype, bytes })),
        1 => Just(Bson::Null),
        1 => prop::sample::select(vec![Bson::Undefined, Bson::MinKey, Bson::MaxKey]),
        1 => ".{0,3}".prop_map(Bson::Symbol),
        1 => ".{0,3}".prop_map(Bson::JavaScriptCode),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
            prop::collection::vec((name(), inner), 0..4)
                .prop_map(|pairs| Bson::Document(pairs.into_iter().collect())),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-zA-Z]{0,20}", 1 => "[^\0]{0,9}"]
}

fn document() -> impl Strategy<Value = RawDocumentBuf> {
    prop::collection::vec((name(), value()), 0..6)
        .prop_map(|pairs| RawDocumentBuf::try_from(pairs.into_iter().collect::<Document>()).unwrap())
}

/// A document that was truncated, or in which some bytes were changed; its outer frame is valid.
fn broken() -> impl Strategy<Value = RawDocumentBuf> {
    let change = (any::<prop::sample::Index>(), prop_oneof![Just(0), 1_u8..20, any::<u8>()]);
    let changes = prop::collection::vec(change, 0..4);
    (document(), any::<prop::sample::Index>(), any::<bool>(), changes).prop_map(
        |(whole, at, cut, changes)| {
            let mut bytes = whole.into_bytes();
            if cut {
                bytes.truncate(4 + at.index(bytes.len() - 4));
                bytes.push(0);
            }
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                *bytes.get_mut(at).unwrap() = byte;
            }
            framed(bytes)
        },
    )
}

fn framed(mut bytes: Vec<u8>) -> RawDocumentBuf {
    let length = i32::try_from(bytes.len()).unwrap();
    bytes.get_mut(..4).unwrap().copy_from_slice(&length.to_le_bytes());
    *bytes.last_mut().unwrap() = 0;
    RawDocumentBuf::from_bytes(bytes).unwrap()
}

/// Compares both readers element by element and returns how many elements the walk has found.
fn compare(document: &RawDocument) -> usize {
    let (mut walk, mut found) = (Walk::over(document), 0);
    let mut reference = document.iter_elements();
    loop {
        match walk.next() {
            Err(Unsupported) => {
                assert_eq!(walk.next(), Err(Unsupported));
                return found;
            }
            Ok(None) => {
                assert!(reference.next().is_none());
                return found;
            }
            Ok(Some(element)) => {
                let expected = reference.next().unwrap().unwrap();
                assert_eq!(element.kind, expected.element_type() as u8);
                assert_eq!(element.name, expected.key().as_str().as_bytes());
                assert_eq!(element.value.len(), expected.size());
                let value = expected.value().ok();
                let text = value.and_then(|value| value.as_str());
                assert_eq!(element.text().ok(), text.filter(|_| element.kind == STRING));
                let inner = value.and_then(|value| value.as_document());
                assert_eq!(element.document(DOCUMENT).ok(), inner);
                if let Some(inner) = inner {
                    compare(inner);
                }
                found += 1;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn whole_documents_are_walked_as_the_bson_crate_reads_them(document in document()) {
        compare(&document);
    }

    #[test]
    fn in_broken_documents_the_walk_finds_nothing_that_is_not_there(document in broken()) {
        compare(&document);
    }

    #[test]
    fn any_bytes_can_be_walked(bytes in prop::collection::vec(prop_oneof![0_u8..20, any::<u8>()], 5..60)) {
        compare(&framed(bytes));
    }
}

#[test]
fn usual_documents_are_not_odd() {
    let document = doc! {
        "d": 1.0, "s": "ä", "o": {"a": [1, 2_i64]},
        "b": bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![1] },
        "oid": bson::oid::ObjectId::new(), "t": true, "date": bson::DateTime::from_millis(1), "n": null,
        "a name that is longer than eight": bson::Timestamp { time: 1, increment: 2 }, "eight888": 0, "": 1,
    };
    let length = document.len();
    let raw = RawDocumentBuf::try_from(document).unwrap();
    assert_eq!(compare(&raw), length);
    assert_eq!(Walk::over(&raw).count().unwrap(), i64::try_from(length).unwrap());
}

#[test]
fn every_cut_of_a_document_is_survived() {
    let raw = RawDocumentBuf::try_from(doc! {"abc": "text", "d": {"e": [1, "x"]}, "f": 1_i64}).unwrap();
    for length in 5..raw.as_bytes().len() {
        compare(&framed(raw.as_bytes().get(..length).unwrap().to_vec()));
    }
}
