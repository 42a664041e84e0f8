//! `statefold lock show|release`

use serde_json::json;
use statefold_projections::Registry;

use super::args::{LockArgs, LockVerb};
use super::exit::Failed;
use super::output::Output;
use super::settings::{Command, Raw, settings};
use crate::error::Error;
use crate::lock::{lock_state, release_lock};
use crate::store::LockState;

pub(super) async fn run(args: LockArgs, registry: &Registry, output: &Output) -> Result<u8, Failed> {
    let (connection, release) = match args.verb {
        LockVerb::Show { connection } => (connection, None),
        LockVerb::Release { connection, force } => (connection, Some(force)),
    };
    let command = Command::new(if release.is_some() { "lock release" } else { "lock show" }, &connection);
    let failed = |error| Failed::new(error, &command);
    let (settings, _) = settings(&connection, &Raw::default()).map_err(failed)?;
    let state = lock_state(&settings, registry).await.map_err(failed)?;
    show(state.as_ref(), output);
    let (Some(force), Some(state)) = (release, state.filter(|state| state.locked)) else { return Ok(0) };
    if !force || !(connection.yes || confirmed(output)) {
        let (force, yes) = (command.with("lock release --force"), command.with("lock release --force --yes"));
        output.note(&format!(
            "Nothing was changed. If the holder is certainly dead: {force} asks, {yes} doesn't"
        ));
        return Ok(0);
    }
    if release_lock(&settings, registry, &state).await.map_err(failed)? {
        output.note("The lock is open.");
        return Ok(0);
    }
    Err(failed(Error::LockHeld {
        document: "Migration/Default".into(),
        holder: "by somebody else by now".into(),
    }))
}

fn show(state: Option<&LockState>, output: &Output) {
    let json = json!({
        "held": state.is_some_and(|state| state.locked),
        "holder": state.filter(|state| state.locked).map(|state| &state.holder),
        "document": state.map(|state| bson::Bson::Document(state.document.clone()).into_relaxed_extjson()),
    });
    output.result(&json, |json| match state {
        None => "The lock is free: there is no version document.".into(),
        Some(state) if state.locked => format!("The lock is held {}.\n{}", state.holder, json["document"]),
        Some(_) => format!("The lock is free.\n{}", json["document"]),
    });
}

fn confirmed(output: &Output) -> bool {
    output.note("Type `release` to open it:");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && answer.trim() == "release"
}
