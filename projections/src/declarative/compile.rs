//! From a BSON value to an expression: names resolved, arguments counted, constants folded.

use bson::{Bson, Document};

use super::error::CompileError;
use super::expression::{Base, Expression};
use super::function::{FORMS, Function, Takes};
use super::functions::{find, names};
use super::nearest::nearest;
use super::path;
use super::scope::{Bound, Scope};
use super::sorting::Sort;

pub(super) type Compiled<T = Expression> = Result<T, CompileError>;

/// Compiles expressions, and knows the variables around them.
#[derive(Debug, Default)]
pub(super) struct Compiler {
    frames: Vec<Vec<String>>,
}

/// Operators and variables that depend on the clock, on chance or on the server.
const REFUSED: [(&str, &str); 22] = [
    ("$rand", "it is random"),
    ("$sampleRate", "it is random"),
    ("$currentDate", "it depends on the clock; take `$$event.timestamp`"),
    ("$function", "it runs JavaScript"),
    ("$accumulator", "it runs JavaScript"),
    ("$where", "it runs JavaScript"),
    ("$meta", "it depends on the query"),
    ("$tsIncrement", "timestamps are made by the server"),
    ("$tsSecond", "timestamps are made by the server"),
    ("$toHashedIndexKey", "it depends on the server"),
    ("$exp", "the last digits depend on the machine"),
    ("$ln", "the last digits depend on the machine"),
    ("$log", "the last digits depend on the machine"),
    ("$log10", "the last digits depend on the machine"),
    ("$pow", "the last digits depend on the machine"),
    ("$regexMatch", "the server's regular expressions aren't those of any Rust library"),
    ("$regexFind", "the server's regular expressions aren't those of any Rust library"),
    ("$regexFindAll", "the server's regular expressions aren't those of any Rust library"),
    ("$strcasecmp", "it isn't supported yet"),
    ("$dateFromString", "it depends on the server's parser of dates"),
    ("$bit", "it isn't supported yet"),
    ("$bsonSize", "it isn't supported yet"),
];

/// Variables of the server.
const VARIABLES: [(&str, &str); 9] = [
    ("NOW", "it depends on the clock; take `$$event.timestamp`"),
    ("CLUSTER_TIME", "it depends on the server"),
    ("JS_SCOPE", "it depends on the server"),
    ("IS_MR", "it depends on the server"),
    ("SEARCH_META", "it depends on the server"),
    ("USER_ROLES", "it depends on the server"),
    ("DESCEND", "it is for $redact"),
    ("PRUNE", "it is for $redact"),
    ("KEEP", "it is for $redact"),
];

impl Compiler {
    /// Compiles one value.
    ///
    /// # Errors
    /// [`CompileError`] at the part that is wrong.
    pub(super) fn expression(&mut self, value: &Bson, at: &str) -> Compiled {
        match value {
            Bson::String(text) => match text.strip_prefix("$$") {
                Some(variable) => self.variable(variable, at),
                None => match text.strip_prefix('$') {
                    Some(path) => field_path(Base::Root, path, at),
                    None => Ok(Expression::Constant(Some(value.clone()))),
                },
            },
            Bson::Array(items) => {
                let items =
                    items.iter().enumerate().map(|(i, item)| self.expression(item, &format!("{at}[{i}]")));
                items.collect::<Result<_, _>>().map(Expression::Array)
            }
            Bson::Document(members) => match single_operator(members, at)? {
                Some((name, argument)) => {
                    let at = format!("{at}.{name}");
                    let compiled = self.operator(name, argument, &at)?;
                    fold(compiled, &at)
                }
                None => self.members(members, at).map(Expression::Document),
            },
            other => Ok(Expression::Constant(Some(other.clone()))),
        }
    }

    fn members(&mut self, members: &Document, at: &str) -> Compiled<Vec<(String, Expression)>> {
        let mut compiled = Vec::new();
        for (name, value) in members {
            let at = format!("{at}.{name}");
            path::check_name(name).map_err(|problem| CompileError::new(&at, problem))?;
            if name.contains('.') {
                return Err(CompileError::new(&at, "the name of a member has a dot; take nested objects"));
            }
            compiled.push((name.clone(), self.expression(value, &at)?));
        }
        Ok(compiled)
    }

    /// A variable with its path, without the two `$`.
    pub(super) fn variable(&self, text: &str, at: &str) -> Compiled {
        let (name, path) = text.split_once('.').map_or((text, None), |(name, path)| (name, Some(path)));
        let base = match name {
            "ROOT" | "CURRENT" => Base::Root,
            "REMOVE" if path.is_none() => return Ok(Expression::Constant(None)),
            "event" => Base::Event,
            "stream" => Base::Stream,
            _ => match self.local(name) {
                Some(base) => base,
                None => return Err(self.unknown_variable(name, at)),
            },
        };
        let known: &[&str] = match base {
            Base::Event => &["payload", "headers", "type", "number", "timestamp"],
            Base::Stream => &["key", "name"],
            Base::Root | Base::Local(..) => &[],
        };
        let first = path.map(|path| path.split('.').next().unwrap_or(path));
        if let Some(first) = first.filter(|first| !known.is_empty() && !known.contains(first)) {
            let meant = nearest(first, known.iter().copied()).map(|meant| format!("$${name}.{meant}"));
            let problem = format!("`$${name}` has {}, and no `{first}`", known.join(", "));
            return Err(CompileError { meant, ..CompileError::new(at, problem) });
        }
        match path {
            Some(path) => field_path(base, path, at),
            None => Ok(Expression::Path(base, Vec::new())),
        }
    }

    fn local(&self, name: &str) -> Option<Base> {
        let mut frames = self.frames.iter().rev().enumerate();
        frames.find_map(|(outwards, frame)| {
            frame.iter().position(|own| own == name).map(|place| Base::Local(outwards, place))
        })
    }

    fn unknown_variable(&self, name: &str, at: &str) -> CompileError {
        if let Some((_, why)) = VARIABLES.iter().find(|(refused, _)| *refused == name) {
            return CompileError::new(at, format!("`$${name}` is refused: {why}"));
        }
        let known = ["event", "stream", "ROOT", "CURRENT", "REMOVE"].into_iter();
        let known = known.chain(self.frames.iter().flatten().map(String::as_str));
        let meant = nearest(name, known).map(|name| format!("$${name}"));
        CompileError { meant, ..CompileError::new(at, format!("there is no variable `$${name}`")) }
    }

    /// Compiles with more variables.
    pub(super) fn within<T>(&mut self, names: Vec<String>, compile: impl FnOnce(&mut Self) -> T) -> T {
        self.frames.push(names);
        let compiled = compile(self);
        self.frames.pop();
        compiled
    }

    fn operator(&mut self, name: &str, argument: &Bson, at: &str) -> Compiled {
        if let Some(form) = self.form(name, argument, at) {
            return form;
        }
        match find(name) {
            Some(function) => self.call(function, argument, at),
            None => Err(unknown_operator(name, at, names().chain(FORMS), "an operator")),
        }
    }

    fn call(&mut self, function: &'static Function, argument: &Bson, at: &str) -> Compiled {
        match function.takes {
            Takes::List(min, max) => {
                let single = std::slice::from_ref(argument);
                let list = if let Bson::Array(items) = argument { items.as_slice() } else { single };
                if !(min..=max).contains(&list.len()) {
                    let wanted = if min == max { min.to_string() } else { format!("{min} to {max}") };
                    let problem = format!("{} takes {wanted} arguments, not {}", function.name, list.len());
                    return Err(CompileError::new(at, problem));
                }
                let parts =
                    list.iter().enumerate().map(|(i, part)| self.expression(part, &format!("{at}[{i}]")));
                Ok(Expression::Call(function, parts.collect::<Result<_, _>>()?, u32::MAX))
            }
            Takes::Named(required, optional) => self.named(function, argument, (required, optional), at),
            Takes::Date => match argument {
                Bson::Document(members) if !members.keys().any(|name| name.starts_with('$')) => {
                    self.named(function, argument, (&["date"], &["timezone"]), at)
                }
                Bson::Array(items) if items.len() != 1 => {
                    Err(CompileError::new(at, format!("{} takes one argument", function.name)))
                }
                Bson::Array(items) => {
                    let parts = items.iter().map(|item| self.expression(item, at));
                    Ok(Expression::Call(function, parts.collect::<Result<_, _>>()?, 1))
                }
                other => Ok(Expression::Call(function, vec![self.expression(other, at)?], 1)),
            },
            Takes::Field => {
                let is_short = !matches!(argument, Bson::Document(members) if members.contains_key("field"));
                let compiled = if is_short {
                    let parts =
                        vec![self.expression(argument, at)?, Expression::Path(Base::Root, Vec::new())];
                    Expression::Call(function, parts, 3)
                } else {
                    self.named(function, argument, (&["field", "input"], &[]), at)?
                };
                Ok(compiled)
            }
        }
    }

    fn named(
        &mut self,
        function: &'static Function,
        argument: &Bson,
        (required, optional): (&[&str], &[&str]),
        at: &str,
    ) -> Compiled {
        let members = named_members(argument, required, optional, at)?;
        let (mut parts, mut given) = (Vec::new(), 0);
        for (i, name) in required.iter().chain(optional).enumerate() {
            let Some(value) = members.get(name) else {
                parts.push(Expression::Constant(None));
                continue;
            };
            let part = if *name == "sortBy" {
                let problem = |problem| CompileError::new(&format!("{at}.{name}"), problem);
                Sort::parse(value).map_err(problem)?;
                Expression::Constant(Some(value.clone()))
            } else {
                self.expression(value, &format!("{at}.{name}"))?
            };
            let problem = match (*name, &part, value) {
                ("field", Expression::Constant(Some(Bson::String(_))), _) => None,
                ("field", ..) => Some("it must be a constant string"),
                ("useLongestLength", _, value) if !matches!(value, Bson::Boolean(_)) => {
                    Some("it must be true or false")
                }
                ("inputs", _, Bson::Array(items)) if !items.is_empty() => None,
                ("defaults", _, value) if !matches!(value, Bson::Array(_)) => Some("it must be an array"),
                ("inputs", ..) => Some("it must be an array with at least one item"),
                _ => None,
            };
            if let Some(problem) = problem {
                return Err(CompileError::new(&format!("{at}.{name}"), problem));
            }
            given |= 1 << i;
            parts.push(part);
        }
        let has_defaults = members.get_array("defaults").is_ok_and(|list| !list.is_empty());
        if has_defaults && members.get("useLongestLength") != Some(&Bson::Boolean(true)) {
            return Err(CompileError::new(at, "`defaults` needs `useLongestLength: true`"));
        }
        let count = |name: &str| members.get_array(name).map_or(0, Vec::len);
        if has_defaults && count("defaults") != count("inputs") {
            return Err(CompileError::new(at, "`defaults` and `inputs` differ in length"));
        }
        Ok(Expression::Call(function, parts, given))
    }
}

/// The members of an operator's named arguments, checked against their names.
pub(super) fn named_members<'a>(
    argument: &'a Bson,
    required: &[&str],
    optional: &[&str],
    at: &str,
) -> Compiled<&'a Document> {
    let Bson::Document(members) = argument else {
        let names = required.join("`, `");
        return Err(CompileError::new(at, format!("it takes an object with `{names}`")));
    };
    let known = || required.iter().chain(optional).copied();
    for name in members.keys() {
        if !known().any(|own| own == name) {
            let error = CompileError::new(at, format!("there is no argument `{name}`"));
            return Err(CompileError { meant: nearest(name, known()), ..error });
        }
    }
    match required.iter().find(|name| !members.contains_key(name)) {
        Some(name) => Err(CompileError::new(at, format!("the argument `{name}` is missing"))),
        None => Ok(members),
    }
}

/// The operator of an object, if it is one.
fn single_operator<'a>(members: &'a Document, at: &str) -> Compiled<Option<(&'a String, &'a Bson)>> {
    match members.iter().find(|(name, _)| name.starts_with('$')) {
        Some(found) if members.len() == 1 => Ok(Some(found)),
        Some((name, _)) => {
            let problem = format!("`{name}` must stand alone in its object");
            Err(CompileError::new(at, problem))
        }
        None => Ok(None),
    }
}

/// An operator that isn't known, or is refused by its name.
pub(super) fn unknown_operator<'a>(
    name: &str,
    at: &str,
    known: impl Iterator<Item = &'a str>,
    what: &str,
) -> CompileError {
    match REFUSED.iter().find(|(refused, _)| *refused == name) {
        Some((_, why)) => CompileError::new(at, format!("`{name}` is refused: {why}")),
        None => {
            let error = CompileError::new(at, format!("`{name}` isn't {what} that is known"));
            CompileError { meant: nearest(name, known), ..error }
        }
    }
}

fn field_path(base: Base, text: &str, at: &str) -> Compiled {
    path::parse(text)
        .map(|path| Expression::Path(base, path))
        .map_err(|problem| CompileError::new(at, problem))
}

/// Evaluates what doesn't depend on anything. One that fails would fail for every event, as on the server.
fn fold(expression: Expression, at: &str) -> Compiled {
    if !expression.is_constant() {
        return gather(expression, at);
    }
    let bound = Bound::new(Document::new(), Document::new());
    let scope = Scope { root: None, bound: &bound, frame: None, gaps: None };
    match expression.evaluate(&scope) {
        Ok(value) => Ok(Expression::Constant(value.map(std::borrow::Cow::into_owned))),
        Err(error) => Err(CompileError::new(at, format!("it always fails: {error}"))),
    }
}

/// Operators that the server takes apart from the left.
const FROM_THE_LEFT: [&str; 2] = ["$add", "$multiply"];

/// Sums and products as the server computes them: one that stands first is a part of the one around it, and
/// the constants that stand first become one. That shows in digits that rounding loses.
fn gather(expression: Expression, at: &str) -> Compiled {
    let Expression::Call(function, parts, given) = expression else { return Ok(expression) };
    if !FROM_THE_LEFT.contains(&function.name) {
        return Ok(Expression::Call(function, parts, given));
    }
    let mut all = Vec::with_capacity(parts.len());
    for (i, part) in parts.into_iter().enumerate() {
        match part {
            Expression::Call(own, within, _) if i == 0 && own.name == function.name => all.extend(within),
            part => all.push(part),
        }
    }
    let constants = all.iter().take_while(|part| part.is_constant()).count();
    if constants > 1 {
        let others = all.split_off(constants);
        let one = fold(Expression::Call(function, all, given), at)?;
        all = std::iter::once(one).chain(others).collect();
    }
    Ok(Expression::Call(function, all, given))
}
