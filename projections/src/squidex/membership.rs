//! What apps and teams have in common: contributors with their roles, and the plan.

use serde_json::{Map, Value};

use super::id::RefToken;
use super::json::Text;
use crate::{DocumentWriter, FoldError};

/// A text that Squidex refuses to be null or empty.
///
/// # Errors
/// [`FoldError::Refused`] names it.
pub(super) fn required<'t>(text: Option<&'t Text<'_>>, what: &str) -> Result<&'t str, FoldError> {
    text.map(Text::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| FoldError::Refused(format!("{what} is null or empty")))
}

/// Sets an entry: an existing one keeps its place. Returns true if that changed something.
pub(super) fn set(entries: &mut Map<String, Value>, key: &str, value: Value) -> bool {
    let differs = entries.get(key) != Some(&value);
    if differs {
        entries.insert(key.to_owned(), value);
    }
    differs
}

/// Removes an entry: the others keep their order. Returns true if there was one.
pub(super) fn remove(entries: &mut Map<String, Value>, key: &str) -> bool {
    entries.shift_remove(key).is_some()
}

/// Contributors with their roles, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Contributors(pub(super) Map<String, Value>);

impl Contributors {
    /// Gives a contributor a role, and returns true if that changed something.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if one of them is null or empty.
    pub(super) fn assign(&mut self, id: Option<&Text<'_>>, role: Option<&str>) -> Result<bool, FoldError> {
        let id = required(id, "the contributor")?;
        let no_role = || FoldError::Refused("the role of a contributor is null or empty".into());
        let role = role.filter(|role| !role.is_empty()).ok_or_else(no_role)?;
        Ok(set(&mut self.0, id, role.into()))
    }

    /// Removes a contributor, and returns true if there was one.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if the id is null or empty.
    pub(super) fn remove(&mut self, id: Option<&Text<'_>>) -> Result<bool, FoldError> {
        Ok(remove(&mut self.0, required(id, "the contributor")?))
    }
}

/// The plan, and who chose it; null without one.
#[derive(Debug, Default)]
pub(super) struct Plan(pub(super) Value);

impl Plan {
    /// Changes the plan, and returns true if it is another one.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if there is no actor, or the plan is null or empty.
    pub(super) fn change(
        &mut self,
        plan_id: Option<&Text<'_>>,
        actor: Option<&RefToken<'_>>,
    ) -> Result<bool, FoldError> {
        let owner = actor.ok_or_else(|| FoldError::Refused("nobody has chosen the plan".into()))?;
        let plan_id = required(plan_id, "the plan")?;
        let differs = self.0.get("planId").and_then(Value::as_str) != Some(plan_id);
        if differs {
            self.0 = serde_json::json!({ "owner": owner.0.as_str(), "planId": plan_id });
        }
        Ok(differs)
    }

    /// Removes the plan, and returns true if there was one.
    pub(super) fn reset(&mut self) -> bool {
        !std::mem::take(&mut self.0).is_null()
    }
}

/// Writes `_ui`: the ids of users, each once.
pub(super) fn write_users<'u>(document: &mut DocumentWriter<'_>, users: impl Iterator<Item = &'u str>) {
    let mut written: Vec<&str> = Vec::new();
    document.array("_ui", |array| {
        for user in users {
            if !written.contains(&user) {
                array.str(user);
                written.push(user);
            }
        }
    });
}
