//! Calls of the driver with a deadline.

use std::future::Future;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::store::connection::error::classify;

/// Deadline of an ordinary call.
pub(crate) const CALL_SECONDS: u64 = 60;

/// Deadline of a call whose duration grows with the data.
pub(in crate::store) const LONG_CALL_SECONDS: u64 = 24 * 3600;

/// Runs a future of the driver within the deadline of an ordinary call, as [`call_within`] does.
pub(in crate::store) async fn call<T: Send + 'static>(
    doing: &str,
    future: impl Future<Output = mongodb::error::Result<T>> + Send + 'static,
) -> Result<T> {
    call_within(CALL_SECONDS, doing, future).await
}

/// Runs a future of the driver to its end on a task of its own, and waits for it at most `seconds`: a
/// future that is dropped midway costs its connection, and one on a dead socket never ends.
pub(in crate::store) async fn call_within<T: Send + 'static>(
    seconds: u64,
    doing: &str,
    future: impl Future<Output = mongodb::error::Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::time::timeout(Duration::from_secs(seconds), tokio::spawn(future)).await {
        Ok(Ok(result)) => result.map_err(|error| classify(doing, error)),
        Ok(Err(join)) => Err(Error::Bug(format!("{doing}: {join}"))),
        Err(_) => Err(Error::Deadline { doing: doing.to_owned(), seconds }),
    }
}
