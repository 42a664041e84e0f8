//! What is known at one moment, with the curves of what was seen before.

use std::collections::BTreeMap;

use crate::observe::Doing;
use crate::operator::Overview;
use crate::page::chart::curve;
use crate::page::model::words;
use crate::page::samples::{SHOWN_SECONDS, Samples};

/// Time that the curve of a rate shows, in seconds.
const RATE_SECONDS: f64 = 120.0;

/// What is known at one moment.
#[derive(Default)]
pub(in crate::page) struct Seen {
    /// What the last look that succeeded showed.
    pub(in crate::page) overview: Option<Overview>,
    /// When that was, in RFC 3339.
    pub(in crate::page) seen_at: Option<String>,
    /// Why there is nothing newer.
    pub(in crate::page) problem: Option<String>,
    /// The work of this process.
    pub(in crate::page) working: Option<Doing>,
    /// The time of the curves.
    pub(in crate::page) now: f64,
    /// Of each projection its lag and its rate, as curves.
    pub(super) curves: BTreeMap<String, (String, Option<Rate>)>,
}

/// Commits per second: the last one, and the curve of the last minutes.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::page) struct Rate {
    pub(in crate::page) now: String,
    pub(in crate::page) curve: String,
}

impl Seen {
    /// Draws the curves of what was sampled.
    pub(in crate::page) fn curves(&mut self, samples: &Samples) {
        let Some(overview) = &self.overview else { return };
        let curves = |name: &str| {
            let rates = samples.rates(name);
            let rate = rates.back().map(|(_, last)| Rate {
                now: words::per_second(*last),
                curve: curve(&rates, self.now, RATE_SECONDS, 1.0),
            });
            // A lag of some seconds isn't drawn as if it were an hour.
            (curve(&samples.lags(name), self.now, SHOWN_SECONDS, 10.0), rate)
        };
        let names = overview.status.projections.iter().map(|found| found.projection.clone());
        self.curves = names.map(|name| (name.clone(), curves(&name))).collect();
    }
}

impl Seen {
    pub(super) fn lag_curve(&self, projection: &str) -> String {
        self.curves.get(projection).map(|(lag, _)| lag.clone()).unwrap_or_default()
    }

    pub(super) fn rate(&self, projection: &str) -> Option<Rate> {
        self.curves.get(projection).and_then(|(_, rate)| rate.clone())
    }
}
