//! Times.

use maud::{Markup, html};

/// A time, shown as its age by the script, and else as it is.
pub(super) fn age(rfc3339: &str) -> Markup {
    let plain: String = rfc3339.chars().take(16).collect();
    html! { time datetime=(rfc3339) data-age { (plain.replace('T', " ")) " UTC" } }
}
