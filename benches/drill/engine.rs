//! The engine under drill: this same program, started as `statefold`, so that it shares no runtime with
//! the application.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::args::{Args, Result};

/// Environment variable that makes this program act as `statefold`.
pub(crate) const ENGINE: &str = "DRILL_ENGINE";

fn command(args: &Args, verb: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(verb)
        .args([
            "--uri",
            &args.uri,
            "--database",
            &args.database,
            "--log",
            &std::env::var("DRILL_LOG").unwrap_or_else(|_| "warn".into()),
        ])
        .env(ENGINE, "1")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    Ok(command)
}

/// Runs a verb to its end and returns its report.
pub(crate) async fn run(args: &Args, verb: &[&str]) -> Result<Value> {
    let mut command = command(args, verb)?;
    command.args(["-o", "json"]);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("statefold {}: {}\n{text}", verb.join(" "), output.status).into());
    }
    Ok(serde_json::from_str(&text)?)
}

/// Starts a verb that runs until it is stopped.
pub(crate) fn start(args: &Args, verb: &[&str]) -> Result<Child> {
    Ok(command(args, verb)?.stdout(Stdio::null()).spawn()?)
}
