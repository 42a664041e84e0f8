//! Number of instructions of the hot path, counted by gungraun: the same on a busy machine.
//!
//! ```text
//! cargo install gungraun-runner --version 0.20.0   # the version of the library, see Cargo.lock
//! cargo bench -p statefold-benches --bench instructions
//! ```
//!
//! Needs valgrind (3.19 is enough). Every run is compared with the one before it, and fails if a bench
//! takes 2 % more instructions; `-- --save-baseline=NAME` and `-- --baseline=NAME` compare with a
//! named run. Divide by 64 for one commit; `whole` folds the assets of a store of 8000 commits.

#![expect(missing_docs, reason = "the macros make public functions of the benches")]

use std::hint::black_box;

use bson::RawDocument;
use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use workloads::{Batch, Fold, Frame, UNKNOWN, Whole, documents};

#[library_benchmark]
#[bench::asset(documents("asset-"))]
#[bench::content(documents("content-"))]
fn route(documents: Vec<&'static RawDocument>) -> usize {
    workloads::route_all(black_box(&documents))
}

#[library_benchmark]
#[bench::asset(documents("asset-"))]
#[bench::content(documents("content-"))]
fn decode(documents: Vec<&'static RawDocument>) -> i64 {
    workloads::decode_all(black_box(&documents))
}

#[library_benchmark]
#[bench::asset(documents("asset-"))]
#[bench::content(documents("content-"))]
fn events(documents: Vec<&'static RawDocument>) -> usize {
    workloads::decode_events(black_box(&documents))
}

#[library_benchmark]
#[bench::created(Fold::of_type("AssetCreatedEventV2"))]
#[bench::updated(Fold::of_type("AssetUpdatedEventV2"))]
#[bench::annotated(Fold::of_type("AssetAnnotatedEvent"))]
#[bench::moved(Fold::of_type("AssetMovedEvent"))]
#[bench::deleted(Fold::of_type("AssetDeletedEvent"))]
#[bench::created_of_old(Fold::of_type("AssetCreatedEvent"))]
#[bench::tagged_of_old(Fold::of_type("AssetTaggedEvent"))]
#[bench::unknown(Fold::of_type(UNKNOWN))]
#[bench::content(Fold::of_streams("content-"))]
fn apply(mut fold: Fold) -> (Fold, u64) {
    let events = black_box(&mut fold).run();
    (fold, events)
}

#[library_benchmark]
#[bench::two_shards(Batch::new())]
fn batch(batch: Batch) -> (usize, Batch) {
    (black_box(&batch).route(), batch)
}

#[library_benchmark]
#[bench::encode(Frame::new(), true)]
#[bench::decode(Frame::new(), false)]
fn spill(mut frame: Frame, encode: bool) -> (usize, Frame) {
    let bytes = if encode { black_box(&mut frame).encode() } else { black_box(&mut frame).decode() };
    (bytes, frame)
}

fn folded() -> Whole {
    let mut whole = Whole::new();
    whole.fold();
    whole
}

#[library_benchmark]
#[bench::snapshots(folded())]
fn emit(mut whole: Whole) -> (Whole, usize) {
    let bytes = black_box(&mut whole).emit();
    (whole, bytes)
}

#[library_benchmark]
#[bench::assets(Whole::new())]
#[bench::folders_in_rust(Whole::folders(false))]
#[bench::folders_as_data(Whole::folders(true))]
#[bench::orders_as_data(Whole::orders())]
fn whole(mut whole: Whole) -> (Whole, usize) {
    let bytes = black_box(&mut whole).run();
    (whole, bytes)
}

library_benchmark_group!(
    name = hot_path,
    benchmarks = [route, batch, decode, events, apply, emit, spill, whole]
);

main!(
    config = LibraryBenchmarkConfig::default()
        .tool(Callgrind::default().soft_limits([(EventKind::Ir, 2.0)]));
    library_benchmark_groups = hot_path
);
