//! The modules of a crate, from its root file, and where a path in it leads.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::Files;
use crate::parse::{Parsed, Use, What, parse};

/// A path of modules from the root of the crate, `[]`.
pub(crate) type ModulePath = Vec<String>;

#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) file: String,
    children: BTreeSet<String>,
    items: BTreeSet<String>,
    uses: Vec<Use>,
}

#[derive(Debug, Default)]
pub(crate) struct Crate {
    pub(crate) modules: BTreeMap<ModulePath, Module>,
    /// The files, each as the module it is.
    pub(crate) files: Vec<(ModulePath, String, Parsed)>,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Module(ModulePath),
    /// An item of this file.
    Item(String),
    /// Another crate, or nothing that is declared by name.
    Elsewhere(String),
}

/// Re-exports may lead to re-exports, but not for ever.
const STEPS_MAX: usize = 12;

impl Crate {
    pub(crate) fn load(files: &Files, root: &str) -> Self {
        let mut found = Self::default();
        found.add(files, root, root, Vec::new());
        found
    }

    fn add(&mut self, files: &Files, root: &str, file: &str, path: ModulePath) {
        let Some(text) = files.get(file) else { return };
        let parsed = parse(text);
        self.modules.entry(path.clone()).or_default().file = file.to_owned();
        for said in &parsed.said {
            let here = [path.clone(), said.inside.clone()].concat();
            let module = self.modules.entry(here.clone()).or_default();
            let child = |name: &String| [here.clone(), vec![name.clone()]].concat();
            match &said.what {
                What::File { name, path } => {
                    module.children.insert(name.clone());
                    let candidates = match path {
                        Some(path) => vec![beside(file, path)],
                        None => candidates(file, file == root, &said.inside, name),
                    };
                    let is_there = candidates.iter().any(|candidate| files.contains_key(candidate));
                    assert!(is_there, "{file} declares mod {name}, but none of {candidates:?} is there");
                    for candidate in candidates {
                        self.add(files, root, &candidate, child(name));
                    }
                }
                What::Inline(name) => {
                    module.children.insert(name.clone());
                    self.modules.entry(child(name)).or_default().file = file.to_owned();
                }
                What::Item(name) => drop(module.items.insert(name.clone())),
                What::Use(one) => module.uses.push(one.clone()),
                What::Path(_) => {}
            }
        }
        self.files.push((path, file.to_owned(), parsed));
    }

    /// Where a path leads that stands in a module. Notes the files whose re-exports it goes through.
    pub(crate) fn place(&self, from: &[String], path: &[String], through: &mut Vec<String>) -> Place {
        let mut here = from.to_vec();
        for (at, name) in path.iter().enumerate() {
            let rest = path.split_at(at + 1).1;
            match name.as_str() {
                "crate" => here.clear(),
                "self" => {}
                "super" => drop(here.pop()),
                _ => {
                    let Some(module) = self.modules.get(&here) else { break };
                    if module.children.contains(name) {
                        here.push(name.clone());
                        continue;
                    }
                    if module.items.contains(name) {
                        return Place::Item(module.file.clone());
                    }
                    if let Some(found) = self.through_use(&here, module, name, rest, through) {
                        return found;
                    }
                    return match at {
                        0 => Place::Elsewhere(name.clone()),
                        _ => Place::Item(module.file.clone()),
                    };
                }
            }
        }
        Place::Module(here)
    }

    /// Follows a name that a module has by a `use`, by its name or with a `*`.
    fn through_use(
        &self,
        here: &[String],
        module: &Module,
        name: &str,
        rest: &[String],
        through: &mut Vec<String>,
    ) -> Option<Place> {
        if through.len() > STEPS_MAX {
            return None;
        }
        let is_itself = |one: &&Use| one.path.first().is_some_and(|first| first == name);
        if let Some(one) = module.uses.iter().find(|one| one.name == name) {
            if is_itself(&one) {
                return Some(Place::Elsewhere(name.to_owned()));
            }
            through.push(module.file.clone());
            return Some(self.place(here, &[one.path.as_slice(), rest].concat(), through));
        }
        let all = module.uses.iter().filter(|one| one.name == "*" && !is_itself(one));
        all.map(|one| [one.path.as_slice(), &[name.to_owned()], rest].concat()).find_map(|path| {
            let mut steps = through.clone();
            steps.push(module.file.clone());
            let known = self.is_declared(here, &path, &mut steps);
            known.inspect(|_| *through = steps)
        })
    }

    /// Where a path through a `*` leads, if something of that name is there.
    fn is_declared(&self, here: &[String], path: &[String], through: &mut Vec<String>) -> Option<Place> {
        let (name, parents) = path.split_last()?;
        let Place::Module(parent) = self.place(here, parents, through) else { return None };
        let module = self.modules.get(&parent)?;
        let is_there = module.children.contains(name) || module.items.contains(name);
        let is_used = module.uses.iter().any(|one| one.name == *name || one.name == "*");
        (parent != here && (is_there || is_used))
            .then(|| self.place(&parent, std::slice::from_ref(name), through))
    }
}

/// The files that `mod name;` may mean.
fn candidates(file: &str, is_root: bool, inside: &[String], name: &str) -> Vec<String> {
    let folder = match file.strip_suffix("/mod.rs") {
        Some(folder) => folder,
        None if is_root => file.rsplit_once('/').map_or("", |(folder, _)| folder),
        None => file.trim_end_matches(".rs"),
    };
    let folder = [&[folder.to_owned()], inside].concat().join("/");
    vec![format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]
}

/// A path from the folder of a file.
fn beside(file: &str, path: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn a_path_leads_to_the_file_that_defines_its_item() {
    let files = crate::files::made_up(&[
        ("src/lib.rs", "mod a; mod b; pub use a::Deep; pub use other as renamed;"),
        (
            "src/a/mod.rs",
            "mod inner; mod all; pub use inner::Deep; pub use all::*; mod tests { use super::*; }",
        ),
        ("src/a/inner.rs", "pub struct Deep;"),
        ("src/a/all.rs", "pub fn wide() {}"),
        ("src/b.rs", "use crate::a; macro_rules! m { () => {} } pub(super) use m;"),
    ]);
    let found = Crate::load(&files, "src/lib.rs");
    let place = |from: &str, path: &str| {
        let split = |path: &str| path.split("::").map(str::to_owned).collect::<Vec<_>>();
        let mut through = Vec::new();
        (found.place(&split(from), &split(path), &mut through), through.len())
    };
    let item = |file: &str| Place::Item(file.to_owned());
    assert_eq!(place("b", "crate::Deep::new"), (item("src/a/inner.rs"), 2));
    assert_eq!(place("b", "a::wide"), (item("src/a/all.rs"), 2));
    assert_eq!(place("a::tests", "super::super::b::m"), (item("src/b.rs"), 0));
    assert_eq!(place("a::tests", "wide"), (item("src/a/all.rs"), 2));
    assert_eq!(place("b", "crate::renamed::X"), (Place::Elsewhere("other".to_owned()), 1));
    assert_eq!(place("b", "std::fs"), (Place::Elsewhere("std".to_owned()), 0));
}
