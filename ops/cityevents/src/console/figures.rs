//! What a process measures of itself, as far as the console shows it: which breakers are open, and what
//! took longest lately. It is read from the text that Prometheus reads too, so that the console shows
//! every histogram there is without knowing any of them. Pure.

use std::collections::{BTreeMap, VecDeque};

/// What lies further back is not lately.
const RECENT_MS: i64 = 5 * 60 * 1_000;
/// Before all names.
const PREFIX: &str = "cityevents_";
const ROUTES: &str = "http_request_duration_seconds";
const BREAKERS: &str = "cityevents_breaker_state";

/// Upper bounds, and how many were at or below each so far.
type Buckets = Vec<(f64, f64)>;

/// The figures of one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    at_ms: i64,
    /// By name and labels.
    histograms: BTreeMap<(String, String), Buckets>,
    meanings: BTreeMap<String, String>,
    /// Breakers and their states: 0 closed, 1 half-open, 2 open.
    pub(super) breakers: Vec<(String, u8)>,
}

/// One thing that takes time, lately.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(super) struct Timed {
    /// A route, or what is measured.
    pub(super) what: String,
    /// The metric, and what tells it from others of its name.
    pub(super) name: String,
    /// How often it happened.
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) is_route: bool,
}

/// What happened lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    /// The slowest first.
    pub(super) timed: Vec<Timed>,
    /// Requests a second, where the process is called by people.
    pub(super) requests: Option<f64>,
}

/// The figures of the last minutes.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Figures>);

impl History {
    pub(super) fn push(&mut self, figures: Figures) {
        let old = figures.at_ms - RECENT_MS;
        while self.0.front().is_some_and(|first| first.at_ms < old) {
            self.0.pop_front();
        }
        self.0.push_back(figures);
    }

    /// What happened between the oldest figures that are remembered and these.
    pub(super) fn until(&self, now: &Figures) -> Recent {
        let nothing = Figures::default();
        let before = self.0.front().unwrap_or(&nothing);
        let mut recent = Recent::default();
        for ((name, labels), buckets) in &now.histograms {
            let known = before.histograms.get(&(name.clone(), labels.clone()));
            let buckets = since(known, buckets);
            let count = buckets.last().map_or(0.0, |(_, count)| *count);
            let is_route = name == ROUTES;
            let seconds = (now.at_ms - before.at_ms) as f64 / 1_000.0;
            if is_route && !self.0.is_empty() && seconds > 0.0 {
                *recent.requests.get_or_insert(0.0) += count / seconds;
            }
            if count < 1.0 {
                continue;
            }
            let meaning = || now.meanings.get(name).cloned().unwrap_or_default();
            recent.timed.push(Timed {
                what: if is_route { route_of(labels) } else { meaning() },
                name: if labels.is_empty() { name.clone() } else { format!("{name} {labels}") },
                count: count as u64,
                p50: quantile(&buckets, 0.5),
                p99: quantile(&buckets, 0.99),
                is_route,
            });
        }
        recent.timed.sort_by(|left, right| right.p99.total_cmp(&left.p99));
        recent
    }
}

/// What came since; all, when what is remembered is of another series.
fn since(before: Option<&Buckets>, now: &Buckets) -> Buckets {
    let is_same = |before: &&Buckets| {
        before.len() == now.len()
            && before.iter().zip(now).all(|(old, new)| old.0 == new.0 && old.1 <= new.1)
    };
    match before.filter(is_same) {
        Some(before) => before.iter().zip(now).map(|(old, new)| (new.0, new.1 - old.1)).collect(),
        None => now.clone(),
    }
}

/// As `histogram_quantile` of Prometheus: evenly spread within a bucket, and the last bound for what is
/// beyond it.
fn quantile(buckets: &Buckets, part: f64) -> f64 {
    let rank = part * buckets.last().map_or(0.0, |(_, count)| *count);
    let (mut lower, mut below) = (0.0, 0.0);
    for (bound, count) in buckets {
        if *count >= rank && count > &below {
            if bound.is_infinite() {
                return lower;
            }
            return lower + (bound - lower) * (rank - below) / (count - below);
        }
        (lower, below) = (*bound, *count);
    }
    lower
}

/// `method=GET route=/x` as people write it.
fn route_of(labels: &str) -> String {
    labels.replace("method=", "").replace("route=", "")
}

impl Figures {
    /// Reads the text form of OpenMetrics. What is not understood is left out.
    pub(super) fn read(text: &str, at_ms: i64) -> Self {
        let mut figures = Self { at_ms, ..Self::default() };
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP cityevents_") {
                if let Some((name, meaning)) = rest.split_once(' ') {
                    // What follows is for those who write alerts.
                    let meaning = meaning.split(';').next().unwrap_or(meaning);
                    let meaning = meaning.trim_end_matches('.').to_owned();
                    figures.meanings.insert(name.to_owned(), meaning);
                }
            } else if let Some((name, labels, value)) = series(line) {
                figures.take(name, labels, value);
            }
        }
        figures
    }

    fn take(&mut self, name: &str, mut labels: Vec<(&str, String)>, value: f64) {
        if name == BREAKERS {
            if let Some((_, dependency)) = labels.pop() {
                self.breakers.push((dependency, value as u8));
            }
            return;
        }
        let histogram = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix("_bucket"));
        let Some(name) = histogram.filter(|name| name.ends_with("_seconds")) else { return };
        let Some(place) = labels.iter().position(|(name, _)| *name == "le") else { return };
        let (_, bound) = labels.remove(place);
        let bound = if bound == "+Inf" { Ok(f64::INFINITY) } else { bound.parse() };
        let Ok(bound) = bound else { return };
        let labels: Vec<_> =
            labels.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let key = (name.to_owned(), labels.join(" "));
        self.histograms.entry(key).or_default().push((bound, value));
    }
}

type Series<'a> = (&'a str, Vec<(&'a str, String)>, f64);

/// `name{label="value",…} number`
fn series(line: &str) -> Option<Series<'_>> {
    let Some((name, mut rest)) = line.split_once('{') else {
        let (name, value) = line.split_once(' ')?;
        return Some((name, Vec::new(), value.parse().ok()?));
    };
    let mut labels = Vec::new();
    loop {
        let (label, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        labels.push((label, value));
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => {
                let value = after.strip_prefix("} ")?;
                // An exemplar may follow.
                let value = value.split(' ').next()?;
                return Some((name, labels, value.parse().ok()?));
            }
        }
    }
}

/// A value up to its closing quote, and what is behind that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[place + 1..])),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fast: u32, slow: u32) -> String {
        let all = fast + slow;
        format!(
            "# HELP cityevents_test_work_seconds What a test does.\n\
             cityevents_test_work_seconds_sum 1.0\n\
             cityevents_test_work_seconds_bucket{{le=\"0.1\"}} {fast}\n\
             cityevents_test_work_seconds_bucket{{le=\"1.0\"}} {all}\n\
             cityevents_test_work_seconds_bucket{{le=\"+Inf\"}} {all}\n\
             cityevents_http_request_duration_seconds_bucket{{le=\"+Inf\",method=\"GET\",route=\"/\\\"a\\\\b\"}} {all}\n\
             cityevents_breaker_state{{dependency=\"mail\"}} 2\n\
             what nobody understands {{\n\
             # EOF\n"
        )
    }

    #[test]
    fn only_what_happened_lately_counts() {
        let mut history = History::default();
        history.push(Figures::read(&text(1_000, 0), 0));
        let now = Figures::read(&text(1_050, 50), 10_000);
        let recent = history.until(&now);
        let work = recent.timed.iter().find(|timed| !timed.is_route).unwrap();
        assert_eq!((&*work.what, &*work.name), ("What a test does", "test_work_seconds"));
        assert_eq!(work.count, 100);
        assert_eq!(work.p50, 0.1);
        assert!((work.p99 - 0.982).abs() < 1e-9, "{}", work.p99);
        assert_eq!(recent.requests, Some(10.0));
        let route = recent.timed.iter().find(|timed| timed.is_route).unwrap();
        assert_eq!(route.what, "GET /\"a\\b");
    }

    #[test]
    fn a_process_that_was_made_anew_is_not_compared_with_the_one_before() {
        let mut history = History::default();
        history.push(Figures::read(&text(1_000, 0), 0));
        let recent = history.until(&Figures::read(&text(5, 5), 10_000));
        assert!(recent.timed.iter().all(|timed| timed.count == 10), "{recent:?}");
    }

    #[test]
    fn what_is_older_than_some_minutes_is_forgotten() {
        let mut history = History::default();
        history.push(Figures::read(&text(0, 0), 0));
        history.push(Figures::read(&text(100, 0), RECENT_MS));
        history.push(Figures::read(&text(100, 0), RECENT_MS + 1));
        let recent = history.until(&Figures::read(&text(100, 0), RECENT_MS + 2));
        assert!(recent.timed.is_empty(), "{recent:?}");
    }

    #[test]
    fn breakers_are_read_with_their_states() {
        assert_eq!(Figures::read(&text(1, 1), 0).breakers, [("mail".to_owned(), 2)]);
    }
}
