//! Operators that don't evaluate all their arguments, or evaluate them with variables of their own.

use bson::Bson;

use super::compile::{Compiled, Compiler, named_members};
use super::error::CompileError;
use super::expression::Expression;

impl Compiler {
    /// Compiles one of them; none if it is another operator.
    pub(super) fn form(&mut self, name: &str, argument: &Bson, at: &str) -> Option<Compiled> {
        Some(match name {
            "$literal" => Ok(Expression::Constant(Some(argument.clone()))),
            "$expr" => self.expression(argument, at),
            "$and" => self.list(argument, at).map(Expression::And),
            "$or" => self.list(argument, at).map(Expression::Or),
            "$ifNull" => self.if_null(argument, at),
            "$cond" => self.cond(argument, at),
            "$switch" => self.switch(argument, at),
            "$let" => self.variables(argument, at),
            "$map" => self.map(argument, at),
            "$filter" => self.filter(argument, at),
            "$reduce" => self.reduce(argument, at),
            "$convert" => self.convert(argument, at),
            _ => return None,
        })
    }

    fn list(&mut self, argument: &Bson, at: &str) -> Compiled<Vec<Expression>> {
        match argument {
            Bson::Array(items) => {
                let items = items.iter().enumerate();
                items.map(|(i, item)| self.expression(item, &format!("{at}[{i}]"))).collect()
            }
            other => Ok(vec![self.expression(other, at)?]),
        }
    }

    fn if_null(&mut self, argument: &Bson, at: &str) -> Compiled {
        let parts = self.list(argument, at)?;
        if parts.len() < 2 {
            return Err(CompileError::new(at, "$ifNull takes at least 2 arguments"));
        }
        Ok(Expression::IfNull(parts))
    }

    fn cond(&mut self, argument: &Bson, at: &str) -> Compiled {
        let parts = match argument {
            Bson::Array(_) => self.list(argument, at)?,
            _ => {
                let members = named_members(argument, &["if", "then", "else"], &[], at)?;
                let part = |name: &&str| members.get(name).map(|part| (format!("{at}.{name}"), part));
                let parts = ["if", "then", "else"].iter().filter_map(part);
                parts.map(|(at, part)| self.expression(part, &at)).collect::<Result<Vec<_>, _>>()?
            }
        };
        match <[Expression; 3]>::try_from(parts) {
            Ok([condition, then, other]) => {
                Ok(Expression::Switch(vec![(condition, then)], Some(Box::new(other))))
            }
            Err(parts) => Err(CompileError::new(at, format!("$cond takes 3 arguments, not {}", parts.len()))),
        }
    }

    fn switch(&mut self, argument: &Bson, at: &str) -> Compiled {
        let members = named_members(argument, &["branches"], &["default"], at)?;
        let Some(Bson::Array(branches)) =
            members.get("branches").filter(|found| found != &&Bson::Array(vec![]))
        else {
            return Err(CompileError::new(at, "`branches` must be an array with at least one branch"));
        };
        let mut compiled = Vec::new();
        for (i, branch) in branches.iter().enumerate() {
            let at = format!("{at}.branches[{i}]");
            let [case, then] = self.members_of(branch, ["case", "then"], &at)?;
            compiled.push((case, then));
        }
        Ok(Expression::Switch(compiled, self.optional(members.get("default"), &format!("{at}.default"))?))
    }

    fn variables(&mut self, argument: &Bson, at: &str) -> Compiled {
        let members = named_members(argument, &["vars", "in"], &[], at)?;
        let Some(Bson::Document(variables)) = members.get("vars") else {
            return Err(CompileError::new(at, "`vars` must be an object"));
        };
        let mut values = Vec::new();
        for (name, value) in variables {
            let at = format!("{at}.vars.{name}");
            check_variable(name, &at)?;
            values.push(self.expression(value, &at)?);
        }
        let names = variables.keys().cloned().collect();
        let body = self.within(names, |inner| inner.required(members.get("in"), &format!("{at}.in")))?;
        Ok(Expression::Let(values, Box::new(body)))
    }

    fn map(&mut self, argument: &Bson, at: &str) -> Compiled {
        let members = named_members(argument, &["input", "in"], &["as"], at)?;
        let input = self.required(members.get("input"), &format!("{at}.input"))?;
        let name = item_name(members.get("as"), at)?;
        let body = self.within(vec![name], |inner| inner.required(members.get("in"), &format!("{at}.in")))?;
        Ok(Expression::Map(Box::new([input, body])))
    }

    fn filter(&mut self, argument: &Bson, at: &str) -> Compiled {
        let members = named_members(argument, &["input", "cond"], &["as", "limit"], at)?;
        let input = self.required(members.get("input"), &format!("{at}.input"))?;
        let name = item_name(members.get("as"), at)?;
        let body =
            self.within(vec![name], |inner| inner.required(members.get("cond"), &format!("{at}.cond")))?;
        let limit = self.optional(members.get("limit"), &format!("{at}.limit"))?;
        Ok(Expression::Filter(Box::new([input, body]), limit))
    }

    fn reduce(&mut self, argument: &Bson, at: &str) -> Compiled {
        let members = named_members(argument, &["input", "initialValue", "in"], &[], at)?;
        let input = self.required(members.get("input"), &format!("{at}.input"))?;
        let initial = self.required(members.get("initialValue"), &format!("{at}.initialValue"))?;
        let names = ["value", "this"].map(str::to_owned).to_vec();
        let body = self.within(names, |inner| inner.required(members.get("in"), &format!("{at}.in")))?;
        Ok(Expression::Reduce(Box::new([input, initial, body])))
    }

    fn convert(&mut self, argument: &Bson, at: &str) -> Compiled {
        let members = named_members(argument, &["input", "to"], &["onError", "onNull"], at)?;
        Ok(Expression::Convert {
            input: Box::new(self.members_of_document(members, ["input", "to"], at)?),
            on_error: self.optional(members.get("onError"), &format!("{at}.onError"))?,
            on_null: self.optional(members.get("onNull"), &format!("{at}.onNull"))?,
        })
    }

    fn members_of(&mut self, argument: &Bson, names: [&str; 2], at: &str) -> Compiled<[Expression; 2]> {
        let members = named_members(argument, &names, &[], at)?;
        self.members_of_document(members, names, at)
    }

    fn members_of_document(
        &mut self,
        members: &bson::Document,
        [first, second]: [&str; 2],
        at: &str,
    ) -> Compiled<[Expression; 2]> {
        let one = self.required(members.get(first), &format!("{at}.{first}"))?;
        Ok([one, self.required(members.get(second), &format!("{at}.{second}"))?])
    }

    fn required(&mut self, part: Option<&Bson>, at: &str) -> Compiled {
        match part {
            Some(part) => self.expression(part, at),
            None => Err(CompileError::new(at, "it is missing")),
        }
    }

    fn optional(&mut self, part: Option<&Bson>, at: &str) -> Compiled<Option<Box<Expression>>> {
        part.map(|part| self.expression(part, at).map(Box::new)).transpose()
    }
}

fn item_name(name: Option<&Bson>, at: &str) -> Compiled<String> {
    match name {
        None => Ok("this".to_owned()),
        Some(Bson::String(name)) => check_variable(name, at).map(|()| name.clone()),
        Some(_) => Err(CompileError::new(at, "`as` must be a name")),
    }
}

/// A variable of a user begins with a small letter, or with one beyond ASCII.
fn check_variable(name: &str, at: &str) -> Compiled<()> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || !letter.is_ascii();
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase() || !first.is_ascii());
    let is_free = !["event", "stream"].contains(&name);
    if is_free && begins_well && name.chars().all(is_letter) {
        return Ok(());
    }
    let rule =
        "it begins with a small letter, has only letters, digits and `_`, and isn't `event` or `stream`";
    let problem = format!("`{name}` can't be the name of a variable: {rule}");
    Err(CompileError::new(at, problem))
}
