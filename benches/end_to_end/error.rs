//! The error type of the benchmark.

/// Any error, as text for the user.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
/// Result with any error.
pub(crate) type Result<T> = std::result::Result<T, Failure>;
