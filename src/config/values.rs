//! Values that are one word: durations, `on` and `off`, and the largest numbers that a key takes. Texts in, values out.

use std::fmt;
use std::time::Duration;

/// Longest duration that is accepted. Timers of longer ones could overflow, and nobody waits for them.
pub(crate) const LONGEST_DURATION: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// More threads than any machine has cores are a slip of the fingers.
pub(crate) const MOST_THREADS: u32 = 1024;

/// More connections than any machine has descriptors for (`fs.nr_open` is at most 2^31, and each takes two).
pub(crate) const MOST_CONNECTIONS: u32 = 1_000_000_000;

/// More opening handshakes in a second than any machine takes: one each microsecond.
pub(crate) const MOST_HANDSHAKES: u32 = 1_000_000;

/// More failures in a row than anybody waits for before a server is left alone.
pub(crate) const MOST_FAILS: u32 = 1_000_000;

/// The units of a duration, from the longest to the shortest, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads `30s`, `5m`, `1h30m`, `500ms`: whole numbers with the units `d`, `h`, `m`, `s`, `ms`, each at most once, the
/// longer before the shorter, as in nginx (whose weeks, months and years are left out).
pub(super) fn duration(text: &str) -> Result<Duration, DurationError> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DurationError::NoUnit);
    }
    let mut units = UNITS.iter();
    let mut total = Some(0_u64);
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(DurationError::NotADuration);
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let letters = rest[digits..]
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len() - digits);
        let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
        if number.is_empty() {
            return Err(DurationError::NotADuration);
        }
        let Some((_, milliseconds)) = units.find(|(name, _)| *name == unit) else {
            let known = UNITS.iter().any(|(name, _)| *name == unit);
            return Err(if known {
                DurationError::Order
            } else {
                DurationError::NotADuration
            });
        };
        let part = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*milliseconds));
        total = total
            .zip(part)
            .and_then(|(total, part)| total.checked_add(part));
        rest = rest[digits + letters..].trim_start();
    }
    match total.map(Duration::from_millis) {
        Some(duration) if duration <= LONGEST_DURATION => Ok(duration),
        _ => Err(DurationError::TooLong),
    }
}

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum DurationError {
    /// There is a number without a unit.
    NoUnit,
    /// The text is neither a number nor numbers with units.
    NotADuration,
    /// A unit comes twice, or after a shorter one.
    Order,
    /// The duration is longer than a year.
    TooLong,
}

impl DurationError {
    /// What to write instead of `text`.
    pub(super) fn help(self, text: &str) -> String {
        match self {
            Self::NoUnit => format!("write `{text}s` for seconds or `{text}ms` for milliseconds"),
            Self::NotADuration if ["off", "never", "none", "infinite", "unlimited"].contains(&text) => {
                "there is always a limit; the longest is `365d`".to_owned()
            }
            Self::NotADuration => {
                "a duration is a whole number and a unit, `d`, `h`, `m`, `s` or `ms`, as in `30s`, `1h30m` or `500ms`"
                    .to_owned()
            }
            Self::Order => "write each unit once, the longer before the shorter, as in `1h30m`".to_owned(),
            Self::TooLong => "the longest is `365d`".to_owned(),
        }
    }
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoUnit => "has no unit",
            Self::NotADuration => "is no duration",
            Self::Order => "has its units in the wrong order",
            Self::TooLong => "is too long",
        })
    }
}

/// Reads `on`, `off` and YAML's other words for the two; `None` for any other text.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "y" => Some(true),
        "off" | "false" | "no" | "n" => Some(false),
        _ => None,
    }
}

/// How many letters must be added, removed, replaced or exchanged with the next one to make one word of the other.
pub(super) fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (number, letter) in one.iter().enumerate() {
        let mut row = vec![number + 1];
        for (column, opposite) in other.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != opposite);
            let mut least = replaced.min(last[column + 1] + 1).min(row[column] + 1);
            if number > 0
                && column > 0
                && *letter == other[column - 1]
                && one[number - 1] == *opposite
            {
                least = least.min(before[column - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

/// The known word from which `word` differs by a slip of the fingers.
pub(super) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let slips = (word.chars().count() / 3).max(1);
    let near = known.into_iter().map(|name| (distance(word, name), name));
    near.min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= slips)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use crate::config::values::DurationError;
    use crate::config::values::UNITS;
    use crate::config::values::distance;
    use crate::config::values::duration;
    use crate::config::values::switch;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, milliseconds) in [
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("500ms", 500),
            ("1m500ms", 60_500),
            ("90m", 5_400_000),
            ("365d", 31_536_000_000),
            ("0s", 0),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for (text, error) in [
            ("30", DurationError::NoUnit),
            ("0", DurationError::NoUnit),
            ("", DurationError::NotADuration),
            ("s", DurationError::NotADuration),
            ("1.5h", DurationError::NotADuration),
            ("-1s", DurationError::NotADuration),
            ("1h30", DurationError::NotADuration),
            ("30 sec", DurationError::NotADuration),
            ("1S", DurationError::NotADuration),
            ("off", DurationError::NotADuration),
            ("30m1h", DurationError::Order),
            ("1s1s", DurationError::Order),
            ("366d", DurationError::TooLong),
            ("99999999999999999999h", DurationError::TooLong),
        ] {
            assert_eq!(duration(text), Err(error), "{text}");
        }
    }

    #[test]
    fn yaml_has_many_words_for_on_and_off() {
        assert_eq!(
            ["on", "True", "yes", "off", "FALSE", "no"].map(switch),
            [
                Some(true),
                Some(true),
                Some(true),
                Some(false),
                Some(false),
                Some(false)
            ]
        );
        assert_eq!(["", "1", "stdout"].map(switch), [None; 3]);
    }

    #[test]
    fn distance_counts_letters() {
        for (one, other, letters) in [
            ("", "", 0),
            ("", "abc", 3),
            ("location", "locaton", 1),
            ("location", "loaction", 1),
            ("chat", "caht", 1),
            ("tls", "ssl", 2),
            ("é", "e", 1),
        ] {
            assert_eq!(distance(one, other), letters);
            assert_eq!(distance(other, one), letters);
        }
    }

    proptest! {
        #[test]
        fn a_written_duration_is_read_as_what_it_was(milliseconds in 0_u64..31_536_000_000) {
            let mut rest = milliseconds;
            let mut text = String::new();
            for (unit, length) in UNITS {
                if rest / length > 0 || (unit == "ms" && text.is_empty()) {
                    text += &format!("{}{unit}", rest / length);
                }
                rest %= length;
            }
            prop_assert_eq!(duration(&text), Ok(Duration::from_millis(milliseconds)));
        }

        #[test]
        fn no_text_is_too_strange_for_a_duration(text in "[0-9dhms. é-]{0,12}") {
            let _ = duration(&text);
        }
    }
}
