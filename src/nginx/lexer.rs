//! Cuts an nginx.conf into tokens as nginx does (`ngx_conf_read_token`). Texts in, tokens out.
//!
//! A quote opens a quoted word only at the beginning of a word, and a space, `;` or `{` must follow the closing quote.
//! In a word without quotes `}` and `#` are letters, and so is a `{` behind a dollar sign: `${var}`. A backslash keeps
//! the next letter from ending the word.

use std::fmt;
use std::ops::Range;

/// A word, `;`, `{` or `}`, and the bytes of the text that it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
}

/// What a token can be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum TokenKind {
    /// A word without its quotes and escapes.
    Word(String),
    /// The `;` that ends a directive.
    End,
    /// The `{` that opens a block.
    Open,
    /// The `}` that closes a block.
    Close,
}

/// Why a text is no nginx.conf.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum SyntaxError {
    /// A quoted word does not end.
    OpenQuote(char),
    /// This character stands right behind a quoted word.
    BehindQuote(char),
    /// A `;` or `{` has no word before it.
    NoWord(char),
    /// A `}` stands where no block is open.
    NothingToClose,
    /// A `}` or the end of the text comes where `;` should be.
    NoSemicolon,
    /// A block does not end.
    OpenBlock,
    /// Blocks and includes are nested deeper than anyone writes them.
    TooDeep,
    /// A word has bytes that are no UTF-8.
    NotUtf8,
}

impl SyntaxError {
    /// What to do about this error.
    pub(super) fn help(&self) -> String {
        match self {
            Self::OpenQuote(quote) => format!("close it with {quote}"),
            Self::BehindQuote(_) => {
                "put a space, `;` or `{` there, or quote all of the word".to_owned()
            }
            Self::NoWord(_) => "take it out, or write a directive before it".to_owned(),
            Self::NothingToClose => "is a `{` missing above?".to_owned(),
            Self::NoSemicolon => "end this directive with `;`".to_owned(),
            Self::OpenBlock => "close it with `}`".to_owned(),
            Self::TooDeep => "is a `}` missing above?".to_owned(),
            Self::NotUtf8 => "save the file as UTF-8".to_owned(),
        }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenQuote(quote) => write!(f, "this {quote} is never closed"),
            Self::BehindQuote(found) => {
                write!(f, "`{}` right behind a quoted word", found.escape_debug())
            }
            Self::NoWord(found) => write!(f, "`{found}` without a directive before it"),
            Self::NothingToClose => f.write_str("`}` closes nothing"),
            Self::NoSemicolon => f.write_str("this directive does not end"),
            Self::OpenBlock => f.write_str("this block is never closed"),
            Self::TooDeep => f.write_str("blocks and includes are nested too deeply"),
            Self::NotUtf8 => f.write_str("this word is no UTF-8"),
        }
    }
}

/// A syntax error, and the bytes of the text at which it shows.
pub(super) type Refused = (SyntaxError, Range<usize>);

/// Reads the tokens of a text from its beginning to its end.
#[derive(Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    /// A lexer at the beginning of `text`, behind a byte order mark if there is one.
    pub(super) fn new(text: &'t str) -> Self {
        let mark = '\u{feff}';
        let at = if text.starts_with(mark) {
            mark.len_utf8()
        } else {
            0
        };
        Self { text, at }
    }

    /// The next token; `None` at the end of the text.
    ///
    /// # Errors
    /// If a quoted word does not end, if something stands right behind it, or if a word has bytes that are no UTF-8.
    pub(super) fn next(&mut self) -> Result<Option<Token>, Refused> {
        self.skip_space();
        let start = self.at;
        let kind = match self.byte() {
            None => return Ok(None),
            Some(b';') => TokenKind::End,
            Some(b'{') => TokenKind::Open,
            Some(b'}') => TokenKind::Close,
            Some(b'"') => return self.quoted('"').map(Some),
            Some(b'\'') => return self.quoted('\'').map(Some),
            Some(_) => return self.bare().map(Some),
        };
        self.at += 1;
        let span = start..self.at;
        Ok(Some(Token { kind, span }))
    }

    /// Skips a block in another language (`content_by_lua_block`), up to and with the `}` that closes it. Returns
    /// `false` if the text ends before.
    pub(super) fn skip_foreign(&mut self) -> bool {
        let mut open = 1_usize;
        while let Some(byte) = self.byte() {
            self.at += 1;
            match byte {
                b'{' => open += 1,
                b'}' => open -= 1,
                _ => {}
            }
            if open == 0 {
                return true;
            }
        }
        false
    }

    /// The next byte.
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips white space and comments.
    fn skip_space(&mut self) {
        while let Some(byte) = self.byte() {
            match byte {
                b'#' => {
                    let rest = &self.text.as_bytes()[self.at..];
                    let line = rest.iter().position(|byte| *byte == b'\n');
                    self.at += line.unwrap_or(rest.len());
                }
                byte if is_space(byte) => self.at += 1,
                _ => return,
            }
        }
    }

    /// Reads a word that begins with `quote`.
    fn quoted(&mut self, quote: char) -> Result<Token, Refused> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.byte() {
                None => return Err((SyntaxError::OpenQuote(quote), start..start + 1)),
                Some(b'\\') => self.at += 2,
                Some(byte) if char::from(byte) == quote => break,
                Some(_) => self.at += 1,
            }
        }
        let inside = start + 1..self.at;
        self.at += 1;
        match self.byte() {
            None | Some(b';' | b'{' | b')') => {}
            Some(byte) if is_space(byte) => {}
            Some(_) => {
                let found = self.text[self.at..].chars().next().unwrap_or_default();
                return Err((
                    SyntaxError::BehindQuote(found),
                    self.at..self.at + found.len_utf8(),
                ));
            }
        }
        self.word(inside, start..self.at)
    }

    /// Reads a word without quotes.
    fn bare(&mut self) -> Result<Token, Refused> {
        let start = self.at;
        let mut variable = false;
        while let Some(byte) = self.byte() {
            match byte {
                b'{' if variable => self.at += 1,
                b'\\' => {
                    variable = false;
                    self.at += 2;
                }
                b';' | b'{' => break,
                byte if is_space(byte) => break,
                byte => {
                    variable = byte == b'$';
                    self.at += 1;
                }
            }
        }
        // A backslash that is the last byte makes `at` one too large.
        self.at = self.at.min(self.text.len());
        self.word(start..self.at, start..self.at)
    }

    /// The token of a word whose text is at `inside` and which takes up `span`, quotes included.
    fn word(&self, inside: Range<usize>, span: Range<usize>) -> Result<Token, Refused> {
        let text = unescaped(self.text.get(inside).unwrap_or_default());
        if text.contains(char::REPLACEMENT_CHARACTER) {
            return Err((SyntaxError::NotUtf8, span));
        }
        let kind = TokenKind::Word(text);
        Ok(Token { kind, span })
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// A word with the escapes `\"`, `\'`, `\\`, `\t`, `\r` and `\n` replaced; any other backslash stays.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            Some(kept @ ('"' | '\'' | '\\')) => plain.push(kept),
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('n') => plain.push('\n'),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    plain
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use crate::nginx::lexer::Lexer;
    use crate::nginx::lexer::Refused;
    use crate::nginx::lexer::SyntaxError;
    use crate::nginx::lexer::TokenKind;

    /// The tokens, `;`, `{` and `}` as themselves in brackets.
    fn read(text: &str) -> Result<Vec<String>, Refused> {
        let mut lexer = Lexer::new(text);
        let mut tokens = Vec::new();
        while let Some(token) = lexer.next()? {
            assert!(!token.span.is_empty(), "{token:?}");
            tokens.push(match token.kind {
                TokenKind::Word(word) => word,
                TokenKind::End => "[;]".to_owned(),
                TokenKind::Open => "[{]".to_owned(),
                TokenKind::Close => "[}]".to_owned(),
            });
        }
        Ok(tokens)
    }

    #[test]
    fn words_are_cut_as_nginx_cuts_them() {
        for (text, tokens) in [
            ("listen 80;", vec!["listen", "80", "[;]"]),
            ("a{b c;}", vec!["a", "[{]", "b", "c", "[;]", "[}]"]),
            ("a # b;\nc;", vec!["a", "c", "[;]"]),
            ("a b#c;", vec!["a", "b#c", "[;]"]),
            ("a }b;", vec!["a", "[}]", "b", "[;]"]),
            ("a b};", vec!["a", "b}", "[;]"]),
            ("a ${b}c;", vec!["a", "${b}c", "[;]"]),
            ("a $b{", vec!["a", "$b", "[{]"]),
            ("a \"b ;{}#\" c;", vec!["a", "b ;{}#", "c", "[;]"]),
            ("a '' \"\";", vec!["a", "", "", "[;]"]),
            ("a b\"c d\";", vec!["a", "b\"c", "d\"", "[;]"]),
            (r#"a "b\"c" 'd\'e';"#, vec!["a", "b\"c", "d'e", "[;]"]),
            (r"a b\ c d\;;", vec!["a", r"b\ c", r"d\;", "[;]"]),
            (r"~ \.(js|css)$ {", vec!["~", r"\.(js|css)$", "[{]"]),
            (r"a b\n\t\\;", vec!["a", "b\n\t\\", "[;]"]),
            ("if ($a = \"b\") {", vec!["if", "($a", "=", "b", ")", "[{]"]),
            ("a\r\n\tb;", vec!["a", "b", "[;]"]),
            ("\u{feff}a é漢;", vec!["a", "é漢", "[;]"]),
            ("a \\", vec!["a", "\\"]),
            ("", vec![]),
        ] {
            let tokens: Vec<String> = tokens.into_iter().map(str::to_owned).collect();
            assert_eq!(read(text), Ok(tokens), "{text}");
        }
    }

    #[test]
    fn what_nginx_refuses_is_refused_at_the_same_place() {
        assert_eq!(read("a 'b;"), Err((SyntaxError::OpenQuote('\''), 2..3)));
        assert_eq!(read("a \"b\\\""), Err((SyntaxError::OpenQuote('"'), 2..3)));
        assert_eq!(
            read("a \"b\"é;"),
            Err((SyntaxError::BehindQuote('é'), 5..7))
        );
        assert_eq!(
            read("a \"b\"};"),
            Err((SyntaxError::BehindQuote('}'), 5..6))
        );
        assert_eq!(read("a \u{fffd};"), Err((SyntaxError::NotUtf8, 2..5)));
        assert_eq!(read("a; # \u{fffd}"), Ok(vec!["a".into(), "[;]".into()]));
    }

    #[test]
    fn a_foreign_block_ends_where_its_braces_do() {
        let mut lexer = Lexer::new("x { if y then { z; } } } ;");
        lexer.next().unwrap();
        lexer.next().unwrap();
        assert!(lexer.skip_foreign());
        assert_eq!(lexer.next().unwrap().unwrap().kind, TokenKind::Close);
        assert!(!lexer.skip_foreign());
    }

    proptest! {
        #[test]
        fn a_quoted_word_is_read_as_what_it_was(word in "\\PC{0,12}|[\"'\\\\;{}#$ \t\n\ra]{0,12}", single: bool) {
            prop_assume!(!word.contains(char::REPLACEMENT_CHARACTER));
            let quote = if single { '\'' } else { '"' };
            let escaped = word.replace('\\', "\\\\").replace(quote, &format!("\\{quote}"));
            let text = format!("x {quote}{escaped}{quote};");
            prop_assert_eq!(read(&text), Ok(vec!["x".to_owned(), word, "[;]".to_owned()]));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let text = String::from_utf8_lossy(&bytes);
            if let Err((_, span)) = read(&text) {
                prop_assert!(text.get(span).is_some());
            }
        }
    }
}
