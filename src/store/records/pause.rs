//! A pause, as it is recorded.

use bson::DateTime;
use serde::{Deserialize, Serialize};

/// A pause of a build: by whom, since when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PauseRecord {
    /// Name of the user, as the system knows it.
    pub by: String,
    /// The host the pause was set on.
    pub host: String,
    /// When it began.
    pub since: DateTime,
    /// The reason, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl PauseRecord {
    /// The pause in words: by whom, since when and why.
    #[must_use]
    pub(crate) fn line(&self) -> String {
        let since = self.since.try_to_rfc3339_string().unwrap_or_default();
        let mut line = format!("paused by {} on {} since {since}", self.by, self.host);
        if let Some(reason) = &self.reason {
            line.push_str(&format!(": {reason}"));
        }
        line
    }
}

pub(crate) fn user() -> String {
    let set = |name: &str| std::env::var(name).ok().filter(|name| !name.is_empty());
    set("USER").or_else(|| set("LOGNAME")).unwrap_or_else(|| "an unknown user".into())
}
