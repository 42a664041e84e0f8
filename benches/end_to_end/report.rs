//! The page BENCHMARKS.md and the chart, made from results.

use std::collections::HashSet;
use std::fs;

use crate::args::ReportArgs;
use crate::bar::Bar;
use crate::bars::{is_small, of_run, of_runs};
use crate::chart;
use crate::error::Result;
use crate::results::Results;
use crate::rows::{INDEXED, PARTS, PLAIN, PROGRAM, Row, label};
use crate::table::{TITLES, bar_cells, cells, count, markdown, seconds, thousands};

/// Marks before and after the generated part of the page.
const BEGIN: &str = "<!-- generated: begin -->\n";
const END: &str = "<!-- generated: end -->\n";

/// Replaces the generated part of the page and writes the chart.
///
/// # Errors
/// If a file can't be read or written, or the page has no place for the tables.
pub(crate) fn write(args: &ReportArgs) -> Result<()> {
    // A glob pattern may name the first file again.
    let mut paths = args.results.clone();
    let mut seen = HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    let all = paths.iter().map(|path| Results::load(path)).collect::<Result<Vec<_>>>()?;
    let first = all.first().ok_or("there are no results")?;
    let page = fs::read_to_string(&args.markdown).unwrap_or_else(|_| format!("# Benchmarks\n\n{BEGIN}{END}"));
    let place = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = place else {
        return Err(format!("{} has no {BEGIN} … {END}", args.markdown.display()).into());
    };
    fs::write(&args.markdown, format!("{before}{BEGIN}\n{}\n{END}{after}", tables(first, &all)))?;
    if let Some(folder) = args.svg.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&args.svg, chart::svg(first))?;
    println!("{} and {} are written", args.markdown.display(), args.svg.display());
    Ok(())
}

fn tables(first: &Results, all: &[Results]) -> String {
    let mut text = conditions(first);
    for (group, title) in [
        (PROGRAM, "The whole program: plan, build, indexes, proof, publish"),
        (INDEXED, "With indexes"),
        (PLAIN, "Without indexes"),
        (PARTS, "What the floor is made of"),
    ] {
        let rows: Vec<_> = first.rows.iter().filter(|row| row.group == group).map(cells).collect();
        if !rows.is_empty() {
            text.push_str(&format!("\n### {title}\n\n{}", markdown(TITLES, &rows)));
        }
    }
    let mut large: Vec<&Results> = all.iter().filter(|run| !is_small(run)).collect();
    large.sort_by_key(|run| run.fixture.commits);
    if large.len() > 1 {
        text.push_str("\n### Growth\n\nMicroseconds for each event of the projection, without indexes.\n\n");
        text.push_str(&growth(&large));
    }
    let mut small: Vec<&Results> = all.iter().filter(|run| is_small(run)).collect();
    small.sort_by_key(|run| run.fixture.commits);
    if !small.is_empty() {
        text.push_str("\n### A small cache\n\nThousands of events in a second, without indexes.\n\n");
        text.push_str(&caches(&small, &large));
    }
    let bars: Vec<Bar> = of_run(first).into_iter().chain(of_runs(all)).collect();
    let bars: Vec<_> = bars.iter().map(bar_cells).collect();
    text.push_str("\n### What we want to reach\n\n");
    text.push_str(&markdown(["", "wanted", "measured", "met"], &bars));
    text
}

fn conditions(run: &Results) -> String {
    let (fixture, machine, versions) = (&run.fixture, &run.machine, &run.versions);
    let identical = run.compared.values().all(|verdict| verdict == "identical");
    let memory = run.memory.as_deref().map_or_else(String::new, |memory| format!(", `--memory {memory}`"));
    format!(
        "{} commits (seed {}); {} of them, with {} events, are the projection's; {} snapshots. {} rounds. \
         {} cores, {} GB of memory, Linux {}; MongoDB {} with a cache of {} GB on the same machine; driver \
         {}, rustc {}, statefold {}{memory}. Floor of reading: {}. All results that are compared were {} in \
         every round.\n",
        count(fixture.commits),
        fixture.seed,
        count(fixture.prefix_commits),
        count(fixture.events),
        count(fixture.snapshots),
        run.rounds,
        machine.cores,
        machine.memory_gb,
        machine.kernel,
        versions.server,
        run.cache_gb,
        versions.driver,
        versions.rustc,
        versions.statefold,
        run.read_floor,
        if identical { "identical, byte by byte," } else { "equal" },
    )
}

/// Names of all rows without indexes in these runs, in the order of their first occurrence.
fn names(runs: &[&Results]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for row in runs.iter().flat_map(|run| &run.rows).filter(|row| row.group == PLAIN) {
        if !names.contains(&row.name) {
            names.push(row.name.clone());
        }
    }
    names.retain(|name| name != "aggregation");
    names
}

/// A table with a line per run and a column per contender.
fn matrix(corner: &str, runs: &[(String, &Results)], cell: impl Fn(&Results, &Row) -> String) -> String {
    let names = names(&runs.iter().map(|(_, run)| *run).collect::<Vec<_>>());
    let titles: Vec<String> = names.iter().map(|name| label(name)).collect();
    let mut text = format!("| {corner} | {} |\n|---|{}\n", titles.join(" | "), "---:|".repeat(names.len()));
    for (title, run) in runs {
        let cells = names.iter().map(|name| run.row(PLAIN, name).map(|row| cell(run, row)));
        let cells: Vec<String> = cells.map(|cell| cell.unwrap_or_else(|| "–".into())).collect();
        text.push_str(&format!("| {title} | {} |\n", cells.join(" | ")));
    }
    text
}

fn growth(runs: &[&Results]) -> String {
    let runs: Vec<_> =
        runs.iter().map(|run| (format!("{} commits", count(run.fixture.commits)), *run)).collect();
    matrix("", &runs, |run, row| {
        #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
        let events = run.fixture.events as f64;
        seconds(row.seconds.median * 1e6 / events)
    })
}

fn caches(small: &[&Results], large: &[&Results]) -> String {
    let mut runs = Vec::new();
    for run in small {
        let same = large.iter().filter(|other| other.fixture.commits == run.fixture.commits);
        for run in same.chain([run]) {
            runs.push((format!("{} commits, {} GB", count(run.fixture.commits), run.cache_gb), *run));
        }
    }
    matrix("", &runs, |_, row| row.events_per_second.map_or_else(String::new, |rate| thousands(rate / 1e3)))
}
