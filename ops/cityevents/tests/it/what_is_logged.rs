//! What an instance logs at its loudest: enough to find a request again, and nothing about anybody.

use std::path::Path;

use serde_json::{Value, json};

use super::calls::{PASSWORD, bearer, get, login, post, register, send};
use super::command_line::run_on;
use super::instance::{DEADLINE, Instance, poll_for};
use super::web;

/// Everything of ours.
const LOUD: &str = "info,cityevents=trace,cityevents_api=trace,cityevents_ingest=trace,\
                    cityevents_kit=trace,cityevents_mail=trace,cityevents_processors=trace,\
                    cityevents_runtime=trace,cityevents_schemas=trace,cityevents_views=trace";
const SETTINGS: [(&str, &str); 2] =
    [("CITYEVENTS__TELEMETRY__LOG_LEVEL", LOUD), ("CITYEVENTS__TELEMETRY__LOG_FORMAT", "json")];
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Lines of the log.
fn lines(instance: &Instance) -> Vec<Value> {
    let log = instance.log();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The line of one request.
#[track_caller]
fn line_of(instance: &Instance, request: &str) -> Value {
    let mut found = None;
    poll_for(DEADLINE, || {
        let is_it =
            |line: &Value| line["target"] == "cityevents::access" && line["request.id"] == request;
        found = lines(instance).into_iter().find(is_it);
        found.is_some()
    });
    found.unwrap()
}

/// The first mail that has these words, once it is there.
#[track_caller]
fn mailed(data: &Path, words: &str) -> String {
    let mut found = None;
    poll_for(DEADLINE, || {
        let files = std::fs::read_dir(data.join("mails")).into_iter().flatten();
        let paths = files.map(|file| file.unwrap().path());
        let mails = paths.filter(|path| path.extension().is_some_and(|kind| kind == "eml"));
        let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let plain = |mail: String| mail.replace("=\r\n", "").replace("=3D", "=");
        found = mails.map(read).map(plain).find(|mail| mail.contains(words));
        found.is_some()
    });
    found.unwrap()
}

/// The token of a link in a mail.
fn token_of(mail: &str) -> String {
    let rest = mail.split("token=").nth(1).unwrap();
    let end = rest.find(|sign: char| !sign.is_ascii_alphanumeric() && !"-_.".contains(sign));
    rest[..end.unwrap_or(rest.len())].to_owned()
}

/// Secrets that came up, to be looked for.
#[derive(Default)]
struct Secrets(Vec<String>);

impl Secrets {
    fn add(&mut self, secret: impl Into<String>) -> String {
        let secret = secret.into();
        assert!(secret.len() >= 8, "{secret:?} is found by chance");
        self.0.push(secret.clone());
        secret
    }

    /// An id of an account, in every way of writing it.
    fn add_id(&mut self, id: &str) {
        self.add(id);
        self.add(id.replace('-', ""));
    }
}

/// People sign up, in and out, right and wrong, by calls and by pages.
fn sign_in_and_out(instance: &Instance, data: &Path, secrets: &mut Secrets) -> (String, String) {
    let http = instance.http;
    let (ada, token) = register(http, "ada-lovelace");
    secrets.add("ada-lovelace");
    secrets.add(PASSWORD);
    secrets.add_id(&ada);
    secrets.add(token.trim().rsplit(' ').next().unwrap());
    let confirm = secrets.add(token_of(&mailed(data, "verify-email")));
    let body = |token: &str| json!({ "token": token });
    assert_eq!(post(http, "/api/auth/verify-email/confirm", "", &body(&confirm)).status, 204);
    let made_up = secrets.add("made-up-token-of-a-link");
    assert_eq!(post(http, "/api/auth/verify-email/confirm", "", &body(&made_up)).status, 400);
    let signed_in = login(http, "ada-lovelace@example.org", PASSWORD);
    assert_eq!(signed_in.status, 200, "{}", signed_in.text());
    let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    secrets.add(cookie.split_once('=').unwrap().1);
    let token = bearer(&signed_in);
    secrets.add(token.trim().rsplit(' ').next().unwrap());
    let wrong = secrets.add("a password that is wrong");
    assert_eq!(login(http, "ada-lovelace@example.org", &wrong).status, 401);
    let stranger = secrets.add("stranger-to-us@example.net");
    assert_eq!(login(http, &stranger, &wrong).status, 401);
    let reset = json!({ "email": "ada-lovelace@example.org" });
    assert_eq!(post(http, "/api/auth/password/reset/request", "", &reset).status, 204);
    secrets.add(token_of(&mailed(data, "reset-password")));
    let form = format!("email={stranger}&password={}", wrong.replace(' ', "+"));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    web::once(http, "POST", "/sign-in", &headers, form.as_bytes());
    (ada, token)
}

/// An event is made, joined, left, and somebody is thrown out.
fn join_and_leave(instance: &Instance, data: &Path, ada: &(String, String), secrets: &mut Secrets) {
    let (http, owner) = (instance.http, &ada.1);
    let (ben, token) = register(http, "ben-franklin");
    secrets.add("ben-franklin");
    secrets.add_id(&ben);
    let fields = json!({
        "title": secrets.add("Lantern walk along the river"),
        "description": secrets.add("Bring a lamp and a coat"),
        "city": "Porto", "category": "art", "start_time": "2099-06-01T20:00:00Z",
        "end_time": "2099-06-01T23:00:00Z", "capacity": 3,
    });
    let made = post(http, "/api/events", owner, &fields).json();
    let event = made["id"].as_str().unwrap();
    let at = |rest: &str| format!("/api/events/{event}{rest}");
    assert_eq!(post(http, &at("/publish"), owner, &Value::Null).status, 200);
    for (number, call) in ["/join", "/cancel", "/join"].into_iter().enumerate() {
        let traced = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-00\r\n");
        let headers =
            format!("{token}{traced}x-request-id: call-{number}\r\nidempotency-key: {number}\r\n");
        let answer = post(http, &at(call), &headers, &Value::Null);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let message = json!({
        "to": "all", "subject": secrets.add("Doors open at seven sharp"),
        "text": secrets.add("Come through the garden gate"),
    });
    assert_eq!(post(http, &at("/messages"), owner, &message).status, 200);
    // Whoever is thrown out before the mail is written does not get it.
    mailed(data, "garden gate");
    let reason = json!({ "user_id": ben, "reason": secrets.add("He threw confetti at us") });
    assert_eq!(post(http, &at("/bans"), owner, &reason).status, 200);
    let participant = at(&format!("/participants/{ben}"));
    send(http, "DELETE", &participant, owner, &Value::Null);
}

/// What makes no sense, and what nobody may.
fn use_it_wrongly(instance: &Instance, secrets: &mut Secrets) {
    let http = instance.http;
    let made_up = secrets.add("eyJmade.up.token");
    let authorization = format!("authorization: Bearer {made_up}\r\n");
    assert_eq!(get(http, "/api/me/events", &authorization).status, 401);
    let path = secrets.add("a-path-that-nobody-has");
    assert_eq!(get(http, &format!("/{path}"), "").status, 404);
    let query = secrets.add("what-somebody-looks-for");
    get(http, &format!("/api/events?q={query}&limit=nonsense"), "");
    get(http, &format!("/api/me/calendar.ics?token={query}"), "");
    let body = secrets.add("a body that is not what it should be");
    for (path, body) in [
        ("/api/auth/register", format!("{{\"email\":\"{body}\"")),
        (
            "/api/auth/register",
            json!({ "email": body, "password": body, "name": body }).to_string(),
        ),
        ("/api/auth/login", json!({ "emial": body }).to_string()),
    ] {
        let headers = [("content-type", "application/json")];
        let status = web::once(http, "POST", path, &headers, body.as_bytes()).status;
        assert!((400..500).contains(&status), "{path} {status}");
    }
}

/// Programs upload, right and wrong, and staff asks about people.
fn upload_and_ask(instance: &Instance, data: &Path, ada: &str, secrets: &mut Secrets) {
    let made = run_on(data, &["api-keys", "create", "--output", "json"]).json();
    let key = secrets.add(made["key"].as_str().unwrap());
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", &*authorization), ("content-type", "application/x-ndjson")];
    let event = "0190a5b4-0000-7000-8000-00000000000b";
    let line = json!({
        "type": "join", "event_id": event, "user_id": ada, "idempotency_key": "bulk",
    });
    let wrong = secrets.add("a line that is none");
    let body = format!("{line}\n{{\"type\":\"{wrong}\"}}\n{wrong}\n");
    let upload = || web::once(instance.http, "POST", "/api/ingest", &headers, body.as_bytes());
    poll_for(DEADLINE, || upload().status == 200);
    let explained = run_on(data, &["explain", "--event", event, "--user", ada]);
    assert!(!explained.err.contains("panicked"), "{explained:?}");
    let account = ["account", "create", "--email", "carla-bruni@example.org", "--output", "json"];
    let made = run_on(data, &account).json();
    secrets.add("carla-bruni");
    secrets.add(made["password"].as_str().unwrap());
    secrets.add_id(made["id"].as_str().unwrap());
    run_on(data, &["mail", "suppress", "carla-bruni@example.org"]).good();
}

#[test]
fn no_token_password_address_body_or_account_is_in_the_log_of_a_loud_instance() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let instance = Instance::start_with(data, &SETTINGS);
    let mut secrets = Secrets::default();
    let ada = sign_in_and_out(&instance, data, &mut secrets);
    join_and_leave(&instance, data, &ada, &mut secrets);
    use_it_wrongly(&instance, &mut secrets);
    upload_and_ask(&instance, data, &ada.0, &mut secrets);
    let level = run_on(data, &["log-level"]).good();
    assert_eq!(level.trim(), LOUD, "it was as loud as it can be");

    let first = line_of(&instance, "call-0");
    assert_eq!(first["http.route"], "/api/events/{id}/join");
    assert_eq!((&first["http.method"], &first["http.status"]), (&"POST".into(), &200.into()));
    assert!(first["duration_ms"].is_f64(), "{first}");
    assert_eq!(first["trace.id"], TRACE);
    let hash = first["account_hash"].as_str().unwrap();
    assert!(hash.len() == 16 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()), "{hash}");
    assert_eq!(line_of(&instance, "call-1")["account_hash"], hash, "the same person");
    let others = lines(&instance).into_iter().filter(|line| line["account_hash"] != hash);
    assert!(others.filter(|line| line["account_hash"].is_string()).count() > 0, "somebody else");

    let log = instance.log();
    for secret in &secrets.0 {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
    assert!(!log.contains("@example.") && !log.contains("argon2"), "{log}");
    instance.stop();
}

#[test]
fn lines_of_a_request_say_which_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start_with(folder.path(), &SETTINGS);
    register(instance.http, "ada");
    let body = json!({ "email": "ada@example.org", "password": "not this one, no" });
    let headers = format!("x-request-id: r-1\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-00\r\n");
    assert_eq!(post(instance.http, "/api/auth/login", &headers, &body).status, 401);
    let refused = |line: &Value| line["message"] == "a sign-in is refused";
    poll_for(DEADLINE, || lines(&instance).iter().any(refused));
    let line = lines(&instance).into_iter().find(refused).unwrap();
    assert_eq!((&line["request.id"], &line["trace.id"]), (&"r-1".into(), &TRACE.into()));
    instance.stop();
}

#[test]
fn what_is_logged_changes_while_an_instance_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let stopped = run_on(data, &["log-level", "debug"]);
    stopped.failed(2, &["no instance runs", "--data"]);
    let instance = Instance::start_with(data, &[("CITYEVENTS__TELEMETRY__LOG_FORMAT", "json")]);
    let is_logged = |request: &str| {
        let headers = format!("x-request-id: {request}\r\n");
        assert_eq!(get(instance.http, "/healthz", &headers).status, 200);
        // Written after the line of the request, if there is one.
        run_on(data, &["log-level"]).good();
        lines(&instance).iter().any(|line| line["request.id"] == request)
    };
    poll_for(DEADLINE, || is_logged("before"));
    let said = run_on(data, &["log-level", "warn,cityevents_runtime=debug"]).good();
    assert_eq!(said, "warn,cityevents_runtime=debug until the instance ends (before: info)\n");
    assert!(!is_logged("while it is quiet"));
    run_on(data, &["log-level", "loud"]).failed(1, &["\"loud\"", "debug"]);
    let said = run_on(data, &["log-level", "--output", "json"]).json();
    assert_eq!(said["level"], "warn,cityevents_runtime=debug", "what is wrong changes nothing");
    run_on(data, &["log-level", "info"]).good();
    poll_for(DEADLINE, || is_logged("after"));
    instance.stop();
}
