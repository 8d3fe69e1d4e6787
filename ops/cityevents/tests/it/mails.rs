//! Mails of a running instance: written, suppressed, given up and sent again.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::{Outgoing, TopicPartition};
use serde_json::{Value, json};

use super::command_line::run_on;
use super::crowd::{self, Person};
use super::instance::{DEADLINE, Instance, poll_for};
use super::planted::{append, open_log};
use super::web;

const PASSWORD: &str = "correct horse battery";

fn post(http: SocketAddr, path: &str, bearer: Option<&str>, body: &Value) -> web::Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(bearer.map(|bearer| ("authorization", bearer)));
    let body = if body.is_null() { String::new() } else { body.to_string() };
    web::once(http, "POST", path, &headers, body.as_bytes())
}

/// Somebody who has an account.
fn register(http: SocketAddr, name: &str) -> Person {
    let body = json!({
        "email": format!("{name}@example.org"), "password": PASSWORD, "name": name,
    });
    let made = post(http, "/api/auth/register", None, &body);
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let token = made["data"]["tokens"]["access_token"].as_str().unwrap();
    Person {
        user: made["data"]["user"]["id"].as_str().unwrap().to_owned(),
        bearer: format!("Bearer {token}"),
    }
}

/// The mails in a folder, with soft line breaks taken out.
fn mails(folder: &Path) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = files.map(|file| file.unwrap().path());
    let done = paths.filter(|path| path.extension().is_some_and(|kind| kind == "eml"));
    let text = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    done.map(text).map(|text| text.replace("=\r\n", "").replace("=3D", "=")).collect()
}

/// Waits for a mail to somebody that has these words.
#[track_caller]
fn mailed(folder: &Path, to: &str, words: &str) -> String {
    let mut found = None;
    poll_for(DEADLINE, || {
        let to = format!("{to}@example.org");
        found = mails(folder).into_iter().find(|mail| mail.contains(&to) && mail.contains(words));
        found.is_some()
    });
    found.unwrap()
}

fn token(mail: &str) -> String {
    let rest = mail.split("token=").nth(1).unwrap();
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
    rest[..end.unwrap_or(rest.len())].to_owned()
}

#[test]
fn who_registers_and_joins_gets_mails_whose_links_work() {
    let folder = tempfile::tempdir().unwrap();
    let (data, inbox) = (folder.path(), folder.path().join("mails"));
    let instance = Instance::start(data);
    let http = instance.http;
    let ada = register(http, "ada");
    let link = token(&mailed(&inbox, "ada", "verify-email"));
    let confirm = |token: &str| {
        post(http, "/api/auth/verify-email/confirm", None, &json!({ "token": token })).status
    };
    assert_eq!(confirm(&link), 204);
    assert_eq!(confirm(&link), 400, "once");
    for known in ["ada@example.org", "nobody@example.org"] {
        let asked =
            post(http, "/api/auth/password/reset/request", None, &json!({ "email": known }));
        assert_eq!(asked.status, 204);
    }
    let reset = token(&mailed(&inbox, "ada", "reset-password"));
    let body = json!({ "token": reset, "new_password": "another long password" });
    assert_eq!(post(http, "/api/auth/password/reset/confirm", None, &body).status, 204);
    // What staff does over HTTP is signed with the keys of the folder here.
    let owner = crowd::people(data, 1).remove(0);
    let event = crowd::publish(http, &owner, 5, 5);
    let ben = register(http, "ben");
    let started = Instant::now();
    assert_eq!(crowd::join(http, &ben, &event, "ben").status, 200);
    mailed(&inbox, "ben", "Lantern walk");
    println!("from the join to the mail: {:?}", started.elapsed());
    let log = instance.log();
    for secret in [&link, &reset, "@example.org", "Lantern"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    drop(ada);
    instance.stop();
    // Neither the log nor any table has a token or, in the log, an address.
    for (place, secrets) in [("log", &[&*link, &*reset, "example.org"][..]), ("views", &[&link])] {
        for file in files(&data.join(place)) {
            let bytes = std::fs::read(&file).unwrap();
            for secret in secrets {
                let is_in = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!is_in, "{secret} is in {}", file.display());
            }
        }
    }
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn a_mail_is_in_the_language_of_its_reader_and_one_click_ends_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let (data, inbox) = (folder.path(), folder.path().join("mails"));
    let instance = Instance::start(data);
    let http = instance.http;
    let body = json!({ "email": "ada@example.org", "password": PASSWORD });
    let headers = [("content-type", "application/json"), ("accept-language", "fr, de-AT;q=0.9")];
    let made =
        web::once(http, "POST", "/api/auth/register", &headers, body.to_string().as_bytes()).json();
    let bearer = format!("Bearer {}", made["data"]["tokens"]["access_token"].as_str().unwrap());
    let ada = Person { user: made["data"]["user"]["id"].as_str().unwrap().to_owned(), bearer };
    let always = mailed(&inbox, "ada", "verify-email");
    assert!(!always.contains("List-Unsubscribe"), "{always}");
    let owner = crowd::people(data, 1).remove(0);
    let event = crowd::publish(http, &owner, 5, 5);
    assert_eq!(crowd::join(http, &ada, &event, "one").status, 200);
    let mail = mailed(&inbox, "ada", "Keine Mails dieser Art mehr");
    assert!(mail.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"), "{mail}");
    let link = mail.split("List-Unsubscribe: <").nth(1).unwrap().split('>').next().unwrap();
    assert!(mail.matches(link).count() >= 3, "in the text and in the page as well: {mail}");
    let path = link.split_once("://").unwrap().1;
    let path = &path[path.find('/').unwrap()..];
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let clicked = web::once(http, "POST", path, &form, b"List-Unsubscribe=One-Click");
    assert_eq!(clicked.status, 200, "{}", clicked.text());
    // The same again, which is told no more.
    let leave = format!("/api/events/{event}/cancel");
    let mut connection = web::Connection::open(http).unwrap();
    assert_eq!(crowd::post(&mut connection, &ada, &leave, "two").unwrap().status, 200);
    assert_eq!(crowd::join(http, &ada, &event, "three").status, 200);
    let dropped = "cityevents_mailer_dropped_total{reason=\"declined\"} 1";
    poll_for(DEADLINE, || {
        web::once(instance.ops, "GET", "/metrics", &[], b"").text().contains(dropped)
    });
    assert_eq!(mails(&inbox).len(), 2);
    instance.stop();
}

#[test]
fn a_suppressed_address_gets_no_mail_until_it_is_lifted() {
    let folder = tempfile::tempdir().unwrap();
    let (data, inbox) = (folder.path(), folder.path().join("mails"));
    let suppress = |more: &[&str]| run_on(data, &[&["mail", "suppress"], more].concat());
    suppress(&["ada@example.org"]).failed(2, &["no instance"]);
    let instance = Instance::start(data);
    suppress(&["nobody"]).failed(2, &["name@example.org"]);
    suppress(&["a@b.co", "--reason", "dislike"]).failed(2, &["complaint"]);
    assert!(suppress(&["--list"]).good().contains("none"));
    let said = suppress(&["Ada@example.org", "--reason", "complaint"]).good();
    assert!(said.contains("complaint"), "{said}");
    let listed = suppress(&["--list", "--output", "json"]).json();
    assert_eq!(listed[0]["reason"], "complaint");
    assert!(!listed.to_string().contains("ada"), "only a hash is kept: {listed}");
    register(instance.http, "ada");
    let dropped = "cityevents_mailer_dropped_total{reason=\"suppressed\"} 1";
    poll_for(DEADLINE, || {
        web::once(instance.ops, "GET", "/metrics", &[], b"").text().contains(dropped)
    });
    assert_eq!(mails(&inbox).len(), 0);
    assert!(!instance.log().contains("example.org"), "an address is in the log");
    instance.stop();
    // Past the instance, since none runs.
    assert!(suppress(&["ada@example.org", "--remove"]).good().contains("again"));
    assert!(suppress(&["ada@example.org", "--remove"]).good().contains("all the time"));
    let instance = Instance::start(data);
    let asked = json!({ "email": "ada@example.org" });
    post(instance.http, "/api/auth/password/reset/request", None, &asked);
    mailed(&inbox, "ada", "reset-password");
    instance.stop();
}

#[test]
fn a_mail_that_nobody_can_read_is_kept_aside_with_its_history_and_redriven() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    Instance::start(data).stop();
    {
        let log = open_log(data);
        let mut producer = log.producer("planted").unwrap();
        let mut headers = HeadersBuilder::default();
        headers.push("ce_type", b"cityevents.email.removed").push("attempt", b"3");
        let poison = Outgoing {
            key: Some("poison".into()),
            value: Some("no mail at all".into()),
            headers: headers.build(),
            timestamp_ms: None,
        };
        append(&mut *producer, &TopicPartition::new("emails-retry-1m", 0), poison);
    }
    let instance = Instance::start(data);
    let letters = |more: &[&str]| {
        let question = [&["dlq", "list", "--output", "json"], more].concat();
        run_on(data, &question).json().as_array().unwrap().clone()
    };
    // Not before it is due: a minute after it was written.
    assert_eq!(letters(&[]).len(), 0);
    instance.stop();
    let log = open_log(data);
    let mut producer = log.producer("planted").unwrap();
    let mut headers = HeadersBuilder::default();
    headers.push("ce_type", b"cityevents.email.removed").push("attempt", b"3").push("due", b"0");
    let poison = Outgoing {
        key: Some("poison".into()),
        value: Some("no mail at all".into()),
        headers: headers.build(),
        timestamp_ms: None,
    };
    append(&mut *producer, &TopicPartition::new("emails-retry-10s", 0), poison);
    drop((producer, log));
    let instance = Instance::start(data);
    poll_for(DEADLINE, || letters(&[]).len() == 1);
    let letter = letters(&[]).remove(0);
    assert_eq!(letter["source"], "emails-retry-10s/0/0");
    assert_eq!(
        (&letter["kind"], &letter["class"]),
        (&"email.removed".into(), &"undecodable".into())
    );
    assert_eq!(letter["attempts"], "3");
    for (filter, count) in [
        (["--template", "removed"], 1),
        (["--template", "waitlisted"], 0),
        (["--class", "undecodable"], 1),
        (["--class", "permanent"], 0),
        (["--older-than", "1h"], 0),
        (["--younger-than", "1h"], 1),
    ] {
        assert_eq!(letters(&filter).len(), count, "{filter:?}");
    }
    assert!(run_on(data, &["dlq", "redrive"]).good().contains("would be redriven"));
    run_on(data, &["dlq", "redrive", "--execute", "--template", "removed"]).good();
    poll_for(DEADLINE, || letters(&[]).iter().any(|letter| letter["redrives"] == 1));
    let again = letters(&[]).remove(0);
    assert!(again["source"].as_str().unwrap().starts_with("emails/0/"), "{again}");
    assert_eq!(again["attempts"], "1", "from the first try on");
    assert!(instance.log().contains("is redriven by"), "who did it is logged");
    instance.stop();
}
