//! `docker-compose.yml` and `Dockerfile` against the program and against each other. Containers are
//! not started here: what is checked is that every name, port and path in them means something.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

use super::command_line::{Said, command, run};

/// Image of the containers that run the program.
const IMAGE: &str = "cityevents";
/// What makes topics and tables before the roles start.
const INIT: &str = "init";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    let path = root().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A document with its merge keys (`<<`) resolved: what stands beside one wins over what it brings.
fn plain(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::String(text) | Yaml::Real(text) => text.clone().into(),
        Yaml::Integer(number) => (*number).into(),
        Yaml::Boolean(answer) => (*answer).into(),
        Yaml::Array(items) => items.iter().map(plain).collect(),
        Yaml::Hash(pairs) => {
            let mut own = Map::new();
            let mut merged = Map::new();
            for (key, value) in pairs {
                let key = key.as_str().expect("keys are texts");
                match (key, plain(value)) {
                    ("<<", Value::Object(brought)) => merged.extend(brought),
                    (_, value) => drop(own.insert(key.to_owned(), value)),
                }
            }
            merged.extend(own);
            Value::Object(merged)
        }
        Yaml::Null => Value::Null,
        Yaml::Alias(_) | Yaml::BadValue => panic!("not understood: {yaml:?}"),
    }
}

struct Compose(Value);

impl Compose {
    fn load() -> Self {
        let documents = YamlLoader::load_from_str(&read("docker-compose.yml")).unwrap();
        assert_eq!(documents.len(), 1);
        Self(plain(&documents[0]))
    }

    fn services(&self) -> &Map<String, Value> {
        self.0["services"].as_object().unwrap()
    }

    /// Containers that run the program.
    fn ours(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.services().iter().filter(|(_, service)| service["image"] == IMAGE)
    }

    /// Those of them that run roles.
    fn roles(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.ours().filter(|(name, _)| *name != INIT)
    }
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| item.as_str().expect("quoted").to_owned()).collect()
}

/// What a container is told about the program, as text.
fn settings(service: &Value) -> BTreeMap<String, String> {
    let pairs = service["environment"].as_object().unwrap().iter();
    // Compose passes numbers on as they are written, but 0400 or 1e3 are not: texts have quotes.
    pairs.map(|(name, value)| (name.clone(), value.as_str().expect("quoted").to_owned())).collect()
}

fn check(settings: &BTreeMap<String, String>) -> Said {
    let output = command().args(["config", "check"]).envs(settings).output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// `127.0.0.1:8081:8080` as address, port outside and port inside.
fn published(port: &str) -> (&str, u16, u16) {
    let (outside, inside) = port.rsplit_once(':').unwrap();
    let (address, outside) = outside.rsplit_once(':').unwrap();
    (address, outside.parse().unwrap(), inside.parse().unwrap())
}

fn port_of(address: &str) -> u16 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn the_program_accepts_every_setting_of_every_container() {
    let compose = Compose::load();
    let mut seen = 0;
    for (name, service) in compose.ours() {
        let settings = settings(service);
        let said = check(&settings);
        assert_eq!(said.code, 0, "{name}: {}{}", said.out, said.err);
        seen += settings.keys().filter(|name| name.starts_with("CITYEVENTS__")).count();
        for name in settings.keys() {
            assert!(name.starts_with("CITYEVENTS__"), "{name} says nothing to the program");
        }
    }
    assert!(seen > 0);
}

#[test]
fn a_setting_that_is_misspelt_would_be_noticed() {
    let compose = Compose::load();
    let (_, service) = compose.ours().next().unwrap();
    let mut settings = settings(service);
    settings.insert("CITYEVENTS__KAFKA__BROKER".into(), "kafka:9092".into());
    check(&settings).failed(2, &["kafka.broker", "unknown key"]);
}

#[test]
fn every_role_has_one_container_of_its_name() {
    let compose = Compose::load();
    let refused = run(&["run", "--role", "none-of-them"]);
    refused.failed(2, &["possible values: "]);
    let (_, rest) = refused.err.split_once("possible values: ").unwrap();
    let (known, _) = rest.split_once(']').unwrap();
    let known: BTreeSet<_> = known.split(',').map(|role| role.trim().to_owned()).collect();

    let mut named = BTreeSet::new();
    for (name, service) in compose.roles() {
        assert_eq!(texts(&service["command"]), ["run", "--role", name]);
        named.insert(name.clone());
    }
    assert_eq!(named, known);
}

#[test]
fn init_calls_commands_that_there_are() {
    let compose = Compose::load();
    let script = texts(&compose.services()[INIT]["command"]).join("\n");
    let calls = script.lines().filter_map(|line| line.trim().strip_prefix("cityevents "));
    let calls: Vec<Vec<_>> = calls.map(|call| call.split(' ').collect()).collect();
    assert!(calls.contains(&vec!["topics", "create"]), "{calls:?}");
    assert!(calls.contains(&vec!["views", "migrate"]), "{calls:?}");
    for mut call in calls {
        call.push("--help");
        run(&call).good();
    }
}

#[test]
fn listeners_ports_and_health_checks_agree() {
    let compose = Compose::load();
    let mut outside = BTreeSet::new();
    for (name, service) in compose.roles() {
        let settings = settings(service);
        let http = port_of(&settings["CITYEVENTS__HTTP__LISTEN"]);
        let ops = port_of(&settings["CITYEVENTS__OPS__LISTEN"]);
        let ports = texts(&service["ports"]);
        let inside: BTreeSet<_> = ports.iter().map(|port| published(port).2).collect();
        for port in &ports {
            let (address, port, _) = published(port);
            assert_eq!(address, "127.0.0.1", "{name}: nothing here is guarded by a firewall");
            assert!(outside.insert(port), "{name}: port {port} is published twice");
        }
        let serves_http = name == "ingest" || name == "api";
        assert_eq!(inside.contains(&http), serves_http, "{name}");
        let exposed = texts(&service["expose"]).contains(&ops.to_string());
        assert!(inside.contains(&ops) || exposed, "{name}: nobody reaches its probes");
        let probe = texts(&service["healthcheck"]["test"]).pop().unwrap();
        assert_eq!(probe, format!("http://127.0.0.1:{ops}/readyz"), "{name}");
    }
}

#[test]
fn addresses_name_containers_that_listen_there_and_are_waited_for() {
    let compose = Compose::load();
    let services = compose.services();
    let kafka = settings(&services["kafka"]);
    let listens: BTreeMap<&str, Vec<u16>> = [
        ("kafka", kafka["KAFKA_LISTENERS"].split(',').map(port_of).collect()),
        ("scylla", vec![9042]),
        ("registry", vec![settings(&services["registry"])["QUARKUS_HTTP_PORT"].parse().unwrap()]),
    ]
    .into();
    assert!(kafka["KAFKA_ADVERTISED_LISTENERS"].ends_with("://kafka:9092"));
    for (name, service) in compose.ours() {
        let settings = settings(service);
        let url = &settings["CITYEVENTS__REGISTRY__URL"];
        let registry = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
        assert!(url.ends_with("/apis/ccompat/v7"));
        let nodes = settings["CITYEVENTS__SCYLLA__NODES"].split(',');
        let brokers = settings["CITYEVENTS__KAFKA__BROKERS"].split(',');
        for address in nodes.chain(brokers).chain([registry]) {
            let host = address.split(':').next().unwrap();
            assert!(listens[host].contains(&port_of(address)), "{name}: {address}");
            let waits = &service["depends_on"][host]["condition"];
            assert_eq!(waits, "service_healthy", "{name} on {host}");
            assert!(services[host]["healthcheck"]["test"].is_array(), "{host}");
        }
    }
    for (name, service) in compose.roles() {
        let waits = &service["depends_on"][INIT]["condition"];
        assert_eq!(waits, "service_completed_successfully", "{name}");
    }
}

#[test]
fn replicas_are_no_more_than_the_servers_there_are() {
    for (name, service) in Compose::load().ours() {
        let settings = settings(service);
        let brokers = settings["CITYEVENTS__KAFKA__BROKERS"].split(',').count().to_string();
        assert_eq!(settings["CITYEVENTS__KAFKA__REPLICATION"], brokers, "{name}");
        assert!(settings["CITYEVENTS__KAFKA__MIN_INSYNC"] <= brokers, "{name}");
        let nodes = settings["CITYEVENTS__SCYLLA__NODES"].split(',').count();
        let factor = format!("'replication_factor': {nodes}}}");
        assert!(settings["CITYEVENTS__SCYLLA__REPLICATION"].ends_with(&factor), "{name}");
    }
}

#[test]
fn what_roles_share_is_on_volumes_that_there_are() {
    let compose = Compose::load();
    let declared = compose.0["volumes"].as_object().unwrap();
    for (name, service) in compose.services() {
        for volume in texts(&service["volumes"]) {
            let (volume, path) = volume.split_once(':').unwrap();
            assert!(declared.contains_key(volume) && path.starts_with('/'), "{name}: {volume}");
        }
    }
    let dockerfile = read("Dockerfile");
    for (name, service) in compose.ours() {
        let volumes = texts(&service["volumes"]);
        let mounted: Vec<_> = volumes.iter().map(|one| one.split_once(':').unwrap().1).collect();
        let settings = settings(service);
        let snapshots = &settings["CITYEVENTS__SNAPSHOTS__URL"];
        for path in [
            &settings["CITYEVENTS__KEYS__DIR"],
            &settings["CITYEVENTS__KEYS__INSTANCE_SECRET_FILE"],
            snapshots.strip_prefix("file://").unwrap(),
        ] {
            let within = mounted.iter().any(|folder| path.starts_with(folder));
            assert!(within, "{name}: {path} is lost with the container");
        }
        for folder in mounted {
            // A new volume takes its owner from the folder of the image.
            assert!(dockerfile.contains(folder), "{folder} is not made in the image");
        }
    }
}

#[test]
fn a_container_has_more_time_to_stop_than_the_program_takes() {
    let shown = run(&["config", "show", "--output", "json"]).good();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let rows = shown.as_array().unwrap().iter();
    let mut budgets = rows.filter(|row| row["key"] == "ops.shutdown_budget");
    let budget = seconds(budgets.next().unwrap()["value"].as_str().unwrap());
    for (name, service) in Compose::load().roles() {
        let grace = seconds(service["stop_grace_period"].as_str().unwrap());
        assert!(grace > budget, "{name}: {grace} s, and the program may take {budget} s");
    }
}

fn seconds(text: &str) -> u32 {
    text.trim_matches('"').strip_suffix('s').unwrap().parse().unwrap()
}

#[test]
fn topics_that_are_named_are_in_the_catalogue() {
    let catalogue: toml::Table = read("schemas/topics.toml").parse().unwrap();
    let topics = catalogue["topics"].as_array().unwrap().iter();
    let known: BTreeSet<_> = topics.map(|topic| topic["name"].as_str().unwrap()).collect();
    let text = read("docker-compose.yml");
    let mut words = text.split_whitespace();
    let mut seen = 0;
    while words.any(|word| word == "--topic") {
        let name = words.next().unwrap();
        assert!(known.contains(name), "{name} is no topic");
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn the_image_is_built_with_the_toolchain_of_the_repository_and_does_not_run_as_root() {
    let dockerfile = read("Dockerfile");
    let toolchain: toml::Table = read("rust-toolchain.toml").parse().unwrap();
    let channel = toolchain["toolchain"]["channel"].as_str().unwrap();
    let (minor, _) = channel.rsplit_once('.').unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{minor}-")), "not Rust {minor}");
    assert!(dockerfile.contains("--locked --release --package cityevents --features tls"));

    let users: Vec<_> = dockerfile.lines().filter_map(|line| line.strip_prefix("USER ")).collect();
    assert_eq!(users, ["10001"]);
    assert!(dockerfile.contains("--uid 10001"));

    let compose = Compose::load();
    let (_, api) = compose.roles().next().unwrap();
    let settings = settings(api);
    for name in ["CITYEVENTS__HTTP__LISTEN", "CITYEVENTS__OPS__LISTEN"] {
        let line = format!("{name}={}", settings[name]);
        assert!(dockerfile.contains(&line), "{line}");
        let port = port_of(&settings[name]).to_string();
        let mut exposed = dockerfile.lines().filter_map(|line| line.strip_prefix("EXPOSE "));
        assert!(exposed.any(|ports| ports.split(' ').any(|one| one == port)), "{port}");
    }
}
