//! Custom roles of an app: permissions and free-form properties, by name.

use serde_json::{Map, Value, json};

use super::event::AppRoleUpdated;
use crate::FoldError;
use crate::squidex::json::Text;
use crate::squidex::membership::{required, set};
use crate::squidex::text::eq_ignore_case;

/// Roles that every app has: they can't be changed, and aren't stored.
const DEFAULT_ROLES: [&str; 4] = ["Owner", "Reader", "Editor", "Developer"];

/// Adds a role unless there is one with its name, and returns true if that changed something.
///
/// # Errors
/// [`FoldError::Refused`] if the name is null or empty.
pub(super) fn add(roles: &mut Map<String, Value>, name: Option<&Text<'_>>) -> Result<bool, FoldError> {
    let name = required(name, "the name of a role")?;
    let is_new = !DEFAULT_ROLES.contains(&name) && !roles.contains_key(name);
    Ok(is_new && set(roles, name, json!({ "permissions": [], "properties": {} })))
}

/// Sets the permissions of a role and, if they are given, its properties. Returns true if that changed
/// something.
///
/// # Errors
/// [`FoldError::Refused`] if the name, the permissions or one of them is null or empty.
pub(super) fn update(roles: &mut Map<String, Value>, updated: AppRoleUpdated<'_>) -> Result<bool, FoldError> {
    let name = required(updated.name.as_ref(), "the name of a role")?;
    let refused = || FoldError::Refused(format!("a permission of the role {name} is null or empty"));
    let permissions = updated.permissions.0;
    let is_permission = |permission: &Value| permission.as_str().is_some_and(|text| !text.is_empty());
    if !permissions.as_array().ok_or_else(refused)?.iter().all(is_permission) {
        return Err(refused());
    }
    let Some(Value::Object(role)) = roles.get_mut(name) else { return Ok(false) };
    let properties = match updated.properties.0 {
        Value::Null => role.get("properties").cloned().unwrap_or_default(),
        properties => properties,
    };
    let is_equal = role.get("permissions").is_some_and(|old| are_equal(old, &permissions))
        && role.get("properties") == Some(&properties);
    if !is_equal {
        role.insert("permissions".to_owned(), permissions);
        role.insert("properties".to_owned(), properties);
    }
    Ok(!is_equal)
}

/// Permissions are equal in any case.
fn are_equal(left: &Value, right: &Value) -> bool {
    let texts = |list: &'_ Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (left, right) = (texts(left), texts(right));
    left.len() == right.len() && left.iter().zip(&right).all(|(left, right)| eq_ignore_case(left, right))
}
