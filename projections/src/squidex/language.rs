//! Codes of languages.

/// The code as Squidex keeps it: `de`, `pt-BR`. All that it ships with are a language of two letters,
/// perhaps with a country of two; any other code is one that a user has configured, kept as it stands.
pub(super) fn canonical(code: &str) -> String {
    let is_letters = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    match code.split_once('-') {
        None if is_letters(code) => code.to_ascii_lowercase(),
        Some((language, country)) if is_letters(language) && is_letters(country) => {
            format!("{}-{}", language.to_ascii_lowercase(), country.to_ascii_uppercase())
        }
        _ => code.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_squidex_knows_has_one_form() {
        for (code, canonical_code) in [
            ("de", "de"),
            ("DE", "de"),
            ("PT-br", "pt-BR"),
            ("", ""),
            ("Klingon", "Klingon"),
            ("de-1A", "de-1A"),
            ("zh-Hans", "zh-Hans"),
            ("é", "é"),
        ] {
            assert_eq!(canonical(code), canonical_code);
        }
    }
}
