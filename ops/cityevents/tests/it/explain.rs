//! What became of one command, asked for by its id.

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::ids::CommandId;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Outgoing, TopicPartition};
use cityevents_schemas::message::encode_command;
use serde_json::json;

use super::command_line::{run, run_on};
use super::crowd;
use super::instance::Instance;
use super::planted::{append, open_log};

/// Partitions of an instance with default settings.
const PARTITIONS: u32 = 4;
const UNKNOWN: &str = "01234567-89ab-cdef-0123-456789abcdef";

#[test]
fn a_command_is_explained_by_its_id_while_the_instance_runs_and_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let people = crowd::people(data, 3);
    let event = crowd::publish(instance.http, &people[0], 1, 0);
    let joined =
        |number: usize, key: &str| crowd::join_by(instance.http, &people[number], &event, key);
    let (taken, refused) = (joined(1, "first"), joined(2, "late"));
    let explain = |command: &CommandId| {
        run_on(data, &["explain", "--command", &command.to_string(), "--output", "json"]).json()
    };
    let check = || {
        let said = explain(&taken);
        assert_eq!((&said["event"], &said["command"]["kind"]), (&(&*event).into(), &"join".into()));
        assert_eq!(said["command"]["is_decided"], true);
        let steps = said["steps"].as_array().unwrap();
        assert_eq!((steps.len(), &steps[0]["verdict"]), (1, &"accepted".into()), "{said}");
        assert_eq!(steps[0]["actor"], people[1].user);
        let said = explain(&refused);
        let steps = said["steps"].as_array().unwrap();
        assert_eq!((steps.len(), &steps[0]["reason"]), (1, &"event_full".into()), "{said}");
        assert!(steps[0]["because"].as_str().unwrap().starts_with("1 of 1 places"), "{said}");
        assert_eq!(steps[0]["command_offset"], said["command"]["offset"]);
        run_on(data, &["explain", "--command", UNKNOWN]).failed(1, &["no command", UNKNOWN]);
    };
    check();
    instance.stop();
    check();
    let said = run_on(data, &["explain", "--command", &refused.to_string()]).good();
    for words in ["asks to join", &*event, "event_full: 1 of 1 places", "the whole story"] {
        assert!(said.contains(words), "{words} is not in {said}");
    }

    // One that came when nobody decided any more.
    let late = Command {
        id: CommandId::from_bytes([7; 16]),
        event: event.parse().unwrap(),
        actor: Actor::Person { user: people[2].user.parse().unwrap(), role: Role::User },
        digest: 7,
        kind: CommandKind::Leave,
    };
    {
        let log = open_log(data);
        let mut value = Vec::new();
        encode_command(&late, &mut value);
        let record = Outgoing { value: Some(value.into()), ..Outgoing::default() };
        let partition = partition_of(event.as_bytes(), PARTITIONS);
        let commands = TopicPartition::new("event-commands", partition);
        append(&mut *log.producer("planted").unwrap(), &commands, record);
    }
    let said = explain(&late.id);
    assert_eq!((&said["command"]["is_decided"], &said["steps"]), (&false.into(), &json!([])));
    let said = run_on(data, &["explain", "--command", &late.id.to_string()]).good();
    assert!(said.contains("asks to leave") && said.contains("not decided yet"), "{said}");
}

#[test]
fn only_one_thing_is_explained_at_a_time() {
    for usage in [
        &["--command", UNKNOWN, "--event", UNKNOWN][..],
        &["--command", UNKNOWN, "--trend", UNKNOWN],
        &["--command", UNKNOWN, "--user", UNKNOWN],
        &["--command", "join"],
        &[],
    ] {
        let said = run(&[&["explain"], usage].concat());
        assert_eq!(said.code, 2, "{usage:?}: {}{}", said.out, said.err);
    }
}
