//! The values that the environment gave to a file, so that whatever is shown of it has what is written instead: a value may be
//! a secret. Texts in, texts out.

use std::ops::Range;

/// The values that were filled into a file, so that what is shown of it has what is written instead.
#[derive(Clone, Debug, Default)]
pub struct FilledValues(Vec<FilledValue>);

/// A value that was filled in.
#[derive(Clone, Debug)]
struct FilledValue {
    /// What is written: `${PORT}`.
    written: String,
    /// What the environment has.
    value: String,
    /// The bytes of the file in which its scalar stands.
    span: Range<usize>,
}

/// The shortest value that is looked for in what is said of other places than its own. A shorter one is no secret, and
/// would be found in half of all words and numbers.
const SHORTEST: usize = 4;

/// The shortest part of a value that a message about its own place does not show.
const PART: usize = 3;

impl FilledValues {
    /// Notes the values of a scalar that stands at `span`.
    pub(super) fn extend(&mut self, values: Vec<(String, String)>, span: &Range<usize>) {
        for (written, value) in values {
            // Names of hosts are kept, and shown, in lower case.
            let lower = Some(value.to_lowercase()).filter(|lower| *lower != value);
            for value in [Some(value), lower].into_iter().flatten() {
                self.0.push(FilledValue {
                    written: written.clone(),
                    value,
                    span: span.clone(),
                });
            }
        }
        self.0.retain(|one| !one.value.is_empty());
        // The longest first, so that no value is replaced within another one.
        self.0.sort_by_key(|one| std::cmp::Reverse(one.value.len()));
    }

    /// Whether nothing was filled in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values that do not stand in `text`, which somebody has written who knows them.
    pub fn but_those_in(&self, text: &str) -> Self {
        let others = self.0.iter().filter(|one| !text.contains(&one.value));
        Self(others.cloned().collect())
    }

    /// The text with what is written in the place of each value.
    pub fn as_written(&self, text: &str) -> String {
        let long = self.0.iter().filter(|one| one.value.len() >= SHORTEST);
        long.fold(text.to_owned(), |text, one| {
            text.replace(&one.value, &one.written)
        })
    }

    /// The text of a message about the byte `offset` of the file, with what is written in the place of each value. A
    /// message about a value's own place quotes parts of it too, in backticks; these are replaced as a whole.
    pub(super) fn as_written_at(&self, offset: usize, text: &str) -> String {
        let text = self.as_written(text);
        let here: Vec<&FilledValue> = self
            .0
            .iter()
            .filter(|one| one.span.contains(&offset) || one.span.start == offset)
            .collect();
        if here.is_empty() {
            return text;
        }
        let quotes = text.split('`').enumerate().map(|(number, part)| {
            // Between the first backtick and the second, and so on.
            if number % 2 == 0 {
                return part.to_owned();
            }
            here.iter()
                .fold(part.to_owned(), |part, one| one.as_written_in(&part))
        });
        quotes.collect::<Vec<_>>().join("`")
    }
}

impl FilledValue {
    /// A quoted part of a message about this value: without the value, or what seems to be a part of it.
    fn as_written_in(&self, quote: &str) -> String {
        let bare = quote.trim_end_matches('…');
        if bare.contains(&self.value) && !self.written.contains(&self.value) {
            let letters = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_alphabetic());
            let is_number = self.value.bytes().all(|byte| byte.is_ascii_digit());
            // A short number stands in many an example; only at the begin of a quote it is the value.
            if self.value.len() >= SHORTEST
                || bare == self.value
                || (is_number && bare.strip_prefix(&self.value).is_some_and(letters))
            {
                return quote.replace(&self.value, &self.written);
            }
        }
        match shares(bare, &self.value) && !self.written.contains(bare) {
            true => self.written.clone(),
            false => quote.to_owned(),
        }
    }
}

/// Whether the two have a part in common that says something about either.
fn shares(quote: &str, value: &str) -> bool {
    let (quote, value): (Vec<char>, Vec<char>) = (quote.chars().collect(), value.chars().collect());
    let mut parts = value.windows(PART);
    value.len() >= PART && parts.any(|part| quote.windows(PART).any(|other| other == part))
}

#[cfg(test)]
mod tests {
    use crate::config::filled_values::FilledValues;

    #[test]
    fn messages_show_what_is_written() {
        let mut values = FilledValues::default();
        let pair = |written: &str, value: &str| (written.to_owned(), value.to_owned());
        values.extend(
            vec![pair("${PORT}", "80800"), pair("${WAIT}", "30")],
            &(5..9),
        );
        values.extend(vec![pair("${TOKEN}", "geheim:wort")], &(20..30));
        for (at, text, shown) in [
            (5, "no such port: `80800`", "no such port: `${PORT}`"),
            (
                5,
                "write `30s`, as in `1h30m`",
                "write `${WAIT}s`, as in `1h30m`",
            ),
            (40, "it is `80800`, not 30", "it is `${PORT}`, not 30"),
            (20, "no such port: `wort`", "no such port: `${TOKEN}`"),
            (20, "write `Bearer geheim:w…`", "write `${TOKEN}`"),
            (20, "`address` is no URL", "`address` is no URL"),
        ] {
            assert_eq!(values.as_written_at(at, text), shown);
        }
    }

    #[test]
    fn a_value_is_known_in_lower_case_too() {
        let mut values = FilledValues::default();
        let pairs = [("${A}", "Inner-Name"), ("${B}", "lower"), ("${C}", "")];
        let pairs = pairs.map(|(written, value)| (written.to_owned(), value.to_owned()));
        values.extend(pairs.into(), &(0..9));
        assert_eq!(
            values.as_written("inner-name.test lower Inner-Name INNER-NAME"),
            "${A}.test ${B} ${A} INNER-NAME"
        );
    }
}
