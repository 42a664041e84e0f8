//! The command that was typed, to repeat it in a hint.

use crate::cli::args::Connection;
use crate::config::is_public;
use crate::next_step::NextStep;

/// A verb of the command line, as a hint names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VerbName {
    Abort,
    Adopt,
    Cleanup,
    Completions,
    Cutover,
    ErrorsList,
    ErrorsRetry,
    ErrorsShow,
    Fixture,
    Follow,
    History,
    Health,
    LockRelease,
    LockShow,
    Migrate,
    Pause,
    Plan,
    ProjectionsCheck,
    ProjectionsSchema,
    ProjectionsTest,
    ProjectionsTry,
    ReadOnlyOff,
    ReadOnlyOn,
    ReadOnlyStatus,
    Rebuild,
    Resume,
    Rollback,
    Serve,
    Status,
    Verify,
    Work,
}

impl VerbName {
    /// The words to type.
    fn words(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Adopt => "adopt",
            Self::Cleanup => "cleanup",
            Self::Completions => "completions",
            Self::Cutover => "cutover",
            Self::ErrorsList => "errors list",
            Self::ErrorsRetry => "errors retry",
            Self::ErrorsShow => "errors show",
            Self::Fixture => "fixture",
            Self::Follow => "follow",
            Self::History => "history",
            Self::Health => "health",
            Self::LockRelease => "lock release",
            Self::LockShow => "lock show",
            Self::Migrate => "migrate",
            Self::Pause => "pause",
            Self::Plan => "plan",
            Self::ProjectionsCheck => "projections check",
            Self::ProjectionsSchema => "projections schema",
            Self::ProjectionsTest => "projections test",
            Self::ProjectionsTry => "projections try",
            Self::ReadOnlyOff => "read-only off",
            Self::ReadOnlyOn => "read-only on",
            Self::ReadOnlyStatus => "read-only status",
            Self::Rebuild => "rebuild",
            Self::Resume => "resume",
            Self::Rollback => "rollback",
            Self::Serve => "serve",
            Self::Status => "status",
            Self::Verify => "verify",
            Self::Work => "work",
        }
    }

    /// Whether it changes nothing without `--yes`.
    fn needs_yes(self) -> bool {
        matches!(
            self,
            Self::Abort
                | Self::Adopt
                | Self::Cleanup
                | Self::Cutover
                | Self::ErrorsRetry
                | Self::LockRelease
                | Self::Pause
                | Self::ReadOnlyOff
                | Self::ReadOnlyOn
                | Self::Rebuild
                | Self::Resume
                | Self::Rollback
        )
    }

    /// Whether it builds or publishes a generation, and keeps what is done so far when it fails.
    fn is_work(self) -> bool {
        matches!(self, Self::Rebuild | Self::Cutover | Self::Rollback | Self::Migrate)
    }
}

/// A text as one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A verb with its arguments, and the database it was sent to.
#[derive(Debug, Clone)]
pub(super) struct Command {
    verb: VerbName,
    arguments: Vec<String>,
    changeable: Option<String>,
    connection: String,
}

impl Command {
    /// A verb, and where it was sent. A URI with credentials is not repeated.
    pub(super) fn new(verb: VerbName, connection: &Connection) -> Self {
        let mut text = String::new();
        match connection.uri.as_deref() {
            Some(uri) if std::env::var("MONGODB_URI").as_deref() == Ok(uri) => {}
            Some(uri) if !is_public(uri) => text.push_str(" --uri \"$MONGODB_URI\""),
            Some(uri) => text.push_str(&format!(" --uri '{uri}'")),
            None => {}
        }
        if let Some(database) = connection.database.as_deref()
            && std::env::var("STATEFOLD_DATABASE").as_deref() != Ok(database)
        {
            text.push_str(&format!(" --database {database}"));
        }
        if connection.allow_empty {
            text.push_str(" --allow-empty");
        }
        if let Some(file) = connection.config.as_deref()
            && std::env::var_os("STATEFOLD_CONFIG").as_deref() != Some(file.as_os_str())
        {
            text.push_str(&format!(" --config '{}'", file.display()));
        }
        Self { connection: text, ..Self::without_database(verb) }
    }

    /// A verb that talks to no database.
    pub(super) fn without_database(verb: VerbName) -> Self {
        Self { verb, arguments: Vec::new(), changeable: None, connection: String::new() }
    }

    /// Adds words that every command on this database has, as typed: with a space before each.
    pub(super) fn also(mut self, words: &str) -> Self {
        self.connection.push_str(words);
        self
    }

    /// Adds arguments that matter when it is run again.
    pub(super) fn arguments(mut self, arguments: impl IntoIterator<Item = String>) -> Self {
        self.arguments.extend(arguments);
        self
    }

    /// Adds the flag that [`Self::again_with`] puts others in place of.
    pub(super) fn changeable(mut self, name: &str, value: Option<&str>) -> Self {
        self.changeable = value.map(|value| format!("{name} {value}"));
        self
    }

    /// Another verb, with its arguments, on the same database.
    pub(super) fn other(&self, verb: &str) -> String {
        format!("statefold {verb}{}", self.connection)
    }

    /// Says steps as commands, as [`Self::next`] does.
    pub(super) fn says(&self) -> impl Fn(&NextStep) -> String + Send + Sync + 'static {
        let command = self.clone();
        move |step| command.next(step)
    }

    /// The command of a step that leads on, with the same connection.
    pub(super) fn next(&self, step: &NextStep) -> String {
        let named = |verb: &str, projection: &str, collections: &[String]| {
            let collections: String =
                collections.iter().map(|collection| format!(" --collection {collection}")).collect();
            format!("{verb} {projection}{collections}")
        };
        let of_one = |verb: &str, projection: Option<&str>| {
            [Some(verb), projection, Some("--yes")].into_iter().flatten().collect::<Vec<_>>().join(" ")
        };
        self.other(&match step {
            NextStep::Rebuild { projections, postpone, max_errors } => {
                let allowed = max_errors.map(|number| format!("--max-errors {number}"));
                let words = ["rebuild"].into_iter().chain(projections.iter().map(String::as_str));
                let words = words.chain(postpone.then_some("--postpone")).chain(allowed.as_deref());
                words.chain(["--yes"]).collect::<Vec<_>>().join(" ")
            }
            NextStep::CutOver { projection, max_errors } => {
                let allowed = max_errors.map_or_else(String::new, |number| format!(" --max-errors {number}"));
                format!("cutover {projection}{allowed} --yes")
            }
            NextStep::Abort(projection) => of_one("abort", projection.as_deref()),
            NextStep::Resume(projection) => of_one("resume", projection.as_deref()),
            NextStep::Migrate => "migrate".to_owned(),
            NextStep::EndReadOnly => "read-only off --yes".to_owned(),
            NextStep::ShowFence => "read-only status".to_owned(),
            NextStep::ShowLock => "lock show".to_owned(),
            NextStep::ReleaseLock => "lock release --force --yes".to_owned(),
            NextStep::Plan => "plan".to_owned(),
            NextStep::ListFailedStreams => "errors list".to_owned(),
            NextStep::RetryFailedStreams => "errors retry --yes".to_owned(),
            NextStep::Adopt { projection, collections } => {
                format!("{} --yes", named("adopt", projection, collections))
            }
            NextStep::Verify { projection, collections } => named("verify", projection, collections),
        })
    }

    /// The same command.
    pub(super) fn again(&self) -> String {
        self.typed(self.changeable.as_deref())
    }

    /// The same command with other flags.
    pub(super) fn again_with(&self, flags: &str) -> String {
        self.typed(Some(flags))
    }

    /// The command that builds everything of it from scratch.
    pub(super) fn fresh_rebuild(&self) -> String {
        if self.verb == VerbName::Rebuild {
            return self.again_with("--fresh");
        }
        let projections = self.arguments.iter().map(String::as_str).filter(|word| !word.starts_with('-'));
        let is_named = matches!(self.verb, VerbName::Cutover | VerbName::Rollback | VerbName::Follow);
        let projections = projections.filter(|_| is_named);
        let words: Vec<&str> =
            std::iter::once("rebuild").chain(projections).chain(["--fresh", "--yes"]).collect();
        self.other(&words.join(" "))
    }

    fn typed(&self, flags: Option<&str>) -> String {
        let yes = self.verb.needs_yes().then_some("--yes");
        let arguments = self.arguments.iter().map(String::as_str);
        let words: Vec<&str> =
            std::iter::once(self.verb.words()).chain(arguments).chain(flags).chain(yes).collect();
        self.other(&words.join(" "))
    }

    /// What is certain of the publishing when it failed: a migration publishes each projection when it is
    /// finished, all other verbs all of them together.
    pub(super) fn published(&self) -> &'static str {
        match self.verb {
            VerbName::Migrate => "What was published stays published. ",
            _ => "Nothing was published. ",
        }
    }

    /// Whether it builds or publishes a generation.
    pub(super) fn is_work(&self) -> bool {
        self.verb.is_work()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_repeats_what_was_typed_but_no_password() {
        let connection = |uri: &str| Connection {
            uri: Some(uri.into()),
            database: Some("Squidex".into()),
            config: None,
            allow_empty: false,
        };
        let command = Command::new(VerbName::Rebuild, &connection("mongodb://host"))
            .arguments(["Assets".to_owned()])
            .changeable("--max-errors", Some("1"));
        let rest = "--yes --uri 'mongodb://host' --database Squidex";
        assert_eq!(command.again(), format!("statefold rebuild Assets --max-errors 1 {rest}"));
        assert_eq!(command.again_with("--fresh"), format!("statefold rebuild Assets --fresh {rest}"));
        let secret = Command::new(VerbName::Migrate, &connection("mongodb://me:secret@host"));
        assert!(!secret.again_with("--max-errors 3").contains("secret"));
        assert!(!secret.again().contains("--yes"));
    }
}
