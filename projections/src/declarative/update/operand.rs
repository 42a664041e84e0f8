//! Operands of update operators: values in which strings such as `$$event.payload.x` are variables.

use bson::Bson;

use crate::declarative::compile::{Compiled, Compiler};
use crate::declarative::error::CompileError;
use crate::declarative::expression::{Base, Expression};

/// Compiles an operand.
pub(super) fn operand(value: &Bson, at: &str) -> Compiled {
    match value {
        Bson::String(text) => match text.strip_prefix("$$") {
            Some(variable) => match Compiler::default().variable(variable, at)? {
                found @ Expression::Path(Base::Event | Base::Stream, _) => Ok(found),
                _ => Err(CompileError::new(
                    at,
                    format!("`{text}` is for pipelines; here are `$$event` and `$$stream`"),
                )),
            },
            None => Ok(Expression::Constant(Some(value.clone()))),
        },
        Bson::Array(items) => {
            let items = items.iter().enumerate().map(|(i, item)| operand(item, &format!("{at}[{i}]")));
            items.collect::<Result<Vec<_>, _>>().map(|items| kept(Expression::Array(items), value))
        }
        Bson::Document(members) => {
            if let (1, Some(literal)) = (members.len(), members.get("$literal")) {
                return Ok(Expression::Constant(Some(literal.clone())));
            }
            let members = members.iter().map(|(name, value)| {
                let at = format!("{at}.{name}");
                if name.starts_with('$') {
                    let problem =
                        format!("`{name}` isn't for values; write {{ \"$literal\": … }} if it is meant so");
                    return Err(CompileError::new(&at, problem));
                }
                Ok((name.clone(), operand(value, &at)?))
            });
            members.collect::<Result<Vec<_>, _>>().map(|members| kept(Expression::Document(members), value))
        }
        other => Ok(Expression::Constant(Some(other.clone()))),
    }
}

/// The value itself, if there is no variable in it. (With a literal in it, it isn't the value as written.)
fn kept(compiled: Expression, value: &Bson) -> Expression {
    if compiled.is_constant() && !has_literal(value) {
        Expression::Constant(Some(value.clone()))
    } else {
        compiled
    }
}

fn has_literal(value: &Bson) -> bool {
    match value {
        Bson::Document(members) => {
            members.iter().any(|(name, value)| name == "$literal" || has_literal(value))
        }
        Bson::Array(items) => items.iter().any(has_literal),
        _ => false,
    }
}
