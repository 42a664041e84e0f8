//! How something stands, for its colour.

/// How something stands, for its colour; it is always said in words too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::page) enum Tone {
    Good,
    Busy,
    Warn,
    Bad,
    Quiet,
}

impl Tone {
    pub(in crate::page) fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Quiet => "quiet",
        }
    }
}
