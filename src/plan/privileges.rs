//! The rights that each step needs, and those that a user lacks.

use std::fmt;

/// The collection of what was done and by whom.
pub(crate) const HISTORY: &str = "Statefold_History";

/// Resource of a right, in the server's terms. Empty names stand for all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Resource {
    /// Everything.
    Any,
    /// The whole cluster.
    Cluster,
    /// A collection of a database, or all of them.
    Collection {
        /// Name of the database.
        database: String,
        /// Name of the collection.
        collection: String,
    },
}

impl Resource {
    /// A collection; with an empty name all collections of the database.
    #[must_use]
    pub(crate) fn collection(database: &str, collection: &str) -> Self {
        Self::Collection { database: database.to_owned(), collection: collection.to_owned() }
    }

    /// Whether a right to this resource includes the other one.
    fn covers(&self, other: &Self) -> bool {
        let covers = |name: &str, other: &str| name.is_empty() || name == other;
        match (self, other) {
            (Self::Any, _) | (Self::Cluster, Self::Cluster) => true,
            (
                Self::Collection { database, collection },
                Self::Collection { database: other_database, collection: other_collection },
            ) => {
                // All databases means neither `local` nor `config`.
                let is_user = database == other_database
                    || (database.is_empty() && !matches!(other_database.as_str(), "local" | "config"));
                is_user && covers(collection, other_collection)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("everything"),
            Self::Cluster => formatter.write_str("the cluster"),
            Self::Collection { database, collection } if collection.is_empty() => {
                write!(formatter, "the database {database}")
            }
            Self::Collection { database, collection } => write!(formatter, "{database}.{collection}"),
        }
    }
}

/// Actions that a user may perform on a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Privilege {
    /// The resource.
    pub resource: Resource,
    /// The actions, as the server names them.
    pub actions: Vec<String>,
}

/// A step that needs rights of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Reading: planning, verifying, the status.
    Read,
    /// Building, catching up, aborting.
    Build,
    /// The cut-over by the pointer.
    CutOver,
    /// The cut-over that puts the new collection under the name of the old one.
    Rename,
    /// The cut-over that switches a view.
    View,
    /// The clean-up.
    CleanUp,
}

impl Step {
    /// The name, for display.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "plan, verify, status",
            Self::Build => "build",
            Self::CutOver => "cut-over",
            Self::Rename => "cut-over by renaming",
            Self::View => "cut-over by a view",
            Self::CleanUp => "cleanup",
        }
    }
}

/// A right that a step needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    /// The step.
    pub step: Step,
    /// The action, as the server names it.
    pub action: &'static str,
    /// The resource.
    pub resource: Resource,
    /// The consequence of its absence; empty if the step fails.
    pub without: &'static str,
}

/// The rights that the steps need. `others`: databases of snapshots beside that of the event store. `views`:
/// database and name that each view may have.
#[must_use]
pub(crate) fn needs(
    database: &str,
    event_store: &str,
    others: &[String],
    views: &[(String, &str)],
) -> Vec<Need> {
    let events = || Resource::collection(database, event_store);
    let oplog = || Resource::collection("local", "oplog.rs");
    let mut needs = Vec::new();
    let mut need = |step, actions: &[&'static str], resource: &dyn Fn() -> Resource, without| {
        needs.extend(actions.iter().map(|action| Need { step, action, resource: resource(), without }));
    };
    let cluster = || Resource::Cluster;
    let databases: Vec<&str> = std::iter::once(database).chain(others.iter().map(String::as_str)).collect();
    for database in &databases {
        let all = || Resource::collection(database, "");
        need(Step::Read, &["find", "listCollections", "listIndexes"], &all, "");
        need(Step::Read, &["collStats"], &all, "sizes are estimated from a sample, or not shown");
    }
    let own = || Resource::collection(database, "");
    need(Step::Read, &["dbStats"], &own, "free space on disk isn't known");
    need(Step::Read, &["serverStatus"], &cluster, "the server's cache isn't known");
    need(Step::Read, &["replSetGetConfig"], &cluster, "a restored copy isn't recognised");
    need(Step::Read, &["find", "collStats"], &oplog, "the history of changes isn't known");
    let history = || Resource::collection(database, HISTORY);
    need(
        Step::Read,
        &["insert", "update", "remove"],
        &history,
        "a verification isn't recorded in the history",
    );
    let writes = [
        "insert",
        "update",
        "remove",
        "createCollection",
        "createIndex",
        "dropCollection",
        "renameCollectionSameDB",
    ];
    for database in &databases {
        need(Step::Build, &writes, &|| Resource::collection(database, ""), "");
    }
    need(Step::Build, &["changeStream"], &events, "");
    need(Step::Build, &["replSetGetStatus"], &cluster, "secondaries aren't waited for");
    for database in &databases {
        let all = || Resource::collection(database, "");
        need(Step::CutOver, &["update", "renameCollectionSameDB"], &all, "");
        need(Step::Rename, &["insert", "remove", "dropCollection", "renameCollectionSameDB"], &all, "");
        need(Step::CleanUp, &["update", "remove", "dropCollection"], &all, "");
    }
    need(Step::CutOver, &["collMod"], &events, "no fence can be raised (fence short), nor read-only mode");
    for (database, view) in views {
        let view = || Resource::collection(database, view);
        need(Step::View, &["collMod"], &view, "the cut-over by a view isn't possible (mode view)");
    }
    needs
}

/// The needs that these privileges don't meet.
#[must_use]
pub(crate) fn missing(privileges: &[Privilege], needs: Vec<Need>) -> Vec<Need> {
    let allows = |privilege: &Privilege, need: &Need| {
        let actions = &privilege.actions;
        privilege.resource.covers(&need.resource)
            && actions.iter().any(|action| action == need.action || action == "anyAction")
    };
    let is_missing = |need: &Need| !privileges.iter().any(|privilege| allows(privilege, need));
    needs.into_iter().filter(is_missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn privilege(resource: Resource, actions: &[&str]) -> Privilege {
        Privilege { resource, actions: actions.iter().map(|action| (*action).to_owned()).collect() }
    }

    fn squidex() -> Vec<Need> {
        needs("Squidex", "Events2", &[], &[("Squidex".to_owned(), "States_Assets")])
    }

    fn shown(privileges: &[Privilege]) -> Vec<String> {
        let missing = missing(privileges, squidex());
        let fatal = missing.iter().filter(|need| need.without.is_empty());
        fatal.map(|need| format!("{}: {} on {}", need.step.name(), need.action, need.resource)).collect()
    }

    #[test]
    fn who_may_do_everything_lacks_nothing() {
        assert!(missing(&[privilege(Resource::Any, &["anyAction"])], squidex()).is_empty());
        assert_eq!(missing(&[], squidex()).len(), squidex().len());
    }

    #[test]
    fn the_missing_action_and_its_resource_are_named_for_each_step() {
        let all = Resource::collection("Squidex", "");
        let read = privilege(all.clone(), &["find", "listCollections", "listIndexes", "changeStream"]);
        let writes = ["insert", "update", "remove", "createCollection", "createIndex", "dropCollection"];
        let mut write = privilege(all, &writes);
        write.actions.push("renameCollectionSameDB".into());
        assert!(shown(&[read.clone(), write.clone()]).is_empty());
        let lacks_fence = |privileges: &[Privilege]| {
            missing(privileges, squidex()).iter().any(|need| need.without.starts_with("no fence"))
        };
        let fence = privilege(Resource::collection("Squidex", "Events2"), &["collMod"]);
        assert!(lacks_fence(&[read.clone(), write.clone()]) && !lacks_fence(&[read.clone(), write, fence]));
        assert!(shown(&[read]).contains(&"cleanup: dropCollection on the database Squidex".to_owned()));
    }

    #[test]
    fn a_right_to_one_collection_is_none_to_the_database() {
        let one = privilege(Resource::collection("Squidex", "Events2"), &["find"]);
        assert!(shown(&[one]).contains(&"plan, verify, status: find on the database Squidex".to_owned()));
        let other = privilege(Resource::collection("Other", ""), &["find"]);
        assert!(shown(&[other]).contains(&"plan, verify, status: find on the database Squidex".to_owned()));
    }

    #[test]
    fn a_database_of_snapshots_needs_what_the_other_one_needs_but_for_the_events() {
        let one = [privilege(Resource::collection("Squidex", ""), &["anyAction"])];
        let others = ["SquidexContent".to_owned()];
        let missing = missing(&one, needs("Squidex", "Events2", &others, &[]));
        let of_it = |need: &&Need| need.resource == Resource::collection("SquidexContent", "");
        let actions = |step: Step| {
            let missing = missing.iter().filter(of_it).filter(move |need| need.step == step);
            missing.map(|need| need.action).collect::<Vec<_>>()
        };
        assert!(actions(Step::Build).contains(&"insert"));
        assert!(actions(Step::Rename).contains(&"renameCollectionSameDB"));
        assert!(!actions(Step::CutOver).contains(&"collMod"));
    }

    #[test]
    fn all_databases_are_those_of_users_only() {
        let everywhere = privilege(Resource::collection("", ""), &["find", "collStats"]);
        let missing = missing(&[everywhere], squidex());
        let lacks = |resource: &Resource| {
            missing.iter().any(|need| need.action == "find" && need.resource == *resource)
        };
        assert!(!lacks(&Resource::collection("Squidex", "")));
        assert!(lacks(&Resource::collection("local", "oplog.rs")));
    }
}
