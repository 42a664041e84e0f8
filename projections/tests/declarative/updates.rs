//! Cases of update documents. The server is given the values of the variables in their place.

use bson::{Bson, Document, bson, doc};

use crate::case::{Case, Update};
use crate::random::Random;
use crate::values::{document, of, some, types};

const PATHS: [&str; 19] = [
    "a",
    "b",
    "c",
    "e",
    "a.b",
    "a.c",
    "a.0",
    "a.1.b",
    "a.4",
    "b.0",
    "b.b.c",
    "b.10",
    "b.2",
    "e.f.g",
    "e.b",
    "a.$[]",
    "a.$[].b",
    "b.$[it]",
    "c.$[it].b",
];
const OPERATORS: [&str; 13] = [
    "$set",
    "$unset",
    "$inc",
    "$mul",
    "$min",
    "$max",
    "$setOnInsert",
    "$push",
    "$addToSet",
    "$pull",
    "$pullAll",
    "$pop",
    "$rename",
];

/// Each operator on a value of each type, with an operand of each type.
pub(crate) fn pairs(random: &mut Random) -> Vec<Case> {
    let types = types();
    let mut cases = Vec::new();
    for operator in OPERATORS {
        for (one, values) in &types {
            for (other, _) in types.iter().filter(|(name, _)| *name != "missing") {
                for is_new in [false, true] {
                    let operand = of(random, &[*other]).unwrap();
                    let operand = match operator {
                        "$pullAll" if *other != "array" => bson!([operand]),
                        "$rename" => "z".into(),
                        "$pop" => Bson::Int32(if random.percent(50) { 1 } else { -1 }),
                        _ => operand,
                    };
                    let (here, there, payload) = match operator {
                        "$rename" | "$pop" => (operand.clone(), operand, doc! {}),
                        _ => bind(&operand, random),
                    };
                    let mut before = doc! { "x": 1 };
                    before.extend(random.pick(values).clone().map(|value| ("a".to_owned(), value)));
                    before.insert("y", 2);
                    let (here, there) = (doc! { operator: { "a": here } }, doc! { operator: { "a": there } });
                    cases.push(Case {
                        before: (!is_new).then_some(before),
                        update: Update::Operators { here, there, filters: Vec::new() },
                        payload,
                        operator: operator.to_owned(),
                        types: format!("{one}, {other}"),
                    });
                }
            }
        }
    }
    cases
}

/// An operand as it is written here and there: as a variable, or as itself.
fn bind(operand: &Bson, random: &mut Random) -> (Bson, Bson, Document) {
    let is_plain = !matches!(operand, Bson::RegularExpression(_));
    if random.percent(50) && is_plain {
        return ("$$event.payload.x".into(), operand.clone(), doc! { "x": operand.clone() });
    }
    (operand.clone(), operand.clone(), doc! {})
}

fn operand(operator: &str, random: &mut Random) -> Bson {
    let number = ["int", "long", "double", "infinite", "decimal"];
    let whole = |random: &mut Random| i32::try_from(random.below(9)).unwrap() - 4;
    match operator {
        "$inc" | "$mul" if random.percent(90) => of(random, &number).unwrap(),
        "$pop" => bson!(if random.percent(50) { 1 } else { -1 }),
        "$pullAll" => of(random, &["array"]).unwrap(),
        "$rename" => (*random.pick(&["a", "b", "e.f", "q", "b.0", "c.b"])).into(),
        "$push" | "$addToSet" if random.percent(60) => {
            let mut modifiers = doc! { "$each": of(random, &["array"]).unwrap() };
            if operator == "$push" {
                let sorts = [bson!(1), bson!(-1), bson!({ "b": 1 }), bson!({ "b": -1, "c": 1 })];
                let more = [
                    ("$slice", bson!(whole(random))),
                    ("$position", bson!(whole(random))),
                    ("$sort", random.pick(&sorts).clone()),
                ];
                modifiers.extend(
                    more.into_iter()
                        .filter(|_| random.percent(40))
                        .map(|(name, value)| (name.to_owned(), value)),
                );
            }
            modifiers.into()
        }
        "$pull" => {
            let value = some(random);
            match random.below(9) {
                0 => bson!({ "b": value }),
                1 => bson!({ "b": { "$gt": value } }),
                2 => bson!({ "$gte": value }),
                3 => bson!({ "$in": [value, 1, "a"] }),
                4 => bson!({ "b": { "$exists": true } }),
                5 => bson!({ "$or": [{ "b": 1 }, { "c": { "$ne": value } }] }),
                6 => bson!({ "$not": { "$lt": value } }),
                7 => bson!({ "$size": 1 }),
                _ => value,
            }
        }
        _ => some(random),
    }
}

/// A random update document.
pub(crate) fn random(random: &mut Random) -> Case {
    let (mut here, mut there, mut payload) = (Document::new(), Document::new(), Document::new());
    let (mut filters, mut names) = (Vec::new(), Vec::new());
    for _ in 0..=random.below(2) {
        let (operator, path) = (*random.pick(&OPERATORS), *random.pick(&PATHS));
        let operand = operand(operator, random);
        let is_condition = operator == "$pull" && matches!(operand, Bson::Document(_));
        let has_each = matches!(&operand, Bson::Document(members) if members.contains_key("$each"));
        let (mine, theirs, values) =
            if is_condition || has_each || operator == "$rename" || operator == "$pop" || !payload.is_empty()
            {
                (operand.clone(), operand, doc! {})
            } else {
                bind(&operand, random)
            };
        // What is no number is found here where it is applied, there at once.
        let is_number =
            matches!(theirs, Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_));
        let must_be_number = ["$inc", "$mul"].contains(&operator);
        let mine = if must_be_number && !is_number { theirs.clone() } else { mine };
        payload.extend(values);
        for (update, value) in [(&mut here, mine), (&mut there, theirs)] {
            let fields = update.entry(operator).or_insert(Bson::Document(doc! {}));
            if let Bson::Document(fields) = fields {
                fields.insert(path, value);
            }
        }
        if path.contains("$[it]") && filters.is_empty() {
            let value = some(random);
            let key = *random.pick(&["it", "it.b"]);
            let condition = match random.below(3) {
                0 => value,
                1 => bson!({ "$gte": value }),
                _ => bson!({ "$ne": value }),
            };
            filters.push(doc! { key: condition });
        }
        names.push(operator);
    }
    Case {
        before: random.percent(80).then(|| document(random)),
        update: Update::Operators { here, there, filters },
        payload,
        operator: names[0].to_owned(),
        types: names.join(", "),
    }
}
