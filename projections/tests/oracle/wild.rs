//! Odd streams, each with what Squidex made of it.

use bson::{Binary, Bson, DateTime, Document, RawDocumentBuf, Timestamp, spec::BinarySubtype};
use serde_json::Value;
use statefold_projections::squidex::{Apps, Rules, Schemas, Teams, UnknownSteps};
use statefold_projections::{Projection, Registered};

use crate::data::{directory, fold};

/// Cases in which statefold follows rules of its own: the order of offsets, the name of the stream.
const OWN_RULES: [&str; 4] = ["clock-order", "gap", "no-aggregate", "other-aggregate"];

#[test]
fn odd_apps_and_teams_are_as_squidex_made_them_or_fail() {
    let Some(directory) = directory() else { return };
    let text = std::fs::read_to_string(directory.join("wild.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    println!("{} cases of apps", assert_cases(&cases, Apps::new()));
    let teams = assert_cases(&cases, Teams::new());
    println!("{teams} cases of teams");
    assert!(teams > 0, "there is no case of teams");
}

#[test]
fn odd_schemas_and_rules_are_as_squidex_made_them_or_fail() {
    let Some(directory) = directory() else { return };
    let text = std::fs::read_to_string(directory.join("wild.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let schemas = assert_cases(&cases, Schemas::new());
    let rules = assert_cases(&cases, Rules::new().unknown_steps(UnknownSteps::Fail));
    println!("{schemas} cases of schemas, {rules} of rules");
    assert!(schemas > 0 && rules > 0, "there is no case of schemas or rules");
}

/// Asserts that each case of a projection with one target is what Squidex made of it, and returns their
/// number.
fn assert_cases<P: Projection>(cases: &[Value], projection: P) -> usize {
    let projection = Registered::new(projection);
    let target = projection.spec().targets().first().unwrap().collection().to_owned();
    let mut count = 0;
    for case in cases {
        let name = case.get("case").unwrap().as_str().unwrap();
        if case.get("projection").unwrap() != projection.spec().name() || OWN_RULES.contains(&name) {
            continue;
        }
        count += 1;
        let commits: Vec<RawDocumentBuf> =
            case.get("commits").unwrap().as_array().unwrap().iter().map(document).collect();
        let stream = commits.first().unwrap().get_str("EventStream").unwrap().to_owned();
        let outcome = fold(&projection, &stream, &commits);
        let found: Vec<String> =
            outcome.iter().flat_map(|snapshots| snapshots.targets()).flat_map(text).collect();
        let expected = case.get("squidex").unwrap().get("documents").unwrap().get(&target).unwrap();
        let expected: Vec<String> = match expected {
            Value::Null => Vec::new(),
            expected => vec![Document::try_from(&document(expected)).unwrap().to_string()],
        };
        assert_eq!(found, expected, "{name}: {outcome:?}");
    }
    count
}

fn text(buffer: &statefold_projections::SnapshotBuffer) -> Vec<String> {
    let text = |bytes: &[u8]| {
        let raw = RawDocumentBuf::from_bytes(bytes.to_vec()).unwrap();
        Document::try_from(raw.as_ref()).unwrap().to_string()
    };
    buffer.documents().map(text).collect()
}

fn document(value: &Value) -> RawDocumentBuf {
    match bson_of(value) {
        Bson::Document(document) => RawDocumentBuf::try_from(&document).unwrap(),
        other => panic!("{other} is no document"),
    }
}

/// A value of MongoDB's extended JSON, as far as the cases use it.
fn bson_of(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(value) => Bson::Boolean(*value),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| Bson::Double(number.as_f64().unwrap()), Bson::Int64)
        }
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(items) => Bson::Array(items.iter().map(bson_of).collect()),
        Value::Object(members) => {
            let text = |name: &str| members.get(name).and_then(Value::as_str);
            if let Some(number) = text("$numberLong") {
                Bson::Int64(number.parse().unwrap())
            } else if let Some(number) = text("$numberInt") {
                Bson::Int32(number.parse().unwrap())
            } else if let Some(number) = text("$numberDouble") {
                Bson::Double(number.parse().unwrap())
            } else if let Some(date) = members.get("$date") {
                let ms = date.get("$numberLong").unwrap().as_str().unwrap();
                Bson::DateTime(DateTime::from_millis(ms.parse().unwrap()))
            } else if let Some(timestamp) = members.get("$timestamp") {
                let part = |name| u32::try_from(timestamp.get(name).unwrap().as_u64().unwrap()).unwrap();
                Bson::Timestamp(Timestamp { time: part("t"), increment: part("i") })
            } else if members.contains_key("$binary") {
                // Ids of commits, which no fold reads.
                Bson::Binary(Binary { subtype: BinarySubtype::UuidOld, bytes: vec![0; 16] })
            } else {
                Bson::Document(members.iter().map(|(name, value)| (name.clone(), bson_of(value))).collect())
            }
        }
    }
}
