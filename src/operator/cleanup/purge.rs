//! Removes everything of statefold from a database.
//!
//! In this order, so that a rerun finishes what a crash left: the pointers, the collections that statefold
//! built, its records (those of builds last), then lease and control document.

use statefold_projections::{Registered, Registry};

use crate::config::Settings;
use crate::engine::leader::lead;
use crate::engine::sweep::{CleanupItem, CleanupKind, CleanupReport};
use crate::error::{Error, Insistence, Result};
use crate::lifecycle::{Droppable, Known};
use crate::plan::{is_of_target, staging_parts, without_aside};
use crate::store::{Admin, Lifted, ListedCollection, Mandate, Store};

/// Request for a purge.
#[derive(Debug, Clone, Copy)]
pub struct Purge {
    /// Purge even while a fence stands (it is lifted), servers are running, or a generation has the
    /// application's own name (it stays).
    pub force: bool,
    /// Remove nothing, only report what would be removed. On by default.
    pub dry_run: bool,
}

impl Default for Purge {
    fn default() -> Self {
        Self { force: false, dry_run: true }
    }
}

/// Removes everything of statefold: the generations that it built, **the active ones too**, staging
/// collections, records, pointers, lease, and the signature in the version document. Collections that it
/// didn't build stay, adopted generations too.
///
/// # Errors
/// [`Error::Refused`] while a fence stands or servers run, unless forced; [`Error::LeaseHeld`] if
/// somebody is at work; else what the server said. A rerun finishes an incomplete purge.
pub async fn purge(settings: &Settings, registry: &Registry, request: Purge) -> Result<CleanupReport> {
    let store = Store::connect(settings, registry).await?;
    let report = look(&store, registry.projections()).await?;
    if request.dry_run || report.items.is_empty() {
        return Ok(report);
    }
    refuse(&report, request.force)?;
    let leadership = lead(&store, settings).await?;
    let token = leadership.mandate.token;
    let result = remove(&store, registry.projections(), request.force, &leadership.mandate).await;
    let mut report = leadership.end(result).await?;
    // Last, because the control document holds the lease.
    if !store.admin().purge_control(token).await? {
        report.notes.push("another statefold began meanwhile: the control document stays".to_owned());
    } else if let Some(control) = report.items.iter_mut().find(|item| item.kind == CleanupKind::Control) {
        control.done(crate::store::DropOutcome::Dropped);
    }
    // The history is gone, too.
    let dropped: Vec<&str> = report.dropped().collect();
    tracing::info!(?dropped, forced = request.force, "purged");
    Ok(report)
}

fn refuse(report: &CleanupReport, force: bool) -> Result<()> {
    if report.refusals.is_empty() || force {
        return Ok(());
    }
    Err(Error::Refused { reasons: report.refusals.clone(), unless: Insistence::Force })
}

async fn look(store: &Store, projections: &[Registered]) -> Result<CleanupReport> {
    let listed = store.admin().listing().await?;
    let known = store.admin().known(&listed).await?;
    let mut report = CleanupReport::new(store.database());
    if let Some(fence) = store.control().fence().await? {
        report.refusals.push(format!("the event store is fenced: {fence}"));
    }
    for instance in &known.instances {
        report.refusals.push(format!("{} runs", instance.name));
    }
    for leader in store.admin().others_leading().await? {
        report.refusals.push(format!("another statefold is at work: {leader}"));
    }
    for collection in &listed {
        let Some((kind, projection, verdict)) = judge(&known, projections, collection) else { continue };
        if kind == CleanupKind::Generation && !verdict.is_yes() && !is_adopted(&known, &collection.name) {
            report.refusals.push(format!("{}: {}", collection.name, verdict.reason()));
        }
        let size = match kind {
            CleanupKind::View => None,
            _ => report.note_size(store.admin().size_of(&collection.name).await),
        };
        let build = known.owner(&collection.name).filter(|_| kind == CleanupKind::Generation);
        report.items.push(CleanupItem {
            build: build.map(|build| build.id.clone()),
            collection: Some(collection.name.clone()),
            ..CleanupItem::new(kind, &projection, size, &verdict)
        });
    }
    if let Some(name) = store.admin().has_control().await? {
        let verdict = Droppable::Yes("lease, pointers and signature of the lock".to_owned());
        let item = CleanupItem::new(CleanupKind::Control, "", None, &verdict);
        report.items.push(CleanupItem { collection: Some(name), ..item });
    }
    Ok(report)
}

fn is_adopted(known: &Known, name: &str) -> bool {
    known.owner(name).is_some_and(|owner| owner.adopted)
}

/// Classifies a collection, and decides whether it is dropped; `None` if statefold has nothing to do with it.
fn judge(
    known: &Known,
    projections: &[Registered],
    collection: &ListedCollection,
) -> Option<(CleanupKind, String, Droppable)> {
    if let Some(pointer) = known.view_of_ours(&collection.name) {
        return Some((CleanupKind::View, pointer.projection.clone(), Droppable::active(&pointer.projection)));
    }
    let uuid = collection.uuid?.to_string();
    if collection.name.starts_with(Admin::RECORDS) {
        let verdict = Droppable::Yes("records of statefold".to_owned());
        return Some((CleanupKind::Records, String::new(), verdict));
    }
    let staging = staging_parts(&collection.name);
    let published = staging.map_or(collection.name.as_str(), |(published, _)| published);
    let owner = known.owner(published);
    let of_target =
        projections.iter().find(|projection| is_of_target(projection.spec(), without_aside(published)));
    let projection = owner.map(|owner| owner.projection.as_str());
    let projection = projection.or_else(|| of_target.map(|projection| projection.spec().name()))?;
    let verdict = known.purged(&collection.name, &uuid, staging.is_some());
    let kind = match owner {
        _ if staging.is_some() => CleanupKind::Staging,
        Some(owner) if !owner.state.is_over() || verdict.is_yes() => CleanupKind::Generation,
        _ => CleanupKind::Foreign,
    };
    Some((kind, projection.to_owned(), verdict))
}

async fn remove(
    store: &Store,
    projections: &[Registered],
    force: bool,
    mandate: &Mandate,
) -> Result<CleanupReport> {
    let mut report = look(store, projections).await?;
    refuse(&report, force)?;
    store.control().lift_left_fence().await?;
    if let Lifted::Busy(reason) = store.control().lift_read_only().await? {
        return Err(Error::FenceBusy { reason, waited_ms: 0 });
    }
    store.admin().forget_pointers(mandate).await?;
    let listed = store.admin().listing().await?;
    // The records that tell which collections are statefold's go last.
    let last = |item: &&mut CleanupItem| {
        (
            item.kind != CleanupKind::View,
            item.kind == CleanupKind::Records,
            item.collection.as_deref() == Some(Admin::BUILD_RECORDS),
        )
    };
    let mut going: Vec<&mut CleanupItem> =
        report.items.iter_mut().filter(|item| item.eligible && item.kind != CleanupKind::Control).collect();
    going.sort_by_key(last);
    for item in going {
        let found = listed.iter().find(|collection| Some(&collection.name) == item.collection.as_ref());
        let Some(found) = found else { continue };
        match (found.uuid, &found.shows) {
            (Some(uuid), _) => item.done(store.admin().drop_listed(&found.name, uuid, mandate).await?),
            (None, Some(shows)) => item.done(store.admin().drop_view(&found.name, shows, mandate).await?),
            (None, None) => {}
        }
    }
    Ok(report)
}
