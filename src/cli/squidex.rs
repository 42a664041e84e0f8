//! The settings of Squidex that decide how its snapshots are stored: flags, then environment, then the table
//! `[squidex]` of the settings file.

use clap::Args;
use statefold_projections::Registry;
use statefold_projections::squidex::{
    self, DedicatedSchema, SquidexOptions, UnknownSteps, ValueRepresentation,
};

use crate::cli::args::Connection;
use crate::cli::definitions::DefinitionArgs;
use crate::cli::settings::{Raw, file_of, load};
use crate::config::{SquidexFile, database_name_problem};
use crate::error::{Error, Result};
use crate::operator::dedicated_contents;

/// Flags of the program that ships.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Squidex")]
pub(super) struct SquidexArgs {
    #[command(flatten)]
    pub(super) definitions: DefinitionArgs,
    /// How apps, teams, schemas and rules are stored: document, string or binary, as
    /// store:mongoDB:valueRepresentation of Squidex [default: document]
    #[arg(long, global = true, value_name = "FORM", env = "STATEFOLD_VALUES")]
    values: Option<String>,
    /// Number of collections that contents are divided into: contentShardCount of Squidex [default: 0]
    #[arg(long, global = true, value_name = "N", env = "STATEFOLD_CONTENT_SHARDS")]
    content_shards: Option<u32>,
    /// Number of collections that assets are divided into: assetShardCount of Squidex [default: 0]
    #[arg(long, global = true, value_name = "N", env = "STATEFOLD_ASSET_SHARDS")]
    asset_shards: Option<u32>,
    /// Database of the contents: store:mongoDb:contentDatabase of Squidex [default: the one of the events]
    #[arg(long, global = true, value_name = "NAME", env = "STATEFOLD_CONTENT_DATABASE")]
    content_database: Option<String>,
    /// Contents are also in databases of single apps: contents:optimizeForSelfHosting of Squidex
    #[arg(
        long, global = true, env = "STATEFOLD_DEDICATED_CONTENTS", value_name = "true|false",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    dedicated_contents: Option<String>,
    /// What becomes of a rule with a trigger or step of an unknown plugin: keep it as it stands, or fail
    /// [default: keep]
    #[arg(long, global = true, value_name = "keep|fail", env = "STATEFOLD_RULES")]
    rules: Option<String>,
}

/// Shards that Squidex has at most.
const SHARDS_MAX: u32 = 100;

impl SquidexArgs {
    /// The flags as typed, for a hint: not those that come from the environment.
    pub(super) fn typed(&self) -> String {
        let shown = |flag: &str, variable: &str, value: Option<String>| {
            let value = value.filter(|value| std::env::var(variable).as_ref() != Ok(value));
            value.map_or_else(String::new, |value| format!(" --{flag} {value}"))
        };
        let number = |count: Option<u32>| count.map(|count| count.to_string());
        [
            shown("values", "STATEFOLD_VALUES", self.values.clone()),
            shown("content-shards", "STATEFOLD_CONTENT_SHARDS", number(self.content_shards)),
            shown("asset-shards", "STATEFOLD_ASSET_SHARDS", number(self.asset_shards)),
            shown("content-database", "STATEFOLD_CONTENT_DATABASE", self.content_database.clone()),
            // An optional value needs the sign.
            shown("dedicated-contents", "STATEFOLD_DEDICATED_CONTENTS", self.dedicated_contents.clone())
                .replace("contents ", "contents="),
            shown("rules", "STATEFOLD_RULES", self.rules.clone()),
            self.definitions.typed(),
        ]
        .concat()
    }

    /// The projections of Squidex under these settings, or those of them that a migration brings up to date.
    /// Which schemas have collections of their own is read from the database.
    ///
    /// # Errors
    /// [`Error::Config`] with all problems together; what the server said.
    pub(super) async fn registry(&self, connection: Option<&Connection>, narrowed: bool) -> Result<Registry> {
        let file = connection.and_then(|connection| file_of(connection).ok()).unwrap_or_default().squidex;
        let (mut problems, names) = (Vec::new(), file.projections.clone().filter(|_| narrowed));
        let given = self.dedicated_contents.as_deref().filter(|given| !given.is_empty());
        let given = given.map(|given| given.parse::<bool>());
        if given.as_ref().is_some_and(Result::is_err) {
            problems.push("dedicated_contents is true or false".to_owned());
        }
        let given = given.and_then(Result::ok);
        let dedicated = given.or(file.dedicated_contents).unwrap_or(false);
        let mut options = self.options(file, &mut problems);
        if !problems.is_empty() {
            // With those of the connection, so that all are said at once.
            let other = connection.map(|connection| load(connection, &Raw::default()));
            if let Some(Err(Error::Config(other))) = other {
                problems.extend(other);
            }
            return Err(Error::Config(problems));
        }
        if let Some(connection) = connection.filter(|_| dedicated) {
            let settings = load(connection, &Raw::default())?.settings;
            options.dedicated = dedicated_contents(&settings, options.content_database.as_deref()).await?;
            let is_shard = |schema: &DedicatedSchema| {
                schema.schema_id.parse::<u32>().is_ok_and(|number| number < options.content_shards)
            };
            if let Some(clash) = options.dedicated.iter().find(|schema| is_shard(schema)) {
                return Err(Error::Unsupported(format!(
                    "the collections of the schema {} would have the name of a shard: dedicated_contents and \
                     content_shards don't go together here",
                    clash.schema_id
                )));
            }
        }
        let registry = squidex::registry_with(options);
        match names {
            Some(names) => Ok(registry.only(&names)?),
            None => Ok(registry),
        }
    }

    fn options(&self, file: SquidexFile, problems: &mut Vec<String>) -> SquidexOptions {
        let values = match self.values.clone().or(file.values).as_deref() {
            None | Some("" | "document") => ValueRepresentation::Document,
            Some("string") => ValueRepresentation::Text,
            Some("binary") => ValueRepresentation::Binary,
            Some(other) => {
                problems.push(format!("values: `{other}` is not document, string or binary"));
                ValueRepresentation::Document
            }
        };
        let unknown_steps = match self.rules.clone().or(file.rules).as_deref() {
            None | Some("" | "keep") => UnknownSteps::Keep,
            Some("fail") => UnknownSteps::Fail,
            Some(other) => {
                problems.push(format!("rules: `{other}` is not keep or fail"));
                UnknownSteps::Keep
            }
        };
        let content_database =
            self.content_database.clone().or(file.content_database).filter(|name| !name.is_empty());
        if let Some(problem) = content_database.as_deref().and_then(database_name_problem) {
            problems.push(format!("content_database: {problem}"));
        }
        let mut shards = |name: &str, count: Option<u32>| {
            let count = count.unwrap_or(0);
            if count > SHARDS_MAX {
                problems.push(format!("{name}: {count} is more than Squidex can have ({SHARDS_MAX})"));
            }
            count
        };
        SquidexOptions {
            values,
            unknown_steps,
            content_shards: shards("content_shards", self.content_shards.or(file.content_shards)),
            asset_shards: shards("asset_shards", self.asset_shards.or(file.asset_shards)),
            content_database,
            dedicated: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_before_the_file_and_all_problems_together() {
        let file = SquidexFile {
            values: Some("string".into()),
            content_shards: Some(2),
            asset_shards: Some(101),
            rules: Some("drop".into()),
            ..SquidexFile::default()
        };
        let args = SquidexArgs { content_shards: Some(3), ..SquidexArgs::default() };
        let mut problems = Vec::new();
        let options = args.options(file, &mut problems);
        assert_eq!((options.values, options.content_shards), (ValueRepresentation::Text, 3));
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert_eq!(args.typed(), " --content-shards 3");
    }
}
