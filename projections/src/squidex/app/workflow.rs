//! Workflows of contents: their typed form, and the one that a new workflow begins with.

use serde_json::{Map, Value, json};

use crate::squidex::text::or;
use crate::squidex::typed::{Kind, Member, Shape, member};

/// A workflow.
#[derive(Debug)]
pub(super) struct Workflow;

impl Shape for Workflow {
    const KIND: &'static Kind = &Kind::Custom(workflow);
}

const WORKFLOW: Kind = Kind::Object(&[
    Member::new("initial", Kind::Status),
    Member::text("name"),
    Member::new("steps", Kind::Map(&Kind::Custom(step))).or_empty(),
    Member::new("schemaIds", Kind::List(&Kind::Id)).or_empty(),
]);

const STEP: Kind = Kind::Object(&[
    Member::new("noUpdateRules", Kind::Object(&[Member::text("expression"), ROLES])),
    Member::bool("validate"),
    Member::text("color"),
    Member::new("transitions", Kind::Map(&Kind::Custom(transition))).or_empty(),
    // Old workflows have a flag instead of rules.
    Member::bool("noUpdate"),
]);

const TRANSITION: Kind = Kind::Object(&[
    Member::text("expression"),
    ROLES,
    // Old workflows have one role instead of several.
    Member::text("role"),
]);

const ROLES: Member = Member::new("roles", Kind::List(&Kind::Text));

/// A name, and what a workflow can't be without, in place of null.
fn workflow(tree: Value) -> Result<Value, String> {
    let mut workflow = object(&WORKFLOW, &tree)?;
    let name = or(workflow.get("name").and_then(Value::as_str), "Unnamed").into();
    workflow.insert("name".to_owned(), name);
    for (name, empty) in [("steps", json!({})), ("schemaIds", json!([]))] {
        if workflow.get(name).is_some_and(Value::is_null) {
            workflow.insert(name.to_owned(), empty);
        }
    }
    Ok(Value::Object(workflow))
}

fn step(tree: Value) -> Result<Value, String> {
    let mut step = object(&STEP, &tree)?;
    if step.shift_remove("noUpdate") == Some(Value::Bool(true)) {
        step.insert("noUpdateRules".to_owned(), always());
    }
    match step.get("transitions") {
        Some(Value::Object(transitions)) if transitions.values().any(Value::is_null) => {
            return Err("a transition is null".to_owned());
        }
        Some(Value::Null) => drop(step.insert("transitions".to_owned(), json!({}))),
        _ => {}
    }
    Ok(Value::Object(step))
}

/// A transition that is always possible has neither an expression nor roles.
fn transition(tree: Value) -> Result<Value, String> {
    let mut transition = object(&TRANSITION, &tree)?;
    let role =
        transition.shift_remove("role").filter(|role| role.as_str().is_some_and(|role| !role.is_empty()));
    // Of the old form and the new one the last in the payload counts.
    if let Some(role) = role.filter(|_| is_last(&tree, "role", "roles")) {
        transition.insert("roles".to_owned(), json!([role]));
    }
    let has_roles = transition.get("roles").and_then(Value::as_array).is_some_and(|roles| !roles.is_empty());
    let expression = transition.get("expression").and_then(Value::as_str);
    let has_expression = expression.is_some_and(|text| !text.trim().is_empty());
    match (has_roles, has_expression) {
        (true, _) => Ok(Value::Object(transition)),
        (false, true) => Ok(json!({ "expression": expression, "roles": null })),
        (false, false) => Ok(always()),
    }
}

fn object(kind: &'static Kind, tree: &Value) -> Result<Map<String, Value>, String> {
    match kind.read(tree)? {
        Value::Object(object) => Ok(object),
        _ => Err("expected an object".to_owned()),
    }
}

/// Whether a member comes after all others with another name.
fn is_last(tree: &Value, name: &str, other: &str) -> bool {
    let Value::Object(members) = tree else { return false };
    let place = |name: &str| members.keys().rposition(|key| key.eq_ignore_ascii_case(name));
    member(members, name).is_some() && place(name) > place(other)
}

fn always() -> Value {
    json!({ "expression": null, "roles": null })
}

/// The workflow that an app has without one of its own, with this name.
pub(super) fn of_name(name: &str) -> Value {
    json!({
        "initial": "Draft",
        "name": or(Some(name), "Unnamed"),
        "steps": {
            "Archived": {
                "noUpdateRules": always(), "validate": false, "color": "#eb3142",
                "transitions": { "Draft": always() },
            },
            "Draft": {
                "noUpdateRules": null, "validate": false, "color": "#8091a5",
                "transitions": { "Archived": always(), "Published": always() },
            },
            "Published": {
                "noUpdateRules": null, "validate": false, "color": "#4bb958",
                "transitions": { "Archived": always(), "Draft": always() },
            },
        },
        "schemaIds": [],
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn read(tree: &Value) -> Result<Value, String> {
        Workflow::KIND.read(tree)
    }

    #[test]
    fn what_is_absent_or_null_is_empty() {
        let expected = json!({ "initial": "Unknown", "name": "Unnamed", "steps": {}, "schemaIds": [] });
        assert_eq!(read(&json!({})).unwrap().to_string(), expected.to_string());
        let null = json!({ "schemaIds": null, "steps": null, "name": " " });
        assert_eq!(read(&null).unwrap().to_string(), expected.to_string());
        assert_eq!(read(&Value::Null).unwrap(), Value::Null);
        let steps =
            json!({ "name": " a ", "initial": "x", "steps": { "x": { "transitions": null }, "y": null } });
        let step = json!({ "noUpdateRules": null, "validate": false, "color": null, "transitions": {} });
        let expected =
            json!({ "initial": "x", "name": "a", "steps": { "x": step, "y": null }, "schemaIds": [] });
        assert_eq!(read(&steps).unwrap().to_string(), expected.to_string());
    }

    #[test]
    fn a_written_workflow_is_read_unchanged() {
        let workflow = of_name("  my flow ");
        assert_eq!(workflow.get("name").unwrap(), "my flow");
        assert_eq!(read(&workflow).unwrap().to_string(), workflow.to_string());
    }

    #[test]
    fn the_old_forms_of_rules_and_roles_are_read() {
        let of = |transition: Value| {
            let step = json!({ "NoUpdate": true, "transitions": { "a": transition } });
            let workflow = read(&json!({ "steps": { "s": step } })).unwrap();
            let step = workflow.get("steps").unwrap().get("s").unwrap().clone();
            assert_eq!(step.get("noUpdateRules").unwrap(), &always());
            step.get("transitions").unwrap().get("a").unwrap().to_string()
        };
        let roles = json!({ "expression": null, "roles": ["r"] }).to_string();
        assert_eq!(of(json!({ "role": "r" })), roles);
        assert_eq!(of(json!({ "roles": ["x"], "Role": "r" })), roles);
        assert_eq!(of(json!({ "role": "x", "roles": ["r"] })), roles);
        assert_eq!(of(json!({ "roles": ["r"], "role": "" })), roles);
        assert_eq!(of(json!({ "roles": [], "expression": " " })), always().to_string());
        let expression = json!({ "expression": "e", "roles": null }).to_string();
        assert_eq!(of(json!({ "roles": [], "expression": "e" })), expression);
    }

    #[test]
    fn a_transition_that_is_null_is_unreadable() {
        assert!(read(&json!({ "steps": { "a": { "transitions": { "b": null } } } })).is_err());
        assert!(read(&json!({ "steps": { "a": 1 } })).is_err());
    }
}
