//! Tables made anew from the log beside the live ones: while the instance runs and while it does not,
//! up to now and up to a moment of the past, in one go and after a kill.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use cityevents_runtime::log::partitioner::partition_of;
use cityevents_views::embedded::Options;
use cityevents_views::{Mutation, Views, WriteTimestamp};
use futures::executor::block_on;
use serde_json::Value;

use super::command_line::{self, run_on};
use super::crowd::{self, Person};
use super::instance::{DEADLINE, Instance, poll_for};
use super::web::Connection;

/// Partitions of an instance with default settings.
const PARTITIONS: u32 = 4;

/// What tables say of an event, without their name.
fn shown(data: &Path, tables: &str, event: &str) -> Value {
    let said = run_on(data, &["replay", "show", tables, "--event", event, "--output", "json"]);
    let mut shown = said.json();
    for field in ["tables", "until"] {
        shown.as_object_mut().unwrap().remove(field);
    }
    shown
}

/// As many events as it takes to have one in each of these partitions, in that order.
fn events_in(http: SocketAddr, owner: &Person, partitions: &[u32]) -> Vec<String> {
    let mut found = vec![None; PARTITIONS as usize];
    while partitions.iter().any(|wanted| found[*wanted as usize].is_none()) {
        let event = crowd::publish(http, owner, 2, 50);
        let partition = partition_of(event.as_bytes(), PARTITIONS);
        found[partition as usize].get_or_insert(event);
    }
    partitions.iter().map(|wanted| found[*wanted as usize].clone().unwrap()).collect()
}

fn leave(http: SocketAddr, person: &Person, event: &str) {
    let mut connection = Connection::open(http).unwrap();
    let path = format!("/api/events/{event}/cancel");
    let answer = crowd::post(&mut connection, person, &path, "leave").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Waits until the live tables have so many people of an event, here or gone.
fn wait_for_rows(data: &Path, event: &str, people: usize) -> Value {
    let mut live = Value::Null;
    poll_for(DEADLINE, || {
        live = shown(data, "main", event);
        live["registrations"].as_array().unwrap().len() == people
    });
    live
}

#[test]
fn tables_made_anew_say_what_the_live_ones_say_while_the_instance_runs_and_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let http = instance.http;
    let everybody = crowd::people(data, 7);
    let (owner, people) = everybody.split_first().unwrap();
    let events = events_in(http, owner, &[0, 3]);
    for person in people {
        events.iter().for_each(|event| drop(crowd::join(http, person, event, "join")));
    }
    leave(http, &people[0], &events[0]);
    leave(http, &people[5], &events[1]);
    for event in &events {
        wait_for_rows(data, event, 6);
    }
    let said = run_on(data, &["replay", "--into", "beside", "--output", "json"]).json();
    assert!(said["records"].as_u64().unwrap() > 16, "{said}");
    for event in &events {
        assert_eq!(shown(data, "beside", event), shown(data, "main", event));
    }
    instance.stop();
    run_on(data, &["replay", "--into", "afterwards"]).good();
    for event in &events {
        let shown_then = shown(data, "afterwards", event);
        assert_eq!(shown_then["active"], 2);
        assert_eq!(shown_then, shown(data, "main", event));
    }

    // More happens, and the same tables are brought up to it.
    let instance = Instance::start(data);
    leave(instance.http, &people[1], &events[0]);
    poll_for(DEADLINE, || shown(data, "main", &events[0]) != shown(data, "beside", &events[0]));
    let said = run_on(data, &["replay", "--into", "beside", "--resume", "--output", "json"]).json();
    assert_eq!(shown(data, "beside", &events[0]), shown(data, "main", &events[0]), "{said}");
    instance.stop();
}

#[test]
fn a_replay_that_was_killed_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let everybody = crowd::people(data, 41);
    let (owner, people) = everybody.split_first().unwrap();
    let [first, last] = events_in(instance.http, owner, &[0, 3]).try_into().unwrap();
    for person in people {
        crowd::join(instance.http, person, &first, "join");
    }
    crowd::join(instance.http, &people[0], &last, "join");
    wait_for_rows(data, &first, people.len());
    wait_for_rows(data, &last, 1);
    // So slow that the first partition is done at once and the last one not within the test.
    let mut slow = command_line::command()
        .args(["replay", "--into", "beside", "--rate", "1", "--data"])
        .arg(data)
        .spawn()
        .unwrap();
    let show = |event: &str| run_on(data, &["replay", "show", "beside", "--event", event]);
    poll_for(DEADLINE, || show(&first).code == 0);
    show(&last).failed(1, &["know no event"]);
    slow.kill().unwrap();
    slow.wait().unwrap();
    instance.kill();

    let said = run_on(data, &["replay", "--into", "beside", "--resume", "--output", "json"]).json();
    let facts = |partition: u64| {
        let all = said["partitions"].as_array().unwrap();
        let of = |one: &&Value| one["topic"] == "event-facts" && one["partition"] == partition;
        let one = all.iter().find(of).unwrap();
        ["began", "offset", "goal"].map(|field| one[field].as_u64().unwrap())
    };
    let ([began, offset, goal], [began_last, offset_last, goal_last]) = (facts(0), facts(3));
    assert!(began > people.len() as u64, "the first partition was done: {said}");
    assert_eq!((offset, offset_last), (goal, goal_last), "{said}");
    assert_eq!(began_last, 0, "{said}");
    for event in [&first, &last] {
        assert_eq!(shown(data, "beside", event), shown(data, "main", event));
    }
}

#[test]
fn tables_of_a_moment_of_the_past_have_what_was_decided_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let everybody = crowd::people(data, 3);
    let (owner, people) = everybody.split_first().unwrap();
    let event = crowd::publish(instance.http, owner, 2, 5);
    crowd::join(instance.http, &people[0], &event, "join");
    let then = wait_for_rows(data, &event, 1);
    let moment = then["registrations"][0]["updated_at"].as_str().unwrap().to_owned();
    let parsed: jiff::Timestamp = moment.parse().unwrap();
    poll_for(DEADLINE, || jiff::Timestamp::now() > parsed + Duration::from_millis(2));
    crowd::join(instance.http, &people[1], &event, "join");
    leave(instance.http, &people[0], &event);
    wait_for_rows(data, &event, 2);
    let mut instance = Some(instance);
    for name in ["running", "stopped"] {
        let replay = ["replay", "--into", name, "--to", &moment];
        run_on(data, &replay).good();
        assert_eq!(shown(data, name, &event), then);
        // Nothing more comes with going on, up to the same moment.
        run_on(data, &[&replay[..], &["--resume"]].concat()).good();
        assert_eq!(shown(data, name, &event), then);
        run_on(data, &["replay", "--into", name, "--resume"]).failed(1, &["are made up to --to"]);
        if let Some(running) = instance.take() {
            running.stop();
        }
    }
}

#[test]
fn a_replay_that_cannot_be_right_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    run_on(data, &["replay", "--into", "early"]).failed(1, &["there is no instance"]);
    let instance = Instance::start(data);
    let owner = crowd::people(data, 1).remove(0);
    let event = crowd::publish(instance.http, &owner, 2, 5);
    let refused = |arguments: &[&str], words: &[&str]| {
        run_on(data, &[&["replay"], arguments].concat()).failed(1, words);
    };
    refused(&["--into", "main"], &["are the live tables"]);
    refused(&["--into", "beside", "--resume"], &["there are no tables beside"]);
    refused(&["--into", "beside", "--to", "2999-01-01T00:00:00Z"], &["has not come yet"]);
    refused(&["--into", "beside", "--to", "2001-01-01T00:00:00Z"], &["nothing was decided by"]);
    refused(&["show", "beside", "--event", &event], &["there are no tables beside"]);
    assert!(!data.join("shadows").exists(), "a refused replay leaves nothing");
    run_on(data, &["replay", "--into", "beside"]).good();
    refused(&["--into", "beside"], &["there are tables beside already", "--resume"]);
    for usage in [
        &["--into", "no/name"][..],
        &["--into", "beside", "--to", "yesterday"],
        &["--into", "beside", "--rate", "0"],
        &[],
    ] {
        let said = run_on(data, &[&["replay"], usage].concat());
        assert_eq!(said.code, 2, "{usage:?}: {}", said.err);
    }
    instance.stop();
}

#[test]
fn a_comparison_finds_nothing_under_traffic_and_a_row_that_somebody_changed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let http = instance.http;
    let everybody = crowd::people(data, 400);
    let (owner, people) = everybody.split_first().unwrap();
    let event = crowd::publish(http, owner, 20, 400);
    crowd::join(http, &people[0], &event, "join");
    run_on(data, &["replay", "--into", "beside"]).good();
    let diff = || run_on(data, &["replay", "diff", "beside", "--output", "json"]);
    std::thread::scope(|scope| {
        let joining = scope.spawn(|| {
            let mut connection = Connection::open(http).unwrap();
            let path = format!("/api/events/{event}/join");
            for person in &people[1..] {
                let joined = crowd::post(&mut connection, person, &path, "join").unwrap();
                assert_eq!(joined.status, 200, "{}", joined.text());
            }
        });
        let mut compared = 0;
        while !joining.is_finished() {
            let said = diff().json();
            assert!(said.as_array().unwrap().iter().all(|one| one["differing"] == 0), "{said}");
            compared += 1;
        }
        assert!(compared > 0);
    });
    wait_for_rows(data, &event, people.len());
    let said = diff().json();
    let partition = partition_of(event.as_bytes(), PARTITIONS) as usize;
    assert_eq!(said[partition]["rows"], people.len() + 2, "people, event and counters: {said}");
    assert_eq!(said[partition]["live_hash"], said[partition]["other_hash"]);
    instance.stop();

    // The last of the line has another ticket in one of both.
    {
        let views = Views::embedded(&data.join("shadows/beside"), Options::default()).unwrap();
        let (event, user) = (event.parse().unwrap(), people[350].user.parse().unwrap());
        let row = block_on(views.registrations.registration(event, user)).unwrap();
        let mut row = row.unwrap();
        row.registration.ticket = Some(7_000);
        let late = WriteTimestamp(1_000_000);
        block_on(views.write.write(vec![Mutation::new(row, late)])).unwrap();
    }
    let said = run_on(data, &["replay", "diff", "beside"]);
    assert_eq!(said.code, 1, "{}", said.err);
    for words in [&*event, &format!("registration of {}", people[350].user), "7000"] {
        assert!(said.out.contains(words), "{words} is not in {}", said.out);
    }
    assert!(said.out.contains("1 of "), "{}", said.out);
    run_on(data, &["replay", "diff", "main"]).failed(1, &["are the live tables"]);
}
