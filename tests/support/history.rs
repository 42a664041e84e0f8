//! What was written to a database, in order, and whether it keeps the rules of the lease.
//!
//! Rules: tokens rise by one, each with an owner of its own; pointers are set under the newest token
//! only; build records and checkpoints never go back to an older token, nor to one that was never
//! given out, and a partition is finished under the token its checkpoint has. Each change has to come with
//! the document after it: the collections need `changeStreamPreAndPostImages`.

use std::collections::{BTreeMap, BTreeSet};

use bson::Document;
use mongodb::change_stream::event::{ChangeStreamEvent, OperationType};

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    /// The control document after it.
    Control {
        token: i64,
        /// Who leads.
        owner: Option<String>,
        /// Of each projection: the active generation, and the token it was made active under.
        pointers: BTreeMap<String, (i64, i64)>,
    },
    /// A build record after it.
    Build { id: String, token: i64, collections: Vec<String> },
    /// A checkpoint after it, and the token its partition was finished under, if it is finished.
    Checkpoint { id: String, token: i64, done_by: Option<i64> },
    /// A snapshot in a staging collection.
    Staged { collection: String, token: i64 },
    /// A staging collection got its final name.
    Published { collection: String, token: i64 },
}

impl Write {
    /// What a change says; `None` if no rule is about it.
    pub(crate) fn of(change: &ChangeStreamEvent<Document>) -> Option<Self> {
        let collection = change.ns.as_ref()?.coll.as_deref()?;
        match change.operation_type {
            OperationType::Rename => {
                let (base, token) = staging(collection)?;
                let to = change.to.as_ref()?.coll.as_deref()?;
                (base == to).then(|| Self::Published { collection: base.to_owned(), token })
            }
            OperationType::Insert if staging(collection).is_some() => {
                let (base, token) = staging(collection)?;
                Some(Self::Staged { collection: base.to_owned(), token })
            }
            OperationType::Insert | OperationType::Update | OperationType::Replace => {
                let id = change.document_key.as_ref()?.get_str("_id").ok()?;
                let is_ours = ["Statefold_Builds", "Statefold_Checkpoints"].contains(&collection)
                    || (collection == "Migration" && id == "Statefold");
                let after = || change.full_document.as_ref().expect("no document as it was after the change");
                is_ours.then(|| Self::of_document(collection, id, after()))
            }
            _ => None,
        }
    }

    fn of_document(collection: &str, id: &str, after: &Document) -> Self {
        let id = id.to_owned();
        match collection {
            "Statefold_Builds" => {
                let targets =
                    after.get_array("Targets").unwrap().iter().map(|one| one.as_document().unwrap());
                let collections =
                    targets.map(|target| target.get_str("Collection").unwrap().to_owned()).collect();
                Self::Build { id, token: number(after, "Token"), collections }
            }
            "Statefold_Checkpoints" => {
                let done_by = after.contains_key("DoneBy").then(|| number(after, "DoneBy"));
                Self::Checkpoint { id, token: number(after, "Token"), done_by }
            }
            _ => {
                let generations = after.get_document("Generations").cloned().unwrap_or_default();
                let pointer = |(name, pointer): (String, bson::Bson)| {
                    let pointer = pointer.as_document().unwrap().clone();
                    (name, (number(&pointer, "Active"), number(&pointer, "Token")))
                };
                Self::Control {
                    token: number(after, "LeaseToken"),
                    owner: after
                        .get_document("Lease")
                        .ok()
                        .map(|lease| lease.get_str("Owner").unwrap().to_owned()),
                    pointers: generations.into_iter().map(pointer).collect(),
                }
            }
        }
    }
}

/// Final name and token of a staging collection.
fn staging(name: &str) -> Option<(&str, i64)> {
    let (base, token) = name.rsplit_once("__t")?;
    Some((base, token.parse().ok()?))
}

fn number(document: &Document, name: &str) -> i64 {
    let value = document.get(name).unwrap_or_else(|| panic!("no {name} in {document}"));
    value.as_i64().or_else(|| value.as_i32().map(i64::from)).unwrap()
}

/// What a history shows.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Findings {
    /// Rules that were broken, in words.
    pub(crate) violations: Vec<String>,
    /// How often the lease was taken.
    pub(crate) taken: usize,
    /// How often it was taken from somebody who hadn't given it back.
    pub(crate) taken_over: usize,
    /// How often it was given back.
    pub(crate) released: usize,
    /// How often it was renewed, or something else written to the control document.
    pub(crate) kept: usize,
    /// How often a pointer moved.
    pub(crate) flips: usize,
    /// Snapshots that were written under a token after a newer one had taken the build over; nobody
    /// reads them.
    pub(crate) late_writes: usize,
}

/// The state of the rules.
#[derive(Default)]
struct Checker {
    findings: Findings,
    token: i64,
    owner: Option<String>,
    owners: BTreeSet<String>,
    pointers: BTreeMap<String, (i64, i64)>,
    /// Newest token of each record.
    records: BTreeMap<String, i64>,
    /// Token each finished partition was finished under.
    done_by: BTreeMap<String, i64>,
    /// Newest token of the build of each collection.
    adopted: BTreeMap<String, i64>,
}

/// Checks a history from its beginning.
pub(crate) fn check(history: &[Write]) -> Findings {
    let mut checker = Checker::default();
    for (at, write) in history.iter().enumerate() {
        if let Err(broken) = checker.next(write) {
            checker.findings.violations.push(format!("write {at}: {broken}: {write:?}"));
        }
    }
    checker.findings
}

impl Checker {
    fn next(&mut self, write: &Write) -> Result<(), String> {
        match write {
            Write::Control { token, owner, pointers } => {
                let lease = self.lease(*token, owner.as_ref());
                lease.and(self.flipped(*token, pointers))
            }
            Write::Build { id, token, collections } => {
                for collection in collections {
                    let adopted = self.adopted.entry(collection.clone()).or_default();
                    *adopted = (*adopted).max(*token);
                }
                self.record(format!("build {id}"), *token)
            }
            Write::Checkpoint { id, token, done_by } => {
                let finished = self.finished(id, *token, *done_by);
                self.record(format!("checkpoint {id}"), *token).and(finished)
            }
            Write::Staged { collection, token } => {
                if self.adopted.get(collection).is_some_and(|adopted| adopted > token) {
                    self.findings.late_writes += 1;
                }
                self.given_out(*token)
            }
            Write::Published { collection, token } => {
                let adopted = self.adopted.get(collection).copied().unwrap_or(0);
                if *token < adopted {
                    return Err(format!("published after token {adopted} had taken the build over"));
                }
                self.given_out(*token)
            }
        }
    }

    fn lease(&mut self, token: i64, owner: Option<&String>) -> Result<(), String> {
        let (former, former_owner) = (self.token, self.owner.clone());
        self.token = self.token.max(token);
        self.owner = owner.cloned();
        if token == former {
            return match (former_owner.as_ref(), owner) {
                (Some(former), Some(now)) if former == now => {
                    self.findings.kept += 1;
                    Ok(())
                }
                (Some(_), None) => {
                    self.findings.released += 1;
                    Ok(())
                }
                (None, None) => Ok(()),
                _ => Err(format!("another owner under the same token, after {former_owner:?}")),
            };
        }
        if token != former + 1 {
            return Err(format!("the token was {former}"));
        }
        self.findings.taken += 1;
        self.findings.taken_over += usize::from(former_owner.is_some());
        match owner {
            None => Err("a new token without an owner".into()),
            Some(owner) if !self.owners.insert(owner.clone()) => Err("an owner took a second token".into()),
            Some(_) => Ok(()),
        }
    }

    fn flipped(&mut self, token: i64, pointers: &BTreeMap<String, (i64, i64)>) -> Result<(), String> {
        let former = std::mem::replace(&mut self.pointers, pointers.clone());
        let moved = pointers.iter().filter(|(name, pointer)| former.get(*name) != Some(pointer));
        let moved: Vec<_> = moved.collect();
        self.findings.flips += moved.len();
        match moved.iter().find(|(_, (_, by))| *by != token) {
            Some((name, (_, by))) => Err(format!("the pointer of {name} was set under token {by}")),
            None => Ok(()),
        }
    }

    fn record(&mut self, name: String, token: i64) -> Result<(), String> {
        let newest = self.records.entry(name.clone()).or_default();
        if token < *newest {
            return Err(format!("{name} was written under token {newest} before"));
        }
        *newest = token;
        self.given_out(token)
    }

    /// Its token may be raised after it was finished; what finishes it has to have the token it has.
    fn finished(&mut self, id: &str, token: i64, done_by: Option<i64>) -> Result<(), String> {
        let former = match done_by {
            Some(by) => self.done_by.insert(id.to_owned(), by),
            None => self.done_by.remove(id),
        };
        match done_by {
            Some(by) if by != token && former != Some(by) => Err(format!("finished under token {by}")),
            _ => Ok(()),
        }
    }

    fn given_out(&self, token: i64) -> Result<(), String> {
        if token <= self.token { Ok(()) } else { Err(format!("the newest token is {}", self.token)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(token: i64, owner: &str, pointer: Option<(i64, i64)>) -> Write {
        Write::Control {
            token,
            owner: (!owner.is_empty()).then(|| owner.to_owned()),
            pointers: pointer.map(|pointer| ("Assets".to_owned(), pointer)).into_iter().collect(),
        }
    }

    fn build(token: i64) -> Write {
        Write::Build { id: "Assets3".into(), token, collections: vec!["States_Assets3".into()] }
    }

    fn checkpoint(token: i64) -> Write {
        Write::Checkpoint { id: "Assets3/0".into(), token, done_by: None }
    }

    fn finished(token: i64, by: i64) -> Write {
        Write::Checkpoint { id: "Assets3/0".into(), token, done_by: Some(by) }
    }

    fn staged(token: i64) -> Write {
        Write::Staged { collection: "States_Assets3".into(), token }
    }

    fn published(token: i64) -> Write {
        Write::Published { collection: "States_Assets3".into(), token }
    }

    /// Taken, renewed, taken over, adopted, published, released.
    fn good() -> Vec<Write> {
        vec![
            control(1, "a", None),
            build(1),
            checkpoint(1),
            staged(1),
            control(1, "a", None),
            control(2, "b", None),
            finished(1, 1),
            build(2),
            finished(2, 1),
            checkpoint(2),
            staged(1),
            staged(2),
            published(2),
            control(2, "b", Some((3, 2))),
            control(2, "", Some((3, 2))),
            control(3, "c", Some((3, 2))),
        ]
    }

    #[test]
    fn a_history_that_keeps_the_rules_is_counted() {
        let expected = Findings {
            violations: Vec::new(),
            taken: 3,
            taken_over: 1,
            released: 1,
            kept: 2,
            flips: 1,
            late_writes: 1,
        };
        assert_eq!(check(&good()), expected);
    }

    /// Checks a good history with one more write.
    fn after(more: Write) -> Vec<String> {
        let mut history = good();
        history.push(more);
        check(&history).violations
    }

    #[test]
    fn each_broken_rule_is_found() {
        let pointer = Some((3, 2));
        let broken = [
            (control(3, "d", pointer), "another owner under the same token"),
            (control(5, "d", pointer), "the token was 3"),
            (control(2, "d", pointer), "the token was 3"),
            (control(4, "a", pointer), "an owner took a second token"),
            (control(4, "", pointer), "a new token without an owner"),
            (control(3, "c", Some((4, 2))), "the pointer of Assets was set under token 2"),
            (build(1), "build Assets3 was written under token 2 before"),
            (checkpoint(1), "checkpoint Assets3/0 was written under token 2 before"),
            (finished(2, 1), "finished under token 1"),
            (build(4), "the newest token is 3"),
            (staged(4), "the newest token is 3"),
            (published(1), "published after token 2"),
        ];
        for (write, words) in broken {
            let found = after(write.clone());
            assert!(found.len() == 1 && found[0].contains(words), "{write:?}: {found:?}");
        }
    }

    #[test]
    fn a_released_lease_is_not_taken_without_a_new_token() {
        let history = [control(1, "a", None), control(1, "", None), control(1, "a", None)];
        assert_eq!(check(&history).violations.len(), 1);
    }
}
