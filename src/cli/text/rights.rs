//! Rights that a user lacks, and the roles that would give them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::cli::command::Command;
use crate::operator::{Grant, MissingRight};

/// The rights that are missing, by step: those without which it fails, then what the others cost.
pub(in crate::cli) fn missing(rights: &[MissingRight], command: &Command) -> String {
    let mut fatal: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    let mut costs: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for right in rights {
        match &right.without {
            None => {
                let actions = fatal.entry(&right.step).or_default().entry(&right.resource).or_default();
                actions.push(&right.action);
            }
            Some(without) => {
                let right = format!("`{}` on {}", right.action, right.resource);
                costs.entry(without).or_default().insert(right);
            }
        }
    }
    let mut text = String::new();
    for (step, resources) in fatal {
        text.push_str(&format!("\nmissing rights: {step} needs"));
        for (resource, actions) in resources {
            text.push_str(&format!("\n  on {resource}: {}", actions.join(", ")));
        }
    }
    for (without, rights) in costs {
        let rights: Vec<String> = rights.into_iter().collect();
        text.push_str(&format!("\nnote: without {} {without}", rights.join(", ")));
    }
    if !rights.is_empty() {
        text.push_str(&format!("\nWhat grants them: {}", command.other("plan --grant")));
    }
    text
}

/// A role that gives what one step lacks, as `createRole` takes it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Role {
    role: String,
    privileges: Vec<Privilege>,
    roles: [(); 0],
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Privilege {
    resource: Grant,
    actions: Vec<String>,
}

/// The roles that give what is missing, one for each step.
pub(in crate::cli) fn roles(rights: &[MissingRight]) -> Vec<Role> {
    let mut steps: Vec<(&str, BTreeMap<Grant, BTreeSet<String>>)> = Vec::new();
    for right in rights {
        let at = steps.iter().position(|(step, _)| *step == right.step).unwrap_or_else(|| {
            steps.push((&right.step, BTreeMap::new()));
            steps.len() - 1
        });
        if let Some((_, resources)) = steps.get_mut(at) {
            resources.entry(right.grant.clone()).or_default().insert(right.action.clone());
        }
    }
    let words = |step: &str| -> String {
        step.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign } else { '_' }).collect()
    };
    let privilege = |(resource, actions): (Grant, BTreeSet<String>)| Privilege {
        resource,
        actions: actions.into_iter().collect(),
    };
    let role = |(step, resources): (&str, BTreeMap<Grant, BTreeSet<String>>)| Role {
        role: format!("statefold_{}", words(step).replace("__", "_")),
        privileges: resources.into_iter().map(privilege).collect(),
        roles: [],
    };
    steps.into_iter().map(role).collect()
}

/// Commands for mongosh that create these roles and grant them.
pub(in crate::cli) fn grants(rights: &[MissingRight]) -> String {
    let roles = roles(rights);
    if roles.is_empty() {
        return "// This user lacks nothing.".to_owned();
    }
    let mut text =
        String::from("// For mongosh, as a user who may create roles. Leave out steps that you don't need.");
    for role in &roles {
        let json = serde_json::to_string_pretty(role).unwrap_or_default();
        text.push_str(&format!("\ndb.getSiblingDB(\"admin\").createRole({json});"));
    }
    let names: Vec<String> =
        roles.iter().map(|role| format!("{{ role: \"{}\", db: \"admin\" }}", role.role)).collect();
    text.push_str(&format!(
        "\n// Then, in the database of the user:\n// db.grantRolesToUser(\"USER\", [{}]);",
        names.join(", ")
    ));
    text
}
