//! A list that grows chunk by chunk, so that growing never needs twice the memory.

const CHUNK: usize = 4096;

/// A growing list. Unlike a `Vec` it needs no second copy of itself while it grows, which matters
/// for a million states.
#[derive(Debug)]
pub struct Chunked<T> {
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> Chunked<T> {
    /// Adds an item and returns its position.
    pub fn push(&mut self, item: T) -> usize {
        let position = self.len();
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(item),
            _ => {
                // A short list stays small: only the chunks after the first have their full size.
                let mut chunk = Vec::with_capacity(if self.chunks.is_empty() { 4 } else { CHUNK });
                chunk.push(item);
                self.chunks.push(chunk);
            }
        }
        position
    }

    /// The item at a position.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<&T> {
        self.chunks.get(position / CHUNK)?.get(position % CHUNK)
    }

    /// The item at a position, to change it.
    pub fn get_mut(&mut self, position: usize) -> Option<&mut T> {
        self.chunks.get_mut(position / CHUNK)?.get_mut(position % CHUNK)
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        // All chunks but the last are full.
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// Returns true if there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// All items, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// Memory of the list itself, in bytes, without the heap memory that its items own.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(Vec::capacity).sum::<usize>() * size_of::<T>()
            + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_where_they_were_put() {
        let mut list = Chunked::default();
        assert!(list.is_empty() && list.get(0).is_none());
        for number in 0..10_000 {
            assert_eq!(list.push(number), number);
        }
        assert_eq!(
            (list.len(), list.get(4095), list.get(4096), list.get(9999)),
            (10_000, Some(&4095), Some(&4096), Some(&9999))
        );
        assert!(list.get(10_000).is_none());
        if let Some(item) = list.get_mut(5000) {
            *item = 1;
        }
        assert_eq!(list.iter().sum::<usize>(), 10_000 * 9_999 / 2 - 5000 + 1);
        assert!(list.bytes() >= 10_000 * size_of::<usize>());
    }
}
