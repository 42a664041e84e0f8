//! The result doesn't depend on how the work is divided.

use statefold::Tuning;

use crate::support::commits::generated;
use crate::support::database::{Documents, assert_same};
use crate::support::{Db, oracle, squidex};

#[tokio::test]
async fn partitions_batches_and_threads_change_neither_digest_nor_documents() {
    let commits = generated(3000, 11);
    let expected = oracle::assets(&commits);
    let db = Db::new("same_digest").await;
    db.write(&commits).await;
    let usual = Tuning { threads: 1, readers: 1, partitions: Some(1), ..Tuning::default() };
    let tunings = [
        usual,
        Tuning { partitions: Some(8), ..usual },
        Tuning { partitions: Some(8), threads: 2, readers: 3, batch_commits: 7, ..usual },
        Tuning { threads: 2, batch_docs: 3, ..usual },
        Tuning { batch_bytes: 1, ..usual },
    ];
    let mut digests = Vec::new();
    for (tuning, generation) in tunings.into_iter().zip(3..) {
        let report = db.rebuild(&squidex(), &["Assets"], tuning).await.unwrap();
        let built = &report.projections[0];
        assert_eq!(built.generation, generation);
        // Streams aren't divided, so that there may be fewer partitions than asked for.
        assert_eq!(built.partitions > 4, tuning.partitions == Some(8), "{}", built.partitions);
        digests.push(built.digest.clone());
        let found: Documents = db.read(&format!("States_Assets{generation}")).await;
        assert_same(&found, &expected);
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[tokio::test]
async fn another_event_gives_another_digest() {
    let mut digests = Vec::new();
    for commits in [generated(200, 11), generated(199, 11), generated(200, 12)] {
        let db = Db::new("other_digest").await;
        db.write(&commits).await;
        let report = db.rebuild(&squidex(), &["Assets"], Tuning::default()).await.unwrap();
        digests.push(report.projections[0].digest.clone());
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 3, "{digests:?}");
}
