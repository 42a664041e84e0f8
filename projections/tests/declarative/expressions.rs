//! Cases of expressions: each operator with all pairs of types, and random ones.

use bson::{Bson, Document, bson, doc};

use crate::case::{Case, Update};
use crate::random::Random;
use crate::values::{any, of, types};

/// Operators of lists: name, fewest and most arguments, types that make sense.
const LISTS: [(&str, usize, usize, &[&[&str]]); 80] = [
    ("$sum", 0, 4, &[TOTAL]),
    ("$avg", 0, 4, &[TOTAL]),
    ("$min", 0, 4, &[ANY]),
    ("$max", 0, 4, &[ANY]),
    ("$add", 0, 4, &[NUMBER]),
    ("$subtract", 2, 2, &[NUMBER]),
    ("$multiply", 0, 4, &[NUMBER]),
    ("$divide", 2, 2, &[NUMBER]),
    ("$mod", 2, 2, &[NUMBER]),
    ("$abs", 1, 1, &[NUMBER]),
    ("$sqrt", 1, 1, &[NUMBER]),
    ("$ceil", 1, 1, &[NUMBER]),
    ("$floor", 1, 1, &[NUMBER]),
    ("$round", 1, 2, &[NUMBER, &["int"]]),
    ("$trunc", 1, 2, &[NUMBER, &["int"]]),
    ("$cmp", 2, 2, &[ANY]),
    ("$eq", 2, 2, &[ANY]),
    ("$ne", 2, 2, &[ANY]),
    ("$gt", 2, 2, &[ANY]),
    ("$gte", 2, 2, &[ANY]),
    ("$lt", 2, 2, &[ANY]),
    ("$lte", 2, 2, &[ANY]),
    ("$not", 1, 1, &[ANY]),
    ("$and", 0, 3, &[ANY]),
    ("$or", 0, 3, &[ANY]),
    ("$ifNull", 2, 3, &[ANY]),
    ("$cond", 3, 3, &[ANY]),
    ("$type", 1, 1, &[ANY]),
    ("$isArray", 1, 1, &[ANY]),
    ("$isNumber", 1, 1, &[ANY]),
    ("$concat", 0, 3, &[&["string"]]),
    ("$toLower", 1, 1, &[&["string"]]),
    ("$toUpper", 1, 1, &[&["string"]]),
    ("$split", 2, 2, &[&["string"]]),
    ("$strLenCP", 1, 1, &[&["string"]]),
    ("$strLenBytes", 1, 1, &[&["string"]]),
    ("$substrCP", 3, 3, &[&["string"], &["int"], &["int"]]),
    ("$indexOfCP", 2, 4, &[&["string"], &["string"], &["int"], &["int"]]),
    ("$arrayElemAt", 2, 2, &[&["array"], &["int", "double"]]),
    ("$first", 1, 1, &[&["array"]]),
    ("$last", 1, 1, &[&["array"]]),
    ("$concatArrays", 0, 3, &[&["array"]]),
    ("$size", 1, 1, &[&["array"]]),
    ("$in", 2, 2, &[ANY, &["array"]]),
    ("$reverseArray", 1, 1, &[&["array"]]),
    ("$indexOfArray", 2, 4, &[&["array"], ANY, &["int"], &["int"]]),
    ("$anyElementTrue", 1, 1, &[&["array"]]),
    ("$allElementsTrue", 1, 1, &[&["array"]]),
    ("$slice", 2, 3, &[&["array"], &["int"], &["int"]]),
    ("$range", 2, 3, &[&["small"], &["small"], &["small"]]),
    ("$setUnion", 0, 3, &[&["array"]]),
    ("$setIntersection", 0, 3, &[&["array"]]),
    ("$setDifference", 2, 2, &[&["array"]]),
    ("$setEquals", 2, 3, &[&["array"]]),
    ("$setIsSubset", 2, 2, &[&["array"]]),
    ("$mergeObjects", 0, 3, &[&["object"]]),
    ("$objectToArray", 1, 1, &[&["object"]]),
    ("$arrayToObject", 1, 1, &[&["array"]]),
    ("$toBool", 1, 1, &[ANY]),
    ("$toDate", 1, 1, &[ANY]),
    ("$toDecimal", 1, 1, &[ANY]),
    ("$toDouble", 1, 1, &[ANY]),
    ("$toInt", 1, 1, &[ANY]),
    ("$toLong", 1, 1, &[ANY]),
    ("$toObjectId", 1, 1, &[ANY]),
    ("$toString", 1, 1, &[ANY]),
    ("$year", 1, 1, &[&["date"]]),
    ("$month", 1, 1, &[&["date"]]),
    ("$dayOfMonth", 1, 1, &[&["date"]]),
    ("$hour", 1, 1, &[&["date"]]),
    ("$minute", 1, 1, &[&["date"]]),
    ("$second", 1, 1, &[&["date"]]),
    ("$millisecond", 1, 1, &[&["date"]]),
    ("$dayOfYear", 1, 1, &[&["date"]]),
    ("$dayOfWeek", 1, 1, &[&["date"]]),
    ("$week", 1, 1, &[&["date"]]),
    ("$isoWeek", 1, 1, &[&["date"]]),
    ("$isoDayOfWeek", 1, 1, &[&["date"]]),
    ("$isoWeekYear", 1, 1, &[&["date"]]),
    ("$getField", 1, 1, &[ANY]),
];

const TOTAL: &[&str] = &["int", "long", "double", "infinite", "decimal", "array", "null"];
const NUMBER: &[&str] = &["int", "long", "double", "infinite", "decimal"];
const ANY: &[&str] = &["int", "string", "array", "object", "double", "bool", "date", "null"];

/// Name of an operator, its arguments with the types that make sense, how many of them must be there.
type Named = (&'static str, &'static [(&'static str, &'static [&'static str])], usize);

/// Operators of named arguments.
const NAMED: [Named; 14] = [
    ("$trim", &[("input", &["string"]), ("chars", &["string"])], 1),
    ("$ltrim", &[("input", &["string"]), ("chars", &["string"])], 1),
    ("$rtrim", &[("input", &["string"]), ("chars", &["string"])], 1),
    ("$replaceOne", &[("input", &["string"]), ("find", &["string"]), ("replacement", &["string"])], 3),
    ("$replaceAll", &[("input", &["string"]), ("find", &["string"]), ("replacement", &["string"])], 3),
    ("$dateAdd", &[("startDate", &["date"]), ("unit", &["unit"]), ("amount", &["int", "small"])], 3),
    ("$dateSubtract", &[("startDate", &["date"]), ("unit", &["unit"]), ("amount", &["int", "small"])], 3),
    (
        "$dateDiff",
        &[("startDate", &["date"]), ("endDate", &["date"]), ("unit", &["unit"]), ("startOfWeek", &["day"])],
        3,
    ),
    (
        "$dateTrunc",
        &[("date", &["date"]), ("unit", &["unit"]), ("binSize", &["small"]), ("startOfWeek", &["day"])],
        2,
    ),
    ("$dateToString", &[("date", &["date"]), ("format", &["format"]), ("onNull", ANY)], 1),
    ("$convert", &[("input", ANY), ("to", &["kind"]), ("onError", ANY), ("onNull", ANY)], 2),
    ("$setField", &[("field", &["name"]), ("input", &["object"]), ("value", ANY)], 3),
    ("$unsetField", &[("field", &["name"]), ("input", &["object"])], 2),
    ("$zip", &[("inputs", &["arrays"]), ("useLongestLength", &["bool"]), ("defaults", &["array"])], 1),
];

/// Collects the operands of a case in its document and its event.
#[derive(Debug, Default)]
struct Operands {
    document: Document,
    payload: Document,
    count: usize,
}

impl Operands {
    /// An expression with this value: a field, a field of the event, or a literal.
    fn add(&mut self, value: Option<Bson>, random: &mut Random) -> Bson {
        self.count += 1;
        let name = format!("v{}", self.count);
        match (random.below(4), value) {
            (0, Some(value)) => bson!({ "$literal": value }),
            (0, None) => "$$REMOVE".into(),
            (1, value) => {
                self.payload.extend(value.map(|value| (name.clone(), value)));
                format!("$$event.payload.{name}").into()
            }
            (_, value) => {
                self.document.extend(value.map(|value| (name.clone(), value)));
                format!("${name}").into()
            }
        }
    }

    fn case(self, expression: Bson, operator: &str, types: String) -> Case {
        let stage = doc! { "$set": { "r": expression } };
        Case {
            before: Some(self.document),
            update: Update::Pipeline(vec![stage.into()]),
            payload: self.payload,
            operator: operator.to_owned(),
            types,
        }
    }
}

/// Each operator of lists with all types, or all pairs of types.
pub(crate) fn pairs(random: &mut Random) -> Vec<Case> {
    let types = types();
    let mut cases = Vec::new();
    for (operator, min, max, _) in LISTS.iter().filter(|(name, ..)| *name != "$getField") {
        let (min, max) = (*min, *max);
        for (one, values) in &types {
            for (other, _) in if max > 1 { types.as_slice() } else { &types[..1] } {
                let mut operands = Operands::default();
                let count = if max > 2 { 2.max(min) } else { max };
                let mut arguments = vec![operands.add(random.pick(values).clone(), random)];
                let types = if max > 1 { format!("{one}, {other}") } else { (*one).to_owned() };
                if max > 1 {
                    arguments.push(operands.add(of(random, &[*other]), random));
                    arguments.extend((2..count).map(|_| Bson::Int32(1)));
                }
                cases.push(operands.case(sorted(operator, bson!({ *operator: arguments })), operator, types));
            }
            for value in values.iter().filter(|_| max == 1) {
                let mut operands = Operands::default();
                let argument = operands.add(value.clone(), random);
                cases.push(operands.case(bson!({ *operator: [argument] }), operator, (*one).to_owned()));
            }
        }
    }
    cases
}

/// The server leaves the order of these sets open.
fn sorted(operator: &str, expression: Bson) -> Bson {
    match operator {
        "$setUnion" | "$setIntersection" => bson!({ "$sortArray": { "input": expression, "sortBy": 1 } }),
        _ => expression,
    }
}

fn value(random: &mut Random, wanted: &[&str]) -> Option<Bson> {
    let words = |random: &mut Random, all: &[&str]| Some(Bson::from(*random.pick(all)));
    match wanted {
        _ if random.percent(12) => any(random),
        ["unit"] => words(
            random,
            &[
                "year",
                "quarter",
                "month",
                "week",
                "day",
                "hour",
                "minute",
                "second",
                "millisecond",
                "century",
            ],
        ),
        ["day"] => words(random, &["monday", "Sun", "thursday", "x"]),
        ["kind"] => words(
            random,
            &["int", "long", "double", "string", "bool", "date", "decimal", "objectId", "array"],
        ),
        ["name"] => words(random, &["a", "b", "c", "a.b", "$a"]),
        ["format"] => words(random, &["%Y-%m-%d", "%H:%M:%S.%L %j %w %u %U %V %G %z %Z %%", "x", "%Q"]),
        ["small"] => Some(Bson::Int32(i32::try_from(random.below(40)).unwrap() - 12)),
        other if other.len() > 1 => {
            let one = *random.pick(other);
            value(random, &[one])
        }
        other => of(random, other),
    }
}

/// A random case.
pub(crate) fn random(random: &mut Random) -> Case {
    let mut operands = Operands::default();
    let (operator, expression) = expression(&mut operands, random, 2);
    operands.case(expression, &operator, "random".to_owned())
}

fn argument(operands: &mut Operands, random: &mut Random, wanted: &[&str], depth: usize) -> Bson {
    if depth > 0 && random.percent(20) {
        return expression(operands, random, depth - 1).1;
    }
    let value = value(random, wanted);
    operands.add(value, random)
}

fn expression(operands: &mut Operands, random: &mut Random, depth: usize) -> (String, Bson) {
    match random.below(10) {
        0..=4 => {
            let (name, min, max, wanted) = *random.pick(&LISTS);
            let count = min + random.below(max - min + 1);
            let arguments: Vec<Bson> = (0..count)
                .map(|i| {
                    argument(operands, random, wanted.get(i).unwrap_or(&wanted[wanted.len() - 1]), depth)
                })
                .collect();
            let expression = match name {
                "$getField" => bson!({ "$getField": { "field": "b", "input": arguments[0].clone() } }),
                _ => bson!({ name: arguments }),
            };
            (name.to_owned(), sorted(name, expression))
        }
        5..=7 => {
            let (name, wanted, required) = *random.pick(&NAMED);
            let mut arguments = Document::new();
            for (i, (argument_name, wanted)) in wanted.iter().enumerate() {
                if i < required || random.percent(50) {
                    let made = match *argument_name {
                        "useLongestLength" if random.percent(90) => Bson::Boolean(random.percent(50)),
                        "field" | "useLongestLength" => {
                            value(random, wanted).map_or(Bson::Null, |value| bson!({ "$literal": value }))
                        }
                        "inputs" | "defaults" => Bson::Array(
                            (0..random.below(4))
                                .map(|_| argument(operands, random, &["array"], depth))
                                .collect(),
                        ),
                        _ => argument(operands, random, wanted, depth),
                    };
                    arguments.insert(*argument_name, made);
                }
            }
            (name.to_owned(), bson!({ name: arguments }))
        }
        _ => form(operands, random, depth),
    }
}

/// Operators with variables, and paths through arrays.
fn form(operands: &mut Operands, random: &mut Random, depth: usize) -> (String, Bson) {
    let input = argument(operands, random, &["array"], depth);
    let other = argument(operands, random, ANY, depth);
    let inner = |random: &mut Random, item: &str| {
        let (one, number) = (other.clone(), i32::try_from(random.below(3)).unwrap());
        match random.below(6) {
            0 => bson!({ "$eq": [item, one] }),
            1 => bson!({ "$add": [item, number] }),
            2 => bson!({ "$gt": [format!("{item}.b"), number] }),
            3 => bson!([item, { "x": item, "y": format!("{item}.b") }]),
            4 => bson!({ "$cond": [{ "$isNumber": item }, { "$multiply": [item, 2] }, one] }),
            _ => format!("{item}.b").into(),
        }
    };
    let (name, expression) = match random.below(8) {
        0 => ("$map", bson!({ "$map": { "input": input, "in": inner(random, "$$this") } })),
        1 => ("$map", bson!({ "$map": { "input": input, "as": "it", "in": inner(random, "$$it") } })),
        2 => ("$filter", bson!({ "$filter": { "input": input, "cond": inner(random, "$$this") } })),
        3 => {
            let step = match random.below(3) {
                0 => bson!({ "$concatArrays": ["$$value", ["$$this"]] }),
                1 => bson!({ "$add": ["$$value", "$$this"] }),
                _ => bson!({ "$cond": [{ "$gt": ["$$this", "$$value"] }, "$$this", "$$value"] }),
            };
            let initial = random.pick(&[bson!([]), bson!(0), bson!(null)]).clone();
            ("$reduce", bson!({ "$reduce": { "input": input, "initialValue": initial, "in": step } }))
        }
        4 => ("$let", {
            let body = inner(random, "$$y");
            bson!({ "$let": { "vars": { "x": input, "y": other.clone() }, "in": ["$$x.b", body] } })
        }),
        5 => {
            let by = random
                .pick(&[bson!(1), bson!(-1), bson!({ "b": 1 }), bson!({ "b.c": -1, "c": 1 }), bson!(2)])
                .clone();
            ("$sortArray", bson!({ "$sortArray": { "input": input, "sortBy": by } }))
        }
        6 => {
            let branches = bson!([{ "case": inner(random, "$$event.number"), "then": input }]);
            ("$switch", bson!({ "$switch": { "branches": branches, "default": other.clone() } }))
        }
        _ => {
            operands.document.extend(of(random, &["array", "object"]).map(|value| ("w".to_owned(), value)));
            ("path", bson!(["$w.b", "$w.b.c", "$w.0", "$$event.type", "$$stream.key", { "x": "$w.b.c.d" }]))
        }
    };
    (name.to_owned(), expression)
}
