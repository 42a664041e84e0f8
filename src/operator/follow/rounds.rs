//! The rounds of a follower that holds the lease: look at the pointers, take the dirty streams, refold them,
//! note the position.

use std::time::{Duration, Instant};

use bson::Timestamp;
use statefold_projections::{Registered, Registry, StreamFilter};
use tokio::sync::watch;

use crate::engine::preflight::of_active;
use crate::engine::refolding::{Generation, Refoldable, Refolding};
use crate::error::{Error, Result};
use crate::lifecycle::{BuildState, Taken, Unnamed};
use crate::observe::{Progress, Recorder};
use crate::operator::follow::deletes::Deletes;
use crate::operator::follow::lookups::Looks;
use crate::operator::follow::progress::Shown;
use crate::operator::follow::request::{Follow, FollowReport};
use crate::store::{BuildRecord, Feed, FeedLag, Positions, Store};

/// Time after which the server tells how far it has looked, while nothing changes.
const FEED_PATIENCE: Duration = Duration::from_millis(100);
/// Time within which changes are collected, to be refolded together.
const TOGETHER: Duration = Duration::from_millis(20);
/// Longest time between two looks at the pointers, and until counts and digests are noted.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time after which a position is noted even if nothing was folded: the server's history must reach back to
/// it.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// A generation to keep current, if there is one: the active one of a projection, or the one before it.
struct Slot {
    projection: Registered,
    recorder: Recorder,
    /// Whether it is for the generation before the active one.
    is_previous: bool,
    open: Option<Open>,
    /// Whether there is such a generation; another process may be at work on it for a while.
    wanted: bool,
    /// Whether any stream may differ, so that all heads have to be compared now.
    compare: bool,
    /// Deletes whose streams aren't known yet, so that all heads have to be compared soon.
    deletes: Deletes,
    looks: Looks,
    /// Streams that were taken from the feed and aren't refolded yet.
    left: Vec<String>,
    /// The streams that the feed announces.
    announced: StreamFilter,
}

impl Slot {
    /// Streams of its generation; marks them as announced by the feed.
    fn announce(&mut self) -> StreamFilter {
        let open = self.open.as_ref().map(|open| &open.generation.projection);
        self.announced = open.unwrap_or(&self.projection).spec().stream_filter().clone();
        self.announced.clone()
    }

    /// Whether the feed announces the streams of its generation.
    fn is_announced(&self) -> bool {
        let open = self.open.as_ref().map(|open| open.generation.projection.spec().stream_filter());
        open.is_none_or(|filter| *filter == self.announced)
    }
}

/// The open generation of a slot.
struct Open {
    generation: Generation,
    /// Time up to which everything is folded.
    position: Option<Timestamp>,
    /// Whether counts and digest in the record may be out of date.
    unsummed: bool,
}

/// State of a follower between its rounds.
pub(super) struct Rounds<'a> {
    refolding: Refolding,
    follow_control: Store,
    registry: &'a Registry,
    slots: Vec<Slot>,
    compare_every: Duration,
    shown: Shown,
    report: &'a mut FollowReport,
    saved: Option<(Instant, Positions)>,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(
        refolding: Refolding,
        follow_control: Store,
        registry: &'a Registry,
        selected: &[Registered],
        request: &Follow,
        shown: Shown,
        report: &'a mut FollowReport,
    ) -> Self {
        let slot = |projection: &Registered, is_previous: bool| Slot {
            projection: projection.clone(),
            // Progress is shown for all projections together.
            recorder: Recorder::new(projection.spec().name(), &watch::Sender::new(Progress::default())),
            is_previous,
            open: None,
            wanted: false,
            compare: true,
            deletes: Deletes::default(),
            looks: Looks::default(),
            left: Vec::new(),
            announced: StreamFilter::default(),
        };
        let active = selected.iter().map(|projection| slot(projection, false));
        let previous = selected.iter().filter(|_| request.keep_warm).map(|projection| slot(projection, true));
        let slots = active.chain(previous).collect();
        Self {
            refolding,
            follow_control,
            registry,
            slots,
            compare_every: request.compare_every,
            shown,
            report,
            saved: None,
        }
    }

    /// Follows until it is cancelled, or until no generation is left that this program can fold.
    pub(super) async fn run(mut self) -> Result<()> {
        let positions = self.follow_control.control().positions().await?;
        self.look().await?;
        let now = self.refolding.store.operation_time().await?;
        let feed = now.map(|now| {
            // Without a position, or with one in the future (a restored copy), all heads are compared.
            let known = |id: &str| positions.get(id).copied().filter(|position| *position <= now);
            let mut since = now;
            for slot in &mut self.slots {
                let id = slot.open.as_ref().map(|open| open.generation.build.record.id.as_str());
                if let Some(position) = id.and_then(known) {
                    slot.compare = false;
                    since = since.min(position);
                }
            }
            let filters = self.slots.iter_mut().map(Slot::announce).collect();
            self.refolding.store.events().feed(since, filters, FEED_PATIENCE)
        });
        if let Some(feed) = &feed {
            feed.begin();
        }
        let result = self.rounds(feed.as_ref()).await;
        if let Some(feed) = feed {
            feed.end().await;
        }
        let noted = self.note(true).await;
        result.and(noted)
    }

    async fn rounds(&mut self, feed: Option<&Feed>) -> Result<()> {
        loop {
            self.behind(feed).await?;
            let mut refolded = 0;
            for at in 0..self.slots.len() {
                refolded += self.round(at, feed, refolded > 0).await?;
            }
            self.shown.refolded(refolded);
            self.note(refolded == 0).await?;
            self.wait(feed).await?;
            self.look().await?;
            if self.slots.iter().all(|slot| slot.is_previous || !slot.wanted) {
                tracing::info!("no active generation is of a version that this program has any more");
                return Ok(());
            }
            if feed.is_some() && !self.slots.iter().all(Slot::is_announced) {
                // Another version of a projection may fold other streams: a new feed is needed.
                return Ok(());
            }
        }
    }

    /// Shows how far it is behind: dirty streams, and seconds since the oldest change that isn't folded.
    async fn behind(&self, feed: Option<&Feed>) -> Result<()> {
        let active = self.slots.iter().filter(|slot| !slot.is_previous);
        self.shown.followed(active.map(|slot| (slot.projection.spec().name(), slot.open.is_some())));
        let (Some(feed), Some(now)) = (feed, self.refolding.store.operation_time().await?) else {
            self.shown.behind(FeedLag::default());
            return Ok(());
        };
        let mut all = FeedLag::default();
        // Time that the feed hasn't seen yet counts as well.
        let unseen = now.time.saturating_sub(feed.position().time);
        for (at, slot) in self.slots.iter().enumerate().filter(|(_, slot)| !slot.is_previous) {
            let behind = feed.behind(at);
            let seconds = behind.seconds + unseen;
            slot.recorder.lag(behind.streams, seconds);
            all = FeedLag { streams: all.streams + behind.streams, seconds: all.seconds.max(seconds) };
        }
        self.shown.behind(all);
        Ok(())
    }

    /// Refolds the dirty streams of one slot. Returns their number. `changed`: another one was just refolded.
    async fn round(&mut self, at: usize, feed: Option<&Feed>, changed: bool) -> Result<u64> {
        if self.refolding.cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        let taken = feed.map(|feed| feed.take_up_to(at)).transpose()?;
        let Some(slot) = self.slots.get_mut(at) else { return Ok(0) };
        let (position, taken) = match taken {
            Some((position, taken)) => (Some(position), taken),
            None => (None, Taken { unnamed: Unnamed::Unknown, ..Taken::default() }),
        };
        let Some(open) = &mut slot.open else {
            // Changes until then are found by comparing, once there is a generation.
            slot.compare = true;
            slot.left.clear();
            return Ok(0);
        };
        slot.left.extend(taken.streams);
        // The generation before the active one goes with one that isn't active any more: a roll back sees to
        // that.
        if !slot.is_previous {
            slot.left.extend(slot.looks.outdated(&self.refolding, &open.generation, changed).await?);
        }
        let now = Instant::now();
        match taken.unnamed {
            Unnamed::Clean => {}
            Unnamed::Deleted => slot.deletes.seen(now),
            Unnamed::Unknown => slot.compare = true,
        }
        slot.compare |= slot.deletes.are_due(now);
        slot.left.sort_unstable();
        slot.left.dedup();
        let compare = slot.compare;
        match self.refolding.refold(&open.generation, slot.left.clone(), compare).await {
            Ok(refolded) => {
                slot.left.clear();
                if compare {
                    slot.deletes = Deletes::compared(now, Instant::now());
                }
                slot.compare = false;
                open.position = position;
                open.unsummed |= refolded > 0;
                if !slot.is_previous {
                    slot.recorder.lag(0, 0);
                }
                let record = &open.generation.build.record;
                self.report.add(&record.projection, record.generation, refolded);
                Ok(refolded)
            }
            Err(error @ Error::Fenced { .. }) if self.refolding.mandate.check().is_ok() => {
                let build = &open.generation.build.record.id;
                tracing::info!(
                    build, reason = %error.with_sources(),
                    "somebody took this generation over; looking again"
                );
                (slot.open, slot.compare, slot.looks) = (None, true, Looks::default());
                Ok(0)
            }
            Err(error) => {
                // Some of the streams may be written.
                open.unsummed = true;
                Err(error)
            }
        }
    }

    /// Opens the generations that the pointers name now, where they have moved.
    async fn look(&mut self) -> Result<()> {
        for at in 0..self.slots.len() {
            let Some(slot) = self.slots.get(at) else { continue };
            let wanted = self.wanted(slot).await?;
            let has = slot.open.as_ref().map(|open| open.generation.build.record.generation);
            if wanted.as_ref().map(|(number, _)| *number) == has {
                continue;
            }
            let is_wanted = wanted.is_some();
            let open = match wanted {
                None => None,
                Some((number, projection)) => self.open(slot, &projection, number).await?,
            };
            if let Some(slot) = self.slots.get_mut(at) {
                (slot.open, slot.compare, slot.wanted) = (open, true, is_wanted);
                slot.looks = Looks::default();
            }
        }
        Ok(())
    }

    async fn open(&self, slot: &Slot, projection: &Registered, number: u32) -> Result<Option<Open>> {
        let record = self.refolding.record(projection.spec().name(), number).await?;
        if slot.is_previous && record.state != BuildState::Retired {
            return Ok(None);
        }
        // While its record may name the wrong collections, only the process that renames them may write.
        if record.swap.is_some() || self.is_taken(projection, &record).await? {
            return Ok(None);
        }
        let generation = match self.refolding.generation(projection, record, &slot.recorder).await? {
            Refoldable::Yes(generation) => *generation,
            // A previous generation that can't be refolded is not kept current.
            Refoldable::No(_) if slot.is_previous => return Ok(None),
            Refoldable::No(reason) => return Err(reason),
        };
        tracing::info!(generation = generation.build.record.id, "following");
        // The last follower may have ended before it noted counts and digest.
        Ok(Some(Open { generation, position: None, unsummed: true }))
    }

    /// Finds the number of the generation that a slot is for, and the projection in its version.
    async fn wanted(&self, slot: &Slot) -> Result<Option<(u32, Registered)>> {
        let name = slot.projection.spec().name();
        let Some(active) = self.refolding.store.control().active(name).await? else { return Ok(None) };
        if !slot.is_previous {
            let projection = of_active(self.registry, &slot.projection, &active)?;
            return Ok(projection.map(|projection| (active.active, projection)));
        }
        let Some(previous) = active.previous.first() else { return Ok(None) };
        let projection = self.registry.of_version(name, previous.projection_version).cloned();
        Ok(projection.map(|projection| (previous.generation, projection)))
    }

    /// Whether the present leader has taken a generation over, unless the leader has made it active itself.
    async fn is_taken(&self, projection: &Registered, record: &BuildRecord) -> Result<bool> {
        let held = self.refolding.store.control().lease().await?.map(|held| held.beat.token);
        let active = self.refolding.store.control().active(projection.spec().name()).await?;
        let made_active =
            active.is_some_and(|active| active.active == record.generation && active.token == record.token);
        Ok(held == Some(record.token) && !made_active)
    }

    /// Notes counts, digests and positions when it is time to.
    async fn note(&mut self, quiet: bool) -> Result<()> {
        let since = self.saved.as_ref().map(|(when, _)| when.elapsed());
        let is_time = |pause: Duration| since.is_none_or(|since| since >= pause);
        let unsummed = self.slots.iter().filter_map(|slot| slot.open.as_ref()).any(|open| open.unsummed);
        if !(unsummed && (quiet || is_time(LOOK_EVERY)) || is_time(KEEP_EVERY)) {
            return Ok(());
        }
        let mut positions = Positions::new();
        for slot in &mut self.slots {
            let Some(open) = &mut slot.open else { continue };
            if open.unsummed {
                match self.refolding.note_sums(&mut open.generation).await {
                    // Taken over meanwhile, by a process that notes them itself.
                    Ok(()) | Err(Error::Fenced { .. } | Error::State { .. }) => open.unsummed = false,
                    Err(error) => return Err(error),
                }
            }
            if let (Some(position), false) = (open.position, slot.compare || slot.deletes.are_waiting()) {
                positions.insert(open.generation.build.record.id.clone(), position);
            }
        }
        if self.saved.as_ref().is_none_or(|(_, saved)| *saved != positions) {
            self.follow_control.control().save_positions(&positions, &self.refolding.mandate).await?;
        }
        self.saved = Some((Instant::now(), positions));
        Ok(())
    }

    /// Waits until there is something to do.
    async fn wait(&self, feed: Option<&Feed>) -> Result<()> {
        let something = async {
            match feed {
                Some(feed) => {
                    let _ = tokio::time::timeout(LOOK_EVERY, feed.dirtied()).await;
                    tokio::time::sleep(TOGETHER).await;
                }
                None => tokio::time::sleep(self.compare_every).await,
            }
        };
        tokio::select! {
            () = self.refolding.cancel.cancelled() => Err(Error::Interrupted),
            () = something => Ok(()),
        }
    }
}
