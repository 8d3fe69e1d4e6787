//! `doctor --production` on real servers: green with settings as they should be, and each fault in its
//! own row.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::command_line::Said;
use crate::stack;

/// The broker of the tests is alone, and speaks in the clear.
const ACCEPTED: [&str; 2] = ["broker security", "copies"];

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn cluster(brokers: &str, name: &str, folder: &Path) -> Cluster {
    let secret = folder.join("secret");
    std::fs::write(&secret, "c29tZXRoaW5nIHRoYXQgbm9ib2R5IGtub3dzIDEyMzQ=").unwrap();
    set_mode(&secret, 0o600);
    let place = |name: &str| {
        let dir = folder.join(name);
        std::fs::create_dir(&dir).unwrap();
        format!("file://{}", dir.display())
    };
    let (host, port) =
        stack::smtp("").split_once(':').map(|(h, p)| (h.to_owned(), p.to_owned())).unwrap();
    Cluster::at(brokers, name)
        .setting("CITYEVENTS__SCYLLA__NODES", stack::cassandra())
        .setting("CITYEVENTS__SCYLLA__KEYSPACE", format!("{name}_{}", std::process::id()))
        .setting(
            "CITYEVENTS__SCYLLA__REPLICATION",
            "{'class': 'SimpleStrategy', 'replication_factor': 1}",
        )
        .setting("CITYEVENTS__REGISTRY__URL", stack::registry())
        .setting("CITYEVENTS__HTTP__PUBLIC_URL", "https://tickets.cityevents.example")
        .setting("CITYEVENTS__HTTP__TRUSTED_PROXIES", "10.0.0.0/8")
        .setting("CITYEVENTS__KEYS__STORE", "views")
        .setting("CITYEVENTS__KEYS__INSTANCE_SECRET_FILE", secret.display().to_string())
        .setting("CITYEVENTS__SNAPSHOTS__URL", place("snapshots"))
        .setting("CITYEVENTS__MEDIA__URL", place("pictures"))
        .setting("CITYEVENTS__MAIL__FROM", "City Events <no-reply@cityevents.example>")
        .setting("CITYEVENTS__MAIL__BACKEND", "smtp")
        .setting("CITYEVENTS__MAIL__SMTP__HOST", host)
        .setting("CITYEVENTS__MAIL__SMTP__PORT", port)
        .setting("CITYEVENTS__MAIL__SMTP__AUTHORITIES", stack::smtp("_CA"))
        .setting("CITYEVENTS__MAIL__SMTP__USER", stack::smtp("_USER"))
        .setting("CITYEVENTS__MAIL__SMTP__PASSWORD_FILE", stack::smtp("_PASSWORD_FILE"))
}

fn doctor(cluster: &Cluster, settings: &[(&str, &str)]) -> Said {
    let mut asked = vec!["doctor", "--production", "--output", "json"];
    for check in ACCEPTED {
        asked.extend(["--accept", check]);
    }
    cluster.run_with(&asked, settings)
}

#[track_caller]
fn assert_red(said: &Said, expected: &[&str]) {
    let rows: Vec<Value> =
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    assert!(rows.len() >= 17, "{said:?}");
    let is_red = |row: &&Value| row["verdict"] == "fail";
    let red: Vec<_> =
        rows.iter().filter(is_red).map(|row| row["check"].as_str().unwrap()).collect();
    assert_eq!(red, expected, "{said:?}");
    assert_eq!(said.code, i32::from(!expected.is_empty()), "{said:?}");
}

#[test]
fn a_cluster_as_it_should_be_is_green_and_each_fault_is_red_in_its_own_row() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster(&stack::kafka(), "doctor", folder.path());
    assert_red(&doctor(&cluster, &[]), &["signing keys", "topics", "tables", "schema registry"]);
    cluster.run(&["topics", "create"]).good();
    cluster.run(&["views", "migrate"]).good();
    // Whoever serves people makes the keys; so does this.
    cluster.run(&["account", "create", "--email", "root@example.org"]).good();
    assert_red(&doctor(&cluster, &[]), &[]);
    for (name, value, red) in [
        ("HTTP__PUBLIC_URL", "http://tickets.cityevents.example", &["public address"][..]),
        ("HTTP__PUBLIC_URL", "https://10.0.0.1", &["public address"]),
        ("HTTP__TRUSTED_PROXIES", "", &["proxies"]),
        ("LIMITS__ENABLED", "false", &["limits"]),
        ("MAIL__FROM", "no-reply@localhost.localdomain", &["mail sender"]),
        ("MAIL__SMTP__PORT", "1", &["mail server"]),
        ("MAIL__SMTP__TLS", "opportunistic", &["mail server"]),
        ("MAIL__SMTP__USER", "somebody", &["mail server"]),
        ("MAIL__BACKEND", "folder", &["mail server"]),
        ("MAIL__TIME_ZONE", "Mars/Olympus", &["mail sender", "mail server", "mail templates"]),
        ("REGISTRY__URL", "http://127.0.0.1:1", &["schema registry"]),
        ("SCYLLA__NODES", "127.0.0.1:1", &["signing keys", "tables"]),
        ("KAFKA__BROKERS", "127.0.0.1:1", &["log"]),
        ("LOG__PARTITIONS", "4", &["topics"]),
        ("SNAPSHOTS__URL", "file:///nowhere/at/all", &["snapshots"]),
        ("MEDIA__URL", "file:///nowhere/at/all", &["pictures"]),
        ("OPS__LISTEN", "8.8.8.8:9090", &["operations listener"]),
        ("DATA__DIR", "/nowhere/at/all", &["disk"]),
        ("TOKENS__LEEWAY", "0s", &["clock"]),
    ] {
        let name = format!("CITYEVENTS__{name}");
        println!("{name}={value}: {red:?}");
        let said = doctor(&cluster, &[(&name, value)]);
        let rows: Vec<Value> = serde_json::from_str(&said.out).unwrap();
        let is_red = |row: &&Value| row["verdict"] == "fail";
        let found: Vec<_> = rows.iter().filter(is_red).map(|row| row["check"].clone()).collect();
        assert_eq!(found, red, "{said:?}");
        assert_eq!(said.code, 1, "{said:?}");
    }
    set_mode(&folder.path().join("secret"), 0o604);
    assert_red(&doctor(&cluster, &[]), &["instance secret"]);
    set_mode(&folder.path().join("secret"), 0o600);
    let short = [("retention.ms", "60000"), ("message.timestamp.type", "LogAppendTime")];
    cluster.kafka.set(&cluster.commands(), &short);
    assert_red(&doctor(&cluster, &[]), &["retention"]);
}

#[test]
fn a_broker_that_speaks_tls_and_wants_a_password_is_green_and_in_the_clear_it_is_red() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster(&stack::kafka_tls(""), "doctor_tls", folder.path());
    let file = folder.path().join("city.toml");
    let write = |security: &str, password: &str| {
        let text = format!(
            "[kafka.properties]\n\"security.protocol\" = \"{security}\"\n\
             \"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\"ssl.ca.location\" = \"{}\"\n\
             \"sasl.username\" = \"{}\"\n\"sasl.password\" = \"{password}\"\n",
            stack::kafka_tls("_CA"),
            stack::kafka_tls("_USER")
        );
        std::fs::write(&file, text).unwrap();
        set_mode(&file, 0o600);
    };
    let password = stack::kafka_tls("_PASSWORD");
    let run = |arguments: &[&str]| {
        cluster.run(&[arguments, &["--config", file.to_str().unwrap()]].concat())
    };
    let production = ["doctor", "--production", "--accept", "copies", "--output", "json"];
    write("SASL_SSL", &password);
    run(&["topics", "create"]).good();
    run(&["views", "migrate"]).good();
    run(&["account", "create", "--email", "root@example.org"]).good();
    let said = run(&production);
    assert_red(&said, &[]);
    let rows: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    let found = |check: &str| {
        let row = rows.iter().find(|row| row["check"] == check).unwrap();
        assert_eq!(row["verdict"], "ok", "{row}");
        row["found"].as_str().unwrap().to_owned()
    };
    assert_eq!(found("broker security"), "sasl_ssl");
    assert!(found("log").contains(&stack::kafka_tls("")), "{rows:?}");
    found("topics");
    run(&["doctor", "--accept", "copies"]).good();

    write("SASL_SSL", "wrong");
    let said = run(&production);
    assert_red(&said, &["log"]);
    assert!(said.out.contains("sasl.password") && !said.out.contains("wrong"), "{said:?}");
    write("PLAINTEXT", &password);
    assert_red(&run(&production), &["broker security", "log"]);
}
