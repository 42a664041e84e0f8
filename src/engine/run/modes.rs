//! How readers will find a generation: the mode of each build, and what speaks against it.
//!
//! Everything here can be asked before anything is built, without the lease.

use statefold_projections::Spec;

use crate::engine::preflight::{check_number, has_further_databases, kept_beside};
use crate::engine::run::build::Build;
use crate::engine::run::context::Run;
use crate::engine::run::request::{Caller, Rebuild};
use crate::error::{Error, Insistence, Result};
use crate::lifecycle::{BuildState, CutOverMode};
use crate::next_step::NextStep;
use crate::store::{ActiveGeneration, BuildRecord, NameHolder, Store, Successors, view_name_taken};

/// Collections that are renamed behind one fence at most: some hundred take a few tenths of a second.
const RENAMED_MAX: usize = 300;

impl Run {
    /// Decides how readers will find each build.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if readers can't find it that way; [`Error::Refused`] if some would be left
    /// behind.
    pub(super) async fn choose_modes(&self, builds: &mut [Build]) -> Result<()> {
        for build in builds {
            let spec = build.job.projection.spec().clone();
            let active = self.store.control().active(spec.name()).await?;
            build.mode = mode_of(&self.request, self.caller, Some(build.record()), active.as_ref());
            if build.record().swap.is_some() {
                build.mode = CutOverMode::Rename;
                continue;
            }
            if build.mode == CutOverMode::Rename {
                let names = build.collections();
                check_rename(&self.store, &spec, active.as_ref(), Successors::Built(&names)).await?;
            } else {
                refuse_leaving(&spec, active.as_ref(), &self.request)?;
                check_view(&self.store, &spec, build.mode).await?;
            }
        }
        Ok(())
    }
}

/// How readers would find the next generation of a projection.
///
/// # Errors
/// As [`Run::choose_modes`], before anything is built.
pub(crate) async fn check_mode(
    store: &Store,
    spec: &Spec,
    request: &Rebuild,
    caller: Caller,
) -> Result<CutOverMode> {
    let active = store.control().active(spec.name()).await?;
    let records = store.builds().records(Some(spec.name())).await?;
    let open = records.iter().find(|record| record.state.is_resumable());
    let mode = mode_of(request, caller, open, active.as_ref());
    store.check_cut_over(mode == CutOverMode::Pointer, spec.reads_latest())?;
    // Also when the cut-over is postponed: the build remembers what was agreed to.
    refuse_leaving(spec, active.as_ref(), request)?;
    if request.postpone {
        return Ok(mode);
    }
    // A cut-over that was interrupted may have renamed the collections already; it is finished.
    let is_published = records.iter().any(|record| record.state == BuildState::Published);
    if mode != CutOverMode::Rename {
        check_view(store, spec, mode).await?;
    } else if active.is_none() || !is_published {
        check_rename(store, spec, active.as_ref(), Successors::Planned(spec)).await?;
    }
    Ok(mode)
}

/// The mode that was asked for, that with which the build was postponed, or that of the active generation. A
/// server that starts changes no mode.
fn mode_of(
    request: &Rebuild,
    caller: Caller,
    record: Option<&BuildRecord>,
    active: Option<&ActiveGeneration>,
) -> CutOverMode {
    let postponed = record.filter(|_| caller == Caller::Operator).and_then(|record| record.mode);
    request.mode.or(postponed).unwrap_or_else(|| active.map(|active| active.mode).unwrap_or_default())
}

/// Refuses a generation that can't take the names of the active one: there is none, or what has them can't
/// give way, or can't be copied.
async fn check_rename(
    store: &Store,
    spec: &Spec,
    active: Option<&ActiveGeneration>,
    successors: Successors<'_>,
) -> Result<()> {
    let Some(active) = active else { return Err(nameless(store, spec).await?) };
    check_number(spec, active.active, &active.collections)?;
    refuse_many(&active.collections)?;
    refuse_beside(store, spec).await?;
    store.snapshots().check_replaceable(&active.collections, successors).await?;
    store.snapshots().check_asides(active).await
}

/// Refuses a request for a mode that leaves behind those who read by name.
fn refuse_leaving(spec: &Spec, active: Option<&ActiveGeneration>, request: &Rebuild) -> Result<()> {
    let asked = request.mode.filter(|mode| *mode != CutOverMode::Rename && !request.force);
    let left = active.filter(|active| active.mode == CutOverMode::Rename);
    if let (Some(mode), Some(active)) = (asked, left) {
        return Err(Error::Refused {
            reasons: vec![format!(
                "readers of {} find it by the name {}, as an application that has it built in; with the mode \
                 {mode} they would stay there, where nothing is kept current any more",
                spec.name(),
                active.collections.join(", ")
            )],
            unless: Insistence::Force,
        });
    }
    Ok(())
}

/// Refuses a view whose name is taken.
async fn check_view(store: &Store, spec: &Spec, mode: CutOverMode) -> Result<()> {
    if mode == CutOverMode::View {
        for target in spec.targets() {
            if store.snapshots().named(target.collection()).await? == NameHolder::Other {
                return Err(view_name_taken(target.collection()));
            }
        }
    }
    Ok(())
}

/// Refuses to take the name of snapshots that the application also keeps elsewhere: those would stay as they
/// are, and differ.
async fn refuse_beside(store: &Store, spec: &Spec) -> Result<()> {
    if has_further_databases(spec) {
        // Those that this generation doesn't have stay the application's.
        return Ok(());
    }
    match kept_beside(store, spec).await {
        None => Ok(()),
        Some(beside) => Err(Error::Unsupported(format!(
            "{beside}: they would differ from what has the name then. By pointer or by view a generation can \
             be used beside all of them"
        ))),
    }
}

/// Error of a projection that has no active generation whose name could be taken.
async fn nameless(store: &Store, spec: &Spec) -> Result<Error> {
    let collections: Vec<String> = spec.targets().iter().map(|target| target.generation(2)).collect();
    let projection = spec.name().to_owned();
    let existing = store.collection_names().await?;
    if let Some(missing) = collections.iter().find(|name| !existing.contains(name)) {
        return Ok(Error::Unsupported(format!(
            "{projection} has no active generation whose name could be taken, and there is no {missing} to \
             adopt: use the mode pointer or view, or adopt the collections that the application reads"
        )));
    }
    let reason = format!(
        "{projection} has no active generation whose name could be taken: \
         adopt the collection that the application reads, as {}",
        collections.join(" ")
    );
    Ok(Error::not_ready(reason, NextStep::Adopt { projection, collections }))
}

fn refuse_many(collections: &[String]) -> Result<()> {
    if collections.len() <= RENAMED_MAX {
        return Ok(());
    }
    let count = collections.len();
    Err(Error::Unsupported(format!(
        "{count} collections can't be renamed while the event store refuses events, as it may for a second \
         (at most {RENAMED_MAX}): use the mode pointer or view"
    )))
}
