//! The squidex registry.
use crate::Registry;
/// Tmp.
pub fn registry() -> Registry {
    Registry::default()
}
