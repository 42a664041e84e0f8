//! Parts of the natural order that processes claim and read, to hand the commits over.
//!
//! A part has a document `{build}~{part}` in `Statefold_Checkpoints`, claimed as a partition is. Once
//! it is read, the document names the attempt whose frames count, and how many there are for each
//! partition: whatever a dead or a frozen process left behind is of another attempt, and a frame that is
//! missing is noticed.

use std::collections::HashMap;

use bson::{Bson, Document, doc};
use futures::TryStreamExt;

use crate::error::{Error, Result};
use crate::pipeline::ports::{Bound, Part, PartRead, Term};
use crate::plan::Partition;
use crate::store::builds::BuildStore;
use crate::store::builds::claims::Task;
use crate::store::connection::{FORMAT, call, number_of};
use crate::store::records::CHECKPOINTS;

impl BuildStore {
    /// Records these parts, open to all workers.
    pub(in crate::store) async fn record_parts(&self, parts: &[Part]) -> Result<()> {
        self.mandate.check()?;
        let documents: Vec<Document> = parts.iter().map(|part| self.part_document(part)).collect();
        let checkpoints = self.store.collection(CHECKPOINTS);
        let insert = async move { checkpoints.insert_many(documents).await };
        call("recording the parts of the event store", insert).await.map(|_| ())
    }

    /// The partitions of the exchange, if there is one.
    pub(crate) fn exchanged(&self) -> Option<Vec<Partition>> {
        let exchange = self.record.exchange.as_ref()?;
        let mut partitions = self.partitions();
        partitions.retain(|partition| exchange.partitions.contains(&partition.number));
        Some(partitions)
    }

    /// Whether every part is read.
    pub(crate) async fn is_read(&self) -> Result<bool> {
        let parts = self.parts(None).await?;
        Ok(parts.iter().all(|part| part.get_bool("Done").unwrap_or(false)))
    }

    /// Removes the parts.
    pub(in crate::store) async fn forget_parts(&self) -> Result<()> {
        self.mandate.check()?;
        let (checkpoints, ids) = (self.store.collection(CHECKPOINTS), parts_of(&self.record.id));
        let delete = async move { checkpoints.delete_many(doc! { "_id": ids }).await };
        call("clearing the parts of the event store", delete).await.map(|_| ())
    }

    pub(in crate::store) fn part_id(&self, part: u32) -> String {
        format!("{}~{part}", self.record.id)
    }

    fn part_document(&self, part: &Part) -> Document {
        let bound = |bound: &Option<Bound>| {
            bound.as_ref().map(|bound| doc! { "Record": bound.record, "Id": bound.id.clone() })
        };
        doc! {
            "_id": self.part_id(part.number), "Format": FORMAT, "Build": &self.record.id,
            "Part": i64::from(part.number), "Token": self.record.token, "Done": false, "Open": true,
            "Claims": 0_i64,
            "Member": part.member.clone(), "After": bound(&part.after), "Until": bound(&part.until),
        }
    }

    /// The documents of all parts, with what they have of a partition.
    async fn parts(&self, partition: Option<u32>) -> Result<Vec<Document>> {
        let (checkpoints, ids) = (self.store.collection(CHECKPOINTS), parts_of(&self.record.id));
        let mut only = doc! { "Part": 1, "Token": 1, "Done": 1, "Attempt": 1 };
        if let Some(partition) = partition {
            only.insert(frames_field(partition), 1);
        }
        let find = async move {
            let found = checkpoints.find(doc! { "_id": ids }).projection(only).await?;
            found.try_collect::<Vec<Document>>().await
        };
        let found = call("looking at the parts of the event store", find).await?;
        let expected = self.record.exchange.as_ref().map_or(0, |exchange| exchange.parts as usize);
        let is_ours = |part: &Document| part.get("Token").and_then(number_of) == Some(self.record.token);
        if found.len() != expected || !found.iter().all(is_ours) {
            return Err(self.fenced("the exchange"));
        }
        Ok(found)
    }

    /// The attempt that counts of each part with frames of a partition, and how many there are.
    pub(in crate::store) async fn expected_frames(&self, partition: u32) -> Result<HashMap<String, u64>> {
        let mut expected = HashMap::new();
        for part in self.parts(Some(partition)).await? {
            let Ok(attempt) = part.get_str("Attempt") else {
                return Err(Error::Bug(format!("a part of {} isn't read", self.record.id)));
            };
            let frames = part.get_document("Frames").ok().and_then(|all| all.get(partition.to_string()));
            if let Some(frames) = frames.and_then(number_of).and_then(|frames| u64::try_from(frames).ok()) {
                expected.insert(attempt.to_owned(), frames);
            }
        }
        Ok(expected)
    }

    /// Makes a part that was read durable, given the terms in which its frames were written.
    pub(in crate::store) async fn finish_reading(&self, read: &PartRead, terms: &[Term]) -> Result<()> {
        self.barrier("handing commits over", terms).await?;
        let Some(claims) = &self.claims else { return Err(Error::Bug("nobody claims here".into())) };
        let (task, checkpoints) = (Task::Read(read.part), self.store.collection(CHECKPOINTS));
        let frames: Document = read
            .frames
            .iter()
            .map(|(partition, frames)| (partition.to_string(), Bson::from(i64::from(*frames))))
            .collect();
        let mut filter = doc! { "_id": self.part_id(read.part), "Token": self.record.token };
        filter.extend(claims.condition(task));
        // Done already if only the answer of the first attempt was lost.
        filter.insert("$or", [doc! { "Done": false }, doc! { "Attempt": &read.attempt }].to_vec());
        let set = doc! { "$set": { "Done": true, "Attempt": &read.attempt, "Frames": frames } };
        let write = async move { checkpoints.update_one(filter, set).await };
        if call("finishing a part of the event store", write).await?.matched_count != 1 {
            return Err(self.fenced("the exchange"));
        }
        claims.release(task);
        Ok(())
    }
}

/// Condition on the ids of all parts of a build.
pub(in crate::store) fn parts_of(build: &str) -> Document {
    // The character after a tilde is the last of ASCII.
    doc! { "$gte": format!("{build}~"), "$lt": format!("{build}\u{7f}") }
}

/// The part that a document describes, if it is that of a part.
pub(in crate::store) fn part_of(document: &Document) -> Option<Part> {
    let bound = |name: &str| {
        let bound = document.get_document(name).ok()?;
        Some(Bound { record: bound.get_i64("Record").ok()?, id: bound.get("Id")?.clone() })
    };
    Some(Part {
        number: document.get("Part").and_then(number_of).and_then(|part| u32::try_from(part).ok())?,
        member: document.get_str("Member").ok().map(str::to_owned),
        after: bound("After"),
        until: bound("Until"),
    })
}

fn frames_field(partition: u32) -> String {
    format!("Frames.{partition}")
}
