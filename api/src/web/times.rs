//! Times and numbers as people write them. Times are in UTC: a script, where there is one, writes
//! them again in the reader's own zone.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::messages::Language;

/// A time of the wire in one of the forms `long`, `short`, `day`, `month`, `date`, `time` and `input`.
pub(super) fn text(language: Language, at: &str, form: &str) -> Option<String> {
    let at = at.parse::<jiff::Timestamp>().ok()?.to_zoned(TimeZone::UTC);
    let (day, year) = (at.day(), at.year());
    let (hour, minute) = (at.hour(), at.minute());
    let month = month(language, at.month());
    Some(match (form, language) {
        ("long", Language::English) => {
            let weekday = weekday(language, at.weekday());
            format!("{weekday}, {day} {month} {year}, {hour:02}:{minute:02} UTC")
        }
        ("long", Language::German) => {
            let weekday = weekday(language, at.weekday());
            format!("{weekday}, {day}. {month} {year}, {hour:02}:{minute:02} Uhr UTC")
        }
        ("short", Language::English) => {
            let (weekday, month) = (first(weekday(language, at.weekday()), 3), first(month, 3));
            format!("{weekday} {day} {month} {year}, {hour:02}:{minute:02} UTC")
        }
        ("short", Language::German) => {
            let (weekday, month) = (first(weekday(language, at.weekday()), 2), first(month, 3));
            format!("{weekday}, {day}. {month} {year}, {hour:02}:{minute:02} UTC")
        }
        ("date", Language::English) => format!("{day} {month} {year}"),
        ("date", Language::German) => format!("{day}. {month} {year}"),
        ("day", _) => day.to_string(),
        ("month", _) => first(month, 3),
        ("time", _) => format!("{hour:02}:{minute:02}"),
        // What `<input type="datetime-local">` takes.
        ("input", _) => {
            format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}", at.month())
        }
        _ => return None,
    })
}

fn first(word: &str, letters: usize) -> String {
    word.chars().take(letters).collect()
}

/// With thousands apart.
pub(super) fn number(language: Language, count: u64) -> String {
    let separator = match language {
        Language::English => ',',
        Language::German => '.',
    };
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

const fn weekday(language: Language, day: Weekday) -> &'static str {
    match (language, day) {
        (Language::English, Weekday::Monday) => "Monday",
        (Language::English, Weekday::Tuesday) => "Tuesday",
        (Language::English, Weekday::Wednesday) => "Wednesday",
        (Language::English, Weekday::Thursday) => "Thursday",
        (Language::English, Weekday::Friday) => "Friday",
        (Language::English, Weekday::Saturday) => "Saturday",
        (Language::English, Weekday::Sunday) => "Sunday",
        (Language::German, Weekday::Monday) => "Montag",
        (Language::German, Weekday::Tuesday) => "Dienstag",
        (Language::German, Weekday::Wednesday) => "Mittwoch",
        (Language::German, Weekday::Thursday) => "Donnerstag",
        (Language::German, Weekday::Friday) => "Freitag",
        (Language::German, Weekday::Saturday) => "Samstag",
        (Language::German, Weekday::Sunday) => "Sonntag",
    }
}

fn month(language: Language, month: i8) -> &'static str {
    const ENGLISH: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const GERMAN: [&str; 12] = [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ];
    let names = match language {
        Language::English => ENGLISH,
        Language::German => GERMAN,
    };
    let index = usize::try_from(month - 1).unwrap_or_default();
    names.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_are_written_as_the_language_does() {
        let at = "2026-03-07T18:05:00.000Z";
        let text = |language, form| text(language, at, form).unwrap();
        assert_eq!(text(Language::English, "long"), "Saturday, 7 March 2026, 18:05 UTC");
        assert_eq!(text(Language::German, "long"), "Samstag, 7. März 2026, 18:05 Uhr UTC");
        assert_eq!(text(Language::English, "short"), "Sat 7 Mar 2026, 18:05 UTC");
        assert_eq!(text(Language::German, "short"), "Sa, 7. Mär 2026, 18:05 UTC");
        assert_eq!(text(Language::German, "month"), "Mär");
        assert_eq!(text(Language::English, "input"), "2026-03-07T18:05");
        assert_eq!(super::text(Language::English, "soon", "long"), None);
        assert_eq!(super::text(Language::English, at, "loud"), None);
        assert_eq!(number(Language::English, 999), "999");
        assert_eq!(number(Language::English, 1_000), "1,000");
        assert_eq!(number(Language::German, 1_234_567), "1.234.567");
    }
}
