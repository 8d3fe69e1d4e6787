//! Numbers, times and partitions as people read them. Pure.

use std::time::Duration;

use cityevents_runtime::lag::in_words;
use cityevents_runtime::lag::verdict::Verdict;
use serde::Serialize;

use super::look::Judged;

/// Runs of partitions that are written out.
const RUNS_MAX: usize = 6;

/// How something is, as a colour; a word always stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Nothing is known, or nothing is to be said.
    Quiet,
    /// Nobody needs to look.
    Good,
    /// Somebody may want to look.
    Wait,
    /// Somebody has to.
    Bad,
}

/// How a group gets on in a partition.
pub fn tone(judged: &Judged) -> Tone {
    match judged.verdict {
        _ if !judged.row.good => Tone::Bad,
        None | Some(Verdict::Ok) => Tone::Good,
        Some(Verdict::Warning) => Tone::Wait,
        Some(_) => Tone::Bad,
    }
}

/// The same in words.
pub(super) fn verdict(judged: &Judged) -> String {
    match judged.verdict {
        Some(verdict) if !verdict.is_good() => verdict.as_str().to_owned(),
        _ => judged.row.verdict.clone(),
    }
}

/// `12,345`
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How long somebody waits: `0 s`, `0.4 s`, `12 s`, `3 min`.
pub fn wait(seconds: f64) -> String {
    match seconds {
        _ if seconds < 0.05 => "0 s".to_owned(),
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        _ => in_words(Duration::from_secs_f64(seconds.clamp(0.0, 1e9))),
    }
}

/// How long something took: `0.4 ms`, `12 ms`, `1.2 s`.
pub fn took(seconds: f64) -> String {
    match seconds * 1_000.0 {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        _ => wait(seconds),
    }
}

/// How often: `24/s`, `0.3/s`.
pub fn rate(a_second: f64) -> String {
    match a_second {
        _ if a_second < 0.05 => "0/s".to_owned(),
        _ if a_second < 9.95 => format!("{a_second:.1}/s"),
        _ => format!("{}/s", number(a_second as u64)),
    }
}

/// `1 record`, `2 records`
pub fn count(count: u64, one: &str) -> String {
    format!("{} {one}{}", number(count), if count == 1 { "" } else { "s" })
}

/// `0–3, 7` of numbers in rising order.
pub(super) fn runs(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let more = if runs.len() > RUNS_MAX { ", …" } else { "" };
    let text = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}–{last}"),
    };
    let texts: Vec<_> = runs.iter().take(RUNS_MAX).map(text).collect();
    format!("{}{more}", texts.join(", "))
}

/// `2026-07-01 03:12:45 UTC`
pub(super) fn moment(at_ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!([number(0), number(999), number(1_234_567)], ["0", "999", "1,234,567"]);
        assert_eq!(
            [wait(0.0), wait(0.44), wait(12.0), wait(300.0)],
            ["0 s", "0.4 s", "12 s", "5 min"]
        );
        assert_eq!([took(0.000_4), took(0.012), took(1.24)], ["0.4 ms", "12 ms", "1.2 s"]);
        assert_eq!([rate(0.0), rate(0.3), rate(12_345.6)], ["0/s", "0.3/s", "12,345/s"]);
        assert_eq!([count(1, "record"), count(2_000, "record")], ["1 record", "2,000 records"]);
        assert_eq!(moment(1_800_000_000_000), "2027-01-15 08:00:00 UTC");
    }

    #[test]
    fn partitions_are_told_in_runs_and_not_without_end() {
        assert_eq!(runs([]), "");
        assert_eq!(runs([0, 1, 2, 3, 7]), "0–3, 7");
        assert_eq!(runs((0..40).step_by(2)), "0, 2, 4, 6, 8, 10, …");
    }
}
