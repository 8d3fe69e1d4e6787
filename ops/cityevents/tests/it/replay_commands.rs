//! The logged commands decided once more.

use cityevents_domain::event::EventStatus;
use cityevents_domain::fact::EventCause;

use super::command_line::run_on;
use super::crowd;
use super::instance::Instance;
use super::planted::Planted;
use super::web::Connection;

#[test]
fn the_same_program_decides_everything_as_the_log_says() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let everybody = crowd::people(data, 8);
    let (owner, people) = everybody.split_first().unwrap();
    let event = crowd::publish(instance.http, owner, 2, 3);
    let mut connection = Connection::open(instance.http).unwrap();
    // Places, a line, refusals, repeated keys, a promotion, and asking for what is so already.
    for (call, key) in [("join", "a"), ("join", "a"), ("join", "b"), ("cancel", "c")] {
        for person in people {
            let path = format!("/api/events/{event}/{call}");
            crowd::post(&mut connection, person, &path, key).unwrap();
        }
    }
    let commands = || {
        let said = run_on(data, &["replay", "commands", "--output", "json"]).json();
        assert!(said.as_array().unwrap().iter().all(|one| one["differing"] == 0), "{said}");
        let decided = said.as_array().unwrap().iter().map(|one| one["commands"].as_u64().unwrap());
        decided.sum::<u64>()
    };
    let running = commands();
    assert!(running >= 30, "{running}");
    instance.stop();
    assert!(commands() >= running);
    let said = run_on(data, &["replay", "commands"]).good();
    assert!(said.contains("decides all"), "{said}");
}

#[test]
fn a_decision_that_this_program_would_not_make_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let everybody = crowd::people(data, 1);
    crowd::publish(instance.http, &everybody[0], 9, 9);
    instance.stop();
    let mut log = Planted::new(data, 1);
    log.change_event(EventCause::Created, |_| {});
    log.change_event(EventCause::Published, |row| {
        row.status = EventStatus::Published;
        row.published_at = Some(row.created_at);
    });
    log.step(vec![log.joined(1)], 1, 0);
    // There is one place only.
    let wrong = log.step(vec![log.joined(2)], 2, 0);
    let event = log.event.to_string();
    log.close();
    let said = run_on(data, &["replay", "commands", "--output", "json"]);
    assert_eq!(said.code, 1, "{}", said.err);
    let answer: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let partitions = answer.as_array().unwrap();
    let all: Vec<_> =
        partitions.iter().flat_map(|one| one["differences"].as_array().unwrap()).collect();
    assert!(all.iter().all(|one| one["event"] == event), "{answer}");
    let sum = |field: &str| partitions.iter().map(|one| one[field].as_u64().unwrap()).sum::<u64>();
    assert!(sum("differing") < sum("commands"), "what people did is decided as before: {answer}");
    let last = all.iter().find(|one| one["fact_offset"] == wrong).unwrap();
    assert_eq!(last["command"], "join");
    assert!(last["logged"].as_str().unwrap().contains("active: 2"), "{last}");
    assert!(last["now"].as_str().unwrap().contains("waiting: 1"), "{last}");
}
