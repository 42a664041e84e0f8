//! Clients of an app: programs with a secret, by id.

use serde_json::{Map, Value, json};

use super::event::{AppClientAttached, AppClientUpdated};
use crate::FoldError;
use crate::squidex::json::{Int, Text};
use crate::squidex::membership::{required, set};
use crate::squidex::text::or;

/// Adds a client unless there is one with its id, and returns true if that changed something.
///
/// # Errors
/// [`FoldError::Refused`] if the id or the secret is null or empty.
pub(super) fn attach(
    clients: &mut Map<String, Value>,
    attached: &AppClientAttached<'_>,
) -> Result<bool, FoldError> {
    let id = required(attached.id.as_ref(), "the client")?;
    let secret = required(attached.secret.as_ref(), "the secret of a client")?;
    if clients.contains_key(id) {
        return Ok(false);
    }
    let client = json!({
        "name": id,
        "secret": secret,
        "apiCallsLimit": 0,
        "apiTrafficLimit": 0,
        "allowAnonymous": false,
        "role": or(attached.role.as_ref().map(Text::as_str), "Editor"),
    });
    Ok(set(clients, id, client))
}

/// Sets each property that is given and valid, and returns true if that changed something.
///
/// # Errors
/// [`FoldError::Refused`] if the id is null or empty.
pub(super) fn update(
    clients: &mut Map<String, Value>,
    updated: &AppClientUpdated<'_>,
) -> Result<bool, FoldError> {
    let id = required(updated.id.as_ref(), "the client")?;
    let Some(Value::Object(client)) = clients.get_mut(id) else { return Ok(false) };
    let text = |text: &Option<Text<'_>>| -> Option<Value> {
        text.as_ref().map(Text::as_str).filter(|text| !text.trim().is_empty()).map(Value::from)
    };
    let limit = |limit: Option<Int<i64>>| limit.filter(|limit| limit.0 >= 0).map(|limit| limit.0.into());
    let new = [
        ("name", text(&updated.name)),
        ("role", text(&updated.role)),
        ("apiCallsLimit", limit(updated.api_calls_limit)),
        ("apiTrafficLimit", limit(updated.api_traffic_limit)),
        ("allowAnonymous", updated.allow_anonymous.map(Value::from)),
    ];
    let mut changed = false;
    for (name, value) in new {
        changed |= value.is_some_and(|value| set(client, name, value));
    }
    Ok(changed)
}
