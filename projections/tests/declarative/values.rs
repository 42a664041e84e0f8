//! Values of all types, with those at the edges.

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Decimal128, Document, Timestamp, bson, doc};

use crate::random::Random;

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse::<Decimal128>().unwrap())
}

fn date(millis: i64) -> Bson {
    Bson::DateTime(DateTime::from_millis(millis))
}

/// The types, each with its values; missing has none.
pub(crate) fn types() -> Vec<(&'static str, Vec<Option<Bson>>)> {
    let some = |values: Vec<Bson>| values.into_iter().map(Some).collect::<Vec<_>>();
    vec![
        ("missing", vec![None]),
        ("null", some(vec![Bson::Null])),
        ("int", some([0, 1, -1, 2, 3, 7, 10, 255, i32::MAX, i32::MIN].map(Bson::Int32).to_vec())),
        (
            "long",
            some(
                [0, 1, -1, 2, 5, 1 << 31, 1 << 53, (1 << 53) + 1, i64::MAX, i64::MIN]
                    .map(Bson::Int64)
                    .to_vec(),
            ),
        ),
        (
            "double",
            some(
                [
                    0.0,
                    -0.0,
                    1.0,
                    -1.0,
                    0.5,
                    1.5,
                    2.5,
                    -2.5,
                    0.1,
                    3.0,
                    1e10,
                    2_147_483_648.0,
                    9.3e18,
                    1e300,
                    5e-324,
                ]
                .map(Bson::Double)
                .to_vec(),
            ),
        ),
        ("infinite", some([f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(Bson::Double).to_vec())),
        (
            "decimal",
            some(
                ["0", "1", "1.0", "-2.50", "0.1", "1E+3", "12345678901234567890", "NaN", "-0", "Infinity"]
                    .map(decimal)
                    .to_vec(),
            ),
        ),
        (
            "string",
            some(
                [
                    "",
                    "a",
                    "b",
                    "abc",
                    "aXbXc",
                    " padded\t",
                    "12",
                    "-7",
                    "1.5",
                    "ÄÖü",
                    "𝄞clef",
                    "true",
                    "$a",
                    "9999999999",
                    "a.b",
                ]
                .map(Bson::from)
                .to_vec(),
            ),
        ),
        ("bool", some(vec![Bson::Boolean(true), Bson::Boolean(false)])),
        (
            "date",
            some(
                [
                    0,
                    -1,
                    -86_400_001,
                    951_827_696_789,
                    1_709_210_096_001,
                    -62_135_596_800_000,
                    253_402_300_799_999,
                    1_735_603_200_000,
                ]
                .map(date)
                .to_vec(),
            ),
        ),
        (
            "array",
            some(vec![
                bson!([]),
                bson!([1, 2, 3]),
                bson!([3, 1.0, 1, "a", null, 2_i64]),
                bson!([[1], [2, [3]]]),
                bson!([{ "b": 1 }, { "b": 2, "c": 1 }, 5, [{ "b": 3 }]]),
                bson!([["k", 1], ["l", 2]]),
                bson!([{ "k": "x", "v": 1 }, { "k": "y", "v": null }]),
                bson!(["a", "b", "a"]),
                bson!([true, false]),
                bson!([null]),
            ]),
        ),
        (
            "object",
            some(vec![
                bson!({}),
                bson!({ "b": 1 }),
                bson!({ "b": { "c": [1, { "d": 2 }] }, "a": null }),
                bson!({ "b": [1, 2], "c": "x" }),
                bson!({ "c": 1, "b": 1 }),
            ]),
        ),
        (
            "other",
            some(vec![
                Bson::ObjectId(ObjectId::from_bytes([7; 12])),
                Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2] }),
                Bson::Timestamp(Timestamp { time: 1_700_000_000, increment: 3 }),
                Bson::MinKey,
                Bson::MaxKey,
                Bson::RegularExpression(bson::Regex {
                    pattern: "a".try_into().unwrap(),
                    options: "i".try_into().unwrap(),
                }),
                Bson::JavaScriptCode("f()".to_owned()),
            ]),
        ),
    ]
}

/// A value of any type.
pub(crate) fn any(random: &mut Random) -> Option<Bson> {
    let types = types();
    let (_, values) = random.pick(&types);
    random.pick(values).clone()
}

/// A value of one of these types.
pub(crate) fn of(random: &mut Random, wanted: &[&str]) -> Option<Bson> {
    let wanted = random.pick(wanted);
    let types = types();
    let (_, values) = types.iter().find(|(name, _)| name == wanted).unwrap();
    random.pick(values).clone()
}

/// A value that can be stored as it is, wherever it stands.
pub(crate) fn some(random: &mut Random) -> Bson {
    any(random).unwrap_or(Bson::Int32(4))
}

/// A document with the fields a, b, c, some of them missing, and with nesting.
pub(crate) fn document(random: &mut Random) -> Document {
    let mut document = Document::new();
    for name in ["c", "a", "b", "d"] {
        let value = match random.below(5) {
            0 => Some(nested(random, 3)),
            1 | 2 if name == "a" => of(random, &["array"]),
            1 | 2 => of(random, &["array", "object"]),
            3 if name == "b" => of(random, &["object"]),
            _ => any(random),
        };
        if let Some(value) = value {
            document.insert(name, value);
        }
    }
    document
}

fn nested(random: &mut Random, depth: usize) -> Bson {
    let inner = |random: &mut Random| if depth == 0 { some(random) } else { nested(random, depth - 1) };
    match random.below(3) {
        0 => some(random),
        1 => Bson::Array((0..random.below(4)).map(|_| inner(random)).collect()),
        _ => {
            let mut document = doc! {};
            for name in ["b", "c", "0"] {
                if random.percent(60) {
                    document.insert(name, inner(random));
                }
            }
            Bson::Document(document)
        }
    }
}
