//! Tests of each reason to keep something, and of each to drop it.

use crate::lifecycle::retention::*;

const HOUR: i64 = 3_600_000;

fn build(generation: u32, state: BuildState) -> KnownBuild {
    KnownBuild {
        id: format!("Assets{generation}"),
        projection: "Assets".into(),
        generation,
        projection_version: 1,
        state,
        adopted: false,
        asides: Vec::new(),
        changed_ms: 0,
        targets: vec![KnownTarget {
            staging_token: Some(i64::from(generation)),
            collection: format!("States_Assets{generation}"),
            our_name: true,
            dropping: None,
        }],
    }
}

fn named(generation: u32, projection_version: u32) -> KnownGeneration {
    let collections = vec![format!("States_Assets{generation}")];
    KnownGeneration { generation, projection_version, collections }
}

/// Generation 6 is active, 5 to 3 were before; of versions 2, 2, 1, 1.
fn known() -> Known {
    let mut builds = vec![
        build(6, BuildState::Active),
        build(5, BuildState::Retired),
        build(4, BuildState::Retired),
        build(3, BuildState::Retired),
    ];
    for build in builds.iter_mut().filter(|build| build.generation > 4) {
        build.projection_version = 2;
    }
    let previous = vec![named(5, 2), named(4, 1), named(3, 1)];
    let pointer = KnownPointer { projection: "Assets".into(), by_view: false, active: named(6, 2), previous };
    Known { builds, pointers: vec![pointer], token: 9, now_ms: 50 * HOUR, ..Known::default() }
}

fn rules() -> KeepRules {
    KeepRules { previous: 1, ..KeepRules::default() }
}

fn judged(known: &Known, name: &str, rules: &KeepRules) -> Droppable {
    known.collection(name, "uuid", None, rules)
}

#[track_caller]
fn refused(found: &Droppable, reason: &str) {
    assert!(!found.is_yes() && found.reason().contains(reason), "{found:?}");
}

#[track_caller]
fn allowed(found: &Droppable, reason: &str) {
    assert!(found.is_yes() && found.reason().contains(reason), "{found:?}");
}

#[test]
fn the_active_one_and_the_kept_ones_stay_and_the_others_may_go() {
    let known = known();
    refused(&judged(&known, "States_Assets6", &rules()), "active");
    refused(&judged(&known, "States_Assets5", &rules()), "one of the 1 kept to roll back to");
    allowed(&judged(&known, "States_Assets4", &rules()), "beyond the 1 kept");
    let none = KeepRules::default();
    allowed(&judged(&known, "States_Assets5", &none), "beyond the 0 kept");
    refused(&judged(&known, "States_Assets6", &none), "active");
}

#[test]
fn a_retention_window_keeps_what_readers_left_lately() {
    let mut known = known();
    let week = KeepRules { keep_for_ms: Some(7 * 24 * HOUR), ..rules() };
    refused(&judged(&known, "States_Assets3", &week), "left it 2 d ago, kept for 7 d");
    known.now_ms = 8 * 24 * HOUR;
    allowed(&judged(&known, "States_Assets3", &week), "beyond");
    let automatic = KeepRules { older_than_ms: Some(9 * 24 * HOUR), ..rules() };
    refused(&judged(&known, "States_Assets3", &automatic), "dropped after 9 d");
}

#[test]
fn what_a_running_server_needs_stays() {
    let mut known = known();
    let reads = |versions: &[u32]| KnownInstance {
        name: "web1".into(),
        reads: vec![("Assets".into(), versions.to_vec())],
    };
    known.instances = vec![reads(&[1])];
    // It reads the newest generation of its version.
    refused(&judged(&known, "States_Assets4", &rules()), "web1 runs and can read version 1 only");
    allowed(&judged(&known, "States_Assets3", &rules()), "beyond");
    // One that can read the active one needs no other.
    known.instances = vec![reads(&[1, 2])];
    allowed(&judged(&known, "States_Assets4", &rules()), "beyond");
}

#[test]
fn an_unfinished_build_keeps_its_staging_but_not_what_older_tokens_left() {
    let mut known = known();
    for state in [BuildState::Building, BuildState::Failed, BuildState::Verified, BuildState::Published] {
        known.builds.push(build(7, state));
        let staging = |token| known.collection("x", "uuid", Some(("States_Assets7", token)), &rules());
        refused(&staging(7), "Assets7 is");
        // An interrupted takeover renamed it already.
        refused(&staging(8), "Assets7 is");
        allowed(&staging(6), "no unfinished build owns it");
        refused(&judged(&known, "States_Assets7", &rules()), "Assets7 is");
        known.builds.pop();
    }
}

#[test]
fn staging_of_builds_that_ended_or_are_gone_may_go() {
    let mut known = known();
    known.builds.push(build(7, BuildState::Aborted));
    let staging =
        |published, token, rules: &KeepRules| known.collection("x", "uuid", Some((published, token)), rules);
    for published in ["States_Assets6", "States_Assets7", "States_Assets8", "States_Assets3"] {
        allowed(&staging(published, 5, &rules()), "token 5");
    }
    refused(&staging("States_Assets6", 10, &rules()), "newer than any");
    // An automatic clean-up drops it only if its age is known.
    let automatic = KeepRules { older_than_ms: Some(HOUR), ..rules() };
    allowed(&staging("States_Assets7", 5, &automatic), "token 5");
    refused(&staging("States_Assets8", 5, &automatic), "not known to be older than 1 h");
}

#[test]
fn what_we_did_not_build_goes_only_if_it_is_named_in_full_and_no_pointer_names_it() {
    let mut known = known();
    let named_in_full = |name: &str| KeepRules { named: vec![name.into()], ..rules() };
    refused(&judged(&known, "States_Assets2", &rules()), "named in full");
    refused(&judged(&known, "States_Assets2", &named_in_full("States_Assets")), "not built");
    allowed(&judged(&known, "States_Assets2", &named_in_full("States_Assets2")), "named in full");
    // A name that an aborted build would have had.
    known.builds.push(build(7, BuildState::Aborted));
    refused(&judged(&known, "States_Assets7", &rules()), "not built");
    let [pointer] = &mut known.pointers[..] else { panic!() };
    pointer.previous.push(KnownGeneration { collections: vec!["States_Assets2".into()], ..named(2, 1) });
    refused(&judged(&known, "States_Assets2", &named_in_full("States_Assets2")), "the pointer of Assets");
    // Naming it overrules nothing else.
    refused(&judged(&known, "States_Assets6", &named_in_full("States_Assets6")), "active");
    refused(
        &judged(&known, "States_Assets5", &named_in_full("States_Assets5")),
        "one of the 1 kept to roll back to",
    );
}

#[test]
fn an_adopted_generation_goes_only_if_it_is_named_in_full() {
    let mut known = known();
    if let Some(build) = known.builds.iter_mut().find(|build| build.generation == 4) {
        build.adopted = true;
    }
    refused(&judged(&known, "States_Assets4", &rules()), "adopted");
    let named = KeepRules { named: vec!["States_Assets4".into()], ..rules() };
    allowed(&judged(&known, "States_Assets4", &named), "beyond");
}

#[test]
fn a_dropped_generation_is_finished_but_a_new_collection_of_its_name_is_not_ours() {
    let mut known = known();
    let mut dropped = build(2, BuildState::Dropped);
    dropped.targets.iter_mut().for_each(|target| target.dropping = Some("uuid".into()));
    known.builds.push(dropped);
    allowed(&judged(&known, "States_Assets2", &rules()), "the rest");
    refused(&known.collection("States_Assets2", "another", None, &rules()), "not built");
}

#[test]
fn a_collection_that_a_generation_took_over_from_a_dropped_one_is_the_generations() {
    // `rename` mode: generation 6 lives under the application's own name.
    let mut known = known();
    let mut dropped = build(2, BuildState::Dropped);
    dropped.targets.iter_mut().for_each(|target| target.dropping = Some("uuid".into()));
    known.builds.push(dropped);
    for build in known.builds.iter_mut().filter(|build| build.generation == 6) {
        build.targets.iter_mut().for_each(|target| target.collection = "States_Assets2".into());
    }
    let [pointer] = &mut known.pointers[..] else { panic!() };
    pointer.active.collections = vec!["States_Assets2".into()];
    refused(&judged(&known, "States_Assets2", &rules()), "active");
}

#[test]
fn what_a_view_shows_stays() {
    let mut known = known();
    known.views = vec![("States_Assets".into(), "States_Assets4".into())];
    refused(&judged(&known, "States_Assets4", &rules()), "the view States_Assets");
    allowed(&judged(&known, "States_Assets3", &rules()), "beyond");
}

#[test]
fn a_retired_generation_that_no_pointer_names_may_go_and_an_active_one_may_not() {
    let mut known = known();
    known.builds.push(build(7, BuildState::Retired));
    allowed(&judged(&known, "States_Assets7", &rules()), "no pointer names it");
    known.builds.push(build(8, BuildState::Active));
    refused(&judged(&known, "States_Assets8", &rules()), "no pointer names it");
}

#[test]
fn a_purge_takes_what_we_built_and_nothing_else() {
    let mut known = known();
    known.builds.push(build(7, BuildState::Aborted));
    let purged = |known: &Known, name: &str| known.purged(name, "uuid", false);
    allowed(&purged(&known, "States_Assets6"), "ACTIVE: readers of Assets");
    allowed(&purged(&known, "States_Assets5"), "retired");
    allowed(&known.purged("States_Assets7__t3", "uuid", true), "staging");
    refused(&purged(&known, "States_Assets2"), "not built");
    refused(&purged(&known, "States_Assets7"), "not built");
    for build in &mut known.builds {
        build.adopted = build.generation == 5;
        build.targets.iter_mut().for_each(|target| target.our_name = build.generation != 6);
    }
    refused(&purged(&known, "States_Assets5"), "adopted");
    refused(&purged(&known, "States_Assets6"), "the application's own name");
}

#[test]
fn a_purge_takes_a_view_that_we_switch_and_no_other() {
    let mut known = known();
    known.views = vec![("States_Assets".into(), "States_Assets6".into())];
    refused(&known.purged("States_Assets6", "uuid", false), "the view States_Assets shows it");
    assert_eq!(known.view_of_ours("States_Assets"), None);
    known.pointers.iter_mut().for_each(|pointer| pointer.by_view = true);
    allowed(&known.purged("States_Assets6", "uuid", false), "ACTIVE");
    assert_eq!(known.view_of_ours("States_Assets"), known.pointers.first());
    known.views = vec![("States_Assets".into(), "States_Assets5".into())];
    assert_eq!(known.view_of_ours("States_Assets"), None);
}

#[test]
fn a_copy_that_an_unfinished_cut_over_put_aside_stays() {
    let mut known = known();
    let mut cutting = build(7, BuildState::Published);
    cutting.asides = vec!["States_Assets2__g6".into()];
    known.builds.push(cutting);
    let named = KeepRules { named: vec!["States_Assets2__g6".into()], ..rules() };
    refused(&judged(&known, "States_Assets2__g6", &named), "the cut-over of Assets7");
    known.builds.iter_mut().for_each(|build| build.state = BuildState::Aborted);
    refused(&judged(&known, "States_Assets2__g6", &rules()), "named in full");
    allowed(&judged(&known, "States_Assets2__g6", &named), "named in full");
}

#[test]
fn what_readers_left_under_the_name_of_the_application_goes_only_if_it_is_named_in_full() {
    let mut known = known();
    for build in known.builds.iter_mut().filter(|build| build.generation == 4) {
        build.targets.iter_mut().for_each(|target| target.our_name = false);
    }
    refused(&judged(&known, "States_Assets4", &rules()), "the application's own name");
    let named = KeepRules { named: vec!["States_Assets4".into()], ..rules() };
    allowed(&judged(&known, "States_Assets4", &named), "beyond");
}

#[test]
fn records_of_builds_that_are_over_or_gone_may_go() {
    let mut known = known();
    known.builds.push(build(7, BuildState::Aborted));
    known.builds.push(build(8, BuildState::Building));
    allowed(&known.records("Assets7", &rules()), "aborted");
    allowed(&known.records("Assets99", &rules()), "no such build");
    for kept in ["Assets8", "Assets6", "Assets5", "Assets4"] {
        assert!(!known.records(kept, &rules()).is_yes(), "{kept}");
    }
}

#[test]
fn times_are_shown_in_a_unit_that_fits() {
    let shown = [1000, 90_000, 130_000, 7 * 24 * HOUR, 25 * HOUR, 50 * HOUR].map(time);
    assert_eq!(shown, ["1 s", "90 s", "2 min", "7 d", "1 d", "2 d"]);
}
