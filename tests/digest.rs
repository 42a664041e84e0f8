//! The snapshots of a fixture are the same bytes for ever, whatever makes them faster.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use statefold::bench::StreamFold;
use statefold::fixture::{FixtureSpec, Generator};
use statefold::projections::Commit;
use statefold::squidex;

#[test]
fn the_snapshots_of_a_fixture_never_change() {
    let registry = squidex::registry();
    let layout = Arc::new(registry.layout().clone());
    let documents: Vec<_> = Generator::new(FixtureSpec::new(20_000, None, 7).unwrap()).collect();
    let mut streams: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for document in &documents {
        let stream = Commit::decode(document, &layout).unwrap().stream.to_owned();
        streams.entry(stream).or_default().push(document);
    }
    let digest = |name: &str| {
        let mut fold = StreamFold::new(registry.get(name).unwrap(), Arc::clone(&layout));
        streams.values().flatten().for_each(|document| fold.push(document));
        fold.finish();
        let folded = fold.take();
        assert_eq!(folded.counts.failed_streams, 0, "{:?}", folded.failed_streams.first());
        folded.digest.to_string()
    };
    assert_eq!(digest("Assets"), "81f6aa862f25fbdbf48de3b5c2404920-2139");
    assert_eq!(digest("AssetFolders"), "fb80b627269326c653246e4ee7d72eb3-319");
}
