//! What is wrong with a deployment that doesn't answer as it should: no primary, another name of the replica
//! set, no majority. The members' states say who has to be looked after.

use std::time::Duration;

use backon::Retryable;
use bson::{Bson, Document, Timestamp, doc};
use futures::future::join_all;
use mongodb::options::{ClientOptions, ReadPreference, SelectionCriteria, ServerAddress};
use mongodb::{Client, Database};

use crate::error::{Error, Result};
use crate::pipeline::pauses;
use crate::plan::{ServerFacts, Topology};
use crate::store::connection::call::{call, call_within};
use crate::store::connection::documents::read_concern;

/// Time in which a single server has to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// Time in which a majority has to confirm the present state.
const MAJORITY_SECONDS: u64 = 15;

/// One member, as it answered itself.
struct Answer {
    host: ServerAddress,
    /// Its reply to `hello`; `None` if it can't be reached.
    hello: Option<Document>,
}

/// A better error for a deployment no primary of which could be found.
pub(super) async fn no_primary(options: &ClientOptions, error: Error) -> Error {
    let Error::Unreachable { doing, source } = error else { return error };
    let answers = join_all(options.hosts.iter().map(|host| asked(options, host.clone()))).await;
    let set_names = answers.iter().filter_map(|answer| answer.hello.as_ref()?.get_str("setName").ok());
    let real = set_names.clone().next();
    if let (Some(wanted), Some(real)) = (options.repl_set_name.as_deref(), real)
        && real != wanted
    {
        return Error::Config(vec![format!(
            "the replica set is called `{real}`, but the URI says replicaSet={}",
            if wanted.len() <= 60 { wanted } else { "something else" }
        )]);
    }
    if real.is_some() {
        let states: Vec<String> = answers.iter().map(Answer::state).collect();
        let source = format!("the replica set has no primary: {}", states.join(", ")).into();
        return Error::Unreachable { doing, source };
    }
    Error::Unreachable { doing, source }
}

async fn asked(options: &ClientOptions, host: ServerAddress) -> Answer {
    let mut options = options.clone();
    options.hosts = vec![host.clone()];
    options.repl_set_name = None;
    options.direct_connection = Some(true);
    options.server_selection_timeout = Some(ANSWER);
    options.connect_timeout = Some(ANSWER);
    options.selection_criteria =
        Some(SelectionCriteria::ReadPreference(ReadPreference::Nearest { options: None }));
    let hello = async {
        let client = Client::with_options(options).ok()?;
        let admin = client.database("admin");
        call("asking a member", async move { admin.run_command(doc! { "hello": 1 }).await }).await.ok()
    };
    Answer { host, hello: hello.await }
}

impl Answer {
    fn state(&self) -> String {
        let is =
            |field: &str| self.hello.as_ref().is_some_and(|hello| hello.get_bool(field).unwrap_or(false));
        let state = match &self.hello {
            None => "can't be reached",
            Some(_) if is("isWritablePrimary") => "is primary",
            Some(_) if is("secondary") => "is a secondary",
            Some(_) if is("arbiterOnly") => "is an arbiter",
            Some(_) => "is neither primary nor secondary",
        };
        format!("{} {state}", self.host)
    }
}

/// Checks that a majority of the members confirms writes: without one, every write waits for ever.
///
/// # Errors
/// [`Error::NoMajority`] with the states of the members; the server's error.
pub(super) async fn check_majority(db: &Database, facts: &ServerFacts) -> Result<()> {
    if facts.topology != Topology::ReplicaSet {
        return Ok(());
    }
    if let Members::Lacking(members) = members(db).await {
        return Err(Error::NoMajority { members });
    }
    // An election may be under way.
    let attempt = || confirms(db);
    attempt
        .retry(pauses())
        .when(|error: &Error| {
            matches!(error, Error::Server { transient: true, .. } | Error::Unreachable { .. })
        })
        .await
}

/// Checks once that a majority confirms the present state.
async fn confirms(db: &Database) -> Result<()> {
    let admin = db.client().database("admin");
    let ping =
        call("asking for the operation time", async move { admin.run_command(doc! { "ping": 1 }).await });
    let Ok(now) = ping.await?.get_timestamp("operationTime") else { return Ok(()) };
    match confirmed(db, now).await {
        Err(Error::Deadline { .. }) => {
            let members = match members(db).await {
                Members::Lacking(members) => members,
                Members::Enough(members) => format!("enough of them are up, but they are behind: {members}"),
                Members::Unknown => {
                    "which members are down isn't known: this user may not run replSetGetStatus".to_owned()
                }
            };
            Err(Error::NoMajority { members })
        }
        // Whoever may not read may find out what is missing all the same.
        Err(Error::Permission { .. }) => Ok(()),
        other => other,
    }
}

async fn confirmed(db: &Database, now: Timestamp) -> Result<()> {
    let command = doc! {
        "find": "Statefold_Builds", "filter": { "_id": "" }, "limit": 1, "singleBatch": true,
        "readConcern": read_concern(Some(now)),
    };
    let db = db.clone();
    let find = async move { db.run_command(command).await };
    call_within(MAJORITY_SECONDS, "waiting for a majority", find).await.map(|_| ())
}

/// The members of a replica set, with their states in words.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Members {
    /// Too few of those that hold data are up for a majority.
    Lacking(String),
    /// Enough are.
    Enough(String),
    /// This user may not ask, or nobody answers.
    Unknown,
}

async fn members(db: &Database) -> Members {
    let admin = db.client().database("admin");
    let ask = async move { admin.run_command(doc! { "replSetGetStatus": 1 }).await };
    let status = call("asking for the state of the replica set", ask).await.ok();
    status.as_ref().and_then(members_in).unwrap_or(Members::Unknown)
}

fn members_in(status: &Document) -> Option<Members> {
    let number = |document: &Document, field: &str| match document.get(field) {
        Some(Bson::Int32(number)) => Some(i64::from(*number)),
        Some(Bson::Int64(number)) => Some(*number),
        #[expect(clippy::cast_possible_truncation, reason = "a small number")]
        Some(Bson::Double(number)) => Some(*number as i64),
        _ => None,
    };
    let needed = number(status, "writeMajorityCount")?;
    let members: Vec<&Document> =
        status.get_array("members").ok()?.iter().filter_map(Bson::as_document).collect();
    // PRIMARY and SECONDARY.
    let is_up = |member: &&&Document| {
        number(member, "health") == Some(1) && matches!(number(member, "state"), Some(1 | 2))
    };
    let up = i64::try_from(members.iter().filter(is_up).count()).unwrap_or(i64::MAX);
    let state = |member: &&Document| {
        let name = member.get_str("name").unwrap_or("an unknown member");
        format!("{name} is {}", member.get_str("stateStr").unwrap_or("in an unknown state"))
    };
    let states: Vec<String> = members.iter().map(state).collect();
    let states = states.join(", ");
    Some(if up >= needed {
        Members::Enough(states)
    } else {
        Members::Lacking(format!("{needed} members that hold data are needed, {up} are up: {states}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_lack_for_a_majority_are_named() {
        let member = |name: &str, state: i32, text: &str| {
            let health = if state == 8 { 0.0 } else { 1.0 };
            doc! { "name": name, "health": health, "state": state, "stateStr": text }
        };
        let status = |second: i32| {
            let text = if second == 2 { "SECONDARY" } else { "(not reachable/healthy)" };
            let members =
                vec![member("a:1", 1, "PRIMARY"), member("b:1", second, text), member("c:1", 7, "ARBITER")];
            doc! { "writeMajorityCount": 2, "members": members }
        };
        assert!(matches!(members_in(&status(2)), Some(Members::Enough(_))));
        let Some(Members::Lacking(said)) = members_in(&status(8)) else { panic!() };
        assert!(said.contains("1 are up") && said.contains("b:1 is (not reachable/healthy)"), "{said}");
        assert_eq!(members_in(&doc! {}), None);
    }
}
