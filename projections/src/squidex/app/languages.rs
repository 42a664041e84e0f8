//! The languages of an app.
//!
//! Invariant: there is at least one; the master is one of them, never optional and without fallbacks; each
//! fallback is another one of them.

use serde_json::{Map, Value, json};

use crate::FoldError;

/// How texts in a language are edited.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Language {
    /// Languages that stand in for it; null was given if a payload has it.
    pub(super) fallbacks: Vec<Option<String>>,
    pub(super) is_optional: bool,
}

/// All languages in the order in which they came, by code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Languages {
    by_code: Vec<(String, Language)>,
    master: String,
}

/// English only.
impl Default for Languages {
    fn default() -> Self {
        Self { by_code: vec![("en".to_owned(), Language::default())], master: "en".to_owned() }
    }
}

impl Languages {
    /// Sets a language: an existing one keeps its place. Returns true if that changed something.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if a fallback is null.
    pub(super) fn set(&mut self, code: &str, language: Language) -> Result<bool, FoldError> {
        let mut new = self.clone();
        match new.by_code.iter_mut().find(|(known, _)| known == code) {
            Some((_, known)) => *known = language,
            None => new.by_code.push((code.to_owned(), language)),
        }
        self.become_cleaned(new)
    }

    /// Removes a language, but not the last one, and returns true if that changed something.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if a fallback is null.
    pub(super) fn remove(&mut self, code: &str) -> Result<bool, FoldError> {
        let mut new = self.clone();
        new.by_code.retain(|(known, _)| known != code);
        if new.by_code.is_empty() { Ok(false) } else { self.become_cleaned(new) }
    }

    /// Makes a language the master, if there is such a language, and returns true if that changed
    /// something.
    ///
    /// # Errors
    /// [`FoldError::Refused`] if a fallback is null.
    pub(super) fn make_master(&mut self, code: &str) -> Result<bool, FoldError> {
        if !self.has(code) {
            return Ok(false);
        }
        let new = Self { master: code.to_owned(), ..self.clone() };
        self.become_cleaned(new)
    }

    fn has(&self, code: &str) -> bool {
        self.by_code.iter().any(|(known, _)| known == code)
    }

    fn become_cleaned(&mut self, mut new: Self) -> Result<bool, FoldError> {
        if !new.has(&new.master)
            && let Some((first, _)) = new.by_code.first()
        {
            new.master.clone_from(first);
        }
        let codes: Vec<String> = new.by_code.iter().map(|(code, _)| code.clone()).collect();
        for (code, language) in &mut new.by_code {
            if *code == new.master {
                *language = Language::default();
            }
            if language.fallbacks.contains(&None) {
                return Err(FoldError::Refused(format!("a fallback of the language {code} is null")));
            }
            let is_other = |fallback: &str| fallback != code && codes.iter().any(|known| known == fallback);
            language.fallbacks.retain(|fallback| fallback.as_deref().is_some_and(is_other));
        }
        let differs = *self != new;
        *self = new;
        Ok(differs)
    }

    /// The value in `Doc`.
    pub(super) fn value(&self) -> Value {
        let value = |(code, language): &(String, Language)| {
            let value = json!({ "fallback": language.fallbacks, "isOptional": language.is_optional });
            (code.clone(), value)
        };
        let languages: Map<String, Value> = self.by_code.iter().map(value).collect();
        json!({ "languages": languages, "master": self.master })
    }

    /// Heap memory, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let of = |(code, language): &(String, Language)| {
            let fallbacks = language.fallbacks.iter().flatten();
            let texts = fallbacks.map(|code| code.len() + size_of::<Option<String>>()).sum::<usize>();
            size_of::<(String, Language)>() + code.len() + texts
        };
        self.master.len() + self.by_code.iter().map(of).sum::<usize>()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn language(fallbacks: &[&str], is_optional: bool) -> Language {
        let fallbacks = fallbacks.iter().map(|code| Some((*code).to_owned())).collect();
        Language { fallbacks, is_optional }
    }

    #[test]
    fn the_master_is_never_optional_and_has_no_fallbacks() {
        let mut languages = Languages::default();
        assert!(!languages.set("en", language(&["de"], true)).unwrap());
        assert!(languages.set("de", language(&["en", "de", "fr", "en"], true)).unwrap());
        assert!(!languages.set("de", language(&["en", "en"], true)).unwrap());
        let expected = json!({
            "languages": {
                "en": { "fallback": [], "isOptional": false },
                "de": { "fallback": ["en", "en"], "isOptional": true },
            },
            "master": "en",
        });
        assert_eq!(languages.value().to_string(), expected.to_string());
        assert!(languages.make_master("de").unwrap());
        assert!(!languages.make_master("de").unwrap());
        assert!(!languages.make_master("fr").unwrap());
        let expected = json!({
            "languages": {
                "en": { "fallback": [], "isOptional": false },
                "de": { "fallback": [], "isOptional": false },
            },
            "master": "de",
        });
        assert_eq!(languages.value().to_string(), expected.to_string());
    }

    #[test]
    fn a_removed_language_is_no_fallback_and_no_master_any_more() {
        let mut languages = Languages::default();
        assert!(!languages.remove("en").unwrap());
        assert!(languages.set("it", language(&["en"], true)).unwrap());
        assert!(languages.set("fr", language(&["it", "en"], false)).unwrap());
        assert!(!languages.remove("de").unwrap());
        assert!(languages.remove("en").unwrap());
        let expected = json!({
            "languages": {
                "it": { "fallback": [], "isOptional": false },
                "fr": { "fallback": ["it"], "isOptional": false },
            },
            "master": "it",
        });
        assert_eq!(languages.value().to_string(), expected.to_string());
        let null = Language { fallbacks: vec![None], is_optional: false };
        assert!(languages.set("fr", null.clone()).is_err());
        // That of the master is dropped before anybody looks at it.
        assert!(!languages.set("it", null).unwrap());
    }
}
