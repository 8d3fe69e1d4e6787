//! Other tables become the live ones: while the instance runs, over its restarts, and back again.

use std::net::SocketAddr;
use std::path::Path;

use cityevents_views::embedded::Options;
use cityevents_views::{Mutation, Views, WriteTimestamp};
use futures::executor::block_on;
use serde_json::Value;

use super::command_line::run_on;
use super::crowd::{self, Person};
use super::instance::{DEADLINE, Instance, poll_for};
use super::web;

/// How many have a place, as tables say.
fn active(data: &Path, tables: &str, event: &str) -> u64 {
    let show = ["replay", "show", tables, "--event", event, "--output", "json"];
    run_on(data, &show).json()["active"].as_u64().unwrap()
}

/// Where somebody stands, as the page of an event says.
fn standing(http: SocketAddr, person: &Person, event: &str) -> Value {
    let page = web::get_as(http, &person.bearer, &format!("/api/events/{event}/view"));
    assert_eq!(page.status, 200, "{}", page.text());
    page.json()["participation"]["status"].clone()
}

/// Somebody joins, and sees it: so it is in the tables that are read.
fn join_and_see(http: SocketAddr, person: &Person, event: &str) {
    assert_eq!(crowd::join(http, person, event, "join").status, 200);
    poll_for(DEADLINE, || standing(http, person, event) == "active");
}

#[test]
fn other_tables_become_the_live_ones_while_the_instance_runs_stay_so_and_go_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let http = instance.http;
    let everybody = crowd::people(data, 6);
    let (owner, people) = everybody.split_first().unwrap();
    let event = crowd::publish(http, owner, 9, 9);
    join_and_see(http, &people[0], &event);
    let switch = |name: &str| run_on(data, &["replay", "switch", name, "--output", "json"]);
    switch("night").failed(1, &["there are no tables night"]);
    switch("main").failed(1, &["are the live tables already"]);
    run_on(data, &["replay", "--into", "night"]).good();
    join_and_see(http, &people[1], &event);

    let status = |name: &[&str]| {
        run_on(data, &[&["replay", "status", "--output", "json"][..], name].concat()).json()
    };
    assert_eq!((&status(&[])["live"], &status(&[])["since"]), (&"main".into(), &Value::Null));
    let [begun, ended] = ["night", "main"].map(|name| {
        let said = status(&[name]);
        let rows = said["partitions"].as_array().unwrap();
        rows.iter().map(|row| row["offset"].as_u64().unwrap()).sum::<u64>()
    });
    assert!(begun < ended, "{begun} {ended}");

    // What came meanwhile is in the new tables too.
    let said = switch("night").json();
    assert_eq!((&said["from"], &said["takes_effect"]), (&"main".into(), &"now".into()));
    assert!(said["compared_rows"].as_u64().unwrap() >= 4, "{said}");
    assert_eq!(active(data, "night", &event), 2);
    join_and_see(http, &people[2], &event);
    assert_eq!(active(data, "night", &event), 3);
    run_on(data, &["replay", "--into", "night", "--resume"]).failed(1, &["are the live tables"]);
    assert_eq!(web::once(instance.ops, "GET", "/readyz", &[], b"").status, 200);

    let said = status(&[]);
    assert_eq!((&said["live"], &said["tables"]), (&"night".into(), &"night".into()));
    assert!(said["since"].as_str().is_some() && said["by"].as_str().is_some(), "{said}");

    // A restart changes nothing of it, also a sudden one.
    instance.kill();
    let instance = Instance::start(data);
    let http = instance.http;
    join_and_see(http, &people[3], &event);
    assert_eq!(active(data, "night", &event), 4);
    assert!(active(data, "main", &event) < 4, "nobody writes the old ones any more");

    // The old ones are brought up to now, and are the live ones again.
    switch("main").json();
    join_and_see(http, &people[4], &event);
    assert_eq!(active(data, "main", &event), 5);
    instance.stop();
    run_on(data, &["replay", "diff", "night"]).good();
    assert_eq!(switch("night").json()["takes_effect"], "at the next start");
    let instance = Instance::start(data);
    assert_eq!(standing(instance.http, &people[4], &event), "active");
    run_on(data, &["replay", "diff", "main"]).good();
    instance.stop();
}

#[test]
fn tables_that_differ_become_live_only_by_force_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let everybody = crowd::people(data, 2);
    let event = crowd::publish(instance.http, &everybody[0], 9, 9);
    join_and_see(instance.http, &everybody[1], &event);
    run_on(data, &["replay", "--into", "right"]).good();
    instance.stop();
    {
        // The live ones are wrong, as after a bug.
        let views = Views::embedded(&data.join("views"), Options::default()).unwrap();
        let (of, user) = (event.parse().unwrap(), everybody[1].user.parse().unwrap());
        let mut row = block_on(views.registrations.registration(of, user)).unwrap().unwrap();
        row.registration.status = cityevents_domain::registration::RegistrationStatus::Rejected;
        let late = WriteTimestamp(1_000_000);
        block_on(views.write.write(vec![Mutation::new(row, late)])).unwrap();
    }
    let instance = Instance::start(data);
    assert_eq!(standing(instance.http, &everybody[1], &event), "rejected");
    let switch = |more: &[&str]| run_on(data, &[&["replay", "switch", "right"], more].concat());
    switch(&[]).failed(1, &["1 rows of the tables right", "replay diff right", "--force"]);
    assert_eq!(switch(&["--force"]).code, 2);
    assert_eq!(standing(instance.http, &everybody[1], &event), "rejected");
    switch(&["--force", "--reason", "a bug in the rows of registrations"]).good();
    poll_for(DEADLINE, || standing(instance.http, &everybody[1], &event) == "active");
    let said = run_on(data, &["replay", "status"]).good();
    assert!(said.contains("because: a bug in the rows of registrations"), "{said}");
    instance.stop();
}

#[test]
fn tables_of_the_past_do_not_become_the_live_ones() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let everybody = crowd::people(data, 1);
    crowd::publish(instance.http, &everybody[0], 9, 9);
    let now = jiff::Timestamp::now().to_string();
    run_on(data, &["replay", "--into", "past", "--to", &now]).good();
    for action in ["diff", "switch"] {
        run_on(data, &["replay", action, "past"]).failed(1, &["the tables past go up to"]);
    }
    instance.stop();
}
