//! Reads nginx's times, and writes them as `routes.yaml` does.

use std::time::Duration;

use crate::config::LONGEST_DURATION;

/// nginx's units, from the longest to the shortest, in milliseconds: a month has 30 days, a year 365.
const UNITS: [(&str, u64); 8] = [
    ("y", 365 * 86_400_000),
    ("M", 30 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads `86400`, `60s`, `1h 30m` or `500ms`. A number without a unit is seconds, and what is longer than a year is cut
/// to a year. `None` for a text that is no time.
pub(super) fn read(text: &str) -> Option<Duration> {
    let mut total = 0_u64;
    let mut rest = text.trim();
    let mut units = UNITS.iter();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let behind = &rest[digits..];
        let letters = behind
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(behind.len());
        let unit = match &behind[..letters] {
            "" if behind.is_empty() => "s",
            unit => unit,
        };
        let (_, milliseconds) = units.find(|(name, _)| *name == unit)?;
        let number: u64 = rest[..digits].parse().ok()?;
        total = total.saturating_add(number.saturating_mul(*milliseconds));
        rest = behind[letters..].trim_start();
    }
    Some(Duration::from_millis(total).min(LONGEST_DURATION))
}

/// A duration as `routes.yaml` has it: `1h30m`.
pub(super) fn write(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, length) in &UNITS[3..] {
        if rest >= *length || (*unit == "ms" && text.is_empty()) {
            text += &format!("{}{unit}", rest / length);
        }
        rest %= length;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use crate::nginx::time::read;
    use crate::nginx::time::write;

    #[test]
    fn times_are_read_as_nginx_reads_them() {
        for (text, written) in [
            ("86400", "1d"),
            ("60s", "1m"),
            ("3600s", "1h"),
            ("1h 30m", "1h30m"),
            ("1h30", "1h30s"),
            ("500ms", "500ms"),
            ("1w", "7d"),
            ("1M", "30d"),
            ("7y", "365d"),
            ("99999999999999999", "365d"),
            ("0", "0ms"),
        ] {
            assert_eq!(read(text).map(write).as_deref(), Some(written), "{text}");
        }
        for text in [
            "",
            "x",
            "1x",
            "m",
            "1m1h",
            "-1",
            "1.5s",
            "$t",
            "99999999999999999999999",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_time_is_read_as_what_it_was(milliseconds in 0_u64..31_536_000_000) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(read(&write(duration)), Some(duration));
        }

        #[test]
        fn no_text_is_too_strange(text in "[0-9yMwdhms é]{0,12}") {
            let _ = read(&text);
        }
    }
}
