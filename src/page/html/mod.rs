//! The page as HTML, in parts: each can be replaced by itself when what it shows has changed.

mod age;
mod lanes;
mod panels;
mod past;
mod top;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::page::model::View;

/// A part of the page. Its id is that of the element that it fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) id: &'static str,
    pub(super) html: String,
}

/// All parts of the page.
pub(super) fn parts(view: &View) -> Vec<Part> {
    let parts = [
        ("said", html! { (view.announcement) }),
        ("title", top::title(view)),
        ("problem", top::problem(view)),
        ("tiles", top::tiles(&view.tiles)),
        ("next", top::next(&view.next)),
        ("lanes", lanes::lanes(view)),
        ("lag", panels::lags(&view.lags)),
        ("failed", panels::failed(&view.failed)),
        ("instances", panels::instances(&view.instances, &view.workers)),
        ("cut-overs", past::cut_overs(&view.history)),
        ("verified", past::verified(&view.history.verified)),
        ("history", past::deeds(&view.history.deeds)),
    ];
    parts.into_iter().map(|(id, html)| Part { id, html: html.into_string() }).collect()
}

/// The whole page.
pub(super) fn document(parts: &[Part]) -> Markup {
    let part = |id: &str| {
        let found = parts.iter().find(|part| part.id == id);
        PreEscaped(found.map_or("", |part| part.html.as_str()))
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "statefold" }
                link rel="icon" href="icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="page.css";
                script src="page.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to the projections" }
                header {
                    p.brand { "statefold" }
                    div #title { (part("title")) }
                    p #connection { "as it was loaded" }
                }
                p #said .unseen role="status" aria-live="polite" { (part("said")) }
                main #main {
                    div #problem role="alert" { (part("problem")) }
                    section #tiles aria-label="State of the database" { (part("tiles")) }
                    section #own aria-label="More" { (part("own")) }
                    section #next aria-label="Next commands" { (part("next")) }
                    section #lanes aria-label="Projections" { (part("lanes")) }
                    div.panels {
                        section #lag aria-label="Lag" { (part("lag")) }
                        section #cut-overs aria-label="Cut-overs" { (part("cut-overs")) }
                        section #failed aria-label="Failed streams" { (part("failed")) }
                        section #verified aria-label="Last verification" { (part("verified")) }
                        section #instances aria-label="Servers" { (part("instances")) }
                        section #history aria-label="History" { (part("history")) }
                    }
                }
                footer {
                    p { "Nothing on this page changes anything." }
                }
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::page::model::tests::{full, nothing};

    /// The text of the page, without tags.
    fn text(view: &View) -> String {
        let document = document(&parts(view)).into_string();
        let texts =
            document.split('<').filter_map(|piece| piece.split_once('>')).map(|(_, text)| text.trim());
        texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_stored_is_text_and_never_markup() {
        let mut view = full();
        view.lanes[0].projection = "<script>alert(1)</script>".into();
        view.next = vec!["statefold \"&\" <b>".into()];
        let page = document(&parts(&view)).into_string();
        assert!(page.contains("&lt;script&gt;alert(1)"));
        assert!(page.contains("statefold &quot;&amp;&quot; &lt;b&gt;"));
        assert_eq!(page.matches("<script").count(), 1);
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        let page = document(&parts(&full())).into_string();
        for forbidden in [" style=", " onclick=", "<style", "javascript:", "src=\"http", "href=\"http"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn the_page_says_what_an_operator_asks() {
        let text = text(&full());
        for wanted in [
            "Squidex",
            "MongoDB 6.0.5",
            "refuses events",
            "readers are here",
            "States_Assets3",
            "waiting because it is paused by me",
            "100\u{202f}000 / 200\u{202f}000 commits",
            "12 s left",
            "planned 40 s",
            "statefold resume Assets",
            "unreadable",
            "web-1",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in {text}");
        }
    }

    #[test]
    fn a_page_without_a_database_says_so() {
        let text = text(&nothing("no primary"));
        assert!(text.contains("The database can't be reached"), "{text}");
        assert!(text.contains("no primary"));
    }
}
