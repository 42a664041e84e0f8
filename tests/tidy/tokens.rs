//! A source as tokens: names, signs and literals, without comments and blanks.

/// A token and the line it begins in. The kind shows in its first character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

impl Token<'_> {
    pub(crate) fn is_name(&self) -> bool {
        self.text.starts_with(|char: char| char.is_alphabetic() || char == '_') && !self.text.contains('"')
    }
}

pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let (is_comment, length) = match comment(rest) {
            Some(length) => (true, length),
            None => (false, token(rest, first)),
        };
        let (text, after) = rest.split_at(length);
        if !is_comment && !first.is_whitespace() {
            found.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    found
}

/// The length of the token that a text begins with.
fn token(text: &str, first: char) -> usize {
    let literal = string(text).or_else(|| raw_string(text)).or_else(|| character(text));
    literal.unwrap_or_else(|| match word(text) {
        0 if text.starts_with("::") => 2,
        0 => first.len_utf8(),
        length => length,
    })
}

fn word(text: &str) -> usize {
    text.find(|char: char| !(char.is_alphanumeric() || char == '_')).unwrap_or(text.len())
}

/// The length of the comment that a text begins with. Block comments nest.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let mut depth = 0_usize;
    for (at, _) in text.char_indices() {
        let (before, rest) = text.split_at(at);
        if rest.starts_with("/*") {
            depth += 1;
        } else if depth > 0 && before.ends_with("*/") {
            depth -= 1;
        }
        if depth == 0 {
            return (at > 0).then_some(at);
        }
    }
    Some(text.len())
}

fn string(text: &str) -> Option<usize> {
    let prefix = ["\"", "b\"", "c\""].into_iter().find(|prefix| text.starts_with(prefix))?;
    let mut is_escaped = false;
    for (at, char) in text.char_indices().skip(prefix.len()) {
        match char {
            '"' if !is_escaped => return Some(at + 1),
            _ => is_escaped = char == '\\' && !is_escaped,
        }
    }
    Some(text.len())
}

fn raw_string(text: &str) -> Option<usize> {
    let inner = ["r", "br", "cr"].into_iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let body = inner.trim_start_matches('#');
    let hashes = inner.len() - body.len();
    let body = body.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = text.len() - body.len();
    Some(body.find(&end).map_or(text.len(), |at| begin + at + end.len()))
}

/// A character in quotes, or a lifetime, which begins alike.
fn character(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'').or_else(|| text.strip_prefix("b'"))?;
    let begin = text.len() - inner.len();
    let first = inner.chars().next()?;
    let after = first.len_utf8();
    if first == '\\' {
        let rest = inner.split_at(after + 1).1;
        return rest.find('\'').map(|at| begin + after + 1 + at + 1);
    }
    if inner.split_at(after).1.starts_with('\'') {
        return Some(begin + after + 1);
    }
    text.starts_with('\'').then(|| begin + word(inner))
}

#[test]
fn comments_and_literals_are_no_code() {
    let texts = |source| tokens(source).iter().map(|token| token.text).collect::<Vec<_>>();
    assert_eq!(texts("a::b // c::d\n/* e /* f */ g */ h"), ["a", "::", "b", "h"]);
    assert_eq!(texts(r##"x "a::\"b" r#"c"d"# y"##), ["x", r#""a::\"b""#, r##"r#"c"d"#"##, "y"]);
    assert_eq!(texts(r"'a' '\'' '\\' b'x' &'a str"), ["'a'", r"'\''", r"'\\'", "b'x'", "&", "'a", "str"]);
    let lines: Vec<usize> = tokens("a\n\"b\n\"\nc").iter().map(|token| token.line).collect();
    assert_eq!(lines, [1, 2, 4]);
}
