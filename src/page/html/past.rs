//! What was done: cut-overs, verifications, and everything else.

use maud::{Markup, PreEscaped, html};

use crate::page::html::age::age;
use crate::page::model::{CutOverShown, DeedShown, History, VerifiedShown};

pub(super) fn cut_overs(history: &History) -> Markup {
    html! {
        h2 { "Cut-overs" @if !history.cut_overs.is_empty() { span.quiet { " the newest first" } } }
        @if history.cut_overs.is_empty() { p.empty { "None yet." } }
        @else {
            @if !history.chart.is_empty() {
                span.curve.bars aria-hidden="true" { (PreEscaped(&history.chart)) }
            }
            ol.past tabindex="0" { @for one in &history.cut_overs { (cut_over(one)) } }
        }
    }
}

fn cut_over(shown: &CutOverShown) -> Markup {
    html! {
        li {
            p { strong { (shown.to) } " " span.quiet { (age(&shown.at)) } }
            p.quiet {
                (shown.took)
                @if let Some(late) = &shown.late { ", " (late) }
            }
        }
    }
}

pub(super) fn verified(all: &[VerifiedShown]) -> Markup {
    html! {
        h2 { "Last verification" }
        @if all.is_empty() { p.empty { "None is recorded." } }
        @for one in all {
            div.verified {
                p { strong { (one.projection) } " " span.quiet { (age(&one.at)) } }
                p class=(one.tone.name()) { (one.line) }
            }
        }
    }
}

pub(super) fn deeds(deeds: &[DeedShown]) -> Markup {
    html! {
        h2 { "History" }
        @if deeds.is_empty() { p.empty { "Nothing is recorded yet." } }
        @else {
            ol.past tabindex="0" { @for deed in deeds { (a_deed(deed)) } }
        }
    }
}

fn a_deed(deed: &DeedShown) -> Markup {
    html! {
        li {
            p { strong { (deed.what) } " " (deed.about) " " span.quiet { (age(&deed.at)) } }
            p.quiet {
                (deed.who)
                @if !deed.details.is_empty() { ": " (deed.details) }
            }
        }
    }
}
