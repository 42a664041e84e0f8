//! Names of generations and staging collections, and the meaning of existing names.

use statefold_projections::{Spec, Target};

/// Names of one target's collections in one build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GenerationNames {
    /// Name of the target without a number: `States_Assets`.
    pub target: String,
    /// The staging collection: `States_Assets3__t7`.
    pub staging: String,
    /// The published collection: `States_Assets3`.
    pub collection: String,
}

impl GenerationNames {
    /// The names of a target for a generation built under a token.
    #[must_use]
    pub(crate) fn new(target: &Target, generation: u32, token: i64) -> Self {
        let collection = target.generation(generation);
        Self { target: target.collection().to_owned(), staging: staging_name(&collection, token), collection }
    }
}

/// Name of the staging collection of a generation's collection.
#[must_use]
pub(crate) fn staging_name(collection: &str, token: i64) -> String {
    format!("{collection}__t{token}")
}

/// Name of the staging collection once all workers are done: it is behind the other one in order.
#[must_use]
pub(crate) fn sealed_name(collection: &str, token: i64) -> String {
    format!("{}{SEAL}", staging_name(collection, token))
}

/// End of the name of a staging collection that is sealed.
const SEAL: char = 's';

/// Name of the collection in which processes hand over commits, beside a staging collection.
#[must_use]
pub(crate) fn exchange_name(collection: &str, token: i64) -> String {
    format!("{}{EXCHANGE}", staging_name(collection, token))
}

/// End of the name of an exchange.
const EXCHANGE: char = 'x';

/// Whether the name of a staging collection is that of an exchange.
#[must_use]
pub(crate) fn is_exchange(name: &str) -> bool {
    name.ends_with(EXCHANGE)
}

/// Token in the name of a staging collection of this generation's collection, or of its exchange.
#[must_use]
pub(crate) fn staging_token(collection: &str, name: &str) -> Option<i64> {
    let digits = name.strip_prefix(collection)?.strip_prefix("__t")?;
    let digits = digits.strip_suffix([SEAL, EXCHANGE]).unwrap_or(digits);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The published name and the token in the name of a staging collection.
#[must_use]
pub(crate) fn staging_parts(name: &str) -> Option<(&str, i64)> {
    let (published, _) = name.rsplit_once("__t")?;
    Some((published, staging_token(published, name)?))
}

/// Whether the name of a generation's collection is one that we give, not one of the application's:
/// `States_Assets3`, `States_Assets3_0` for a target with a suffix, or `States_Assets2__g2` for a copy that
/// was put aside.
#[must_use]
pub(crate) fn is_our_name(target: &str, generation: u32, collection: &str) -> bool {
    // A suffix begins with a low line, and may have more of them.
    let mut ends = target.match_indices('_').map(|(at, _)| target.split_at(at));
    collection == format!("{target}{generation}")
        || ends.any(|(stem, suffix)| collection == format!("{stem}{generation}{suffix}"))
        || collection.ends_with(&format!("__g{generation}"))
}

/// Whether a name is that of a target, with or without the number of a generation: `States_Assets`,
/// `States_Assets2`, or one of its shards `States_Assets2_0`.
#[must_use]
pub(crate) fn is_of_target(spec: &Spec, name: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if spec.targets().iter().any(|target| target.number_of(name).is_some()) {
        return true;
    }
    spec.targets().iter().filter_map(|target| name.strip_prefix(target.parts().0)).any(|rest| {
        rest.split_once('_').map_or_else(
            || digits(rest),
            |(number, shard)| !number.is_empty() && digits(number) && !shard.is_empty() && digits(shard),
        )
    })
}

/// The name without the mark of a copy that was put aside: `States_Assets2` of `States_Assets2__g2`.
#[must_use]
pub(crate) fn without_aside(name: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.rsplit_once("__g").filter(|(_, number)| is_number(number)).map_or(name, |(name, _)| name)
}

/// Number of the next generation: the largest among existing collections, staging collections and
/// recorded builds, plus one; but at least the first one of the projection.
pub(crate) fn next_generation(
    spec: &Spec,
    collections: &[String],
    recorded: &[u32],
) -> Result<u32, NoGenerationLeft> {
    let number = |target: &Target, name: &String| {
        target.number_of(name.rsplit_once("__t").map_or(name, |(published, _)| published))
    };
    let existing =
        spec.targets().iter().flat_map(|target| collections.iter().filter_map(|name| number(target, name)));
    let largest = existing.chain(recorded.iter().copied()).max().unwrap_or(0);
    let next =
        largest.checked_add(1).ok_or_else(|| NoGenerationLeft { projection: spec.name().to_owned() })?;
    Ok(next.max(spec.first()))
}

/// A collection or a record has the largest number that a generation can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a collection of {projection} has the number {max}, the largest that a generation can have: rename it, \
     so that there is one for the next generation",
    max = u32::MAX
)]
pub(crate) struct NoGenerationLeft {
    projection: String,
}

/// Number of shards into which the application divided its targets, and the collection that shows it, of the
/// highest generation there is: the numbers of shards begin with 0.
#[must_use]
pub(crate) fn shards_seen<'a>(spec: &Spec, collections: &'a [String]) -> Option<(u32, &'a str)> {
    let shard = |target: &Target, name: &'a String| {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // Squidex has at most 100 shards: anything else is a copy that somebody made.
        let is_number =
            |text: &str| digits(text) && text.len() <= 2 && (text == "0" || !text.starts_with('0'));
        let (generation, shard) = name.strip_prefix(target.parts().0)?.split_once('_')?;
        let generation: u32 = generation.parse().ok().filter(|_| digits(generation))?;
        let shard: u32 = is_number(shard).then(|| shard.parse().ok())??;
        Some((generation, shard + 1, name.as_str()))
    };
    let shards =
        spec.targets().iter().flat_map(|target| collections.iter().filter_map(|name| shard(target, name)));
    shards.max().map(|(_, count, name)| (count, name))
}

/// Number of shards of the projection's targets; 0 if they aren't divided. Those in further databases than
/// the first one aren't shards.
#[must_use]
pub(crate) fn shards_wanted(spec: &Spec) -> u32 {
    let database = spec.targets().first().and_then(Target::database);
    let number = |target: &Target| {
        let suffix = target.parts().1.strip_prefix('_')?;
        (target.database() == database).then(|| suffix.parse::<u32>().ok())?
    };
    spec.targets().iter().filter_map(number).max().map_or(0, |last| last + 1)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec::new("Assets", 1).first_generation(3).target(Target::new("States_Assets"))
    }

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_next_generation_is_above_all_that_exist() {
        assert_eq!(next_generation(&spec(), &[], &[]), Ok(3));
        assert_eq!(
            next_generation(&spec(), &names(&["States_Assets", "States_Assets2", "States_AssetsX9"]), &[]),
            Ok(3)
        );
        assert_eq!(next_generation(&spec(), &names(&["States_Assets3"]), &[]), Ok(4));
        assert_eq!(next_generation(&spec(), &names(&["States_Assets4__t12"]), &[]), Ok(5));
        assert_eq!(next_generation(&spec(), &names(&["States_Assets3"]), &[6]), Ok(7));
        assert_eq!(next_generation(&spec(), &names(&["States_Assets7_0"]), &[]), Ok(3));
        let full = next_generation(&spec(), &names(&["States_Assets4294967295"]), &[]);
        assert!(full.is_err_and(|error| error.to_string().contains("4294967295")));
    }

    #[test]
    fn shards_are_counted_in_the_highest_generation() {
        let all = names(&[
            "States_Assets2",
            "States_Assets2_0",
            "States_Assets2_11",
            "States_Assets3_0",
            "States_Assets3_1",
            "States_Assets4_x",
            "States_Assets4_20240101",
            "States_Assets4_100",
            "States_Assets4_07",
        ]);
        assert_eq!(shards_seen(&spec(), &all), Some((2, "States_Assets3_1")));
        assert_eq!(shards_seen(&spec(), &names(&["States_Assets2"])), None);
        let sharded = (0..2).fold(Spec::new("Assets", 1), |spec, shard| {
            spec.target(Target::new("States_Assets").with_suffix(&format!("_{shard}")))
        });
        assert_eq!((shards_wanted(&spec()), shards_wanted(&sharded)), (0, 2));
        assert_eq!(next_generation(&sharded, &all, &[]), Ok(4));
        assert_eq!(GenerationNames::new(&sharded.targets()[1], 4, 7).staging, "States_Assets4_1__t7");
        assert!(is_our_name("States_Assets_1", 4, "States_Assets4_1"));
        assert!(is_our_name("States_Assets_my_1", 4, "States_Assets4_my_1"));
        assert!(!is_our_name("States_Assets_my_1", 4, "States_Assets3_my_1"));
        assert!(is_of_target(&sharded, "States_Assets4_1"));
    }

    #[test]
    fn a_collection_without_a_number_is_generation_1_where_that_is_said() {
        let apps = Spec::new("Apps", 1).target(Target::new("States_Apps").first_unnumbered());
        assert_eq!(next_generation(&apps, &names(&["States_Apps"]), &[]), Ok(2));
        assert_eq!(next_generation(&apps, &names(&["States_AppsX"]), &[]), Ok(1));
    }

    #[test]
    fn a_staging_name_carries_its_token() {
        let names = GenerationNames::new(&Target::new("States_Assets"), 3, 17);
        assert_eq!(names.staging, "States_Assets3__t17");
        assert_eq!(staging_token("States_Assets3", &names.staging), Some(17));
        assert_eq!(staging_token("States_Assets", &names.staging), None);
        assert_eq!(staging_token("States_Assets3", "States_Assets3__tx"), None);
        assert_eq!(staging_parts(&names.staging), Some(("States_Assets3", 17)));
        assert_eq!(staging_parts("States_Assets3"), None);
        assert_eq!(staging_parts("States_Assets3__t"), None);
    }

    #[test]
    fn names_that_we_give_are_told_from_those_of_the_application() {
        let ours = |name| is_our_name("States_Assets", 3, name);
        assert!(ours("States_Assets3") && ours("States_Assets2__g3"));
        assert!(!ours("States_Assets2") && !ours("States_Assets2__g2"));
        assert_eq!(without_aside("States_Assets2__g2"), "States_Assets2");
        assert_eq!(without_aside("States_Assets2__g"), "States_Assets2__g");
    }

    #[test]
    fn names_of_a_target_are_recognised_with_and_without_number() {
        for name in ["States_Assets", "States_Assets2", "States_Assets2_11"] {
            assert!(is_of_target(&spec(), name), "{name}");
        }
        for name in
            ["States_AssetFolders2", "States_Assets_x", "States_Assets2__t7", "States_Assets2_", "Events2"]
        {
            assert!(!is_of_target(&spec(), name), "{name}");
        }
    }
}
