//! What was seen in the last minutes: lags and rates, bounded. Pure: whoever takes a sample says when.

use std::collections::{BTreeMap, VecDeque};

use crate::observe::Doing;
use crate::operator::Overview;

/// Time that a curve shows, in seconds.
pub(super) const SHOWN_SECONDS: f64 = 900.0;
/// Maximum number of points of a curve: one a second.
const POINTS_MAX: usize = 900;

/// A curve: times in seconds, and values, the oldest first.
pub(super) type Points = VecDeque<(f64, f64)>;

/// The curves of all projections.
#[derive(Debug, Default)]
pub(super) struct Samples {
    lags: BTreeMap<String, Points>,
    rates: BTreeMap<String, Points>,
    /// The work seen last: its projection and phase, the commits it had read, and when that was.
    last: Option<(String, String, u64, f64)>,
}

impl Samples {
    /// Adds what was seen at a time: how far projections are behind, and how far the work at hand has come.
    pub(super) fn take(&mut self, at: f64, overview: &Overview, working: Option<&Doing>) {
        for projection in &overview.status.projections {
            if let Some(lag) = &projection.lag {
                #[expect(clippy::cast_precision_loss, reason = "a number to look at")]
                push(self.lags.entry(projection.projection.clone()).or_default(), at, lag.seconds as f64);
            }
        }
        match working {
            Some(doing) => self.rate(at, doing),
            None => self.last = None,
        }
    }

    /// Commits per second, from two sights of the same phase. A leader elsewhere tells its count with each
    /// beat only: in between nothing is known.
    fn rate(&mut self, at: f64, doing: &Doing) {
        let same = self
            .last
            .as_ref()
            .filter(|(projection, phase, ..)| (projection, phase) == (&doing.projection, &doing.phase));
        let Some((_, _, commits, before)) = same else {
            doing.projection.split(", ").for_each(|one| _ = self.rates.remove(one));
            self.last = Some((doing.projection.clone(), doing.phase.clone(), doing.commits, at));
            return;
        };
        let is_still = doing.commits <= *commits;
        if at <= *before || is_still && doing.held.is_none() {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a number to look at")]
        let rate = doing.commits.saturating_sub(*commits) as f64 / (at - before);
        // One pass reads for several projections, which are named together.
        for one in doing.projection.split(", ") {
            push(self.rates.entry(one.to_owned()).or_default(), at, rate);
        }
        self.last = Some((doing.projection.clone(), doing.phase.clone(), doing.commits, at));
    }

    /// How far a projection was behind, in seconds.
    pub(super) fn lags(&self, projection: &str) -> Points {
        self.lags.get(projection).cloned().unwrap_or_default()
    }

    /// The commits per second of the work on a projection.
    pub(super) fn rates(&self, projection: &str) -> Points {
        self.rates.get(projection).cloned().unwrap_or_default()
    }
}

fn push(points: &mut Points, at: f64, value: f64) {
    points.push_back((at, value));
    while points.len() > POINTS_MAX || points.front().is_some_and(|(first, _)| *first < at - SHOWN_SECONDS) {
        points.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doing(commits: u64) -> Doing {
        Doing { projection: "Assets".into(), phase: "building".into(), commits, ..Doing::default() }
    }

    #[test]
    fn a_rate_needs_two_sights_of_the_same_phase() {
        let mut samples = Samples::default();
        samples.rate(0.0, &doing(100));
        assert!(samples.rates("Assets").is_empty());
        samples.rate(2.0, &doing(300));
        // The leader hasn't said more yet: no zero in between.
        samples.rate(3.0, &doing(300));
        samples.rate(4.0, &doing(500));
        assert_eq!(samples.rates("Assets"), [(2.0, 100.0), (4.0, 100.0)]);
        samples.rate(5.0, &Doing { held: Some("paused".into()), ..doing(500) });
        assert_eq!(samples.rates("Assets").back(), Some(&(5.0, 0.0)));
        samples.rate(6.0, &Doing { phase: "verifying".into(), ..doing(0) });
        assert!(samples.rates("Assets").is_empty());
    }

    #[test]
    fn curves_are_bounded() {
        let mut points = Points::new();
        for at in 0..2000 {
            push(&mut points, f64::from(at), 1.0);
        }
        assert_eq!((points.len(), points.front().map(|(at, _)| *at)), (POINTS_MAX, Some(1100.0)));
        push(&mut points, 9000.0, 1.0);
        assert_eq!(points.len(), 1);
    }
}
