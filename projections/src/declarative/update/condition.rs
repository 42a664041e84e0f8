//! Conditions on items of arrays, in the language of queries: for `$pull` and for array filters.

use bson::{Bson, Document};

use super::now::Now;
use super::operand::operand;
use super::test::{Op, Test};
use crate::declarative::compile::Compiled;
use crate::declarative::error::{ApplyError, CompileError};
use crate::declarative::expression::Expression;
use crate::declarative::nearest::nearest;
use crate::declarative::order::is_equal;
use crate::declarative::path;

/// A condition, its operands not yet evaluated, or so.
#[derive(Debug, Clone)]
pub(super) enum Condition<T = Expression> {
    /// The item equals a value.
    Equal(T),
    /// The item passes tests.
    Item(Vec<Test<T>>),
    /// The item is a document whose field at this path passes tests.
    Field(Vec<String>, Vec<Test<T>>),
    /// The item is a document, and fulfils the condition.
    Document(Box<Self>),
    /// All, any or none.
    All(Vec<Self>),
    Any(Vec<Self>),
    None(Vec<Self>),
}

const TESTS: [&str; 11] =
    ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$not", "$size"];

impl Condition {
    /// The condition of a `$pull`.
    pub(super) fn of_pull(value: &Bson, at: &str) -> Compiled<Self> {
        match value {
            Bson::Document(members) if !members.contains_key("$literal") => {
                if members.contains_key("$not") {
                    return Err(CompileError::new(at, "`$not` must be beside a field"));
                }
                if members.keys().next().is_some_and(|name| TESTS.contains(&name.as_str())) {
                    tests(members, at).map(Self::Item)
                } else {
                    let fields = Self::of_fields(members, at, &|name| Some(name.to_owned()))?;
                    Ok(Self::Document(Box::new(fields)))
                }
            }
            Bson::RegularExpression(_) => Err(CompileError::new(at, "regular expressions are refused")),
            other => operand(other, at).map(Self::Equal),
        }
    }

    /// The condition of an array filter; `strip` takes its identifier from a path.
    pub(super) fn of_fields(
        members: &Document,
        at: &str,
        strip: &dyn Fn(&str) -> Option<String>,
    ) -> Compiled<Self> {
        let mut all = Vec::new();
        for (name, value) in members {
            let at = format!("{at}.{name}");
            let failed = |problem: String| CompileError::new(&at, problem);
            if name.starts_with('$') {
                let parts = || {
                    let items = value.as_array().filter(|items| !items.is_empty());
                    let items = items.ok_or_else(|| failed("it takes an array of conditions".to_owned()))?;
                    let part = |item: &Bson| match item {
                        Bson::Document(members) => Self::of_fields(members, &at, strip),
                        _ => Err(failed("it takes an array of conditions".to_owned())),
                    };
                    items.iter().map(part).collect::<Result<Vec<_>, _>>()
                };
                all.push(match name.as_str() {
                    "$and" => Self::All(parts()?),
                    "$or" => Self::Any(parts()?),
                    "$nor" => Self::None(parts()?),
                    _ => return Err(unknown(name, &at)),
                });
                continue;
            }
            let Some(rest) = strip(name) else {
                return Err(failed("it is of another identifier".to_owned()));
            };
            let path = if rest.is_empty() { Vec::new() } else { path::parse(&rest).map_err(failed)? };
            let tests = match value {
                Bson::Document(members) if members.keys().next().is_some_and(|name| is_test(name)) => {
                    tests(members, &at)?
                }
                Bson::RegularExpression(_) => {
                    return Err(failed("regular expressions are refused".to_owned()));
                }
                other => vec![Test::Compare(Op::Equal, operand(other, &at)?)],
            };
            all.push(Self::Field(path, tests));
        }
        Ok(Self::All(all))
    }

    /// The condition with the values of its operands; none if one is missing.
    pub(super) fn bind(&self, now: &Now<'_>) -> Result<Option<Condition<Bson>>, ApplyError> {
        let tests =
            |tests: &[Test]| tests.iter().map(|test| test.bind(now)).collect::<Result<Option<Vec<_>>, _>>();
        let parts =
            |parts: &[Self]| parts.iter().map(|part| part.bind(now)).collect::<Result<Option<Vec<_>>, _>>();
        Ok(match self {
            Self::Equal(value @ Expression::Constant(_)) => now.value(value)?.map(Condition::Equal),
            Self::Equal(value) => now.value(value)?.map(given),
            Self::Item(own) => tests(own)?.map(Condition::Item),
            Self::Field(path, own) => tests(own)?.map(|tests| Condition::Field(path.clone(), tests)),
            Self::Document(fields) => fields.bind(now)?.map(|fields| Condition::Document(Box::new(fields))),
            Self::All(own) => parts(own)?.map(Condition::All),
            Self::Any(own) => parts(own)?.map(Condition::Any),
            Self::None(own) => parts(own)?.map(Condition::None),
        })
    }
}

/// The condition that a variable holds: a document is one of its fields, as it is where it is written. But no
/// value of an event is an operator: a document with one is compared as a value.
fn given(value: Bson) -> Condition<Bson> {
    let Bson::Document(members) = &value else { return Condition::Equal(value) };
    let field = |(name, value): (&String, &Bson)| {
        let is_operator =
            matches!(value, Bson::Document(within) if within.keys().any(|name| name.starts_with('$')));
        let path = path::parse(name).ok().filter(|_| !is_operator)?;
        Some(Condition::Field(path, vec![Test::Compare(Op::Equal, value.clone())]))
    };
    match members.iter().map(field).collect::<Option<Vec<_>>>() {
        Some(fields) => Condition::Document(Box::new(Condition::All(fields))),
        None => Condition::Equal(value),
    }
}

fn is_test(name: &str) -> bool {
    name.starts_with('$') && name != "$literal"
}

fn unknown(name: &str, at: &str) -> CompileError {
    let problem = format!("`{name}` isn't a condition that is supported");
    let known = TESTS.into_iter().chain(["$and", "$or", "$nor"]);
    CompileError { meant: nearest(name, known), ..CompileError::new(at, problem) }
}

fn tests(members: &Document, at: &str) -> Compiled<Vec<Test>> {
    let test = |(name, value): (&String, &Bson)| {
        let at = format!("{at}.{name}");
        let failed = |problem: &str| CompileError::new(&at, problem);
        let compare = |op| Ok(Test::Compare(op, operand(value, &at)?));
        if matches!(value, Bson::RegularExpression(_) | Bson::MinKey | Bson::MaxKey | Bson::Undefined) {
            return Err(failed("regular expressions, MinKey and MaxKey are refused"));
        }
        match name.as_str() {
            "$eq" => compare(Op::Equal),
            "$ne" => Ok(Test::Not(vec![compare(Op::Equal)?])),
            "$gt" => compare(Op::Greater),
            "$gte" => compare(Op::GreaterOrEqual),
            "$lt" => compare(Op::Less),
            "$lte" => compare(Op::LessOrEqual),
            "$in" | "$nin" => {
                let is_list =
                    matches!(value, Bson::Array(_)) || value.as_str().is_some_and(|it| it.starts_with("$$"));
                if !is_list {
                    return Err(failed("it takes an array"));
                }
                let test = Test::In(operand(value, &at)?);
                Ok(if name == "$in" { test } else { Test::Not(vec![test]) })
            }
            "$exists" => match value {
                Bson::Boolean(wanted) => Ok(Test::Exists(*wanted)),
                _ => Err(failed("it takes true or false")),
            },
            "$size" => match value {
                Bson::Int32(size) if *size >= 0 => Ok(Test::Size(*size)),
                _ => Err(failed("it takes a whole number from 0 on")),
            },
            "$not" => match value {
                Bson::Document(members) if !members.is_empty() => {
                    tests(members, &at).map(|all| Test::Not(vec![Test::All(all)]))
                }
                _ => Err(failed("it takes an object with conditions")),
            },
            other => Err(unknown(other, &at)),
        }
    };
    members.iter().map(test).collect()
}

impl Condition<Bson> {
    /// Whether an item fulfils it.
    pub(super) fn matches(&self, item: &Bson) -> bool {
        match self {
            Self::Equal(value) => is_equal(item, value),
            Self::Item(tests) => passes(item, &[], tests),
            Self::Document(fields) => matches!(item, Bson::Document(_)) && fields.matches(item),
            Self::Field(path, tests) => passes(item, path, tests),
            Self::All(parts) => parts.iter().all(|part| part.matches(item)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(item)),
            Self::None(parts) => !parts.iter().any(|part| part.matches(item)),
        }
    }
}

fn passes(item: &Bson, path: &[String], tests: &[Test<Bson>]) -> bool {
    let mut found = Vec::new();
    collect(item, path, &mut found);
    tests.iter().all(|test| test.is_passed(&found))
}

/// All that a path leads to: an array, and its items; nothing where a document ends.
fn collect<'a>(value: &'a Bson, path: &[String], found: &mut Vec<(Option<&'a Bson>, bool)>) {
    match (path.split_first(), value) {
        (None, value) => {
            found.push((Some(value), false));
            if let Bson::Array(items) = value {
                found.extend(items.iter().map(|item| (Some(item), true)));
            }
        }
        (Some((first, rest)), Bson::Document(document)) => match document.get(first) {
            Some(value) => collect(value, rest, found),
            None => found.push((None, false)),
        },
        (Some((first, rest)), Bson::Array(items)) => {
            items
                .iter()
                .filter(|item| matches!(item, Bson::Document(_)))
                .for_each(|item| collect(item, path, found));
            if let Some(item) = first.parse::<usize>().ok().and_then(|at| items.get(at)) {
                collect(item, rest, found);
            }
        }
        _ => found.push((None, false)),
    }
}
