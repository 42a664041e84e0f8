//! A recording of all relevant writes, from a change stream.

use std::time::Instant;

use bson::{Document, doc};
use futures::StreamExt;
use mongodb::Database;
use mongodb::options::{ChangeStreamPreAndPostImages, FullDocumentType};
use tokio::task::JoinHandle;

use crate::args::Result;
use crate::history::Write;

/// The recorded writes.
#[derive(Default)]
pub(crate) struct Seen {
    /// The writes that the rules check, in order.
    pub(crate) history: Vec<Write>,
    /// Tokens, and the times they were first seen.
    pub(crate) tokens: Vec<(i64, Instant)>,
}

/// A running recording.
pub(crate) struct Recording {
    db: Database,
    task: JoinHandle<Result<Seen>>,
}

/// Collection whose first write ends the recording.
const END: &str = "TheEnd";

impl Recording {
    /// Creates the collections of records, so that each change has the document as it was after it.
    pub(crate) async fn prepare(db: &Database) -> Result<()> {
        for name in ["Migration", "Statefold_Builds", "Statefold_Checkpoints"] {
            let images = ChangeStreamPreAndPostImages::builder().enabled(true).build();
            db.create_collection(name).change_stream_pre_and_post_images(images).await?;
        }
        Ok(())
    }

    /// Starts to record.
    pub(crate) async fn start(db: &Database) -> Result<Self> {
        let mut changes = db.watch().full_document(FullDocumentType::WhenAvailable).await?;
        let task = tokio::spawn(async move {
            let mut seen = Seen::default();
            while let Some(change) = changes.next().await.transpose()? {
                if change.ns.as_ref().and_then(|ns| ns.coll.as_deref()) == Some(END) {
                    break;
                }
                let Some(write) = Write::of(&change) else { continue };
                if let Write::Control { token, .. } = &write
                    && seen.tokens.last().is_none_or(|(last, _)| last < token)
                {
                    seen.tokens.push((*token, Instant::now()));
                }
                seen.history.push(write);
            }
            Ok(seen)
        });
        Ok(Self { db: db.clone(), task })
    }

    /// Ends the recording after the last write so far.
    pub(crate) async fn end(self) -> Result<Seen> {
        self.db.collection::<Document>(END).insert_one(doc! { "_id": 1 }).await?;
        self.task.await?
    }
}
