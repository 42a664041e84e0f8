//! A clock that also counts the time a machine is suspended: a lease goes on ending then.

use std::ops::Add;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The clock: that of the boot where the system has it (`CLOCK_BOOTTIME` of Linux), because the monotonic one
/// stands still during suspend.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A point in time, since the machine was booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BootInstant(Duration);

impl BootInstant {
    /// Now.
    #[must_use]
    pub(crate) fn now() -> Self {
        let now = clock_gettime(CLOCK);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        Self(Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0)))
    }

    /// Time since then.
    #[must_use]
    pub(crate) fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

impl Add<Duration> for BootInstant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes() {
        let before = BootInstant::now();
        let later = before + Duration::from_secs(60);
        assert!(BootInstant::now() >= before && BootInstant::now() < later);
        assert!(before.elapsed() < Duration::from_secs(60) && later.elapsed() == Duration::ZERO);
    }
}
