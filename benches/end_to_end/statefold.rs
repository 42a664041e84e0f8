//! statefold itself, started as users start it; the times come from its own report.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use crate::error::Result;
use crate::job::Job;
use crate::meter::{Meter, peak_memory_mb};
use crate::outcome::Outcome;

/// Path of the program.
pub(crate) const STATEFOLD: &str = env!("CARGO_BIN_EXE_statefold");
/// Name that leaves the choice of the strategy to statefold.
pub(crate) const DEFAULT: &str = "default";
/// Interval at which its memory is read.
const LOOK: Duration = Duration::from_millis(10);

#[derive(Deserialize)]
struct Report {
    projections: Vec<Built>,
}

#[derive(Deserialize)]
struct Built {
    collections: Vec<String>,
    digest: String,
    events: u64,
    snapshots: u64,
    failed_streams: u64,
    build_seconds: f64,
    index_seconds: f64,
    check_seconds: f64,
}

/// Returns true if this statefold has the flag `--strategy`.
///
/// # Errors
/// If it can't be started.
pub(crate) fn takes_strategy() -> Result<bool> {
    let help = Command::new(STATEFOLD).args(["rebuild", "--help"]).output()?;
    Ok(String::from_utf8_lossy(&help.stdout).contains("--strategy"))
}

/// Rebuilds the projection. Parts: `build`, `index`, `check`.
///
/// # Errors
/// If it fails, with its output.
pub(crate) fn work(job: &Job, server: u32, strategy: &str, memory: Option<&str>) -> Result<Outcome> {
    let mut flags = vec!["Assets"];
    if strategy != DEFAULT {
        flags.extend(["--strategy", strategy]);
    }
    let (report, measured) = rebuild(job, server, &flags, memory)?;
    let built = report.into_iter().next().ok_or("statefold built nothing")?;
    let parts =
        [("build", built.build_seconds), ("index", built.index_seconds), ("check", built.check_seconds)];
    Ok(Outcome {
        parts: parts.map(|(name, seconds)| (name.to_owned(), seconds)).into(),
        events: built.events,
        documents: built.snapshots,
        collection: built.collections.into_iter().next(),
        ..measured
    })
}

/// Rebuilds these projections. The outcome's collection has their digests.
///
/// # Errors
/// If it fails, with its output.
pub(crate) fn kinds(job: &Job, server: u32, projections: &[String], memory: Option<&str>) -> Result<Outcome> {
    let flags: Vec<&str> = projections.iter().map(String::as_str).collect();
    let (report, measured) = rebuild(job, server, &flags, memory)?;
    let digests: Vec<String> = report.iter().map(|built| built.digest.clone()).collect();
    Ok(Outcome {
        events: report.iter().map(|built| built.events).sum(),
        documents: report.iter().map(|built| built.snapshots).sum(),
        collection: Some(digests.join(" ")),
        ..measured
    })
}

/// Runs `rebuild` with these flags, and measures it.
fn rebuild(job: &Job, server: u32, flags: &[&str], memory: Option<&str>) -> Result<(Vec<Built>, Outcome)> {
    let mut command = Command::new(STATEFOLD);
    command.arg("rebuild").args(flags).args(["--yes", "-o", "json", "--log", "warn"]);
    // The server has a small oplog.
    command.env("STATEFOLD_IGNORE_MARGIN", "true");
    if let Some(memory) = memory {
        command.args(["--memory", memory]);
    }
    command.env("MONGODB_URI", &job.uri).env("STATEFOLD_DATABASE", &job.database);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let meter = Meter::start(server)?;
    let child = command.spawn()?;
    let memory = watch_memory(&child);
    let output = child.wait_with_output()?;
    let measured = meter.stop()?;
    let client_peak_mb = memory.join().unwrap_or_default();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(
            format!("statefold rebuild {} ended with {}:\n{said}", flags.join(" "), output.status).into()
        );
    }
    let report: Report = serde_json::from_slice(&output.stdout)?;
    let failed: u64 = report.projections.iter().map(|built| built.failed_streams).sum();
    if failed > 0 {
        return Err(format!("statefold rebuild {} couldn't fold {failed} streams", flags.join(" ")).into());
    }
    Ok((report.projections, Outcome { client_peak_mb, ..Outcome::of(&measured) }))
}

/// Reads the peak memory of a process until it ends. The kernel keeps the peak, so the last value
/// counts.
fn watch_memory(child: &Child) -> std::thread::JoinHandle<f64> {
    let process = child.id().to_string();
    std::thread::spawn(move || {
        let mut peak_mb = 0.0;
        while let Some(now_mb) = peak_memory_mb(&process) {
            peak_mb = now_mb;
            std::thread::sleep(LOOK);
        }
        peak_mb
    })
}
