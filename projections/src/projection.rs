//! The trait that every projection implements, and its specification.

use bson::RawDocument;

use crate::{Event, FoldError, Sink, StreamFilter, StreamKey, Target};

/// A pure fold: all events of one stream, in order, become at most one snapshot per target.
///
/// The engine keeps one [`State`](Self::State) per stream while it reads, and asks for the
/// snapshots when the stream is complete. `&self` may carry definitions loaded at run time.
///
/// Folding must be deterministic: no clock, no random number, no iteration order of a hash map. The
/// same events give the same bytes, however they were split into commits;
/// [`testing`](crate::testing) checks that.
pub trait Projection: Send + Sync + 'static {
    /// The folded state of one stream. [`Default`] is the state before its first event.
    type State: Default + Send;

    /// Name, version, streams and targets. Must not change while the program runs.
    fn spec(&self) -> &Spec;

    /// Folds one event into the state. An event type this projection doesn't know is ignored.
    ///
    /// # Errors
    /// [`FoldError`] makes the stream a failed stream: it gets no snapshot. Other
    /// streams are not affected.
    fn apply(&self, state: &mut Self::State, event: &Event<'_>) -> Result<(), FoldError>;

    /// Writes the snapshots of a complete stream; none if the object was never created.
    ///
    /// # Errors
    /// [`FoldError`] makes the stream a failed stream.
    fn snapshots(
        &self,
        key: &StreamKey<'_>,
        state: &Self::State,
        others: &dyn Lookup,
        out: &mut Sink<'_>,
    ) -> Result<(), FoldError>;

    /// Memory of one state, in bytes: its own size and the heap memory it owns.
    fn state_bytes(&self, state: &Self::State) -> usize {
        size_of_val(state)
    }
}

/// How old a snapshot may be that is read right after a cut-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reads {
    /// A stream that changed in the last moment before a cut-over may be read as it was before, for some
    /// milliseconds: the application folds the events behind a snapshot itself before it decides anything, or
    /// only shows it.
    #[default]
    Eventual,
    /// Never: a reader that sees a change acknowledged sees it in every snapshot from then on.
    Latest,
}

/// Finished snapshots of the projections that a projection [requires](Spec::requires).
///
/// They are loaded when they are looked up: a stream that looks up what isn't loaded yet finds
/// nothing, is not written, and is asked for its snapshots again. When a snapshot changes, the
/// streams that looked it up are folded again.
pub trait Lookup: Send + Sync {
    /// The snapshot with this `_id`, where `target` is the other projection's
    /// [target](Target::collection), for example `States_Schemas`.
    fn snapshot(&self, target: &str, id: &str) -> Option<&RawDocument>;
}

/// The lookup of a projection that requires nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLookup;

impl Lookup for NoLookup {
    fn snapshot(&self, _target: &str, _id: &str) -> Option<&RawDocument> {
        None
    }
}

/// The specification of a projection: its name, version, streams, targets and requirements.
///
/// ```
/// use statefold_projections::{Direction::Ascending, IndexDefinition, Spec, StreamFilter, Target};
/// let spec = Spec::new("Orders", 2)
///     .streams(StreamFilter::prefix("order-"))
///     .target(Target::new("Orders").index(IndexDefinition::on([("customer", Ascending)])));
/// assert_eq!(spec.targets()[0].generation(7), "Orders7");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    name: String,
    version: u32,
    first_generation: u32,
    streams: StreamFilter,
    targets: Vec<Target>,
    requires: Vec<String>,
    volatile: Vec<String>,
    derived: Vec<String>,
    also_beside: bool,
    reads: Reads,
    remark: Option<String>,
    variant: String,
}

impl Spec {
    /// A projection of this name; raise `version` whenever the shape of its snapshots changes.
    #[must_use]
    pub fn new(name: impl Into<String>, version: u32) -> Self {
        Self {
            name: name.into(),
            version,
            first_generation: 1,
            streams: StreamFilter::default(),
            targets: Vec::new(),
            requires: Vec::new(),
            volatile: Vec::new(),
            derived: Vec::new(),
            also_beside: false,
            reads: Reads::default(),
            remark: None,
            variant: String::new(),
        }
    }

    /// Sets the number of the first generation, for an application that already has lower ones.
    #[must_use]
    pub fn first_generation(mut self, generation: u32) -> Self {
        self.first_generation = generation;
        self
    }

    /// Sets the streams to fold; without it all streams are folded.
    #[must_use]
    pub fn streams(mut self, streams: StreamFilter) -> Self {
        self.streams = streams;
        self
    }

    /// Adds a target collection; the [sink](Sink) addresses it by its position, the first is 0.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// Puts all targets that the specification has by now [into another database](Target::in_database).
    #[must_use]
    pub fn in_database(mut self, name: &str) -> Self {
        self.targets = self.targets.into_iter().map(|target| target.in_database(name)).collect();
        self
    }

    /// Requires the finished snapshots of another projection, which is therefore built first.
    #[must_use]
    pub fn requires(mut self, projection: impl Into<String>) -> Self {
        self.requires.push(projection.into());
        self
    }

    /// Names a field, as `job.id`, for which the application makes up another value whenever it folds the
    /// events. Where snapshots of the application are verified, it isn't compared.
    #[must_use]
    pub fn volatile(mut self, path: impl Into<String>) -> Self {
        self.volatile.push(path.into());
        self
    }

    /// Names a field, as `references`, that also depends on required projections, and that the application
    /// doesn't refresh when these change. Where snapshots of the application are verified, one that differs
    /// in such fields alone is stale, not wrong.
    #[must_use]
    pub fn derived(mut self, path: impl Into<String>) -> Self {
        self.derived.push(path.into());
        self
    }

    /// Says that the application may write the same snapshots once more, into databases beside its own, as
    /// `{database}_{app}`. statefold doesn't write those: where there are some, it doesn't take their name.
    #[must_use]
    pub fn also_in_databases_beside(mut self) -> Self {
        self.also_beside = true;
        self
    }

    /// Says how old a snapshot may be that is read right after a cut-over. With [`Reads::Latest`] the event
    /// store refuses events for a moment at each cut-over, and a cut-over that refuses none isn't made.
    #[must_use]
    pub fn reads(mut self, reads: Reads) -> Self {
        self.reads = reads;
        self
    }

    /// Says what it means if a stream is [remarked on](Sink::remark), as
    /// `with a step of an unknown plugin, kept as it stands`: the report has their number.
    #[must_use]
    pub fn remarks_on(mut self, what: impl Into<String>) -> Self {
        self.remark = Some(what.into());
        self
    }

    /// Adds settings that the snapshots depend on, as `values=string`: a build is only resumed under the same
    /// ones.
    #[must_use]
    pub fn variant(mut self, settings: &str) -> Self {
        if !self.variant.is_empty() {
            self.variant.push(' ');
        }
        self.variant.push_str(settings);
        self
    }

    /// The name, as users type it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Version of the snapshots' shape.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Number of the first generation.
    #[must_use]
    pub fn first(&self) -> u32 {
        self.first_generation
    }

    /// The filter of the streams that are folded.
    #[must_use]
    pub fn stream_filter(&self) -> &StreamFilter {
        &self.streams
    }

    /// The target collections.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Paths of the [volatile](Self::volatile) fields.
    #[must_use]
    pub fn volatile_paths(&self) -> &[String] {
        &self.volatile
    }

    /// Paths of the [derived](Self::derived) fields.
    #[must_use]
    pub fn derived_paths(&self) -> &[String] {
        &self.derived
    }

    /// What streams are [remarked on](Self::remarks_on) for, if they are.
    #[must_use]
    pub fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// The settings that the snapshots depend on; empty with the usual ones.
    #[must_use]
    pub fn settings(&self) -> &str {
        &self.variant
    }

    /// Whether the application may also write [databases beside](Self::also_in_databases_beside) its own.
    #[must_use]
    pub fn may_be_beside(&self) -> bool {
        self.also_beside
    }

    /// Whether [no reader may see the past](Reads::Latest).
    #[must_use]
    pub fn reads_latest(&self) -> bool {
        self.reads == Reads::Latest
    }

    /// Names of the projections that this one requires.
    #[must_use]
    pub fn required(&self) -> &[String] {
        &self.requires
    }
}
