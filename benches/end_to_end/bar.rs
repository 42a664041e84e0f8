//! A bar: a value we want to reach, and the one a run reached.

use serde::{Deserialize, Serialize};

/// A wanted value and the measured one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bar {
    /// Name of the measured value.
    pub(crate) what: String,
    pub(crate) wanted: f64,
    pub(crate) value: f64,
    pub(crate) met: bool,
}

impl Bar {
    /// A bar that a larger value meets.
    pub(crate) fn at_least(what: impl Into<String>, wanted: f64, value: f64) -> Self {
        Self { what: what.into(), wanted, value, met: value >= wanted }
    }

    /// A bar that a smaller value meets.
    pub(crate) fn at_most(what: impl Into<String>, wanted: f64, value: f64) -> Self {
        Self { what: what.into(), wanted, value, met: value <= wanted }
    }
}
