//! Writes out the few texts that a regex matches: `^(GET|HEAD)$` matches `GET` and `HEAD`.
//!
//! A condition of `routes.yaml` has a list of values and no regex, so that only a regex of few texts can become one.

/// The most texts that are written out.
const MOST: usize = 32;

/// The texts that a regex is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Alternatives {
    /// The texts, each once.
    pub(super) texts: Vec<String>,
    /// Whether the regex matches these texts alone, since it is tied to both ends. Otherwise it matches every text that
    /// contains one of them.
    pub(super) is_whole: bool,
}

/// The texts that `regex` is about; `None` if there are too many, or if it has more than letters, groups, `|` and `?`.
pub(super) fn alternatives(regex: &str) -> Option<Alternatives> {
    let (begins, inside) = match regex.strip_prefix('^') {
        Some(inside) => (true, inside),
        None => (false, regex),
    };
    let (ends, inside) = match inside.strip_suffix('$') {
        Some(inside) if !inside.ends_with('\\') => (true, inside),
        _ => (false, inside),
    };
    let mut reader = RegexReader { rest: inside };
    let branches = reader.branches()?;
    if !reader.rest.is_empty() {
        return None;
    }
    // In `^a|b$` each anchor belongs to one of the two.
    let is_whole = begins && ends && branches.len() == 1;
    let mut texts: Vec<String> = Vec::new();
    for text in branches.into_iter().flatten() {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    Some(Alternatives { texts, is_whole })
}

/// Reads a regex from its beginning to its end.
struct RegexReader<'r> {
    rest: &'r str,
}

impl RegexReader<'_> {
    /// The texts of each branch between `|`, up to the end or to a `)`.
    fn branches(&mut self) -> Option<Vec<Vec<String>>> {
        let mut branches = vec![self.branch()?];
        while let Some(rest) = self.rest.strip_prefix('|') {
            self.rest = rest;
            branches.push(self.branch()?);
        }
        Some(branches)
    }

    /// The texts of one branch.
    fn branch(&mut self) -> Option<Vec<String>> {
        let mut texts = vec![String::new()];
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
            let mut piece = self.piece()?;
            if let Some(rest) = self.rest.strip_prefix('?') {
                self.rest = rest;
                piece.push(String::new());
            }
            if self.rest.starts_with(['?', '*', '+', '{']) || texts.len() * piece.len() > MOST {
                return None;
            }
            texts = texts
                .iter()
                .flat_map(|text| piece.iter().map(move |piece| format!("{text}{piece}")))
                .collect();
        }
        Some(texts)
    }

    /// The texts of one character or one group.
    fn piece(&mut self) -> Option<Vec<String>> {
        let mut letters = self.rest.chars();
        let letter = letters.next()?;
        let behind = letters.as_str();
        match letter {
            '(' => {
                self.rest = behind.strip_prefix("?:").unwrap_or(behind);
                let texts = self.branches()?.into_iter().flatten().collect();
                self.rest = self.rest.strip_prefix(')')?;
                Some(texts)
            }
            '\\' => {
                let escaped = letters.next().filter(char::is_ascii_punctuation)?;
                self.rest = letters.as_str();
                Some(vec![escaped.to_string()])
            }
            '.' | '[' | ']' | '{' | '}' | '*' | '+' | '?' | '^' | '$' => None,
            letter => {
                self.rest = behind;
                Some(vec![letter.to_string()])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::nginx::alternatives::alternatives;

    #[test]
    fn the_texts_of_a_regex_are_written_out() {
        for (regex, texts, is_whole) in [
            ("^(GET|HEAD)$", "GET HEAD", true),
            ("^(?:GET|HEAD|GET)$", "GET HEAD", true),
            ("GET|HEAD", "GET HEAD", false),
            ("^GET|HEAD$", "GET HEAD", false),
            ("^GET$", "GET", true),
            ("^GET", "GET", false),
            (
                r"^https?://(www\.)?a\.test$",
                "https://www.a.test https://a.test http://www.a.test http://a.test",
                true,
            ),
            (r"a\$", "a$", false),
        ] {
            let found = alternatives(regex);
            let found = found.map(|found| (found.texts.join(" "), found.is_whole));
            assert_eq!(found, Some((texts.to_owned(), is_whole)), "{regex}");
        }
    }

    #[test]
    fn a_regex_of_many_texts_is_not_written_out() {
        let many = "(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)";
        for regex in [
            "^.*$", "[ab]", "a+", "a*", "a{2}", "(a", "a)", r"\d", r"\w", "a??", "(?=a)", "(?i)a",
            many, "^a^$",
        ] {
            assert_eq!(alternatives(regex), None, "{regex}");
        }
    }
}
