//! The contender that a job names, run in this process.

use crate::error::Result;
use crate::job::{Job, Task};
use crate::outcome::Outcome;
use crate::{aggregation, database, kinds, read, squidex, statefold, write};

/// Runs the contender of a job.
///
/// # Errors
/// Any failure of the contender: a failed run has no outcome.
pub(crate) async fn run(job: &Job) -> Result<Outcome> {
    let db = database::connect(&job.uri, &job.database).await?;
    match &job.task {
        Task::Read { ranges, batch } => read::work(&db, *ranges, *batch).await,
        Task::Write { raw_command } => write::work(&db, *raw_command).await,
        Task::Statefold { strategy, memory } => {
            statefold::work(job, database::server_pid(&db).await?, strategy, memory.as_deref())
        }
        Task::Squidex { batch, indexes } => squidex::work(&db, *batch, *indexes).await,
        Task::Floor { projections } => kinds::floor(&db, projections).await,
        Task::Kinds { projections, memory } => {
            let server = database::server_pid(&db).await?;
            statefold::kinds(job, server, projections, memory.as_deref())
        }
        Task::Aggregation => aggregation::work(&db).await,
        Task::Pymongo { .. } => Err("the script is a process of its own".into()),
    }
}
