//! A lane for each projection: its generations, and the build on its way.

use maud::{Markup, PreEscaped, html};

use crate::operator::Role;
use crate::page::html::age::{age, with_clocks};
use crate::page::model::{Bar, Generation, Lane, Step, StepState, View, WorkShown};

pub(super) fn lanes(view: &View) -> Markup {
    html! {
        @if view.database.is_some() {
            h2 { "Projections" }
            @for lane in &view.lanes { (one(lane)) }
        }
    }
}

fn one(lane: &Lane) -> Markup {
    let (standing, tone) = lane.standing;
    html! {
        article.lane {
            header {
                h3 { (lane.projection) }
                p class=(format!("badge {}", tone.name())) { (standing) }
                p.quiet { "version " (lane.version) }
            }
            @if lane.generations.is_empty() {
                p.empty { "No generation yet." }
            } @else {
                ol.generations { @for generation in &lane.generations { (a_generation(generation)) } }
            }
            @if let Some(work) = &lane.work { (on_its_way(work)) }
            @for note in &lane.notes { p.note { (note) } }
        }
    }
}

fn a_generation(generation: &Generation) -> Markup {
    let role = match generation.role {
        Role::Kept => "kept",
        Role::Active => "active",
        Role::Building => "building",
    };
    html! {
        li class=(role) {
            p.readers {
                @if generation.role == Role::Active { "readers are here " span aria-hidden="true" { "▾" } }
            }
            div.box {
                p.generation {
                    strong { "Generation " (generation.number) }
                    span.role { (generation.role_name) }
                }
                @for collection in &generation.collections { p { code { (collection) } } }
                dl {
                    @for (name, value) in &generation.facts {
                        div { dt { (name) } dd { (value) } }
                    }
                    @if let Some(since) = &generation.since {
                        div {
                            dt { @if generation.role == Role::Active { "became active" } @else { "begun" } }
                            dd { (age(since)) }
                        }
                    }
                }
            }
        }
    }
}

fn on_its_way(work: &WorkShown) -> Markup {
    html! {
        div.work {
            ol.steps aria-label="Steps of the build" { @for step in &work.steps { (a_step(step)) } }
            @if let Some(reason) = &work.waits { p.waits { "waiting because " (with_clocks(reason)) } }
            @if let Some(failure) = &work.failure { p.failure { "It failed: " (failure) } }
            @if let Some(bar) = &work.bar { (a_bar(bar)) }
            @if work.rate.is_some() || !work.times.is_empty() {
                div.pace {
                    @for time in &work.times { p { (time) } }
                    @if let Some(rate) = &work.rate {
                        p { (rate.now) }
                        span.curve aria-hidden="true" { (PreEscaped(&rate.curve)) }
                    }
                }
            }
        }
    }
}

fn a_step(step: &Step) -> Markup {
    let (class, said) = match step.state {
        StepState::Done => ("done", ", done"),
        StepState::Current => ("current", ""),
        StepState::Ahead => ("ahead", ", to come"),
    };
    html! {
        li class=(class) aria-current=[(step.state == StepState::Current).then_some("step")] {
            (step.name) span.unseen { (said) }
        }
    }
}

fn a_bar(bar: &Bar) -> Markup {
    html! {
        div.bar {
            progress value=(bar.done) max=(bar.planned) aria-label=(bar.line) {}
            p { (bar.line) }
        }
    }
}
