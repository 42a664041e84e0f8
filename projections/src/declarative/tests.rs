//! Errors of definitions, and rules that are ours and not the server's. What is the server's is tested
//! against it.
#![expect(clippy::unwrap_used, reason = "tests")]

use bson::{Bson, Document, bson, doc};

use super::{ApplyError, Bound, Plan};

fn update_error(update: Document) -> String {
    Plan::update(&update, &[]).unwrap_err().to_string()
}

fn pipeline_error(stage: Document) -> String {
    Plan::pipeline(&[Bson::Document(stage)]).unwrap_err().to_string()
}

fn bound(payload: Document) -> Bound<'static> {
    Bound::new(doc! { "payload": payload, "number": 3_i64, "type": "T" }, doc! { "key": "k" })
}

fn applied(update: Document, before: Document, payload: Document) -> Document {
    let mut document = before;
    Plan::update(&update, &[]).unwrap().apply(&mut document, &bound(payload), false).unwrap();
    document
}

#[test]
fn an_unknown_operator_is_told_with_the_nearest_one() {
    assert_eq!(
        pipeline_error(doc! { "$set": { "a": { "$ad": [1, 2] } } }),
        "[0].$set.a.$ad: `$ad` isn't an operator that is known; did you mean `$add`?"
    );
    assert_eq!(
        pipeline_error(doc! { "$projekt": { "a": 1 } }),
        "[0].$projekt: `$projekt` isn't a stage of an update that is known; did you mean `$project`?"
    );
    assert_eq!(
        update_error(doc! { "$increment": { "a": 1 } }),
        "$increment: `$increment` isn't an update operator that is known"
    );
}

#[test]
fn what_depends_on_clock_chance_or_server_is_refused_by_name() {
    for (operator, argument) in [
        ("$rand", bson!({})),
        ("$function", bson!({ "body": "f", "args": [], "lang": "js" })),
        ("$accumulator", bson!({})),
        ("$exp", bson!(1)),
        ("$regexMatch", bson!({ "input": "$a", "regex": "b" })),
    ] {
        let error = pipeline_error(doc! { "$set": { "a": { operator: argument } } });
        assert!(error.starts_with(&format!("[0].$set.a.{operator}: `{operator}` is refused: ")), "{error}");
    }
    for variable in ["NOW", "CLUSTER_TIME", "JS_SCOPE"] {
        let error = pipeline_error(doc! { "$set": { "a": format!("$${variable}") } });
        assert!(error.starts_with(&format!("[0].$set.a: `$${variable}` is refused: ")), "{error}");
    }
    let error = update_error(doc! { "$currentDate": { "a": true } });
    let expected =
        "$currentDate: `$currentDate` is refused: it depends on the clock; take `$$event.timestamp`";
    assert_eq!(error, expected);
}

#[test]
fn an_unknown_variable_is_told_with_the_nearest_one() {
    let expected = "there is no variable `$$evnet`; did you mean `$$event`?";
    assert_eq!(update_error(doc! { "$set": { "a": ["$$evnet.payload"] } }), format!("$set.a[0]: {expected}"));
    let stage = doc! { "$set": { "a": { "$map": { "input": "$b", "as": "item", "in": "$$itm.x" } } } };
    let expected = "[0].$set.a.$map.in: there is no variable `$$itm`; did you mean `$$item`?";
    assert_eq!(pipeline_error(stage), expected);
}

#[test]
fn arguments_are_counted_and_named() {
    let error = |expression: Bson| pipeline_error(doc! { "$set": { "a": expression } });
    assert_eq!(
        error(bson!({ "$subtract": [1] })),
        "[0].$set.a.$subtract: $subtract takes 2 arguments, not 1"
    );
    assert_eq!(
        error(bson!({ "$trim": { "inputs": "$b" } })),
        "[0].$set.a.$trim: there is no argument `inputs`; did you mean `input`?"
    );
    assert_eq!(
        error(bson!({ "$filter": { "input": "$b" } })),
        "[0].$set.a.$filter: the argument `cond` is missing"
    );
    assert_eq!(error(bson!({ "$add": 1, "b": 2 })), "[0].$set.a: `$add` must stand alone in its object");
    assert_eq!(error(bson!("$a..b")), "[0].$set.a: a path has an empty name");
    assert_eq!(
        error(bson!({ "$divide": [1, 0] })),
        "[0].$set.a.$divide: it always fails: $divide: can't divide by zero"
    );
}

#[test]
fn paths_that_conflict_are_refused() {
    for update in [
        doc! { "$set": { "a": 1, "a.b": 2 } },
        doc! { "$set": { "a.b": 1 }, "$inc": { "a": 2 } },
        doc! { "$set": { "a.0": 1, "a.$[]": 2 } },
        doc! { "$rename": { "a": "b" }, "$set": { "a": 1 } },
    ] {
        assert!(update_error(update.clone()).ends_with("it conflicts with another path"), "{update}");
    }
    assert!(update_error(doc! { "$rename": { "a": "a.b" } }).ends_with("one lies within the other"));
    assert!(
        update_error(doc! { "$set": { "_id": 1 } }).ends_with("the `_id` is the stream's key, and stays")
    );
    assert!(pipeline_error(doc! { "$set": { "a": 1, "a.b": 2 } }).contains("two of its paths"));
}

#[test]
fn operands_of_another_type_are_refused() {
    assert_eq!(update_error(doc! { "$inc": { "a": "1" } }), "$inc.a: it takes a number");
    assert_eq!(
        update_error(doc! { "$pop": { "a": 2 } }),
        "$pop.a: it takes 1 for the last item or -1 for the first"
    );
    let pushed = doc! { "$push": { "a": { "$each": 1 } } };
    assert_eq!(update_error(pushed), "$push.a.$each: it takes an array");
    let pushed = doc! { "$push": { "a": { "$each": [], "$slic": 1 } } };
    let expected = "$push.a.$slic: `$slic` isn't known beside `$each`; did you mean `$slice`?";
    assert_eq!(update_error(pushed), expected);
    assert!(update_error(doc! { "$set": { "a": { "$add": 1 } } }).contains("isn't for values"));
}

#[test]
fn a_missing_variable_leaves_its_field_alone() {
    let before = || doc! { "_id": "k", "a": [1, 2], "n": 1 };
    let update = doc! {
        "$set": { "n": "$$event.payload.x" }, "$inc": { "m": "$$event.payload.x" },
        "$pull": { "a": "$$event.payload.x" },
    };
    assert_eq!(applied(update, before(), doc! {}), before());
    // Without the field, this would be a condition that every document fulfils.
    let pull = doc! { "$pull": { "a": { "id": "$$event.payload.x" } } };
    let items = doc! { "_id": "k", "a": [{ "id": 1 }] };
    assert_eq!(applied(pull, items.clone(), doc! {}), items);
    let nested = doc! { "$set": { "o": { "x": "$$event.payload.x", "y": ["$$event.payload.x"] } } };
    assert_eq!(applied(nested, doc! {}, doc! {}), doc! { "o": { "y": [null] } });
}

#[test]
fn a_literal_is_no_variable_and_a_value_of_an_event_is_no_operator() {
    let update = doc! { "$set": { "a": { "$literal": "$$event.number" }, "b": ["$$event.number", "$5"] } };
    let expected = doc! { "a": "$$event.number", "b": [3_i64, "$5"] };
    assert_eq!(applied(update, doc! {}, doc! {}), expected);
    let pull = doc! { "$pull": { "a": "$$event.payload.x" } };
    let before = doc! { "a": [1, 2, 3] };
    assert_eq!(applied(pull, before.clone(), doc! { "x": { "$gt": 0 } }), before);
}

#[test]
fn what_would_be_rounded_is_refused_and_not_guessed() {
    let third = doc! { "$set": { "a": { "$divide": ["$$event.payload.x", 3] } } };
    let plan = Plan::pipeline(&[Bson::Document(third)]).unwrap();
    let decimal: bson::Decimal128 = "1".parse().unwrap();
    let error = plan.apply(&mut doc! {}, &bound(doc! { "x": decimal }), false).unwrap_err();
    assert!(matches!(&error, ApplyError::Refused { operator, .. } if operator == "$divide"), "{error}");
}
