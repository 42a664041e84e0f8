//! Cases of pipelines.

use bson::{Bson, Document, bson, doc};

use crate::case::{Case, Update};
use crate::random::Random;
use crate::values::{document, some};

const PATHS: [&str; 9] = ["a", "b", "a.b", "a.c", "b.b.c", "c.0", "d", "e", "e.b"];

/// A random pipeline.
pub(crate) fn random(random: &mut Random) -> Case {
    let count = 1 + random.below(3);
    let stages: Vec<(&str, Bson)> = (0..count).map(|_| stage(random)).collect();
    let names: Vec<&str> = stages.iter().map(|(name, _)| *name).collect();
    Case {
        before: random.percent(85).then(|| document(random)),
        operator: names[0].to_owned(),
        types: names.join(", "),
        update: Update::Pipeline(stages.into_iter().map(|(_, stage)| stage).collect()),
        payload: doc! { "x": some(random), "y": some(random) },
    }
}

fn value(random: &mut Random) -> Bson {
    match random.below(8) {
        0 => "$$event.payload.x".into(),
        1 => "$$event.payload.missing".into(),
        2 => "$a".into(),
        3 => "$b.b".into(),
        4 => "$$REMOVE".into(),
        5 => bson!({ "$concat": ["x", "$$stream.key"] }),
        6 => bson!(["$a.b", "$$event.number", "$zz"]),
        _ => bson!({ "$literal": some(random) }),
    }
}

fn paths(random: &mut Random, value: impl Fn(&mut Random) -> Bson) -> Document {
    let mut fields = Document::new();
    for _ in 0..=random.below(3) {
        let path = *random.pick(&PATHS);
        fields.insert(path, value(random));
    }
    fields
}

fn stage(random: &mut Random) -> (&'static str, Bson) {
    match random.below(9) {
        0 | 1 => ("$set", bson!({ "$set": paths(random, value) })),
        2 => {
            let inner = doc! { "b": value(random), "z": { "c": value(random) } };
            ("$addFields", bson!({ "$addFields": { *random.pick(&["a", "b", "e"]): inner } }))
        }
        3 => {
            let names: Vec<String> = paths(random, |_| Bson::Null).keys().cloned().collect();
            ("$unset", bson!({ "$unset": names }))
        }
        4 => ("$project", bson!({ "$project": paths(random, |_| Bson::Int32(1)) })),
        5 => ("$project", bson!({ "$project": paths(random, |_| Bson::Boolean(false)) })),
        6 => {
            let fields =
                paths(random, |random| if random.percent(50) { Bson::Int32(1) } else { value(random) });
            ("$project", bson!({ "$project": fields }))
        }
        7 => {
            let root = match random.below(4) {
                0 => bson!({ "a": "$a", "n": value(random) }),
                1 => bson!({ "$mergeObjects": [{ "n": "$b" }, "$$ROOT"] }),
                2 => "$a".into(),
                _ => bson!({ "n": 1, "_id": "$_id", "a": "$b" }),
            };
            ("$replaceWith", bson!({ "$replaceWith": root }))
        }
        _ => {
            ("$replaceRoot", bson!({ "$replaceRoot": { "newRoot": { "$mergeObjects": ["$$ROOT", "$a"] } } }))
        }
    }
}
