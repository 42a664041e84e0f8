//! Names of many streams in a few large chunks, so that a million names don't need a million allocations.

const CHUNK_BYTES: usize = 256 * 1024;

/// Place of a name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    chunk: u32,
    start: u32,
    length: u32,
}

/// Names that are kept until all of them are dropped together.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// Keeps a name.
    pub(crate) fn add(&mut self, name: &str) -> Name {
        let fits = |chunk: &String| chunk.capacity() - chunk.len() >= name.len();
        if !self.0.last().is_some_and(fits) {
            self.0.push(String::with_capacity(CHUNK_BYTES.max(name.len())));
        }
        let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let start = self.0.last().map_or(0, String::len);
        if let Some(chunk) = self.0.last_mut() {
            chunk.push_str(name);
        }
        Name { chunk: short(self.0.len().saturating_sub(1)), start: short(start), length: short(name.len()) }
    }

    /// The name at a place.
    pub(crate) fn get(&self, name: Name) -> &str {
        let start = name.start as usize;
        let chunk = self.0.get(name.chunk as usize);
        chunk.and_then(|chunk| chunk.get(start..start + name.length as usize)).unwrap_or_default()
    }

    /// Memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(String::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_across_chunks() {
        let mut names = Names::default();
        let texts: Vec<String> = (0..20_000).map(|at| format!("stream-ä-{at}")).collect();
        let long = "x".repeat(CHUNK_BYTES * 2);
        let places: Vec<Name> = texts.iter().map(|text| names.add(text)).collect();
        let place = names.add(&long);
        assert!(places.iter().zip(&texts).all(|(place, text)| names.get(*place) == text));
        assert_eq!(names.get(place), long);
        assert!(names.bytes() > CHUNK_BYTES * 3);
    }
}
