//! Times: the script shows them as ages, or on the reader's clock, and without it they are as they are.

use maud::{Markup, html};

/// A time as its age: `3 min ago`.
pub(super) fn age(rfc3339: &str) -> Markup {
    html! { time datetime=(rfc3339) data-age { (plain(rfc3339)) } }
}

/// A time on the reader's clock.
pub(super) fn clock(rfc3339: &str) -> Markup {
    html! { time datetime=(rfc3339) data-clock { (plain(rfc3339)) } }
}

/// A text with the times in it on the reader's clock.
pub(super) fn with_clocks(text: &str) -> Markup {
    let is_time = |word: &str| bson::DateTime::parse_rfc3339_str(word).is_ok();
    html! {
        @for (at, word) in text.split(' ').enumerate() {
            @let bare = word.trim_end_matches([':', ',', '.']);
            @if at > 0 { " " }
            @if is_time(bare) { (clock(bare)) (word.trim_start_matches(bare)) } @else { (word) }
        }
    }
}

fn plain(rfc3339: &str) -> String {
    let to_the_minute: String = rfc3339.chars().take(16).collect();
    format!("{} UTC", to_the_minute.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_a_text_are_found() {
        let html = with_clocks("paused by me since 2026-11-30T06:41:02.5Z: a < b, 2026").into_string();
        let time = "<time datetime=\"2026-11-30T06:41:02.5Z\" data-clock>2026-11-30 06:41 UTC</time>";
        assert_eq!(html, format!("paused by me since {time}: a &lt; b, 2026"));
    }
}
