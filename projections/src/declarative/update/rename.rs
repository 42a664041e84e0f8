//! `$rename`: the field is taken from its place before anything else changes.

use bson::{Bson, Document};

use crate::declarative::error::{Fault, wrong};
use crate::declarative::members::Members;

/// Takes the field at a path away; none if it isn't there.
pub(super) fn take(members: &mut dyn Members, path: &[String]) -> Result<Option<Bson>, Fault> {
    check(members, path)?;
    match path {
        [] => Ok(None),
        [name] => Ok(members.remove(name)),
        [name, rest @ ..] => match members.get_mut(name) {
            Some(Bson::Document(within)) => Ok(take_within(within, rest)),
            _ => Ok(None),
        },
    }
}

fn take_within(mut within: &mut Document, path: &[String]) -> Option<Bson> {
    let (last, above) = path.split_last()?;
    for name in above {
        match within.get_mut(name) {
            Some(Bson::Document(inner)) => within = inner,
            _ => return None,
        }
    }
    within.remove(last)
}

fn check(members: &dyn Members, path: &[String]) -> Result<(), Fault> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    let Some(mut value) = members.get(first) else { return Ok(()) };
    let mut is_in_array = false;
    for name in rest {
        let next = match value {
            Bson::Document(inner) => inner.get(name),
            Bson::Array(items) => {
                is_in_array = true;
                let Ok(number) = name.parse::<u32>() else { return wrong("the path leads through an array") };
                usize::try_from(number).ok().and_then(|at| items.get(at))
            }
            _ => return wrong("the path leads through a value without fields"),
        };
        match next {
            Some(next) => value = next,
            None => return Ok(()),
        }
    }
    if is_in_array { wrong("an item of an array can't be renamed") } else { Ok(()) }
}
