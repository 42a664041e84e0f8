//! What a source declares and names: modules, items, `use` declarations, paths in the code.

use std::collections::BTreeSet;

use crate::tokens::{Token, tokens};

/// One thing a file says, and where: the inline modules around it, and the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) inside: Vec<String>,
    pub(crate) line: usize,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// `mod name;`, with the file of its `#[path]`.
    File {
        name: String,
        path: Option<String>,
    },
    /// `mod name { … }`.
    Inline(String),
    /// `fn name`, `struct name`, …: an item of the module itself.
    Item(String),
    Use(Use),
    /// `a::b::c` in the code.
    Path(Vec<String>),
}

/// One name of a `use` declaration; the name is `*` for all of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) path: Vec<String>,
    pub(crate) name: String,
    pub(crate) is_public: bool,
}

/// A file, read.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) said: Vec<Said>,
    /// All names outside `use` declarations: whether a re-export is also used here.
    pub(crate) names: BTreeSet<String>,
}

const ITEMS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "static", "union"];

pub(crate) fn parse(source: &str) -> Parsed {
    let mut parser = Parser { tokens: &tokens(source), at: 0, depth: 0, inside: Vec::new() };
    let mut parsed = Parsed::default();
    while parser.at < parser.tokens.len() {
        parser.step(&mut parsed);
    }
    parsed
}

struct Parser<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    depth: usize,
    /// The inline modules around, each with the depth of braces that its items stand in.
    inside: Vec<(String, usize)>,
}

impl<'a> Parser<'a> {
    /// The text of a token, counted from where the parser is; empty behind the end.
    fn text(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    /// Whether the token before makes this a field or a method: a `.`, but not the `..` of a range.
    fn is_after_dot(&self) -> bool {
        let before =
            |back| self.at.checked_sub(back).and_then(|at| self.tokens.get(at)).map(|token| token.text);
        before(1) == Some(".") && before(2) != Some(".")
    }

    fn is_name(&self, ahead: usize) -> bool {
        self.tokens.get(self.at + ahead).is_some_and(Token::is_name)
    }

    /// Reads one declaration, path or sign, and goes on behind it.
    fn step(&mut self, parsed: &mut Parsed) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        let inside: Vec<String> = self.inside.iter().map(|(name, _)| name.clone()).collect();
        let mut say = |what| parsed.said.push(Said { inside: inside.clone(), line, what });
        let is_public = self.text(0) == "pub";
        if is_public {
            self.skip_visibility();
        }
        match (self.text(0), self.text(2)) {
            ("use", _) if self.text(1) != "<" => {
                self.at += 1;
                let mut found = Vec::new();
                self.use_tree(&[], is_public, &mut found);
                found.into_iter().for_each(|one| say(What::Use(one)));
            }
            ("mod", ";") => {
                say(What::File { name: self.text(1).to_owned(), path: self.path_attribute() });
                self.at += 3;
            }
            ("mod", "{") => {
                say(What::Inline(self.text(1).to_owned()));
                self.depth += 1;
                self.inside.push((self.text(1).to_owned(), self.depth));
                self.at += 3;
            }
            ("macro_rules", name) => {
                say(What::Item(name.to_owned()));
                self.at += 3;
            }
            (item, _) if ITEMS.contains(&item) && self.is_name(1) && self.is_at_module_level() => {
                say(What::Item(self.text(1).to_owned()));
                self.at += 1;
            }
            ("{", _) => {
                self.depth += 1;
                self.at += 1;
            }
            ("}", _) => {
                self.inside.pop_if(|(_, depth)| *depth == self.depth);
                self.depth = self.depth.saturating_sub(1);
                self.at += 1;
            }
            _ if self.is_name(0) => {
                let is_field = self.is_after_dot();
                let path = self.path();
                if !is_field {
                    parsed.names.extend(path.first().cloned());
                }
                if !is_field && path.len() > 1 {
                    parsed.said.push(Said { inside, line, what: What::Path(path) });
                }
            }
            _ => self.at += 1,
        }
    }

    fn is_at_module_level(&self) -> bool {
        self.depth == self.inside.last().map_or(0, |(_, depth)| *depth)
    }

    /// Skips `pub`, `pub(crate)`, `pub(in crate::a)`: a visibility is no use of a module.
    fn skip_visibility(&mut self) {
        self.at += 1;
        if self.text(0) == "(" && ["crate", "super", "self", "in"].contains(&self.text(1)) {
            while !["", ")"].contains(&self.text(0)) {
                self.at += 1;
            }
            self.at += 1;
        }
    }

    /// The file of `#[path = "…"]` among the attributes before `mod name;`.
    fn path_attribute(&self) -> Option<String> {
        let before = self.tokens.split_at(self.at).0;
        let ends = |token: &Token| [";", "}"].contains(&token.text);
        let begin = before.iter().rposition(ends).map_or(0, |at| at + 1);
        let attributes = before.split_at(begin).1;
        let at = attributes.windows(4).find(|four| {
            let texts: Vec<&str> = four.iter().map(|token| token.text).take(3).collect();
            texts == ["[", "path", "="]
        })?;
        at.last().map(|token| token.text.trim_matches('"').to_owned())
    }

    /// `a::b::c`, up to what isn't a name.
    fn path(&mut self) -> Vec<String> {
        let mut path = vec![self.text(0).to_owned()];
        self.at += 1;
        while self.text(0) == "::" && self.is_name(1) {
            path.push(self.text(1).to_owned());
            self.at += 2;
        }
        path
    }

    /// One branch of a `use` declaration: ends behind its `,` or before the `}` or `;` around it.
    fn use_tree(&mut self, prefix: &[String], is_public: bool, found: &mut Vec<Use>) {
        let mut path = prefix.to_vec();
        let mut name = None;
        loop {
            let text = self.text(0);
            match text {
                "," | ";" | "}" | "" => break,
                "::" => {}
                "as" => {
                    name = Some(self.text(1).to_owned());
                    self.at += 1;
                }
                "*" => name = Some("*".to_owned()),
                "{" => {
                    self.at += 1;
                    while !["}", ";", ""].contains(&self.text(0)) {
                        self.use_tree(&path, is_public, found);
                        if self.text(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                _ => path.push(text.to_owned()),
            }
            self.at += 1;
        }
        if path.len() > 1 {
            path.pop_if(|last| last == "self");
        }
        if let Some(name) = name.or_else(|| path.last().cloned()) {
            found.push(Use { path, name, is_public });
        }
    }
}

#[test]
fn every_name_of_a_use_declaration_is_found() {
    let source = "pub(in crate::a) use b::{self, c::{D, E as F}, g::*};\nuse super::x;";
    let uses: Vec<_> = parse(source).said.into_iter().map(|said| (said.what, said.line)).collect();
    let one = |path: &str, name: &str, is_public, line| {
        let path = path.split("::").map(str::to_owned).collect();
        (What::Use(Use { path, name: name.to_owned(), is_public }), line)
    };
    let expected = [
        one("b", "b", true, 1),
        one("b::c::D", "D", true, 1),
        one("b::c::E", "F", true, 1),
        one("b::g", "*", true, 1),
        one("super::x", "x", false, 2),
    ];
    assert_eq!(uses, expected);
}

#[test]
fn modules_items_and_paths_are_found() {
    let source = r#"
        #[path = "../other.rs"]
        #[cfg(test)]
        mod file;
        mod inline { fn f() { crate::a::g(x.b::<u8>()); } }
        impl S { fn method() {} }
        pub(crate) struct S(pub(in crate::hidden) u8); // crate::comment
    "#;
    let said = parse(source).said;
    let whats: Vec<What> = said.iter().map(|said| said.what.clone()).collect();
    let expected = [
        What::File { name: "file".to_owned(), path: Some("../other.rs".to_owned()) },
        What::Inline("inline".to_owned()),
        What::Item("f".to_owned()),
        What::Path(["crate", "a", "g"].map(str::to_owned).to_vec()),
        What::Item("S".to_owned()),
    ];
    assert_eq!(whats, expected);
    assert!(said.iter().filter(|said| !said.inside.is_empty()).count() == 2);
}
