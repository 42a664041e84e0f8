//! Checks what was written to lease, pointers, records, checkpoints and staging collections, in the
//! order in which a change stream showed it: every guarded document is only ever written under rising
//! tokens, and every token was handed out once, to one holder.

use std::collections::BTreeMap;

use bson::{Bson, Document, doc};

/// A recorded history, checked as it grows.
#[derive(Debug, Default)]
pub(crate) struct History {
    newest: i64,
    owners: BTreeMap<String, i64>,
    /// Newest token of each pointer, build record and checkpoint.
    tokens: BTreeMap<String, i64>,
    /// Newest token under which each generation was staged.
    staged: BTreeMap<String, i64>,
    violations: Vec<String>,
    late_writes: usize,
}

impl History {
    /// What of a database's changes belongs to the history, as a pipeline for its change stream.
    pub(crate) fn pipeline() -> Vec<Document> {
        let ours = ["Migration", "Statefold_Builds", "Statefold_Checkpoints"];
        vec![
            doc! { "$match": { "$or": [
                { "ns.coll": { "$in": ours.to_vec() } },
                { "operationType": "insert", "ns.coll": { "$regex": "__t[0-9]+$" } },
            ] } },
            doc! { "$project": {
                "operationType": 1, "ns": 1, "documentKey": 1,
                "fullDocument.Token": 1, "fullDocument.LeaseToken": 1, "fullDocument.Lease": 1,
                "updateDescription.updatedFields": 1, "updateDescription.removedFields": 1,
            } },
        ]
    }

    /// What was violated, in words; empty is how it should be.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.clone()
    }

    /// Inserts into a staging collection of an older token, after a newer one was in use: they hurt
    /// nobody.
    pub(crate) fn late_writes(&self) -> usize {
        self.late_writes
    }

    /// Takes in a change. Returns the token that was handed out by it, if one was.
    pub(crate) fn push(&mut self, change: &Document) -> Option<i64> {
        let collection = change.get_document("ns").and_then(|ns| ns.get_str("coll")).unwrap_or_default();
        let id = change.get_document("documentKey").and_then(|key| key.get_str("_id")).unwrap_or_default();
        let empty = Document::new();
        let set = match change.get_document("updateDescription") {
            Ok(update) => update.get_document("updatedFields").unwrap_or(&empty),
            Err(_) => change.get_document("fullDocument").unwrap_or(&empty),
        };
        match (collection, id) {
            ("Migration", "Statefold") => return self.control(set),
            ("Statefold_Builds", _) => self.guarded(&format!("build {id}"), number(set, "Token")),
            ("Statefold_Checkpoints", _) => {
                let name = format!("checkpoint {id}");
                self.guarded(&name, number(set, "Token"));
                if let Some(by) = number(set, "DoneBy") {
                    let token = self.tokens.get(&name).copied().unwrap_or(0);
                    if by != token {
                        self.violations.push(format!("{name} of token {token} was finished by token {by}"));
                    }
                }
            }
            (staging, _) => {
                if let Some((generation, token)) = staging.rsplit_once("__t")
                    && let Ok(token) = token.parse()
                {
                    let newest = self.staged.entry(generation.to_owned()).or_insert(token);
                    self.late_writes += usize::from(token < *newest);
                    *newest = (*newest).max(token);
                }
            }
        }
        None
    }

    fn control(&mut self, set: &Document) -> Option<i64> {
        let taken = number(set, "LeaseToken");
        if let Some(token) = taken {
            if token != self.newest + 1 && self.newest != 0 {
                self.violations.push(format!("token {token} was handed out after token {}", self.newest));
            }
            self.newest = self.newest.max(token);
            let lease = set.get_document("Lease").ok();
            let owner = lease
                .and_then(|lease| lease.get_str("Owner").ok())
                .or_else(|| set.get_str("Lease.Owner").ok());
            match owner {
                None => self.violations.push(format!("token {token} was handed out to nobody")),
                Some(owner) => {
                    if let Some(former) = self.owners.insert(owner.to_owned(), token) {
                        self.violations.push(format!("{owner} got token {former} and token {token}"));
                    }
                }
            }
        } else if set.contains_key("Lease") || set.contains_key("Lease.Owner") {
            self.violations.push(format!("the lease changed hands under token {}", self.newest));
        }
        for (name, value) in set {
            let Some(projection) = name.strip_prefix("Generations") else { continue };
            let pointers: Vec<(String, Option<i64>)> = match value {
                Bson::Document(value) if projection.is_empty() => value
                    .iter()
                    .filter_map(|(name, value)| {
                        Some((format!(".{name}"), number(value.as_document()?, "Token")))
                    })
                    .collect(),
                Bson::Document(value) => vec![(projection.to_owned(), number(value, "Token"))],
                value if projection.ends_with(".Token") => vec![(projection.to_owned(), as_number(value))],
                _ => Vec::new(),
            };
            for (projection, token) in pointers {
                if token != Some(self.newest) {
                    let newest = self.newest;
                    self.violations.push(format!(
                        "the pointer Generations{projection} was set under token {token:?}, the newest is {newest}"
                    ));
                }
            }
        }
        taken
    }

    fn guarded(&mut self, name: &str, token: Option<i64>) {
        let Some(token) = token else { return };
        let newest = self.tokens.entry(name.to_owned()).or_insert(token);
        if token < *newest {
            self.violations.push(format!("{name} went from token {newest} back to {token}"));
        }
        *newest = token;
        if token > self.newest {
            self.violations.push(format!("{name} has token {token}, which nobody was given"));
        }
    }
}

fn as_number(value: &Bson) -> Option<i64> {
    value.as_i64().or_else(|| value.as_i32().map(i64::from))
}

fn number(document: &Document, name: &str) -> Option<i64> {
    document.get(name).and_then(as_number)
}
