//! `cityevents topics` against Kafka: what is made, what is compared, and what is said of it.

use std::process::{Command, Output};
use std::time::Duration;

use cityevents_runtime::log::kafka::{KafkaLog, KafkaMetrics, KafkaOptions};
use cityevents_runtime::log::{Cleanup, Log as _, TimestampKind, TopicSpec};
use cityevents_schemas::catalog::catalog;
use cityevents_schemas::topic;
use serde_json::Value;

use crate::stack;

/// Topics of its own, on the shared brokers.
struct Cluster {
    folder: tempfile::TempDir,
    prefix: String,
}

impl Cluster {
    fn new(name: &str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), prefix: stack::unique_prefix(name) }
    }

    fn run(&self, action: &str, (replication, min_insync): (u16, u16), output: &str) -> Output {
        let config = self.folder.path().join("cityevents.toml");
        let text = format!(
            "[data]\ndir = {:?}\n[log]\npartitions = 4\nprefix = {:?}\n[scylla]\nnodes = [\"127.0.0.1:1\"]\n[kafka]\nbrokers = [{:?}]\n\
             replication = {replication}\nmin_insync = {min_insync}\n",
            self.folder.path().join("data"),
            self.prefix,
            stack::kafka()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cityevents"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CITYEVENTS_")) {
            command.env_remove(name);
        }
        command.args(["topics", action, "--output", output, "--config"]).arg(config);
        command.output().unwrap()
    }

    /// The answer, and whether all is well.
    fn ask(&self, action: &str) -> (Vec<Value>, bool) {
        self.ask_for_copies(action, (1, 1))
    }

    fn ask_for_copies(&self, action: &str, copies: (u16, u16)) -> (Vec<Value>, bool) {
        let output = self.run(action, copies, "json");
        let text = String::from_utf8(output.stdout).unwrap();
        let rows = serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr))
        });
        (rows, output.status.success())
    }

    fn log(&self) -> std::sync::Arc<KafkaLog> {
        let options =
            KafkaOptions { replication: 1, min_insync: 1, ..KafkaOptions::new(stack::kafka()) };
        KafkaLog::connect(options, KafkaMetrics::unregistered()).unwrap()
    }

    fn make(&self, name: &str, partitions: u32, timestamps: TimestampKind) {
        let week = Some(Duration::from_secs(7 * 86_400));
        let spec = TopicSpec {
            name: format!("{}{name}", self.prefix).into(),
            partitions,
            cleanup: Cleanup::Delete { retention: week },
            timestamps,
            durable: true,
        };
        self.log().create_topic(&spec).unwrap();
    }

    fn row<'r>(&self, rows: &'r [Value], name: &str, setting: &str) -> &'r Value {
        let name = format!("{}{name}", self.prefix);
        let row = rows.iter().find(|row| row["topic"] == *name && row["setting"] == setting);
        row.unwrap_or_else(|| panic!("{name} {setting}: {rows:?}"))
    }
}

#[test]
fn topics_are_made_once_and_are_as_the_catalogue_says() {
    let cluster = Cluster::new("topics");
    let (missing, is_good) = cluster.ask("check");
    assert_eq!((missing.len(), is_good), (catalog().topics().len(), false));
    assert!(cluster.row(&missing, "emails", "exists")["fix"].as_str().unwrap().contains("create"));
    assert!(cluster.ask("list").0.is_empty());
    let (made, is_good) = cluster.ask("create");
    assert_eq!((made.len(), is_good), (catalog().topics().len(), true));
    assert_eq!(cluster.ask("create"), (Vec::new(), true));
    assert_eq!(cluster.ask("check"), (Vec::new(), true));
    let (listed, _) = cluster.ask("list");
    assert_eq!(listed.len(), catalog().topics().len());
    let commands = &listed[0];
    assert_eq!(commands["topic"], format!("{}event-commands", cluster.prefix));
    assert_eq!((&commands["partitions"], &commands["records"]), (&4.into(), &0.into()));
    assert_eq!(commands["timestamps"], "LogAppendTime");
    assert_eq!(
        (&commands["cleanup"], &commands["replication"]),
        (&"delete after 7 d".into(), &1.into())
    );
}

#[test]
fn every_difference_is_told_with_what_mends_it() {
    let cluster = Cluster::new("differences");
    cluster.make("event-commands", 4, TimestampKind::Create);
    cluster.make("event-facts", 3, TimestampKind::Create);
    let (rows, is_good) = cluster.ask("check");
    assert!(!is_good);
    let timestamps = cluster.row(&rows, "event-commands", "timestamps");
    assert_eq!(
        (&timestamps["expected"], &timestamps["actual"]),
        (&"LogAppendTime".into(), &"CreateTime".into())
    );
    let fix = timestamps["fix"].as_str().unwrap();
    let command = format!(
        "--entity-name {}event-commands --add-config message.timestamp.type=LogAppendTime",
        cluster.prefix
    );
    assert!(fix.contains(&command), "{fix}");
    let partitions = cluster.row(&rows, "event-facts", "partitions");
    let fix = partitions["fix"].as_str().unwrap();
    assert!(fix.contains("event-commands, event-facts, engagement need one and the same"), "{fix}");
    // A week is not for ever.
    assert_eq!(cluster.row(&rows, "event-facts", "cleanup")["harmless"], false);
    let table = cluster.run("check", (1, 1), "table");
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(text.contains(&command) && text.contains("event-facts"), "{text}");
}

#[test]
fn what_is_kept_longer_than_it_has_to_be_is_shown_as_harmless() {
    let cluster = Cluster::new("longer");
    let spec = TopicSpec {
        name: topic::EVENT_COMMANDS.full_name(&cluster.prefix).into(),
        partitions: 4,
        cleanup: Cleanup::Delete { retention: None },
        timestamps: TimestampKind::LogAppend,
        durable: true,
    };
    cluster.log().create_topic(&spec).unwrap();
    assert!(cluster.ask("create").1);
    let (rows, is_good) = cluster.ask("check");
    assert_eq!((rows.len(), is_good), (1, false));
    assert_eq!(cluster.row(&rows, "event-commands", "cleanup")["actual"], "keep for ever");
    assert_eq!(cluster.row(&rows, "event-commands", "cleanup")["harmless"], true);
}

#[test]
fn too_few_copies_are_found_with_the_setting_that_says_so() {
    let cluster = Cluster::new("copies");
    assert!(cluster.ask("create").1);
    // Three brokers are asked for, and the topics were made when there was one.
    let (rows, is_good) = cluster.ask_for_copies("check", (3, 2));
    assert!(!is_good);
    let insync = cluster.row(&rows, "event-facts", "min_insync");
    assert_eq!((&insync["expected"], &insync["actual"]), (&"2".into(), &"1".into()));
    assert!(insync["fix"].as_str().unwrap().contains("min.insync.replicas=2"), "{insync}");
    let replication = cluster.row(&rows, "event-facts", "replication");
    assert!(replication["fix"].as_str().unwrap().contains("kafka-reassign-partitions"));
    // Replies may be lost: one copy is enough to acknowledge them.
    assert!(!rows.iter().any(|row| {
        row["setting"] == "min_insync"
            && row["topic"].as_str().unwrap().ends_with("command-replies")
    }));
}
