//! Supported servers, and the weaker guarantees on some of them.

/// How the server is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topology {
    /// A member of a replica set.
    ReplicaSet,
    /// One server without a replica set: no operation times, no change streams.
    Standalone,
    /// A router of a sharded cluster.
    Mongos,
}

/// Version and topology of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerFacts {
    /// `version` of `buildInfo`, for example `6.0.5`.
    pub version: String,
    /// How it is deployed.
    pub topology: Topology,
}

impl ServerFacts {
    /// The oldest supported version.
    pub(crate) const OLDEST: (u32, u32) = (4, 4);

    fn major_minor(&self) -> Option<(u32, u32)> {
        let mut parts = self.version.split('.').map(|part| part.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??))
    }

    /// Whether change streams show changes of the collection itself.
    #[must_use]
    pub(crate) fn has_expanded_events(&self) -> bool {
        self.major_minor().is_some_and(|version| version >= (6, 0))
    }

    /// Whether a drop may name the collection by its UUID as well.
    #[must_use]
    pub(crate) fn drops_by_uuid(&self) -> bool {
        self.major_minor().is_some_and(|version| version >= (6, 0))
    }

    /// The reason that this server isn't supported; `None` if it is. `sharded` allows a router.
    #[must_use]
    pub(crate) fn refusal(&self, sharded: bool) -> Option<String> {
        if self.topology == Topology::Mongos && !sharded {
            return Some(
                "this is a mongos of a sharded cluster, on which no release of statefold was ever run: \
                 connect to a replica set, or set sharded_cluster, once you have tried it on a copy"
                    .into(),
            );
        }
        let (major, minor) = Self::OLDEST;
        match self.major_minor() {
            Some(version) if version >= Self::OLDEST => None,
            Some(_) => {
                Some(format!("MongoDB {} is too old: {major}.{minor} or newer is needed", self.version))
            }
            None => Some(format!("the server's version `{}` is not understood", self.version)),
        }
    }

    /// Why readers can't be moved so on this server; `None` if they can. Behind a router neither renames nor
    /// changed options reach all shards in one step.
    #[must_use]
    pub(crate) fn refuses_cut_over(&self, by_pointer: bool, fenced: bool) -> Option<&'static str> {
        match self.topology {
            Topology::Mongos if !by_pointer => {
                Some("through a mongos readers are moved by the pointer alone: names change shard by shard")
            }
            Topology::Mongos if fenced => {
                Some("through a mongos the event store can't be fenced: options change shard by shard")
            }
            _ => None,
        }
    }

    /// The weaker guarantees on this deployment, in one line.
    #[must_use]
    pub(crate) fn weakness(&self) -> Option<&'static str> {
        if self.topology == Topology::Mongos {
            return Some(
                "a mongos tells nothing of its shards' replication, cache and disks, and no release of \
                 statefold was ever run on one",
            );
        }
        (self.topology == Topology::Standalone).then_some(
            "a standalone server has no operation times: the heads of all streams are compared before and \
             after the build instead, and a crash of the server can lose what it acknowledged",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(version: &str, topology: Topology) -> Option<String> {
        ServerFacts { version: version.into(), topology }.refusal(false)
    }

    #[test]
    fn old_servers_and_routers_are_refused_by_name() {
        for fine in ["4.4.0", "5.0.14", "6.0.5", "8.2.0-rc1", "10.0"] {
            assert_eq!(refusal(fine, Topology::ReplicaSet), None);
        }
        assert_eq!(refusal("4.4.29", Topology::Standalone), None);
        assert_eq!(
            refusal("4.2.24", Topology::ReplicaSet).as_deref(),
            Some("MongoDB 4.2.24 is too old: 4.4 or newer is needed")
        );
        assert!(refusal("3.6", Topology::Standalone).is_some_and(|text| text.contains("too old")));
        assert!(refusal("odd", Topology::ReplicaSet).is_some_and(|text| text.contains("not understood")));
        assert!(refusal("7.0.0", Topology::Mongos).is_some_and(|text| text.contains("sharded_cluster")));
        let router = |version: &str| ServerFacts { version: version.into(), topology: Topology::Mongos };
        assert_eq!(router("7.0.0").refusal(true), None);
        let refused = |pointer, fenced| router("7.0.0").refuses_cut_over(pointer, fenced).is_some();
        assert!(refused(false, false) && refused(true, true) && !refused(true, false));
        assert!(router("4.2.0").refusal(true).is_some() && router("7.0.0").weakness().is_some());
    }
}
