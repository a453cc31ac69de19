//! The layout of declarations: one property per line, as people write TypeScript.

use std::{iter::Peekable, str::Chars};

/// The maximum width of a line, in characters. A type without an object can be wider.
const MAX_WIDTH: usize = 100;

/// Returns a type on one line, without comments.
pub(super) fn line(text: &str) -> String {
    Parser::new(text).union(false).line()
}

/// Returns the declaration `head = text`, on several lines if one is too narrow or if there are comments.
pub(super) fn declaration(head: &str, text: &str) -> String {
    let union = Parser::new(text).union(false);
    let line = union.line();
    if !union.has_docs() && fits(&[head, " = ", &line]) {
        return format!("{head} = {line}");
    }
    match union.0.as_slice() {
        [only] => format!("{head} = {}", only.block(0)),
        alternatives => alternatives.iter().fold(format!("{head} ="), |text, alternative| {
            let line = alternative.line();
            let is_line = !alternative.has_docs() && fits(&["  | ", &line]);
            let alternative = if is_line { line } else { alternative.block(2) };
            format!("{text}\n  | {alternative}")
        }),
    }
}

/// Returns a comment of ts-rs, which may have several lines, with this indentation. An empty comment is omitted.
pub(super) fn comment(text: &str, indent: usize) -> String {
    let lines: Vec<&str> = text
        .trim()
        .trim_start_matches("/**")
        .trim_end_matches("*/")
        .trim()
        .lines()
        .map(|line| line.trim().trim_start_matches('*').trim())
        .collect();
    let space = "  ".repeat(indent);
    match lines.as_slice() {
        [] => String::new(),
        [line] => format!("{space}/** {line} */\n"),
        lines => {
            let lines: String =
                lines.iter().map(|line| format!("{space} * {line}").trim_end().to_owned() + "\n").collect();
            format!("{space}/**\n{lines}{space} */\n")
        }
    }
}

/// Returns whether the name can be written without quotes.
pub(super) fn is_identifier(name: &str) -> bool {
    let is_letter = |char: char| char.is_ascii_alphabetic() || char == '_' || char == '$';
    name.starts_with(is_letter) && name.chars().all(|char| is_letter(char) || char.is_ascii_digit())
}

/// Returns the name of a property, in quotes if it needs them.
pub(super) fn property(name: &str) -> String {
    if is_identifier(name) { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'").replace('\n', r"\n"))
}

fn fits(parts: &[&str]) -> bool {
    parts.iter().map(|part| part.chars().count()).sum::<usize>() <= MAX_WIDTH
}

/// The alternatives of a type.
struct Union(Vec<Alternative>);

/// A sequence of texts and objects, such as `Array<`, `{ a: string }`, `>`.
struct Alternative(Vec<Piece>);

enum Piece {
    Text(String),
    Object(Vec<Member>),
}

struct Member {
    /// The comment before the member, or an empty text.
    docs: String,
    /// The name and the type.
    content: Union,
}

impl Union {
    fn line(&self) -> String {
        self.0.iter().map(Alternative::line).collect::<Vec<_>>().join(" | ")
    }

    fn block(&self, indent: usize) -> String {
        self.0.iter().map(|alternative| alternative.block(indent)).collect::<Vec<_>>().join(" | ")
    }

    fn has_docs(&self) -> bool {
        self.0.iter().any(Alternative::has_docs)
    }
}

impl Alternative {
    fn line(&self) -> String {
        self.0.iter().map(Piece::line).collect()
    }

    fn block(&self, indent: usize) -> String {
        self.0.iter().map(|piece| piece.block(indent)).collect()
    }

    fn has_docs(&self) -> bool {
        self.0.iter().any(|piece| match piece {
            Piece::Text(_) => false,
            Piece::Object(members) => {
                members.iter().any(|member| !member.docs.is_empty() || member.content.has_docs())
            }
        })
    }
}

impl Piece {
    fn line(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Object(members) if members.is_empty() => "{}".to_owned(),
            Self::Object(members) => {
                let members: Vec<String> = members.iter().map(|member| member.content.line()).collect();
                format!("{{ {} }}", members.join("; "))
            }
        }
    }

    fn block(&self, indent: usize) -> String {
        let members = match self {
            Self::Object(members) if !members.is_empty() => members,
            _ => return self.line(),
        };
        let inner = indent.saturating_add(1);
        let space = "  ".repeat(inner);
        let members: String = members
            .iter()
            .map(|Member { docs, content }| {
                let line = content.line();
                let is_line = !content.has_docs() && fits(&[&space, &line]);
                let content = if is_line { line } else { content.block(inner) };
                let docs = if docs.is_empty() { String::new() } else { comment(docs, inner) };
                format!("{docs}{space}{content}\n")
            })
            .collect();
        format!("{{\n{members}{}}}", "  ".repeat(indent))
    }
}

/// Reads the type texts that ts-rs writes.
struct Parser<'a>(Peekable<Chars<'a>>);

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self(text.chars().peekable())
    }

    /// Reads a type up to the end or, in an object, up to the end of the member.
    fn union(&mut self, is_member: bool) -> Union {
        let mut alternatives = Vec::new();
        let mut pieces = Vec::new();
        let mut text = String::new();
        // Open brackets, except braces.
        let mut depth = 0_usize;
        while let Some(&char) = self.0.peek() {
            if is_member && (char == '}' || (depth == 0 && matches!(char, ',' | ';'))) {
                break;
            }
            self.0.next();
            match char {
                '{' => {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                    pieces.push(Piece::Object(self.members()));
                }
                '"' => text.push_str(&self.string()),
                '|' if depth == 0 => {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                    add(&mut alternatives, trimmed(std::mem::take(&mut pieces)));
                }
                char if char.is_whitespace() => {
                    if !text.ends_with(' ') {
                        text.push(' ');
                    }
                }
                char => {
                    match char {
                        '(' | '[' | '<' => depth = depth.saturating_add(1),
                        ')' | ']' => depth = depth.saturating_sub(1),
                        '>' if !text.ends_with('=') => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    text.push(char);
                }
            }
        }
        pieces.push(Piece::Text(text));
        add(&mut alternatives, trimmed(pieces));
        Union(alternatives)
    }

    /// Reads the members of an object, after its opening brace.
    fn members(&mut self) -> Vec<Member> {
        let mut members = Vec::new();
        let mut docs = String::new();
        while let Some(&char) = self.0.peek() {
            match char {
                '}' => {
                    self.0.next();
                    break;
                }
                '/' => docs = self.docs(),
                char if char.is_whitespace() || matches!(char, ',' | ';') => {
                    self.0.next();
                }
                _ => {
                    let mut content = self.union(true);
                    if let Some(Piece::Text(text)) =
                        content.0.first_mut().and_then(|alternative| alternative.0.first_mut())
                    {
                        unquote_name(text);
                    }
                    members.push(Member { docs: std::mem::take(&mut docs), content });
                }
            }
        }
        members
    }

    /// Reads a comment.
    fn docs(&mut self) -> String {
        let mut text = String::new();
        for char in self.0.by_ref() {
            text.push(char);
            if text.len() > "/**".len() && text.ends_with("*/") {
                break;
            }
        }
        text
    }

    /// Reads a string after its opening quote, and returns it in single quotes.
    fn string(&mut self) -> String {
        let mut text = String::new();
        while let Some(char) = self.0.next() {
            match char {
                '"' => break,
                '\\' => text.extend(self.0.next()),
                char => text.push(char),
            }
        }
        quoted(&text)
    }
}

/// Adds an alternative, unless it is a repeated one: a nested `Option` is `null | null`.
fn add(alternatives: &mut Vec<Alternative>, alternative: Alternative) {
    let line = alternative.line();
    if alternatives.iter().all(|other| other.line() != line) {
        alternatives.push(alternative);
    }
}

/// Removes the spaces around an alternative.
fn trimmed(mut pieces: Vec<Piece>) -> Alternative {
    if let Some(Piece::Text(text)) = pieces.first_mut() {
        *text = text.trim_start().to_owned();
    }
    if let Some(Piece::Text(text)) = pieces.last_mut() {
        *text = text.trim_end().to_owned();
    }
    Alternative(pieces)
}

/// Removes unneeded quotes around the name of a property.
fn unquote_name(text: &mut String) {
    let Some((name, rest)) = text.strip_prefix('\'').and_then(|text| text.split_once('\'')) else { return };
    if is_identifier(name) && rest.starts_with([':', '?']) {
        *text = format!("{name}{rest}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_type_is_on_one_line() {
        assert_eq!(
            line(r#"{ "type": "a-b", b?: Array<{ c: string, }>, "d-e": [A, B], }"#),
            "{ type: 'a-b'; b?: Array<{ c: string }>; 'd-e': [A, B] }"
        );
        assert_eq!(line("{  }"), "{}");
        assert_eq!(line("{ a: string | null | null, }"), "{ a: string | null }");
        assert_eq!(line("{ [key in string]: number }"), "{ [key in string]: number }");
        assert_eq!(
            line(r#"{ a: (b: string, c: number) => void | "it's" }"#),
            r"{ a: (b: string, c: number) => void | 'it\'s' }"
        );
    }

    #[test]
    fn a_type_with_comments_is_on_several_lines() {
        let text = "{ \"type\": \"a\", \n/**\n * First.\n */\nb: string, } | \"c\" | { d: { \n/**\n * Two\n * lines.\n */\ne: null, }, }";
        let expected = "type A =
  | {
      type: 'a'
      /** First. */
      b: string
    }
  | 'c'
  | {
      d: {
        /**
         * Two
         * lines.
         */
        e: null
      }
    }";
        assert_eq!(declaration("type A", text), expected);
    }

    #[test]
    fn a_wide_type_is_on_several_lines() {
        let names = ["first", "second", "third", "fourth", "fifth", "sixth"];
        let members: String = names.iter().map(|name| format!("{name}: Array<string>, ")).collect();
        let expected: String = names.iter().map(|name| format!("  {name}: Array<string>\n")).collect();
        assert_eq!(declaration("type A", &format!("{{ {members}}}")), format!("type A = {{\n{expected}}}"));
    }
}
