//! `--listen`: installs the Prometheus recorder and serves it with the health checks and the live page.

use secrecy::SecretString;
use statefold_projections::Registry;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cli::command::Command;
use crate::cli::screen::output::Output;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::next_step::NextStep;
use crate::observe::Progress;

/// What is served, and where.
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "without `http` nothing is served"))]
pub(in crate::cli) struct Served {
    address: String,
    /// The token that the page asks for.
    token: Option<SecretString>,
    settings: Settings,
    registry: Registry,
    /// Says a next step as a command.
    say: Box<dyn Fn(&NextStep) -> String + Send + Sync>,
}

impl Served {
    /// A page about this database, whose next steps are commands beside this one.
    pub(in crate::cli) fn new(
        address: String,
        token: Option<SecretString>,
        settings: &Settings,
        registry: &Registry,
        command: &Command,
    ) -> Self {
        let (settings, registry) = (settings.clone(), registry.clone());
        Self { address, token, settings, registry, say: Box::new(command.says()) }
    }
}

/// Binds the address and serves until the program ends.
///
/// # Errors
/// [`Error::Io`] if it can't be bound; [`Error::Config`] if this program was built without `http`.
#[cfg(feature = "http")]
pub(in crate::cli) async fn listen(
    served: Served,
    progress: watch::Receiver<Progress>,
    output: &Output,
) -> Result<JoinHandle<()>> {
    use crate::page::Page;

    let Served { address, token, settings, registry, say } = served;
    let doing = || format!("listening on {address}");
    let listener = tokio::net::TcpListener::bind(&address)
        .await
        .map_err(|source| Error::Io { doing: doing(), source })?;
    let bound = listener.local_addr().map_err(|source| Error::Io { doing: doing(), source })?;
    output.note(&format!("serving http://{bound}/ (the live page), /metrics, /livez and /readyz"));
    if !bound.ip().is_loopback() {
        let whoever = match token {
            Some(_) => "whoever has the token",
            None => "everybody who can reach it (--page-token limits that)",
        };
        output.note(&format!(
            "beyond this machine: the page shows {whoever} hosts, counts, commands and the events of failed \
             streams; metrics and health checks need no token"
        ));
    }
    // Installed before anything is counted.
    let render = recorder();
    let mut page = Page::new(&settings, &registry)
        .with_commands(move |step| Some(say(step)))
        .with_progress(progress.clone());
    if let Some(token) = token {
        page = page.with_token(token);
    }
    let health = crate::http::router(progress, render);
    Ok(tokio::spawn(async move {
        if let Err(error) = crate::page::serve(listener, page, health).await {
            tracing::warn!(%error, "the server of page and metrics ended");
        }
    }))
}

/// Says that this program can't listen.
///
/// # Errors
/// Always [`Error::Config`].
#[cfg(not(feature = "http"))]
pub(in crate::cli) async fn listen(
    _: Served,
    _: watch::Receiver<Progress>,
    _: &Output,
) -> Result<JoinHandle<()>> {
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
