//! Capacity of the server: free disk and the oplog, as far as this user may ask.

use bson::{Bson, Document, doc};

use crate::error::{Error, Result};
use crate::plan::{Capacity, Oplog, Topology};
use crate::store::connection::{Admin, call, number_of};

impl Admin<'_> {
    /// The capacity, and notes in words on values that couldn't be read.
    pub(crate) async fn capacity(self) -> (Capacity, Vec<String>) {
        let (mut capacity, mut notes) = (Capacity::default(), Vec::new());
        match self.disk_free().await {
            Ok(Some(free)) => capacity.disk_free_bytes = Some(free),
            Ok(None) => notes.push("free space on disk isn't known: the server doesn't tell it".to_owned()),
            Err(error) => notes.push(format!("free space on disk isn't known: {}", reason(&error))),
        }
        if self.store.facts.topology == Topology::ReplicaSet {
            match self.oplog().await {
                Ok(oplog) => capacity.oplog = oplog,
                Err(error) => notes.push(format!("the size of the oplog isn't known: {}", reason(&error))),
            }
        }
        (capacity, notes)
    }

    async fn disk_free(self) -> Result<Option<u64>> {
        let stats = self.store.command("asking for the free space on disk", doc! { "dbStats": 1 }).await?;
        let (total, used) = (size(&stats, "fsTotalSize"), size(&stats, "fsUsedSize"));
        Ok(total.zip(used).map(|(total, used)| total.saturating_sub(used)))
    }

    async fn oplog(self) -> Result<Option<Oplog>> {
        let local = self.store.db.client().database("local");
        let doing = "asking for the size of the oplog";
        let stats = {
            let local = local.clone();
            call(doing, async move { local.run_command(doc! { "collStats": "oplog.rs" }).await }).await?
        };
        let entries = local.collection::<Document>("oplog.rs");
        let ends = async move {
            let end = |order: i32| entries.find_one(doc! {}).sort(doc! { "$natural": order });
            Ok((end(1).await?, end(-1).await?))
        };
        let (first, last) = call(doing, ends).await?;
        let time = |entry: Option<Document>| entry.and_then(|entry| entry.get_timestamp("ts").ok());
        let (Some(first), Some(last)) = (time(first), time(last)) else { return Ok(None) };
        let seconds = u64::from(last.time.saturating_sub(first.time));
        let (Some(bytes_max), Some(bytes)) = (size(&stats, "maxSize"), size(&stats, "size")) else {
            return Ok(None);
        };
        Ok(Some(Oplog { bytes_max, bytes, seconds }))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a size")]
fn size(document: &Document, name: &str) -> Option<u64> {
    let value: &Bson = document.get(name)?;
    // Large sizes come as doubles.
    let number = number_of(value).or_else(|| value.as_f64().map(|number| number as i64))?;
    u64::try_from(number).ok()
}

fn reason(error: &Error) -> String {
    match error {
        Error::Permission { doing, .. } => format!("this user may not do that ({doing})"),
        error => error.with_sources(),
    }
}
