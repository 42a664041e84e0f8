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
use crate::store::connection::{FORMAT, call, number_of, refused_writes};
use crate::store::records::CHECKPOINTS;

/// Parts that are recorded with one command.
const PARTS_PER_COMMAND: usize = 500;

impl BuildStore {
    /// Records these parts, open to all workers, in place of those that a process with an older token left.
    pub(in crate::store) async fn record_parts(&self, parts: &[Part]) -> Result<()> {
        let doing = "recording the parts of the event store";
        let (build, token) = (&self.record.id, self.record.token);
        for some in parts.chunks(PARTS_PER_COMMAND) {
            self.mandate.check()?;
            let replaced = some.iter().map(|part| {
                // Where a newer token has one, nothing matches, and inserting another is refused.
                let own = doc! { "_id": self.part_id(part.number), "Token": { "$lte": token } };
                doc! { "q": own, "u": self.part_document(part), "upsert": true }
            });
            let command = doc! {
                "update": CHECKPOINTS, "updates": replaced.collect::<Vec<_>>(),
                "writeConcern": { "w": "majority" },
            };
            refused_writes(doing, &self.store.command(doing, command).await?)?;
        }
        let further = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let (checkpoints, ids) = (self.store.collection(CHECKPOINTS), parts_of(build));
        let older = doc! { "_id": ids, "Token": { "$lte": token }, "Part": { "$gte": i64::from(further) } };
        call(doing, async move { checkpoints.delete_many(older).await }).await.map(|_| ())
    }

    /// Opens the parts that aren't read to all workers again.
    pub(in crate::store) async fn open_parts(&self) -> Result<()> {
        let (checkpoints, ids) = (self.store.collection(CHECKPOINTS), parts_of(&self.record.id));
        let unread = doc! { "_id": ids, "Token": self.record.token, "Done": false };
        let open = doc! { "$set": { "Open": true }, "$unset": { "Claim": "" } };
        let update = async move { checkpoints.update_many(unread, open).await };
        call("opening the parts of the event store", update).await.map(|_| ())
    }

    /// Whether this process has read a part that it has claimed, and only the answer was lost.
    pub(in crate::store) async fn is_part_read_here(&self, part: u32) -> Result<bool> {
        let Some(claims) = &self.claims else { return Ok(false) };
        let (task, checkpoints) = (Task::Read(part), self.store.collection(CHECKPOINTS));
        let mut filter = doc! { "_id": self.part_id(part), "Token": self.record.token, "Done": true };
        filter.extend(claims.condition(task));
        let find = async move { checkpoints.find_one(filter).await };
        let is_read = call("looking at a part of the event store", find).await?.is_some();
        if is_read {
            claims.release(task);
        }
        Ok(is_read)
    }

    /// The partitions of the exchange, if there is one.
    pub(crate) fn exchanged(&self) -> Option<Vec<Partition>> {
        let exchange = self.record.exchange.as_ref()?;
        let mut partitions = self.partitions();
        partitions.retain(|partition| exchange.partitions.contains(&partition.number));
        Some(partitions)
    }

    /// Checks that every part is read, and that none is missing.
    ///
    /// # Errors
    /// [`Error::State`].
    pub(in crate::store) async fn check_read(&self) -> Result<()> {
        let expected = self.record.exchange.as_ref().map_or(0, |exchange| u64::from(exchange.parts));
        let (checkpoints, ids) = (self.store.collection(CHECKPOINTS), parts_of(&self.record.id));
        let read = doc! { "_id": ids, "Token": self.record.token, "Done": true };
        let count = async move { checkpoints.count_documents(read).await };
        match call("counting the parts that are read", count).await? {
            read if read == expected => Ok(()),
            read => Err(self.parts_missing(read)),
        }
    }

    fn parts_missing(&self, found: u64) -> Error {
        let expected = self.record.exchange.as_ref().map_or(0, |exchange| exchange.parts);
        Error::State {
            build: self.record.id.clone(),
            expected: format!("{expected} parts of the event store"),
            actual: format!("left with {found} of them"),
        }
    }

    /// Removes the parts.
    pub(in crate::store) async fn forget_parts(&self) -> Result<()> {
        self.mandate.check()?;
        let (checkpoints, ids) = (self.store.collection(CHECKPOINTS), parts_of(&self.record.id));
        let ours = doc! { "_id": ids, "Token": { "$lte": self.record.token } };
        let delete = async move { checkpoints.delete_many(ours).await };
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
    async fn parts(&self, partition: u32) -> Result<Vec<Document>> {
        let (checkpoints, ids) = (self.store.collection(CHECKPOINTS), parts_of(&self.record.id));
        let only = doc! { "Part": 1, "Token": 1, "Attempt": 1, format!("Frames.{partition}"): 1 };
        let find = async move {
            let found = checkpoints.find(doc! { "_id": ids }).projection(only).await?;
            found.try_collect::<Vec<Document>>().await
        };
        let found = call("looking at the parts of the event store", find).await?;
        let expected = self.record.exchange.as_ref().map_or(0, |exchange| exchange.parts as usize);
        let is_ours = |part: &Document| part.get("Token").and_then(number_of) == Some(self.record.token);
        if found.len() != expected || !found.iter().all(is_ours) {
            return Err(self.parts_missing(found.len() as u64));
        }
        Ok(found)
    }

    /// The attempt that counts of each part with frames of a partition, and how many there are.
    pub(in crate::store) async fn expected_frames(&self, partition: u32) -> Result<HashMap<String, u64>> {
        let mut expected = HashMap::new();
        for part in self.parts(partition).await? {
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
        filter.insert("Done", false);
        filter.extend(claims.condition(task));
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
