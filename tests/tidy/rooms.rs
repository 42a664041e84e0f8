//! Every room is known, and imports only what the tables allow it.

use std::collections::BTreeSet;

use crate::files::{Files, made_up, none, rust};
use crate::graph::{Import, imports};
use crate::tables::{ALL, HANDLES, Level, May};
use crate::tokens::tokens;

impl Level {
    /// The room of this level that a file belongs to: the name of its folder or file.
    fn room<'a>(&self, file: &'a str) -> Option<&'a str> {
        if let Some((_, room)) = self.crates.iter().find(|(name, _)| *name == file) {
            return Some(*room);
        }
        let inside = file.strip_prefix(self.folder)?.strip_prefix('/')?;
        let name = inside.split('/').next()?;
        Some(name.trim_end_matches(".rs"))
    }

    fn may(&self, room: &str, other: &str) -> bool {
        let at = |name: &str| self.rooms.iter().position(|(room, _)| *room == name);
        match self.rooms.iter().find(|(name, _)| *name == room) {
            Some((_, May::Only(others))) => others.split_whitespace().any(|one| one == other),
            Some((_, May::Below)) => at(other) > at(room),
            None => false,
        }
    }
}

/// Rooms of a level that stand in the tree only, or in the table only.
fn unknown(level: &Level, files: &Files) -> Vec<String> {
    let rooms: Vec<&str> = files.keys().filter_map(|file| level.room(file)).collect();
    let is_listed = |room: &str| level.rooms.iter().any(|(name, _)| *name == room);
    let is_crate = |room: &str| level.crates.iter().any(|(_, name)| *name == room);
    let mut unlisted: Vec<&str> = rooms.iter().copied().filter(|room| !is_listed(room)).collect();
    unlisted.dedup();
    let missing = level.rooms.iter().filter(|(name, _)| !rooms.contains(name) && !is_crate(name));
    let unlisted = unlisted
        .iter()
        .map(|room| format!("{}/{room} isn't a room that tests/tidy/tables.rs knows", level.folder));
    let missing = missing
        .map(|(room, _)| format!("{}/{room} is in tests/tidy/tables.rs, but isn't there", level.folder));
    unlisted.chain(missing).collect()
}

/// What a table allows although it stands further up in the same table, or nowhere.
fn upward(level: &Level) -> Vec<String> {
    let mut found = Vec::new();
    let mut below: Vec<&str> = Vec::new();
    for (room, may) in level.rooms.iter().rev() {
        if let May::Only(others) = may {
            let above = others.split_whitespace().filter(|other| !below.contains(other));
            found.extend(
                above.map(|other| format!("{}: {room} may use {other}, which isn't below it", level.folder)),
            );
        }
        below.push(room);
    }
    found
}

/// Imports from room to room of a level that its table doesn't allow, the first of each file from a file.
fn forbidden(level: &Level, imports: &[Import]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for import in imports {
        let Some(room) = level.room(&import.from) else { continue };
        // A re-export by the level itself (`crate::store::Store`) only shows what a room of it defines.
        let passed = import.through.iter().filter(|file| !is_face(level, file));
        let mut used = passed.chain([&import.to]).filter_map(|file| level.room(file));
        let Some(other) = used.find(|other| *other != room && !level.may(room, other)) else { continue };
        if seen.insert((&import.from, &import.to, other)) {
            found.push(format!("{}: {room} may not use {other}: {}", level.folder, import.describe()));
        }
    }
    found
}

/// Whether a file is the level's own, which shows its rooms to others.
fn is_face(level: &Level, file: &str) -> bool {
    level.room(file).is_some_and(|room| ["mod", "lib"].contains(&room))
}

/// `store.control()` is a use of the room of that name.
fn handle_calls(files: &Files) -> Vec<Import> {
    let mut found = Vec::new();
    for (file, text) in files.iter().filter(|(file, _)| file.starts_with("src/store/")) {
        for call in tokens(text).windows(4) {
            let texts: Vec<&str> = call.iter().map(|token| token.text).collect();
            let handle = HANDLES.iter().find(|handle| texts == [".", **handle, "(", ")"]);
            let (Some(handle), Some(first)) = (handle, call.first()) else { continue };
            found.push(Import {
                from: file.clone(),
                line: first.line,
                path: format!(".{handle}()"),
                to: format!("src/store/{handle}/mod.rs"),
                through: Vec::new(),
                is_only_shown: false,
            });
        }
    }
    found
}

fn all_imports(files: &Files) -> Vec<Import> {
    let crates = ["src/lib.rs", "projections/src/lib.rs"].map(|root| imports(files, root)).concat();
    [crates, handle_calls(files)].concat()
}

#[test]
fn every_room_is_known() {
    let files = rust(&["src", "projections/src"]);
    none(&ALL.iter().flat_map(|level| unknown(level, &files)).collect::<Vec<_>>(), "rooms and tables differ");
}

#[test]
fn rooms_use_only_what_their_table_allows() {
    let imports = all_imports(&rust(&["src", "projections/src"]));
    none(
        &ALL.iter().flat_map(|level| forbidden(level, &imports)).collect::<Vec<_>>(),
        "imports against the rule",
    );
}

#[test]
fn tables_allow_only_what_is_below() {
    none(&ALL.iter().flat_map(upward).collect::<Vec<_>>(), "tables against their own order");
}

const HOUSE: Level = Level {
    folder: "src",
    crates: &[("other", "ground")],
    rooms: &[
        ("lib", May::Below),
        ("store", May::Only("cellar ground")),
        ("cellar", May::Only("")),
        ("ground", May::Only("")),
    ],
};

#[test]
fn an_unlisted_and_a_missing_room_are_found() {
    let files =
        made_up(&[("src/lib.rs", ""), ("src/attic/a.rs", ""), ("src/attic/b.rs", ""), ("src/cellar.rs", "")]);
    let expected = [
        "src/attic isn't a room that tests/tidy/tables.rs knows",
        "src/store is in tests/tidy/tables.rs, but isn't there",
    ];
    assert_eq!(unknown(&HOUSE, &files), expected);
}

#[test]
fn a_forbidden_import_is_found() {
    let files = made_up(&[
        ("src/lib.rs", "mod store; mod cellar; pub use store::Shelf; pub use other;"),
        ("src/store/mod.rs", "mod shelf; pub use shelf::Shelf; use crate::cellar::Wine; use other::Earth;"),
        ("src/store/shelf.rs", "pub struct Shelf;"),
        ("src/cellar.rs", "use crate::Shelf; pub struct Wine; fn f() { crate::other::dig(); }"),
    ]);
    let expected = [
        "src: cellar may not use store: src/cellar.rs:1: crate::Shelf (src/store/shelf.rs)",
        "src: cellar may not use ground: src/cellar.rs:1: crate::other::dig (other)",
    ];
    assert_eq!(forbidden(&HOUSE, &imports(&files, "src/lib.rs")), expected);
}

#[test]
fn a_handle_of_the_store_is_an_import() {
    let files = made_up(&[("src/store/events/feed.rs", "fn f() {\n self.store\n.admin().look() }")]);
    let found: Vec<String> = ALL.iter().flat_map(|level| forbidden(level, &handle_calls(&files))).collect();
    let expected =
        "src/store: events may not use admin: src/store/events/feed.rs:3: .admin() (src/store/admin/mod.rs)";
    assert_eq!(found, [expected]);
}

#[test]
fn the_handles_of_the_store_are_its_rooms() {
    let files = rust(&["src/store"]);
    for handle in HANDLES {
        assert!(files.contains_key(&format!("src/store/{handle}/mod.rs")), "src/store has no room {handle}");
        let signature = format!("fn {handle}(&self) ->");
        assert!(files.values().any(|text| text.contains(&signature)), "no store.{handle}() in src/store");
    }
}

#[test]
fn a_table_that_allows_what_is_above_is_found() {
    let rooms = &[("a", May::Only("b")), ("b", May::Only("a"))];
    assert_eq!(upward(&Level { rooms, ..HOUSE }), ["src: b may use a, which isn't below it"]);
}
