//! The organiser's chart: how many people came and went, minute by minute or in longer steps.

use cityevents_domain::time::Timestamp;
use minijinja::context;
use minijinja::value::Value;

const MINUTE_MS: i64 = 60_000;
/// Minutes that a bar may stand for; a day fits into the last.
const STEPS: [i64; 8] = [1, 2, 5, 10, 15, 20, 30, 60];
/// Bars, so that they stay wide enough to be seen, and that one alone is no wall.
const BARS_MIN: i64 = 24;
const BARS_MAX: i64 = 48;
/// What the height is divided into.
const HEIGHT: u64 = 100;

/// One bar.
#[derive(Debug, Clone, Copy, Default)]
struct Bar {
    joined: u64,
    left: u64,
}

/// The chart of the sums of an event with their minutes. `None` where nobody came or went.
pub(super) fn joins(stats: &serde_json::Value, now: Timestamp) -> Option<Value> {
    let minutes = stats["series"].as_array()?.iter();
    let minutes = minutes.filter_map(|minute| {
        let at = minute["at"].as_str()?.parse::<jiff::Timestamp>().ok()?;
        let bar = Bar { joined: minute["joined"].as_u64()?, left: minute["left"].as_u64()? };
        Some((at.as_millisecond().div_euclid(MINUTE_MS), bar))
    });
    let minutes: Vec<_> = minutes.collect();
    let last = now.as_millis().div_euclid(MINUTE_MS);
    let first = minutes.iter().map(|(minute, _)| *minute).min()?.min(last);
    let step = STEPS.into_iter().find(|step| bars(first, last, *step) <= BARS_MAX);
    let step = step.unwrap_or(STEPS[STEPS.len() - 1]);
    let count = bars(first, last, step).clamp(BARS_MIN, BARS_MAX);
    let begins = (last.div_euclid(step) - count + 1) * step;
    let mut all = vec![Bar::default(); usize::try_from(count).ok()?];
    for (minute, bar) in minutes {
        // Clocks differ: what comes from later than now is now, and from before the first, then.
        let index = (minute - begins).div_euclid(step).clamp(0, count - 1);
        let sum = all.get_mut(usize::try_from(index).ok()?)?;
        sum.joined += bar.joined;
        sum.left += bar.left;
    }
    let most = |count: fn(&Bar) -> u64| all.iter().map(count).max().unwrap_or_default();
    let (up, down) = (most(|bar| bar.joined), most(|bar| bar.left));
    let of_height = |part: u64| part * HEIGHT / (up + down).max(1);
    let base = of_height(up);
    let at = |index: usize| {
        let minute = begins + i64::try_from(index).unwrap_or_default() * step;
        jiff::Timestamp::from_millisecond(minute * MINUTE_MS).unwrap_or_default().to_string()
    };
    let drawn = all.iter().enumerate().map(|(index, bar)| {
        let (joined, left) = (of_height(bar.joined), of_height(bar.left));
        context! { x => index * 10 + 1, top => base - joined, joined, left }
    });
    let rows = all.iter().enumerate().filter(|(_, bar)| bar.joined + bar.left > 0);
    let rows = rows.map(|(index, bar)| {
        context! { at => at(index), joined => bar.joined, left => bar.left }
    });
    Some(context! {
        bars => drawn.collect::<Vec<_>>(),
        rows => rows.collect::<Vec<_>>(),
        width => all.len() * 10,
        base,
        step,
        most => up,
        joined => all.iter().map(|bar| bar.joined).sum::<u64>(),
        left => all.iter().map(|bar| bar.left).sum::<u64>(),
        from => at(0),
        until => at(all.len() - 1),
    })
}

/// Bars from one minute to another.
fn bars(first: i64, last: i64, step: i64) -> i64 {
    last.div_euclid(step) - first.div_euclid(step) + 1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chart(minutes: &[(&str, u64, u64)], now: &str) -> Option<serde_json::Value> {
        let series: Vec<_> = minutes
            .iter()
            .map(|(at, joined, left)| json!({ "at": at, "joined": joined, "left": left }))
            .collect();
        let now: jiff::Timestamp = now.parse().unwrap();
        let now = Timestamp::from_millis(now.as_millisecond());
        let drawn = joins(&json!({ "series": series }), now)?;
        Some(serde_json::to_value(drawn).unwrap())
    }

    #[test]
    fn a_chart_of_nobody_is_none() {
        assert_eq!(chart(&[], "2027-01-15T08:00:00Z"), None);
    }

    #[test]
    fn minutes_stand_where_they_belong_and_tall_as_they_are() {
        let minutes = [("2027-01-15T08:00:00Z", 30, 0), ("2027-01-15T08:02:00Z", 10, 10)];
        let chart = chart(&minutes, "2027-01-15T08:03:30Z").unwrap();
        assert_eq!(chart["step"], 1);
        let bars = chart["bars"].as_array().unwrap();
        assert_eq!(bars.len(), 24);
        assert_eq!(chart["base"], 75);
        assert_eq!(bars[20], json!({ "x": 201, "top": 0, "joined": 75, "left": 0 }));
        assert_eq!(bars[22], json!({ "x": 221, "top": 50, "joined": 25, "left": 25 }));
        assert_eq!((&chart["joined"], &chart["left"]), (&json!(40), &json!(10)));
        assert_eq!(chart["rows"].as_array().unwrap().len(), 2);
        assert_eq!(chart["rows"][1]["at"], "2027-01-15T08:02:00Z");
    }

    #[test]
    fn a_whole_day_fits_in_steps_and_loses_nobody() {
        let minutes = [("2027-01-14T08:05:00Z", 1, 0), ("2027-01-15T08:00:00Z", 2, 3)];
        let chart = chart(&minutes, "2027-01-15T08:04:00Z").unwrap();
        assert_eq!(chart["step"], 60);
        assert!(chart["bars"].as_array().unwrap().len() <= 48);
        assert_eq!((&chart["joined"], &chart["left"]), (&json!(3), &json!(3)));
    }
}
