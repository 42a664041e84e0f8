//! How a server's start ended.

use serde::Serialize;

use crate::engine::run::RebuildReport;
use crate::lifecycle::Behind;

/// How a server's start ended well.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "there is one in a start")]
#[non_exhaustive]
pub enum Outcome {
    /// This server migrated.
    Led {
        /// The token it led under.
        token: i64,
        /// What it built; absent if only the application's version had to move.
        report: Option<RebuildReport>,
        /// The application's version, if this registry owns it and it moved.
        version: Option<i32>,
    },
    /// Another server migrated while this one waited.
    Followed {
        /// The server that led, if it was seen.
        leader: Option<String>,
    },
    /// There was nothing to do.
    UpToDate,
    /// The database is newer than this program: it may serve the older generations named here, and
    /// nothing was written.
    Serving {
        /// The projections it reads older generations of.
        behind: Vec<Behind>,
    },
    /// This server was told not to write events. It migrated all the same.
    ReadOnly {
        /// Outcome of the migration.
        after: Box<Outcome>,
    },
}

impl Outcome {
    /// The outcome in words.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::Led { token, .. } => format!("This server led (token {token})."),
            Self::Followed { leader: Some(leader) } => format!("Up to date; {leader} migrated meanwhile."),
            Self::Followed { leader: None } => "Up to date; another server migrated meanwhile.".to_owned(),
            Self::UpToDate => "Up to date: nothing was to be done.".to_owned(),
            Self::Serving { behind } => {
                let names = behind.iter().map(|behind| {
                    let (projection, generation) = (&behind.projection, behind.generation);
                    let (active, registered) = (behind.active, behind.registered);
                    format!(
                        "{projection} from generation {generation} (version {registered}; active is {active})"
                    )
                });
                let names: Vec<String> = names.collect();
                format!("The database is newer than this program. It may serve {}.", names.join(", "))
            }
            Self::ReadOnly { after } => format!("{} This server is set to read-only.", after.line()),
        }
    }
}
