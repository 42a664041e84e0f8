//! Text comparison without case, equal to .NET's ordinal comparison.
//!
//! There is no culture and no normalisation: code points are compared one by one, each mapped to upper
//! case on its own. So `ß` never equals `SS`.

/// Returns true if two texts are equal except for case.
pub(super) fn eq_ignore_case(left: &str, right: &str) -> bool {
    left == right || left.chars().map(upper).eq(right.chars().map(upper))
}

/// A text that all texts have in common that are equal except for case.
pub(super) fn without_case(text: &str) -> String {
    text.chars().map(upper).collect()
}

/// The simple upper-case mapping of a code point.
fn upper(char: char) -> char {
    match char {
        _ if char.is_ascii() => char.to_ascii_uppercase(),
        // Dotless i and long s would become ASCII letters; .NET leaves them unchanged.
        '\u{131}' | '\u{17F}' => char,
        // Small letters with iota: the full mapping has two characters, the simple one is the capital
        // with iota, at a fixed distance.
        '\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}' => moved(char, 8),
        '\u{1FB3}' | '\u{1FC3}' | '\u{1FF3}' => moved(char, 9),
        _ => {
            let mut full = char.to_uppercase();
            match (full.next(), full.next()) {
                (Some(only), None) => only,
                _ => char,
            }
        }
    }
}

fn moved(char: char, distance: u32) -> char {
    char::from_u32(u32::from(char) + distance).unwrap_or(char)
}

/// A text without spaces around it, or another one if it is blank.
pub(super) fn or<'t>(text: Option<&'t str>, other: &'t str) -> &'t str {
    text.map(str::trim).filter(|text| !text.is_empty()).unwrap_or(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_code_point_maps_to_one() {
        let equal = [
            ("", ""),
            ("My Image.png", "MY IMAGE.PNG"),
            ("übersicht", "ÜBERSICHT"),
            ("\u{B5}", "\u{39C}"),
            ("σ", "ς"),
            ("\u{1C5}", "\u{1C4}"),
            ("ÿ", "Ÿ"),
            ("\u{2C65}", "\u{23A}"),
            ("я", "Я"),
            ("\u{10428}", "\u{10400}"),
            ("\u{1F80}", "\u{1F88}"),
            ("\u{1F97}", "\u{1F9F}"),
            ("\u{1FA7}", "\u{1FAF}"),
            ("\u{1FB3}", "\u{1FBC}"),
            ("\u{1FC3}", "\u{1FCC}"),
            ("\u{1FF3}", "\u{1FFC}"),
        ];
        for (left, right) in equal {
            assert!(eq_ignore_case(left, right) && eq_ignore_case(right, left), "{left} = {right}");
        }
    }

    #[test]
    fn what_has_no_simple_mapping_stays_itself() {
        let different = [
            ("a", "b"),
            ("a", "ab"),
            ("ß", "SS"),
            ("ß", "ẞ"),
            ("\u{131}", "I"),
            ("\u{131}", "i"),
            ("\u{17F}", "S"),
            ("\u{17F}", "s"),
            ("\u{130}", "i"),
            ("\u{212A}", "k"),
            ("\u{FB01}", "FI"),
            ("\u{149}", "\u{2BC}N"),
            ("\u{1F88}", "\u{1F08}\u{399}"),
            ("e\u{301}", "É"),
        ];
        for (left, right) in different {
            assert!(!eq_ignore_case(left, right) && !eq_ignore_case(right, left), "{left} <> {right}");
        }
    }
}
