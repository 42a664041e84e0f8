//! The rounds of a follower that has the lease: look at the pointers, take what is dirty, fold it anew,
//! note how far that is.

use std::time::{Duration, Instant};

use bson::Timestamp;
use statefold_projections::{Registered, Registry, StreamFilter};
use tokio::sync::watch;

use crate::engine::preflight::of_active;
use crate::engine::refolding::{Generation, Refoldable, Refolding};
use crate::error::{Error, Result};
use crate::lifecycle::BuildState;
use crate::observe::{Progress, Recorder};
use crate::operator::follow::progress::Shown;
use crate::operator::follow::request::{Follow, FollowReport};
use crate::store::{BuildRecord, Feed, FeedLag, Positions, Store};

/// Changes that come within this time are folded together.
const TOGETHER: Duration = Duration::from_millis(20);
/// How often the pointers are looked at, and how often what was done is noted, at least.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a position is noted if nothing was folded: the server's history must reach back to it.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// A generation to keep current, if there is one: the active one of a projection, or the one before it.
struct Slot {
    projection: Registered,
    recorder: Recorder,
    before: bool,
    open: Option<Open>,
    /// Whether there is such a generation; it may be somebody else's for a while.
    wanted: bool,
    /// Whether anything may differ.
    compare: bool,
    /// The streams that the feed announces.
    announced: StreamFilter,
}

impl Slot {
    /// The streams of its generation, from now on announced.
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

struct Open {
    generation: Generation,
    /// Everything until then is folded.
    position: Option<Timestamp>,
    /// Whether counts and digest of the record may be those of before.
    unsummed: bool,
}

/// What a follower works with.
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
        let slot = |projection: &Registered, before: bool| Slot {
            projection: projection.clone(),
            // What is seen of it is shown for all together.
            recorder: Recorder::new(projection.spec().name(), &watch::Sender::new(Progress::default())),
            before,
            open: None,
            wanted: false,
            compare: true,
            announced: StreamFilter::default(),
        };
        let active = selected.iter().map(|projection| slot(projection, false));
        let before = selected.iter().filter(|_| request.keep_warm).map(|projection| slot(projection, true));
        let slots = active.chain(before).collect();
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
            // Where nothing is known, or something impossible (a restored copy), all heads are compared.
            let known = |id: &str| positions.get(id).copied().filter(|position| *position <= now);
            let mut since = now;
            for slot in &mut self.slots {
                let id = slot.open.as_ref().map(|open| open.generation.build.record.id.as_str());
                if let Some(position) = id.and_then(known) {
                    slot.compare = false;
                    since = since.min(position);
                }
            }
            self.refolding.store.events().feed(since, self.slots.iter_mut().map(Slot::announce).collect())
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
                refolded += self.round(at, feed).await?;
            }
            self.shown.refolded(refolded);
            self.note(refolded == 0).await?;
            self.wait(feed).await?;
            self.look().await?;
            if self.slots.iter().all(|slot| slot.before || !slot.wanted) {
                tracing::info!("no active generation is of a version that this program has any more");
                return Ok(());
            }
            if feed.is_some() && !self.slots.iter().all(Slot::is_announced) {
                // Another version of a projection may fold other streams: a new feed is needed.
                return Ok(());
            }
        }
    }

    /// Says how far behind it is: dirty streams, and seconds since the oldest change that isn't folded.
    async fn behind(&self, feed: Option<&Feed>) -> Result<()> {
        let (Some(feed), Some(now)) = (feed, self.refolding.store.operation_time().await?) else {
            self.shown.behind(FeedLag::default());
            return Ok(());
        };
        let mut all = FeedLag::default();
        // What the feed hasn't seen yet counts as well.
        let unseen = now.time.saturating_sub(feed.position().time);
        for (at, slot) in self.slots.iter().enumerate().filter(|(_, slot)| !slot.before) {
            let behind = feed.behind(at);
            let seconds = behind.seconds + unseen;
            slot.recorder.lag(behind.streams, seconds);
            all = FeedLag { streams: all.streams + behind.streams, seconds: all.seconds.max(seconds) };
        }
        self.shown.behind(all);
        Ok(())
    }

    /// One slot: what is dirty is folded anew.
    async fn round(&mut self, at: usize, feed: Option<&Feed>) -> Result<u64> {
        if self.refolding.cancel.is_cancelled() {
            return Err(Error::Interrupted);
        }
        let taken = feed.map(|feed| feed.take_up_to(at)).transpose()?;
        let Some(slot) = self.slots.get_mut(at) else { return Ok(0) };
        let Some(open) = &mut slot.open else {
            // What is dirty now is found by comparing when there is a generation.
            slot.compare = true;
            return Ok(0);
        };
        let (position, streams, all) = match taken {
            Some((position, streams, all)) => (Some(position), streams, all),
            None => (None, Vec::new(), true),
        };
        let compare = all || slot.compare;
        match self.refolding.refold(&open.generation, streams, compare).await {
            Ok(refolded) => {
                slot.compare = false;
                open.position = position;
                open.unsummed |= refolded > 0;
                if !slot.before {
                    slot.recorder.lag(0, 0);
                }
                let record = &open.generation.build.record;
                self.report.add(&record.projection, record.generation, refolded);
                Ok(refolded)
            }
            Err(error @ Error::Fenced { .. }) if self.refolding.mandate.check().is_ok() => {
                let build = &open.generation.build.record.id;
                tracing::info!(build, reason = %error.with_sources(), "somebody took this generation over; looking again");
                (slot.open, slot.compare) = (None, true);
                Ok(0)
            }
            Err(error) => {
                // A part of it may be written.
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
            }
        }
        Ok(())
    }

    async fn open(&self, slot: &Slot, projection: &Registered, number: u32) -> Result<Option<Open>> {
        let record = self.refolding.record(projection.spec().name(), number).await?;
        if slot.before && record.state != BuildState::Retired {
            return Ok(None);
        }
        // Before its record says which names it has, nobody else may write by them.
        if record.swap.is_some() || self.is_taken(projection, &record).await? {
            return Ok(None);
        }
        let generation = match self.refolding.generation(projection, record, &slot.recorder).await? {
            Refoldable::Yes(generation) => *generation,
            // One that statefold didn't build, or of another definition, can't be kept warm.
            Refoldable::No(_) if slot.before => return Ok(None),
            Refoldable::No(reason) => return Err(Error::Unsupported(reason)),
        };
        tracing::info!(generation = generation.build.record.id, "following");
        // Whoever followed before may have ended before it noted what it did.
        Ok(Some(Open { generation, position: None, unsummed: true }))
    }

    /// Number of the generation that this slot is for, and the projection in its version.
    async fn wanted(&self, slot: &Slot) -> Result<Option<(u32, Registered)>> {
        let name = slot.projection.spec().name();
        let Some(active) = self.refolding.store.control().active(name).await? else { return Ok(None) };
        if !slot.before {
            let projection = of_active(self.registry, &slot.projection, &active)?;
            return Ok(projection.map(|projection| (active.active, projection)));
        }
        let Some(previous) = active.previous.first() else { return Ok(None) };
        let projection = self.registry.of_version(name, previous.projection_version).cloned();
        Ok(projection.map(|projection| (previous.generation, projection)))
    }

    /// Whether somebody who leads now has taken a generation over. The active one is left alone only if it is
    /// to be replaced, not by whoever has just made it active.
    async fn is_taken(&self, projection: &Registered, record: &BuildRecord) -> Result<bool> {
        let held = self.refolding.store.control().lease().await?.map(|held| held.beat.token);
        let active = self.refolding.store.control().active(projection.spec().name()).await?;
        let made_active =
            active.is_some_and(|active| active.active == record.generation && active.token == record.token);
        Ok(held == Some(record.token) && !made_active)
    }

    /// Notes counts, digests and positions, if it is time.
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
                    // Taken over meanwhile: whoever did so notes them.
                    Ok(()) | Err(Error::Fenced { .. } | Error::State { .. }) => open.unsummed = false,
                    Err(error) => return Err(error),
                }
            }
            if let (Some(position), false) = (open.position, slot.compare) {
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
