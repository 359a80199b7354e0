//! The kinds of `location` that there are, each with its modifier.

/// The five ways in which a location answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LocationKind {
    /// `= /path` matches this path and nothing else, and ends the search.
    Exact,
    /// `/path` matches every path that starts so, and answers unless a longer prefix or a regex matches too.
    Prefix,
    /// `^~ /path` matches every path that starts so; if it is the longest prefix that matches, no regex is asked.
    PrefixNoRegex,
    /// `~ regex` matches a path in which the regex is found, anywhere unless it is anchored.
    Regex,
    /// `~* regex` matches a path in which the regex is found, with ASCII letters compared without case.
    RegexIgnoreCase,
}

impl LocationKind {
    /// The modifier as it is written; empty for a plain prefix.
    pub fn modifier(self) -> &'static str {
        match self {
            Self::Exact => "=",
            Self::Prefix => "",
            Self::PrefixNoRegex => "^~",
            Self::Regex => "~",
            Self::RegexIgnoreCase => "~*",
        }
    }

    /// Whether locations of this kind hold a regex.
    pub fn is_regex(self) -> bool {
        matches!(self, Self::Regex | Self::RegexIgnoreCase)
    }

    /// The kind without `^~`, which makes no other location of a prefix.
    pub(super) fn plain(self) -> Self {
        match self {
            Self::PrefixNoRegex => Self::Prefix,
            kind => kind,
        }
    }
}
