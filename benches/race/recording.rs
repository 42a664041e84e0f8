//! Records what is written, from a change stream.

use std::time::Instant;

use bson::{Document, doc};
use futures::StreamExt;
use mongodb::Database;
use mongodb::options::{ChangeStreamPreAndPostImages, FullDocumentType};
use tokio::task::JoinHandle;

use crate::Result;
use crate::history::Write;

/// What was seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// What the rules are about, in order.
    pub(crate) history: Vec<Write>,
    /// Tokens, and when they were handed out.
    pub(crate) tokens: Vec<(i64, Instant)>,
}

/// A recording at work.
pub(crate) struct Recording {
    db: Database,
    task: JoinHandle<Result<Seen>>,
}

/// A collection that is written to when everything is over.
const END: &str = "TheEnd";

impl Recording {
    /// Makes the collections of records so that changes show the documents as they were after them.
    pub(crate) async fn prepare(db: &Database) -> Result<()> {
        for name in ["Migration", "Statefold_Builds", "Statefold_Checkpoints"] {
            let images = ChangeStreamPreAndPostImages::builder().enabled(true).build();
            db.create_collection(name).change_stream_pre_and_post_images(images).await?;
        }
        Ok(())
    }

    /// Begins to record.
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

    /// Ends it, once everything written until now was seen.
    pub(crate) async fn end(self) -> Result<Seen> {
        self.db.collection::<Document>(END).insert_one(doc! { "_id": 1 }).await?;
        self.task.await?
    }
}
