//! The routes of the page.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::middleware::from_fn_with_state;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use futures::{Stream, StreamExt, stream};
use secrecy::SecretString;
use statefold_projections::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::Settings;
use crate::next_step::NextStep;
use crate::observe::Progress;
use crate::operator::Lookout;
use crate::page::guard::{Guard, guard};
use crate::page::html::{Part, document};
use crate::page::model::Say;
use crate::page::poller::{Panel, Poller};

/// Whoever opens the page waits so long for a look at the database; the page comes without one then, and
/// fills itself when there is one.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(4);

/// A live page about a database, to be [served](serve) or [mounted](router).
#[must_use]
pub struct Page {
    settings: Settings,
    registry: Registry,
    say: Say,
    progress: Option<watch::Receiver<Progress>>,
    panel: Option<Panel>,
    guard: Guard,
}

impl Page {
    /// A page about the database of these settings. Whoever can open it may see it.
    pub fn new(settings: &Settings, registry: &Registry) -> Self {
        Self {
            settings: settings.clone(),
            registry: registry.clone(),
            say: Arc::new(|_| None),
            progress: None,
            panel: None,
            guard: Guard::default(),
        }
    }

    /// Shows the next steps, as this puts them into words: a command without any password.
    pub fn with_commands(
        mut self,
        say: impl Fn(&NextStep) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.say = Arc::new(say);
        self
    }

    /// Shows the work of this process by the second, where that of others is known by their beats.
    pub fn with_progress(mut self, progress: watch::Receiver<Progress>) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Shows a panel of the program's own above the projections: HTML that this renders with each look, and
    /// answers for.
    pub fn with_panel(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.panel = Some(Box::new(render));
        self
    }

    /// Asks for a token: `?token=` in the address, or a header `Authorization: Bearer`.
    pub fn with_token(mut self, token: SecretString) -> Self {
        self.guard.token = Some(token);
        self
    }
}

/// Serves a page, and other routes beside it, until the listener fails. On a loopback address without a token
/// it answers only to names of this machine.
///
/// # Errors
/// If the listener can't accept any more.
pub async fn serve(listener: TcpListener, mut page: Page, beside: Router) -> std::io::Result<()> {
    let is_loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    page.guard.only_local = is_loopback && page.guard.token.is_none();
    axum::serve(listener, router(page).merge(beside)).await
}

/// The routes of a page, to be mounted in the application's own server: `/`, and what it asks for beside
/// itself. It has to be called on a runtime, and its path has to end with a slash.
pub fn router(page: Page) -> Router {
    let Page { settings, registry, say, progress, panel, guard: who } = page;
    let poller = Arc::new(Poller::start(Lookout::new(settings, registry), say, progress, panel));
    let asset = |kind: &'static str, text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
    };
    // They are the same for everybody, and a browser asks for them without the token.
    let assets = Router::new()
        .route("/page.css", asset("text/css; charset=utf-8", include_str!("page.css")))
        .route("/page.js", asset("text/javascript; charset=utf-8", include_str!("page.js")))
        .route("/icon.svg", asset("image/svg+xml", include_str!("icon.svg")))
        .layer(from_fn_with_state(Guard::default(), guard));
    Router::new()
        .route("/", get(index))
        .route("/events", get(events))
        .with_state(poller)
        .layer(from_fn_with_state(who, guard))
        .merge(assets)
}

/// The page as it is now.
async fn index(State(poller): State<Arc<Poller>>) -> impl IntoResponse {
    let mut watching = poller.watch();
    if !watching.borrow_and_update().is_fresh() {
        // Without a look in time it shows what is known.
        let _ = tokio::time::timeout(FIRST_LOOK_MAX, watching.changed()).await;
    }
    let rendered = watching.borrow().clone();
    Html(document(&rendered.parts).into_string())
}

/// The parts of the page that have changed, as they change.
async fn events(State(poller): State<Arc<Poller>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut watching = poller.watch();
    // What is there is sent at once.
    watching.mark_changed();
    let changes = stream::unfold((watching, Vec::new()), async |(mut watching, mut sent)| {
        watching.changed().await.ok()?;
        let parts = watching.borrow_and_update().parts.clone();
        let news: Vec<_> = changed(&sent, &parts).filter_map(event).map(Ok).collect();
        sent.clone_from(&parts);
        Some((stream::iter(news), (watching, sent)))
    });
    Sse::new(changes.flatten()).keep_alive(KeepAlive::default())
}

fn changed<'a>(sent: &'a [Part], parts: &'a [Part]) -> impl Iterator<Item = &'a Part> {
    parts.iter().filter(move |part| !sent.contains(part))
}

fn event(part: &Part) -> Option<Event> {
    Event::default().event("part").json_data((part.id, &part.html)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_changed_is_sent() {
        let part = |id, html: &str| Part { id, html: html.to_owned() };
        let (sent, now) = ([part("a", "1"), part("b", "1")], [part("a", "1"), part("b", "2")]);
        assert_eq!(changed(&sent, &now).collect::<Vec<_>>(), [&part("b", "2")]);
        assert_eq!(changed(&[], &now).count(), 2);
    }
}
