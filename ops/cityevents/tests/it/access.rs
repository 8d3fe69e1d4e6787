//! Who may do what: every route, asked as nobody, as somebody, as the organiser of the event and as
//! staff. A route that is described and not in the table fails, and the other way round.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::calls::{PASSWORD, bearer, get, login, post, register, request};
use super::command_line::run_on;
use super::instance::{DEADLINE, Instance, poll_for};

/// Nothing here is a repetition.
static KEYS: AtomicU32 = AtomicU32::new(0);
/// As nobody, as somebody, as the organiser, as a moderator, as an administrator; each after the one
/// before. `{event}` is a published event of the organiser, new for each row, `{person}` is somebody
/// else.
type Row = (&'static str, &'static str, &'static str, [u16; 5]);

const TABLE: &[Row] = &[
    // Everybody.
    ("GET", "/healthz", "", [200; 5]),
    ("GET", "/readyz", "", [200; 5]),
    ("GET", "/openapi.json", "", [200; 5]),
    ("GET", "/docs/", "", [200; 5]),
    ("GET", "/.well-known/jwks.json", "", [200; 5]),
    ("GET", "/api/events", "", [200; 5]),
    ("GET", "/api/feed", "", [200; 5]),
    ("GET", "/api/feed/recommended", "", [200; 5]),
    ("POST", "/api/feed/track", r#"{"event_type":"view","event_id":"{none}"}"#, [202; 5]),
    ("GET", "/api/meta/cities?q=po", "", [200; 5]),
    ("GET", "/api/events/{event}", "", [200; 5]),
    ("GET", "/api/events/{event}/view", "", [200; 5]),
    ("GET", "/api/events/{event}/calendar.ics", "", [200; 5]),
    ("GET", "/api/events/{event}/live", "", [200; 5]),
    ("GET", "/api/me/calendar.ics?token=made-up", "", [400; 5]),
    ("POST", "/api/auth/register", r#"{"email":"none","password":"x"}"#, [400; 5]),
    ("POST", "/api/auth/login", r#"{"email":"no@b.co","password":"x"}"#, [401; 5]),
    ("POST", "/api/auth/password/reset/request", r#"{"email":"no@b.co"}"#, [204; 5]),
    ("GET", "/api/auth/password/reset/validate?token=made-up", "", [400; 5]),
    (
        "POST",
        "/api/auth/password/reset/confirm",
        r#"{"token":"made-up","new_password":"correct horse battery"}"#,
        [400; 5],
    ),
    ("POST", "/api/auth/verify-email/confirm", r#"{"token":"made-up"}"#, [400; 5]),
    ("GET", "/api/unsubscribe?token=made-up", "", [400; 5]),
    ("POST", "/api/unsubscribe", r#"{"token":"made-up"}"#, [400; 5]),
    // There is no other provider here.
    ("GET", "/api/auth/oauth", "", [200; 5]),
    ("GET", "/api/auth/oauth/{provider}/start", "", [404; 5]),
    ("GET", "/api/auth/oauth/{provider}/callback?code=a&state=b", "", [404; 5]),
    // By the token in the address, which is wrong; and a picture that is not there.
    ("PUT", "/api/media/uploads/{none}?token=made-up", "", [400; 5]),
    ("GET", "/media/{none}/{name}", "", [404; 5]),
    // By cookie, from a page of the site: there is neither.
    ("POST", "/api/auth/refresh", "", [403; 5]),
    // By key.
    ("POST", "/api/ingest", "", [401; 5]),
    // Everybody who is signed in.
    ("GET", "/api/auth/me", "", [401, 200, 200, 200, 200]),
    ("GET", "/api/auth/me/status", "", [401, 200, 200, 200, 200]),
    ("GET", "/api/auth/me/export", "", [401, 200, 200, 200, 200]),
    ("PATCH", "/api/auth/me", r#"{"name":"Somebody"}"#, [401, 200, 200, 200, 200]),
    ("PATCH", "/api/auth/me/avatar", r#"{"upload_id":null}"#, [401, 200, 200, 200, 200]),
    ("POST", "/api/media/request-upload", r#"{"purpose":"avatar"}"#, [401, 200, 200, 200, 200]),
    ("POST", "/api/media/complete", r#"{"upload_id":"{none}"}"#, [401, 404, 404, 404, 404]),
    ("GET", "/api/media/{none}/status", "", [401, 404, 404, 404, 404]),
    ("GET", "/api/auth/sessions", "", [401, 200, 200, 200, 200]),
    ("DELETE", "/api/auth/sessions/{none}", "", [401, 404, 404, 404, 404]),
    ("GET", "/api/auth/me/oauth", "", [401, 200, 200, 200, 200]),
    ("POST", "/api/auth/oauth/{provider}/link", "", [401, 404, 404, 404, 404]),
    ("DELETE", "/api/auth/oauth/{provider}/link", "", [401, 404, 404, 404, 404]),
    ("POST", "/api/auth/verify-email/request", "", [401, 204, 204, 204, 204]),
    (
        "POST",
        "/api/auth/password/change",
        r#"{"old_password":"wrong","new_password":"another horse battery"}"#,
        [401; 5],
    ),
    ("GET", "/api/me/joins", "", [401, 200, 200, 200, 200]),
    ("GET", "/api/me/events", "", [401, 200, 200, 200, 200]),
    ("GET", "/api/me/live", "", [401, 200, 200, 200, 200]),
    ("GET", "/api/me/calendar", "", [401, 200, 200, 200, 200]),
    ("GET", "/api/me/notifications", "", [401, 200, 200, 200, 200]),
    ("PATCH", "/api/me/notifications", r#"{"mail":{}}"#, [401, 200, 200, 200, 200]),
    ("GET", "/api/commands/{none}", "", [401, 404, 404, 404, 404]),
    (
        "POST",
        "/api/events",
        r#"{"title":"t","description":"d","city":"c","category":"k","start_time":"2099-06-01T20:00:00Z","end_time":"2099-06-01T23:00:00Z"}"#,
        [401, 201, 201, 201, 201],
    ),
    ("POST", "/api/events/{event}/join", "", [401, 200, 409, 200, 200]),
    ("POST", "/api/events/{event}/cancel", "", [401, 404, 404, 404, 404]),
    ("GET", "/api/events/{event}/ticket", "", [401, 404, 404, 404, 404]),
    // The organiser, and staff.
    ("PATCH", "/api/events/{event}", r#"{"capacity":7}"#, [401, 403, 200, 200, 200]),
    ("POST", "/api/events/{event}/publish", "", [401, 403, 409, 409, 409]),
    ("POST", "/api/events/{event}/unpublish", "", [401, 403, 200, 409, 409]),
    ("POST", "/api/events/{event}/cancel-event", "", [401, 403, 200, 410, 410]),
    ("GET", "/api/events/{event}/participants", "", [401, 403, 200, 200, 200]),
    ("GET", "/api/events/{event}/waitlist", "", [401, 403, 200, 200, 200]),
    ("GET", "/api/events/{event}/bans", "", [401, 403, 200, 200, 200]),
    ("GET", "/api/events/{event}/stats", "", [401, 403, 200, 200, 200]),
    ("GET", "/api/events/{event}/check-in?user_id={person}", "", [401, 403, 404, 404, 404]),
    ("DELETE", "/api/events/{event}/participants/{person}", "", [401, 403, 404, 404, 404]),
    ("POST", "/api/events/{event}/bans", r#"{"user_id":"{person}"}"#, [401, 403, 200, 200, 200]),
    ("DELETE", "/api/events/{event}/bans/{person}", "", [401, 403, 200, 200, 200]),
    (
        "POST",
        "/api/events/{event}/check-in",
        r#"{"user_id":"{person}"}"#,
        [401, 403, 404, 404, 404],
    ),
    (
        "POST",
        "/api/events/{event}/messages",
        r#"{"to":"all","subject":"s","text":"t"}"#,
        [401, 403, 200, 200, 200],
    ),
    // Staff.
    ("POST", "/api/admin/events/{event}/unpublish", r#"{"reason":"r"}"#, [401, 403, 403, 200, 409]),
    ("POST", "/api/admin/events/{event}/cancel", r#"{"reason":"r"}"#, [401, 403, 403, 200, 410]),
    ("GET", "/api/auth/admin/users", "", [401, 403, 403, 200, 200]),
    ("GET", "/api/admin/audit-trail", "", [401, 403, 403, 200, 200]),
    ("POST", "/api/auth/mod/users/{person}/ban", "", [401, 403, 403, 200, 200]),
    ("POST", "/api/auth/mod/users/{person}/unban", "", [401, 403, 403, 200, 200]),
    // Administrators.
    (
        "POST",
        "/api/auth/admin/users/{person}/role",
        r#"{"role":"user"}"#,
        [401, 403, 403, 403, 200],
    ),
    ("GET", "/api/auth/admin/users/{person}/status", "", [401, 403, 403, 403, 200]),
    ("POST", "/api/auth/admin/users/{person}/sessions/revoke", "", [401, 403, 403, 403, 204]),
    // Nobody comes back from these: they are the last. The organiser has events to come, and the
    // administrator is the only one.
    ("POST", "/api/auth/logout", "", [403, 204, 204, 204, 204]),
    ("DELETE", "/api/auth/me", "", [401, 204, 409, 204, 409]),
    ("POST", "/api/auth/sessions/revoke", "", [401, 401, 204, 401, 204]),
];

/// What the table has beside what is described.
const UNDESCRIBED: [&str; 4] = ["/healthz", "/readyz", "/openapi.json", "/docs/"];

struct World {
    http: SocketAddr,
    person: String,
    organiser: String,
}

#[test]
fn every_route_lets_in_whom_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start(folder.path());
    let http = instance.http;
    for name in ["user", "organiser"] {
        register(http, name);
    }
    let known = |name: &str| (format!("{name}@example.org"), PASSWORD.to_owned());
    let (moderator, admin) = (staff(folder.path(), "moderator"), staff(folder.path(), "admin"));
    let accounts = [known("user"), known("organiser"), moderator, admin];
    let sign_in =
        || accounts.each_ref().map(|(email, password)| bearer(&login(http, email, password)));
    let mut bearers = sign_in();
    let world = World { http, person: register(http, "person").0, organiser: bearers[1].clone() };
    let described = described(http);
    let mut known = BTreeSet::new();
    let mut wrong = Vec::new();
    for (method, path, body, expected) in TABLE {
        let event = if path.contains("{event}") { world.publish() } else { String::new() };
        let filled = |text: &str| {
            let none = "00000000-0000-4000-8000-000000000000";
            let text = text.replace("{event}", &event).replace("{person}", &world.person);
            let text = text.replace("{none}", none).replace("{provider}", "google");
            text.replace("{name}", "avatar-256.webp")
        };
        let [user, organiser, moderator, admin] = bearers.each_ref().map(String::as_str);
        let callers = [None, Some(user), Some(organiser), Some(moderator), Some(admin)];
        let said = callers.map(|bearer| status(http, method, &filled(path), &filled(body), bearer));
        if *path == "/api/auth/logout" {
            // The tokens of who signed out are worthless.
            bearers = sign_in();
        }
        if said != *expected {
            wrong.push(format!("{method} {path}: {said:?} and not {expected:?}"));
        }
        let bare = path.split('?').next().unwrap_or_default();
        known.insert((*method, template(bare)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let in_table = |(method, path): &(String, String)| known.contains(&(&**method, path.clone()));
    let missing: Vec<_> = described.iter().filter(|route| !in_table(route)).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    let undescribed: Vec<_> = known
        .iter()
        .filter(|(method, path)| !described.contains(&((*method).to_owned(), path.clone())))
        .filter(|(_, path)| !UNDESCRIBED.contains(&&**path))
        .collect();
    assert!(undescribed.is_empty(), "not described: {undescribed:?}");
    // What writes does nothing for a link or a picture of another site.
    for (method, path) in &described {
        let is_read_too = described.contains(&("GET".to_owned(), path.clone()));
        if method != "GET" && !is_read_too {
            let path = path.replace("{}", &world.person);
            assert_eq!(status(http, "GET", &path, "", None), 405, "GET {path}");
        }
    }
    instance.stop();
}

/// `{event}` and others as the description calls them, as far as it matters.
fn template(path: &str) -> String {
    let path = path.replace("{event}", "{}").replace("{person}", "{}");
    path.replace("{none}", "{}").replace("{provider}", "{}")
}

fn described(http: SocketAddr) -> BTreeSet<(String, String)> {
    let document = get(http, "/openapi.json", "").json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut routes = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let bare = path.replace("{id}", "{}").replace("{user}", "{}").replace("{provider}", "{}");
        for method in methods.as_object().unwrap().keys() {
            routes.insert((method.to_uppercase(), bare.clone()));
        }
    }
    routes
}

impl World {
    fn publish(&self) -> String {
        let fields = json!({
            "title": "Night of lights", "description": "Bring a lamp", "city": "Porto",
            "category": "art", "start_time": "2099-06-01T20:00:00Z",
            "end_time": "2099-06-01T23:00:00Z", "capacity": 5,
        });
        let made = post(self.http, "/api/events", &self.organiser, &fields);
        let event = made.json()["id"].as_str().unwrap().to_owned();
        let path = format!("/api/events/{event}/publish");
        assert_eq!(post(self.http, &path, &self.organiser, &Value::Null).status, 200);
        // Rows come after facts.
        let shown = format!("/api/events/{event}");
        poll_for(DEADLINE, || status(self.http, "GET", &shown, "", None) == 200);
        event
    }
}

/// Somebody of the staff: how they sign in.
fn staff(folder: &std::path::Path, role: &str) -> (String, String) {
    let email = format!("{role}@example.org");
    let create = ["account", "create", "--email", &email, "--role", role, "--output", "json"];
    let made = run_on(folder, &create).json();
    (email, made["password"].as_str().unwrap().to_owned())
}

/// The status alone: some answers never end.
fn status(http: SocketAddr, method: &str, path: &str, body: &str, bearer: Option<&str>) -> u16 {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let key = KEYS.fetch_add(1, Ordering::Relaxed);
    let headers = format!("{}idempotency-key: {key}\r\n", bearer.unwrap_or_default());
    let request = request(http, method, path, &headers, body);
    stream.write_all(request.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}
