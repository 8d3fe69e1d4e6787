//! Malformed requests: each gets a named error, and none is a fault of ours.

use std::path::Path;
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::command_line::{command, run_on};
use super::crowd;
use super::instance::{DEADLINE, Instance, poll_for};
use super::rows::{self, Row};
use super::web::{self, Connection};

/// A token that was changed on the way.
fn forged(good: &str, header: Option<Value>, claims: impl FnOnce(&mut Value)) -> String {
    let parts: Vec<&str> = good.split('.').collect();
    let decode = |part: &str| -> Value {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = header.unwrap_or_else(|| decode(parts[0]));
    let mut body = decode(parts[1]);
    claims(&mut body);
    format!("{}.{}.{}", encode(&header), encode(&body), parts[2])
}

/// A token signed with settings of its own.
fn token_with(data: &Path, setting: (&str, &str), ttl: &str) -> String {
    let mut token = command();
    token.args(["token", "--ttl", ttl, "--data"]).arg(data).env(setting.0, setting.1);
    String::from_utf8(token.output().unwrap().stdout).unwrap().trim().to_owned()
}

fn bad_tokens(data: &Path) -> Vec<(&'static str, String, &'static str)> {
    let good = run_on(data, &["token", "--role", "user"]).good().trim().to_owned();
    let other = tempfile::tempdir().unwrap();
    let stranger = run_on(other.path(), &["token"]).good().trim().to_owned();
    let kid = |token: &str| {
        let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&header).unwrap()["kid"].clone()
    };
    let none = json!({ "alg": "none", "typ": "JWT" });
    let unsigned = forged(&good, Some(none), |_| {});
    let unsigned = &unsigned[..=unsigned.rfind('.').unwrap()];
    let as_hmac = json!({ "alg": "HS256", "typ": "JWT", "kid": kid(&good) });
    let our_kid = json!({ "alg": "EdDSA", "typ": "JWT", "kid": kid(&good) });
    let no_kid = json!({ "alg": "EdDSA", "typ": "JWT" });
    let audience = ("CITYEVENTS__TOKENS__AUDIENCE", "somebody-else");
    let issuer = ("CITYEVENTS__TOKENS__ISSUER", "https://elsewhere.example");
    let plain = ("CITYEVENTS__TOKENS__TTL", "15min");
    let mut cut = good.clone();
    cut.truncate(good.len() - 4);
    vec![
        ("alg none", unsigned.to_owned(), "unauthenticated"),
        (
            "alg none with a signature",
            forged(&good, Some(json!({ "alg": "none" })), |_| {}),
            "unauthenticated",
        ),
        ("alg HS256", forged(&good, Some(as_hmac), |_| {}), "unauthenticated"),
        ("no kid", forged(&good, Some(no_kid), |_| {}), "unauthenticated"),
        ("another key", stranger.clone(), "unauthenticated"),
        ("another key under our kid", forged(&stranger, Some(our_kid), |_| {}), "unauthenticated"),
        (
            "another role",
            forged(&good, None, |claims| claims["role"] = "admin".into()),
            "unauthenticated",
        ),
        (
            "longer life",
            forged(&good, None, |claims| claims["exp"] = 9_999_999_999_i64.into()),
            "unauthenticated",
        ),
        ("no claims", forged(&good, None, |claims| *claims = json!({})), "unauthenticated"),
        ("another audience", token_with(data, audience, "1h"), "unauthenticated"),
        ("another issuer", token_with(data, issuer, "1h"), "unauthenticated"),
        ("expired", token_with(data, plain, "0s"), "token_expired"),
        ("cut", cut, "unauthenticated"),
        ("with spaces", format!("{good} {good}"), "unauthenticated"),
        ("words", "please".to_owned(), "unauthenticated"),
        ("dots", "a.b.c".to_owned(), "unauthenticated"),
        ("endless", "x".repeat(6_000), "unauthenticated"),
    ]
}

#[test]
fn more_than_a_hundred_malformed_requests_get_named_errors() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let settings = [("CITYEVENTS__TOKENS__LEEWAY", "0s")];
    let instance = Instance::start_with(data, &settings);
    let people = crowd::people(data, 2);
    let event = crowd::publish(instance.http, &people[0], 5, 5);
    let owner = people[0].bearer.clone();
    let made = run_on(data, &["api-keys", "create", "--output", "json"]).json();
    let api_key = format!("Bearer {}", made["key"].as_str().unwrap());
    let upload = |body: &str| {
        let headers = [("authorization", &*api_key), ("content-type", "application/x-ndjson")];
        web::once(instance.http, "POST", "/api/ingest", &headers, body.as_bytes())
    };
    poll_for(DEADLINE, || upload("{}\n").status == 200);

    let mut table = rows::bodies(&event);
    table.extend(rows::paths_and_queries(&event));
    table.extend(rows::headers(&event));
    let count = table.len();
    let mut wrong: Vec<_> =
        table.into_iter().filter_map(|row| row.check(instance.http, &owner)).collect();
    let mut tokens = 0;
    let path = format!("/api/events/{event}/join");
    for (what, token, code) in bad_tokens(data) {
        let bearer = format!("Bearer {token}");
        let key = [("idempotency-key", "k"), ("authorization", &*bearer)];
        let join = Row::new("POST", &path, &key, "", 401, code);
        let list = Row::new("GET", "/api/me/events", &key[1..], "", 401, code);
        wrong.extend([join, list].iter().filter_map(|row| row.check_as(what, instance.http)));
        tokens += 2;
    }
    let mut lines = 0;
    for line in rows::lines(&event) {
        let answer = upload(&format!("{line}\n"));
        let told = answer.json();
        let code = &told["error"]["code"];
        if answer.status != 200 || told["status"] != "invalid" || code != "validation_failed" {
            wrong.push(format!("line {}: {}", &line[..line.len().min(90)], answer.text()));
        }
        lines += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{count} requests, {tokens} with bad tokens, {lines} lines");
    assert!(count + tokens + lines >= 100, "{count} {tokens} {lines}");

    let stats = web::get_as(instance.http, &owner, &format!("/api/events/{event}/stats")).json();
    assert_eq!(stats["active_participants"], 0, "nothing of it had an effect: {stats}");
    let metrics = web::once(instance.ops, "GET", "/metrics", &[], b"").text();
    let faults = metrics.lines().filter(|line| {
        !line.starts_with('#') && line.contains("status=\"5") && !line.ends_with(" 0")
    });
    assert_eq!(faults.collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(!instance.log().contains("panicked"));
    instance.stop();
}

#[test]
fn packed_bodies_are_read_and_bombs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start(folder.path());
    let somebody = crowd::people(folder.path(), 1).remove(0);
    let send = |encoding: &str, body: &[u8]| {
        let headers = [
            ("authorization", &*somebody.bearer),
            ("content-type", "application/json"),
            ("content-encoding", encoding),
        ];
        web::once(instance.http, "POST", "/api/events", &headers, body)
    };
    let fields = crowd::event_fields(5, 5).to_string();
    let packed = zstd::encode_all(fields.as_bytes(), 3).unwrap();
    assert_eq!(send("zstd", &packed).status, 201);
    let bomb = zstd::encode_all(std::io::Read::take(std::io::repeat(b' '), 256 << 20), 3).unwrap();
    assert!(bomb.len() < 1 << 20);
    let refused = send("zstd", &bomb);
    assert_eq!((refused.status, &*refused.code()), (413, "payload_too_large"));
    for (encoding, body, status) in [
        ("zstd", &packed[..packed.len() - 3], 400),
        ("zstd", b"no zstd".as_slice(), 400),
        ("gzip", b"no gzip", 400),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03garbage", 400),
        ("br", b"{}", 415),
        ("compress", b"{}", 415),
    ] {
        let refused = send(encoding, body);
        assert_eq!(refused.status, status, "{encoding}: {}", refused.text());
        assert!(!refused.code().is_empty());
    }
    instance.stop();
}

#[test]
fn what_is_no_http_ends_the_connection_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start(folder.path());
    for bytes in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: a\r\nbad\x01name: a\r\n\r\n",
        "POST /api/events HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
        "POST /api/events HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        "POST /api/events HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST /api/events HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, x\r\n\r\n0\r\n\r\n",
        "GET /\x7f\x01 HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut connection = Connection::open(instance.http).unwrap();
        connection.write(bytes.as_bytes()).unwrap();
        // Either an answer of the 400s, or the connection ends without one.
        if let Ok(answer) = connection.read() {
            assert!((400..500).contains(&answer.status), "{bytes:?}: {}", answer.status);
        }
    }
    assert_eq!(web::once(instance.http, "GET", "/healthz", &[], b"").status, 200);
    instance.stop();
}

#[test]
fn slow_clients_are_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("CITYEVENTS__HTTP__HEADER_TIMEOUT", "1s"),
        ("CITYEVENTS__HTTP__BODY_TIMEOUT", "2s"),
        ("CITYEVENTS__HTTP__BODY_IDLE_TIMEOUT", "1s"),
    ];
    let instance = Instance::start_with(folder.path(), &settings);
    let somebody = crowd::people(folder.path(), 1).remove(0);
    let started = Instant::now();
    let mut head = Connection::open(instance.http).unwrap();
    head.write(b"GET /healthz HTTP/1.1\r\nhost: a\r\n").unwrap();
    if let Ok(answer) = head.read() {
        assert_eq!(answer.status, 408);
    }
    let mut body = Connection::open(instance.http).unwrap();
    let request = format!(
        "POST /api/events HTTP/1.1\r\nhost: a\r\nauthorization: {}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        somebody.bearer
    );
    body.write(request.as_bytes()).unwrap();
    let answer = body.read().unwrap();
    assert_eq!((answer.status, &*answer.code()), (408, "request_timeout"));
    assert!(started.elapsed() < DEADLINE);
    instance.stop();
}
