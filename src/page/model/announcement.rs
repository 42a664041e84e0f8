//! What is read aloud when it changes: phases, fences and who leads, never counts that run.

use crate::page::model::seen::Seen;

pub(super) fn of(seen: &Seen) -> String {
    if seen.problem.is_some() {
        return "The database can't be reached. Trying again.".into();
    }
    let Some(overview) = &seen.overview else { return "Looking at the database.".into() };
    let status = &overview.status;
    let mut said = Vec::new();
    if status.fence.is_some() {
        said.push("The event store refuses events.".to_owned());
    }
    let leader = status.leader.as_ref().filter(|_| status.is_led);
    match seen.working.as_ref().or(leader.map(|leader| &leader.doing)) {
        Some(doing) if !doing.phase.is_empty() => {
            let held = doing.held.as_ref().map_or("", |_| ", waiting");
            said.push(format!("{} {}{held}.", doing.projection, doing.phase));
        }
        Some(_) => said.push("A run begins.".to_owned()),
        None => said.push("No run is at work.".to_owned()),
    }
    for projection in &status.projections {
        if let Some(generation) = projection.active_generation {
            said.push(format!("Readers of {} use generation {generation}.", projection.projection));
        }
    }
    if !overview.failures.reasons.is_empty() {
        said.push("There are failed streams.".to_owned());
    }
    said.join(" ")
}
