//! Codes of languages.

/// The code as Squidex keeps it.
pub(super) fn canonical(code: &str) -> String {
    code.to_owned()
}
