//! Machine and program versions of a run, which decide if two results are comparable.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) memory_gb: f64,
    pub(crate) kernel: String,
}

/// The programs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Versions {
    pub(crate) statefold: String,
    pub(crate) server: String,
    pub(crate) driver: String,
    pub(crate) rustc: String,
}

impl Machine {
    /// This machine.
    pub(crate) fn here() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let memory = text("/proc/meminfo");
        let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib: f64 = kib.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gb: (kib * 1024.0 / 1e8).round() / 10.0,
            kernel: kernel(&text("/proc/sys/kernel/osrelease")),
        }
    }
}

/// Major and minor version of a kernel, without the distributor's suffix.
fn kernel(release: &str) -> String {
    release.trim().split(['.', '-']).take(2).collect::<Vec<_>>().join(".")
}

impl Versions {
    /// The versions of this run.
    pub(crate) fn now(server: String, revision: &str) -> Self {
        let rustc = Command::new("rustc").arg("--version").output();
        let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        Self {
            statefold: format!("{} ({revision})", env!("CARGO_PKG_VERSION")),
            server,
            driver: locked("mongodb").unwrap_or_default().to_owned(),
            rustc: rustc.unwrap_or_default().split_whitespace().nth(1).unwrap_or_default().to_owned(),
        }
    }
}

/// The version of a crate in the lock file.
fn locked(name: &str) -> Option<&'static str> {
    let lock = include_str!("../../Cargo.lock");
    let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    after.split('"').next()
}
