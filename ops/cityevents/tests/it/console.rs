//! The console of an instance, as a browser without scripts gets it.

use std::net::SocketAddr;

use cityevents_runtime::log::{Outgoing, TopicPartition};

use super::command_line::run_on;
use super::crowd;
use super::instance::{DEADLINE, Instance, poll_for};
use super::planted::{append, open_log};
use super::web::{self, Answer};

/// As promised, for the page and everything that it loads.
const PAGE_BYTES_MAX: usize = 100 * 1_024;

fn get(ops: SocketAddr, path: &str) -> Answer {
    web::once(ops, "GET", path, &[], b"")
}

/// What a page says. Templates write a slash as a character reference too.
fn page(ops: SocketAddr, path: &str) -> String {
    let answer = get(ops, path);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().replace("&#x2f;", "/")
}

#[test]
fn the_overview_says_who_is_behind_who_owns_what_and_that_all_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start(folder.path());
    let people = crowd::people(folder.path(), 3);
    let event = crowd::publish(instance.http, &people[0], 2, 0);
    for person in &people[1..] {
        crowd::join(instance.http, person, &event, "once");
    }
    let mut overview = String::new();
    poll_for(DEADLINE, || {
        overview = page(instance.ops, "/console");
        overview.contains("All is well")
    });
    for group in ["registration", "projection", "publisher", "notifier", "mailer", "trending"] {
        assert!(overview.contains(&format!("?group={group}#partitions")), "{group}: {overview}");
    }
    // One process holds all four partitions of a group.
    assert!(overview.contains(": 0–3"), "{overview}");
    assert!(overview.contains("POST /api/events/{id}/join"), "what takes time: {overview}");
    let commands = overview.matches("4 records").count();
    assert!(commands > 0, "created, published, joined twice: {overview}");

    let one = page(instance.ops, "/console?group=registration");
    assert!(one.contains("Partitions of registration"), "{one}");
    assert_eq!(one.matches("<td>event-commands</td><td class=\"number\">").count(), 4, "{one}");
    let fragment = page(instance.ops, "/console/now?group=registration");
    assert!(fragment.contains("Partitions of registration") && !fragment.contains("<html"));
    let none = page(instance.ops, "/console?group=%3Cb%3E");
    assert!(none.contains("&lt;b&gt;") && !none.contains("<b>"), "{none}");
    assert!(none.contains("There is no group of this name here."), "{none}");
    let address = format!("http://{}/console", instance.ops);
    poll_for(DEADLINE, || instance.log().contains(&address));
    instance.stop();
}

#[test]
fn pages_are_small_load_nothing_from_elsewhere_and_are_kept_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start(folder.path());
    let overview = get(instance.ops, "/console");
    let mut bytes = overview.body.len();
    for asset in ["style.css", "live.js", "icon.svg"] {
        assert!(overview.text().contains(&format!("\"/console/{asset}\"")), "{asset}");
        let answer = get(instance.ops, &format!("/console/{asset}"));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        bytes += answer.body.len();
    }
    assert!(bytes < PAGE_BYTES_MAX, "{bytes}");
    for path in ["/console", "/console/now", "/console/explain", "/console/explain?id=x"] {
        let answer = get(instance.ops, path);
        let policy = answer.header("content-security-policy").unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    }
    assert_eq!(web::once(instance.ops, "POST", "/console", &[], b"").status, 405);
    assert_eq!(get(instance.http, "/console").status, 404, "it is not for the public");
    instance.stop();
}

#[test]
fn a_planted_dead_letter_shows_in_the_depth_until_somebody_drops_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    Instance::start(data).stop();
    {
        let log = open_log(data);
        let mut producer = log.producer("planted").unwrap();
        append(&mut *producer, &TopicPartition::new("event-commands", 1), Outgoing::default());
    }
    let instance = Instance::start(data);
    let says = |words: &str| page(instance.ops, "/console").contains(words);
    // Who has just begun may lag for a moment, which is another thing to look at.
    let mut overview = String::new();
    poll_for(DEADLINE, || {
        overview = page(instance.ops, "/console");
        overview.contains("1 dead letter waits for somebody in event-commands-dlq")
            && overview.contains("1 thing to look at")
    });
    assert!(overview.contains("<code>DeadLettersWait</code>"), "{overview}");
    assert!(overview.contains("cityevents dlq list --topic event-commands-dlq"), "{overview}");
    assert!(overview.contains("1 dead letter</tspan>"), "in the picture too: {overview}");
    run_on(data, &["dlq", "drop", "--execute"]).good();
    poll_for(DEADLINE, || says("All is well"));
    instance.stop();
}

#[test]
fn an_event_a_person_and_a_command_lead_to_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let people = crowd::people(data, 3);
    let event = crowd::publish(instance.http, &people[0], 1, 0);
    let joined =
        |number: usize, key: &str| crowd::join_by(instance.http, &people[number], &event, key);
    let taken = joined(1, "first");
    let refused = joined(2, "late");
    let explain = |typed: &str| get(instance.ops, &format!("/console/explain?id={typed}"));

    let whole = explain(&event);
    assert_eq!(whole.status, 200, "{}", whole.text());
    let whole = whole.text();
    assert!(whole.contains("Steps 1 to 4 of 4"), "{whole}");
    assert!(whole.contains("event_full"), "{whole}");
    assert!(!whole.contains("Lantern walk"), "ids and numbers, and no texts: {whole}");

    let of_one = explain(&format!("{event}+{}", people[2].user)).text();
    assert!(of_one.contains("event_full: "), "with what stood against it: {of_one}");
    assert!(!of_one.contains(&format!("{} joined", people[1].user)), "{of_one}");

    for (command, what) in [(taken, "accepted"), (refused, "refused")] {
        let found = explain(&command.to_string());
        assert_eq!(found.status, 200, "{}", found.text());
        let found = found.text();
        assert!(found.contains(&format!("<code>{event}</code>")), "{found}");
        assert!(found.contains("The command asks to <b>join</b>"), "{found}");
        let sought = found.split("id=\"sought\"").nth(1).unwrap();
        let row = sought.split("</tr>").next().unwrap();
        assert!(row.contains("asked for") && row.contains(what), "{row}");
    }
    instance.stop();
}

#[test]
fn what_is_wrong_or_unknown_is_said_and_what_was_typed_stays_text() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start(folder.path());
    let unknown = "01234567-89ab-cdef-0123-456789abcdef";
    for (typed, status, said) in [
        ("", 400, "type the id of an event or of a command"),
        ("Lantern+walk", 400, "“Lantern” is no id"),
        ("%22%3E%3Cscript%3Ealert(1)%3C/script%3E", 400, "is no id"),
        (unknown, 404, "there is neither an event"),
        (&*format!("{unknown}+{unknown}"), 404, "nothing in the log concerns"),
        (&*format!("{unknown}+{unknown}+{unknown}"), 400, "more than two ids"),
        ("%ff%00", 400, "is no id"),
    ] {
        let answer = get(instance.ops, &format!("/console/explain?id={typed}"));
        let text = answer.text();
        assert_eq!(answer.status, status, "{typed}: {text}");
        assert!(text.contains(said), "{typed}: {text}");
        assert!(!text.contains("<script>"), "{text}");
        assert!(text.contains("Nothing was found"), "{text}");
    }
    let typed = get(instance.ops, "/console/explain?id=%22%3E%3Cscript%3E").text();
    assert!(typed.contains("value=\"&quot;&gt;&lt;script&gt;\""), "{typed}");
    let long = get(instance.ops, &format!("/console/explain?id={}", "x".repeat(20_000)));
    assert_eq!(long.status, 400);
    instance.stop();
}
