//! Publishing: staging collections get their final names. Readers don't find them before the pointer is set.

use crate::error::{Error, Result};
use crate::store::builds::BuildStore;
use crate::store::connection::is_missing;

impl BuildStore {
    /// Renames every staging collection to its final name. One that has it already is left alone, so that an
    /// interrupted run can be finished.
    ///
    /// # Errors
    /// [`Error::State`] if neither name exists.
    pub(crate) async fn publish_collections(&self) -> Result<()> {
        for target in &self.record.targets {
            match self.rename(&target.staging, &target.collection).await {
                Err(error) if is_missing(&error) => {
                    let names = self.store.collection_names().await?;
                    if !names.contains(&target.collection) {
                        return Err(Error::State {
                            build: self.record.id.clone(),
                            expected: format!("its collection {}", target.staging),
                            actual: "without it".to_owned(),
                        });
                    }
                }
                other => other?,
            }
        }
        Ok(())
    }
}
