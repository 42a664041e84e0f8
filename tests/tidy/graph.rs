//! The imports of a crate, file by file: from `use` declarations and from paths in the code.

use crate::crates::{Crate, Place};
use crate::files::Files;
use crate::parse::What;

/// One file uses another, or another crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) from: String,
    pub(crate) line: usize,
    /// As it is written.
    pub(crate) path: String,
    /// The file that defines what is used; a name without `/` is another crate.
    pub(crate) to: String,
    /// The files whose re-exports lead there.
    pub(crate) through: Vec<String>,
    /// Whether it only shows to others what a module below defines.
    pub(crate) is_only_shown: bool,
}

impl Import {
    pub(crate) fn describe(&self) -> String {
        format!("{}:{}: {} ({})", self.from, self.line, self.path, self.to)
    }
}

/// All imports of the crate with this root file.
pub(crate) fn imports(files: &Files, root: &str) -> Vec<Import> {
    assert!(files.contains_key(root), "{root} isn't there");
    let found = Crate::load(files, root);
    let mut imports = Vec::new();
    for (module, file, parsed) in &found.files {
        for said in &parsed.said {
            let here = [module.clone(), said.inside.clone()].concat();
            let (path, shown) = match &said.what {
                What::Use(one) => (&one.path, one.is_public.then_some(&one.name)),
                What::Path(path) => (path, None),
                _ => continue,
            };
            let mut through = Vec::new();
            let place = found.place(&here, path, &mut through);
            let to = match &place {
                Place::Module(module) => found.modules.get(module).map(|module| module.file.clone()),
                Place::Item(file) | Place::Elsewhere(file) => Some(file.clone()),
            };
            let Some(to) = to.filter(|to| to != file) else { continue };
            let is_below = is_below(&to, file);
            let is_only_shown = is_below && shown.is_some_and(|name| !parsed.names.contains(name));
            let (from, line, path) = (file.clone(), said.line, path.join("::"));
            imports.push(Import { from, line, path, to, through, is_only_shown });
        }
    }
    imports
}

/// Whether a file lies in the folder that belongs to another: `a/mod.rs`, `a.rs` or a root, and `a/b.rs`.
fn is_below(file: &str, parent: &str) -> bool {
    let roots = ["/mod.rs", "/lib.rs", "/main.rs", ".rs"];
    let folder = roots.iter().find_map(|root| parent.strip_suffix(root)).unwrap_or(parent);
    file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[test]
fn imports_are_found_in_declarations_and_in_code() {
    let files = crate::files::made_up(&[
        ("src/lib.rs", "mod a; mod b; pub use b::B;"),
        ("src/a.rs", "fn f() { crate::b::g(); }\nuse crate::B; // crate::c"),
        ("src/b.rs", "pub struct B; pub fn g() {}\nmod tests { use super::*; }"),
    ]);
    let described: Vec<String> = imports(&files, "src/lib.rs").iter().map(Import::describe).collect();
    let expected = [
        "src/a.rs:1: crate::b::g (src/b.rs)",
        "src/a.rs:2: crate::B (src/b.rs)",
        "src/lib.rs:1: b::B (src/b.rs)",
    ];
    assert_eq!(described, expected);
}
