//! All projections of Squidex, as it is configured.

use super::{
    Apps, AssetFolders, Assets, Contents, DedicatedSchema, Rules, Schemas, Teams, UnknownSteps,
    ValueRepresentation,
};
use crate::{Layout, Registry, RegistryError, Since};

/// Settings of Squidex that decide how its snapshots are stored. The database doesn't record them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SquidexOptions {
    /// How apps, teams, schemas and rules are stored: `store:mongoDB:valueRepresentation` of Squidex.
    pub values: ValueRepresentation,
    /// What becomes of rules with a trigger or step that isn't known.
    pub unknown_steps: UnknownSteps,
    /// Number of collections that contents are divided into, at most 100; 0 if they aren't:
    /// `contentShardCount` of Squidex.
    pub content_shards: u32,
    /// The same for assets: `assetShardCount` of Squidex.
    pub asset_shards: u32,
    /// Database of the contents: `store:mongoDb:contentDatabase` of Squidex. If it isn't given they are in
    /// the database of everything else, unless another one turns out to have them: then nothing is done.
    pub content_database: Option<String>,
    /// Schemas whose contents are also in databases of single apps: with `contents:optimizeForSelfHosting`
    /// all of them.
    pub dedicated: Vec<DedicatedSchema>,
}

/// All projections of Squidex, over the layout of its event store, for a Squidex with its default settings.
///
/// ```
/// let registry = statefold_projections::squidex::registry();
/// let names: Vec<&str> = registry.projections().iter().map(|known| known.spec().name()).collect();
/// assert_eq!(names, ["Assets", "AssetFolders", "Apps", "Teams", "Schemas", "Rules", "Contents"]);
/// ```
#[must_use]
pub fn registry() -> Registry {
    registry_with(SquidexOptions::default())
}

/// As [`registry`], for a Squidex with these settings. Numbers of shards above 100 count as 100.
///
/// # Panics
/// If there are two dedicated schemas of one id, or one whose id is the number of a shard, or more than
/// 4,800.
#[must_use]
pub fn registry_with(options: SquidexOptions) -> Registry {
    let mut registry = Registry::new(layout());
    #[expect(clippy::expect_used, reason = "the specs are constants, but for what is said above")]
    register(&mut registry, options).expect("the specs of Squidex are valid");
    registry
}

fn register(registry: &mut Registry, options: SquidexOptions) -> Result<(), RegistryError> {
    let SquidexOptions { values, unknown_steps, asset_shards, content_shards, content_database, dedicated } =
        options;
    let contents = Contents::with_shards(content_shards.min(SHARDS_MAX));
    registry
        .register(Assets::with_shards(asset_shards.min(SHARDS_MAX)))?
        .register(AssetFolders::new())?
        .register(Apps::with_values(values))?
        .register(Teams::with_values(values))?
        .register(Schemas::with_values(values))?
        .register(Rules::with_values(values).unknown_steps(unknown_steps))?
        .register(
            match content_database {
                Some(name) => contents.in_database(&name),
                None => contents,
            }
            .dedicated(&dedicated),
        )?;
    Ok(())
}

/// Before version 22 events were in the collection `Events`, and stream names had no app; before version 6
/// their metadata were text.
fn layout() -> Layout {
    let remedy = "a server of a current Squidex (7.x) brings it up to date when it starts: let one start, \
                  with all others stopped, then try again";
    Layout { since: Some(Since { version: 22, remedy: remedy.to_owned() }), ..Layout::default() }
}

/// Shards that Squidex has at most.
const SHARDS_MAX: u32 = 100;
