//! Tables that a replay made are thrown away: of an instance that runs and of one that does not, and
//! never those that somebody needs.

use super::command_line::{self, Said, run_on};
use super::crowd;
use super::instance::{DEADLINE, Instance, poll_for};

#[test]
fn tables_are_dropped_unless_they_are_live_main_or_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let everybody = crowd::people(data, 2);
    let event = crowd::publish(instance.http, &everybody[0], 9, 9);
    crowd::join(instance.http, &everybody[1], &event, "join");
    let replay = |arguments: &[&str]| -> Said { run_on(data, &[&["replay"], arguments].concat()) };
    let status = || replay(&["status", "--output", "json"]).json();
    replay(&["drop", "night"]).failed(1, &["there are no tables night"]);
    replay(&["drop", "main"]).failed(1, &["the main tables", "never dropped"]);
    replay(&["drop", "../views"]).failed(1, &["is no name of tables"]);

    replay(&["--into", "night"]).good();
    assert!(data.join("shadows/night").is_dir());
    let said = replay(&["drop", "night", "--output", "json"]).json();
    assert_eq!(said["tables"], "night");
    assert!(!data.join("shadows/night").exists());
    assert!(status()["since"].is_null(), "nobody ever made others live");
    replay(&["show", "night", "--event", &event]).failed(1, &["there are no tables night"]);

    // The same name again, and now they are live.
    replay(&["--into", "night"]).good();
    replay(&["switch", "night"]).good();
    replay(&["drop", "night"]).failed(1, &["night are the live tables", "replay switch"]);
    replay(&["drop", "main"]).failed(1, &["never dropped"]);
    replay(&["switch", "main"]).good();
    let since = status()["since"].clone();
    // Tasks that wrote them a moment ago are waited for.
    replay(&["drop", "night"]).good();
    assert_eq!((&status()["live"], &status()["since"]), (&"main".into(), &since));
    assert_eq!(std::fs::read_dir(data.join("shadows")).unwrap().count(), 0);
    let shown = replay(&["show", "main", "--event", &event, "--output", "json"]).json();
    assert_eq!(shown["active"], 1, "the live ones are whole: {shown}");

    replay(&["--into", "late"]).good();
    instance.stop();
    replay(&["drop", "late"]).good();
    assert!(!data.join("shadows/late").exists());
    replay(&["drop", "late"]).failed(1, &["there are no tables late"]);
}

#[test]
fn what_a_killed_replay_and_a_killed_drop_left_goes_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let owner = crowd::people(data, 1).remove(0);
    for _ in 0..8 {
        crowd::publish(instance.http, &owner, 9, 9);
    }
    let mut slow = command_line::command()
        .args(["replay", "--into", "night", "--rate", "1", "--data"])
        .arg(data)
        .spawn()
        .unwrap();
    poll_for(DEADLINE, || data.join("shadows/night/rows").is_dir());
    slow.kill().unwrap();
    slow.wait().unwrap();
    // As a drop leaves it that was killed on the way.
    let left = data.join("shadows/.removed-before");
    std::fs::create_dir_all(left.join("rows")).unwrap();
    std::fs::write(left.join("rows/1"), "rows").unwrap();
    run_on(data, &["replay", "drop", "night"]).good();
    assert_eq!(std::fs::read_dir(data.join("shadows")).unwrap().count(), 0);
    run_on(data, &["replay", "--into", "night"]).good();
    run_on(data, &["replay", "switch", "night"]).good();
    instance.stop();
}
