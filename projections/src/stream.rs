//! Stream names: the filter of a projection, and the key that a snapshot is stored under.

/// The streams a projection folds: all names with one prefix, without those that end in a suffix.
///
/// The prefix makes the streams a contiguous range of names, which the engine reads and partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamFilter {
    prefix: String,
    without_suffix: Option<String>,
}

impl StreamFilter {
    /// Streams whose name starts with `prefix`. The empty prefix means all streams.
    #[must_use]
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), without_suffix: None }
    }

    /// Leaves out streams whose name ends with `suffix`, such as Squidex's `--deleted`.
    #[must_use]
    pub fn without_suffix(mut self, suffix: impl Into<String>) -> Self {
        self.without_suffix = Some(suffix.into());
        self
    }

    /// Returns true if the filter selects the stream.
    #[must_use]
    pub fn matches(&self, stream: &str) -> bool {
        self.key(stream).is_some()
    }

    /// The key of a stream, or `None` if the filter doesn't select the stream.
    #[must_use]
    pub fn key<'a>(&self, stream: &'a str) -> Option<StreamKey<'a>> {
        let id = stream.strip_prefix(self.prefix.as_str())?;
        let left_out = self.without_suffix.as_deref().is_some_and(|suffix| stream.ends_with(suffix));
        (!left_out && !id.is_empty()).then_some(StreamKey { stream, id })
    }

    /// Name of the stream of the snapshot with this `_id`.
    #[must_use]
    pub fn stream_of(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    /// First name of the range, inclusive.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.prefix
    }

    /// Suffix of the streams that are left out.
    #[must_use]
    pub fn suffix_left_out(&self) -> Option<&str> {
        self.without_suffix.as_deref()
    }

    /// End of the range, exclusive; `None` if it has every name from [`first`](Self::first) on.
    ///
    /// Names are compared as UTF-8 bytes, as MongoDB does: the end is the prefix with its last
    /// character raised by one.
    #[must_use]
    pub fn end(&self) -> Option<String> {
        let mut chars: Vec<char> = self.prefix.chars().collect();
        while let Some(last) = chars.pop() {
            // Surrogates are not characters: U+E000 follows U+D7FF.
            let next =
                if last == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(u32::from(last) + 1) };
            if let Some(next) = next {
                chars.push(next);
                return Some(chars.into_iter().collect());
            }
        }
        None
    }
}

/// Name of a stream and the part of it that identifies the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamKey<'a> {
    stream: &'a str,
    id: &'a str,
}

impl<'a> StreamKey<'a> {
    /// The whole name: `asset-{app}--{id}`.
    #[must_use]
    pub fn stream(&self) -> &'a str {
        self.stream
    }

    /// The name without the prefix, `{app}--{id}`: `_id` of the snapshot.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_range_of_names() {
        let assets = StreamFilter::prefix("asset-").without_suffix("--deleted");
        assert_eq!(assets.first(), "asset-");
        assert_eq!(assets.end().as_deref(), Some("asset."));
        assert_eq!(assets.key("asset-a--b").map(|key| key.id()), Some("a--b"));
        assert!(!assets.matches("assetFolder-a--b"));
        assert!(!assets.matches("asset-a--b--deleted"));
        assert!(!assets.matches("asset-"));
        assert_eq!(assets.stream_of("a--b"), "asset-a--b");
    }

    #[test]
    fn the_end_of_a_range_is_above_every_name_in_it() {
        assert_eq!(StreamFilter::prefix("").end(), None);
        assert_eq!(StreamFilter::prefix("\u{10FFFF}").end(), None);
        assert_eq!(StreamFilter::prefix("a\u{10FFFF}").end().as_deref(), Some("b"));
        assert_eq!(StreamFilter::prefix("\u{D7FF}").end().as_deref(), Some("\u{E000}"));
    }
}
