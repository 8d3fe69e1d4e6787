//! The picture: topics and roles in the order in which a join goes through them, with what waits before
//! each. Where everything stands is fixed, once for wide windows and once for phones; templates draw it.
//! Pure.

use serde::Serialize;

use super::look::Look;
use super::summary::Summary;
use super::words::{self, Tone};

const API: &str = "api";
const INGEST: &str = "ingest";
const TABLES: &str = "tables";

/// A picture.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Picture {
    pub(super) name: &'static str,
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) nodes: Vec<Node>,
    /// Paths.
    pub(super) edges: Vec<String>,
}

/// A role or a topic.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Node {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) is_topic: bool,
    pub(super) tone: Tone,
    pub(super) name: String,
    /// How it gets on, or what it holds.
    pub(super) first: String,
    pub(super) second: String,
    /// Dead letters.
    pub(super) badge: String,
    /// The group whose partitions are told elsewhere.
    pub(super) group: String,
}

/// Where something stands: in wide windows, and on phones.
struct Place {
    name: &'static str,
    is_topic: bool,
    wide: (i32, i32),
    tall: (i32, i32, i32),
}

const fn role(name: &'static str, wide: (i32, i32), tall: (i32, i32, i32)) -> Place {
    Place { name, is_topic: false, wide, tall }
}

const fn topic(name: &'static str, wide: (i32, i32), tall: (i32, i32, i32)) -> Place {
    Place { name, is_topic: true, wide, tall }
}

/// Columns and rows of the wide picture.
const fn at(column: i32, y: i32) -> (i32, i32) {
    (4 + column * 180, y)
}

/// Row of the tall one: across, or one of two beside each other behind the spine.
const fn across(row: i32) -> (i32, i32, i32) {
    (4, 4 + row * 84, 352)
}
const fn left(row: i32) -> (i32, i32, i32) {
    (32, 4 + row * 84, 154)
}
const fn right(row: i32) -> (i32, i32, i32) {
    (202, 4 + row * 84, 154)
}

const NODE_WIDTH: i32 = 152;
const NODE_HEIGHT: i32 = 68;
const WIDE: (i32, i32) = (1240, 456);
const TALL: (i32, i32) = (360, 1008);

const PLACES: [Place; 18] = [
    role(API, at(0, 4), (4, 4, 168)),
    role(INGEST, at(0, 148), (188, 4, 168)),
    topic("event-commands", at(1, 148), across(1)),
    role("registration", at(2, 148), across(2)),
    topic("event-facts", at(3, 148), across(3)),
    role("projection", at(4, 4), left(4)),
    topic(TABLES, at(5, 4), right(4)),
    role("publisher", at(4, 100), left(5)),
    topic("events", at(5, 100), right(5)),
    role("notifier", at(4, 196), left(6)),
    topic("emails", at(5, 196), right(6)),
    role("mailer", at(6, 196), right(7)),
    topic("engagement", at(3, 292), left(9)),
    role("trending", at(4, 292), left(8)),
    topic("trends", at(5, 292), right(8)),
    role("trend-rows", at(6, 292), right(9)),
    topic("user-signals", at(5, 384), right(10)),
    role("profiles", at(6, 384), right(11)),
];

const EDGES: [(&str, &str); 18] = [
    (API, INGEST),
    (INGEST, "event-commands"),
    ("event-commands", "registration"),
    ("registration", "event-facts"),
    ("event-facts", "projection"),
    ("projection", TABLES),
    ("event-facts", "publisher"),
    ("publisher", "events"),
    ("event-facts", "notifier"),
    ("notifier", "emails"),
    ("emails", "mailer"),
    ("event-facts", "trending"),
    (INGEST, "engagement"),
    ("engagement", "trending"),
    ("trending", "trends"),
    ("trends", "trend-rows"),
    ("trending", "user-signals"),
    ("user-signals", "profiles"),
];

/// Both pictures.
pub(super) fn pictures(look: &Look, groups: &[Summary], prefix: &str) -> [Picture; 2] {
    let seen = Seen { look, groups, prefix };
    let picture = |name, size: (i32, i32), is_wide: bool| Picture {
        name,
        width: size.0,
        height: size.1,
        nodes: PLACES.iter().map(|place| node(&seen, place, is_wide)).collect(),
        edges: EDGES.iter().filter_map(|(from, to)| edge(from, to, is_wide)).collect(),
    };
    [picture("wide", WIDE, true), picture("tall", TALL, false)]
}

struct Seen<'a> {
    look: &'a Look,
    groups: &'a [Summary],
    prefix: &'a str,
}

impl Seen<'_> {
    fn of_group(&self, name: &str) -> Vec<&Summary> {
        let full = format!("{}{name}", self.prefix);
        self.groups.iter().filter(|summary| summary.group == full).collect()
    }

    fn of_topic(&self, name: &str) -> Option<&Summary> {
        let full = format!("{}{name}", self.prefix);
        self.groups.iter().find(|summary| summary.topic == full)
    }

    fn letters(&self, name: &str) -> u64 {
        let full = format!("{}{name}-dlq", self.prefix);
        self.look.letters.get(&full).copied().unwrap_or(0)
    }
}

fn size(place: &Place, is_wide: bool) -> (i32, i32, i32) {
    if is_wide { (place.wide.0, place.wide.1, NODE_WIDTH) } else { place.tall }
}

fn node(seen: &Seen<'_>, place: &Place, is_wide: bool) -> Node {
    let (x, y, width) = size(place, is_wide);
    let mut node = Node {
        x,
        y,
        width,
        height: NODE_HEIGHT,
        is_topic: place.is_topic,
        tone: Tone::Quiet,
        name: place.name.to_owned(),
        first: String::new(),
        second: String::new(),
        badge: String::new(),
        group: String::new(),
    };
    match place.name {
        API => of_api(seen, &mut node),
        INGEST => of_ingest(seen, &mut node),
        TABLES => "what reads show".clone_into(&mut node.first),
        "events" => "registrations, events".clone_into(&mut node.first),
        _ if place.is_topic => of_topic(seen, place.name, &mut node),
        _ => of_role(seen, place.name, &mut node),
    }
    node
}

fn of_api(seen: &Seen<'_>, node: &mut Node) {
    match seen.look.recent.requests {
        Some(requests) => {
            node.tone = Tone::Good;
            node.first = format!("{} requests", words::rate(requests));
            let routes = seen.look.recent.timed.iter();
            if let Some(slowest) = routes.filter(|timed| timed.is_route).map(|it| it.p99).next() {
                node.second = format!("slowest p99 {}", words::took(slowest));
            }
        }
        None => "in other processes".clone_into(&mut node.first),
    }
}

fn of_ingest(seen: &Seen<'_>, node: &mut Node) {
    if let Some(came) = seen.of_topic("event-commands").and_then(|topic| topic.came) {
        node.first = format!("{} commands", words::rate(came));
        node.tone = Tone::Good;
    }
}

fn of_topic(seen: &Seen<'_>, name: &str, node: &mut Node) {
    if let Some(topic) = seen.of_topic(name) {
        node.first = words::count(topic.ends, "record");
        node.second = topic.came.map(words::rate).unwrap_or_default();
    }
    let letters = seen.letters(name);
    if letters > 0 {
        node.tone = Tone::Wait;
        node.badge = words::count(letters, "dead letter");
    }
}

fn of_role(seen: &Seen<'_>, name: &str, node: &mut Node) {
    let topics = seen.of_group(name);
    let Some(worst) = topics.iter().max_by_key(|summary| summary.tone) else {
        "not known".clone_into(&mut node.first);
        return;
    };
    let records: u64 = topics.iter().map(|summary| summary.records).sum();
    let seconds = topics.iter().map(|summary| summary.seconds).fold(0.0, f64::max);
    let is_empty = topics.iter().all(|it| it.owners.as_ref().is_some_and(Vec::is_empty));
    node.group.clone_from(&worst.group);
    node.tone = if is_empty { Tone::Bad } else { worst.tone };
    node.first = match worst.tone {
        _ if is_empty => "nobody works".to_owned(),
        Tone::Good if records == 0 => "keeps up".to_owned(),
        Tone::Good => "is behind".to_owned(),
        _ => worst.verdict.clone(),
    };
    node.second = format!("{} · {}", words::wait(seconds), words::count(records, "record"));
}

/// From the middle of one side to the middle of another.
fn edge(from: &str, to: &str, is_wide: bool) -> Option<String> {
    let find = |name: &str| PLACES.iter().find(|place| place.name == name);
    let (source, target) = (find(from)?, find(to)?);
    let (x1, y1, width1) = size(source, is_wide);
    let (x2, y2, width2) = size(target, is_wide);
    let (mid1, mid2) = (y1 + NODE_HEIGHT / 2, y2 + NODE_HEIGHT / 2);
    Some(match (from, to) {
        (INGEST, "engagement") if is_wide => {
            let x = x1 + width1 / 2;
            format!(
                "M{x} {} V{} Q{x} {mid2} {} {mid2} H{}",
                y1 + NODE_HEIGHT,
                mid2 - 12,
                x + 12,
                x2 - 6
            )
        }
        (INGEST, "engagement") => return None,
        ("event-facts", _) if !is_wide => {
            let x = x1 + 14;
            format!(
                "M{x} {} V{} Q{x} {mid2} {} {mid2} H{}",
                y1 + NODE_HEIGHT,
                mid2 - 8,
                x + 8,
                x2 - 6
            )
        }
        ("trending", "user-signals") if !is_wide => {
            let x = x1 + width1 + 8;
            format!(
                "M{} {} H{x} V{} Q{x} {mid2} {} {mid2} H{}",
                x1 + width1,
                mid1 + 12,
                mid2 - 4,
                x + 4,
                x2 - 1
            )
        }
        _ if x2 >= x1 + width1 => {
            let (begin, end) = (x1 + width1, x2 - 6);
            let middle = i32::midpoint(begin, end);
            format!("M{begin} {mid1} C{middle} {mid1} {middle} {mid2} {end} {mid2}")
        }
        _ if y2 > y1 => {
            let (x, end) = (x2.max(x1) + width1.min(width2) / 2, y2 - 6);
            format!("M{x} {} V{end}", y1 + NODE_HEIGHT)
        }
        _ => {
            let (x, end) = (x2.max(x1) + width1.min(width2) / 2, y2 + NODE_HEIGHT + 6);
            format!("M{x} {y1} V{end}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rectangles(is_wide: bool) -> Vec<(i32, i32, i32)> {
        PLACES.iter().map(|place| size(place, is_wide)).collect()
    }

    #[test]
    fn nothing_lies_over_anything_or_outside() {
        for (is_wide, (width, height)) in [(true, WIDE), (false, TALL)] {
            let all = rectangles(is_wide);
            for (number, (x, y, wide)) in all.iter().enumerate() {
                assert!(*x >= 0 && x + wide <= width && y + NODE_HEIGHT <= height, "{number}");
                for (x2, y2, wide2) in &all[number + 1..] {
                    let is_apart = x + wide <= *x2
                        || x2 + wide2 <= *x
                        || y + NODE_HEIGHT <= *y2
                        || y2 + NODE_HEIGHT <= *y;
                    assert!(is_apart, "{is_wide}: {x},{y} and {x2},{y2}");
                }
            }
        }
    }

    #[test]
    fn every_edge_leads_from_something_to_something() {
        let is_there = |name: &str| PLACES.iter().any(|place| place.name == name);
        assert!(EDGES.iter().all(|(from, to)| is_there(from) && is_there(to)));
        for is_wide in [true, false] {
            let drawn = EDGES.iter().filter(|(from, to)| edge(from, to, is_wide).is_some());
            assert!(drawn.count() >= EDGES.len() - 1);
        }
    }

    #[test]
    fn what_is_in_the_picture_is_in_the_catalogue_of_topics() {
        let known = cityevents_schemas::catalog::catalog();
        for place in PLACES.iter().filter(|place| place.is_topic && place.name != TABLES) {
            assert!(known.topic(place.name).is_some(), "{}", place.name);
        }
    }
}
