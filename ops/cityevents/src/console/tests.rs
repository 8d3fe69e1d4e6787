//! Pages of instances that nobody has at hand: large ones, and ones where everything is wrong.

use std::collections::BTreeMap;

use cityevents_kit::lifecycle::{ComponentHealth, State};
use cityevents_runtime::lag::verdict::Verdict;
use minijinja::context;
use minijinja::value::Serde;

use super::figures::{Recent, Timed};
use super::look::{Judged, Look};
use super::{page, templates};
use crate::admin::lag::Row;

/// As promised.
const PAGE_BYTES_MAX: usize = 100 * 1_024;
const TOPICS: [(&str, &str); 12] = [
    ("registration", "event-commands"),
    ("projection", "event-facts"),
    ("publisher", "event-facts"),
    ("notifier", "event-facts"),
    ("trending", "event-facts"),
    ("trending", "engagement"),
    ("trend-rows", "trends"),
    ("profiles", "user-signals"),
    ("mailer", "emails"),
    ("mailer", "emails-retry-10s"),
    ("mailer", "emails-retry-1m"),
    ("connect", "events"),
];

fn row(group: &str, topic: &str, partition: u32) -> Row {
    Row {
        group: group.to_owned(),
        topic: topic.to_owned(),
        partition,
        committed: Some(1_000),
        low: Some(0),
        end: Some(1_000),
        records: Some(0),
        seconds: Some(0.0),
        expires: false,
        has_members: Some(true),
        owner: Some(format!("{group}-{}", partition % 3)),
        verdict: "keeps up".to_owned(),
        good: true,
    }
}

/// So many partitions, all alike.
fn look(partitions: u32, change: impl Fn(Judged) -> Judged) -> Look {
    let places = TOPICS
        .iter()
        .flat_map(|(group, topic)| (0..partitions).map(|partition| row(group, topic, partition)));
    let judged = |row| Judged { row, verdict: Some(Verdict::Ok), pace: Some((12.0, 12.0)) };
    Look { rows: places.map(judged).map(change).collect(), ..Look::default() }
}

fn text(look: &Look, group: Option<&str>) -> String {
    let templates = templates().unwrap();
    let values = context! { seen => true, ..Serde(page::values(look, "", group)) };
    templates.get_template("overview.html").unwrap().render(values).unwrap()
}

/// A thousand partitions, and nothing gets on.
fn everything_is_wrong() -> Look {
    let stalled = |judged: Judged| Judged {
        verdict: Some(Verdict::ALL[1 + judged.row.partition as usize % 5]),
        row: Row {
            records: Some(1_234_567),
            seconds: Some(98_765.0),
            owner: Some(format!("a-process-with-a-long-name-{}", judged.row.partition)),
            ..judged.row
        },
        ..judged
    };
    let part = |number: u32| ComponentHealth {
        name: format!("part-{number}"),
        state: State::Stopped,
        reason: Some("a reason that goes on for a while ".repeat(5)),
        since_seconds: 5,
    };
    let timed = |number: u32| Timed {
        what: format!("POST /api/events/{{id}}/a-long-route/{number}"),
        name: "some_name_seconds".to_owned(),
        count: 1_234_567,
        p50: 0.5,
        p99: 9.5,
        is_route: number.is_multiple_of(2),
    };
    Look {
        letters: (0..10).map(|number| (format!("topic-{number}-dlq"), 7)).collect(),
        breakers: (0..10).map(|number| (format!("dependency-{number}"), 2)).collect(),
        parts: (0..100).map(part).collect(),
        recent: Recent { timed: (0..500).map(timed).collect(), requests: Some(1e6) },
        ..look(1_000, stalled)
    }
}

#[test]
fn a_page_stays_small_whatever_there_is_to_tell() {
    for (look, group) in [
        (look(4, |judged| judged), None),
        (look(1_000, |judged| judged), None),
        (look(1_000, |judged| judged), Some("mailer")),
        (everything_is_wrong(), None),
        (everything_is_wrong(), Some("registration")),
    ] {
        let bytes = text(&look, group).len();
        let others = super::STYLE.len() + super::LIVE.len() + super::ICON.len();
        assert!(bytes + others < PAGE_BYTES_MAX, "{group:?}: {bytes} and {others}");
    }
}

#[test]
fn what_needs_nobody_is_said_in_three_words() {
    let page = text(&look(4, |judged| judged), None);
    assert!(page.contains("All is well"), "{page}");
    assert!(page.contains("Nothing waits anywhere."), "{page}");
    assert!(page.contains("registration-0: 0, 3"), "owners with what they hold: {page}");
}

#[test]
fn what_needs_somebody_comes_first_with_its_section_of_the_runbook() {
    let runbook = include_str!("../../../docs/RUNBOOK.md");
    let page = text(&everything_is_wrong(), None);
    let named: Vec<_> = page
        .split("· runbook: <code>")
        .skip(1)
        .filter_map(|after| after.split('<').next())
        .collect();
    assert_eq!(named.len(), 12, "as many as are written out");
    for name in named {
        assert!(runbook.contains(&format!("\n## {name}\n")), "{name} is not in the runbook");
    }
    assert!(page.contains("things to see to, now"), "{page}");
}

#[test]
fn a_group_that_nobody_is_in_is_told_at_once() {
    let deserted = look(4, |judged| match &*judged.row.group {
        "mailer" => {
            let row = Row { has_members: Some(false), owner: None, ..judged.row };
            Judged { row, ..judged }
        }
        _ => judged,
    });
    let page = text(&deserted, None);
    assert_eq!(page.matches("nobody works as mailer").count(), 1, "{page}");
    assert!(page.contains("nobody works</tspan>"), "in the picture too: {page}");
}

#[test]
fn names_of_groups_are_text_whatever_they_are() {
    let named = |name: &str| {
        let name = name.to_owned();
        look(1, move |judged| {
            let row = Row { group: name.clone(), ..judged.row };
            Judged { row, ..judged }
        })
    };
    let page = text(&named("<img src=x onerror=alert(1)>"), Some("\"><script>alert(1)</script>"));
    assert!(!page.contains("<img") && !page.contains("<script>"), "{page}");
    assert!(page.contains("&lt;img src=x"), "{page}");
}

#[test]
fn letters_stand_at_the_topic_that_they_came_from() {
    let letters = BTreeMap::from([("event-commands-dlq".to_owned(), 3)]);
    let page = text(&Look { letters, ..look(4, |judged| judged) }, None);
    assert!(page.contains("3 dead letters</tspan>"), "{page}");
    assert!(page.contains("3 dead letters wait for somebody in event-commands-dlq"), "{page}");
}

#[test]
fn templates_carry_no_script_and_no_style_of_their_own() {
    for (name, source) in super::TEMPLATES {
        let lower = source.to_lowercase();
        for forbidden in
            ["<style", " style=", " onclick=", " onload=", "javascript:", "|safe", "http-equiv"]
        {
            assert!(!lower.contains(forbidden), "{forbidden} in {name}");
        }
        let scripts = lower.matches("<script").count();
        assert_eq!(scripts, lower.matches("<script src=").count(), "{name}");
    }
}
