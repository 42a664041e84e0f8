//! Who takes part, under which name, in which order.

use std::path::PathBuf;

use crate::Result;
use crate::args::RunArgs;
use crate::job::Task;
use crate::statefold;

/// One who is measured once a round.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    /// Name in the results.
    pub(crate) name: String,
    pub(crate) task: Task,
}

impl Contender {
    fn new(name: impl Into<String>, task: Task) -> Self {
        Self { name: name.into(), task }
    }
}

/// All that were asked for; the read floor comes with the variant that was found to be the best.
///
/// # Errors
/// For a name that nobody has.
pub(crate) fn all(args: &RunArgs, strategies: &[String], read: Task) -> Result<Vec<Contender>> {
    let mut all = Vec::new();
    for name in &args.contenders {
        match name.as_str() {
            "read" => all.push(Contender::new("read", read.clone())),
            "write" => all.extend([
                Contender::new("write insert_many", Task::Write { raw_command: false }),
                Contender::new("write raw insert", Task::Write { raw_command: true }),
            ]),
            "statefold" => all.extend(strategies.iter().map(|strategy| {
                let task = Task::Statefold { strategy: strategy.clone(), memory: args.memory.clone() };
                Contender::new(format!("statefold {strategy}"), task)
            })),
            "squidex" => {
                for (batch, indexes) in [(100, false), (1000, false), (100, true), (1000, true)] {
                    let name = named(&format!("squidex {batch}"), indexes);
                    all.push(Contender::new(name, Task::Squidex { batch, indexes }));
                }
            }
            "pymongo" => all.extend(pymongo(args.python.as_ref())),
            "aggregation" => all.push(Contender::new("aggregation", Task::Aggregation)),
            other => {
                let known = "read, write, statefold, squidex, pymongo, aggregation";
                return Err(format!("there is no contender {other}; there are {known}").into());
            }
        }
    }
    Ok(all)
}

fn pymongo(python: Option<&PathBuf>) -> Vec<Contender> {
    let Some(python) = python else {
        println!("pymongo is left out: there is no Python with it (see --python)");
        return Vec::new();
    };
    [false, true]
        .map(|indexes| {
            let task = Task::Pymongo { python: python.clone(), indexes };
            Contender::new(named("pymongo", indexes), task)
        })
        .into()
}

/// Name of a variant.
pub(crate) fn named(name: &str, indexes: bool) -> String {
    if indexes { format!("{name} indexed") } else { name.to_owned() }
}

/// The strategies to run: those asked for, or statefold's only one where it can't be told.
///
/// # Errors
/// If statefold doesn't run.
pub(crate) fn strategies(asked: &[String]) -> Result<Vec<String>> {
    let others = asked.iter().any(|strategy| strategy != statefold::DEFAULT);
    if others && !statefold::takes_strategy()? {
        println!("this statefold has no --strategy: it runs as it is");
        return Ok(vec![statefold::DEFAULT.to_owned()]);
    }
    Ok(asked.to_vec())
}

/// The order of a round: rotated, and backwards every other time, so that nobody always follows the
/// same one.
pub(crate) fn order(contenders: usize, round: u32, rounds: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..contenders).collect();
    if contenders > 0 {
        order.rotate_left((round as usize * contenders / rounds.max(1) as usize) % contenders);
    }
    if round % 2 == 1 {
        order.reverse();
    }
    order
}
