//! The first page: what needs somebody, the picture, who is behind, who works on what, what was put
//! aside, what is slow. All of it has a limit, so that the page stays small on an instance of any size.
//! Pure: a look goes in, values of a template come out.

use cityevents_kit::lifecycle::ComponentHealth;
use cityevents_schemas::catalog::catalog;
use cityevents_schemas::topic;
use serde::Serialize;
use serde_json::{Value, json};

use super::look::{Judged, Look};
use super::pipeline::pictures;
use super::summary::{Summary, groups, troubles};
use super::words::{self, Tone};

/// Troubles that are written out.
const TROUBLES_MAX: usize = 12;
/// Rows of the table of groups.
const GROUPS_MAX: usize = 24;
/// Partitions on the first page, and on that of a group.
const WORST_MAX: usize = 16;
const OF_GROUP_MAX: usize = 128;
/// Rows of the table of what is slow.
const SLOW_MAX: usize = 6;
/// Parts of the process that are named.
const PARTS_MAX: usize = 40;

#[derive(Serialize)]
struct GroupRow {
    #[serde(flatten)]
    summary: Summary,
    waits: String,
    behind: String,
    pace: String,
}

#[derive(Serialize)]
struct PartitionRow {
    group: String,
    topic: String,
    partition: u32,
    committed: String,
    end: String,
    records: String,
    waits: String,
    owner: String,
    tone: Tone,
    verdict: String,
}

#[derive(Serialize)]
struct Aside {
    topic: String,
    what: &'static str,
    count: String,
    tone: Tone,
    /// What to ask next.
    command: String,
}

#[derive(Serialize)]
struct Slow {
    what: String,
    name: String,
    count: String,
    p50: String,
    p99: String,
}

/// The values of the page. `group`: only its partitions are asked for.
pub(super) fn values(look: &Look, prefix: &str, group: Option<&str>) -> Value {
    let groups = groups(&look.rows);
    let troubles = troubles(look, &groups, prefix);
    let tone = troubles.first().map_or(Tone::Good, |trouble| trouble.tone);
    let (partitions, partitions_more) = partitions(look, group);
    let (routes, steps) = slow(look);
    let breakers: Vec<_> = look.breakers.iter().map(breaker).collect();
    let parts: Vec<_> = look.parts.iter().take(PARTS_MAX).map(part).collect();
    let written_out = &troubles[..troubles.len().min(TROUBLES_MAX)];
    json!({
        "at": words::moment(look.at_ms),
        "tone": tone,
        "troubles": written_out,
        "troubles_count": troubles.len(),
        "troubles_more": troubles.len() - written_out.len(),
        "pictures": pictures(look, &groups, prefix),
        "groups": groups.iter().take(GROUPS_MAX).map(group_row).collect::<Vec<_>>(),
        "groups_more": groups.len().saturating_sub(GROUPS_MAX),
        "group": group,
        "partitions": partitions,
        "partitions_more": partitions_more,
        "aside": aside(look, &groups, prefix),
        "breakers": breakers,
        "parts": parts,
        "routes": routes,
        "steps": steps,
    })
}

fn breaker((dependency, state): &(String, u8)) -> Value {
    let (word, tone) = match state {
        0 => ("closed", Tone::Good),
        1 => ("half-open", Tone::Wait),
        _ => ("open", Tone::Bad),
    };
    json!({ "dependency": dependency, "word": word, "tone": tone })
}

fn part(part: &ComponentHealth) -> Value {
    let tone = if part.state.works() { Tone::Good } else { Tone::Wait };
    json!({ "name": part.name, "state": part.state, "tone": tone })
}

fn group_row(summary: &Summary) -> GroupRow {
    let pace = summary.came.zip(summary.took);
    GroupRow {
        waits: words::wait(summary.seconds),
        behind: words::number(summary.records),
        pace: pace.map_or_else(String::new, |(came, took)| {
            format!("{} in, {} out", words::rate(came), words::rate(took))
        }),
        summary: summary.clone(),
    }
}

/// All partitions of a group, or those that anybody waits for, the worst first; and how many more
/// there are.
fn partitions(look: &Look, group: Option<&str>) -> (Vec<PartitionRow>, usize) {
    let mut rows: Vec<_> = match group {
        Some(group) => look.rows.iter().filter(|judged| judged.row.group == group).collect(),
        None => look.rows.iter().filter(|judged| is_worth_a_look(judged)).collect(),
    };
    let badness = |judged: &Judged| (words::tone(judged), judged.row.seconds.unwrap_or(0.0));
    if group.is_none() {
        rows.sort_by(|left, right| {
            let (left, right) = (badness(left), badness(right));
            right.0.cmp(&left.0).then(right.1.total_cmp(&left.1))
        });
    }
    let most = if group.is_some() { OF_GROUP_MAX } else { WORST_MAX };
    let more = rows.len().saturating_sub(most);
    (rows.into_iter().take(most).map(partition_row).collect(), more)
}

fn is_worth_a_look(judged: &Judged) -> bool {
    words::tone(judged) > Tone::Good || judged.row.records.is_some_and(|records| records > 0)
}

fn partition_row(judged: &Judged) -> PartitionRow {
    let row = &judged.row;
    let number = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), words::number);
    PartitionRow {
        group: row.group.clone(),
        topic: row.topic.clone(),
        partition: row.partition,
        committed: number(row.committed),
        end: number(row.end),
        records: number(row.records),
        waits: row.seconds.map_or_else(|| "–".to_owned(), words::wait),
        owner: match (&row.owner, row.has_members) {
            (Some(owner), _) => owner.clone(),
            (None, Some(_)) => "nobody".to_owned(),
            (None, None) => "not known".to_owned(),
        },
        tone: words::tone(judged),
        verdict: words::verdict(judged),
    }
}

/// Mails that wait for another try, and dead letters.
fn aside(look: &Look, groups: &[Summary], prefix: &str) -> Vec<Aside> {
    let mut rows = Vec::new();
    for tier in catalog().retry_tiers(&topic::EMAILS) {
        let name = tier.full_name(prefix);
        let waiting = groups.iter().filter(|summary| summary.topic == name);
        let waiting: u64 = waiting.map(|summary| summary.records).sum();
        rows.push(Aside {
            what: "waits for another try",
            count: words::number(waiting),
            tone: Tone::Quiet,
            command: "cityevents lag".to_owned(),
            topic: name,
        });
    }
    for (topic, waiting) in &look.letters {
        rows.push(Aside {
            what: "dead letters",
            count: words::number(*waiting),
            tone: if *waiting > 0 { Tone::Wait } else { Tone::Quiet },
            command: format!("cityevents dlq list --topic {topic}"),
            topic: topic.clone(),
        });
    }
    rows
}

/// Routes, and everything else that takes time.
fn slow(look: &Look) -> (Vec<Slow>, Vec<Slow>) {
    let of = |is_route: bool| {
        let all = look.recent.timed.iter().filter(|timed| timed.is_route == is_route);
        all.take(SLOW_MAX)
            .map(|timed| Slow {
                what: timed.what.clone(),
                name: timed.name.clone(),
                count: words::number(timed.count),
                p50: words::took(timed.p50),
                p99: words::took(timed.p99),
            })
            .collect()
    };
    (of(true), of(false))
}
