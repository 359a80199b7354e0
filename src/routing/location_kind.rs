//! The kinds of `location` that there are, each with its modifier.

/// The five ways in which a location answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `= /path`: this path and nothing else; the search ends with it.
    Exact,
    /// `/path`: every path that starts so, unless a longer prefix or a regex matches too.
    Prefix,
    /// `^~ /path`: a prefix; if it is the longest that matches, no regex is asked.
    PrefixNoRegex,
    /// `~ regex`: found anywhere in the path, unless the regex is anchored.
    Regex,
    /// `~* regex`: the same, upper and lower case of ASCII letters being one.
    RegexIgnoreCase,
}

impl Kind {
    /// The modifier as it is written, empty for a plain prefix.
    pub fn modifier(self) -> &'static str {
        match self {
            Self::Exact => "=",
            Self::Prefix => "",
            Self::PrefixNoRegex => "^~",
            Self::Regex => "~",
            Self::RegexIgnoreCase => "~*",
        }
    }

    /// Whether it is one of the two that hold a regex.
    pub fn is_regex(self) -> bool {
        matches!(self, Self::Regex | Self::RegexIgnoreCase)
    }

    /// Whether two locations of these kinds and of one pattern clash: a prefix is one with and without `^~`.
    pub(super) fn same_as(self, other: Self) -> bool {
        let plain = |kind| match kind {
            Self::PrefixNoRegex => Self::Prefix,
            kind => kind,
        };
        plain(self) == plain(other)
    }
}
