//! Which members of a replica set the event store is read from.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Members that a build reads the event store from, and a comparison. Whatever it is, heads, changes and
/// streams that changed meanwhile are read from the primary: nothing depends on how current a secondary is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// The primary.
    #[default]
    Primary,
    /// A secondary.
    Secondary,
    /// Whichever is nearest.
    Nearest,
    /// A secondary with all these tags, as Atlas gives its analytics nodes `nodeType:ANALYTICS`.
    Tagged(BTreeMap<String, String>),
}

impl FromStr for ReadFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "primary" => return Ok(Self::Primary),
            "secondary" => return Ok(Self::Secondary),
            "nearest" => return Ok(Self::Nearest),
            _ => {}
        }
        let tags = text.split(',').map(|tag| {
            let (name, value) = tag.split_once(':')?;
            (!name.is_empty() && !value.is_empty()).then(|| (name.to_owned(), value.to_owned()))
        });
        let tags: Option<BTreeMap<String, String>> = tags.collect();
        tags.map(Self::Tagged).ok_or_else(|| {
            format!("`{text}` is none of primary, secondary, nearest, and no tag as nodeType:ANALYTICS")
        })
    }
}

impl fmt::Display for ReadFrom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary => formatter.write_str("primary"),
            Self::Secondary => formatter.write_str("secondary"),
            Self::Nearest => formatter.write_str("nearest"),
            Self::Tagged(tags) => {
                let tags = tags.iter().map(|(name, value)| format!("{name}:{value}"));
                formatter.write_str(&tags.collect::<Vec<_>>().join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_a_word_or_tags() {
        for text in ["primary", "secondary", "nearest", "nodeType:ANALYTICS", "dc:east,use:reporting"] {
            assert_eq!(text.parse::<ReadFrom>().map(|read| read.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["", "secondaries", "nodeType:", ":x", "a:b,"] {
            assert!(wrong.parse::<ReadFrom>().is_err(), "{wrong}");
        }
    }
}
