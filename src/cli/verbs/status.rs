//! `statefold status`

use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Serialize;
use serde_json::json;
use statefold_projections::Registry;

use crate::cli::args::Connection;
use crate::cli::command::{Command, VerbName};
use crate::cli::exit::EXIT_PENDING;
use crate::cli::screen::output::Output;
use crate::cli::screen::table::{count, number, or_dash, table};
use crate::cli::settings::{Raw, load};
use crate::cli::text::event_store::{fenced, no_event_store};
use crate::cli::text::generations::redefined;
use crate::config::Settings;
use crate::error::Result;
use crate::operator::{ProjectionStatus, StatusReport, status};

/// Pause between two looks of `--watch`.
const PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArgs {
    #[command(flatten)]
    pub(in crate::cli) connection: Connection,
    /// Exit with 4 if a projection is behind
    #[arg(long)]
    check: bool,
    /// Show it anew every two seconds, until Ctrl-C
    #[arg(long, conflicts_with = "check")]
    watch: bool,
}

impl StatusArgs {
    /// The command as typed.
    pub(in crate::cli) fn command(&self) -> Command {
        Command::new(VerbName::Status, &self.connection)
    }
}

pub(in crate::cli) async fn run(
    args: &StatusArgs,
    command: &Command,
    registry: &Registry,
    output: &Output,
) -> Result<u8> {
    let settings = load(&args.connection, &Raw::default())?.settings;
    if args.watch {
        return watch(&settings, command, registry, output).await;
    }
    let report = status(&settings, registry).await?;
    let next_steps = report.next_steps.iter().map(|step| command.next(step)).collect();
    let is_behind = report.is_behind();
    output.result(&Shown { report, next_steps }, text);
    Ok(if args.check && is_behind { EXIT_PENDING } else { 0 })
}

/// Shows the status again and again: on a terminal in place of the last one, else one below the other.
async fn watch(settings: &Settings, command: &Command, registry: &Registry, output: &Output) -> Result<u8> {
    loop {
        let shown = async {
            let report = status(settings, registry).await?;
            let next_steps = report.next_steps.iter().map(|step| command.next(step)).collect();
            Ok::<_, crate::error::Error>(Shown { report, next_steps })
        };
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        let pause = tokio::time::sleep(PAUSE);
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(0),
            shown = shown => match shown {
                Ok(shown) if output.is_json() => output.line(&shown),
                Ok(shown) => output.screen(&format!("{now}\n{}", text(&shown))),
                Err(error) if output.is_json() => {
                    let (code, message) = (error.code(), error.with_sources());
                    output.line(&json!({ "error": { "code": code, "message": message } }));
                }
                // It may be back soon: a screen that is watched stays.
                Err(error) => output.screen(&format!("{now}\n{}", error.with_sources())),
            },
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(0),
            () = pause => {}
        }
    }
}

/// The report, with the steps as commands.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    report: StatusReport,
    next_steps: Vec<String>,
}

/// Says that a cut-over still has to fold what changed right before its flip.
fn undrained(status: &ProjectionStatus, is_led: bool) -> String {
    let left = match &status.lag {
        Some(lag) if lag.commits == 0 => "nothing".to_owned(),
        Some(lag) => lag.line(),
        None => "what changed right before".to_owned(),
    };
    let end = if is_led {
        "A cut-over is at work."
    } else {
        "The cut-over was interrupted; whoever leads next folds it."
    };
    format!("\n{}: {left} is still to be folded after the flip. {end}", status.projection)
}

fn text(Shown { report, next_steps }: &Shown) -> String {
    if !report.has_event_store {
        return no_event_store(&report.database, &report.databases_with_events);
    }
    let header = [
        "projection",
        "version",
        "state",
        "active",
        "mode",
        "snapshots",
        "failed streams",
        "digest",
        "previous",
    ];
    let rows = report.projections.iter().map(|status| {
        let previous: Vec<String> = status.previous_generations.iter().map(ToString::to_string).collect();
        [
            status.projection.clone(),
            status.projection_version.to_string(),
            status.state.name().to_owned(),
            if status.collections.is_empty() { "-".into() } else { status.collections.join(" ") },
            or_dash(status.mode),
            or_dash(status.snapshots.map(number)),
            number(status.failed_streams),
            status.digest.as_deref().map_or_else(|| "-".into(), |digest| digest.chars().take(12).collect()),
            if previous.is_empty() { "-".into() } else { previous.join(" ") },
        ]
    });
    let mut text = format!("{} on MongoDB {}\n", report.database, report.server_version);
    text.push_str(&table(header, rows));
    for status in &report.projections {
        if let Some(build) = &status.building {
            text.push_str(&format!(
                "\n{} is {}: {} of {} partitions done",
                build.build, build.state, build.partitions_done, build.partitions
            ));
            if build.failed_streams > 0 {
                let failed_streams = count(build.failed_streams, "failed stream", "failed streams");
                text.push_str(&format!(", {failed_streams}"));
            }
            if let Some(mode) = build.mode {
                text.push_str(&format!(", for the mode {mode}"));
            }
            if let Some(paused) = &build.paused {
                text.push_str(&format!("; {paused}"));
            }
            if let Some(failure) = &build.failure {
                text.push_str(&format!("; {failure}"));
            }
            if !build.older_servers.is_empty() {
                let (version, servers) = (build.projection_version, build.older_servers.join(", "));
                text.push_str(&format!(
                    "\n  servers that can't read version {version}: {servers}; a cut-over by rename or view \
                     waits for them"
                ));
            }
        }
    }
    for status in &report.projections {
        if status.redefined {
            text.push_str(&redefined(&status.projection, status.projection_version));
        }
        for view in &status.views_elsewhere {
            text.push_str(&format!("\n{view}: the next rebuild or cut-over puts it right."));
        }
        if status.undrained {
            text.push_str(&undrained(status, report.is_led));
            continue;
        }
        let Some(lag) = status.lag.as_ref().filter(|lag| lag.commits > 0) else { continue };
        let (name, line, since) =
            (&status.projection, lag.line(), lag.since.as_deref().unwrap_or("the cut-over"));
        text.push_str(&match (lag.followed, &report.follower) {
            (true, Some(_)) => format!("\n{name}: behind by {line}."),
            (true, None) => format!("\n{name}: behind by {line}; nobody follows since {since}."),
            (false, _) => format!(
                "\n{name}: since {since} statefold didn't fold {line}; an application that writes its own \
                 snapshots has them. If yours doesn't: `statefold follow`."
            ),
        });
    }
    if let Some(follower) = &report.follower {
        text.push_str(&format!("\nFollowing: {}.", follower.line()));
    }
    if let Some(fence) = &report.fence {
        text.push_str(&format!("\n{}", fenced(fence, report.is_led)));
    }
    if let Some(leader) = &report.leader {
        text.push_str(&format!("\nLeading: {}.", leader.line()));
    }
    for instance in &report.instances {
        let reads: Vec<String> =
            instance.reads.iter().map(|(name, versions)| format!("{name} {versions:?}")).collect();
        let pid = instance.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
        text.push_str(&format!("\nRunning: {}{pid}, reads {}", instance.host, reads.join(", ")));
    }
    for worker in &report.workers {
        text.push_str(&format!("\nWorking: {}.", worker.line()));
    }
    match &report.lock.holder {
        Some(holder) => text.push_str(&format!("\nThe migration lock is held {holder}.")),
        None => text.push_str("\nThe migration lock is free."),
    }
    if !next_steps.is_empty() {
        text.push_str("\nNext:");
        for step in next_steps {
            text.push_str(&format!("\n  {step}"));
        }
    }
    text
}
