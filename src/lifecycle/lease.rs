//! The lease as values: when a challenger may take it, and when its holder must consider it lost.
//!
//! No clock is read here: times are durations since some moment of the caller's own monotonic clock,
//! and clocks of different processes are never compared. A holder counts its tenure from the moment
//! *before* it sent the renewal that succeeded; a challenger counts from the moment *after* it first
//! saw that beat. The second can't be earlier than the first, so a tenure is over before anybody may
//! take the lease over. Writes of a holder after that are refused by its token.

use std::time::Duration;

/// Token and beat of a held lease. Any change of them is a sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beat {
    /// The fencing token: grows with every takeover.
    pub token: i64,
    /// Grows with every renewal.
    pub beat: i64,
}

/// Verdict of a challenger on the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nobody holds the lease: take it.
    Free,
    /// It was not renewed for as long as it is valid: take it over, if its beat still is this one.
    Stale(Beat),
    /// Somebody holds it.
    Held {
        /// Whether it was renewed since this challenger first saw it.
        alive: bool,
        /// Time after which it is stale, if it isn't renewed.
        stale_in: Duration,
    },
}

/// Watches a lease that somebody else holds.
#[derive(Debug, Clone)]
pub(crate) struct Challenger {
    ttl: Duration,
    seen: Option<(Beat, Duration)>,
    alive: bool,
}

impl Challenger {
    /// A challenger of a lease that is valid for `ttl` after each renewal.
    #[must_use]
    pub(crate) fn new(ttl: Duration) -> Self {
        Self { ttl, seen: None, alive: false }
    }

    /// Judges the lease as it was read. `now` is a time after the reply has arrived.
    pub(crate) fn observe(&mut self, now: Duration, held: Option<Beat>) -> Claim {
        let Some(held) = held else {
            self.seen = None;
            self.alive = false;
            return Claim::Free;
        };
        match self.seen {
            Some((seen, since)) if seen == held => {
                let stale_in = (since + self.ttl).saturating_sub(now);
                if stale_in.is_zero() {
                    Claim::Stale(held)
                } else {
                    Claim::Held { alive: self.alive, stale_in }
                }
            }
            former => {
                self.alive = former.is_some_and(|(seen, _)| seen.token == held.token);
                self.seen = Some((held, now));
                Claim::Held { alive: self.alive, stale_in: self.ttl }
            }
        }
    }
}

/// Tenure: the time for which a holder may consider the lease its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tenure {
    ttl: Duration,
    confirmed: Duration,
}

impl Tenure {
    /// A tenure that begins with a successful request, which was sent at that time.
    #[must_use]
    pub(crate) fn new(ttl: Duration, sent: Duration) -> Self {
        Self { ttl, confirmed: sent }
    }

    /// Extends the tenure by a successful renewal, which was sent at that time.
    pub(crate) fn renewed(&mut self, sent: Duration) {
        self.confirmed = self.confirmed.max(sent);
    }

    /// The end of the tenure.
    #[must_use]
    pub(crate) fn ends(&self) -> Duration {
        self.confirmed + self.ttl
    }

    /// Whether the holder has to consider the lease lost.
    #[must_use]
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        now >= self.ends()
    }
}

/// A pause with random jitter, 80 to 120 % of it, so that waiting servers don't all ask at once.
#[must_use]
pub(crate) fn jittered(pause: Duration, chance: u64) -> Duration {
    let permille = u32::try_from(800 + chance % 401).unwrap_or(1000);
    pause / 1000 * permille
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TTL: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_is_stale_when_its_beat_stood_still_for_as_long_as_it_is_valid() {
        let mut challenger = Challenger::new(TTL);
        let beat = |beat| Some(Beat { token: 7, beat });
        assert_eq!(challenger.observe(at(100), beat(1)), Claim::Held { alive: false, stale_in: TTL });
        assert_eq!(challenger.observe(at(129), beat(1)), Claim::Held { alive: false, stale_in: at(1) });
        assert_eq!(challenger.observe(at(129), beat(2)), Claim::Held { alive: true, stale_in: TTL });
        assert_eq!(challenger.observe(at(159), beat(2)), Claim::Stale(Beat { token: 7, beat: 2 }));
        assert_eq!(challenger.observe(at(160), None), Claim::Free);
    }

    #[test]
    fn another_holder_is_not_a_sign_of_life_of_its_own() {
        let mut challenger = Challenger::new(TTL);
        challenger.observe(at(0), Some(Beat { token: 7, beat: 3 }));
        let next = challenger.observe(at(1), Some(Beat { token: 8, beat: 0 }));
        assert_eq!(next, Claim::Held { alive: false, stale_in: TTL });
    }

    #[test]
    fn a_tenure_counts_from_what_was_sent_and_never_goes_back() {
        let mut tenure = Tenure::new(TTL, at(10));
        assert!(!tenure.is_over(at(39)) && tenure.is_over(at(40)));
        tenure.renewed(at(20));
        tenure.renewed(at(15));
        assert_eq!(tenure.ends(), at(50));
    }

    /// One process of the simulation, with a clock of its own.
    struct Process {
        clock: u64,
        paused_until: u64,
        challenger: Challenger,
        tenure: Option<(i64, Tenure)>,
        renewal: Option<(u64, u64)>,
    }

    #[derive(Debug, Clone, Copy)]
    struct Step {
        who: usize,
        pause: u64,
        delay: u64,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = (0..4_usize, prop_oneof![4 => 0..3_u64, 1 => 0..90_u64], 0..12_u64);
        proptest::collection::vec(step.prop_map(|(who, pause, delay)| Step { who, pause, delay }), 1..400)
    }

    proptest! {
        /// Processes stop for any time, their messages take any time, their clocks begin anywhere.
        #[test]
        fn two_tenures_never_overlap(
            steps in steps(),
            offsets in proptest::array::uniform4(0..1_000_000_u64),
        ) {
            let mut lease: Option<Beat> = None;
            let mut token = 0;
            let mut processes: Vec<Process> = offsets
                .iter()
                .map(|clock| Process {
                    clock: *clock,
                    paused_until: 0,
                    challenger: Challenger::new(TTL),
                    tenure: None,
                    renewal: None,
                })
                .collect();
            let mut now = 0;
            for step in steps {
                now += 1 + step.pause / 3;
                let Some(one) = processes.get_mut(step.who) else { continue };
                if one.paused_until > now {
                    continue;
                }
                let local = at(one.clock + now);
                if let Some((token_held, mut tenure)) = one.tenure.take() {
                    match one.renewal {
                        // Sent a while ago, it arrives now.
                        Some((sent, arrives)) if arrives <= now => {
                            one.renewal = None;
                            if let Some(held) = lease.as_mut().filter(|held| held.token == token_held) {
                                held.beat += 1;
                                tenure.renewed(at(one.clock + sent));
                            }
                        }
                        None => one.renewal = Some((now, now + step.delay)),
                        Some(_) => {}
                    }
                    if !tenure.is_over(local) {
                        one.tenure = Some((token_held, tenure));
                    }
                } else {
                    let free = match one.challenger.observe(local, lease) {
                        Claim::Free => lease.is_none(),
                        Claim::Stale(beat) => lease == Some(beat),
                        Claim::Held { .. } => false,
                    };
                    if free {
                        token += 1;
                        lease = Some(Beat { token, beat: 0 });
                        one.tenure = Some((token, Tenure::new(TTL, local)));
                        one.renewal = None;
                    }
                }
                one.paused_until = now + step.pause;
                let valid = processes
                    .iter()
                    .filter(|one| one.tenure.is_some_and(|(_, tenure)| !tenure.is_over(at(one.clock + now))));
                prop_assert!(valid.count() <= 1);
            }
        }

        #[test]
        fn a_jittered_pause_stays_near(pause in 1..100_000_u64, chance: u64) {
            let pause = Duration::from_millis(pause);
            let jittered = jittered(pause, chance);
            prop_assert!(jittered >= pause / 1000 * 800 && jittered <= pause / 1000 * 1200);
        }
    }
}
