//! Routes commits to projections, and within a projection to a shard or a range of streams.

use std::sync::Arc;

use bson::{RawArray, RawDocument};
use statefold_projections::{Commit, Layout, StreamFilter};

use crate::fold::batch::Documents;
use crate::lifecycle::{Share, stream_hash};

/// A range of stream names as (first, end); `end` is exclusive, and `None` means no bound.
pub(crate) type NameRange = (String, Option<String>);

/// The streams of one projection that have to be folded.
pub struct Route {
    filter: StreamFilter,
    ranges: Vec<NameRange>,
    all: bool,
    share: Share,
}

impl Route {
    /// The streams of a filter whose names are in one of these ranges, which are in ascending order
    /// and don't overlap. `all` says that they leave out no stream of the filter.
    #[must_use]
    pub fn new(filter: StreamFilter, ranges: Vec<NameRange>, all: bool) -> Self {
        Self { filter, ranges, all, share: Share::ALL }
    }

    /// Restricts the route to a share of the streams.
    #[must_use]
    pub fn only(mut self, share: Share) -> Self {
        self.share = share;
        self
    }

    /// Position of the range that a name is in.
    fn range_of(&self, stream: &str) -> Option<usize> {
        let at = self.ranges.partition_point(|(first, _)| first.as_str() <= stream).checked_sub(1)?;
        let (_, end) = self.ranges.get(at)?;
        end.as_deref().is_none_or(|end| stream < end).then_some(at)
    }
}

/// A commit on its way to its shard.
pub struct Arrival<'a> {
    /// Hash of its stream.
    pub(crate) hash: u64,
    pub(crate) document: &'a RawDocument,
    /// The decoded commit; `None` if it can't be read.
    pub(crate) commit: Option<Commit<'a>>,
}

/// The commits of a batch for each shard and, within it, each projection.
pub(crate) type ByShard<'a> = Vec<Vec<Vec<Arrival<'a>>>>;

/// Commits for which a list has room from the beginning.
const LISTED: usize = 256;

/// A batch that can't be read to its end.
#[derive(Debug, PartialEq, Eq)]
pub struct BrokenBatch;

/// Routes commits of several projections.
pub struct Router {
    routes: Vec<Route>,
    layout: Arc<Layout>,
}

impl Router {
    /// A router for projections in this order.
    #[must_use]
    pub fn new(routes: Vec<Route>, layout: Arc<Layout>) -> Self {
        Self { routes, layout }
    }

    /// Divides the first `limit` commits of a batch by the hash of their streams.
    ///
    /// # Errors
    /// [`BrokenBatch`].
    pub fn by_shard<'a>(
        &'a self,
        batch: &'a RawArray,
        limit: usize,
        shards: usize,
    ) -> Result<ByShard<'a>, BrokenBatch> {
        let of_shard = || self.routes.iter().map(|_| Vec::with_capacity(LISTED)).collect();
        let mut lists: ByShard<'a> = (0..shards).map(|_| of_shard()).collect();
        for document in Documents::of(batch).take(limit) {
            let document = document.ok_or(BrokenBatch)?;
            let commit = Commit::decode(document, &self.layout).ok();
            let stream = match &commit {
                Some(commit) => Some(commit.stream),
                None => Commit::stream_of(document, &self.layout),
            };
            let Some(stream) = stream else { continue };
            let hash = stream_hash(stream);
            let shard = lists.get_mut(shard_of(hash, shards));
            let Some(lists) = shard else { continue };
            for (route, list) in self.routes.iter().zip(lists) {
                let wanted = route.share.takes(hash) && route.filter.matches(stream);
                if wanted && (route.all || route.range_of(stream).is_some()) {
                    list.push(Arrival { hash, document, commit });
                }
            }
        }
        Ok(lists)
    }

    /// Hands the first `limit` commits of a batch to `take`, each with the position of its projection
    /// and of the range it is in.
    ///
    /// # Errors
    /// [`BrokenBatch`].
    pub fn by_range(
        &self,
        batch: &RawArray,
        limit: usize,
        mut take: impl FnMut(usize, usize, &[u8]),
    ) -> Result<(), BrokenBatch> {
        for document in Documents::of(batch).take(limit) {
            let document = document.ok_or(BrokenBatch)?;
            let Some(stream) = Commit::stream_of(document, &self.layout) else { continue };
            for (projection, route) in self.routes.iter().enumerate() {
                let wanted = |_: &usize| {
                    let taken = route.share.is_all() || route.share.takes(stream_hash(stream));
                    taken && route.filter.matches(stream)
                };
                if let Some(range) = route.range_of(stream).filter(wanted) {
                    take(projection, range, document.as_bytes());
                }
            }
        }
        Ok(())
    }
}

/// The shard of a stream. It is chosen by the upper bits of the hash, because the lower ones choose the
/// place in the table of the shard.
#[expect(clippy::cast_possible_truncation, reason = "below the number of shards")]
fn shard_of(hash: u64, shards: usize) -> usize {
    ((u128::from(hash) * shards as u128) >> 64) as usize
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::collections::HashMap;

    use bson::{RawArrayBuf, rawdoc};
    use proptest::prelude::*;

    use super::*;

    fn batch(streams: &[String]) -> RawArrayBuf {
        let mut array = RawArrayBuf::new();
        for stream in streams {
            array.push(rawdoc! { "_id": "x", "Events": [], "EventStream": stream.as_str() });
        }
        array
    }

    fn router() -> Router {
        let range = |first: &str, end: &str| (first.to_owned(), Some(end.to_owned()));
        let routes = vec![
            Route::new(StreamFilter::prefix("a-").without_suffix("--deleted"), vec![range("a-", "a.")], true),
            Route::new(StreamFilter::prefix("b-"), vec![range("b-b", "b-d"), range("b-x", "b.")], false),
            Route::new(StreamFilter::prefix(""), vec![(String::new(), None)], true),
        ];
        Router::new(routes, Arc::new(Layout::default()))
    }

    proptest! {
        #[test]
        fn every_commit_reaches_each_of_its_projections_once_and_a_stream_always_the_same_shard(
            streams in proptest::collection::vec("[abc]-[a-z]{0,2}(--deleted)?", 0..60),
            shards in 1_usize..5,
        ) {
            let (batch, router) = (batch(&streams), router());
            let lists = router.by_shard(&batch, usize::MAX, shards).unwrap();
            let mut home: HashMap<&str, usize> = HashMap::new();
            let mut counts = [0; 3];
            for (shard, lists) in lists.iter().enumerate() {
                for (projection, list) in lists.iter().enumerate() {
                    for arrival in list {
                        let stream = arrival.document.get_str("EventStream").unwrap();
                        prop_assert_eq!(arrival.hash, stream_hash(stream));
                        prop_assert_eq!(*home.entry(stream).or_insert(shard), shard);
                        counts[projection] += 1;
                    }
                }
            }
            let count = |keep: &dyn Fn(&str) -> bool| streams.iter().filter(|name| keep(name)).count();
            let in_b = |name: &str| ("b-b".."b-d").contains(&name) || ("b-x".."b.").contains(&name);
            prop_assert_eq!(
                counts,
                [
                    count(&|name| name.starts_with("a-") && name.len() > 2 && !name.ends_with("--deleted")),
                    count(&in_b),
                    streams.len(),
                ]
            );
            let mut ranges = HashMap::new();
            router.by_range(&batch, usize::MAX, |projection, range, _| {
                *ranges.entry((projection, range)).or_insert(0) += 1;
            }).unwrap();
            let count_of = |projection, range| ranges.get(&(projection, range)).copied().unwrap_or(0);
            prop_assert_eq!([count_of(0, 0), count_of(1, 0) + count_of(1, 1), count_of(2, 0)], counts);
            prop_assert_eq!(count_of(1, 0), count(&|name| ("b-b".."b-d").contains(&name)));
        }
    }

    #[test]
    fn only_the_commits_below_the_limit_of_a_batch_count() {
        let batch = batch(&["c-1".to_owned(), "c-2".to_owned(), "c-3".to_owned()]);
        let router = router();
        let lists = router.by_shard(&batch, 2, 1).unwrap();
        assert_eq!(lists.iter().flatten().map(Vec::len).sum::<usize>(), 2);
        let mut broken = RawArrayBuf::new();
        broken.push(7);
        assert!(matches!(router.by_shard(&broken, 9, 1), Err(BrokenBatch)));
    }
}
