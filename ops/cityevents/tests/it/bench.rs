//! Measurements: what they say when servers are missing or options are wrong.

use crate::command_line::run;

#[test]
fn a_comparison_without_servers_says_how_each_is_given() {
    let said = run(&["bench", "kafka", "--runs", "1", "--output", "json"]).json();
    let entries = said["entries"].as_array().unwrap();
    for (what, option) in [
        ("null loop", "--kafka"),
        ("product", "--kafka"),
        ("transactions", "--kafka"),
        ("PostgreSQL", "--postgres"),
        ("Redis", "--redis"),
    ] {
        let named = |entry: &&serde_json::Value| entry["what"].as_str().unwrap().contains(what);
        let found: Vec<_> = entries.iter().filter(named).collect();
        assert!(found.len() >= 2, "{what} is left out of {said}");
        for entry in found {
            let reason = entry["not_measured"].as_str().unwrap();
            assert!(reason.contains(option), "{what}: {reason}");
        }
    }
    let table = run(&["bench", "kafka", "--runs", "1"]).good();
    assert!(table.contains("not measured: give --postgres"), "{table}");
}

#[test]
fn wrong_options_of_measurements_are_named() {
    let cases: [(&[&str], &[&str]); 10] = [
        (&["kafka", "--kafka", "localhost"], &["--kafka", "host:port"]),
        (&["kafka", "--pid", "kafka"], &["--pid", "NAME=PID"]),
        (&["kafka", "--pid", "mongo=1"], &["mongo", "postgres or redis"]),
        (&["kafka", "--redis", "localhost:1"], &["--redis", "redis://host:port"]),
        (&["kafka", "--postgres", "localhost:1"], &["--postgres"]),
        (&["http", "--url", "http://127.0.0.1:1"], &["--ops-url"]),
        (
            &["http", "--url", "http://127.0.0.1:1", "--ops-url", "http://127.0.0.1:1"],
            &["--keys", "keys.store"],
        ),
        (
            &["ingest", "--url", "http://127.0.0.1:1", "--ops-url", "http://127.0.0.1:1"],
            &["--keys", "API key"],
        ),
        (&["http", "--keys", "."], &["--url"]),
        (&["tracing", "--trace", "2"], &["--trace", "from 0 to 1"]),
    ];
    for (arguments, words) in cases {
        let said = run(&[&["bench"], arguments].concat());
        said.failed(2, words);
    }
}

#[test]
fn a_server_that_is_not_there_fails_the_measurement() {
    // The port of discarded packets, which no test is given.
    let address = "127.0.0.1:9";
    let url = format!("redis://{address}");
    let said = run(&["bench", "kafka", "--runs", "1", "--seconds", "1", "--redis", &url]);
    said.failed(1, &["Redis cannot be reached", "--redis"]);
    let url = format!("postgres://nobody@{address}/none");
    let said = run(&["bench", "kafka", "--runs", "1", "--seconds", "1", "--postgres", &url]);
    said.failed(1, &["PostgreSQL cannot be reached", "--postgres"]);
}
