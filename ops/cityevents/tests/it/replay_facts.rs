//! Facts carried into new topics with another number of partitions: in one go and after a kill, compared
//! event by event, and life going on there.

use std::net::SocketAddr;
use std::path::Path;

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::ids::{CommandId, UserId};
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Outgoing, TopicPartition};
use cityevents_schemas::message::encode_command;
use serde_json::Value;

use super::command_line::{self, Said, run_on};
use super::crowd::{self, Person};
use super::instance::{DEADLINE, Instance, poll_for};
use super::planted::{append, open_log, user};
use super::web;

/// Settings of whoever uses the new topics.
const NEW: [(&str, &str); 2] =
    [("CITYEVENTS__LOG__PREFIX", "two."), ("CITYEVENTS__LOG__PARTITIONS", "7")];
/// Places at each event.
const PLACES: u32 = 3;
const EVENTS: usize = 12;

fn facts(data: &Path, what: &[&str]) -> Said {
    run_on(data, &[&["replay", "facts", "two.", "--output", "json"], what].concat())
}

/// A command line with the settings of whoever uses the new topics.
fn run_new(data: &Path, arguments: &[&str]) -> Said {
    let mut command = command_line::command();
    command.args(arguments).arg("--data").arg(data).envs(NEW);
    command_line::said(command.output().unwrap())
}

/// What a comparison counts: facts, events, and those that are not the same.
fn counted(said: &Value) -> [u64; 3] {
    let rows = said.as_array().unwrap();
    let sum = |field: &str| rows.iter().map(|row| row[field].as_u64().unwrap()).sum::<u64>();
    [sum("facts"), sum("events"), sum("differing") + sum("missing")]
}

fn until_at_rest(data: &Path) {
    poll_for(DEADLINE, || {
        let said = run_on(data, &["lag", "--output", "json"]);
        let lag: Value = serde_json::from_str(&said.out).unwrap();
        lag["rows"].as_array().unwrap().iter().all(|row| row["records"] == 0)
    });
}

/// Some events with as many people as it takes to have a line.
fn busy(http: SocketAddr, owner: &Person, people: &[Person]) -> Vec<String> {
    let events: Vec<_> = (0..EVENTS).map(|_| crowd::publish(http, owner, PLACES, 50)).collect();
    for event in &events {
        for person in people {
            assert_eq!(crowd::join(http, person, event, "join").status, 200);
        }
    }
    events
}

fn leave(http: SocketAddr, person: &Person, event: &str) {
    let mut connection = web::Connection::open(http).unwrap();
    let path = format!("/api/events/{event}/cancel");
    assert_eq!(crowd::post(&mut connection, person, &path, "leave").unwrap().status, 200);
}

/// Who stands where, as the page of an event tells each of them.
fn standings(http: SocketAddr, people: &[Person], event: &str) -> Vec<Value> {
    let of = |person: &Person| {
        let path = format!("/api/events/{event}/view");
        web::get_as(http, &person.bearer, &path).json()["participation"].clone()
    };
    people.iter().map(of).collect()
}

fn records_of(data: &Path, topic: &str) -> u64 {
    let rows = run_new(data, &["topics", "list", "--output", "json"]).json();
    let row = rows.as_array().unwrap().iter().find(|row| row["topic"] == topic).unwrap().clone();
    row["records"].as_u64().unwrap()
}

#[test]
fn facts_go_on_in_another_number_of_partitions_and_nobody_loses_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let everybody = crowd::people(data, 7);
    let (owner, people) = everybody.split_first().unwrap();
    let events = busy(instance.http, owner, people);
    // While people go on: what is there already. Then the rest.
    let first = facts(data, &["--partitions", "7"]).json();
    assert!(first["records"].as_u64().unwrap() > (EVENTS * people.len()) as u64, "{first}");
    let [carried, _, wrong] = counted(&facts(data, &["--diff"]).json());
    assert_eq!((carried, wrong), ((EVENTS * (people.len() + 2)) as u64, 0));
    leave(instance.http, &people[0], &events[0]);
    until_at_rest(data);
    let before: Vec<_> = events.iter().map(|one| standings(instance.http, people, one)).collect();
    facts(data, &["--switch"]).failed(1, &["is in the group registration: stop every process"]);
    instance.stop();

    let early = Instance::try_start(data, &NEW).err().unwrap();
    assert!(early.err.contains("facts are being carried into two.event-facts/0"), "{early:?}");
    let switched = facts(data, &["--switch"]).json();
    assert_eq!((&switched["partitions"], &switched["commands"]), (&7.into(), &0.into()));
    assert_eq!(switched["facts"].as_u64(), Some(carried + 1), "the one who left: {switched}");
    assert_eq!(facts(data, &["--switch"]).json()["facts"], switched["facts"], "asked once more");
    let [carried, compared, wrong] = counted(&facts(data, &["--diff"]).json());
    assert_eq!((compared, wrong), (EVENTS as u64, 0));
    run_new(data, &["replay", "--into", "two"]).good();
    let reason = ["--force", "--reason", "seven partitions"];
    run_new(data, &[&["replay", "switch", "two"][..], &reason].concat()).good();

    // The old topics are whole, and over.
    run_on(data, &["audit"]).good();

    let instance = Instance::start_with(data, &NEW);
    let http = instance.http;
    for (event, before) in events.iter().zip(&before) {
        poll_for(DEADLINE, || standings(http, people, event) == *before);
    }
    // Asked once more it is the same command, and has its first outcome.
    let again = crowd::join(http, &people[5], &events[1], "join");
    assert_eq!((again.status, again.json()["status"].clone()), (200, "waitlisted".into()));
    // Somebody leaves, and the head of the line moves up, in every event.
    for event in &events[1..] {
        leave(http, &people[1], event);
        poll_for(DEADLINE, || standings(http, people, event)[3]["status"] == "active");
    }
    let report = run_new(data, &["audit", "--output", "json"]).json();
    assert_eq!(report["facts"], carried + EVENTS as u64 - 1, "{report}");
    run_new(data, &["replay", "commands"]).good();
    let explained = run_new(data, &["explain", "--event", &events[1], "--output", "json"]).json();
    let steps = explained["steps"].as_array().unwrap();
    assert_eq!(steps[0]["command_offset"], Value::Null, "decided elsewhere: {explained}");
    assert!(steps.last().unwrap()["command_offset"].is_u64(), "{explained}");
    // Nobody is told again what they were told before.
    until_new_at_rest(data);
    let told = 2 * (EVENTS as u64 - 1);
    assert!(records_of(data, "two.emails") <= told, "{}", records_of(data, "two.emails"));
    instance.stop();
    // Life there is no concern of the old topics.
    assert_eq!(counted(&facts(data, &["--diff"]).json()), [carried, EVENTS as u64, 0]);
}

fn until_new_at_rest(data: &Path) {
    poll_for(DEADLINE, || {
        let said = run_new(data, &["lag", "--output", "json"]);
        let lag: Value = serde_json::from_str(&said.out).unwrap();
        lag["rows"].as_array().unwrap().iter().all(|row| row["records"] == 0)
    });
}

#[test]
fn carrying_that_was_killed_goes_on_where_it_was_and_has_every_fact_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let everybody = crowd::people(data, 6);
    let (owner, people) = everybody.split_first().unwrap();
    busy(instance.http, owner, people);
    instance.kill();
    let all = (EVENTS * (people.len() + 2)) as u64;
    let mut carried = 0;
    for what in [&["--partitions", "7"][..], &["--resume"], &["--resume"]] {
        let instance = Instance::start(data);
        let mut slow = command_line::command();
        slow.args(["replay", "facts", "two.", "--rate", "2"]).args(what).arg("--data").arg(data);
        let mut slow = slow.spawn().unwrap();
        // In the middle of its work, which differs from what is there in that not all is there.
        let before = carried;
        poll_for(DEADLINE, || {
            let said = facts(data, &["--diff"]);
            let told = serde_json::from_str(&said.out).ok();
            carried = told.map_or(0, |told| counted(&told)[0]);
            carried > before
        });
        instance.kill();
        slow.kill().unwrap();
        slow.wait().unwrap();
    }
    assert!(carried < all, "{carried} of {all} were there before the last kill");
    facts(data, &["--partitions", "7"]).failed(1, &["there is a topic two.event-facts already"]);
    facts(data, &["--resume"]).good();
    assert_eq!(counted(&facts(data, &["--diff"]).json()), [all, EVENTS as u64, 0]);
}

#[test]
fn nothing_is_switched_while_commands_wait_and_wrong_prefixes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let everybody = crowd::people(data, 2);
    let event = crowd::publish(instance.http, &everybody[0], PLACES, 50);
    until_at_rest(data);
    instance.stop();
    let says = |arguments: &[&str], words: &[&str]| run_on(data, arguments).failed(1, words);
    says(&["replay", "facts", "a b", "--partitions", "2"], &["is no prefix of topics"]);
    says(&["replay", "facts", "two.", "--resume"], &["to go on with: say --partitions"]);
    says(&["replay", "facts", "two.", "--diff"], &["--partitions N` makes it"]);
    says(&["replay", "facts", "two.", "--switch"], &["--partitions N` makes it"]);
    let in_use = run_new(data, &["replay", "facts", "two.", "--partitions", "7"]);
    in_use.failed(1, &["are those that are in use"]);
    let chosen = run_on(data, &["replay", "facts", "two.", "--diff", "--switch"]);
    assert_eq!(chosen.code, 2, "{chosen:?}");

    facts(data, &["--partitions", "7"]).good();
    ask_to_join(data, &event, 9);
    facts(data, &["--switch"]).failed(1, &["1 commands are not decided yet"]);
    let instance = Instance::start(data);
    until_at_rest(data);
    instance.stop();
    assert_eq!(facts(data, &["--switch"]).json()["commands"], 0);
    assert_eq!(who_joined(data, &event), [user(9)], "it was decided, and carried");

    // Somebody did not hear of the switch.
    ask_to_join(data, &event, 8);
    assert_eq!(facts(data, &["--switch"]).json()["commands"], 1);
    assert_eq!(facts(data, &["--switch"]).json()["commands"], 0, "asked once more");
    run_new(data, &["replay", "--into", "two"]).good();
    let reason = ["--force", "--reason", "seven partitions"];
    run_new(data, &[&["replay", "switch", "two"][..], &reason].concat()).good();
    let instance = Instance::start_with(data, &NEW);
    until_new_at_rest(data);
    assert_eq!(who_joined(data, &event), [user(9), user(8)]);
    instance.stop();
}

/// Puts a command into the old topics, behind everybody's back.
fn ask_to_join(data: &Path, event: &str, who: u8) {
    let command = Command {
        id: CommandId::from_bytes([who; 16]),
        digest: 0,
        event: event.parse().unwrap(),
        actor: Actor::Person { user: user(who), role: Role::User },
        kind: CommandKind::Join,
    };
    let mut value = Vec::new();
    encode_command(&command, &mut value);
    let log = open_log(data);
    let place = TopicPartition::new("event-commands", partition_of(event.as_bytes(), 4));
    let (key, value) = (Some(event.to_owned().into()), Some(value.into()));
    let command = Outgoing { key, value, ..Outgoing::default() };
    append(&mut *log.producer("planted").unwrap(), &place, command);
}

/// Who joined after it was created and published, as the new topics tell it.
fn who_joined(data: &Path, event: &str) -> Vec<UserId> {
    let explained = run_new(data, &["explain", "--event", event, "--output", "json"]).json();
    let joins = explained["steps"].as_array().unwrap().iter().skip(2);
    joins.map(|step| step["actor"].as_str().unwrap().parse().unwrap()).collect()
}
