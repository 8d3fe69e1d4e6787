//! One table for all that was compared.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use crate::commands::bench::measure::number;
use crate::commands::bench::processes::Spent;
use crate::load::open_loop::Latencies;

/// What somebody is compared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    /// What the product does.
    Product,
    /// What is left when nothing is decided.
    NullLoop,
    /// Another way to do it.
    Peer,
}

/// How long people waited when joins were due at fixed times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum Waited {
    /// From the due time.
    Within {
        p50_ms: f64,
        p99_ms: f64,
    },
    /// Fewer were answered than were due.
    Behind {
        per_second: f64,
    },
    NotAsked,
}

/// Share of the due joins that has to be answered for latencies to mean something.
const REACHED: f64 = 0.95;

impl Waited {
    /// From what was answered of what was due.
    pub(super) fn of(latencies: &Latencies, per_second: f64, rate: u32) -> Self {
        if per_second < f64::from(rate) * REACHED {
            return Self::Behind { per_second };
        }
        Self::Within {
            p50_ms: latencies.percentile_ms(50.0),
            p99_ms: latencies.percentile_ms(99.0),
        }
    }
}

/// Figures of one run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    /// As many as go.
    pub(super) joins_per_second: f64,
    /// In the time that the processor seconds are of.
    pub(super) joins: u64,
    pub(super) cpu_seconds: Spent,
    pub(super) waited: Waited,
}

/// One of those compared.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    pub(super) part: Part,
    pub(super) what: String,
    pub(super) events: u64,
    /// What it does, and under which conditions.
    pub(super) conditions: String,
    /// Or why there are none.
    #[serde(flatten, serialize_with = "figures_or_reason")]
    pub(super) figures: Result<Figures, String>,
}

fn figures_or_reason<S: Serializer>(
    figures: &Result<Figures, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match figures {
        Ok(figures) => figures.serialize(serializer),
        Err(reason) => BTreeMap::from([("not_measured", reason)]).serialize(serializer),
    }
}

impl Entry {
    fn rate(&self) -> Option<f64> {
        self.figures.as_ref().ok().map(|figures| figures.joins_per_second)
    }
}

/// Of each entry the run with the median rate. All runs have the same entries in the same order.
pub(super) fn medians(runs: Vec<Vec<Entry>>) -> Vec<Entry> {
    let mut columns: Vec<Vec<Entry>> = Vec::new();
    for run in runs {
        for (index, entry) in run.into_iter().enumerate() {
            match columns.get_mut(index) {
                Some(column) => column.push(entry),
                None => columns.push(vec![entry]),
            }
        }
    }
    let middle = |mut column: Vec<Entry>| {
        let rate = |entry: &Entry| entry.rate().unwrap_or(0.0);
        column.sort_by(|left, right| rate(left).total_cmp(&rate(right)));
        let middle = column.len().saturating_sub(1) / 2;
        column.into_iter().nth(middle)
    };
    columns.into_iter().filter_map(middle).collect()
}

/// The table: headings, rows, and what is written below it.
pub(super) fn cells(entries: &[Entry]) -> (Vec<String>, Vec<Vec<String>>, Vec<String>) {
    let spent = entries.iter().filter_map(|entry| entry.figures.as_ref().ok());
    let processes: BTreeSet<&String> =
        spent.flat_map(|figures| figures.cpu_seconds.keys()).collect();
    let mut headings: Vec<String> =
        ["", "what", "events", "joins/s", "p50 ms", "p99 ms"].map(str::to_owned).into();
    headings.extend(processes.iter().map(|name| format!("CPU s {name}")));
    headings.extend(["CPU µs/join", "× product", "× null loop"].map(str::to_owned));
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    for (number_of, entry) in (1..).zip(entries) {
        let mut row = vec![number_of.to_string(), entry.what.clone(), entry.events.to_string()];
        let mut note = format!("{number_of}: {}", entry.conditions);
        match &entry.figures {
            Err(reason) => {
                row.push("not measured".to_owned());
                note = format!("{note}; not measured: {reason}");
            }
            Ok(figures) => {
                row.push(number(figures.joins_per_second));
                match figures.waited {
                    Waited::Within { p50_ms, p99_ms } => {
                        row.extend([number(p50_ms), number(p99_ms)]);
                    }
                    Waited::Behind { per_second } => {
                        row.extend(["behind".to_owned(), "behind".to_owned()]);
                        note = format!("{note}; paced, only {}/s came", number(per_second));
                    }
                    Waited::NotAsked => row.extend([String::new(), String::new()]),
                }
                let cpu = |name: &&String| figures.cpu_seconds.get(*name);
                row.extend(processes.iter().map(|name| {
                    cpu(name).map_or_else(String::new, |seconds| format!("{seconds:.1}"))
                }));
                let all: f64 = figures.cpu_seconds.values().sum();
                row.push(number(all * 1e6 / figures.joins.max(1) as f64));
                for part in [Part::Product, Part::NullLoop] {
                    let rate = rate_of(entries, part, entry.events);
                    let times = rate.map(|rate| figures.joins_per_second / rate);
                    row.push(times.map_or_else(String::new, number));
                }
            }
        }
        row.resize(headings.len(), String::new());
        rows.push(row);
        notes.push(note);
    }
    (headings, rows, notes)
}

/// Of the product or the null loop on as many events.
fn rate_of(entries: &[Entry], part: Part, events: u64) -> Option<f64> {
    entries.iter().find(|entry| entry.part == part && entry.events == events)?.rate()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(part: Part, events: u64, rate: f64) -> Entry {
        let cpu_seconds = BTreeMap::from([("client".to_owned(), 1.0)]);
        let waited = Waited::Within { p50_ms: 1.5, p99_ms: 9.0 };
        let figures = Figures { joins_per_second: rate, joins: 1_000_000, cpu_seconds, waited };
        let what = format!("{part:?} at {rate}");
        Entry { part, what, events, conditions: "here".into(), figures: Ok(figures) }
    }

    #[test]
    fn ratios_are_to_those_with_as_many_events() {
        let mut entries = vec![
            entry(Part::NullLoop, 64, 400.0),
            entry(Part::Product, 64, 200.0),
            entry(Part::Product, 1, 100.0),
            entry(Part::Peer, 64, 20.0),
            entry(Part::Peer, 1, 20.0),
        ];
        entries[4].figures = Err("give --postgres".into());
        let (headings, rows, notes) = cells(&entries);
        assert!(rows.iter().all(|row| row.len() == headings.len()));
        let ratios = |row: usize| rows[row][headings.len() - 2..].to_vec();
        assert_eq!(ratios(1), ["1", "0.5"]);
        assert_eq!(ratios(2), ["1", ""]);
        assert_eq!(ratios(3), ["0.1", "0.05"]);
        assert_eq!(ratios(4), ["", ""]);
        assert_eq!(rows[4][3], "not measured");
        assert!(notes[4].contains("give --postgres"), "{}", notes[4]);
        // A second of one process for a million joins.
        assert_eq!(rows[3][headings.len() - 3], "1");
    }

    #[test]
    fn programs_read_figures_or_why_there_are_none() {
        let measured = entry(Part::Product, 64, 5.0);
        let json = serde_json::to_value(&measured).unwrap();
        assert_eq!(json["joins_per_second"], 5.0);
        assert_eq!(json["waited"]["p99_ms"], 9.0);
        let missing = Entry { figures: Err("give --redis".into()), ..measured };
        let json = serde_json::to_value(&missing).unwrap();
        assert_eq!(json["not_measured"], "give --redis");
        assert_eq!(json["part"], "product");
    }

    #[test]
    fn the_run_with_the_median_rate_is_kept_whole() {
        let run = |rate| vec![entry(Part::Product, 1, rate), entry(Part::Peer, 1, 10.0 - rate)];
        let kept = medians(vec![run(3.0), run(1.0), run(2.0)]);
        assert_eq!(kept[0].what, "Product at 2");
        assert_eq!(kept[1].what, "Peer at 8");
        assert!(medians(Vec::new()).is_empty());
    }

    #[test]
    fn who_does_not_keep_up_has_no_latency() {
        let mut latencies = Latencies::new().unwrap();
        latencies.record(std::time::Duration::from_millis(5));
        assert_eq!(Waited::of(&latencies, 900.0, 1_000), Waited::Behind { per_second: 900.0 });
        assert!(matches!(Waited::of(&latencies, 990.0, 1_000), Waited::Within { p99_ms, .. }
            if (4.9..5.1).contains(&p99_ms)));
        let mut late = entry(Part::Peer, 1, 900.0);
        if let Ok(figures) = &mut late.figures {
            figures.waited = Waited::Behind { per_second: 900.0 };
        }
        let (_, rows, notes) = cells(&[late]);
        assert_eq!(rows[0][4..6], ["behind", "behind"]);
        assert!(notes[0].contains("900/s"), "{}", notes[0]);
    }
}
