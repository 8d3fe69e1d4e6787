//! The table of malformed requests.

use std::net::SocketAddr;

use super::web;

const JSON: (&str, &str) = ("content-type", "application/json");
const SOMEBODY: &str = "0190a5b4-0000-7000-8000-00000000000a";

/// One request, and what it is to be told.
pub struct Row {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    status: u16,
    code: &'static str,
}

impl Row {
    /// A row.
    pub fn new(
        method: &'static str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
        status: u16,
        code: &'static str,
    ) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Self {
            method,
            path: path.into(),
            headers: headers.collect(),
            body: body.into(),
            status,
            code,
        }
    }

    /// Sends it with a good token. Returns what is not as it should be.
    pub fn check(mut self, http: SocketAddr, bearer: &str) -> Option<String> {
        self.headers.push(("authorization".into(), bearer.into()));
        self.check_as("", http)
    }

    /// Sends it as it is. Returns what is not as it should be.
    pub fn check_as(&self, what: &str, http: SocketAddr) -> Option<String> {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let answer = web::once(http, self.method, &self.path, &headers, self.body.as_bytes());
        let cut = |text: &str| text.chars().take(90).collect::<String>();
        let shown = format!(
            "{what} {} {} {:?} {}",
            self.method,
            cut(&self.path),
            self.headers.first().map(|(name, value)| (name, cut(value))),
            cut(&self.body)
        );
        let is_problem = answer.header("content-type") == Some("application/problem+json")
            && answer.header("x-request-id").is_some();
        let told = (answer.status, &*answer.code());
        let is_right = told == (self.status, self.code) && is_problem;
        (!is_right)
            .then(|| format!("{shown}: not {} {} but {}", self.status, self.code, answer.text()))
    }
}

const INVALID: (u16, &str) = (400, "validation_failed");

/// Bodies that are not as they should be.
pub fn bodies(event: &str) -> Vec<Row> {
    let good = super::crowd::event_fields(5, 5);
    let with = |field: &str, value: serde_json::Value| {
        let mut fields = good.clone();
        fields[field] = value;
        fields.to_string()
    };
    let mut rows = Vec::new();
    let mut create = |body: String| {
        rows.push(Row::new("POST", "/api/events", &[JSON], &body, INVALID.0, INVALID.1));
    };
    for text in ["", "{", "[]", "1", "\"a\"", "null", "{}", "nul", "{\"title\":}", "\u{feff}{}"] {
        create(text.to_owned());
    }
    create("[".repeat(5_000));
    for field in ["title", "description", "city", "category", "start_time", "end_time"] {
        let mut fields = good.clone();
        fields.as_object_mut().unwrap().remove(field);
        create(fields.to_string());
        create(with(field, serde_json::json!(5)));
        create(with(field, serde_json::json!("")));
    }
    for (field, value) in [
        ("unknown", serde_json::json!(1)),
        ("title", serde_json::json!("x".repeat(121))),
        ("title", serde_json::json!("   ")),
        ("description", serde_json::json!("x".repeat(4_001))),
        ("capacity", serde_json::json!(-1)),
        ("capacity", serde_json::json!(1.5)),
        ("capacity", serde_json::json!("5")),
        ("capacity", serde_json::json!(1_000_001)),
        ("capacity", serde_json::json!(99_999_999_999_i64)),
        ("waitlist_limit", serde_json::json!(100_001)),
        ("waitlist_limit", serde_json::json!([])),
        ("start_time", serde_json::json!("tomorrow")),
        ("start_time", serde_json::json!("2026-13-45T00:00:00Z")),
        ("end_time", serde_json::json!("2000-01-01T00:00:00Z")),
        ("opens_at", serde_json::json!("never")),
        ("cover_image_ids", serde_json::json!(["x"])),
        ("cover_image_ids", serde_json::json!([SOMEBODY, SOMEBODY, SOMEBODY])),
    ] {
        create(with(field, value));
    }
    let mut post = |method, path: &str, body: &str| {
        let path = format!("/api/events/{event}{path}");
        rows.push(Row::new(method, &path, &[JSON], body, INVALID.0, INVALID.1));
    };
    post("PATCH", "", "{\"unknown\":1}");
    post("PATCH", "", "{\"capacity\":\"many\"}");
    post("PATCH", "", "[]");
    post("POST", "/publish", "{\"a\":1}");
    post("POST", "/unpublish", "{\"reason\":5}");
    post("POST", "/cancel-event", "{\"why\":\"rain\"}");
    post("POST", "/bans", "{}");
    post("POST", "/bans", "{\"user_id\":\"me\"}");
    post("POST", "/bans", &format!("{{\"user_id\":\"{SOMEBODY}\",\"expires_at\":1}}"));
    rows.push(Row::new(
        "POST",
        "/api/events",
        &[JSON],
        &" ".repeat(2 << 20),
        413,
        "payload_too_large",
    ));
    rows
}

/// Paths, methods and queries that lead nowhere.
pub fn paths_and_queries(event: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut get =
        |path: &str, status, code| rows.push(Row::new("GET", path, &[], "", status, code));
    for path in ["/nothing", "/api", "/api/events/", "/api/nothing", "/admin", "/metrics"] {
        get(path, 404, "not_found");
    }
    for id in [
        "1",
        "me",
        "%ff",
        "%00",
        "0190a5b4",
        "..%2f..%2fetc",
        "0190a5b4-0000-7000-8000-00000000000g",
    ] {
        get(&format!("/api/events/{id}/view"), INVALID.0, INVALID.1);
        get(&format!("/api/commands/{id}"), INVALID.0, INVALID.1);
    }
    get(&format!("/api/events/{SOMEBODY}/view"), 404, "event_not_found");
    get(&format!("/api/commands/{SOMEBODY}"), 404, "not_found");
    for list in [
        "/api/events".to_owned(),
        "/api/me/joins".into(),
        format!("/api/events/{event}/participants"),
    ] {
        for query in [
            "limit=0",
            "limit=101",
            "limit=-1",
            "limit=ten",
            "limit=",
            "limit=1&limit=2",
            "cursor=x",
            "cursor=%00",
            "cursor=AAAA",
        ] {
            get(&format!("{list}?{query}"), INVALID.0, INVALID.1);
        }
    }
    for query in ["from=yesterday", "to=1", "sort=fastest", "exclude_expired=perhaps"] {
        get(&format!("/api/events?{query}"), INVALID.0, INVALID.1);
    }
    get("/api/me/events?status=lost", INVALID.0, INVALID.1);
    for (method, path) in [
        ("PUT", "/api/events"),
        ("DELETE", "/api/events"),
        ("POST", "/api/me/joins"),
        ("PATCH", "/api/ingest"),
        ("BREW", "/api/events"),
    ] {
        rows.push(Row::new(method, path, &[], "", 405, "method_not_allowed"));
    }
    rows
}

/// Headers that are missing or wrong.
pub fn headers(event: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for call in ["join", "cancel"] {
        let path = format!("/api/events/{event}/{call}");
        let mut post = |headers: &[(&str, &str)]| {
            rows.push(Row::new("POST", &path, headers, "", INVALID.0, INVALID.1));
        };
        let long = "x".repeat(256);
        post(&[]);
        post(&[("idempotency-key", "")]);
        post(&[("idempotency-key", "a b")]);
        post(&[("idempotency-key", "schön")]);
        post(&[("idempotency-key", &long)]);
        post(&[("idempotency-key", "a"), ("x-idempotency-key", "b")]);
        post(&[("idempotency-key", "a"), ("prefer", "wait=soon")]);
    }
    let good = super::crowd::event_fields(5, 5).to_string();
    for kind in ["text/plain", "application/xml", "multipart/form-data"] {
        let headers = [("content-type", kind)];
        rows.push(Row::new("POST", "/api/events", &headers, &good, 415, "unsupported_media_type"));
    }
    let path = format!("/api/events/{event}");
    let headers = [("if-match", "one"), JSON];
    rows.push(Row::new("PATCH", &path, &headers, "{\"city\":\"Basel\"}", INVALID.0, INVALID.1));
    let headers = [("if-match", "\"99\""), JSON];
    rows.push(Row::new("PATCH", &path, &headers, "{\"city\":\"Basel\"}", 412, "version_conflict"));
    rows
}

/// Lines of an upload.
pub fn lines(event: &str) -> Vec<String> {
    let line = |rest: &str| {
        format!(
            "{{\"event_id\":\"{event}\",\"user_id\":\"{SOMEBODY}\",\"idempotency_key\":\"k\"{rest}}}"
        )
    };
    vec![
        "{".into(),
        "1".into(),
        "nul".into(),
        "{}".into(),
        "{\"type\":\"\u{1}\"}".into(),
        "[".repeat(3_000),
        line(""),
        line(",\"type\":\"dance\""),
        line(",\"type\":5"),
        line(",\"type\":\"join\",\"x\":1"),
        line(",\"type\":\"join\",\"type\":\"join\""),
        line(",\"type\":\"join\",\"body\":{\"y\":1}"),
        line(",\"type\":\"join\",\"expected_version\":1"),
        line(",\"type\":\"kick\""),
        line(",\"type\":\"create\""),
        line(",\"type\":\"join\"").replace(event, "x"),
        line(",\"type\":\"join\"").replace(SOMEBODY, "x"),
        line(",\"type\":\"join\"").replace("\"k\"", "\"\""),
        line(&format!(",\"type\":\"join\",\"pad\":\"{}\"", "x".repeat(100_000))),
    ]
}
