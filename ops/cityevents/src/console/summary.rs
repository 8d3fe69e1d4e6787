//! What a look comes to: groups with their partitions together, and what needs somebody, the worst
//! first, each with the section of the runbook that says what to do. Pure.

use std::collections::BTreeMap;

use cityevents_kit::lifecycle::{ComponentHealth, State};
use cityevents_processors::registration;
use cityevents_runtime::lag::verdict::Verdict;
use serde::Serialize;

use super::look::{Judged, Look};
use super::words::{self, Tone};

/// Cells of a strip; more partitions share one.
const CELLS_MAX: usize = 24;
/// Owners that are written out.
const OWNERS_MAX: usize = 8;
/// Undecided commands that wait for so long need somebody.
const UNDECIDED_SECONDS: f64 = 60.0;

/// A group in one topic.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Summary {
    pub(super) group: String,
    pub(super) topic: String,
    pub(super) partitions: usize,
    pub(super) records: u64,
    /// Of the oldest record that waits.
    pub(super) seconds: f64,
    pub(super) tone: Tone,
    pub(super) verdict: String,
    /// Records that were ever in the topic.
    pub(super) ends: u64,
    /// Records a second: what came, and what was taken.
    pub(super) came: Option<f64>,
    pub(super) took: Option<f64>,
    /// Who holds what; `None` where that is not known.
    pub(super) owners: Option<Vec<Owner>>,
    pub(super) owners_more: usize,
    /// Partitions that nobody holds though somebody is there.
    pub(super) unowned: String,
    pub(super) strip: Vec<Tone>,
}

/// A member of a group.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Owner {
    pub(super) name: String,
    pub(super) partitions: String,
}

/// Something that needs somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    pub(super) tone: Tone,
    pub(super) what: String,
    /// Section of the runbook.
    pub(super) runbook: &'static str,
}

/// The groups, in the order of the rows.
pub(super) fn groups(rows: &[Judged]) -> Vec<Summary> {
    let is_same = |left: &Judged, right: &Judged| {
        left.row.group == right.row.group && left.row.topic == right.row.topic
    };
    rows.chunk_by(is_same).map(summary).collect()
}

fn summary(rows: &[Judged]) -> Summary {
    let worst = rows.iter().max_by_key(|judged| words::tone(judged));
    let of_worst = |read: fn(&Judged) -> String| worst.map(read).unwrap_or_default();
    let sum = |read: fn(&Judged) -> Option<f64>| -> Option<f64> {
        rows.iter().filter_map(read).reduce(|left, right| left + right)
    };
    let (owners, owners_more, unowned) = owners(rows);
    let is_behind = rows.iter().any(|judged| judged.row.records.is_some_and(|records| records > 0));
    let tone = worst.map_or(Tone::Quiet, words::tone);
    let verdict = match tone {
        Tone::Good if is_behind => "is behind".to_owned(),
        Tone::Good => "keeps up".to_owned(),
        _ => of_worst(words::verdict),
    };
    Summary {
        group: of_worst(|judged| judged.row.group.clone()),
        topic: of_worst(|judged| judged.row.topic.clone()),
        partitions: rows.len(),
        records: rows.iter().filter_map(|judged| judged.row.records).sum(),
        seconds: rows.iter().filter_map(|judged| judged.row.seconds).fold(0.0, f64::max),
        tone,
        verdict,
        ends: rows.iter().filter_map(|judged| judged.row.end).sum(),
        came: sum(|judged| judged.pace.map(|(came, _)| came)),
        took: sum(|judged| judged.pace.map(|(_, took)| took)),
        owners,
        owners_more,
        unowned,
        strip: strip(rows),
    }
}

fn owners(rows: &[Judged]) -> (Option<Vec<Owner>>, usize, String) {
    let Some(has_members) = rows.iter().find_map(|judged| judged.row.has_members) else {
        return (None, 0, String::new());
    };
    let mut held: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    let mut unowned = Vec::new();
    for judged in rows {
        match &judged.row.owner {
            Some(owner) => held.entry(owner).or_default().push(judged.row.partition),
            None => unowned.push(judged.row.partition),
        }
    }
    let owner = |(name, numbers): (&str, Vec<u32>)| Owner {
        name: name.to_owned(),
        partitions: words::runs(numbers),
    };
    let more = held.len().saturating_sub(OWNERS_MAX);
    let owners = held.into_iter().take(OWNERS_MAX).map(owner).collect();
    let unowned = if has_members { words::runs(unowned) } else { String::new() };
    (Some(owners), more, unowned)
}

fn strip(rows: &[Judged]) -> Vec<Tone> {
    let cells = rows.len().min(CELLS_MAX);
    let cell = |number: usize| {
        let of = number * rows.len() / cells..(number + 1) * rows.len() / cells;
        rows[of].iter().map(words::tone).max().unwrap_or(Tone::Quiet)
    };
    (0..cells).map(cell).collect()
}

/// What needs somebody, the worst first.
pub(super) fn troubles(look: &Look, groups: &[Summary], prefix: &str) -> Vec<Trouble> {
    let mut all: Vec<Trouble> = Vec::new();
    for rows in look.rows.chunk_by(|left, right| {
        left.row.group == right.row.group && left.row.topic == right.row.topic
    }) {
        all.extend(of_group(rows));
    }
    all.extend(groups.iter().filter_map(deserted));
    all.extend(undecided(groups, prefix));
    all.extend(look.letters.iter().filter(|(_, waiting)| **waiting > 0).map(|(topic, waiting)| {
        let letters = words::count(*waiting, "dead letter");
        let verb = if *waiting == 1 { "waits" } else { "wait" };
        let what = format!("{letters} {verb} for somebody in {topic}");
        Trouble { tone: Tone::Wait, what, runbook: "DeadLettersWait" }
    }));
    all.extend(look.breakers.iter().filter(|(_, state)| *state > 0).map(|(dependency, _)| {
        let what = format!("{dependency} does not answer and is not asked for a while");
        Trouble { tone: Tone::Bad, what, runbook: "BreakerOpen" }
    }));
    all.extend(look.parts.iter().filter_map(of_part));
    all.sort_by_key(|trouble| std::cmp::Reverse(trouble.tone));
    // A group that nobody is in is so in each of its topics.
    all.dedup();
    all
}

/// Verdicts that are not good, each with its partitions.
fn of_group(rows: &[Judged]) -> Vec<Trouble> {
    let mut found: BTreeMap<(Tone, String, &'static str), Vec<u32>> = BTreeMap::new();
    for judged in rows {
        let tone = words::tone(judged);
        if tone < Tone::Wait {
            continue;
        }
        let runbook = match judged.verdict {
            Some(Verdict::Warning) => "GroupFallsBack",
            Some(Verdict::Error) => "GroupLosesRecords",
            Some(Verdict::Ok) | None => "NobodyLooks",
            Some(_) => "GroupDoesNotGetOn",
        };
        let key = (tone, words::verdict(judged), runbook);
        found.entry(key).or_default().push(judged.row.partition);
    }
    let Some(Judged { row, .. }) = rows.first() else { return Vec::new() };
    let trouble = |((tone, verdict, runbook), numbers): ((Tone, String, _), Vec<u32>)| {
        let place = match numbers.len() {
            _ if row.topic.is_empty() => String::new(),
            1 => format!(" in {}, partition {}", row.topic, words::runs(numbers)),
            _ => format!(" in {}, partitions {}", row.topic, words::runs(numbers)),
        };
        Trouble { tone, what: format!("{}: {verdict}{place}", row.group), runbook }
    };
    found.into_iter().map(trouble).collect()
}

/// Groups that nobody is in, and partitions that nobody holds.
fn deserted(group: &Summary) -> Option<Trouble> {
    let owners = group.owners.as_ref()?;
    let name = &group.group;
    if group.topic.is_empty() {
        return None;
    }
    if owners.is_empty() && group.unowned.is_empty() {
        let what = format!("nobody works as {name}");
        return Some(Trouble { tone: Tone::Bad, what, runbook: "GroupDoesNotGetOn" });
    }
    (!group.unowned.is_empty()).then(|| {
        let what = format!("nobody of {name} holds {}: {}", group.topic, group.unowned);
        Trouble { tone: Tone::Wait, what, runbook: "GroupDoesNotGetOn" }
    })
}

fn undecided(groups: &[Summary], prefix: &str) -> Option<Trouble> {
    let decides = format!("{prefix}{}", registration::NAME);
    let waiting = groups.iter().find(|group| group.group == decides)?;
    (waiting.seconds > UNDECIDED_SECONDS).then(|| {
        let waits = words::wait(waiting.seconds);
        let what = format!("the oldest undecided command waits for {waits}");
        Trouble { tone: Tone::Bad, what, runbook: "Lagging" }
    })
}

/// A part of this process that does not do its work. Breakers are told of already.
fn of_part(part: &ComponentHealth) -> Option<Trouble> {
    let (tone, runbook) = match part.state {
        State::Ready => return None,
        _ if part.name.starts_with("breaker-") => return None,
        State::Stopped => (Tone::Bad, "TaskStopped"),
        State::Died | State::Stuck => (Tone::Bad, "ProcessAway"),
        _ => (Tone::Wait, "TaskAiling"),
    };
    let reason = part.reason.as_deref().map(|reason| format!(", {reason}")).unwrap_or_default();
    let state = format!("{:?}", part.state).to_lowercase();
    Some(Trouble { tone, what: format!("{} is {state}{reason}", part.name), runbook })
}
