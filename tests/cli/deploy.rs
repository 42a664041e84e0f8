//! The dashboard and the alerts name only what is exported: what the documentation knows, which is held
//! against that.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::exposition::{DOCUMENTATION, Table, documented};

const ALERTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/alerts.yml"));
const ALERT_TESTS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/alerts.test.yml"));
const DASHBOARD: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/grafana/statefold.json"));

/// Labels that Prometheus adds.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// Checks every metric in a text, and the labels that stand right behind it. Returns the metrics.
fn check(text: &str, table: &Table) -> BTreeSet<String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("statefold_").chain(text.match_indices("process_")) {
        if at > 0 && is_word(text.as_bytes()[at - 1]) {
            continue;
        }
        let word: String =
            text[at..].chars().take_while(|char| is_word(u8::try_from(*char).unwrap_or(0))).collect();
        let of = ["", "_bucket", "_sum", "_count"].iter().find_map(|suffix| {
            let metric = word.strip_suffix(suffix)?;
            table.get_key_value(metric).filter(|(_, (kind, _))| suffix.is_empty() || kind == "histogram")
        });
        let (metric, (_, labels)) = of.unwrap_or_else(|| panic!("{word} isn't exported"));
        let rest = &text[at + word.len()..];
        let selected =
            rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(all, _)| all);
        for selector in selected.split(',').filter(|selector| !selector.trim().is_empty()) {
            let (label, value) = selector.split_once(['=', '!']).unwrap();
            let label = label.trim();
            assert!(labels.contains(label) || ADDED.contains(&label), "{metric} has no label {label}");
            let value = value.trim_matches(['=', '~', '"', ' ', '\\']);
            let documented = |value: &str| DOCUMENTATION.contains(&format!("`{value}`"));
            if ["phase", "work", "reason"].contains(&label) {
                assert!(value.split('|').all(documented), "{metric} has no {label} {value}");
            }
        }
        found.insert(metric.clone());
    }
    found
}

/// All texts of a dashboard that are sent to Prometheus.
fn queries<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if ["expr", "query", "definition"].contains(&name.as_str()) => {
                        found.push(text)
                    }
                    other => queries(other, found),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[test]
fn alerts_and_their_tests_name_only_what_is_exported() {
    let table = documented();
    assert!(check(ALERTS, &table).len() >= 10);
    // Series of the tests have all of their labels.
    check(ALERT_TESTS, &table);
    for alert in ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(ALERT_TESTS.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
        assert!(DOCUMENTATION.contains(&format!("| `{alert}` |")), "{alert} isn't documented");
    }
}

#[test]
fn the_dashboard_names_only_what_is_exported_and_leaves_nothing_out() {
    let (table, dashboard) = (documented(), serde_json::from_str::<Value>(DASHBOARD).unwrap());
    let mut texts = Vec::new();
    queries(&dashboard, &mut texts);
    let shown: BTreeSet<String> = texts.iter().flat_map(|text| check(text, &table)).collect();
    let all = table.keys().filter(|name| name.starts_with("statefold_")).cloned().collect::<BTreeSet<_>>();
    assert_eq!(all.difference(&shown).collect::<Vec<_>>(), Vec::<&String>::new());
    let panels = dashboard["panels"].as_array().unwrap();
    let rows: Vec<&str> = panels
        .iter()
        .filter(|panel| panel["type"] == "row")
        .filter_map(|row| row["title"].as_str())
        .collect();
    assert_eq!(rows, ["Now", "Progress", "Cut-over", "Currency", "Trust", "Throttle", "Lease", "Process"]);
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
    }
}

/// Runs `promtool`, that of `$PROMTOOL` if it is set, and checks that it is content. Where there is none,
/// that is said.
#[expect(clippy::print_stderr, reason = "a skipped check is said")]
fn promtool(args: [&str; 3]) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus");
    let program = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".into());
    match Command::new(program).args(args).current_dir(folder).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
            assert!(output.status.success(), "{args:?}: {said:?}");
        }
        Err(error) => eprintln!("skipped: there is no promtool here ({error})"),
    }
}

#[test]
fn promtool_accepts_the_alerts_and_passes_their_tests() {
    promtool(["check", "rules", "alerts.yml"]);
    promtool(["test", "rules", "alerts.test.yml"]);
}

#[test]
fn promtool_can_read_the_queries_of_the_dashboard() {
    let (dashboard, mut texts) = (serde_json::from_str::<Value>(DASHBOARD).unwrap(), Vec::new());
    queries(&dashboard["panels"], &mut texts);
    // Grafana replaces its variables before it asks.
    let variables = [("$__rate_interval", "1m"), ("$__range", "1h"), ("$projection", ".*")];
    let rules = texts.iter().enumerate().map(|(number, text)| {
        let query =
            variables.iter().fold((*text).to_owned(), |text, (name, value)| text.replace(name, value));
        json!({ "record": format!("query{number}"), "expr": query })
    });
    let rules: Vec<Value> = rules.collect();
    assert!(rules.len() > 30);
    let file = tempfile::NamedTempFile::new().unwrap();
    let groups = json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    std::fs::write(file.path(), groups.to_string()).unwrap();
    promtool(["check", "rules", file.path().to_str().unwrap()]);
}
