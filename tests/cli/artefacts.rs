//! What a package has beside the program: manual pages and completions.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{done, program};

/// The verbs that the help of a program or verb lists.
fn verbs(before: &[&str]) -> Vec<String> {
    let help = done(program().args(before).arg("--help"), 0).stdout;
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
    let names = listed.lines().take_while(|line| !line.is_empty());
    // A verb is indented by two; what is said about it goes on further to the right.
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

/// What those readers of manual pages that are installed have to say about one.
fn complaints(page: &Path) -> String {
    let mut mandoc = Command::new("mandoc");
    mandoc.args(["-T", "lint", "-W", "error"]).arg(page);
    let mut man = Command::new("man");
    man.args(["--warnings", "--local-file"]).arg(page).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100");
    let said = [mandoc.output(), man.output().map(|output| Output { stdout: Vec::new(), ..output })];
    let said = said.into_iter().flatten().flat_map(|output| [output.stdout, output.stderr].concat());
    String::from_utf8(said.collect()).unwrap()
}

#[test]
fn every_verb_has_a_manual_page_without_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    done(program().arg("artefacts").arg(folder.path()), 0);
    let mut expected = BTreeSet::from(["statefold.1".to_owned()]);
    for verb in verbs(&[]) {
        let below = verbs(&[&verb]).into_iter().map(|below| format!("statefold-{verb}-{below}.1"));
        expected.extend(below.chain([format!("statefold-{verb}.1")]));
    }
    assert!(expected.contains("statefold-rebuild.1") && expected.contains("statefold-errors-show.1"));
    let pages = folder.path().join("man/man1");
    assert_eq!(names(&pages), expected);
    for page in &expected {
        assert_eq!(complaints(&pages.join(page)), "", "{page}");
    }
    let rebuild = std::fs::read_to_string(pages.join("statefold-rebuild.1")).unwrap();
    assert!(rebuild.contains("postpone") && rebuild.contains("STATEFOLD_LISTEN"), "{rebuild}");
}

#[test]
fn all_shells_get_completions() {
    let folder = tempfile::tempdir().unwrap();
    done(program().arg("artefacts").arg(folder.path()), 0);
    let completions = folder.path().join("completions");
    let expected = ["_statefold", "_statefold.ps1", "statefold.bash", "statefold.elv", "statefold.fish"];
    assert_eq!(names(&completions), expected.map(str::to_owned).into());
    for name in expected {
        let script = std::fs::read_to_string(completions.join(name)).unwrap();
        assert!(script.contains("rollback"), "{name}");
    }
}
