//! Evaluation of expressions.

use std::borrow::Cow;

use bson::{Bson, Document};

use super::error::{ApplyError, Fault, wrong};
use super::expression::{Base, Expression};
use super::function::Function;
use super::functions::convert;
use super::number::Number;
use super::path::{in_members, in_value, of_value};
use super::scope::{Frame, Gaps, Scope};
use super::value::{Args, Value, expected, is_nullish, is_true};

type Evaluated<'a> = Result<Value<'a>, ApplyError>;

impl Expression {
    /// The value of the expression.
    ///
    /// # Errors
    /// [`ApplyError`] of the operator that failed.
    pub(super) fn evaluate<'a>(&'a self, scope: &Scope<'a>) -> Evaluated<'a> {
        match self {
            Self::Constant(value) => Ok(value.as_ref().map(Cow::Borrowed)),
            Self::Path(base, path) => Ok(lookup(*base, path, scope)),
            Self::Document(members) => {
                let mut document = Document::new();
                for (name, value) in members {
                    match (value.evaluate(scope)?, scope.gaps) {
                        (Some(value), _) => drop(document.insert(name.as_str(), value.into_owned())),
                        (None, Some(gaps)) => gaps.leave(name),
                        (None, None) => {}
                    }
                }
                Ok(owned(Bson::Document(document)))
            }
            Self::Array(parts) => {
                let values = parts.iter().map(|part| part.evaluate(scope).map(or_null));
                values.collect::<Result<Vec<_>, _>>().map(|values| owned(Bson::Array(values)))
            }
            Self::Call(function, parts, given) => call(function, parts, *given, scope),
            Self::And(parts) => is_any(parts, false, scope).map(|found| owned(Bson::Boolean(!found))),
            Self::Or(parts) => is_any(parts, true, scope).map(|found| owned(Bson::Boolean(found))),
            Self::IfNull(parts) => {
                let mut value = None;
                for part in parts {
                    value = part.evaluate(scope)?;
                    if !is_nullish(value.as_deref()) {
                        break;
                    }
                }
                Ok(value)
            }
            Self::Switch(branches, default) => {
                for (condition, then) in branches {
                    if is_true(condition.evaluate(scope)?.as_deref()) {
                        return then.evaluate(scope);
                    }
                }
                match default {
                    Some(default) => default.evaluate(scope),
                    None => {
                        Err(Fault::Wrong("no branch is true, and there is no default".to_owned())
                            .of("$switch"))
                    }
                }
            }
            Self::Let(values, body) => {
                let values =
                    values.iter().map(|value| value.evaluate(scope)).collect::<Result<Vec<_>, _>>()?;
                with(&values, body, scope)
            }
            Self::Map(parts) => map(parts, scope),
            Self::Filter(parts, limit) => filter(parts, limit.as_deref(), scope),
            Self::Reduce(parts) => reduce(parts, scope),
            Self::Convert { input, on_error, on_null } => {
                let [input, to] = input.as_ref();
                let (input, to) = (input.evaluate(scope)?, to.evaluate(scope)?);
                let instead =
                    |other: &'a Option<Box<Self>>| other.as_ref().map(|other| other.evaluate(scope));
                let to_what = to.as_deref();
                if !is_nullish(to_what) && !convert::is_kind(to_what) {
                    return Err(Fault::Wrong("`to` is no type".to_owned()).of("$convert"));
                }
                if is_nullish(input.as_deref()) {
                    return instead(on_null).unwrap_or(Ok(owned(Bson::Null)));
                }
                match convert::convert(input.as_deref(), to.as_deref()) {
                    Err(Fault::Wrong(reason)) => {
                        let is_kind = is_nullish(to.as_deref()) || convert::is_kind(to.as_deref());
                        let failed = || Err(Fault::Wrong(reason).of("$convert"));
                        if is_kind { instead(on_error).unwrap_or_else(failed) } else { failed() }
                    }
                    Err(refused) => Err(refused.of("$convert")),
                    Ok(value) => Ok(value.map(Cow::Owned)),
                }
            }
        }
    }
}

/// Evaluates the arguments and calls a function. Few arguments need no memory of their own.
fn call<'a>(function: &Function, parts: &'a [Expression], given: u32, scope: &Scope<'a>) -> Evaluated<'a> {
    if function.name == "$zip"
        && let Some(Expression::Array(defaults)) = parts.get(2)
    {
        // The server then gives fewer items.
        for default in defaults {
            if default.evaluate(scope).is_ok_and(|value| value.is_none()) {
                return Err(Fault::Refused("one of its defaults is missing".to_owned()).of(function.name));
            }
        }
    }
    let argument = |at: usize, part: &'a Expression| argument(at, part, scope, function.name);
    match parts {
        [one] => with_arguments(function, &[argument(0, one)?], given, scope),
        [one, other] => with_arguments(function, &[argument(0, one)?, argument(1, other)?], given, scope),
        parts => {
            let values = parts.iter().enumerate().map(|(at, part)| argument(at, part));
            with_arguments(function, &values.collect::<Result<Vec<_>, _>>()?, given, scope)
        }
    }
}

fn with_arguments<'a>(
    function: &Function,
    values: &[Value<'_>],
    given: u32,
    scope: &Scope<'a>,
) -> Evaluated<'a> {
    let failed = |fault: Fault| fault.of(function.name);
    if let (Some(gaps), "$setField" | "$unsetField") = (scope.gaps, function.name) {
        note_gap(values, gaps).map_err(failed)?;
    }
    (function.call)(&Args::new(values, given)).map(|value| value.map(Cow::Owned)).map_err(failed)
}

/// The value of one argument. The server may not evaluate one behind another that decides alone: where such
/// a one fails, nobody knows.
fn argument<'a>(at: usize, part: &'a Expression, scope: &Scope<'a>, name: &str) -> Evaluated<'a> {
    part.evaluate(scope).map_err(|error| match error {
        ApplyError::Wrong { .. } if at > 0 || matches!(part, Expression::Array(_)) => {
            let reason = format!("it fails, or doesn't need this argument, which fails: {error}");
            Fault::Refused(reason).of(name)
        }
        error => error,
    })
}

/// A field that is taken out of an object keeps its place there, as one that a stage removes.
fn note_gap(values: &[Value<'_>], gaps: &Gaps) -> Result<(), Fault> {
    let [Some(name), input, value @ ..] = values else { return Ok(()) };
    let Bson::String(name) = name.as_ref() else { return Ok(()) };
    if !matches!(value, [Some(_)]) {
        gaps.leave(name);
    } else if input.as_deref().and_then(Bson::as_document).is_some_and(|input| !input.contains_key(name)) {
        gaps.check(name)?;
    }
    Ok(())
}

fn owned<'a>(value: Bson) -> Value<'a> {
    Some(Cow::Owned(value))
}

fn or_null(value: Value<'_>) -> Bson {
    value.map_or(Bson::Null, Cow::into_owned)
}

fn lookup<'a>(base: Base, path: &[String], scope: &Scope<'a>) -> Value<'a> {
    match base {
        Base::Root => in_members(scope.root?, path),
        Base::Event => scope.bound.event(path),
        Base::Stream => scope.bound.stream(path),
        Base::Local(outwards, at) => {
            let value = scope.local(outwards, at)?;
            match value {
                Some(value) => in_value(value, path),
                None => of_value(&None, path),
            }
        }
    }
}

/// Whether one of them is `wanted`, evaluated in order up to it.
fn is_any(parts: &[Expression], wanted: bool, scope: &Scope<'_>) -> Result<bool, ApplyError> {
    for part in parts {
        if is_true(part.evaluate(scope)?.as_deref()) == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Evaluates with more variables. What they hold is gone afterwards, so the value is copied.
fn with<'a>(values: &[Value<'_>], body: &Expression, scope: &Scope<'_>) -> Evaluated<'a> {
    let frame = Frame { values, outer: scope.frame };
    let inner = Scope { frame: Some(&frame), ..*scope };
    body.evaluate(&inner).map(|value| value.map(|value| Cow::Owned(value.into_owned())))
}

fn map<'a>(parts: &'a [Expression; 2], scope: &Scope<'a>) -> Evaluated<'a> {
    let [input, body] = parts;
    let input = input.evaluate(scope)?;
    let Some(items) = items(&input).map_err(|fault| fault.of("$map"))? else { return Ok(owned(Bson::Null)) };
    let values = items.iter().map(|item| with(&[Some(Cow::Borrowed(item))], body, scope).map(or_null));
    values.collect::<Result<Vec<_>, _>>().map(|values| owned(Bson::Array(values)))
}

fn filter<'a>(parts: &'a [Expression; 2], limit: Option<&'a Expression>, scope: &Scope<'a>) -> Evaluated<'a> {
    let failed = |fault: Fault| fault.of("$filter");
    let [input, condition] = parts;
    let input = input.evaluate(scope)?;
    let Some(items) = items(&input).map_err(failed)? else { return Ok(owned(Bson::Null)) };
    let mut most = usize::MAX;
    if let Some(limit) = limit {
        let limit = limit.evaluate(scope)?;
        if !is_nullish(limit.as_deref()) {
            let number = limit.as_deref().and_then(Number::of).and_then(Number::as_int);
            let positive =
                number.filter(|number| *number > 0).and_then(|number| usize::try_from(number).ok());
            most = positive.map_or_else(|| wrong("limit must be a positive int"), Ok).map_err(failed)?;
        }
    }
    let mut kept = Vec::new();
    for item in items {
        if kept.len() == most {
            break;
        }
        if is_true(with(&[Some(Cow::Borrowed(item))], condition, scope)?.as_deref()) {
            kept.push(item.clone());
        }
    }
    Ok(owned(Bson::Array(kept)))
}

fn reduce<'a>(parts: &'a [Expression; 3], scope: &Scope<'a>) -> Evaluated<'a> {
    let [input, initial, body] = parts;
    let input = input.evaluate(scope)?;
    let Some(items) = items(&input).map_err(|fault| fault.of("$reduce"))? else {
        return Ok(owned(Bson::Null));
    };
    let mut value = initial.evaluate(scope)?;
    for item in items {
        value = with(&[value, Some(Cow::Borrowed(item))], body, scope)?;
    }
    Ok(value)
}

/// The items of an array; none if it is null or missing.
fn items<'a>(input: &'a Value<'_>) -> Result<Option<&'a [Bson]>, Fault> {
    match input.as_deref() {
        Some(Bson::Array(items)) => Ok(Some(items)),
        other if is_nullish(other) => Ok(None),
        other => expected("an array", other),
    }
}
