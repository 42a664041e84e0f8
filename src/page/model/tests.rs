//! Made-up databases, and what is shown of them.

use serde_json::{Value, json};

use super::*;
use crate::lifecycle::{BuildState, CutOverMode};
use crate::observe::{Doing, Leader};
use crate::operator::{
    BuildingStatus, FailedStreamDetails, Failures, GenerationRow, Lag, LockStatus, ProjectionStatus, Role,
    Standing, StatusReport,
};
use crate::store::{Fence, FenceKind, HistoryEntry, HistoryWho, StoredFailedStream};

fn leader(doing: Doing) -> Leader {
    Leader {
        owner: "me/1".into(),
        host: "node-1".into(),
        pid: Some(7),
        version: "0.1.0".into(),
        token: 3,
        beat: 12,
        since: Some("2026-11-30T06:00:00Z".into()),
        last_beat_seconds: 2.4,
        deployment: None,
        foreign: false,
        doing,
    }
}

fn doing() -> Doing {
    Doing {
        projection: "Assets".into(),
        phase: "building".into(),
        percent: 50,
        commits: 100_000,
        commits_planned: 200_000,
        eta_seconds: Some(12),
        held: None,
    }
}

fn assets() -> ProjectionStatus {
    ProjectionStatus {
        projection: "Assets".into(),
        projection_version: 2,
        state: Standing::Behind,
        active_generation: Some(3),
        active_version: Some(1),
        redefined: false,
        collections: vec!["States_Assets3".into()],
        mode: Some(CutOverMode::Pointer),
        views_elsewhere: vec![],
        snapshots: Some(48_000),
        digest: Some("0123456789abcdef".into()),
        failed_streams: 1,
        undrained: false,
        lag: Some(Lag {
            commits: 3,
            events: 4,
            streams: 2,
            more: false,
            seconds: 70,
            since: None,
            followed: true,
        }),
        previous_generations: vec![2],
        building: Some(BuildingStatus {
            build: "Assets4".into(),
            projection_version: 2,
            state: BuildState::Building,
            partitions_done: 1,
            partitions: 4,
            failed_streams: 0,
            failure: None,
            failure_code: None,
            mode: None,
            paused: Some("paused by me".into()),
            can_cut_over: false,
            older_servers: vec![],
        }),
    }
}

fn row(generation: u32, role: Role) -> GenerationRow {
    GenerationRow {
        projection: "Assets".into(),
        generation,
        projection_version: 1,
        role,
        state: (role == Role::Building).then_some(BuildState::Building),
        collections: vec![format!("States_Assets{generation}")],
        mode: (role == Role::Active).then_some(CutOverMode::Pointer),
        snapshots: Some(48_000),
        digest: Some("0123456789abcdef".into()),
        since: Some("2026-11-30T05:00:00Z".into()),
        planned: (role == Role::Building).then_some((200_000, 40.2)),
    }
}

fn overview() -> Overview {
    let status = StatusReport {
        database: "Squidex".into(),
        server_version: "6.0.5".into(),
        has_event_store: true,
        databases_with_events: vec![],
        lock: LockStatus { held: false, holder: None },
        can_write: false,
        fence: Some(Fence {
            kind: FenceKind::ReadOnly,
            reason: "clone and switch".into(),
            owner: "node-1 (pid 7)".into(),
            since: Some("2026-11-30T06:01:00Z".into()),
            token: 3,
            since_ms: 0,
        }),
        leader: Some(leader(doing())),
        is_led: true,
        follower: None,
        is_followed: false,
        instances: vec![InstanceRow {
            id: "1".into(),
            host: "web-1".into(),
            pid: Some(9),
            version: "0.1.0".into(),
            reads: [("Assets".to_owned(), vec![1, 2])].into(),
            read_only: true,
            started: Some("2026-11-30T04:00:00Z".into()),
            heartbeat_seconds: 1.0,
        }],
        workers: vec![],
        projections: vec![assets()],
        next_steps: vec![NextStep::Resume(Some("Assets".into())), NextStep::Migrate],
    };
    let failed_stream = StoredFailedStream {
        id: "Assets3/asset-1".into(),
        build: "Assets3".into(),
        stream: "asset-1".into(),
        offset: 2,
        event_type: "AssetRenamed".into(),
        reason: "unreadable".into(),
        message: "no field appId".into(),
        at: bson::DateTime::from_millis(0),
    };
    let commit = Some(json!({ "EventStream": "asset-1" }));
    Overview {
        status,
        generations: vec![row(2, Role::Kept), row(3, Role::Active), row(4, Role::Building)],
        failures: Failures {
            reasons: vec![("unreadable".into(), 1)],
            first: vec![FailedStreamDetails { failed_stream, commit }],
        },
        history: vec![
            deed("paused", json!({ "reason": "a backup runs" })),
            deed("cut_over", json!({ "fence_ms": 12.34, "refolded_fenced": 2, "verified": "proof" })),
            deed("cut_over", json!({ "drain_ms": 80.0, "refolded_after": 1 })),
            deed("verified", json!({ "verdict": "differs" })),
        ],
    }
}

fn deed(what: &str, details: Value) -> HistoryEntry {
    HistoryEntry {
        at: "2026-11-30T05:30:00Z".into(),
        what: what.into(),
        projection: Some("Assets".into()),
        generation: Some(3),
        who: HistoryWho { user: "ann".into(), host: "node-1".into(), pid: Some(7), version: "0.1.0".into() },
        details: details.as_object().cloned().unwrap_or_default(),
    }
}

fn say() -> Say {
    Arc::new(|step| match step {
        NextStep::Resume(Some(projection)) => Some(format!("statefold resume {projection}")),
        _ => None,
    })
}

/// A page with something of everything.
pub(in crate::page) fn full() -> View {
    View::of(&Seen { overview: Some(overview()), ..Seen::default() }, &say())
}

/// A page of a database that can't be reached, for this reason.
pub(in crate::page) fn nothing(reason: &str) -> View {
    View::of(&Seen { problem: Some(reason.to_owned()), ..Seen::default() }, &say())
}

fn work_of(change: impl FnOnce(&mut Overview)) -> Option<WorkShown> {
    let mut overview = overview();
    change(&mut overview);
    View::of(&Seen { overview: Some(overview), ..Seen::default() }, &say()).lanes.remove(0).work
}

fn current(work: &WorkShown) -> Option<&'static str> {
    work.steps.iter().find(|step| step.state == StepState::Current).map(|step| step.name)
}

#[test]
fn generations_stand_in_their_order_with_readers_at_the_active_one() {
    let view = full();
    let roles: Vec<_> =
        view.lanes[0].generations.iter().map(|found| (found.number, found.role_name)).collect();
    assert_eq!(roles, [(2, "kept"), (3, "active"), (4, "building")]);
    assert_eq!(view.next, ["statefold resume Assets"]);
    assert_eq!(view.lags[0].tone, Tone::Warn);
}

#[test]
fn what_the_leader_does_is_the_step_and_the_bar() {
    let work = work_of(|_| {}).unwrap();
    assert_eq!((current(&work), work.waits.as_deref()), (Some("build"), Some("it is paused by me")));
    assert_eq!(work.bar.map(|bar| (bar.done, bar.planned)), Some((100_000, 200_000)));
    let verifying = work_of(|overview| {
        overview.status.leader = Some(leader(Doing { phase: "verifying".into(), ..doing() }));
    });
    assert_eq!(current(&verifying.unwrap()), Some("verify"));
}

#[test]
fn a_build_without_a_leader_says_what_it_waits_for() {
    let unled = |overview: &mut Overview, state, can_cut_over| {
        (overview.status.is_led, overview.status.leader) = (false, None);
        let building = overview.status.projections[0].building.as_mut().unwrap();
        (building.paused, building.state, building.can_cut_over) = (None, state, can_cut_over);
    };
    let left = work_of(|overview| unled(overview, BuildState::Building, false)).unwrap();
    assert_eq!(left.waits.as_deref(), Some("nobody works on it"));
    assert_eq!(left.bar.map(|bar| (bar.done, bar.planned)), Some((1, 4)));
    let complete = work_of(|overview| unled(overview, BuildState::Verified, true)).unwrap();
    assert_eq!(current(&complete), Some("cut-over"));
    assert!(complete.waits.unwrap().contains("complete and verified"));
}

#[test]
fn nothing_on_its_way_is_no_work() {
    let none = work_of(|overview| {
        (overview.status.is_led, overview.status.leader) = (false, None);
        overview.status.projections[0].building = None;
    });
    assert_eq!(none, None);
}

#[test]
fn what_is_read_aloud_has_no_running_counts() {
    let said = full().announcement;
    assert_eq!(
        said,
        "The event store refuses events. Assets building. Readers of Assets use generation 3. There are \
         failed streams."
    );
}

#[test]
fn the_work_of_this_process_goes_before_the_leaders_last_beat() {
    let working = Some(Doing { commits: 150_000, ..doing() });
    let seen = Seen { overview: Some(overview()), working, ..Seen::default() };
    let work = View::of(&seen, &say()).lanes.remove(0).work.unwrap();
    assert_eq!(work.bar.map(|bar| bar.done), Some(150_000));
}

#[test]
fn a_cut_over_says_what_it_cost() {
    let history = full().history;
    let shown: Vec<_> =
        history.cut_overs.iter().map(|one| (one.took.as_str(), one.late.as_deref())).collect();
    let expected = [
        ("12.3 ms fenced", Some("2 streams folded behind the fence")),
        ("no fence, drained in 80 ms", Some("1 stream folded after the flip")),
    ];
    assert_eq!(shown, expected);
    assert_eq!(history.deeds.len(), 4);
    assert_eq!(
        (history.deeds[0].who.as_str(), history.deeds[0].details.as_str()),
        ("ann@node-1", "a backup runs")
    );
}

#[test]
fn the_newest_verification_counts() {
    let verified = full().history.verified;
    assert_eq!((verified.len(), verified[0].tone), (1, Tone::Good));
    let alone = super::history::history(&[deed("verified", json!({ "verdict": "differs" }))]);
    assert_eq!(alone.verified[0].tone, Tone::Bad);
}
