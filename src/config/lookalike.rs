//! Characters that look like those of YAML and of its values, and are others: what a word processor, a web page or the
//! keyboard of another script leaves in a file. Characters in, names out; whether one is a mistake where it stands is
//! for `check::lookalikes` to find out.

/// A character that looks like another one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Lookalike {
    /// The character that stands in the file.
    pub(super) found: char,
    /// What it is called.
    pub(super) name: &'static str,
    /// What it looks like and most likely was meant to be; `None` for one that shows nothing and was not meant at all.
    pub(super) plain: Option<char>,
}

/// A range of characters that have a name, and what they look like, in common.
struct CharRange {
    first: char,
    last: char,
    name: &'static str,
    plain: Option<char>,
}

/// A range of which every character looks like `plain`.
const fn range(first: char, last: char, name: &'static str, plain: char) -> CharRange {
    let plain = Some(plain);
    CharRange {
        first,
        last,
        name,
        plain,
    }
}

/// A character that looks like `plain`.
const fn one(found: char, name: &'static str, plain: char) -> CharRange {
    range(found, found, name, plain)
}

/// A range whose characters show nothing.
const fn unseen(first: char, last: char, name: &'static str) -> CharRange {
    let plain = None;
    CharRange {
        first,
        last,
        name,
        plain,
    }
}

/// What is said of a character by itself. The full-width forms, which are a copy of ASCII, are not in the table.
const RANGES: &[CharRange] = &[
    one('\u{a0}', "no-break space", ' '),
    one('\u{1680}', "ogham space", ' '),
    one('\u{2000}', "en quad", ' '),
    one('\u{2001}', "em quad", ' '),
    one('\u{2002}', "en space", ' '),
    one('\u{2003}', "em space", ' '),
    range('\u{2004}', '\u{2006}', "typographic space", ' '),
    one('\u{2007}', "figure space", ' '),
    one('\u{2008}', "punctuation space", ' '),
    one('\u{2009}', "thin space", ' '),
    one('\u{200a}', "hair space", ' '),
    one('\u{202f}', "narrow no-break space", ' '),
    one('\u{205f}', "mathematical space", ' '),
    one('\u{3000}', "ideographic space", ' '),
    unseen('\u{ad}', '\u{ad}', "soft hyphen"),
    unseen('\u{200b}', '\u{200b}', "zero-width space"),
    unseen('\u{200c}', '\u{200c}', "zero-width non-joiner"),
    unseen('\u{200d}', '\u{200d}', "zero-width joiner"),
    unseen('\u{200e}', '\u{200f}', "mark of the writing direction"),
    unseen('\u{202a}', '\u{202e}', "mark of the writing direction"),
    unseen('\u{2060}', '\u{2060}', "word joiner"),
    unseen('\u{2066}', '\u{2069}', "mark of the writing direction"),
    unseen('\u{feff}', '\u{feff}', "byte order mark"),
    one('\u{85}', "line end of another system", '\n'),
    one('\u{2028}', "line separator", '\n'),
    one('\u{2029}', "paragraph separator", '\n'),
    one('\u{ab}', "guillemet", '"'),
    one('\u{bb}', "guillemet", '"'),
    range('\u{2018}', '\u{201b}', "curly quote", '\''),
    range('\u{201c}', '\u{201f}', "curly quote", '"'),
    one('\u{2032}', "prime", '\''),
    one('\u{2033}', "double prime", '"'),
    range('\u{300c}', '\u{300f}', "corner bracket", '"'),
    range('\u{301d}', '\u{301f}', "double prime quote", '"'),
    one('\u{b4}', "acute accent", '\''),
    one('\u{2010}', "hyphen of its own", '-'),
    one('\u{2011}', "no-break hyphen", '-'),
    one('\u{2012}', "figure dash", '-'),
    one('\u{2013}', "en dash", '-'),
    one('\u{2014}', "em dash", '-'),
    one('\u{2015}', "horizontal bar", '-'),
    one('\u{2212}', "minus sign", '-'),
    one('\u{fe58}', "small em dash", '-'),
    one('\u{fe63}', "small hyphen", '-'),
    one('\u{2022}', "bullet", '-'),
    one('\u{b7}', "middle dot", '.'),
    one('\u{3002}', "ideographic full stop", '.'),
    one('\u{ff61}', "half-width ideographic full stop", '.'),
    one('\u{3001}', "ideographic comma", ','),
    one('\u{ff64}', "half-width ideographic comma", ','),
    one('\u{fe50}', "small comma", ','),
    one('\u{2236}', "ratio sign", ':'),
    one('\u{fe13}', "vertical colon", ':'),
    one('\u{fe55}', "small colon", ':'),
    one('\u{a789}', "modifier colon", ':'),
    one('\u{2044}', "fraction slash", '/'),
    one('\u{2215}', "division slash", '/'),
    one('\u{223c}', "tilde operator", '~'),
    one('\u{2d0}', "length mark", ':'),
    one('\u{3010}', "lenticular bracket", '['),
    one('\u{3011}', "lenticular bracket", ']'),
];

/// The letters of Cyrillic that cannot be told from those of Latin, which a keyboard that was not switched leaves in a
/// key, and beside each the Latin one.
const CYRILLIC: &[(char, char)] = &[
    ('а', 'a'),
    ('е', 'e'),
    ('о', 'o'),
    ('р', 'p'),
    ('с', 'c'),
    ('у', 'y'),
    ('х', 'x'),
    ('і', 'i'),
    ('ј', 'j'),
    ('ѕ', 's'),
    ('һ', 'h'),
    ('А', 'A'),
    ('В', 'B'),
    ('Е', 'E'),
    ('К', 'K'),
    ('М', 'M'),
    ('Н', 'H'),
    ('О', 'O'),
    ('Р', 'P'),
    ('С', 'C'),
    ('Т', 'T'),
    ('Х', 'X'),
];

/// The full-width forms of all characters of ASCII but the space, in the order of ASCII.
const FULL_WIDTH: std::ops::RangeInclusive<char> = '\u{ff01}'..='\u{ff5e}';

/// How far a full-width form is from its character of ASCII.
const TO_ASCII: u32 = 0xfee0;

impl Lookalike {
    /// What `found` looks like, if it is none of ASCII and looks like one of them or like nothing.
    pub(super) fn of(found: char) -> Option<Self> {
        if found.is_ascii() {
            return None;
        }
        if FULL_WIDTH.contains(&found) {
            let plain = char::from_u32(u32::from(found) - TO_ASCII);
            let name = plain.map_or("full-width form", full_width);
            return Some(Self { found, name, plain });
        }
        if let Some((_, plain)) = CYRILLIC.iter().find(|(letter, _)| *letter == found) {
            let (name, plain) = ("Cyrillic letter", Some(*plain));
            return Some(Self { found, name, plain });
        }
        let range = RANGES
            .iter()
            .find(|range| (range.first..=range.last).contains(&found))?;
        Some(Self {
            found,
            name: range.name,
            plain: range.plain,
        })
    }

    /// The character as messages name it: with its code, and as it looks if it shows anything.
    pub(super) fn message(&self) -> String {
        let article = match self.name.starts_with(['a', 'e', 'i', 'o']) {
            true => "an",
            false => "a",
        };
        let name = format!("{article} {} (U+{:04X})", self.name, u32::from(self.found));
        match self.plain {
            None => format!("there is {name} here, which does not show"),
            Some(' ') => format!("this is {name}, not a space"),
            Some('\n') => format!("this is {name}, not the end of a line"),
            Some(plain) => format!("`{}` is {name}, not `{plain}`", self.found),
        }
    }

    /// What to write instead.
    pub(super) fn help(&self) -> String {
        match self.plain {
            None => "remove it; a new line typed by hand has none".to_owned(),
            Some(' ') => "write a space".to_owned(),
            Some('\n') => "begin a new line".to_owned(),
            Some(plain) => format!("write `{plain}`"),
        }
    }
}

/// What the full-width form of a character is called.
fn full_width(plain: char) -> &'static str {
    match plain {
        ':' => "full-width colon",
        ',' => "full-width comma",
        '-' => "full-width hyphen",
        '.' => "full-width full stop",
        '/' => "full-width slash",
        '_' => "full-width underscore",
        '#' => "full-width number sign",
        '"' | '\'' => "full-width quote",
        '[' | ']' | '{' | '}' | '(' | ')' => "full-width bracket",
        '0'..='9' => "full-width digit",
        'a'..='z' | 'A'..='Z' => "full-width letter",
        _ => "full-width form",
    }
}

/// The text with each lookalike replaced by what it looks like, and those that show nothing left out.
pub(super) fn plain(text: &str) -> String {
    let plain = |c: char| match Lookalike::of(c) {
        Some(lookalike) => lookalike.plain,
        None => Some(c),
    };
    text.chars().filter_map(plain).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::lookalike::Lookalike;
    use crate::config::lookalike::plain;

    #[test]
    fn each_is_named_with_its_code_and_what_was_meant() {
        for (found, message, help) in [
            (
                '：',
                "`：` is a full-width colon (U+FF1A), not `:`",
                "write `:`",
            ),
            ('–', "`–` is an en dash (U+2013), not `-`", "write `-`"),
            ('“', "`“` is a curly quote (U+201C), not `\"`", "write `\"`"),
            (
                '\u{a0}',
                "this is a no-break space (U+00A0), not a space",
                "write a space",
            ),
            (
                '\u{200b}',
                "there is a zero-width space (U+200B) here, which does not show",
                "remove it; a new line typed by hand has none",
            ),
            (
                'а',
                "`а` is a Cyrillic letter (U+0430), not `a`",
                "write `a`",
            ),
        ] {
            let lookalike = Lookalike::of(found);
            let told = lookalike.map(|one| (one.message(), one.help()));
            assert_eq!(told, Some((message.to_owned(), help.to_owned())));
        }
    }

    #[test]
    fn what_a_file_may_well_have_is_none() {
        for legitimate in "aZ09-_:/.\"' \t\n~éßñ漢字かなωд…→€".chars() {
            assert_eq!(Lookalike::of(legitimate), None, "{legitimate}");
        }
    }

    #[test]
    fn all_full_width_forms_become_ascii() {
        let (wide, ascii): (String, String) = ('!'..='~')
            .filter_map(|c| Some((char::from_u32(u32::from(c) + 0xfee0)?, c)))
            .unzip();
        assert_eq!(plain(&wide), ascii);
        assert_eq!(ascii.len(), 94);
        assert_eq!(plain("“１２７.0.0.1：8080”\u{feff}"), "\"127.0.0.1:8080\"");
    }
}
