//! The time at the beginning of a log line.

use std::cell::Cell;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use time::OffsetDateTime;

/// `2026-12-01T04:05:06.` in bytes.
const LENGTH: usize = 20;

thread_local! {
    /// The second in which this thread wrote its last line, in seconds since 1970 and as text.
    static SECOND: Cell<(u64, [u8; LENGTH])> = const { Cell::new((0, *b"1970-01-01T00:00:00.")) };
}

/// Appends `now` as tracing-subscriber writes it: `2026-12-01T04:05:06.123456Z`, in UTC.
///
/// A thread calculates the date once a second. A moment before 1970 or after 9999, which no clock shows that is
/// of use, becomes 1970.
pub(super) fn push(line: &mut Vec<u8>, now: SystemTime) {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let second = since.as_secs();
    // A thread that ends has no such memory any more.
    let (known, mut text) = SECOND.try_with(Cell::get).unwrap_or_default();
    if known != second || text[0] == 0 {
        text = date_and_time(second);
        let _ = SECOND.try_with(|kept| kept.set((second, text)));
    }
    line.extend_from_slice(&text);
    let micros = since.subsec_micros();
    let digits = [100_000, 10_000, 1_000, 100, 10, 1].map(|place| digit(micros / place));
    line.extend_from_slice(&digits);
    line.push(b'Z');
}

/// A second, counted from the beginning of 1970, as `2026-12-01T04:05:06.`.
fn date_and_time(second: u64) -> [u8; LENGTH] {
    let at = i64::try_from(second)
        .ok()
        .and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok())
        // After the year 9999.
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let year = at.year().unsigned_abs();
    let mut text = *b"0000-00-00T00:00:00.";
    for (at, number) in [
        (0, year / 100),
        (2, year % 100),
        (5, u8::from(at.month()).into()),
        (8, at.day().into()),
        (11, at.hour().into()),
        (14, at.minute().into()),
        (17, at.second().into()),
    ] {
        text[at] = digit(number / 10);
        text[at + 1] = digit(number);
    }
    text
}

/// The last digit of a number.
fn digit(number: u32) -> u8 {
    b'0' + (number % 10) as u8
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;
    use std::time::UNIX_EPOCH;

    use proptest::prelude::any;
    use proptest::proptest;
    use time::OffsetDateTime;

    use crate::observe::timestamp;

    fn shown(second: u64, nanos: u32) -> String {
        let mut line = Vec::new();
        timestamp::push(&mut line, UNIX_EPOCH + Duration::new(second, nanos));
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_moment_is_shown_to_the_microsecond() {
        assert_eq!(shown(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(
            shown(951_782_399, 999_999_999),
            "2000-02-28T23:59:59.999999Z"
        );
        assert_eq!(shown(951_782_400, 1_000), "2000-02-29T00:00:00.000001Z");
        assert_eq!(
            shown(1_796_097_906, 123_456_789),
            "2026-12-01T04:05:06.123456Z"
        );
        assert_eq!(
            shown(1_796_097_906, 23_456_000),
            "2026-12-01T04:05:06.023456Z"
        );
        assert_eq!(shown(4_107_542_400, 0), "2100-03-01T00:00:00.000000Z");
        assert_eq!(shown(253_402_300_799, 0), "9999-12-31T23:59:59.000000Z");
    }

    #[test]
    fn a_clock_that_is_far_off_still_gives_a_line() {
        let mut line = Vec::new();
        timestamp::push(&mut line, UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(line, b"1970-01-01T00:00:00.000000Z");
        assert_eq!(shown(253_402_300_800, 5_000), "1970-01-01T00:00:00.000005Z");
    }

    proptest! {
        #[test]
        fn any_second_is_the_calendars(second in 0..253_402_300_800_i64, micros in 0..1_000_000_u32, again in any::<bool>()) {
            let at = OffsetDateTime::from_unix_timestamp(second).unwrap();
            let expected = format!(
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{micros:06}Z",
                at.year(), u8::from(at.month()), at.day(), at.hour(), at.minute(), at.second()
            );
            let second = second.unsigned_abs();
            if again {
                // The next second must not be shown as this one.
                shown(second + 1, 0);
            }
            assert_eq!(shown(second, micros * 1_000), expected);
            assert_eq!(shown(second, micros * 1_000), expected);
        }
    }
}
