//! Rechecks streams that may differ, one by one: each is folded from the event store as it is now, and
//! compared with its documents as they are now.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bson::{Document, RawDocument, RawDocumentBuf};
use futures::{StreamExt, TryStreamExt};
use statefold_projections::Spec;

use crate::engine::verify::comparison::{Comparison, ComparisonOutcome, Subject};
use crate::engine::verify::verdict::{Difference, Kind, Recheck, Stale};
use crate::error::{Error, Result};
use crate::fold::{FieldDifference, Folded, field_differences, without_fields};
use crate::lifecycle::{Head, stream_hash};
use crate::observe::Recorder;
use crate::pipeline::{BYTES_TOGETHER, fold_streams};

/// Number of streams that are rechecked together.
const TOGETHER: usize = 100;
/// Number of certain differences after which no further streams are rechecked.
pub(crate) const DIFFERENCES_MAX: usize = 1000;

/// Rounds in which streams that differ are rechecked: the application may be about to write them.
const ROUNDS: u32 = 6;
/// Pause before the second round; each further one is longer by as much.
const PAUSE: Duration = Duration::from_millis(100);

/// Result of folding some streams as they are now.
struct Given {
    /// Documents by target and id.
    documents: Vec<HashMap<String, RawDocumentBuf>>,
    /// Heads by the hash of the stream.
    heads: HashMap<u64, Head>,
    /// Hashes of the streams that could not be folded.
    failed_streams: HashSet<u64>,
}

impl Comparison<'_> {
    /// Rechecks the suspects of a comparison until none differs, or no rounds are left. The application may
    /// be writing meanwhile.
    pub(crate) async fn settled(&self, subject: &Subject, outcome: &ComparisonOutcome) -> Result<Recheck> {
        let mut names: Vec<String> = outcome.suspects.streams.iter().cloned().collect();
        let (mut recheck, mut stale) = (Recheck::default(), Stale::default());
        for round in 0..ROUNDS {
            if names.is_empty() {
                recheck = Recheck::default();
                break;
            }
            if round > 0 {
                tokio::time::sleep(PAUSE * round).await;
            }
            recheck = self.look_again(subject, &names, false, None).await?;
            stale.add(std::mem::take(&mut recheck.stale));
            if recheck.left > 0 {
                break;
            }
            names = recheck.streams();
        }
        Ok(Recheck { stale, ..recheck })
    }

    /// Rechecks streams. Unless `strict`, the order of fields doesn't count. If `recorded` has the heads of
    /// the generation, a stream is judged only if its recorded head is its present one: catching up refolds
    /// the others.
    ///
    /// # Errors
    /// Errors of reading; [`Error::Interrupted`].
    pub(crate) async fn look_again(
        &self,
        subject: &Subject,
        names: &[String],
        strict: bool,
        recorded: Option<&HashMap<u64, Head>>,
    ) -> Result<Recheck> {
        let groups: Vec<Vec<String>> = names.chunks(TOGETHER).map(<[String]>::to_vec).collect();
        let groups = futures::stream::iter(groups).map(|group| async move {
            let found = self.look_at(subject, &group, strict, recorded).await?;
            Ok::<_, Error>((group.len(), found))
        });
        let mut groups = std::pin::pin!(groups.buffered(self.settings.tuning().readers));
        let (mut recheck, mut left) = (Recheck::default(), names.len());
        while let Some((looked_at, found)) = groups.try_next().await? {
            left -= looked_at;
            recheck.differences.extend(found.differences);
            recheck.moving.extend(found.moving);
            recheck.stale.add(found.stale);
            if recheck.differences.len() >= DIFFERENCES_MAX {
                break;
            }
        }
        recheck.left = left as u64;
        Ok(recheck)
    }

    /// Rechecks streams together, or by halves if they are too large for that.
    async fn look_at(
        &self,
        subject: &Subject,
        names: &[String],
        strict: bool,
        recorded: Option<&HashMap<u64, Head>>,
    ) -> Result<Recheck> {
        let (mut recheck, mut groups) = (Recheck::default(), vec![names]);
        while let Some(group) = groups.pop() {
            if self.cancel.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let Some(before) = self.given(subject, group).await? else {
                let (first, second) = group.split_at(group.len() / 2);
                groups.extend([second, first]);
                continue;
            };
            let differ = self.compared(subject, group, &before, strict).await?;
            if differ.is_empty() {
                continue;
            }
            // Only streams that stood still meanwhile are judged.
            let streams: HashSet<String> =
                differ.iter().map(|difference| difference.stream.clone()).collect();
            let streams: Vec<String> = streams.into_iter().collect();
            let Some(after) = self.given(subject, &streams).await? else {
                // They have grown meanwhile.
                recheck.moving.extend(streams);
                continue;
            };
            for difference in differ {
                let hash = stream_hash(&difference.stream);
                let stood_still = before.heads.get(&hash) == after.heads.get(&hash);
                let as_recorded =
                    recorded.is_none_or(|heads| match (heads.get(&hash), before.heads.get(&hash)) {
                        (Some(recorded), Some(now)) => recorded.is_same(*now),
                        (recorded, now) => recorded.is_none() && now.is_none(),
                    });
                if stood_still && as_recorded {
                    match difference.kind {
                        Kind::Stale => recheck.stale.push(difference),
                        _ => recheck.differences.push(difference),
                    }
                } else if recheck.moving.last() != Some(&difference.stream) {
                    recheck.moving.push(difference.stream);
                }
            }
        }
        Ok(recheck)
    }

    /// Folds streams as they are now; `None` if there are several, and their snapshots are large.
    async fn given(&self, subject: &Subject, names: &[String]) -> Result<Option<Given>> {
        let now = self.store.operation_time().await?;
        let source =
            self.store.events().source(self.stream_index.clone(), now, self.settings.tuning().batch_commits);
        let silent = tokio::sync::watch::channel(crate::observe::Progress::default()).0;
        let recorder = Recorder::verifying(subject.projection.spec().name(), &silent);
        let job = self.job(subject, source, (), &recorder);
        let bytes_max = if names.len() > 1 { BYTES_TOGETHER } else { usize::MAX };
        let Some(folded) = fold_streams(&job, names.to_vec(), None, bytes_max).await? else {
            return Ok(None);
        };
        let documents = (0..subject.collections.len()).map(|target| documents_of(&folded, target)).collect();
        let heads = folded.iter().flat_map(|part| part.heads.iter().copied()).collect();
        let failed = folded.iter().flat_map(|part| &part.failed_streams);
        let failed_streams = failed.map(|failed| stream_hash(&failed.stream)).collect();
        Ok(Some(Given { documents, heads, failed_streams }))
    }

    /// Compares the folded documents of streams with the stored ones.
    async fn compared(
        &self,
        subject: &Subject,
        names: &[String],
        given: &Given,
        strict: bool,
    ) -> Result<Vec<Difference>> {
        let filter = subject.projection.spec().stream_filter();
        let ids: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix(filter.first())).collect();
        let mut found = Vec::new();
        for (target, collection) in subject.collections.iter().enumerate() {
            let stored = self.store.snapshots().of(collection, &ids).await?;
            let expected = given.documents.get(target);
            for id in &ids {
                let stream = filter.stream_of(id);
                let hash = stream_hash(&stream);
                if given.failed_streams.contains(&hash) {
                    // What should be stored for it is not known.
                    continue;
                }
                let (expected, stored) = (expected.and_then(|all| all.get(*id)), stored.get(*id));
                let spec = subject.projection.spec();
                let Some((kind, fields)) = difference(expected, stored, strict, spec)? else { continue };
                let collection = collection.clone();
                found.push(Difference { stream, collection, id: (*id).to_owned(), kind, fields });
            }
        }
        found.sort_by(|left, right| left.stream.cmp(&right.stream));
        Ok(found)
    }
}

fn documents_of(folded: &[Folded], target: usize) -> HashMap<String, RawDocumentBuf> {
    let buffers = folded.iter().filter_map(|part| part.snapshots.targets().get(target));
    let documents = buffers.flat_map(|buffer| buffer.documents());
    let by_id = documents.filter_map(|bytes| {
        let document = RawDocument::from_bytes(bytes).ok()?;
        Some((document.get_str("_id").ok()?.to_owned(), document.to_owned()))
    });
    by_id.collect()
}

fn difference(
    expected: Option<&RawDocumentBuf>,
    stored: Option<&RawDocumentBuf>,
    strict: bool,
    spec: &Spec,
) -> Result<Option<(Kind, Vec<FieldDifference>)>> {
    let read = |document: &RawDocumentBuf| {
        Document::try_from(document)
            .map_err(|error| Error::Mismatch(format!("a snapshot can't be read: {error}")))
    };
    Ok(match (expected, stored) {
        (None, None) => None,
        (Some(_), None) => Some((Kind::Missing, Vec::new())),
        (None, Some(_)) => Some((Kind::Extra, Vec::new())),
        (Some(expected), Some(stored)) if expected.as_bytes() == stored.as_bytes() => None,
        (Some(expected), Some(stored)) if strict => {
            Some((Kind::Differing, field_differences(&read(expected)?, &read(stored)?)))
        }
        (Some(expected), Some(stored)) => {
            let (expected, stored) = (read(expected)?, read(stored)?);
            let without = |paths| (without_fields(&expected, paths), without_fields(&stored, paths));
            let (expected, stored) = without(spec.volatile_paths());
            let fields = field_differences(&expected, &stored);
            let left = |document| without_fields(document, spec.derived_paths());
            let is_stale = field_differences(&left(&expected), &left(&stored)).is_empty();
            let kind = if is_stale { Kind::Stale } else { Kind::Differing };
            (!fields.is_empty()).then_some((kind, fields))
        }
    })
}
