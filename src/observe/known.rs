//! What the database says of a projection, whichever process did it.

use metrics::gauge;

use crate::observe::metric;

/// What the database says of a projection.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Known {
    /// Number of the active generation, 0 if there is none.
    pub(crate) active: u32,
    /// When readers were moved to it, in seconds since 1970.
    pub(crate) since_seconds: u32,
    /// When it was last verified as a whole, in seconds since 1970.
    pub(crate) verified_seconds: f64,
    /// Differences that were found then.
    pub(crate) differences: u64,
}

impl Known {
    /// Shows it in the metrics.
    pub(crate) fn show(&self, projection: &str) {
        let set =
            |name: &'static str, value: f64| gauge!(name, "projection" => projection.to_owned()).set(value);
        set(metric::ACTIVE_GENERATION.name, f64::from(self.active));
        set(metric::LAST_CUT_OVER.name, f64::from(self.since_seconds));
        set(metric::LAST_VERIFY.name, self.verified_seconds);
        #[expect(clippy::cast_precision_loss, reason = "a number to look at")]
        set(metric::VERIFY_DIFFERENCES.name, self.differences as f64);
    }

    /// Shows since when the event store is in read-only mode, in seconds since 1970; 0 if it isn't.
    pub(crate) fn show_read_only(since_seconds: f64) {
        gauge!(metric::READ_ONLY_SINCE.name).set(since_seconds);
    }
}
