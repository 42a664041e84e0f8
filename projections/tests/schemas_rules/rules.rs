//! The rules of rules, one test a rule.

use bson::{Bson, Document, doc};
use serde_json::{Value, json};
use statefold_projections::squidex::{Rules, UnknownSteps};
use statefold_projections::testing::{Given, given};

use crate::support::{at, inside, payload, rule, snapshot, version};

const STEP: &str = "12345678-abcd-4cde-babe-987654321000";
const OTHER: &str = "33333333-3333-4333-8333-333333333333";
const NO_ID: &str = "00000000-0000-0000-0000-000000000000";

/// That a document is this one, its elements in this order.
fn assert_in_order(found: &Bson, expected: Document) {
    // As text, because equality of documents ignores the order.
    assert_eq!(found.to_string(), Bson::Document(expected).to_string());
}

fn created(own: Value) -> Given {
    rule().event("RuleCreatedEventV2", payload(own)).headers(at(2))
}

/// A rule with a manual trigger and a flow of one step.
fn script() -> Given {
    let step = json!({ "stepType": "Script", "script": "s" });
    let flow = json!({ "initialStepId": OTHER, "steps": { OTHER: { "step": step } } });
    created(json!({ "name": "n", "trigger": { "triggerType": "ManualTrigger" }, "flow": flow }))
}

fn updated(own: Value) -> Given {
    script().event("RuleUpdatedEventV2", payload(own))
}

#[test]
fn a_created_rule_has_every_member_in_order() {
    script().then_snapshot(doc! {
        "_id": "app--one",
        "Doc": {
            "name": "n", "trigger": { "triggerType": "ManualTrigger" },
            "flow": {
                "initialStepId": OTHER,
                "steps": { OTHER: {
                    "nextStepId": null, "name": null, "ignoreError": false,
                    "step": { "stepType": "Script", "script": "s" },
                } },
            },
            "isEnabled": true, "appId": "app,hotels", "isDeleted": false, "id": "one",
            "createdBy": "subject:ann", "lastModifiedBy": "subject:ann",
            "created": "1970-01-01T00:00:01Z", "lastModified": "1970-01-01T00:00:01Z", "version": 0.0,
        },
        "Version": 0_i64, "_ai": "app", "_ri": "one", "_dl": false,
    });
}

#[test]
fn what_is_missing_has_its_default() {
    let empty = created(json!({ "ruleId": null }));
    let members = ["name", "trigger", "flow"].map(|name| inside(&empty, name));
    assert_eq!(members, [Bson::Null, Bson::Null, Bson::Null]);
    assert_eq!(snapshot(&empty).get_str("_ri").ok(), Some(NO_ID));
    assert_in_order(
        &inside(&created(json!({ "flow": {} })), "flow"),
        doc! { "initialStepId": null, "steps": {} },
    );
    assert_eq!(inside(&created(json!({ "flow": { "steps": null } })), "flow/steps"), Bson::Null);
    assert_eq!(inside(&created(json!({ "isEnabled": false })), "isEnabled"), Bson::Boolean(false));
    created(json!({ "appId": null })).then_fails("missing_field");
    rule().event("RuleDisabledEvent", payload(json!({}))).then_fails("missing_field");
    rule().event("RuleEnabledEvent", payload(json!({}))).then_nothing();
}

#[test]
fn triggers_and_steps_are_typed_whatever_was_stored() {
    let trigger = |stored: Value, expected: Document| {
        assert_in_order(&inside(&created(json!({ "trigger": stored })), "trigger"), expected);
    };
    trigger(
        json!({ "NUMDAYS": "3", "x": 1, "limit": 5, "$type": "usagetrigger" }),
        doc! { "triggerType": "UsageTrigger", "limit": 5.0, "numDays": 3.0 },
    );
    trigger(
        json!({ "triggerType": "ContentChangedTriggerV2", "schemas": [{ "condition": "c" }] }),
        doc! {
            "triggerType": "ContentChangedTriggerV2",
            "schemas": [{ "schemaId": NO_ID, "condition": "c" }], "referencedSchemas": null,
            "handleAll": false,
        },
    );
    trigger(
        json!({ "triggerType": "CronJobTrigger", "value": { "a.b": [1, { "$c": null }] } }),
        doc! {
            "triggerType": "CronJobTrigger", "cronExpression": null, "cronTimezone": null,
            "value": { "a_§§_b": [1.0, { "§c": null }] },
        },
    );
    let step = |stored: Value, expected: Document| {
        let given = created(json!({ "flow": { "steps": { OTHER: { "step": stored } } } }));
        assert_in_order(&inside(&given, &format!("flow/steps/{OTHER}/step")), expected);
    };
    step(
        json!({ "Method": 4, "url": "u", "sharedSecret": null, "stepType": "webhook", "x": {} }),
        doc! {
            "stepType": "Webhook", "method": "PATCH", "url": "u", "payload": null, "headers": null,
            "payloadType": null, "sharedSecret": null,
        },
    );
    step(
        json!({
            "stepType": "If", "branches": [{ "nextStepId": "AAAAAAAA-3333-4333-8333-333333333333" }, null],
        }),
        doc! {
            "stepType": "If",
            "branches": [{ "condition": null, "nextStepId": "aaaaaaaa-3333-4333-8333-333333333333" }, null],
            "elseStepId": null,
        },
    );
    for unreadable in [
        json!({ "trigger": {} }),
        json!({ "trigger": { "TriggerType": "ManualTrigger" } }),
        json!({ "trigger": { "triggerType": "UsageTrigger", "limit": null } }),
        json!({ "trigger": "ManualTrigger" }),
        json!({ "flow": { "steps": { "x": {} } } }),
        json!({ "flow": { "initialStepId": "x" } }),
        json!({ "flow": { "steps": { OTHER: { "step": {} } } } }),
        json!({ "flow": { "steps": { OTHER: { "step": { "stepType": "Delay", "delayInSec": 1.5 } } } } }),
        json!({ "isEnabled": 1 }),
        json!({ "name": 1 }),
    ] {
        created(unreadable).then_fails("payload");
    }
}

#[test]
fn an_update_sets_what_is_given_and_differs() {
    let step = json!({ "script": "s", "stepType": "Script" });
    let flow = json!({ "steps": { OTHER: { "step": step, "name": null } }, "initialStepId": OTHER });
    for same in [
        json!({}),
        json!({ "name": "n", "isEnabled": true, "trigger": { "triggerType": "ManualTrigger" } }),
        json!({ "flow": flow }),
    ] {
        assert_eq!(version(&updated(same.clone())), 0.0, "{same}");
    }
    let given = updated(json!({ "name": "m", "isEnabled": false, "flow": { "steps": {} } }));
    assert_eq!((inside(&given, "name"), version(&given)), (Bson::from("m"), 1.0));
    assert_eq!(inside(&given, "flow/initialStepId"), Bson::Null);
    assert_eq!(inside(&given, "isEnabled"), Bson::Boolean(false));
    assert_eq!(inside(&given, "lastModified"), Bson::from("1970-01-01T00:00:02Z"));
    updated(json!({ "trigger": { "triggerType": "CommentTrigger" } })).then_fails("refused");
    let empty = || created(json!({}));
    let trigger = json!({ "trigger": { "triggerType": "ManualTrigger" } });
    empty().event("RuleUpdatedEventV2", payload(trigger)).then_fails("refused");
    empty().event("RuleUpdatedEventV2", payload(json!({ "flow": {} }))).then_fails("refused");
    let cron = |value: Value| json!({ "trigger": { "triggerType": "CronJobTrigger", "value": value } });
    let given = created(cron(json!({ "a": 1, "b": [2] })))
        .event("RuleUpdatedEventV2", payload(cron(json!({ "b": [2.0], "a": 1e0 }))));
    assert_eq!(version(&given), 0.0);
}

#[test]
fn enabling_and_deleting() {
    let given = script()
        .event("RuleEnabledEvent", payload(json!({})))
        .event("RuleDisabledEvent", payload(json!({})))
        .event("ruledisabledevent", payload(json!({})))
        .event("RuleManuallyTriggered", payload(json!({ "value": { "a": 1 } })))
        .event("RuleCronJobTriggered", payload(json!({})));
    assert_eq!((version(&given), snapshot(&given).get_i64("Version").ok()), (1.0, Some(5)));
    let deleted =
        given.event("RuleDeletedEvent", payload(json!({}))).event("RuleEnabledEvent", payload(json!({})));
    assert_eq!((version(&deleted), snapshot(&deleted).get_bool("_dl").ok()), (2.0, Some(true)));
    assert_eq!(inside(&deleted, "isEnabled"), Bson::Boolean(false));
    script().event_text("RuleCronJobTriggered", r#"{"value":1e999}"#).then_fails("payload");
}

fn once(trigger: Value, action: Value) -> Given {
    rule().event(
        "RuleCreatedEvent",
        payload(json!({ "trigger": trigger, "action": action, "isEnabled": false })),
    )
}

#[test]
fn an_action_becomes_a_flow_of_one_step() {
    let of_action = |action: Value| {
        let given = once(json!({ "triggerType": "ManualTrigger" }), action);
        assert_eq!(inside(&given, "flow/initialStepId"), Bson::from(STEP));
        // The first form of a creation has no such member.
        assert_eq!(inside(&given, "isEnabled"), Bson::Boolean(true));
        inside(&given, &format!("flow/steps/{STEP}/step"))
    };
    assert_in_order(
        &of_action(json!({ "actionType": "DeepDetect", "minimumProbability": 7, "maximumTags": "8" })),
        doc! { "stepType": "DeepDetect", "minimumPropability": 0.0, "maximumTags": 8.0 },
    );
    let url = |stored: &str| {
        let step = of_action(json!({ "$type": "Webhook", "url": stored, "method": "put" }));
        let step = step.as_document().unwrap();
        assert_eq!(step.get_str("method").ok(), Some("PUT"));
        step.get_str("url").unwrap().to_owned()
    };
    assert_eq!(url("https://example.com/Hook?x=1"), "https://example.com/Hook?x=1");
    assert_eq!(url("HTTPS://Example.com"), "https://example.com/");
    assert_eq!(url("http://a.b:80?x"), "http://a.b/?x");
    assert_eq!(url("https://a.b:80/x"), "https://a.b:80/x");
    assert_eq!(url("/relative"), "/relative");
    let flowless = once(json!({ "triggerType": "ManualTrigger" }), Value::Null);
    assert_eq!(inside(&flowless, "flow"), Bson::Null);
    let other = json!({ "action": { "actionType": "Script", "script": "t" }, "isEnabled": false });
    let given = script().event("RuleUpdatedEvent", payload(other));
    assert_eq!(inside(&given, &format!("flow/steps/{STEP}/step/script")), Bson::from("t"));
    assert_eq!(inside(&given, "isEnabled"), Bson::Boolean(false));
}

#[test]
fn triggers_with_flags_become_triggers_with_conditions() {
    let trigger = |stored: Value, expected: Document| {
        assert_in_order(&inside(&once(stored, Value::Null), "trigger"), expected);
    };
    trigger(
        json!({ "triggerType": "AssetChangedTrigger", "sendDelete": true, "sendCreate": true }),
        doc! {
            "triggerType": "AssetChangedTriggerV2",
            "condition": "event.type == 'Created' || event.type == 'Deleted'",
        },
    );
    trigger(
        json!({ "triggerType": "AssetChangedTrigger" }),
        doc! {
            "triggerType": "AssetChangedTriggerV2", "condition": "false",
        },
    );
    trigger(
        json!({
            "triggerType": "ContentChangedTrigger", "handleAll": true,
            "schemas": [
                { "schemaId": OTHER, "sendArchived": true, "sendPublish": true }, { "sendRestore": true },
            ],
        }),
        doc! {
            "triggerType": "ContentChangedTriggerV2",
            "schemas": [
                { "schemaId": OTHER, "condition": "event.type == 'Published' || event.status == 'Archived'" },
                { "schemaId": NO_ID, "condition": "false" },
            ],
            "referencedSchemas": null, "handleAll": true,
        },
    );
    once(json!({ "triggerType": "ContentChangedTrigger" }), Value::Null).then_fails("payload");
    // In an event of today's form, they stay as they are.
    let kept = created(json!({ "trigger": { "triggerType": "AssetChangedTrigger", "sendUpdate": true } }));
    assert_in_order(
        &inside(&kept, "trigger"),
        doc! {
            "triggerType": "AssetChangedTrigger", "sendCreate": false, "sendUpdate": true,
            "sendRename": false,
            "sendDelete": false,
        },
    );
}

#[test]
fn unknown_types_are_kept_or_fail() {
    let own = |kind: &str| {
        json!({
            "trigger": { "triggerType": "ManualTrigger" },
            "flow": { "steps": { OTHER: { "step": { "z": 1, "stepType": kind, "a": { "$b.c": [2] } } } } },
        })
    };
    let kept = created(own("Kafka"));
    assert_in_order(
        &inside(&kept, &format!("flow/steps/{OTHER}/step")),
        doc! { "z": 1.0, "stepType": "Kafka", "a": { "§b_§§_c": [2.0] } },
    );
    let again = kept.event("RuleUpdatedEventV2", payload(own("Kafka")));
    assert_eq!(version(&again), 0.0);
    let action = once(Value::Null, json!({ "z": 1, "$type": "Kafka", "y": 2 }));
    assert_in_order(
        &inside(&action, &format!("flow/steps/{STEP}/step")),
        doc! { "stepType": "Kafka", "z": 1.0, "y": 2.0 },
    );
    let strict = || given(Rules::new().unknown_steps(UnknownSteps::Fail)).stream("rule-app--one");
    let action = json!({ "action": { "actionType": "Kafka" } });
    strict().event("RuleCreatedEvent", payload(action)).then_fails("payload");
    strict().event("RuleCreatedEventV2", payload(own("Kafka"))).then_fails("payload");
    assert!(strict().event("RuleCreatedEventV2", payload(own("script"))).outcome().is_ok());
}

#[test]
fn the_payload_of_every_known_type_is_read() {
    for event_type in [
        "RuleCreatedEventV2",
        "RuleCreatedEvent",
        "RuleUpdatedEventV2",
        "RuleUpdatedEvent",
        "RuleEnabledEvent",
        "RuleDisabledEvent",
        "RuleDeletedEvent",
        "RuleManuallyTriggered",
        "RuleCronJobTriggered",
        "NoopEvent",
    ] {
        script().event_text(event_type, "{").then_fails("payload");
    }
    assert_eq!(version(&script().event_text("RuleRenamedEvent", "{")), 0.0);
}
