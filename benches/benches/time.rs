//! Time of the hot path, measured by criterion: for an overview, and to compare allocators and machines.
//!
//! ```text
//! cargo bench -p statefold-benches --bench time
//! cargo bench -p statefold-benches --bench time -- 'apply/'
//! ```
//!
//! All numbers are per commit (criterion shows them as elements per second). On a busy machine use the
//! [instructions](instructions.rs) instead.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use workloads::{
    Batch, COMMITS, EVENT_TYPES, Fold, Frame, Whole, decode_all, decode_events, documents, route_all,
};

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(COMMITS as u64));
    let batch = Batch::new();
    group.bench_function("batch to shards", |bencher| bencher.iter(|| black_box(&batch).route()));
    for prefix in ["asset-", "content-"] {
        let documents = documents(prefix);
        group.bench_function(BenchmarkId::new("route", prefix), |bencher| {
            bencher.iter(|| route_all(black_box(&documents)));
        });
        group.bench_function(BenchmarkId::new("commit", prefix), |bencher| {
            bencher.iter(|| decode_all(black_box(&documents)));
        });
        group.bench_function(BenchmarkId::new("events", prefix), |bencher| {
            bencher.iter(|| decode_events(black_box(&documents)));
        });
    }
}

fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    group.throughput(Throughput::Elements(COMMITS as u64));
    let by_type = EVENT_TYPES.map(|name| (name, Fold::of_type(name)));
    for (name, mut fold) in by_type.into_iter().chain([("content-", Fold::of_streams("content-"))]) {
        group.bench_function(name, |bencher| bencher.iter(|| fold.run()));
    }
}

fn spill(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spill");
    let mut frame = Frame::new();
    group.throughput(Throughput::Bytes(frame.bytes() as u64));
    group.bench_function("encode", |bencher| bencher.iter(|| frame.encode()));
    group.bench_function("decode", |bencher| bencher.iter(|| frame.decode()));
}

fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("whole");
    let mut whole = Whole::new();
    group.throughput(Throughput::Elements(whole.commits() as u64));
    group.bench_function("run", |bencher| bencher.iter(|| whole.run()));
    whole.fold();
    group.throughput(Throughput::Elements(whole.streams() as u64));
    group.bench_function("emit", |bencher| bencher.iter(|| whole.emit()));
}

/// Projections as data, beside the one in Rust that gives the same bytes.
fn as_data(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("as data");
    let all = [
        ("folders in Rust", Whole::folders(false)),
        ("folders as data", Whole::folders(true)),
        ("orders as data", Whole::orders()),
    ];
    for (name, mut whole) in all {
        group.throughput(Throughput::Elements(whole.commits() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| whole.run()));
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    decode(&mut criterion);
    apply(&mut criterion);
    spill(&mut criterion);
    whole(&mut criterion);
    as_data(&mut criterion);
    criterion.final_summary();
}
