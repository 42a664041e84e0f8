//! The contenders: their names, their tasks, and their order in a round.

use std::path::PathBuf;

use crate::args::RunArgs;
use crate::error::Result;
use crate::job::Task;
use crate::statefold;

/// A contender, which runs once per round.
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

/// All requested contenders; the read floor uses the best variant.
///
/// # Errors
/// If there is no contender of a requested name.
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

/// Name of the variant with or without indexes.
pub(crate) fn named(name: &str, indexes: bool) -> String {
    if indexes { format!("{name} indexed") } else { name.to_owned() }
}

/// The strategies to run: the requested ones, or only the default if statefold has no `--strategy`.
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

/// The order of a round: rotated, and reversed in every second round, so that no contender always
/// follows the same one.
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
