//! What a running instance measures is in the catalogue, with the same meaning, kind and labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::crowd;
use super::instance::Instance;
use super::web;

#[derive(Debug, PartialEq, Eq)]
struct Described {
    kind: String,
    unit: String,
    labels: BTreeSet<String>,
    meaning: String,
}

/// By the name that is asked for: `…_total` of a counter.
type Metrics = BTreeMap<String, Described>;

fn catalogue() -> Metrics {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/METRICS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `cityevents_"));
    let metrics = rows.map(|row| {
        let cells: Vec<_> = row.split(" | ").map(str::trim).collect();
        let [name, kind, unit, labels, meaning] = cells[..] else { panic!("{row}") };
        let plain = |label: &str| label.trim_matches('`').to_owned();
        let labels = labels.split(", ").filter(|label| !label.is_empty()).map(plain).collect();
        let meaning = meaning.trim_end_matches(" |").to_owned();
        let described = Described { kind: kind.to_owned(), unit: unit.to_owned(), labels, meaning };
        (format!("cityevents_{}", name.trim_matches('`')), described)
    });
    metrics.collect()
}

/// What `/metrics` says, without the figures.
fn scraped(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    let mut current = String::new();
    let (mut meaning, mut unit) = (String::new(), String::new());
    for line in text.lines() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "EOF"] => {}
            ["#", "HELP", _, help] => {
                // The encoder puts a full stop, except behind what collectors say.
                meaning = help.trim_end_matches('.').to_owned();
                unit.clear();
            }
            ["#", "UNIT", _, said] => unit = said.to_owned(),
            ["#", "TYPE", name, kind] => {
                let suffix = match kind {
                    "counter" => "_total",
                    "info" => "_info",
                    _ => "",
                };
                current = format!("{name}{suffix}");
            }
            _ => {
                let (_, labels) = line.split_once('{').unwrap_or_default();
                let names = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0));
                let kind = if current.ends_with("_total") {
                    "counter"
                } else if current.ends_with("_info") {
                    "info"
                } else if line.starts_with(&format!("{current}_")) {
                    "histogram"
                } else {
                    "gauge"
                };
                let described = metrics.entry(current.clone()).or_insert_with(|| Described {
                    kind: kind.to_owned(),
                    unit: unit.clone(),
                    labels: BTreeSet::new(),
                    meaning: meaning.clone(),
                });
                described.labels.extend(names.filter(|name| *name != "le").map(str::to_owned));
            }
        }
    }
    metrics
}

#[test]
fn everything_that_an_instance_measures_is_in_the_catalogue() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start(folder.path());
    let people = crowd::people(folder.path(), 3);
    let event = crowd::publish(instance.http, &people[0], 1, 1);
    for person in &people[1..] {
        crowd::join(instance.http, person, &event, "once");
    }
    let answer = web::once(instance.ops, "GET", "/metrics", &[], b"");
    assert_eq!(answer.status, 200);
    let (known, seen) = (catalogue(), scraped(&answer.text()));
    for (name, described) in &seen {
        assert_eq!(Some(described), known.get(name), "{name}: run ops/metrics/catalogue.py");
    }
    for name in ["runtime_decisions_total", "ingest_commands_total", "http_requests_total"] {
        assert!(seen.contains_key(&format!("cityevents_{name}")), "{name} in {seen:?}");
    }
    assert!(seen.len() > 20, "{seen:?}");
    instance.stop();
}
