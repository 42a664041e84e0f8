//! Cut-over modes: how readers find the active generation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Mode of a cut-over: how readers find the active generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutOverMode {
    /// They read the pointer in the control document.
    #[default]
    Pointer,
    /// They read a view with the name of the target, as `States_Assets`; it is switched with the pointer.
    View,
    /// They have one collection's name built in, as `States_Assets2`: the new generation is renamed to it,
    /// and the old one is kept as a copy.
    Rename,
}

impl CutOverMode {
    /// The name, as given and stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pointer => "pointer",
            Self::View => "view",
            Self::Rename => "rename",
        }
    }

    /// Whether a cut-over breaks releases that can't read the new version, because readers can't choose a
    /// generation by version.
    #[must_use]
    pub fn breaks_older_releases(self) -> bool {
        self != Self::Pointer
    }
}

impl fmt::Display for CutOverMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for CutOverMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = [Self::Pointer, Self::View, Self::Rename].into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| format!("`{text}` is not `pointer`, `view` or `rename`"))
    }
}

/// Name of the copy of a generation whose name another one took.
#[must_use]
pub(crate) fn aside_name(name: &str, generation: u32) -> String {
    format!("{name}__g{generation}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for mode in [CutOverMode::Pointer, CutOverMode::View, CutOverMode::Rename] {
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        assert!("odd".parse::<CutOverMode>().is_err());
        assert_eq!(aside_name("States_Assets2", 2), "States_Assets2__g2");
    }
}
