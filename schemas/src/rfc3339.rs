//! Log time as text: RFC 3339 in UTC with milliseconds, `2026-07-14T09:30:00.250Z`.

use cityevents_domain::time::Timestamp;

/// Bytes of the text.
const LENGTH: usize = 24;
const DAY_MS: i64 = 86_400_000;
/// 0000-01-01T00:00:00.000Z, the first time that has a text.
const FIRST_MS: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z, the last one.
const LAST_MS: i64 = 253_402_300_799_999;
/// Days from 0000-03-01 to 1970-01-01 in the Gregorian calendar.
const EPOCH_DAYS: i64 = 719_468;
/// Days of 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;

/// A time as text, without an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rfc3339([u8; LENGTH]);

impl Rfc3339 {
    /// The text of a time. The format has the years 0 to 9999 only; a time beyond them gets the
    /// nearest text.
    pub fn new(at: Timestamp) -> Self {
        let millis = at.as_millis().clamp(FIRST_MS, LAST_MS);
        let (year, month, day) = date(millis.div_euclid(DAY_MS));
        let in_day = millis.rem_euclid(DAY_MS);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        digits(&mut text[0..4], year);
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        digits(&mut text[11..13], in_day / 3_600_000);
        digits(&mut text[14..16], in_day / 60_000 % 60);
        digits(&mut text[17..19], in_day / 1_000 % 60);
        digits(&mut text[20..23], in_day % 1_000);
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // It is ASCII; the default is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Reads what [`Rfc3339`] writes, and any other number of digits of the second (more than
/// milliseconds are cut off). Other zones and leap seconds are not read.
pub fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.into_iter().any(|(at, mark)| bytes.get(at) != Some(&mark)) {
        return None;
    }
    let part = |from: usize, to: usize| number(bytes.get(from..to)?);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let millis = match bytes.get(19..)? {
        b"Z" => 0,
        [b'.', fraction @ .., b'Z'] if !fraction.is_empty() => {
            number(fraction)?;
            let digit = |at: usize| fraction.get(at).map_or(0, |byte| i64::from(byte - b'0'));
            digit(0) * 100 + digit(1) * 10 + digit(2)
        }
        _ => return None,
    };
    let days = days(year, month, day);
    if date(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = (hour * 60 + minute) * 60 + second;
    Some(Timestamp::from_millis(days * DAY_MS + seconds * 1_000 + millis))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        Some(value.wrapping_mul(10).wrapping_add(digit))
    })
}

fn digits(place: &mut [u8], mut value: i64) {
    for byte in place.iter_mut().rev() {
        *byte = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of a day counted from 1970. Years are counted from March, so that the leap
/// day is the last one of a year.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAYS;
    let (era, in_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year_of_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The inverse of [`date`]; a date that does not exist gives the day of another one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let in_year = (153 * from_march + 2) / 5 + day - 1;
    let in_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + in_year;
    era * ERA_DAYS + in_era - EPOCH_DAYS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(millis: i64) -> String {
        Rfc3339::new(Timestamp::from_millis(millis)).as_str().into()
    }

    #[test]
    fn known_times_have_their_known_texts() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_000_000_000_123, "2001-09-09T01:46:40.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (FIRST_MS, "0000-01-01T00:00:00.000Z"),
            (LAST_MS, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text(millis), expected);
            assert_eq!(parse(expected), Some(Timestamp::from_millis(millis)));
        }
    }

    #[test]
    fn times_without_a_text_get_the_nearest_one() {
        assert_eq!(text(i64::MIN), text(FIRST_MS));
        assert_eq!(text(i64::MAX), text(LAST_MS));
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for wrong in [
            "",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-00T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:60Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00.1x3Z",
            "2024-01-01T00:00:00+01:00",
            "2024-01-01 00:00:00Z",
            "+024-01-01T00:00:00Z",
            "2024-01-01T00:00:00é",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn any_number_of_digits_of_a_second_is_read() {
        let at = |millis| Some(Timestamp::from_millis(millis));
        assert_eq!(parse("1970-01-01T00:00:01Z"), at(1_000));
        assert_eq!(parse("1970-01-01T00:00:01.5Z"), at(1_500));
        assert_eq!(parse("1970-01-01T00:00:01.123999999999999999999999Z"), at(1_123));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn every_time_reads_back(millis in FIRST_MS..=LAST_MS) {
            prop_assert_eq!(parse(&text(millis)), Some(Timestamp::from_millis(millis)));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,30}") {
            let _ = parse(&text);
        }
    }
}
