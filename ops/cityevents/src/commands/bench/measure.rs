//! How figures are taken, kept and written.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// Width of the conditions in a table.
const LINE_CHARACTERS: usize = 60;

/// What the design asks for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "bound", content = "value")]
pub(super) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    /// What was measured.
    pub(super) what: String,
    /// What the design asks for, if it does.
    pub(super) goal: Option<Goal>,
    /// What came out.
    pub(super) measured: f64,
    /// Of the figure and the goal.
    pub(super) unit: &'static str,
    /// Under which conditions.
    pub(super) conditions: String,
}

impl Row {
    /// A figure that stands for itself.
    pub(super) fn new(what: impl Into<String>, measured: f64, unit: &'static str) -> Self {
        Self { what: what.into(), goal: None, measured, unit, conditions: String::new() }
    }

    pub(super) fn goal(self, goal: Goal) -> Self {
        Self { goal: Some(goal), ..self }
    }

    pub(super) fn under(self, conditions: impl Into<String>) -> Self {
        Self { conditions: conditions.into(), ..self }
    }

    /// As a row of a table.
    pub(super) fn cells(&self) -> Vec<String> {
        let goal = match self.goal {
            None => String::new(),
            Some(Goal::AtLeast(value)) => format!("≥ {} {}", number(value), self.unit),
            Some(Goal::AtMost(value)) => format!("≤ {} {}", number(value), self.unit),
        };
        let reached = match self.goal {
            None => "",
            Some(Goal::AtLeast(value)) if self.measured >= value => "yes",
            Some(Goal::AtMost(value)) if self.measured <= value => "yes",
            Some(_) => "no",
        };
        let measured = format!("{} {}", number(self.measured), self.unit);
        vec![self.what.clone(), goal, measured, reached.to_owned(), wrapped(&self.conditions)]
    }
}

/// In lines of about [`LINE_CHARACTERS`], cut at spaces.
fn wrapped(text: &str) -> String {
    let mut wrapped = String::with_capacity(text.len());
    let mut length = 0;
    for word in text.split(' ') {
        if length > 0 {
            let is_full = length + word.chars().count() >= LINE_CHARACTERS;
            wrapped.push(if is_full { '\n' } else { ' ' });
            length = if is_full { 0 } else { length + 1 };
        }
        wrapped.push_str(word);
        length += word.chars().count();
    }
    wrapped
}

/// Three figures that count, and thousands apart.
pub(super) fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 100.0 {
        let digits = if value.abs() < 10.0 { 2 } else { 1 };
        let text = format!("{value:.digits$}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Of each figure its median over the runs, with the conditions of the run that it is from. All
/// runs have the same figures in the same order.
pub(super) fn medians(runs: Vec<Vec<Row>>) -> Vec<Row> {
    let mut columns: Vec<Vec<Row>> = Vec::new();
    for run in runs {
        for (index, row) in run.into_iter().enumerate() {
            match columns.get_mut(index) {
                Some(column) => column.push(row),
                None => columns.push(vec![row]),
            }
        }
    }
    let mut medians = Vec::new();
    for mut column in columns {
        column.sort_by(|left, right| left.measured.total_cmp(&right.measured));
        let middle = (column.len() - 1) / 2;
        medians.extend(column.into_iter().nth(middle));
    }
    medians
}

/// Processor time of this thread: on a shared machine, what the work itself takes.
pub(super) fn thread_cpu() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

/// Processor time of this process.
pub(super) fn process_cpu() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(time.tv_nsec.unsigned_abs())
}

/// Processor time of the living threads of this process by name, digits and partitions left away.
pub(super) struct ThreadTimes(BTreeMap<String, Duration>);

impl ThreadTimes {
    pub(super) fn now() -> Self {
        let mut times = BTreeMap::new();
        let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        for thread in threads {
            // A thread that ended in between is not counted.
            let name = fs::read_to_string(thread.path().join("comm"));
            let spent = fs::read_to_string(thread.path().join("schedstat"));
            let (Ok(name), Ok(spent)) = (name, spent) else { continue };
            let name = name.trim().trim_end_matches(|char: char| !char.is_ascii_alphabetic());
            let nanos = spent.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0);
            *times.entry(name.to_owned()).or_default() += Duration::from_nanos(nanos);
        }
        Self(times)
    }

    /// What each spent since `before`, the most first: "tokio 3.1, load 2.0".
    pub(super) fn since(&self, before: &Self) -> String {
        let spent = self.0.iter().map(|(name, time)| {
            let earlier = before.0.get(name).copied().unwrap_or_default();
            (time.saturating_sub(earlier), name)
        });
        let mut spent: Vec<_> = spent.filter(|(time, _)| time.as_millis() >= 50).collect();
        spent.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
        let texts = spent.iter().map(|(time, name)| format!("{name} {:.1}", time.as_secs_f64()));
        texts.collect::<Vec<_>>().join(", ")
    }
}

/// Memory that a process really has, in bytes; `self` or a process id.
pub(super) fn resident_bytes(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// A count over a time.
pub(super) fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_each_figure_is_kept_with_its_conditions() {
        let run = |first: f64, second: f64| {
            vec![Row::new("a", first, "s").under(format!("{first}")), Row::new("b", second, "s")]
        };
        let rows = medians(vec![run(3.0, 1.0), run(1.0, 9.0), run(2.0, 5.0)]);
        assert_eq!(rows[0].measured, 2.0);
        assert_eq!(rows[0].conditions, "2");
        assert_eq!(rows[1].measured, 5.0);
        assert!(medians(Vec::new()).is_empty());
    }

    #[test]
    fn a_goal_is_reached_on_its_own_side() {
        let reached = |goal, measured| Row::new("x", measured, "s").goal(goal).cells()[3].clone();
        assert_eq!(reached(Goal::AtLeast(2.0), 2.0), "yes");
        assert_eq!(reached(Goal::AtLeast(2.0), 1.9), "no");
        assert_eq!(reached(Goal::AtMost(2.0), 2.0), "yes");
        assert_eq!(reached(Goal::AtMost(2.0), 2.1), "no");
    }

    #[test]
    fn conditions_are_cut_at_spaces_and_lose_no_word() {
        let text = "nothing of this is lost, whatever its length is; ".repeat(9);
        let cut = wrapped(&text);
        assert!(cut.lines().all(|line| line.len() <= LINE_CHARACTERS), "{cut}");
        assert_eq!(cut.replace('\n', " "), text);
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.5, 12.34, 99.0, 150_000.0, 1_234_567.0].map(number);
        assert_eq!(texts, ["0", "0.5", "12.3", "99", "150\u{202f}000", "1\u{202f}234\u{202f}567"]);
    }

    #[test]
    fn this_process_has_memory_and_takes_time() {
        assert!(resident_bytes("self").unwrap() > 1 << 20);
        let before = process_cpu();
        let mut sum = 0_u64;
        while process_cpu() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(thread_cpu() > Duration::ZERO);
    }
}
