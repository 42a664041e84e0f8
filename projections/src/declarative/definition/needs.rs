//! What a handler reads of an event: nothing else of it is parsed.

use bson::Bson;

/// Fields of one object of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fields {
    /// The whole of it.
    All,
    /// These, by their first name.
    Named(Vec<String>),
}

impl Default for Fields {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl Fields {
    /// Whether it needs none.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::Named(names) if names.is_empty())
    }

    /// Whether it needs this one.
    #[cfg(test)]
    fn has(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|own| own.as_bytes() == name),
        }
    }

    fn add(&mut self, name: Option<&str>) {
        match (&mut *self, name) {
            (Self::Named(names), Some(name)) if !names.iter().any(|own| own == name) => {
                names.push(name.to_owned());
            }
            (Self::Named(_), Some(_)) | (Self::All, _) => {}
            (Self::Named(_), None) => *self = Self::All,
        }
    }
}

/// Parts of an event and of its stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) payload: Fields,
    pub(super) headers: Fields,
    pub(super) event_type: bool,
    pub(super) number: bool,
    pub(super) timestamp: bool,
    pub(super) stream: bool,
}

impl Needs {
    /// All variables in a value, and a few more: a literal may look like one.
    pub(super) fn add(&mut self, value: &Bson) {
        match value {
            Bson::String(text) => self.variable(text),
            Bson::Array(items) => items.iter().for_each(|item| self.add(item)),
            Bson::Document(members) => members.iter().for_each(|(_, value)| self.add(value)),
            _ => {}
        }
    }

    fn variable(&mut self, text: &str) {
        let mut names = text.split('.');
        match names.next() {
            Some("$$stream") => self.stream = true,
            Some("$$event") => match names.next() {
                Some("payload") => self.payload.add(names.next()),
                Some("headers") => self.headers.add(names.next()),
                Some("type") => self.event_type = true,
                Some("number") => self.number = true,
                Some("timestamp") => self.timestamp = true,
                Some(_) => {}
                None => {
                    *self = Self {
                        payload: Fields::All,
                        headers: Fields::All,
                        event_type: true,
                        number: true,
                        timestamp: true,
                        stream: self.stream,
                    };
                }
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::bson;

    use super::*;

    #[test]
    fn only_what_is_named_is_needed() {
        let mut needs = Needs::default();
        needs
            .add(&bson!({ "$set": { "a": "$$event.payload.x.y", "b": ["$$event.number", "$$stream.key"] } }));
        assert!(needs.payload.has(b"x") && !needs.payload.has(b"y") && needs.headers.is_none());
        assert!(needs.number && needs.stream && !needs.timestamp && !needs.event_type);
        needs.add(&bson!({ "$set": { "all": "$$event.payload", "at": "$$event.timestamp" } }));
        assert!(needs.payload.has(b"y") && needs.timestamp && needs.headers.is_none());
        needs.add(&bson!("$$event"));
        assert!(needs.headers.has(b"z") && needs.event_type);
    }
}
