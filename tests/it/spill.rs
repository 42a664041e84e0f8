//! Commits that are spilled: when, where to, and what becomes of the file.

use statefold::{Error, Rebuild, Strategy, Tuning, Verify};

use crate::support::commits::{asset_created, asset_renamed, asset_stream, generated, last_asset_stream};
use crate::support::database::assert_same;
use crate::support::{Db, Gate, commit, no_waiting, oracle, squidex};

fn spill() -> Tuning {
    Tuning { strategy: Some(Strategy::Spill), ..no_waiting() }
}

#[tokio::test]
async fn states_beyond_the_budget_are_spilled_unless_natural_order_was_asked_for() {
    let commits = generated(6000, 51);
    let db = Db::new("budget").await;
    db.write(&commits).await;
    // Less than the states need, more than is estimated without a closer look.
    let little = Tuning { memory_bytes: 1 << 20, ..no_waiting() };
    let forced = Tuning { strategy: Some(Strategy::Natural), ..little };
    let error = db.rebuild(&squidex(), &["Assets"], forced).await.unwrap_err();
    assert!(matches!(error, Error::MemoryBudget { budget: 1 }), "{error:?}");
    assert!(error.to_string().contains("more than the memory budget of 1 MiB"), "{error}");
    db.assert_nothing_published().await;

    let spilled = Tuning { strategy: Some(Strategy::Spill), ..little };
    let report = db.rebuild(&squidex(), &["Assets"], spilled).await.unwrap();
    let pass = report.pass.unwrap();
    assert!(pass.spilled_bytes > 0 && pass.memory_bytes <= 1 << 20, "{pass:?}");
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn natural_order_turns_to_spill_by_itself() {
    // One stream after the other, each commit before its predecessor: everything waits.
    let mut commits = generated(4000, 52);
    commits.reverse();
    let db = Db::new("turns").await;
    db.write(&commits).await;
    // The estimate of the states alone is below this.
    let tuning = Tuning { memory_bytes: 1 << 20, ..no_waiting() };
    let report = db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
    let pass = report.pass.unwrap();
    assert_eq!(pass.strategy, Strategy::Spill);
    assert!(pass.reason.contains("needed more"), "{pass:?}");
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

#[tokio::test]
async fn one_stream_beyond_the_budget_in_reverse_order_is_folded_all_the_same() {
    let (stream, created) = (asset_stream("giant"), asset_created("giant"));
    let mut commits = vec![commit(&stream, -1, &[("AssetCreatedEventV2", &created)])];
    for number in 0..4000 {
        let renamed = asset_renamed("giant", &format!("{number}.png"));
        commits.push(commit(&stream, number, &[("AssetAnnotatedEvent", &renamed)]));
    }
    commits.reverse();
    commits.extend(generated(500, 53));
    let size: usize = commits.iter().map(|one| bson::serialize_to_vec(one).unwrap().len()).sum();
    assert!(size > 2 << 20);
    let db = Db::new("one_giant").await;
    db.write(&commits).await;
    for (strategy, generation) in [Strategy::Natural, Strategy::Spill].into_iter().zip(3..) {
        let tuning = Tuning { strategy: Some(strategy), memory_bytes: 1 << 20, ..no_waiting() };
        db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
        assert_same(&db.read(&format!("States_Assets{generation}")).await, &oracle::assets(&commits));
    }
}

#[tokio::test]
async fn a_folder_that_can_not_be_written_is_named() {
    let db = Db::new("no_folder").await;
    db.write(&generated(300, 54)).await;
    let settings = db.settings(spill()).with_spill_folder("/proc/nowhere");
    let error = statefold::rebuild(&settings, &squidex(), Rebuild::of(["Assets"])).await.unwrap_err();
    let message = error.with_sources();
    assert!(matches!(error, Error::SpillFolder { .. }), "{error:?}");
    assert!(message.contains("making the spill file in /proc/nowhere"), "{message}");
    db.assert_nothing_published().await;
    db.rebuild(&squidex(), &["Assets"], spill()).await.unwrap();
}

#[tokio::test]
async fn nothing_is_left_in_the_folder_and_it_may_go_away_meanwhile() {
    let commits = generated(1500, 55);
    let db = Db::new("no_trace").await;
    db.write(&commits).await;
    let folder = tempfile::tempdir().unwrap();
    let last = last_asset_stream(&commits);
    let (gated, gate) = Gate::assets(move |event| event.stream == last);
    // To verify is to spill once more.
    let tuning = Tuning { verify: Verify::Heads, ..spill() };
    let settings = db.settings(tuning).with_spill_folder(folder.path());
    let running = statefold::rebuild(&settings, &gated, Rebuild::of(["Assets"]));
    // Everything is in the file now, and folding has begun.
    gate.reached().await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has a name");
    std::fs::remove_dir(folder.path()).unwrap();
    gate.open();
    let report = running.await.unwrap();
    assert!(report.pass.unwrap().spilled_bytes > 0);
    assert_same(&db.read("States_Assets3").await, &oracle::assets(&commits));
}

/// As a user who may mount: a file system that is too small for the reserve that has to stay free.
#[test]
fn a_full_folder_is_refused_before_anything_is_read() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let db = runtime.block_on(Db::new("full_folder"));
    runtime.block_on(db.write(&generated(300, 56)));
    let folder = tempfile::tempdir().unwrap();
    let command = format!(
        "mount -t tmpfs -o size=16m tmpfs '{path}' && exec '{bin}' rebuild Assets --yes --strategy spill \
         --spill-dir '{path}' --uri '{uri}' --database {name}",
        path = folder.path().display(),
        bin = env!("CARGO_BIN_EXE_statefold"),
        uri = crate::support::server::shared(),
        name = db.name,
    );
    // A mount namespace of its own: nothing of it is seen outside, or left.
    let mut unshare = std::process::Command::new("unshare");
    let output = unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", &command]).output();
    let output = match output {
        Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("unshare:") => output,
        other => {
            // Said where the runner shows it; there is no way to make a small file system here.
            #[expect(clippy::print_stderr, reason = "tests")]
            {
                eprintln!("not tested: this system allows no mounts in a namespace ({other:?})");
            }
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("Free some space, or choose another folder with --spill-dir"), "{said}");
    assert!(said.contains("is kept in memory, beside the memory budget"), "{said}");
    runtime.block_on(db.assert_nothing_published());
}
