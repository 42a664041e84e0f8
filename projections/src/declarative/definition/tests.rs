//! What is wrong with definitions, and what becomes of right ones.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use bson::doc;
use serde_json::json;

use super::*;
use crate::testing::{self, given};

const FILE: &str = "shelves.toml";

fn problems(text: &str) -> Vec<String> {
    let format = if text.starts_with('{') { Format::Json } else { Format::Toml };
    let found = Definitions::parse(FILE, text, format).map(drop).unwrap_err();
    found.iter().map(ToString::to_string).collect()
}

fn declared(text: &str) -> Declared {
    let definitions = Definitions::parse(FILE, text, Format::Toml).unwrap();
    definitions.projections().next().unwrap().clone()
}

/// A projection with these lines about its events.
fn shelves(more: &str) -> String {
    format!(
        "[[projection]]\nname = \"Shelves\"\nversion = 1\nstreams = {{ prefix = \"shelf-\" }}\n\
         targets = [\"Shelves\"]\n{more}"
    )
}

#[test]
fn what_is_no_toml_or_no_json_is_said_with_its_line() {
    assert!(problems("[layout]\npreset = squidex")[0].starts_with("shelves.toml:2: "));
    assert!(problems("{\n\"projection\": [\n}")[0].starts_with("shelves.toml:3: "));
    assert!(problems("{\"a\": 1,\n\"a\": 2}")[0].contains("`a` is there twice"));
    assert_eq!(problems(""), ["shelves.toml:1: there is no `[[projection]]` in it"]);
}

#[test]
fn all_problems_are_said_at_once_with_what_was_meant() {
    let text = "[layout]\npreset = \"squidx\"\n[[projection]]\nname = \"A\"\nversoin = 1\n\
                targets = [{ colection = \"A\" }]\n[projection.on.Opened]\n\"$sett\" = { a = 1 }\n\
                [projection.on.Closed]\ndelete = 1\n";
    assert_eq!(
        problems(text),
        [
            "shelves.toml:2: layout.preset: `squidx` isn't one of squidex, commits; did you mean `squidex`?",
            "shelves.toml:3: A: `version` is missing",
            "shelves.toml:5: A.versoin: nothing has this name here; did you mean `version`?",
            "shelves.toml:6: A.targets[0].colection: nothing has this name here; did you mean `collection`?",
            "shelves.toml:6: A.targets[0]: `collection` is missing: generation 1 is that name with a 1 behind it",
            "shelves.toml:8: A.on.Opened.$sett: `$sett` isn't an update operator that is known; did you mean `$set`?",
            "shelves.toml:9: A.on.Closed: it needs one of: update operators as `$set`, or `pipeline`, or \
             `delete = true`",
            "shelves.toml:10: A.on.Closed.delete: this is a number, and has to be true or false",
        ]
    );
}

#[test]
fn an_error_within_a_pipeline_has_the_line_of_its_part() {
    let text = shelves(
        "[projection.on.Audited]\npipeline = [\n    { \"$set\" = { a = 1 } },\n    { \"$set\" = {\n\
         b = { \"$subtrac\" = [\"$a\", 1] } } },\n]\n",
    );
    let found = problems(&text);
    assert!(found[0].starts_with("shelves.toml:10: Shelves.on.Audited.pipeline[1].$set.b"), "{found:?}");
    assert!(found[0].ends_with("did you mean `$subtract`?"), "{found:?}");
    let variable = shelves("[projection.on.A]\n\"$set\" = { a = \"$$evnt.payload.a\" }\n");
    assert!(problems(&variable)[0].ends_with("did you mean `$$event`?"), "{:?}", problems(&variable));
}

#[test]
fn two_projections_of_one_target_and_circles_of_upcasts_are_refused() {
    let one = shelves("[projection.on.A]\ndelete = true\n");
    let two = format!("{one}{}", one.replace("\"Shelves\"\nv", "\"Others\"\nv"));
    assert!(problems(&two)[0].contains("belongs to Shelves and to Others"), "{:?}", problems(&two));
    let circle =
        shelves("[projection.upcast]\nA = \"B\"\nB = { type = \"A\" }\n[projection.on.C]\ndelete = true\n");
    assert!(problems(&circle)[0].ends_with("the upcasts go in a circle"), "{:?}", problems(&circle));
    let hidden = shelves(
        "[projection.upcast]\nA = \"B\"\n[projection.on.A]\ndelete = true\n[projection.on.B]\ndelete = true\n",
    );
    assert!(problems(&hidden)[0].contains("would never see it"), "{:?}", problems(&hidden));
}

#[test]
fn a_misspelt_type_or_part_of_an_event_is_said() {
    let lost = shelves("[projection.upcast]\nOld = \"Aded\"\n[projection.on.Added]\ndelete = true\n");
    let found = problems(&lost);
    assert!(found[0].contains("`Aded` is neither in `on`"), "{found:?}");
    assert!(found[0].ends_with("did you mean `Added`?"), "{found:?}");
    let part = shelves("[projection.on.A]\n\"$set\" = { a = \"$$event.paylod.a\" }\n");
    assert!(problems(&part)[0].ends_with("did you mean `$$event.payload`?"), "{:?}", problems(&part));
    let key = shelves("[projection.on.A]\n\"$set\" = { a = \"$$stream.id\" }\n");
    assert!(problems(&key)[0].contains("`$$stream` has key, name, and no `id`"), "{:?}", problems(&key));
}

#[test]
fn a_payload_may_have_an_id_that_an_upcast_changes() {
    let text = shelves(
        "[projection.upcast]\nOld = { type = \"New\", \
         pipeline = [{ \"$set\" = { id = \"$_id\" } }, { \"$unset\" = \"_id\" }] }\n\
         [projection.on.New]\n\"$set\" = { all = \"$$event.payload\" }\n",
    );
    let old = given(declared(&text)).stream("shelf-7").event("Old", json!({ "_id": "x" }));
    old.then_snapshot(doc! { "_id": "7", "all": { "id": "x" } });
}

#[test]
fn an_event_isnt_known_where_snapshots_are_made() {
    let text = shelves("[projection.on.A]\ndelete = true\n").replace(
        "[\"Shelves\"]",
        "[{ collection = \"S\", emit = [{ \"$set\" = { a = \"$$event.number\" } }] }]",
    );
    assert!(problems(&text)[0].contains("`$$event.number` isn't known here"), "{:?}", problems(&text));
}

#[test]
fn an_update_inserts_as_an_upsert_does_and_a_delete_deletes() {
    let text = shelves(
        "[projection.on.Filled]\n\"$inc\" = { count = 1 }\n\
         \"$setOnInsert\" = { first = \"$$event.payload.t\" }\n\
         [projection.on.Closed]\ndelete = true\n",
    );
    let given = || given(declared(&text)).stream("shelf-7").event("Filled", json!({ "t": "Emma" }));
    let again = || given().event("Filled", json!({ "t": "Ulysses" }));
    again().then_snapshot(doc! { "_id": "7", "count": 2, "first": "Emma" });
    let closed = || again().event("Closed", json!({}));
    closed().then_nothing();
    let reopened = closed().event("Filled", json!({ "t": "Dubliners" }));
    reopened.then_snapshot(doc! { "_id": "7", "count": 1, "first": "Dubliners" });
}

#[test]
fn only_an_event_that_creates_makes_an_object_where_one_says_so() {
    let text = |more: &str| {
        shelves(&format!(
            "{more}[projection.on.Opened]\ncreates = true\n\"$set\" = {{ open = true }}\n\
             [projection.on.Filled]\n\"$inc\" = {{ count = 1 }}\n"
        ))
    };
    let events = |more: &str| given(declared(&text(more))).stream("shelf-7");
    let none = || json!({});
    events("").event("Filled", none()).then_nothing();
    let opened = events("").event("Filled", none()).event("Opened", none()).event("Filled", none());
    opened.then_snapshot(doc! { "_id": "7", "open": true, "count": 1 });
    events("before_creation = \"fail\"\n").event("Filled", none()).then_fails("refused");
}

#[test]
fn an_event_counts_only_if_its_condition_holds() {
    let text = shelves(
        "version_field = \"vs\"\n[projection.on.Renamed]\n\
         when = { \"$ne\" = [\"$name\", \"$$event.payload.name\"] }\n\
         \"$set\" = { name = \"$$event.payload.name\" }\n\"$inc\" = { changes = 1 }\n",
    );
    let name = |name: &str| json!({ "name": name });
    let events = given(declared(&text)).stream("shelf-7");
    let events = events.event("Renamed", name("a")).event("Renamed", name("a")).event("Renamed", name("b"));
    events
        .event("Other", name("c"))
        .then_snapshot(doc! { "_id": "7", "changes": 2, "name": "b", "vs": 3_i64 });
}

#[test]
fn old_events_are_reshaped_once_or_over_several_types() {
    let text = shelves(
        "[projection.upcast]\n\
         Put = { type = \"Added\", \
         pipeline = [{ \"$set\" = { n = { \"$multiply\" = [\"$dozens\", 12] } } }] }\n\
         Stored = { type = \"Put\", pipeline = [{ \"$set\" = { dozens = \"$$event.payload.d\" } }] }\n\
         Placed = \"Added\"\n[projection.on.Added]\n\"$inc\" = { count = \"$$event.payload.n\" }\n",
    );
    let events = given(declared(&text)).stream("shelf-7");
    let events = events.event("Stored", json!({ "d": 2 }));
    let events = events.event("Put", json!({ "dozens": 1 }));
    events.event("Placed", json!({ "n": 3 })).then_snapshot(doc! { "_id": "7", "count": 39 });
}

#[test]
fn a_target_has_its_own_view_of_the_state_and_only_some_of_it() {
    let text = shelves("[projection.on.Filled]\n\"$inc\" = { count = 1, hidden = 1 }\n").replace(
        "[\"Shelves\"]",
        "[{ collection = \"All\", emit = [{ \"$unset\" = \"hidden\" }] }, \
         { collection = \"Full\", when = { \"$gte\" = [\"$count\", 2] }, \
         emit = [{ \"$project\" = { k = \"$$stream.key\" } }] }]",
    );
    let one = || given(declared(&text)).stream("shelf-7").event("Filled", json!({}));
    one().then_snapshots(&[("All", doc! { "_id": "7", "count": 1 })]);
    let two = one().event("Filled", json!({}));
    two.then_snapshots(&[("All", doc! { "_id": "7", "count": 2 }), ("Full", doc! { "_id": "7", "k": "7" })]);
}

#[test]
fn values_of_types_that_toml_and_json_lack_are_written_as_extended_json() {
    let toml = shelves(
        "[projection.on.A.\"$set\"]\nlong = { \"$numberLong\" = \"1\" }\nwhen = 2024-02-29T12:00:00Z\n\
         id = { \"$oid\" = \"65e0718000000000000000aa\" }\n",
    );
    let id = bson::oid::ObjectId::parse_str("65e0718000000000000000aa").unwrap();
    let when = bson::DateTime::parse_rfc3339_str("2024-02-29T12:00:00Z").unwrap();
    let expected = || doc! { "_id": "7", "id": id, "long": 1_i64, "when": when };
    given(declared(&toml)).stream("shelf-7").event("A", json!({})).then_snapshot(expected());
    let json = r#"{ "projection": [{ "name": "A", "version": 1, "targets": ["A"], "on": { "A": { "$set": {
        "long": { "$numberLong": "1" }, "when": { "$date": "2024-02-29T12:00:00Z" },
        "id": { "$oid": "65e0718000000000000000aa" } } } } }] }"#;
    let definitions = Definitions::parse("a.json", json, Format::Json).unwrap();
    let declared = definitions.projections().next().unwrap().clone();
    given(declared).stream("7").event("A", json!({})).then_snapshot(expected());
    let wrong = toml.replace("\"1\"", "\"one\"");
    assert!(problems(&wrong)[0].starts_with("shelves.toml:7: "), "{:?}", problems(&wrong));
}

#[test]
fn a_changed_definition_has_other_settings_and_a_changed_test_has_not() {
    let settings = |more: &str| declared(&shelves(more)).spec().settings().to_owned();
    let on = "[projection.on.A]\n\"$inc\" = { a = 1 }\n";
    let test = "[[projection.test]]\ngiven = []\nabsent = true\n";
    assert_eq!(settings(on), settings(&format!("# a comment\n{on}{test}")));
    assert_ne!(settings(on), settings(&on.replace("= 1", "= 2")));
    assert_ne!(settings(on), settings(&format!("version_field = \"v\"\n{on}")));
}

#[test]
fn a_test_that_fails_says_what_came_out() {
    let outcome = |then: &str| {
        let test = format!("[[projection.test]]\ngiven = [{{ type = \"A\" }}]\n{then}\n");
        let text = shelves(&format!("[projection.on.A]\n\"$inc\" = {{ a = 1 }}\n{test}"));
        let definitions = Definitions::parse(FILE, &text, Format::Toml).unwrap();
        definitions.run_examples().next().unwrap().2
    };
    let wrong = |what: &str| Outcome::Wrong(what.to_owned());
    assert_eq!(outcome("then = { _id = \"1\", a = 1 }"), Outcome::Right);
    assert_eq!(outcome("then = { _id = \"1\", a = 2 }"), wrong("a is 1 (32 bits), not 2 (32 bits)"));
    assert_eq!(outcome("then = { _id = \"1\" }"), wrong("a is 1 (32 bits), not absent"));
    assert_eq!(
        outcome("absent = true"),
        wrong("there is a snapshot in Shelves: { \"_id\": \"1\", \"a\": 1 }")
    );
    assert_eq!(outcome("fails = \"x\""), wrong("it doesn't fail: Shelves: { \"_id\": \"1\", \"a\": 1 }"));
}

/// Names of properties in a part of the schema.
fn properties(pointer: &str) -> Vec<String> {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let part = schema.pointer(pointer).unwrap();
    let mut names: Vec<String> = part["properties"].as_object().unwrap().keys().cloned().collect();
    names.sort();
    names
}

#[test]
fn the_schema_has_the_names_that_are_read() {
    let sorted = |names: &[&str]| {
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(properties("/$defs/projection"), sorted(&projection::KEYS));
    assert_eq!(properties("/$defs/layout"), sorted(&layout::KEYS));
    assert_eq!(properties("/$defs/layout/properties/fields"), sorted(&layout::FIELDS));
    assert_eq!(properties("/$defs/target/anyOf/1"), sorted(&target::KEYS));
    assert_eq!(properties("/$defs/test"), sorted(&example::KEYS));
    assert_eq!(properties("/$defs/test/properties/given/items"), sorted(&example::EVENT_KEYS));
    let handler: Vec<String> = properties("/$defs/handler");
    let (operators, others): (Vec<String>, Vec<String>) =
        handler.into_iter().partition(|name| name.starts_with('$'));
    assert_eq!(others, sorted(&handler::KEYS));
    assert_eq!(operators, sorted(&crate::declarative::update::NAMES));
}

#[test]
fn a_time_that_no_header_has_is_said_when_the_file_is_read() {
    let timed = "[projection.on.Opened]\n\"$set\" = { since = \"$$event.timestamp\" }";
    let text = format!("[layout]\npreset = \"commits\"\nevent_time = false\n{}", shelves(timed));
    assert_eq!(
        problems(&text),
        [
            "shelves.toml:10: Shelves.on: the layout has no `event_time`, the header that `$$event.timestamp` is"
        ]
    );
}

#[test]
fn a_snapshot_that_is_copied_from_the_state_is_the_one_that_is_computed() {
    // The same members; the constant that is made by an expression keeps the second from being copied.
    let copied =
        "a = \"$s.a\", whole = \"$s\", none = \"$nothing.b\", deep = \"$s.in.b\", id = \"$_id\", one = 1";
    let of = |emitted: &str| {
        let emit = format!("emit = [{{ \"$replaceWith\" = {{ {emitted} }} }}]");
        let on = "version_field = \"one\"\n[projection.on.Opened]\n\"$set\" = { s = \"$$event.payload.s\" }";
        declared(&shelves(on).replace("[\"Shelves\"]", &format!("[{{ collection = \"Shelves\", {emit} }}]")))
    };
    let computed = copied.replace("whole = \"$s\"", "whole = { \"$ifNull\" = [\"$s\", 0] }");
    let (copies, computes) = (of(copied), of(&computed));
    let is_copied = |declared: &Declared, state: &bson::Document| {
        let state = bson::RawDocumentBuf::try_from(state).unwrap();
        let filter = declared.spec.stream_filter().clone();
        let made = declared.emits[0].snapshot(&state, &filter.key("shelf-1").unwrap()).unwrap().unwrap();
        matches!(made, emit::Made::Copied(_))
    };
    for (s, copying) in [
        (json!({ "a": "x", "in": { "b": [1, { "c": 2 }] } }), true),
        (json!({ "a": { "deep": [null] } }), true),
        (json!(7.5), true),
        (json!({ "a": null, "in": [{ "b": 1 }, { "b": "z" }, 7] }), false),
        (json!([{ "a": 1, "in": { "b": 2 } }, { "ä": 3 }]), false),
        (json!({ "ä": "ö", "a": [], "in": 5 }), false),
    ] {
        let of = |declared: &Declared| {
            let event = json!({ "s": s });
            given(declared.clone()).stream("shelf-1").event("Opened", event).outcome().unwrap()
        };
        assert_eq!(of(&copies), of(&computes), "{s:?}");
        assert_eq!(of(&copies)["Shelves"].get("one"), Some(&bson::Bson::Int64(0)), "{s:?}");
        let state = doc! { "_id": "1", "s": bson::serialize_to_bson(&s).unwrap() };
        assert_eq!((is_copied(&copies, &state), is_copied(&computes, &state)), (copying, false), "{s:?}");
    }
}

#[test]
fn a_large_document_is_changed_as_a_small_one() {
    let text = shelves(
        "[projection.on.Filled]\nwhen = { \"$ne\" = [\"$$event.payload.t\", \"no\"] }\n\"$push\" = \
         { books = \"$$event.payload.t\" }\n\"$inc\" = { count = 1 }\n[projection.on.Emptied]\n\
         \"$set\" = { books = [] }\n[projection.on.Closed]\ndelete = true",
    );
    let title = "a title of a hundred letters or so, to make the document large: ".repeat(2);
    let filled = |from: testing::Given, count: usize| {
        (0..count).fold(from, |given, _| given.event("Filled", json!({ "t": title })))
    };
    let begun = || given(declared(&text)).stream("shelf-7");
    let large =
        filled(begun(), 80).event("Filled", json!({ "t": "no" })).event("Filled", json!({ "t": "x" }));
    let mut books = vec![title.clone(); 80];
    books.push("x".to_owned());
    large.then_snapshot(doc! { "_id": "7", "books": books, "count": 81 });
    let emptied = filled(begun(), 80).event("Emptied", json!({})).event("Filled", json!({ "t": "y" }));
    emptied.then_snapshot(doc! { "_id": "7", "books": ["y"], "count": 81 });
    let again = filled(begun(), 80).event("Closed", json!({})).event("Filled", json!({ "t": "z" }));
    again.then_snapshot(doc! { "_id": "7", "books": ["z"], "count": 1 });
}
