//! Looks at the database while somebody watches, once for all who do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::observe::{Doing, Phase, Progress};
use crate::operator::Lookout;
use crate::page::html::{Part, parts};
use crate::page::model::{Say, Seen, View};
use crate::page::samples::Samples;

/// Pause between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// The pause is at least so many times as long as the look before it: where that takes long, there are fewer.
const PAUSES_PER_LOOK: u32 = 2;
/// The longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A database that hasn't answered for so long is said to be silent.
const SILENCE: Duration = Duration::from_secs(3);

/// The page as it was rendered last.
#[derive(Clone, Default)]
pub(super) struct Rendered {
    pub(super) parts: Arc<Vec<Part>>,
    at: Option<Instant>,
}

impl Rendered {
    /// Whether it shows what is now, give or take a look.
    pub(super) fn is_fresh(&self) -> bool {
        self.at.is_some_and(|at| at.elapsed() < 2 * EVERY)
    }
}

/// Renders a panel of the program's own.
pub(super) type Panel = Box<dyn Fn() -> String + Send + Sync>;

/// What everybody who watches shares.
struct Shared {
    rendered: watch::Sender<Rendered>,
    wanted: Notify,
}

/// A poller; it stops when it is dropped.
pub(super) struct Poller {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

impl Poller {
    /// A poller that looks out from here. It does nothing until somebody watches.
    pub(super) fn start(
        lookout: Lookout,
        say: Say,
        own: Option<watch::Receiver<Progress>>,
        panel: Option<Panel>,
    ) -> Self {
        let first = Rendered { parts: Arc::new(parts(&View::of(&Seen::default(), &say))), at: None };
        let shared = Arc::new(Shared { rendered: watch::Sender::new(first), wanted: Notify::new() });
        let work = Work {
            shared: Arc::clone(&shared),
            say,
            own,
            panel,
            samples: Samples::default(),
            began: Instant::now(),
            seen: Seen::default(),
        };
        Self { shared, _task: AbortOnDropHandle::new(tokio::spawn(work.poll(lookout))) }
    }

    /// Watches, for as long as this is kept.
    pub(super) fn watch(&self) -> watch::Receiver<Rendered> {
        let watching = self.shared.rendered.subscribe();
        self.shared.wanted.notify_one();
        watching
    }
}

struct Work {
    shared: Arc<Shared>,
    say: Say,
    own: Option<watch::Receiver<Progress>>,
    panel: Option<Panel>,
    samples: Samples,
    began: Instant,
    seen: Seen,
}

impl Work {
    async fn poll(mut self, mut lookout: Lookout) {
        loop {
            while self.shared.rendered.receiver_count() == 0 {
                self.shared.wanted.notified().await;
            }
            let began = Instant::now();
            let look = lookout.look();
            tokio::pin!(look);
            let looked = loop {
                tokio::select! {
                    looked = &mut look => break looked,
                    () = tokio::time::sleep(SILENCE) => {
                        let silent = began.elapsed().as_secs();
                        self.show(Some(format!("no answer for {silent} s")));
                    }
                }
            };
            // After a failure it is tried again soon: that look took long because nobody answered.
            let pause = match &looked {
                Ok(_) => EVERY.max(began.elapsed() * PAUSES_PER_LOOK).min(PAUSE_MAX),
                Err(_) => EVERY,
            };
            match looked {
                Ok(overview) => {
                    self.seen.overview = Some(overview);
                    self.seen.seen_at = bson::DateTime::now().try_to_rfc3339_string().ok();
                    self.show(None);
                }
                Err(error) => {
                    tracing::debug!(error = %error.with_sources(), "the page could not look at the database");
                    self.show(Some(error.with_sources()));
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Renders what was seen, and why nothing newer is.
    fn show(&mut self, problem: Option<String>) {
        let at = self.began.elapsed().as_secs_f64();
        let own = self.own.as_ref().map(|own| own.borrow().clone());
        let own = own.filter(|own| !matches!(own.phase, Phase::Done | Phase::Following));
        self.seen.working = own.map(|own| Doing::of(&own)).filter(|doing| !doing.projection.is_empty());
        if let Some(overview) = self.seen.overview.as_ref().filter(|_| problem.is_none()) {
            let leader = overview.status.leader.as_ref().filter(|_| overview.status.is_led);
            let working = self.seen.working.as_ref().or(leader.map(|leader| &leader.doing));
            self.samples.take(at, overview, working);
        }
        self.seen.problem = problem;
        self.seen.now = at;
        self.seen.curves(&self.samples);
        let mut parts = parts(&View::of(&self.seen, &self.say));
        parts.extend(self.panel.as_ref().map(|render| Part { id: "own", html: render() }));
        let parts = Arc::new(parts);
        self.shared.rendered.send_replace(Rendered { parts, at: Some(Instant::now()) });
    }
}
