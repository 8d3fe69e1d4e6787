//! The command line: what it refuses, what it helps with, and what it prints.

use serde_json::Value;

use super::command_line::{command, run, run_on, said};
use super::crowd;
use super::instance::Instance;
use super::web;

const SOMEBODY: &str = "0190a5b4-0000-7000-8000-00000000000a";

/// Every subcommand, as one asks it for help.
const SUBCOMMANDS: [&str; 17] = [
    "dev",
    "demo",
    "audit",
    "explain",
    "lag",
    "log-level",
    "token",
    "keys",
    "api-keys",
    "topics",
    "snapshot",
    "dlq",
    "replay",
    "mail",
    "config",
    "bench",
    "completions",
];

#[test]
fn wrong_usage_ends_with_2_and_names_what_is_wrong() {
    let rows: &[(&[&str], &[&str])] = &[
        (&[], &["Usage"]),
        (&["dance"], &["dance"]),
        (&["dev", "--listen", "nowhere"], &["--listen", "nowhere"]),
        (&["dev", "--ops-listen", "1"], &["--ops-listen"]),
        (&["dev", "--nope"], &["--nope"]),
        (&["dev", "--data"], &["--data"]),
        (&["demo", "--people", "5"], &["--people", "10..=1000000"]),
        (&["demo", "--capacity", "0"], &["--capacity"]),
        (&["demo", "--url", "http://127.0.0.1:1"], &["--ops-url"]),
        (&["log-level", "--ops", "nowhere"], &["--ops", "nowhere"]),
        (&["token", "--count", "0"], &["--count"]),
        (&["token", "--role", "boss"], &["--role", "user, moderator, admin"]),
        (&["token", "--ttl", "never"], &["--ttl", "500ms"]),
        (&["token", "--subject", "x"], &["--subject", "not a UUID"]),
        (&["token", "--subject", SOMEBODY, "--count", "2"], &["--subject", "--count"]),
        (&["explain"], &["--event"]),
        (&["explain", "--event", "x"], &["--event", "not a UUID"]),
        (&["explain", "--event", SOMEBODY, "--user", "x"], &["--user"]),
        (&["keys"], &["Usage"]),
        (&["keys", "retire"], &["KID"]),
        (&["api-keys", "create", "--scope", "all", "--data", "/dev/null/x"], &["/dev/null/x"]),
        (&["topics", "burn"], &["burn"]),
        (&["snapshot", "list", "--output", "xml"], &["--output", "xml"]),
        (&["dlq", "show"], &["ID"]),
        (&["dlq", "redrive", "--rate", "0"], &["--rate"]),
        (&["mail", "preview", "birthday"], &["birthday", "place_confirmed"]),
        (&["mail", "preview", "removed", "--variant", "9"], &["--variant 9", "1 to 3"]),
        (&["mail", "preview", "removed", "--language", "tlh"], &["--language tlh", "de, en"]),
        (&["mail", "preview", "removed", "--format", "pdf"], &["--format", "pdf", "eml"]),
        (&["mail", "preview", "removed", "--output", "/nowhere/x"], &["--output /nowhere/x"]),
        (&["config"], &["Usage"]),
        (&["config", "check", "--config", "/nowhere.toml"], &["/nowhere.toml"]),
        (&["completions", "powerful"], &["powerful", "bash"]),
        (&["bench"], &["SCENARIO"]),
        (&["bench", "dance"], &["dance", "decide"]),
        (&["bench", "decide", "--seconds", "0"], &["--seconds"]),
    ];
    for (arguments, words) in rows {
        let said = run(arguments);
        // A folder that cannot be made is no mistake of the command line's form.
        let code = if arguments.contains(&"/dev/null/x") { 1 } else { 2 };
        assert_eq!(said.code, code, "{arguments:?}: {}", said.err);
        said.failed(code, words);
        assert_eq!(said.out, "", "{arguments:?}");
    }
}

#[test]
fn an_unknown_scope_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let said = run_on(folder.path(), &["api-keys", "create", "--scope", "all"]);
    said.failed(2, &["all", "ingest"]);
}

#[test]
fn accounts_are_served_to_others_only_under_a_public_address() {
    let folder = tempfile::tempdir().unwrap();
    let run = |listen: &str, public_url: Option<&str>, store: &str| {
        let mut run = command();
        run.args(["run", "--role", "api", "--ops-listen", "127.0.0.1:0", "--listen", listen]);
        // Nobody is there, which is found out later.
        run.env("CITYEVENTS__DATA__DIR", folder.path())
            .env("CITYEVENTS__KAFKA__BROKERS", "127.0.0.1:1")
            .env("CITYEVENTS__KAFKA__REQUEST_TIMEOUT", "1s")
            .env("CITYEVENTS__SCYLLA__NODES", "127.0.0.1:1")
            .env("CITYEVENTS__KEYS__STORE", store);
        run.envs(public_url.map(|url| ("CITYEVENTS__HTTP__PUBLIC_URL", url)));
        said(run.output().unwrap())
    };
    let refused = run("0.0.0.0:0", None, "dir");
    refused.failed(2, &["http.public_url", "https", "CITYEVENTS__HTTP__PUBLIC_URL", "loopback"]);
    for (listen, url) in [("0.0.0.0:0", Some("https://city.example")), ("127.0.0.1:0", None)] {
        let gone = run(listen, url, "dir");
        assert_eq!(gone.code, 1, "{}", gone.err);
        assert!(!gone.err.contains("public_url"), "{}", gone.err);
    }
    run("127.0.0.1:0", None, "cloud").failed(2, &["keys.store", "cloud"]);
    let mut alone = command();
    alone.args(["keys", "list", "--data"]).arg(folder.path());
    let alone = said(alone.env("CITYEVENTS__KEYS__STORE", "views").output().unwrap());
    alone.failed(2, &["keys.store", "clusters"]);
}

#[test]
fn every_subcommand_helps_with_an_example() {
    for subcommand in SUBCOMMANDS {
        let help = run(&[subcommand, "--help"]).good();
        let example = help.split("Example:").nth(1).unwrap_or_else(|| panic!("{help}"));
        assert!(example.contains(&format!("cityevents {subcommand}")), "{help}");
    }
    let help = run(&["--help"]).good();
    for subcommand in SUBCOMMANDS {
        assert!(help.contains(&format!("\n  {subcommand} ")), "{subcommand}: {help}");
    }
    assert!(run(&["--version"]).good().starts_with("cityevents "));
}

#[test]
fn a_configuration_is_refused_with_everything_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("city.toml");
    let text = "[http]\nlisten = \"nowhere\"\nheader_timeout = \"soon\"\nlisten_on = 1\n\
                [log]\npartitions = 0\n[logs]\nprefix = \"a\"\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let wrong = [
        "5 problems",
        "http.listen",
        "nowhere",
        "http.header_timeout",
        "soon",
        "http.listen_on",
        "log.partitions",
        "logs.prefix",
        "unknown key",
    ];
    for arguments in [
        &["config", "check", "--config", file][..],
        &["config", "--config", file, "check"],
        &["dev", "--config", file],
        &["audit", "--config", file],
        &["token", "--config", file],
    ] {
        run(arguments).failed(2, &wrong);
    }
    let said = command()
        .args(["config", "check"])
        .env("CITYEVENTS__LOG__PARTITIONS", "many")
        .env("CITYEVENTS__NO__SUCH", "1")
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(2));
    let err = String::from_utf8(said.stderr).unwrap();
    assert!(err.contains("CITYEVENTS__NO__SUCH") && err.contains("log.partitions"), "{err}");
    std::fs::write(file, "not toml at all [").unwrap();
    run(&["config", "check", "--config", file]).failed(2, &["city.toml"]);
}

#[test]
fn a_good_configuration_is_shown_with_its_origins() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("city.toml");
    std::fs::write(&file, "[log]\npartitions = 7\n").unwrap();
    let file = file.to_str().unwrap();
    assert!(run(&["config", "check", "--config", file]).good().contains("good"));
    let shown = run(&["config", "show", "--config", file, "--output", "json"]).json();
    let partitions = row(&shown, "key", "log.partitions");
    assert!(partitions["origin"].as_str().unwrap().contains("city.toml"), "{partitions}");
    let defaults = run(&["config", "default"]).good();
    std::fs::write(file, defaults).unwrap();
    run(&["config", "check", "--config", file]).good();
}

#[test]
fn completions_know_the_subcommands() {
    for (shell, sign) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef cityevents"),
        ("fish", "complete -c cityevents"),
    ] {
        let script = run(&["completions", shell]).good();
        assert!(script.contains(sign), "{shell}");
        for subcommand in SUBCOMMANDS {
            assert!(script.contains(subcommand), "{shell} {subcommand}");
        }
    }
}

#[test]
fn many_tokens_are_of_many_people_one_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let out = run_on(folder.path(), &["token", "--count", "50"]).good();
    let tokens: std::collections::BTreeSet<_> = out.lines().collect();
    assert_eq!((tokens.len(), out.lines().count()), (50, 50));
    assert!(tokens.iter().all(|token| token.split('.').count() == 3));
    let people = crowd::people(folder.path(), 20);
    let users: std::collections::BTreeSet<_> = people.iter().map(|person| &person.user).collect();
    assert_eq!(users.len(), 20);
    let one = run_on(folder.path(), &["token", "--subject", SOMEBODY, "--output", "json"]).json();
    assert_eq!(one[0]["subject"], SOMEBODY);
}

#[test]
fn questions_are_answered_beside_a_running_instance_and_on_a_stopped_one_alike() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let people = crowd::people(data, 5);
    let event = crowd::publish(instance.http, &people[0], 2, 1);
    for person in &people[1..] {
        crowd::join(instance.http, person, &event, "once");
    }
    let taken = run_on(data, &["snapshot", "take", "--output", "json"]).json();
    assert!(taken.as_array().unwrap().iter().any(|row| row["name"].is_string()), "{taken}");
    let questions: [&[&str]; 7] = [
        &["audit"],
        &["explain", "--event", &event],
        &["explain", "--event", &event, "--user", &people[4].user],
        &["topics", "list"],
        &["topics", "check"],
        &["snapshot", "verify"],
        &["dlq", "list"],
    ];
    let ask = || -> Vec<Value> {
        let ask = |question: &&[&str]| {
            assert!(!run_on(data, question).good().is_empty(), "{question:?}");
            run_on(data, &[question, &["--output", "json"][..]].concat()).json()
        };
        questions.iter().map(ask).collect()
    };
    let running = ask();
    assert_eq!(running[0]["active"], 2);
    assert_eq!(running[1]["steps"].as_array().unwrap().len(), 6);
    let last = running[2]["steps"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["reason"], &last["actor"]),
        (&"event_full".into(), &people[4].user.clone().into())
    );
    let because = last["because"].as_str().unwrap();
    assert!(because.starts_with("2 of 2 places were taken and 1 of 1 waited"), "{because}");
    let whole = running[1]["steps"].as_array().unwrap();
    let third = whole.iter().find(|step| step["actor"] == people[3].user).unwrap();
    assert!(because.ends_with(&format!("since command {}", third["command_offset"])), "{because}");
    let times = whole.iter().map(|step| {
        let time = |field: &str| step[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        [time("asked_at"), time("decided_at")]
    });
    let times: Vec<_> = times.flatten().collect();
    assert!(times.iter().step_by(2).is_sorted(), "{times:?}");
    let begun = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    assert!(times.iter().all(|time| *time > begun), "{times:?}");
    assert!(running[3].as_array().unwrap().len() > 10);
    assert_eq!(running[4], serde_json::json!([]));
    assert!(running[5].as_array().unwrap().iter().all(|row| row["good"] == true));
    assert_eq!(
        run_on(data, &["topics", "create", "--output", "json"]).json(),
        serde_json::json!([])
    );
    run_on(data, &["explain", "--event", SOMEBODY]).failed(1, &["nothing in the log", SOMEBODY]);
    instance.stop();
    let stopped = ask();
    assert_eq!(stopped[0]["facts"], running[0]["facts"]);
    assert_eq!(stopped[0]["active"], running[0]["active"]);
    assert_eq!(stopped[1..3], running[1..3]);
    assert_eq!(stopped[4..], running[4..]);
    let listed = run_on(data, &["snapshot", "list", "--output", "json"]).json();
    assert!(!listed.as_array().unwrap().is_empty());
    run_on(data, &["snapshot", "take"]).good();
    run_on(data, &["explain", "--event", SOMEBODY]).failed(1, &["nothing in the log", SOMEBODY]);
}

#[test]
fn a_question_without_an_instance_says_how_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    for question in
        [&["audit"][..], &["lag"], &["topics", "list"], &["snapshot", "list"], &["dlq", "list"]]
    {
        run_on(folder.path(), question).failed(1, &["there is no instance in", "cityevents dev"]);
    }
}

#[test]
fn keys_rotate_and_retire_while_an_instance_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let status = |bearer: &str| web::get_as(instance.http, bearer, "/api/me/events").status;
    let shown = || {
        let keys = web::once(instance.http, "GET", "/.well-known/jwks.json", &[], b"").json();
        let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
        keys["keys"].as_array().unwrap().iter().map(kid).collect::<Vec<_>>()
    };
    let before = crowd::people(data, 1).remove(0);
    assert_eq!(status(&before.bearer), 200);
    assert_eq!(shown().len(), 2);
    let keys = run_on(data, &["keys", "rotate", "--output", "json"]).json();
    let old = row(&keys, "status", "retiring")["kid"].as_str().unwrap().to_owned();
    // Signed with the key that everybody could see before: good at once.
    let after = crowd::people(data, 1).remove(0);
    assert_eq!((status(&after.bearer), status(&before.bearer)), (200, 200));
    super::instance::poll_for(super::instance::DEADLINE, || shown().len() == 3);
    run_on(data, &["keys", "retire", "nosuchkey"]).failed(1, &["nosuchkey"]);
    let current = row(&keys, "status", "current")["kid"].as_str().unwrap().to_owned();
    run_on(data, &["keys", "retire", &current]).failed(1, &[&current]);
    run_on(data, &["keys", "retire", &old]).failed(1, &[&old, "--stolen"]);
    assert_eq!(status(&before.bearer), 200);
    run_on(data, &["keys", "retire", &old, "--stolen"]).good();
    super::instance::poll_for(super::instance::DEADLINE, || status(&before.bearer) == 401);
    assert_eq!(status(&after.bearer), 200);
    assert!(!shown().contains(&old));
    instance.stop();
}

#[test]
fn api_keys_are_shown_once_and_revoked_while_an_instance_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start(data);
    let made =
        run_on(data, &["api-keys", "create", "--label", "importer", "--output", "json"]).json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let bearer = format!("Bearer {key}");
    let upload = || {
        let headers = [("authorization", &*bearer), ("content-type", "application/x-ndjson")];
        web::once(instance.http, "POST", "/api/ingest", &headers, b"{}\n").status
    };
    super::instance::poll_for(super::instance::DEADLINE, || upload() == 200);
    let listed = run_on(data, &["api-keys", "list"]).good();
    assert!(listed.contains("importer") && listed.contains(id) && !listed.contains(key));
    run_on(data, &["api-keys", "revoke", "nosuchkey"]).failed(1, &["nosuchkey"]);
    run_on(data, &["api-keys", "revoke", id]).good();
    super::instance::poll_for(super::instance::DEADLINE, || upload() == 401);
    assert_eq!(
        run_on(data, &["api-keys", "list", "--output", "json"]).json(),
        serde_json::json!([])
    );
    instance.stop();
}

/// The row of a table whose field says this.
fn row<'a>(rows: &'a Value, field: &str, text: &str) -> &'a Value {
    let found = rows.as_array().unwrap().iter().find(|row| row[field] == text);
    found.unwrap_or_else(|| panic!("no {field} {text} in {rows}"))
}
