//! Times in words, in the zone of the instance, which is always named.

use cityevents_domain::time::Timestamp;
use jiff::Zoned;
use jiff::tz::TimeZone;

use super::languages::Language;

/// A point in time.
pub(super) fn moment(
    language: &Language,
    zone: &TimeZone,
    at: Timestamp,
) -> Result<String, String> {
    let at = zoned(zone, at);
    let values = [
        ("date", date(language, &at)?),
        ("clock", clock(language, &at)?),
        ("zone", zone_name(&at)),
    ];
    language.plain("time.moment", &values)
}

/// From when to when.
pub(super) fn span(
    language: &Language,
    zone: &TimeZone,
    (start, end): (Timestamp, Timestamp),
) -> Result<String, String> {
    let (start, end) = (zoned(zone, start), zoned(zone, end));
    let (start_date, end_date) = (date(language, &start)?, date(language, &end)?);
    let times = [("start", clock(language, &start)?), ("end", clock(language, &end)?)];
    let [start_time, end_time] = times;
    let zone = ("zone", zone_name(&start));
    if start.date() == end.date() {
        let values = [("date", start_date), start_time, end_time, zone];
        return language.plain("time.same_day", &values);
    }
    let dates = [("start_date", start_date), ("end_date", end_date)];
    let [start_date, end_date] = dates;
    language.plain("time.days", &[start_date, start_time, end_date, end_time, zone])
}

fn zoned(zone: &TimeZone, at: Timestamp) -> Zoned {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    at.to_zoned(zone.clone())
}

fn date(language: &Language, at: &Zoned) -> Result<String, String> {
    let weekday = usize::try_from(at.weekday().to_monday_zero_offset()).unwrap_or(0);
    let month = usize::try_from(at.month()).unwrap_or(1).saturating_sub(1);
    let name = |names: &[String], index: usize| names.get(index).cloned().unwrap_or_default();
    let values = [
        ("weekday", name(&language.weekdays, weekday)),
        ("day", at.day().to_string()),
        ("month", name(&language.months, month)),
        ("year", at.year().to_string()),
    ];
    language.plain("time.date", &values)
}

fn clock(language: &Language, at: &Zoned) -> Result<String, String> {
    let values = [("hour", format!("{:02}", at.hour())), ("minute", format!("{:02}", at.minute()))];
    language.plain("time.clock", &values)
}

/// The zone, and how far it is from UTC at that time: whoever lives elsewhere needs that.
fn zone_name(at: &Zoned) -> String {
    let seconds = at.offset().seconds();
    let name = at.time_zone().iana_name().unwrap_or("UTC");
    if name == "UTC" && seconds == 0 {
        return "UTC".to_owned();
    }
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    if minutes == 0 {
        format!("{name}, UTC{sign}{hours}")
    } else {
        format!("{name}, UTC{sign}{hours}:{minutes:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::languages::BUILT_IN;
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn language(tag: &str) -> Language {
        let (_, text) = BUILT_IN.into_iter().find(|(known, _)| *known == tag).unwrap();
        Language::parse(tag, tag, text).unwrap()
    }

    #[test]
    fn times_are_said_in_the_language_and_name_their_zone() {
        let span_of = |tag: &str, zone: &str, start: &str, end: &str| {
            let zone = TimeZone::get(zone).unwrap();
            span(&language(tag), &zone, (at(start), at(end))).unwrap()
        };
        let (start, end) = ("2026-05-16T16:00:00Z", "2026-05-16T18:30:00Z");
        assert_eq!(span_of("en", "UTC", start, end), "Saturday, 16 May 2026, 16:00 to 18:30 (UTC)");
        assert_eq!(
            span_of("de", "Europe/Vienna", start, end),
            "Samstag, 16. Mai 2026, 18:00 bis 20:30 Uhr (Europe/Vienna, UTC+2)"
        );
        assert_eq!(
            span_of("en", "Asia/Kolkata", start, "2026-05-16T20:00:00Z"),
            "Saturday, 16 May 2026, 21:30 to Sunday, 17 May 2026, 01:30 (Asia/Kolkata, UTC+5:30)"
        );
        let zone = TimeZone::get("America/Sao_Paulo").unwrap();
        let said = moment(&language("en"), &zone, at(start)).unwrap();
        assert_eq!(said, "Saturday, 16 May 2026, 13:00 (America/Sao_Paulo, UTC-3)");
    }

    #[test]
    fn a_time_out_of_the_calendar_is_said_somehow() {
        let zone = TimeZone::UTC;
        for at in [Timestamp::MIN, Timestamp::from_millis(i64::MAX)] {
            moment(&language("en"), &zone, at).unwrap();
        }
    }
}
