//! What was covered: cases by operator and types.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use bson::Document;

use crate::case::{Case, Outcome};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Equal,
    BothFail,
    Refused,
    Different,
}

impl Verdict {
    pub(crate) fn is_different(self) -> bool {
        self == Self::Different
    }
}

/// Counts by operator: cases, equal, failed on both sides, refused; and the types that were met.
#[derive(Debug, Default)]
pub(crate) struct Coverage(BTreeMap<String, (BTreeMap<String, usize>, [usize; 4])>);

impl Coverage {
    /// Counts a case and returns its verdict.
    pub(crate) fn count(&mut self, case: &Case, ours: &Outcome, theirs: &Outcome) -> Verdict {
        let verdict = match (ours, theirs) {
            (Outcome::Refused(_), _) => Verdict::Refused,
            // A constant that can't be evaluated is refused wherever it stands; the server may never come
            // there.
            (Outcome::Error(reason), Outcome::Document(_)) if reason.contains("it always fails") => {
                Verdict::Refused
            }
            (Outcome::Document(ours), Outcome::Document(theirs)) if same(ours, theirs) => Verdict::Equal,
            (Outcome::Error(_), Outcome::Error(_)) => Verdict::BothFail,
            _ => Verdict::Different,
        };
        let (types, counts) = self.0.entry(case.operator.clone()).or_default();
        *types.entry(case.types.clone()).or_default() += 1;
        counts[verdict as usize] += 1;
        verdict
    }
}

/// Whether two documents have the same bytes, but for the value of their `_id`.
fn same(ours: &Document, theirs: &Document) -> bool {
    let mut theirs = theirs.clone();
    theirs.insert("_id", "k");
    ours.to_vec().unwrap() == theirs.to_vec().unwrap()
}

impl Display for Coverage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["cases", "types", "equal", "both fail", "refused", "differ"];
        write!(out, "{:<18}", "operator")?;
        names.iter().try_for_each(|name| write!(out, "{name:>10}"))?;
        let mut sums = [0; 4];
        for (operator, (types, counts)) in &self.0 {
            let cases: usize = counts.iter().sum();
            write!(out, "\n{operator:<18}{cases:>10}{:>10}", types.len())?;
            counts.iter().try_for_each(|count| write!(out, "{count:>10}"))?;
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        write!(out, "\n{:<18}{:>10}{:>10}", "all", sums.iter().sum::<usize>(), "")?;
        sums.iter().try_for_each(|sum| write!(out, "{sum:>10}"))
    }
}
