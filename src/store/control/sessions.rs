//! Sessions with transactions, noted in the control document of the lease they work under (`Sessions`).
//!
//! A transaction that a dead process left open locks its documents until the server aborts it, after a
//! minute. Whoever takes the lease over ends the sessions of all former holders.

use bson::{Document, doc};

use crate::error::{Error, Result};
use crate::store::connection::{Control, call};
use crate::store::control::mandate::Mandate;

impl Control<'_> {
    /// Notes a session, before its first transaction.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another process holds the lease by now.
    pub(in crate::store) async fn note_session(self, mandate: &Mandate, session: &Document) -> Result<()> {
        let Ok(key) = bson::serialize_to_vec(session) else { return Ok(()) };
        if mandate.sessions.ids().contains(&key) {
            return Ok(());
        }
        let control = self.store.collection(&self.store.names.collection);
        let id = mandate.sessions.control_id.as_ref().unwrap_or(&self.store.names.control_id);
        let filter = doc! { "_id": id, "LeaseToken": mandate.token };
        let add = doc! { "$addToSet": { "Sessions": session.clone() } };
        let noted = async move { control.update_one(filter, add).await };
        if call("noting a session", noted).await?.matched_count == 0 {
            return Err(Error::Fenced { token: mandate.token, what: "a transaction".into() });
        }
        mandate.sessions.ids().insert(key);
        Ok(())
    }

    /// Ends the sessions of former holders of this lease. Returns their number.
    pub(crate) async fn end_orphaned_sessions(self, token: i64) -> Result<usize> {
        let control = self.document().await?.unwrap_or_default();
        let Ok(sessions) = control.get_array("Sessions") else { return Ok(0) };
        if !sessions.is_empty() {
            self.store
                .command("ending the sessions of a former leader", doc! { "killSessions": sessions })
                .await?;
        }
        let documents = self.store.collection(&self.store.names.collection);
        let filter = doc! { "_id": &self.store.names.control_id, "LeaseToken": token };
        let forget = async move { documents.update_one(filter, doc! { "$unset": { "Sessions": "" } }).await };
        call("forgetting the sessions of a former leader", forget).await?;
        Ok(sessions.len())
    }
}
