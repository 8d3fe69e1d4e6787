//! The log, and the topics in it.

use anyhow::Context as _;
use cityevents_kit::Config;
use serde_json::Value;

use super::row::Finding;
use crate::admin::{Question, ask_running, execute};
use crate::instance::{self, Running};

/// Copies of every record below which the loss of one broker stops writes, or loses some.
const REPLICATION_MIN: u16 = 3;
const MIN_INSYNC_MIN: u16 = 2;
/// Settings of a topic that have a row of their own.
const CLEANUP: &str = "cleanup";
const COPIES: [&str; 2] = ["replication", "min_insync"];

/// Rows `log`, `topics`, `retention`, `copies`.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let (found, differences) = match differences(config) {
        Ok(differences) => differences,
        Err(error) => {
            let todo = match config.is_cluster() {
                true => "bring the brokers back, or correct [kafka]",
                false => "start the instance once, or correct data.dir",
            };
            let unknown = Finding::unknown("the log is not reached");
            let copies = copies(config, &[]);
            let copies = if config.is_cluster() { unknown.clone() } else { copies };
            return vec![
                Finding::fail(format!("{error:#}"), todo),
                unknown.clone(),
                unknown,
                copies,
            ];
        }
    };
    let rows: Vec<&Value> = differences.iter().filter(|row| row["harmless"] != true).collect();
    let of = |wanted: fn(&str) -> bool| -> Vec<&Value> {
        let is = |row: &&&Value| row["setting"].as_str().is_some_and(wanted);
        rows.iter().filter(is).copied().collect()
    };
    let topics = of(|setting| setting != CLEANUP && !COPIES.contains(&setting));
    let retention = of(|setting| setting == CLEANUP);
    vec![
        Finding::ok(found),
        as_the_catalogue(&topics, "all are there, as the catalogue says"),
        as_the_catalogue(&retention, "facts are kept for ever, and all others for long enough"),
        copies(config, &of(|setting| COPIES.contains(&setting))),
    ]
}

/// What there is, and the differences of its topics from the catalogue.
fn differences(config: &Config) -> anyhow::Result<(String, Vec<Value>)> {
    let question = Question::CheckTopics;
    let running = (!config.is_cluster()).then(|| Running::find(&config.data.dir)).flatten();
    let (found, answer) = if let Some(running) = running {
        (format!("an instance runs on {}", config.data.dir.display()), {
            ask_running(running.ops, &question)?
        })
    } else {
        let folder = config.data.dir.join("log");
        anyhow::ensure!(
            config.is_cluster() || folder.is_dir(),
            "there is no log in {}",
            config.data.dir.display()
        );
        let context = instance::open_log(config)?;
        let found = match config.is_cluster() {
            true => format!("{} answer", config.kafka.brokers.join(", ")),
            false => format!("{} is whole", folder.display()),
        };
        (found, execute(&question, &context, &mut |_, _| {})?)
    };
    let rows = answer.as_array().context("the answer is no list")?;
    Ok((found, rows.clone()))
}

fn as_the_catalogue(differences: &[&Value], good: &str) -> Finding {
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let Some(first) = differences.first() else { return Finding::ok(good) };
    let told = differences.iter().map(|row| {
        let (topic, setting) = (text(row, "topic"), text(row, "setting"));
        match setting.as_str() {
            "exists" => format!("{topic} is missing"),
            _ => format!("{topic}: {setting} is {}", text(row, "actual")),
        }
    });
    let todo = format!("{} (cityevents topics check tells all)", text(first, "fix"));
    Finding::fail(told.collect::<Vec<_>>().join("; "), todo)
}

fn copies(config: &Config, differences: &[&Value]) -> Finding {
    if !config.is_cluster() {
        return Finding::ok("one machine: what is on its disk is all, so back it up");
    }
    let (replication, min_insync) = (config.kafka.replication, config.kafka.min_insync);
    if replication < REPLICATION_MIN || min_insync < MIN_INSYNC_MIN {
        let found = format!("{replication} copies, {min_insync} in sync");
        let todo = "three brokers, kafka.replication = 3 and kafka.min_insync = 2; then move the topics \
                    there";
        return Finding::fail(found, todo);
    }
    let good = format!("{replication} copies, {min_insync} in sync");
    as_the_catalogue(differences, &good)
}
