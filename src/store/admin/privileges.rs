//! The privileges of this connection's user.

use bson::{Bson, Document, doc};

use crate::error::Result;
use crate::plan::{Privilege, Resource};
use crate::store::connection::{Admin, call};

impl Admin<'_> {
    /// The privileges of this user; `None` without access control, where everybody may do everything.
    pub(crate) async fn privileges(self) -> Result<Option<Vec<Privilege>>> {
        let admin = self.store.db.client().database("admin");
        let ask = doc! { "connectionStatus": 1, "showPrivileges": true };
        let reply = call("asking for privileges", async move { admin.run_command(ask).await }).await?;
        let auth = reply.get_document("authInfo").cloned().unwrap_or_default();
        if auth.get_array("authenticatedUsers").is_ok_and(Vec::is_empty) {
            return Ok(None);
        }
        let all = auth.get_array("authenticatedUserPrivileges").map(Vec::as_slice).unwrap_or_default();
        Ok(Some(all.iter().filter_map(Bson::as_document).filter_map(privilege).collect()))
    }
}

fn privilege(document: &Document) -> Option<Privilege> {
    let resource = document.get_document("resource").ok()?;
    let is = |name: &str| resource.get_bool(name).unwrap_or(false);
    let resource = if is("anyResource") {
        Resource::Any
    } else if is("cluster") {
        Resource::Cluster
    } else {
        // Other resources are collections of the system.
        Resource::collection(resource.get_str("db").ok()?, resource.get_str("collection").ok()?)
    };
    let actions = document.get_array("actions").ok()?;
    let actions = actions.iter().filter_map(|action| action.as_str().map(str::to_owned)).collect();
    Some(Privilege { resource, actions })
}
