//! Flows of rules: steps of many types, and the single action that a rule had before.

use serde_json::{Map, Value, json};

use crate::squidex::discriminator::Types;
use crate::squidex::typed::{Kind, Member};

/// A flow, or null. A step of an unknown type is kept as it is.
pub(super) const KIND: Kind = Kind::Object(&[
    Member::new("initialStepId", Kind::Optional(&Kind::Guid)),
    Member::new("steps", Kind::GuidMap(&STEP_DEFINITION)).or_empty(),
]);

const STEP_DEFINITION: Kind = Kind::Object(&[
    Member::new("nextStepId", Kind::Optional(&Kind::Guid)),
    Member::text("name"),
    Member::bool("ignoreError"),
    Member::new("step", STEP),
]);

const STEP: Kind = Kind::Custom(|stored| match STEPS.find(STEPS.name_in(&stored)?) {
    Some(_) => STEPS.read(&stored),
    None => Ok(stored),
});

/// An action of a former event as a flow of one step, or null. One of an unknown type is kept as a step with
/// the same members.
pub(super) const ACTION: Kind = Kind::Custom(|stored| {
    const STEP_ID: &str = "12345678-abcd-4cde-babe-987654321000";
    let name = ACTIONS.name_in(&stored)?;
    let step = match (ACTIONS.find(name), STEPS.find(name)) {
        (Some((name, action)), Some((_, step))) => {
            let mut action = action.read(&stored)?;
            if *name == "Webhook" {
                print_url(&mut action);
            }
            STEPS.object(name, step.read(&action)?)
        }
        _ => STEPS.object(name, Value::Object(without_discriminator(&stored))),
    };
    let step = json!({ "nextStepId": null, "name": null, "ignoreError": false, "step": step });
    Ok(json!({ "initialStepId": STEP_ID, "steps": { STEP_ID: step } }))
});

fn without_discriminator(action: &Value) -> Map<String, Value> {
    let members = action.as_object().into_iter().flatten();
    let kept = members.filter(|(name, _)| *name != "$type" && *name != ACTIONS.discriminator);
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Name of the type of the first step of a flow that was read, of which there is no such type.
pub(super) fn unknown(flow: &Value) -> Option<&str> {
    let steps = flow.get("steps")?.as_object()?.values().filter_map(|definition| definition.get("step"));
    steps.filter_map(|step| STEPS.name_in(step).ok()).find(|name| STEPS.find(name).is_none())
}

/// The address of a webhook, once a parsed URL and now a text, as .NET prints it: scheme and host in lower
/// case, and a slash where there is no path.
fn print_url(webhook: &mut Value) {
    if let Some(url) = webhook.get_mut("url")
        && let Some(printed) = url.as_str().and_then(printed_url)
    {
        *url = printed.into();
    }
}

fn printed_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // What has credentials or isn't ASCII is left as it is.
    if authority.is_empty() || authority.contains('@') || !authority.is_ascii() {
        return None;
    }
    let host = authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase();
    let slash = if path.starts_with('/') { "" } else { "/" };
    Some(format!("{scheme}://{host}{slash}{path}"))
}

const STEPS: Types = Types {
    discriminator: "stepType",
    all: &[
        ("Comment", COMMENT),
        ("CreateContent", CREATE_CONTENT),
        (
            "DeepDetect",
            Kind::Object(&[
                // The name is misspelt in Squidex, too: the probability of an old action is lost.
                Member::new("minimumPropability", Kind::Int64),
                Member::new("maximumTags", Kind::Int64),
            ]),
        ),
        ("Delay", Kind::Object(&[Member::new("delayInSec", Kind::Int32)])),
        ("Email", EMAIL),
        ("Fastly", FASTLY),
        (
            "If",
            Kind::Object(&[
                Member::new("branches", Kind::List(&BRANCH)),
                Member::new("elseStepId", Kind::Optional(&Kind::Guid)),
            ]),
        ),
        ("Medium", MEDIUM),
        ("Notification", NOTIFICATION),
        ("Prerender", PRERENDER),
        ("Script", SCRIPT),
        ("Slack", SLACK),
        ("Typesense", TYPESENSE),
        ("Webhook", WEBHOOK),
    ],
    suffix: "",
};

const ACTIONS: Types = Types {
    discriminator: "actionType",
    all: &[
        ("Comment", COMMENT),
        ("CreateContent", CREATE_CONTENT),
        (
            "DeepDetect",
            Kind::Object(&[
                Member::new("minimumProbability", Kind::Int64),
                Member::new("maximumTags", Kind::Int64),
            ]),
        ),
        ("Email", EMAIL),
        ("Fastly", FASTLY),
        ("Medium", MEDIUM),
        ("Notification", NOTIFICATION),
        ("Prerender", PRERENDER),
        ("Script", SCRIPT),
        ("Slack", SLACK),
        ("Typesense", TYPESENSE),
        ("Webhook", WEBHOOK),
    ],
    suffix: "",
};

const BRANCH: Kind =
    Kind::Object(&[Member::text("condition"), Member::new("nextStepId", Kind::Optional(&Kind::Guid))]);

const COMMENT: Kind = Kind::Object(&[Member::text("text"), Member::text("client")]);

const CREATE_CONTENT: Kind = Kind::Object(&[
    Member::text("data"),
    Member::text("schema"),
    Member::text("client"),
    Member::bool("publish"),
]);

const EMAIL: Kind = Kind::Object(&[
    Member::text("serverHost"),
    Member::new("serverPort", Kind::Int32),
    Member::text("serverUsername"),
    Member::text("serverPassword"),
    Member::text("messageFrom"),
    Member::text("messageTo"),
    Member::text("messageSubject"),
    Member::text("messageBody"),
]);

const FASTLY: Kind = Kind::Object(&[Member::text("apiKey"), Member::text("serviceId")]);

const MEDIUM: Kind = Kind::Object(&[
    Member::text("accessToken"),
    Member::text("title"),
    Member::text("content"),
    Member::text("canonicalUrl"),
    Member::text("tags"),
    Member::text("publicationId"),
    Member::bool("isHtml"),
]);

const NOTIFICATION: Kind =
    Kind::Object(&[Member::text("user"), Member::text("text"), Member::text("url"), Member::text("client")]);

const PRERENDER: Kind = Kind::Object(&[Member::text("token"), Member::text("url")]);

const SCRIPT: Kind = Kind::Object(&[Member::text("script")]);

const SLACK: Kind = Kind::Object(&[Member::text("webhookUrl"), Member::text("text")]);

const TYPESENSE: Kind = Kind::Object(&[
    Member::text("host"),
    Member::text("indexName"),
    Member::text("apiKey"),
    Member::text("document"),
    Member::text("delete"),
]);

const WEBHOOK: Kind = Kind::Object(&[
    Member::new("method", Kind::Enum(&["POST", "PUT", "GET", "DELETE", "PATCH"])),
    Member::text("url"),
    Member::text("payload"),
    Member::text("headers"),
    Member::text("payloadType"),
    Member::text("sharedSecret"),
]);
