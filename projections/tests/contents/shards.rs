//! Which collection an app's assets and contents are in.

use statefold_projections::squidex::shard;

use crate::recorded::{names, read, root};

#[test]
fn each_app_is_where_squidex_put_it() {
    let Some(root) = root() else { return };
    let set = root.join("sharded");
    let mut shards = std::collections::BTreeSet::new();
    for (collection, count) in
        [("States_Assets2_", 2), ("States_Contents_All3_", 3), ("States_Contents_Published3_", 3)]
    {
        let prefix = format!("sharded.{collection}");
        for file in names(&set).into_iter().filter(|file| file.starts_with(&prefix)) {
            let number: u32 = file.strip_prefix(&prefix).unwrap().parse().unwrap();
            for document in read(&set, &file) {
                let app_id = document.get_str("_ai").unwrap();
                assert_eq!(shard(app_id, count), number, "{app_id} in {file}");
                shards.insert((collection, number));
            }
        }
    }
    assert!(shards.len() > 5, "{shards:?}");
}

#[test]
fn the_number_is_below_the_count() {
    for app_id in ["", "a", "ab", "abc", "Ü-66432", "😀", "my_1391", "00000000-0000-0000-0000-000000000000"]
    {
        for count in 1..=100 {
            assert!(shard(app_id, count) < count, "{app_id}");
        }
        assert_eq!(shard(app_id, 0), 0);
    }
    // The empty id has no characters.
    assert_eq!(shard("00000000-0000-0000-0000-000000000000", 100), shard("", 100));
}
