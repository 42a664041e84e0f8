//! Signatures of the holders of lease, migration lock and fence: a dead holder on this machine is
//! recognised for certain.

use std::fs;

use bson::{Bson, DateTime, Document, doc};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// Identity of a process, with which it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct ProcessIdentity {
    host: String,
    pid: u32,
    /// Boot, PID namespace and start time of the process: together with the PID they are unique. Empty where
    /// the system doesn't tell them.
    process: String,
}

impl ProcessIdentity {
    /// This process.
    pub(in crate::store) fn me() -> Self {
        let pid = std::process::id();
        Self { host: host_name(), pid, process: process_identity(pid).unwrap_or_default() }
    }

    /// Fields of the signature.
    pub(in crate::store) fn document(&self) -> Document {
        doc! { "Host": &self.host, "Pid": i64::from(self.pid), "Process": &self.process }
    }

    /// Reads a signature.
    pub(in crate::store) fn read(document: &Document) -> Option<Self> {
        let pid = document.get("Pid").and_then(Bson::as_i64).and_then(|pid| u32::try_from(pid).ok())?;
        Some(Self {
            host: document.get_str("Host").ok()?.to_owned(),
            pid,
            process: document.get_str("Process").unwrap_or_default().to_owned(),
        })
    }

    /// Whether this process signed.
    pub(in crate::store) fn is_me(&self) -> bool {
        !self.process.is_empty() && *self == Self::me()
    }

    /// Whether the process certainly doesn't run any more. That can be told only of a process of the same
    /// boot and the same PID namespace.
    pub(in crate::store) fn is_certainly_dead(&self) -> bool {
        let (Some((world, _)), Some(mine)) =
            (self.process.rsplit_once('/'), process_identity(std::process::id()))
        else {
            return false;
        };
        let same_world = mine.rsplit_once('/').is_some_and(|(my_world, _)| my_world == world);
        same_world
            && match process_identity(self.pid) {
                Some(now) => now != self.process,
                None => !runs(self.pid),
            }
    }
}

/// A signature in words: `by HOST (pid N) since …`.
pub(in crate::store) fn describe(locked_by: Option<&Document>) -> String {
    let Some(document) = locked_by else {
        return "by an unknown process, since an unknown time (it was not taken by statefold)".into();
    };
    let host = document.get_str("Host").unwrap_or("an unknown host");
    let pid = document.get("Pid").and_then(Bson::as_i64).map_or(String::new(), |pid| format!(" (pid {pid})"));
    let since = describe_time(document, "Since");
    format!("by {host}{pid} since {}", since.as_deref().unwrap_or("an unknown time"))
}

/// A time of a document, in RFC 3339.
pub(in crate::store) fn describe_time(document: &Document, name: &str) -> Option<String> {
    document.get_datetime(name).ok().and_then(|time| time.try_to_rfc3339_string().ok())
}

/// The signature of this process, with the present time.
pub(in crate::store) fn signature(owner: &str, token: i64) -> Document {
    let mut document = doc! { "Owner": owner, "Token": token };
    document.extend(ProcessIdentity::me().document());
    document.insert("Since", DateTime::now());
    document
}

fn host_name() -> String {
    let named =
        fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    named
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".into())
}

/// Whether a process of this PID may run. `/proc` alone doesn't tell: it may hide the processes of other
/// users (`hidepid` of proc(5), `ProtectProc` of systemd).
fn runs(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return true };
    match test_kill_process(pid) {
        Ok(()) => !is_zombie(pid),
        Err(error) => error != Errno::SRCH,
    }
}

/// Whether a process has ended and only waits for its parent.
fn is_zombie(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let state =
        stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().next().map(str::to_owned));
    state.is_some_and(|state| state == "Z" || state == "X")
}

/// `boot/pid namespace/start time` of a process; `None` if it doesn't run, or the system isn't Linux.
fn process_identity(pid: u32) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain spaces; the 20th field after it is the start time (proc(5)).
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?;
    let ended = matches!(state, "Z" | "X");
    (!ended).then(|| format!("{}/{}/{started}", boot.trim(), namespace.display()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_is_not_dead_and_one_that_ended_is() {
        let me = ProcessIdentity::me();
        assert!(!me.is_certainly_dead());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let identity = process_identity(child.id()).unwrap();
        let holder = ProcessIdentity { host: me.host.clone(), pid: child.id(), process: identity };
        assert!(!holder.is_certainly_dead());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(holder.is_certainly_dead());
    }

    #[test]
    fn a_process_that_runs_is_seen_without_proc() {
        assert!(runs(std::process::id()) && runs(1));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(!runs(pid));
    }

    #[test]
    fn a_process_of_another_machine_is_never_judged() {
        let me = ProcessIdentity::me();
        let elsewhere =
            ProcessIdentity { process: format!("other-{}", me.process), pid: u32::MAX, ..me.clone() };
        assert!(!elsewhere.is_certainly_dead());
        let unknown = ProcessIdentity { process: String::new(), ..me };
        assert!(!unknown.is_certainly_dead());
    }

    #[test]
    fn a_signature_reads_back() {
        let document = signature("owner", 7);
        let read = ProcessIdentity::read(&document).unwrap();
        assert!(read == ProcessIdentity::me() && read.is_me());
        assert!(describe(Some(&document)).contains(&format!("(pid {})", std::process::id())));
        assert!(describe(None).contains("not taken by statefold"));
    }
}
