//! What was typed, to say it again in a hint.

use crate::cli::args::Connection;

/// What was typed, to say it again in a hint.
#[derive(Debug, Clone)]
pub(super) struct Command {
    verb: String,
    flags: String,
    connection: String,
}

impl Command {
    /// A verb with its arguments, and where it was sent. A URI with credentials is not repeated.
    pub(super) fn new(verb: impl Into<String>, connection: &Connection) -> Self {
        let mut text = String::new();
        match connection.uri.as_deref() {
            Some(uri) if std::env::var("MONGODB_URI").as_deref() == Ok(uri) => {}
            Some(uri) if uri.contains('@') => text.push_str(" --uri \"$MONGODB_URI\""),
            Some(uri) => text.push_str(&format!(" --uri '{uri}'")),
            None => {}
        }
        if let Some(database) = connection.database.as_deref()
            && std::env::var("STATEFOLD_DATABASE").as_deref() != Ok(database)
        {
            text.push_str(&format!(" --database {database}"));
        }
        Self { verb: verb.into(), flags: String::new(), connection: text }
    }

    /// With a flag that matters when it is run again.
    pub(super) fn flag(mut self, name: &str, value: Option<&str>) -> Self {
        self.flags = value.map(|value| format!("{name} {value}")).unwrap_or_default();
        self
    }

    /// Another verb on the same database.
    pub(super) fn with(&self, verb: &str) -> String {
        format!("statefold {verb}{}", self.connection)
    }

    /// The same command.
    pub(super) fn again(&self) -> String {
        self.again_with(&self.flags)
    }

    /// The same command with other flags.
    pub(super) fn again_with(&self, flags: &str) -> String {
        let asks = ["rebuild", "cutover", "rollback", "adopt"].iter().any(|verb| self.verb.starts_with(verb));
        let yes = if asks { " --yes" } else { "" };
        let space = if flags.is_empty() { "" } else { " " };
        format!("statefold {}{space}{flags}{yes}{}", self.verb, self.connection)
    }

    /// Whether it builds something.
    pub(super) fn is_work(&self) -> bool {
        let verbs = ["rebuild", "cutover", "rollback", "migrate"];
        verbs.iter().any(|verb| self.verb.starts_with(verb))
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
            yes: true,
        };
        let command = Command::new("rebuild Assets", &connection("mongodb://host"));
        assert_eq!(
            command.again(),
            "statefold rebuild Assets --yes --uri 'mongodb://host' --database Squidex"
        );
        let secret = Command::new("rebuild", &connection("mongodb://me:secret@host"));
        assert!(!secret.again_with("--max-errors 3").contains("secret"));
    }
}
