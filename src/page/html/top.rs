//! The top of the page: the database, whether it can be reached, its state, what to do next.

use maud::{Markup, html};

use crate::page::html::age::{age, clock, with_clocks};
use crate::page::model::{Tile, View};

pub(super) fn title(view: &View) -> Markup {
    html! {
        @match &view.database {
            Some(database) => {
                h1 { (database) }
                p { (view.server) }
            }
            None => { h1 { "Connecting…" } }
        }
    }
}

pub(super) fn problem(view: &View) -> Markup {
    html! {
        @if let Some(problem) = &view.problem {
            div.problem {
                h2 { "The database can't be reached" }
                p { (problem.reason) }
                p.quiet {
                    "Trying again."
                    @if let Some(seen) = &problem.seen_at { " What is below was seen " (age(seen)) "." }
                }
            }
        }
    }
}

pub(super) fn tiles(tiles: &[Tile]) -> Markup {
    html! {
        @for tile in tiles {
            div class=(format!("tile {}", tile.tone.name())) {
                h2 { (tile.label) }
                p.value { (tile.value) }
                @for detail in &tile.details { p.detail { (with_clocks(detail)) } }
                @if let Some(since) = &tile.since { p.detail { "since " (clock(since)) } }
            }
        }
    }
}

pub(super) fn next(commands: &[String]) -> Markup {
    html! {
        @if !commands.is_empty() {
            h2 { "Next" }
            ol.commands {
                @for (at, command) in commands.iter().enumerate() {
                    li {
                        code id=(format!("command-{at}")) { (command) }
                        button type="button" id=(format!("copy-{at}")) data-copy=(format!("command-{at}"))
                            aria-label=(format!("Copy: {command}")) { "Copy" }
                    }
                }
            }
        }
    }
}
