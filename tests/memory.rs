//! Memory stays within the budget, as the allocator itself counts it. A program of its own, because
//! everything it allocates is counted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

#[path = "support/mod.rs"]
mod support;

use peak_alloc::PeakAlloc;
use statefold::{Strategy, Tuning};

use crate::support::{Db, squidex};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Buffers of readers, writers and the driver, and the runtime itself.
const BESIDES: usize = 24 << 20;

/// Commits of the store; those of assets have about 70 MB, their states 14 MB.
const COMMITS: &str = "120000";

fn rebuild_peak(db: &Db, runtime: &tokio::runtime::Runtime, strategy: Strategy, memory: usize) -> usize {
    let tuning = Tuning { strategy: Some(strategy), memory_bytes: memory, ..Tuning::default() };
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let report = runtime.block_on(db.rebuild(&squidex(), &["Assets"], tuning)).unwrap();
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    let pass = report.pass.unwrap();
    println!("{strategy}: peak {} KiB, states {} KiB", peak >> 10, pass.memory_bytes >> 10);
    assert!(pass.memory_bytes <= memory as u64, "{pass:?}");
    peak
}

#[test]
fn a_rebuild_needs_its_budget_and_a_fixed_sum_besides() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let db = runtime.block_on(Db::new("memory"));
    // Another process writes the events: its memory doesn't count.
    let (uri, name) = (crate::support::server::shared(), db.name.as_str());
    let arguments = ["fixture", "--commits", COMMITS, "--uri", &uri, "--database", name];
    let fixture =
        std::process::Command::new(env!("CARGO_BIN_EXE_statefold")).args(arguments).output().unwrap();
    assert!(fixture.status.success(), "{}", String::from_utf8_lossy(&fixture.stderr));
    let enough = 64 << 20;
    let little = 2 << 20;
    let natural = rebuild_peak(&db, &runtime, Strategy::Natural, enough);
    assert!(natural < (20 << 20) + BESIDES, "natural: {natural}");
    let spilled = rebuild_peak(&db, &runtime, Strategy::Spill, little);
    assert!(spilled < little + BESIDES, "spill: {spilled}");
    let stream = rebuild_peak(&db, &runtime, Strategy::Stream, little);
    assert!(stream < little + BESIDES, "stream: {stream}");
}
