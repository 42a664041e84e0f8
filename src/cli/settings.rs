//! From flags, environment and file to validated settings.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;

use crate::cli::args::{
    ChecksArgs, Connection, KeepArgs, LeaseArgs, ListenArgs, SharingArgs, ThrottleArgs, TuningArgs,
};
use crate::config::{
    CleanupFile, CleanupSettings, ConnectionString, FileSettings, LeaseFile, LeaseSettings, ReadFrom,
    Settings, Sharing, Throttle, Tuning, read_file,
};
use crate::error::{Error, Result};
use crate::lifecycle::{ErrorLimit, Fencing, Verify};
use crate::plan::Strategy;

/// Settings file that is read if it exists.
pub(super) const DEFAULT_FILE: &str = "statefold.toml";

/// The flags of a verb, before they are validated; those it doesn't have are absent.
#[derive(Debug, Default)]
pub(super) struct Raw<'a> {
    pub(super) tuning: Option<&'a TuningArgs>,
    pub(super) lease: Option<&'a LeaseArgs>,
    pub(super) attempts: Option<u32>,
    pub(super) checks: Option<&'a ChecksArgs>,
    pub(super) keep: Option<&'a KeepArgs>,
    pub(super) throttle: Option<&'a ThrottleArgs>,
    pub(super) sharing: Option<&'a SharingArgs>,
    pub(super) help_build: Option<bool>,
    pub(super) listen: Option<&'a ListenArgs>,
}

/// The settings of a verb.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) settings: Settings,
    /// The address to listen on, of the flags or else of the file.
    pub(super) listen: Option<String>,
}

pub(super) fn file_of(connection: &Connection) -> Result<FileSettings> {
    match &connection.config {
        Some(path) => read_file(path),
        None if Path::new(DEFAULT_FILE).exists() => read_file(Path::new(DEFAULT_FILE)),
        None => Ok(FileSettings::default()),
    }
}

/// Loads the settings of a verb.
///
/// # Errors
/// [`Error::Config`] with all problems together.
pub(super) fn load(connection: &Connection, raw: &Raw<'_>) -> Result<Loaded> {
    let mut problems = Vec::new();
    let file = collect(file_of(connection), &mut problems).unwrap_or_default();
    // An empty text comes from a variable that isn't set.
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let uri = given(&connection.uri).or(file.uri.map(ConnectionString::expose));
    let database = given(&connection.database).or(file.database);
    if uri.is_none() {
        problems.push("no server: give --uri, MONGODB_URI, or `uri` in statefold.toml".to_owned());
    }
    if database.is_none() {
        problems.push(
            "no database: give --database, STATEFOLD_DATABASE, or `database` in statefold.toml".to_owned(),
        );
    }
    let flags = raw.tuning.cloned().unwrap_or_default();
    let standard = Tuning::default();
    let threads = flags.threads.or(file.threads).unwrap_or(standard.threads);
    let batch_bytes = flags.batch_bytes.or(file.batch_bytes);
    let (strategy, memory) = (flags.strategy.or(file.strategy), flags.memory.or(file.memory));
    let checks = raw.checks.cloned().unwrap_or_default();
    let (max_errors, verify) = (checks.max_errors.or(file.max_errors), checks.verify.or(file.verify));
    let fence = given(&checks.fence).or(file.fence);
    let tuning = Tuning {
        threads,
        readers: flags.readers.or(file.readers).unwrap_or(standard.readers),
        strategy: parsed("strategy", strategy, Strategy::from_str, &mut problems),
        memory_bytes: parsed("memory", memory, bytes, &mut problems).unwrap_or(standard.memory_bytes),
        partitions: flags.partitions.or(file.partitions),
        batch_commits: flags.batch_commits.or(file.batch_commits).unwrap_or(standard.batch_commits),
        batch_docs: flags.batch_docs.or(file.batch_docs).unwrap_or(standard.batch_docs),
        batch_bytes: parsed("batch_bytes", batch_bytes, bytes, &mut problems).unwrap_or(standard.batch_bytes),
        max_errors: parsed("max_errors", max_errors, ErrorLimit::from_str, &mut problems).unwrap_or_default(),
        verify: parsed("verify", verify, Verify::from_str, &mut problems).unwrap_or_default(),
        fence: parsed("fence", fence, Fencing::from_str, &mut problems),
        ..standard
    };
    // The names stand in for what is missing, so that everything else is checked too.
    let settings = Settings::new(
        uri.unwrap_or_else(|| "mongodb://missing".into()),
        database.unwrap_or_else(|| "missing".into()),
    );
    let settings = collect(settings, &mut problems);
    let checked =
        Settings::new("mongodb://missing", "missing").and_then(|settings| settings.with_tuning(tuning));
    let tuned = collect(checked, &mut problems);
    let lease = lease_settings(raw, file.lease, &mut problems);
    let checked =
        Settings::new("mongodb://missing", "missing").and_then(|settings| settings.with_lease(lease.clone()));
    collect(checked, &mut problems);
    let cleanup = cleanup_settings(raw, file.cleanup, &mut problems);
    let throttle = throttle(raw, file.max_lag, file.throttle, &mut problems);
    let shared = raw.sharing.cloned().unwrap_or_default();
    let sharing = Sharing {
        workers: shared.workers.or(file.workers).unwrap_or(1),
        lead_only: shared.lead_only || file.lead_only.unwrap_or(false),
        help_build: raw.help_build.or(file.help_build).unwrap_or(true),
        sharded_cluster: flags.sharded_cluster || file.sharded_cluster.unwrap_or(false),
    };
    problems.extend(sharing.problems());
    let read_from = given(&flags.read_preference).or(file.read_preference);
    let read_from = parsed("read_preference", read_from, ReadFrom::from_str, &mut problems);
    match (settings, tuned) {
        (Some(settings), Some(_)) if problems.is_empty() => {
            let settings = settings
                .with_tuning(tuning)?
                .with_lease(lease)?
                .with_cleanup(cleanup)
                .with_throttle(throttle)
                .with_sharing(sharing)?
                .reading_from(read_from.unwrap_or_default())
                .with_read_only(read_only_in_environment());
            let settings = match flags.spill_dir.or(file.spill_dir) {
                Some(folder) => settings.with_spill_folder(folder),
                None => settings,
            };
            let typed = raw.listen.and_then(|args| args.listen.clone());
            let listen = typed.or(file.listen);
            let settings = settings.with_database_metrics(listen.is_some());
            Ok(Loaded { settings, listen })
        }
        _ => Err(Error::Config(problems)),
    }
}

/// The lease: flags, then environment, then the file.
fn lease_settings(raw: &Raw<'_>, file: LeaseFile, problems: &mut Vec<String>) -> LeaseSettings {
    let flags = raw.lease.cloned().unwrap_or_default();
    let standard = LeaseSettings::default();
    let mut time = |name: &str, text: Option<String>| parsed(name, text, time, problems);
    let named = std::env::var("STATEFOLD_DEPLOYMENT").ok().filter(|name| !name.is_empty());
    LeaseSettings {
        ttl: time("lease_ttl", flags.lease_ttl.or(file.ttl)).unwrap_or(standard.ttl),
        renew: time("lease.renew", file.renew),
        poll: time("poll", flags.poll.or(file.poll)).unwrap_or(standard.poll),
        wait_limit: time("wait", flags.wait.or(file.wait)),
        attempts: raw.attempts.or(file.attempts).unwrap_or(standard.attempts),
        judge_processes: file.judge_processes.unwrap_or(standard.judge_processes),
        collection: file.collection.unwrap_or(standard.collection),
        version_id: file.version_id.unwrap_or(standard.version_id),
        control_id: file.control_id.unwrap_or(standard.control_id),
        deployment: named.or(file.deployment),
    }
}

/// How a run makes way: flags, then environment, then the file.
fn throttle(
    raw: &Raw<'_>,
    max_lag: Option<String>,
    latency: Option<String>,
    problems: &mut Vec<String>,
) -> Throttle {
    let flags = raw.throttle.cloned().unwrap_or_default();
    let standard = Throttle::default();
    let lag = |text: &str| if text == "off" { Ok(None) } else { time(text).map(Some) };
    let max_lag = parsed("max_lag", flags.max_lag.or(max_lag), lag, problems);
    Throttle {
        max_lag: max_lag.unwrap_or(standard.max_lag),
        throttle: parsed("throttle", flags.throttle.or(latency), time, problems),
        ..standard
    }
}

/// The generations that a clean-up keeps: flags, then environment, then the file. A rebuild has no such
/// flags, but may clean up too.
fn cleanup_settings(raw: &Raw<'_>, file: CleanupFile, problems: &mut Vec<String>) -> CleanupSettings {
    let flags = raw.keep.cloned().unwrap_or_default();
    let standard = CleanupSettings::default();
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let count =
        |text: &str| text.parse::<usize>().map_err(|error| format!("`{text}` is not a number ({error})"));
    let keep = parsed("STATEFOLD_KEEP", set("STATEFOLD_KEEP"), count, problems);
    let keep_for = flags.keep_for.or_else(|| set("STATEFOLD_KEEP_FOR")).or(file.keep_for);
    let after = set("STATEFOLD_CLEANUP_AFTER").or(file.after);
    CleanupSettings {
        keep: flags.keep.or(keep).or(file.keep).unwrap_or(standard.keep),
        keep_for: parsed("cleanup.keep_for", keep_for, time, problems),
        after: parsed("cleanup.after", after, time, problems),
    }
}

/// Reads a time, as `30s`.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(super) fn time(text: &str) -> std::result::Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("`{text}` is not a time like 30s ({error})"))
}

/// Whether `MODE_READONLY` is set, or the variable that Squidex has for it.
fn read_only_in_environment() -> bool {
    let is_set = |name: &str| {
        std::env::var(name).is_ok_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
    };
    is_set("MODE_READONLY") || is_set("MODE__ISREADONLY")
}

fn collect<T>(result: Result<T>, problems: &mut Vec<String>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Error::Config(more)) => {
            problems.extend(more);
            None
        }
        Err(other) => {
            problems.push(other.to_string());
            None
        }
    }
}

fn parsed<T>(
    name: &str,
    text: Option<String>,
    parse: impl Fn(&str) -> std::result::Result<T, String>,
    problems: &mut Vec<String>,
) -> Option<T> {
    match parse(text.as_deref()?) {
        Ok(value) => Some(value),
        Err(problem) => {
            problems.push(format!("{name}: {problem}"));
            None
        }
    }
}

fn bytes(text: &str) -> std::result::Result<usize, String> {
    let size: ByteSize =
        text.parse().map_err(|error| format!("`{text}` is not a size like 4MiB ({error})"))?;
    usize::try_from(size.as_u64()).map_err(|_| format!("`{text}` is too large"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn connection(uri: Option<&str>, database: Option<&str>, file: &str) -> (Connection, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, file).unwrap();
        let own = |text: Option<&str>| text.map(str::to_owned);
        let connection =
            Connection { uri: own(uri), database: own(database), config: Some(path), allow_empty: false };
        (connection, folder)
    }

    #[test]
    fn flags_come_before_the_file() {
        let (connection, _folder) = connection(
            Some("mongodb://flag"),
            None,
            "uri = \"mongodb://file\"\ndatabase = \"file\"\nthreads = 3\nlisten = \"127.0.0.1:1\"\n",
        );
        let flags = TuningArgs { threads: Some(5), ..TuningArgs::default() };
        let checks = ChecksArgs { max_errors: Some("1%".into()), ..ChecksArgs::default() };
        let raw = Raw { tuning: Some(&flags), checks: Some(&checks), ..Raw::default() };
        let Loaded { settings, listen } = load(&connection, &raw).unwrap();
        assert_eq!((settings.uri(), settings.database()), ("mongodb://flag", "file"));
        assert_eq!((settings.tuning().threads, settings.tuning().readers), (5, 2));
        assert_eq!(settings.tuning().max_errors, ErrorLimit::Percent(1.0));
        assert_eq!(listen.as_deref(), Some("127.0.0.1:1"));
    }

    #[test]
    fn all_problems_are_said_at_once() {
        let (connection, _folder) =
            connection(None, Some("a/b"), "batch_bytes = \"many\"\nmax_errors = \"x\"\nthreads = 0\n");
        let Err(Error::Config(problems)) = load(&connection, &Raw::default()) else { panic!("accepted") };
        assert_eq!(problems.len(), 5, "{problems:?}");
        let flags = TuningArgs {
            strategy: Some("fast".into()),
            memory: Some("1KiB".into()),
            ..TuningArgs::default()
        };
        let raw = Raw { tuning: Some(&flags), ..Raw::default() };
        let (connection, _folder) = self::connection(Some("mongodb://x"), Some("x"), "");
        let Err(Error::Config(problems)) = load(&connection, &raw) else { panic!("accepted") };
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
