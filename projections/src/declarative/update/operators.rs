//! Compilation of an update document: its operators, its paths, what conflicts.

use std::cmp::Ordering;

use bson::{Bson, Document};

use super::change::Change;
use super::condition::Condition;
use super::filters::Filters;
use super::now::Now;
use super::operand::operand;
use super::push::Push;
use super::rename;
use super::tree::{Node, Part};
use super::walk::Walk;
use crate::declarative::compile::{Compiled, unknown_operator};
use crate::declarative::error::{ApplyError, CompileError};
use crate::declarative::members::Members;
use crate::declarative::nearest::nearest;
use crate::declarative::number::Number;
use crate::declarative::path;
use crate::declarative::scope::Bound;
use crate::declarative::sorting::Sort;
use crate::declarative::touched::Touched;

/// A compiled update document.
#[derive(Debug, Clone)]
pub(in crate::declarative) struct Update {
    fields: Vec<(String, Node)>,
    filters: Filters,
    /// The fields that are renamed.
    renamed: Vec<Vec<String>>,
}

pub(in crate::declarative) const NAMES: [&str; 13] = [
    "$set",
    "$unset",
    "$inc",
    "$mul",
    "$min",
    "$max",
    "$rename",
    "$setOnInsert",
    "$push",
    "$addToSet",
    "$pull",
    "$pullAll",
    "$pop",
];

impl Update {
    /// Compiles it.
    pub(in crate::declarative) fn compile(update: &Document, filters: &[Document]) -> Compiled<Self> {
        let filters = Filters::compile(filters)?;
        let (mut root, mut renamed, mut used) = (Node::Fields(Vec::new()), Vec::new(), Vec::new());
        if update.is_empty() {
            return Err(CompileError::new("", "an update needs an operator, such as `$set`"));
        }
        for (name, fields) in update {
            if !NAMES.contains(&name.as_str()) {
                return Err(unknown_operator(name, name, NAMES.into_iter(), "an update operator"));
            }
            let Bson::Document(fields) = fields else {
                return Err(CompileError::new(name, "it takes an object of paths and operands"));
            };
            for (text, value) in fields {
                let at = format!("{name}.{text}");
                let failed = |problem: String| CompileError::new(&at, problem);
                let path = parse(text, &filters, &at)?;
                used.extend(
                    path.iter()
                        .filter_map(|part| if let Part::Items(Some(id)) = part { Some(*id) } else { None }),
                );
                let change = if name == "$rename" {
                    let to = rename_target(text, value, &path).map_err(failed)?;
                    root.add(&path, Node::Taken).map_err(failed)?;
                    renamed.push(path::parse(text).map_err(failed)?);
                    let to = parse(&to, &filters, &at)?;
                    root.add(&to, Node::Change(Change::Rename(renamed.len() - 1), false)).map_err(failed)?;
                    continue;
                } else {
                    change(name, value, &at)?
                };
                let only_new = name == "$setOnInsert";
                if only_new && path.iter().any(|part| matches!(part, Part::Items(_))) {
                    return Err(failed("it is refused: a new document has no items to change".to_owned()));
                }
                root.add(&path, Node::Change(change, only_new)).map_err(failed)?;
            }
        }
        if let Some((_, id)) = filters.ids().enumerate().find(|(number, _)| !used.contains(number)) {
            return Err(CompileError::new("arrayFilters", format!("no path has `$[{id}]`")));
        }
        let fields = if let Node::Fields(fields) = root { fields } else { Vec::new() };
        Ok(Self { fields, filters, renamed })
    }

    /// Adds the fields that it changes.
    pub(in crate::declarative) fn touch(&self, touched: &mut Touched) {
        self.fields.iter().for_each(|(name, _)| touched.read(name));
        self.renamed.iter().filter_map(|path| path.first()).for_each(|name| touched.read(name));
    }

    /// Applies it.
    pub(in crate::declarative) fn apply(
        &self,
        members: &mut dyn Members,
        bound: &Bound<'_>,
        is_new: bool,
    ) -> Result<(), ApplyError> {
        let mut now = Now { bound, is_new, renamed: Vec::new() };
        for path in &self.renamed {
            now.renamed.push(rename::take(members, path).map_err(|fault| fault.of("$rename"))?);
        }
        Walk { filters: &self.filters }.members(&self.fields, members, false, &mut now)
    }
}

/// The parts of a path.
fn parse(text: &str, filters: &Filters, at: &str) -> Compiled<Vec<Part>> {
    let failed = |problem: &str| CompileError::new(at, problem);
    let mut parts = Vec::new();
    for name in text.split('.') {
        let id = name.strip_prefix("$[").and_then(|name| name.strip_suffix(']'));
        parts.push(match id {
            Some("") => Part::Items(None),
            Some(id) => match filters.find(id) {
                Some(number) => Part::Items(Some(number)),
                None => {
                    let error = failed(&format!("no array filter has the identifier `{id}`"));
                    return Err(CompileError { meant: nearest(id, filters.ids()), ..error });
                }
            },
            None if name == "$" => return Err(failed("`$` is refused: no query has found an item")),
            None => {
                path::check_name(name).map_err(|problem| failed(&problem))?;
                let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
                if is_number && (name.len() > 9 || (name.len() > 1 && name.starts_with('0'))) {
                    return Err(failed(&format!(
                        "`{name}` isn't the number of an item: it begins with 0, or is too large"
                    )));
                }
                Part::Name(name.to_owned())
            }
        });
    }
    match parts.first() {
        Some(Part::Name(name)) if name == "_id" => Err(failed("the `_id` is the stream's key, and stays")),
        Some(Part::Items(_)) => Err(failed("a path begins with a name")),
        _ => Ok(parts),
    }
}

fn rename_target(from: &str, to: &Bson, path: &[Part]) -> Result<String, String> {
    let Bson::String(to) = to else { return Err("it takes the new name".to_owned()) };
    let within = |one: &str, other: &str| {
        other.strip_prefix(one).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if within(from, to) || within(to, from) {
        return Err("the new path is the old one, or one lies within the other".to_owned());
    }
    if to.contains("$[") || path.iter().any(|part| matches!(part, Part::Items(_))) {
        return Err("items of arrays can't be renamed".to_owned());
    }
    // The server looks at it in the order of all changes, which may have made the array longer by then.
    let is_place = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    if path.iter().any(|part| matches!(part, Part::Name(name) if is_place(name))) {
        return Err("a path with a number is refused: it may be an item of an array".to_owned());
    }
    Ok(to.clone())
}

fn change(name: &str, value: &Bson, at: &str) -> Compiled<Change> {
    let failed = |problem: &str| CompileError::new(at, problem);
    let is_variable = value.as_str().is_some_and(|text| text.starts_with("$$"));
    let number = || match value {
        value if is_variable || Number::of(value).is_some() => operand(value, at),
        _ => Err(failed("it takes a number")),
    };
    Ok(match name {
        "$set" | "$setOnInsert" => Change::Set(operand(value, at)?),
        "$unset" => Change::Unset,
        "$inc" => Change::Inc(number()?),
        "$mul" => Change::Mul(number()?),
        "$min" => Change::Limit(Ordering::Less, operand(value, at)?),
        "$max" => Change::Limit(Ordering::Greater, operand(value, at)?),
        "$push" => Change::Push(push(value, at)?),
        "$addToSet" => match each(value, &[], at)? {
            Some(modifiers) => {
                let each = modifiers.get("$each").unwrap_or(&Bson::Null);
                Change::AddToSet(operand(each, &format!("{at}.$each"))?, true)
            }
            None => Change::AddToSet(operand(value, at)?, false),
        },
        "$pull" => Change::Pull(Condition::of_pull(value, at)?),
        "$pullAll" => match value {
            Bson::Array(_) => Change::PullAll(operand(value, at)?),
            _ if is_variable => Change::PullAll(operand(value, at)?),
            _ => return Err(failed("it takes an array")),
        },
        "$pop" => match Number::of(value).and_then(Number::as_int) {
            Some(1) => Change::Pop(false),
            Some(-1) => Change::Pop(true),
            _ => return Err(failed("it takes 1 for the last item or -1 for the first")),
        },
        other => return Err(failed(&format!("`{other}` isn't an update operator"))),
    })
}

/// The modifiers, if there is an `$each`.
fn each<'a>(value: &'a Bson, more: &[&str], at: &str) -> Compiled<Option<&'a Document>> {
    let Some(modifiers) = value.as_document().filter(|members| members.contains_key("$each")) else {
        return Ok(None);
    };
    for (name, value) in modifiers {
        let at = format!("{at}.{name}");
        if name != "$each" && !more.contains(&name.as_str()) {
            let known = more.iter().copied().chain(["$each"]);
            let error = CompileError::new(&at, format!("`{name}` isn't known beside `$each`"));
            return Err(CompileError { meant: nearest(name, known), ..error });
        }
        let is_list =
            matches!(value, Bson::Array(_)) || value.as_str().is_some_and(|text| text.starts_with("$$"));
        if name == "$each" && !is_list {
            return Err(CompileError::new(&at, "it takes an array"));
        }
    }
    Ok(Some(modifiers))
}

fn push(value: &Bson, at: &str) -> Compiled<Push> {
    let Some(modifiers) = each(value, &["$slice", "$sort", "$position"], at)? else {
        let operand = operand(value, at)?;
        return Ok(Push { operand, is_each: false, position: None, sort: None, slice: None });
    };
    let whole = |name: &str| match modifiers.get(name) {
        None => Ok(None),
        Some(value) => match Number::of(value).and_then(Number::as_int) {
            Some(number) => Ok(Some(i64::from(number))),
            None => Err(CompileError::new(&format!("{at}.{name}"), "it takes a whole number")),
        },
    };
    let sort = modifiers.get("$sort").map(Sort::parse).transpose();
    Ok(Push {
        operand: operand(modifiers.get("$each").unwrap_or(&Bson::Null), &format!("{at}.$each"))?,
        is_each: true,
        position: whole("$position")?,
        sort: sort.map_err(|problem| CompileError::new(&format!("{at}.$sort"), problem))?,
        slice: whole("$slice")?,
    })
}
