//! The schema registry as the program uses it: what is registered, what is refused and why, and
//! what goes on while it is away.

#[allow(dead_code, reason = "the program uses what these tests do not")]
#[path = "../../src/instance/registry/mod.rs"]
pub mod adapter;

use std::sync::Arc;
use std::time::{Duration, Instant};

use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum, to_avro_datum};
use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_kit::{Breaker, BreakerMetrics, BreakerOptions};
use cityevents_schemas::{
    Codecs, DecodeError, ErrorClass, HEADER_BYTES, Record, SchemaIds, schema_id, topic,
};
use serde_json::{Value as Json, json};

use self::adapter::{Options, RegistryError, RegistryIds};
use crate::proxy::Proxy;
use crate::stack;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

pub fn options(prefix: &str) -> Options {
    let prefix = prefix.to_owned();
    Options { url: stack::registry(), register: true, request_timeout: REQUEST_TIMEOUT, prefix }
}

fn breaker(failures: u32) -> Breaker {
    let options = BreakerOptions { failures, open_for: Duration::ZERO, ..Default::default() };
    Breaker::new("registry", options, &BreakerMetrics::default())
}

pub fn connect(options: &Options) -> Result<RegistryIds, RegistryError> {
    RegistryIds::connect(options, breaker(1_000))
}

/// The registry at the other end of a proxy.
pub fn through_proxy(prefix: &str) -> (Proxy, Options) {
    let url = reqwest::Url::parse(&stack::registry()).unwrap();
    let server = format!("{}:{}", url.host_str().unwrap(), url.port_or_known_default().unwrap());
    let proxy = Proxy::start(&server);
    let url = format!("http://{}{}", proxy.address(), url.path());
    (proxy, Options { url, ..options(prefix) })
}

/// One request to the registry, past the program.
fn ask(method: reqwest::Method, path: &str, body: Option<&Json>) -> Json {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = format!("{}{path}", stack::registry());
    let mut request = reqwest::Client::new().request(method, address);
    if let Some(body) = body {
        let kind = "application/vnd.schemaregistry.v1+json";
        request = request.header("content-type", kind).body(body.to_string());
    }
    let text = runtime.block_on(async { request.send().await.unwrap().text().await.unwrap() });
    serde_json::from_str(&text).unwrap()
}

fn get(path: &str) -> Json {
    ask(reqwest::Method::GET, path, None)
}

pub fn register(subject: &str, source: &str) -> u32 {
    let body = json!({ "schema": source, "schemaType": "AVRO" });
    let path = format!("/subjects/{subject}/versions");
    let answer = ask(reqwest::Method::POST, &path, Some(&body));
    answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}")).try_into().unwrap()
}

/// The schema of commands with its list of fields changed.
pub fn commands_with(change: impl FnOnce(&mut Vec<Json>)) -> String {
    let mut schema: Json = serde_json::from_str(Record::EventCommand.source()).unwrap();
    change(schema["fields"].as_array_mut().unwrap());
    schema.to_string()
}

/// Commands as a version before knew them: without messages.
pub fn older() -> String {
    commands_with(|fields| fields.retain(|field| field["name"] != "message"))
}

pub fn join() -> Command {
    Command {
        id: CommandId::from_bytes([1; 16]),
        digest: 2,
        event: EventId::from_bytes([3; 16]),
        actor: Actor::Person { user: UserId::from_bytes([4; 16]), role: Role::User },
        kind: CommandKind::Join,
    }
}

/// The command as a writer with another schema writes it.
pub fn written_with(source: &str, id: u32) -> Vec<u8> {
    let mut current = Vec::new();
    Codecs::builtin().encode_command(&join(), &mut current);
    let reader = Schema::parse_str(source).unwrap();
    let writer = Schema::parse_str(Record::EventCommand.source()).unwrap();
    let mut body = &current[HEADER_BYTES..];
    let value: Value = from_avro_datum(&writer, &mut body, Some(&reader)).unwrap();
    let mut bytes = vec![0];
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend(to_avro_datum(&reader, value).unwrap());
    bytes
}

#[test]
fn what_is_registered_twice_has_the_same_ids_and_one_version() {
    let options = options(&stack::unique_prefix("twice"));
    let (first, second) = (connect(&options).unwrap(), connect(&options).unwrap());
    for record in Record::ALL {
        let id = first.current(record).unwrap();
        assert_eq!(second.current(record), Ok(id), "{}", record.name());
        assert_eq!(first.writer(id).unwrap().as_deref(), Some(record.source()));
    }
    let subject = topic::EVENT_FACTS.subject(&options.prefix);
    assert_eq!(get(&format!("/subjects/{subject}/versions")), json!([1]));
    let config = get(&format!("/config/{subject}"));
    assert_eq!(config["compatibilityLevel"], "FULL_TRANSITIVE");
}

#[test]
fn a_process_that_may_only_look_names_what_is_missing_and_registers_nothing() {
    let registering = options(&stack::unique_prefix("looking"));
    let looking = Options { register: false, ..registering.clone() };
    let refusal = connect(&looking).err().unwrap();
    let RegistryError::Missing { subjects, .. } = &refusal else { panic!("{refusal}") };
    let topics = [
        "event-commands",
        "event-facts",
        "command-replies",
        "events",
        "registrations",
        "engagement",
        "user-signals",
        "trends",
        "account-changes",
        "emails",
        "emails-bulk",
        "emails-retry-10s",
        "emails-retry-1m",
        "emails-retry-10m",
    ];
    let expected = topics.map(|name| format!("{}{name}-value", looking.prefix));
    assert_eq!(subjects[..], expected);
    assert!(refusal.to_string().contains("registry.register = true"), "{refusal}");
    let registered = get("/subjects");
    for subject in &expected {
        assert!(!registered.as_array().unwrap().contains(&json!(subject)), "{subject}");
    }
    let ids = connect(&registering).unwrap();
    let found = connect(&looking).unwrap();
    assert_eq!(
        Record::ALL.map(|record| ids.current(record).unwrap()),
        Record::ALL.map(|record| found.current(record).unwrap())
    );
}

#[test]
fn an_incompatible_schema_is_refused_with_the_registrys_reason() {
    let options = options(&stack::unique_prefix("incompatible"));
    let subject = topic::EVENT_COMMANDS.subject(&options.prefix);
    let others = commands_with(|fields| fields.push(json!({ "name": "must", "type": "string" })));
    register(&subject, &others);
    let refusal = connect(&options).err().unwrap();
    let RegistryError::Incompatible { subject: refused, reason, .. } = &refusal else {
        panic!("{refusal}")
    };
    assert_eq!(*refused, subject);
    // Which field it is about comes from the registry.
    assert!(reason.contains("must"), "{reason}");
    assert!(refusal.to_string().contains(reason), "{refusal}");
    assert_eq!(get(&format!("/subjects/{subject}/versions")), json!([1]));
}

#[test]
fn records_of_an_older_schema_are_read_by_the_id_the_registry_gave_it() {
    let options = options(&stack::unique_prefix("older"));
    let subject = topic::EVENT_COMMANDS.subject(&options.prefix);
    let id = register(&subject, &older());
    let ids = connect(&options).unwrap();
    let current = ids.current(Record::EventCommand).unwrap();
    assert_ne!(current, id);
    let codecs = Codecs::new(Arc::new(ids)).unwrap();
    let bytes = written_with(&older(), id);
    assert_eq!(codecs.decode_command(&bytes), Ok(join()));
    let mut written = Vec::new();
    codecs.encode_command(&join(), &mut written);
    assert_eq!(schema_id(&written), Ok(current));
    assert_eq!(get(&format!("/subjects/{subject}/versions")), json!([1, 2]));
}

#[test]
fn an_id_that_the_registry_does_not_know_is_poison() {
    let ids = connect(&options(&stack::unique_prefix("unknown"))).unwrap();
    let codecs = Codecs::new(Arc::new(ids)).unwrap();
    let id = 1_999_999_999;
    let error = codecs.decode_command(&written_with(&older(), id)).unwrap_err();
    assert_eq!(error, DecodeError::UnknownSchema { id });
    assert_eq!(error.class(), ErrorClass::Reject);
}

#[test]
fn while_the_registry_is_away_known_ids_go_on_and_new_ones_wait() {
    let (proxy, options) = through_proxy(&stack::unique_prefix("away"));
    let subject = topic::EVENT_COMMANDS.subject(&options.prefix);
    let known = register(&subject, &older());
    let codecs = Codecs::new(Arc::new(connect(&options).unwrap())).unwrap();
    let newer = commands_with(|fields| {
        let field =
            json!({ "name": &options.prefix[..4], "type": ["null", "long"], "default": null });
        fields.push(field);
    });
    let new = register(&subject, &newer);
    proxy.cut();
    // Met for the first time, and known from the start.
    assert_eq!(codecs.decode_command(&written_with(&older(), known)), Ok(join()));
    let of_new = written_with(&newer, new);
    for _ in 0..3 {
        let error = codecs.decode_command(&of_new).unwrap_err();
        assert!(matches!(error, DecodeError::SchemaUnavailable { id, .. } if id == new), "{error}");
        assert_eq!(error.class(), ErrorClass::Retry);
    }
    proxy.mend();
    assert_eq!(codecs.decode_command(&of_new), Ok(join()));
    proxy.cut();
    assert_eq!(codecs.decode_command(&of_new), Ok(join()));
}

#[test]
fn an_open_breaker_answers_for_a_registry_that_does_not() {
    let (proxy, options) = through_proxy(&stack::unique_prefix("breaker"));
    let shut = BreakerOptions {
        failures: 1,
        open_for: Duration::from_secs(3_600),
        ..BreakerOptions::default()
    };
    let breaker = Breaker::new("registry", shut, &BreakerMetrics::default());
    let ids = RegistryIds::connect(&options, breaker.clone()).unwrap();
    // That there is no such id is an answer.
    assert_eq!(ids.writer(1_999_999_998), Ok(None));
    assert!(breaker.check().is_ok());
    proxy.cut();
    assert!(ids.writer(1_999_999_998).is_err());
    assert!(breaker.check().is_err());
    proxy.mend();
    let reason = ids.writer(1_999_999_998).unwrap_err().to_string();
    assert!(reason.contains("try again"), "{reason}");
}

#[test]
fn nobody_waits_for_the_registry_in_an_async_task() {
    let (proxy, options) = through_proxy(&stack::unique_prefix("async"));
    let ids = connect(&options).unwrap();
    proxy.fall_silent();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let began = Instant::now();
    let answer = runtime.block_on(async { ids.writer(1_999_999_997) });
    assert!(answer.is_err());
    assert!(began.elapsed() < REQUEST_TIMEOUT / 2, "{:?}", began.elapsed());
    runtime.block_on(async move { drop(ids) });
}

#[test]
fn a_wrong_address_is_named_with_what_to_check() {
    let prefix = stack::unique_prefix("wrong");
    let (silent, _) = through_proxy(&prefix);
    silent.fall_silent();
    let root = reqwest::Url::parse(&stack::registry()).unwrap().join("/").unwrap().to_string();
    let with_tls = stack::registry().replace("http://", "https://user:hidden@");
    let quick = Duration::from_millis(300);
    for (url, timeout, expected) in [
        // The port of discarded packets, which no test is given.
        ("http://127.0.0.1:9".to_owned(), REQUEST_TIMEOUT, "cannot be reached: Connection refused"),
        ("http://registry.invalid".to_owned(), REQUEST_TIMEOUT, "cannot be reached"),
        (format!("http://{}", silent.address()), quick, "no answer in time"),
        (root, REQUEST_TIMEOUT, "is no schema registry: check the path"),
        (with_tls, REQUEST_TIMEOUT, "cannot be reached: received corrupt message"),
        ("registry:8081".to_owned(), REQUEST_TIMEOUT, "http:// or https://"),
    ] {
        let options = Options { url: url.clone(), request_timeout: timeout, ..options(&prefix) };
        let error = connect(&options).err().unwrap().to_string();
        assert!(error.contains(expected), "{url}: {error}");
        assert!(!error.contains("hidden") && !error.contains('\n'), "{error}");
        assert!(error.contains("registry"), "{error}");
    }
}
