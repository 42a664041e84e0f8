//! What `/metrics` answers, and the table of metrics in the documentation.

use std::collections::{BTreeMap, BTreeSet};

/// Of each metric its type and the names of its labels.
pub(crate) type Table = BTreeMap<String, (String, BTreeSet<String>)>;

/// The documentation of the metrics.
pub(crate) const DOCUMENTATION: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md"));

/// The table in the documentation.
pub(crate) fn documented() -> Table {
    let in_ticks = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = DOCUMENTATION.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind @ ("counter" | "gauge" | "histogram"), labels, ..] = cells.as_slice() else {
            return None;
        };
        let [name]: [String; 1] = in_ticks(name).try_into().ok()?;
        Some((name, ((*kind).to_owned(), in_ticks(labels).into_iter().collect())))
    });
    let rows: Vec<_> = rows.collect();
    let (number, table) = (rows.len(), Table::from_iter(rows));
    assert!(number > 30 && number == table.len(), "a metric stands there twice, or the table isn't found");
    table
}

/// A series, with its present value.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// An answer of `/metrics`.
#[derive(Debug)]
pub(crate) struct Exposition {
    pub(crate) table: Table,
    samples: Vec<Sample>,
}

impl Exposition {
    pub(crate) fn read(text: &str) -> Self {
        let mut found = Self { table: Table::new(), samples: Vec::new() };
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                found.table.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
            } else if !line.starts_with('#') && !line.is_empty() {
                found.samples.push(sample(line));
            }
        }
        for sample in &found.samples {
            let metric = found.table.keys().find(|metric| is_of(sample, metric)).cloned();
            let metric = metric.unwrap_or_else(|| panic!("{} has no type", sample.name));
            let labels = sample.labels.keys().filter(|label| *label != "le").cloned();
            found.table.entry(metric).and_modify(|(_, known)| known.extend(labels));
        }
        found
    }

    /// Values of the series with all of these labels, which are written `name="value"`.
    pub(crate) fn all(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let has = |sample: &&Sample| {
            let is = |(label, value): &(&str, &str)| sample.labels.get(*label).is_some_and(|is| is == value);
            sample.name == name && labels.iter().all(is)
        };
        self.samples.iter().filter(has).map(|sample| sample.value).collect()
    }

    /// Labels and value of each series of a metric.
    pub(crate) fn labelled(&self, name: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let of_name = self.samples.iter().filter(|sample| sample.name == name);
        of_name.map(|sample| (sample.labels.clone(), sample.value)).collect()
    }

    /// Value of the only series with these labels.
    pub(crate) fn one(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let all = self.all(name, labels);
        let [value] = all.as_slice() else { panic!("{name} {labels:?}: {all:?}") };
        *value
    }

    /// Checks it against the documentation, and that each label has one real value.
    pub(crate) fn check(&self) {
        let mut documented = documented();
        // Those of workers are there once a build is shared.
        documented.retain(|name, (_, labels)| !labels.contains("worker") || self.table.contains_key(name));
        assert_eq!(self.table, documented);
        for sample in &self.samples {
            for value in sample.labels.values() {
                assert!(!value.is_empty() && !value.contains([',', ' ']), "{sample:?}");
            }
        }
    }
}

fn is_of(sample: &Sample, metric: &str) -> bool {
    let rest = sample.name.strip_prefix(metric);
    rest.is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty()).map(|label| {
        let (name, value) = label.split_once("=\"").unwrap();
        (name.to_owned(), value.trim_end_matches('"').to_owned())
    });
    Sample { name: name.to_owned(), labels: labels.collect(), value: value.parse().unwrap() }
}
