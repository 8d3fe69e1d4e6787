//! Accounts, through the binary: made at the command line, used over HTTP, and still there after
//! the power went.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use super::calls::{bearer, login, post, register, send};
use super::command_line::{command, run_on, said};
use super::instance::{DEADLINE, Instance, poll_for};

#[test]
fn the_first_administrator_is_made_at_the_command_line_and_signs_in_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let create = |email: &str| {
        let arguments =
            ["account", "create", "--email", email, "--role", "admin", "--output", "json"];
        run_on(folder.path(), &arguments)
    };
    // Past the instance, since none runs.
    let first = create("first@example.org").json();
    let instance = Instance::start(folder.path());
    // Through the instance.
    let second = create("second@example.org").json();
    for made in [&first, &second] {
        let (email, password) =
            (made["email"].as_str().unwrap(), made["password"].as_str().unwrap());
        let answer = login(instance.http, email, password);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["data"]["user"]["id"], made["id"]);
        assert_eq!(answer.json()["data"]["user"]["role"], "admin");
    }
    // Made by chance, and never the same one.
    assert_ne!(first["password"], second["password"]);
    assert!(first["password"].as_str().unwrap().len() >= 22);
    create("SECOND@example.org").failed(1, &["there is an account with this address"]);
    let log = instance.log();
    for made in [&first, &second] {
        for secret in ["password", "email"] {
            let secret = made[secret].as_str().unwrap();
            assert!(!log.contains(secret), "{secret} is in the log");
        }
    }
    assert!(!log.contains("argon2"), "a hash is in the log");
    instance.stop();
}

#[test]
fn a_password_that_is_given_is_read_from_the_input_and_judged_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let create = |password: &str| {
        let mut create = command();
        create.args(["account", "create", "--email", "ada@example.org", "--password-stdin"]);
        create.arg("--data").arg(folder.path()).stdin(Stdio::piped());
        let mut child = create.spawn().unwrap();
        child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        said(child.wait_with_output().unwrap())
    };
    create("short\n").failed(2, &["at least 12 characters"]);
    create("password1234\n").failed(2, &["commonest"]);
    let made = create("correct horse battery\n").good();
    assert!(made.contains("user ada@example.org") && !made.contains("horse"), "{made}");
    let wrong = run_on(folder.path(), &["account", "create", "--email", "nobody"]);
    wrong.failed(2, &["--email", "name@example.org"]);
    let create = ["account", "create", "--email", "bob@example.org", "--name"];
    for name in ["two\nlines", "\u{202e}boB", &"x".repeat(121)] {
        let wrong = run_on(folder.path(), &[create.as_slice(), &[name]].concat());
        wrong.failed(2, &["--name", "one line"]);
    }
    let instance = Instance::start(folder.path());
    assert_eq!(login(instance.http, "ada@example.org", "correct horse battery").status, 200);
    instance.stop();
}

#[test]
fn who_is_banned_or_erased_gives_their_place_to_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let create = ["account", "create", "--email", "root@example.org", "--role", "admin"];
    let root = run_on(folder.path(), &[&create[..], &["--output", "json"]].concat()).json();
    let instance = Instance::start(folder.path());
    let http = instance.http;
    let staff = bearer(&login(http, "root@example.org", root["password"].as_str().unwrap()));
    let (_, owner) = register(http, "owner");
    let fields = json!({
        "title": "Night of lights", "description": "Bring a lamp", "city": "Porto",
        "category": "art", "start_time": "2099-06-01T20:00:00Z",
        "end_time": "2099-06-01T23:00:00Z", "capacity": 1,
    });
    let event =
        post(http, "/api/events", &owner, &fields).json()["id"].as_str().unwrap().to_owned();
    let publish = format!("/api/events/{event}/publish");
    assert_eq!(post(http, &publish, &owner, &Value::Null).status, 200);
    let shown = || send(http, "GET", &format!("/api/events/{event}"), "", &Value::Null).json();
    poll_for(DEADLINE, || shown()["status"] == "published");
    assert_eq!(shown()["organizer_name"], "owner");
    let people = ["ada", "ben", "eve"].map(|name| register(http, name));
    for (number, (_, bearer)) in people.iter().enumerate() {
        let headers = format!("{bearer}idempotency-key: {number}\r\n");
        let joined = post(http, &format!("/api/events/{event}/join"), &headers, &Value::Null);
        assert_eq!(joined.status, 200, "{}", joined.text());
    }
    let [(ada, _), (_, ben), (_, eve)] = &people;
    let gets_the_place = |bearer: &str| {
        poll_for(DEADLINE, || {
            let path = format!("/api/events/{event}/view");
            let view = send(http, "GET", &path, bearer, &Value::Null).json();
            view["participation"]["status"] == "active"
        });
    };
    let ban = format!("/api/auth/mod/users/{ada}/ban");
    assert_eq!(post(http, &ban, &staff, &Value::Null).status, 200);
    gets_the_place(ben);
    let exported = send(http, "GET", "/api/auth/me/export", ben, &Value::Null).json();
    assert_eq!(exported["data"]["registrations"][0]["status"], "active", "{exported}");
    let refused = send(http, "DELETE", "/api/auth/me", &owner, &Value::Null);
    assert_eq!((refused.status, refused.code().as_str()), (409, "invalid_state"));
    let erased = send(http, "DELETE", "/api/auth/me", ben, &Value::Null);
    assert_eq!(erased.status, 204, "{}", erased.text());
    gets_the_place(eve);
    assert_eq!(login(http, "ben@example.org", "correct horse battery").status, 401);
    let log = instance.log();
    assert!(!log.contains("@example.org"), "an address is in the log");
    instance.stop();
}

#[test]
fn sample_data_comes_with_accounts_whose_passwords_are_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start_as(folder.path(), &["--sample-data"]);
    let told = |log: &str| -> Vec<[String; 2]> {
        let lines = log.lines().filter_map(|line| line.strip_prefix("sign in as "));
        let words = lines.map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        words.map(|words| [words[0].clone(), words[3].clone()]).collect()
    };
    let accounts = told(&instance.log());
    let mut roles = Vec::new();
    for [email, password] in &accounts {
        let answer = login(instance.http, email, password).json();
        roles.push(answer["data"]["user"]["role"].as_str().unwrap().to_owned());
        if email.starts_with("organiser") {
            let token = answer["data"]["tokens"]["access_token"].as_str().unwrap();
            let bearer = format!("authorization: Bearer {token}\r\n");
            let own = send(instance.http, "GET", "/api/me/events", &bearer, &Value::Null).json();
            assert_eq!(own["items"].as_array().map(Vec::len), Some(20), "{own}");
        }
    }
    assert_eq!(roles, ["admin", "user", "user"]);
    let passwords: BTreeSet<_> = accounts.iter().map(|[_, password]| password).collect();
    assert!(passwords.len() == 3 && passwords.iter().all(|password| password.len() >= 22));
    instance.stop();
    let again = Instance::start_as(folder.path(), &["--sample-data"]);
    assert_eq!(told(&again.log()), Vec::<[String; 2]>::new());
    again.stop();
}

#[test]
fn who_registered_and_signed_in_is_not_forgotten_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::start(folder.path());
    let body = json!({ "email": "ada@example.org", "password": "correct horse battery" });
    let made = post(instance.http, "/api/auth/register", "", &body);
    assert_eq!(made.status, 201, "{}", made.text());
    let cookie = made.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    instance.kill();
    let instance = Instance::start(folder.path());
    let headers = format!("cookie: {cookie}\r\norigin: http://{}\r\n", instance.http);
    let refreshed = post(instance.http, "/api/auth/refresh", &headers, &Value::Null);
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
    assert_eq!(refreshed.json()["data"]["user"]["email"], "ada@example.org");
    let again = post(instance.http, "/api/auth/register", "", &body);
    assert_eq!(again.code(), "email_already_exists");
    instance.stop();
}

#[test]
fn accounts_are_listed_and_given_roles_at_the_command_line_with_and_without_an_instance() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| run_on(folder.path(), arguments);
    let create = |email: &str, role: &str| {
        let arguments = ["account", "create", "--email", email, "--role", role, "--output", "json"];
        run(&arguments).json()
    };
    let root = create("root@example.org", "admin");
    let ada = create("ada@example.org", "user");
    let listed = |arguments: &[&str]| -> Vec<String> {
        let arguments = [&["account", "list", "--output", "json"], arguments].concat();
        let listed = run(&arguments).json();
        let accounts = listed["accounts"].as_array().unwrap().iter();
        accounts.map(|one| one["email"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&[]), ["root@example.org", "ada@example.org"]);
    let last = run(&["account", "role", "root@example.org", "user"]);
    last.failed(1, &["last administrator"]);
    // Past the instance, and then through it.
    run(&["account", "role", "Ada@example.org", "moderator"]).good();
    assert_eq!(listed(&["--role", "moderator"]), ["ada@example.org"]);
    let instance = Instance::start(folder.path());
    run(&["account", "role", ada["id"].as_str().unwrap(), "admin"]).good();
    assert_eq!(listed(&["--role", "admin"]), ["root@example.org", "ada@example.org"]);
    let shown = run(&["account", "list", "--limit", "1"]).good();
    assert!(shown.contains("root@example.org") && !shown.contains("ada@"), "{shown}");
    run(&["account", "role", "nobody@example.org", "user"]).failed(1, &["no account with this"]);
    run(&["account", "role", "nobody", "user"])
        .failed(1, &["name@example.org", "id of an account"]);
    run(&["account", "role", "root@example.org", "king"]).failed(2, &["king"]);
    run(&["account", "list", "--limit", "0"]).failed(2, &["--limit"]);
    let email = ada["email"].as_str().unwrap();
    let password = ada["password"].as_str().unwrap();
    let answer = login(instance.http, email, password);
    assert_eq!(answer.json()["data"]["user"]["role"], "admin");
    let id = root["id"].as_str().unwrap();
    let log = instance.log();
    assert!(
        !log.contains("nobody@example.org") && !log.contains(email),
        "an address is in the log"
    );
    run(&["account", "role", id, "user"]).good();
    instance.stop();
}

#[test]
fn what_staff_does_to_events_of_others_is_in_the_trail_and_to_their_own_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let create = ["account", "create", "--email", "mod@example.org", "--role", "moderator"];
    let made = run_on(folder.path(), &[&create[..], &["--output", "json"]].concat()).json();
    let instance = Instance::start(folder.path());
    let http = instance.http;
    let staff = bearer(&login(http, "mod@example.org", made["password"].as_str().unwrap()));
    let (_, owner) = register(http, "owner");
    let (guest, joiner) = register(http, "guest");
    let fields = json!({
        "title": "Night of lights", "description": "Bring a lamp", "city": "Porto",
        "category": "art", "start_time": "2099-06-01T20:00:00Z",
        "end_time": "2099-06-01T23:00:00Z", "capacity": 5,
    });
    let publish = |bearer: &str| {
        let made = post(http, "/api/events", bearer, &fields).json();
        let event = made["id"].as_str().unwrap().to_owned();
        let published = post(http, &format!("/api/events/{event}/publish"), bearer, &Value::Null);
        assert_eq!(published.status, 200, "{}", published.text());
        event
    };
    let (event, own) = (publish(&owner), publish(&staff));
    let headers = format!("{joiner}idempotency-key: once\r\n");
    let joined = post(http, &format!("/api/events/{event}/join"), &headers, &Value::Null);
    assert_eq!(joined.status, 200, "{}", joined.text());
    let reason = json!({ "reason": "it is too loud there" });
    for (method, path, body) in [
        ("DELETE", format!("/api/events/{event}/participants/{guest}"), &Value::Null),
        ("POST", format!("/api/admin/events/{event}/unpublish"), &reason),
        ("POST", format!("/api/events/{own}/unpublish"), &Value::Null),
        ("POST", format!("/api/admin/events/{event}/cancel"), &reason),
    ] {
        let said = send(http, method, &path, &staff, body);
        assert_eq!(said.status, 200, "{path}: {}", said.text());
    }
    let actions = |filter: &str| -> Vec<String> {
        let path = format!("/api/admin/audit-trail?{filter}");
        let trail = send(http, "GET", &path, &staff, &Value::Null);
        assert!(!trail.text().contains("too loud"), "why is nobody's to read");
        let items = trail.json()["data"]["items"].as_array().unwrap().clone();
        let word = |item: &Value| item["action"].as_str().unwrap().to_owned();
        items.iter().map(word).collect()
    };
    let all = ["cancel_event", "unpublish_event", "kick_from_event"];
    let by = format!("actor={}", made["id"].as_str().unwrap());
    poll_for(DEADLINE, || actions(&by) == all);
    assert_eq!(actions(""), all);
    assert_eq!(actions(&format!("target={event}")), all);
    assert_eq!(actions(&format!("target={guest}")), ["kick_from_event"]);
    assert_eq!(actions(&format!("target={own}")), Vec::<String>::new());
    let path = format!("/api/admin/audit-trail?target={guest}&limit=1");
    let shown = send(http, "GET", &path, &staff, &Value::Null).json();
    let item = &shown["data"]["items"][0];
    assert_eq!((&item["target"], &item["target_kind"]), (&json!(event), &json!("event")));
    assert_eq!((&item["user_id"], &item["actor"]), (&json!(guest), &made["id"]));
    instance.stop();
}
