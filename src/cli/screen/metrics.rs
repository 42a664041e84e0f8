//! `--listen`: installs the Prometheus recorder and serves it with the health checks.

use tokio::sync::watch;

use crate::cli::screen::output::Output;
use crate::error::{Error, Result};
use crate::observe::Progress;

/// Binds the address and serves until the program ends. Returns the address that was bound.
///
/// # Errors
/// [`Error::Io`] if it can't be bound; [`Error::Config`] if this program was built without `http`.
#[cfg(feature = "http")]
pub(in crate::cli) async fn listen(
    address: &str,
    progress: watch::Receiver<Progress>,
    output: &Output,
) -> Result<()> {
    let doing = || format!("listening on {address}");
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|source| Error::Io { doing: doing(), source })?;
    let bound = listener.local_addr().map_err(|source| Error::Io { doing: doing(), source })?;
    output.note(&format!("serving http://{bound}/metrics, /livez and /readyz"));
    // Installed before anything is counted.
    let render = recorder();
    tokio::spawn(async move {
        if let Err(error) = crate::http::serve(listener, progress, render).await {
            tracing::warn!(%error, "the metrics server ended");
        }
    });
    Ok(())
}

/// Says that this program can't listen.
///
/// # Errors
/// Always [`Error::Config`].
#[cfg(not(feature = "http"))]
pub(in crate::cli) async fn listen(_: &str, _: watch::Receiver<Progress>, _: &Output) -> Result<()> {
    Err(Error::Config(vec!["--listen needs a statefold that was built with the feature `http`".into()]))
}

/// The recorder, installed if nobody else has installed one.
#[cfg(all(feature = "http", feature = "exporter"))]
fn recorder() -> Option<crate::http::Render> {
    use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

    /// Batches take from a millisecond to many seconds.
    const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
    let buckets = Matcher::Suffix("_seconds".into());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(buckets, &BUCKETS)
        .map_err(|error| error.to_string())
        .and_then(|builder| builder.install_recorder().map_err(|error| error.to_string()));
    match handle {
        Ok(handle) => {
            crate::observe::metric::describe();
            let process = metrics_process::Collector::default();
            process.describe();
            Some(Box::new(move || {
                process.collect();
                // Histograms grow until their samples are taken in.
                handle.run_upkeep();
                handle.render()
            }))
        }
        Err(error) => {
            tracing::warn!(error, "no metrics are recorded");
            None
        }
    }
}

#[cfg(all(feature = "http", not(feature = "exporter")))]
fn recorder() -> Option<crate::http::Render> {
    None
}
