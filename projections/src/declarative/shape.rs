//! What `$set` and `$project` say about fields: kept, taken away or computed, by dotted or nested names.

use bson::{Bson, Document};

use super::compile::{Compiled, Compiler};
use super::error::CompileError;
use super::fields::{Computed, Projected, Shown};
use super::path;
use super::value::is_true;

/// Whether numbers and booleans are values, or keep and take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Set,
    Project,
}

/// What a stage says.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) computed: Computed,
    pub(super) projected: Projected,
    pub(super) is_exclusion: bool,
    kept: Vec<Vec<String>>,
    taken: Vec<Vec<String>>,
    computed_paths: Vec<Vec<String>>,
}

/// Reads it.
pub(super) fn projection(compiler: &mut Compiler, fields: &Bson, mode: Mode, at: &str) -> Compiled<Shape> {
    let Some(fields) = fields.as_document().filter(|fields| !fields.is_empty()) else {
        return Err(CompileError::new(at, "it takes an object with at least one field"));
    };
    let mut shape = Shape::default();
    read(compiler, fields, mode, &[], at, &mut shape)?;
    if mode == Mode::Project {
        settle(&mut shape).map_err(|problem| CompileError::new(at, problem))?;
    }
    Ok(shape)
}

fn read(
    compiler: &mut Compiler,
    fields: &Document,
    mode: Mode,
    above: &[String],
    at: &str,
    shape: &mut Shape,
) -> Compiled<()> {
    for (name, value) in fields {
        let at = format!("{at}.{name}");
        let failed = |problem: String| CompileError::new(&at, problem);
        let names = path::parse(name).map_err(failed)?;
        if !above.is_empty() && names.len() > 1 {
            return Err(failed("a dotted name in a nested object".to_owned()));
        }
        let path = [above, &names].concat();
        match value {
            Bson::Document(inner) if inner.is_empty() => {
                return Err(failed("an empty object; write `{ \"$literal\": {} }` for the value".to_owned()));
            }
            Bson::Document(inner) if !inner.keys().any(|name| name.starts_with('$')) => {
                read(compiler, inner, mode, &path, &at, shape)?;
            }
            Bson::Boolean(_) | Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_)
                if mode == Mode::Project =>
            {
                if is_true(Some(value)) {
                    shape.computed.reserve(&path);
                }
                let list = if is_true(Some(value)) { &mut shape.kept } else { &mut shape.taken };
                list.push(path);
            }
            value => {
                let expression = compiler.expression(value, &at)?;
                shape.computed.add(&path, expression).map_err(failed)?;
                shape.computed_paths.push(path);
            }
        }
    }
    Ok(())
}

fn settle(shape: &mut Shape) -> Result<(), String> {
    let all = || shape.kept.iter().chain(&shape.taken).chain(&shape.computed_paths);
    for (i, path) in all().enumerate() {
        if all().enumerate().any(|(other, within)| i != other && within.starts_with(path)) {
            return Err("two of its paths are the same, or one lies within the other".to_owned());
        }
    }
    let is_id = |path: &Vec<String>| path.len() == 1 && path.first().is_some_and(|name| name == "_id");
    let keeps = !shape.computed_paths.is_empty() || shape.kept.iter().any(|path| !is_id(path));
    let takes = shape.taken.iter().any(|path| !is_id(path));
    if keeps && takes {
        return Err("it both keeps fields and takes some away".to_owned());
    }
    shape.is_exclusion = !keeps && (takes || !shape.taken.is_empty());
    let (kept, taken) = (std::mem::take(&mut shape.kept), std::mem::take(&mut shape.taken));
    if shape.is_exclusion {
        return taken.iter().try_for_each(|path| shape.projected.add(path, Shown::Is));
    }
    for path in &kept {
        shape.projected.add(path, Shown::Is)?;
    }
    for path in &shape.computed_paths {
        shape.projected.add_parents(path)?;
    }
    // The stream's key stays, whether it is said or not.
    if !shape.projected.has("_id") && !taken.iter().any(is_id) {
        shape.projected.add(&["_id".to_owned()], Shown::Is)?;
    }
    Ok(())
}
