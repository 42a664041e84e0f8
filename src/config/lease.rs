//! Settings of the lease, of the migration lock, and of waiting for them.

use std::time::Duration;

use crate::error::{Error, Result};

/// Settings of leadership; [`Default`] fits most. All servers of one database should have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSettings {
    /// Validity of the lease after a renewal. A leader that dies is replaced after this time.
    pub ttl: Duration,
    /// Pause between renewals; a third of `ttl` by default.
    pub renew: Option<Duration>,
    /// Pause between two looks at a lease or migration lock that somebody else holds, with some jitter.
    pub poll: Duration,
    /// Time limit of waiting for lease and migration lock together; none by default, but a rebuild then
    /// waits for the migration lock at most a minute.
    pub wait_limit: Option<Duration>,
    /// Attempts of one process to migrate before its start fails.
    pub attempts: u32,
    /// Whether the lease of a process that certainly ended (same machine, same boot) is taken over at once,
    /// instead of after `ttl`.
    pub judge_processes: bool,
    /// Collection of version document and control document.
    pub collection: String,
    /// Id of the version document, with the application's migration lock.
    pub version_id: String,
    /// Id of the control document, with lease and pointers.
    pub control_id: String,
    /// Name of this deployment, by which a lease or migration lock in a restored backup is recognised; by
    /// default the id of the replica set, where it can be read.
    pub deployment: Option<String>,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(30),
            renew: None,
            poll: Duration::from_secs(5),
            wait_limit: None,
            attempts: 3,
            judge_processes: true,
            collection: "Migration".to_owned(),
            version_id: "Default".to_owned(),
            control_id: "Statefold".to_owned(),
            deployment: None,
        }
    }
}

impl LeaseSettings {
    /// Pause between renewals.
    #[must_use]
    pub fn renew_every(&self) -> Duration {
        self.renew.unwrap_or(self.ttl / 3)
    }

    /// Checks that the values fit together.
    ///
    /// # Errors
    /// [`Error::Config`] with all problems.
    pub(super) fn check(&self) -> Result<()> {
        let mut problems = Vec::new();
        if self.ttl < Duration::from_millis(300) {
            problems.push("the lease's ttl has to be at least 300ms".to_owned());
        }
        if self.renew_every().is_zero() || self.renew_every() > self.ttl / 2 {
            problems.push("the lease has to be renewed at least twice in its ttl".to_owned());
        }
        if self.poll.is_zero() {
            problems.push("the pause between two looks at the lease can't be zero".to_owned());
        }
        if self.attempts == 0 {
            problems.push("attempts has to be at least 1".to_owned());
        }
        if self.collection.is_empty() || self.collection.contains('$') {
            problems.push(format!("`{}` is not a name of a collection", self.collection));
        }
        for name in [&self.collection, &self.version_id, &self.control_id] {
            if name.contains(char::is_control) {
                problems.push(format!("{name:?} has a control character, perhaps a line end"));
            }
        }
        if self.version_id == self.control_id {
            problems.push("version document and control document need different ids".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Config(problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_together_is_refused() {
        assert!(LeaseSettings::default().check().is_ok());
        let slow = LeaseSettings { renew: Some(Duration::from_secs(20)), ..LeaseSettings::default() };
        let odd = LeaseSettings { attempts: 0, version_id: "Statefold".into(), ..slow };
        let Err(Error::Config(problems)) = odd.check() else { panic!("accepted") };
        assert_eq!(problems.len(), 3, "{problems:?}");
    }
}
