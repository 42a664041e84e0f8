//! A meter of time, CPU seconds of server and client, and peak memory, read from `/proc` (Linux).

use std::fs;
use std::time::Instant;

use crate::error::Result;

/// Ticks of `/proc/PID/stat` per second, on every current Linux.
const TICKS_PER_SECOND: f64 = 100.0;
/// Fields of `/proc/PID/stat` after the name: user and system time, own and of ended children.
const OWN: [usize; 2] = [11, 12];
const CHILDREN: [usize; 2] = [13, 14];

/// A running measurement.
pub(crate) struct Meter {
    server: u32,
    began: Instant,
    server_before: f64,
    own_before: f64,
}

/// Time and CPU seconds of the measured part.
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) server_cpu_seconds: f64,
    pub(crate) client_cpu_seconds: f64,
}

impl Meter {
    /// Starts to measure this process and the server with this process id.
    ///
    /// # Errors
    /// If the server isn't on this machine.
    pub(crate) fn start(server: u32) -> Result<Self> {
        let (server_before, own_before) = (cpu_seconds(&server.to_string(), OWN)?, client_cpu_seconds()?);
        Ok(Self { server, began: Instant::now(), server_before, own_before })
    }

    /// Time since the start.
    pub(crate) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Ends the measurement.
    ///
    /// # Errors
    /// If the server is gone.
    pub(crate) fn stop(self) -> Result<Measured> {
        let seconds = self.seconds();
        Ok(Measured {
            seconds,
            server_cpu_seconds: cpu_seconds(&self.server.to_string(), OWN)? - self.server_before,
            client_cpu_seconds: client_cpu_seconds()? - self.own_before,
        })
    }
}

/// CPU seconds of this process and of the children it has waited for.
fn client_cpu_seconds() -> Result<f64> {
    Ok(cpu_seconds("self", OWN)? + cpu_seconds("self", CHILDREN)?)
}

fn cpu_seconds(process: &str, fields: [usize; 2]) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // The name, in parentheses, may contain any character; the other fields come after it.
    let values: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = fields.iter().filter_map(|at| values.get(*at)?.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// Peak memory of a process so far, in MB; `None` if it has ended.
pub(crate) fn peak_memory_mb(process: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}
