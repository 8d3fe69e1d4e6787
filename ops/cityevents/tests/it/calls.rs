//! Calls as a program makes them: JSON in and out, and who asks in a header.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::web::{Answer, Connection};

/// A password that anybody may have.
pub const PASSWORD: &str = "correct horse battery";

/// Asks, with headers that each end their line.
#[track_caller]
pub fn send(http: SocketAddr, method: &str, path: &str, headers: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = Connection::open(http).and_then(|mut connection| {
        connection.write(request(http, method, path, headers, &body).as_bytes())?;
        connection.read()
    });
    answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

/// A POST.
#[track_caller]
pub fn post(http: SocketAddr, path: &str, headers: &str, body: &Value) -> Answer {
    send(http, "POST", path, headers, body)
}

/// A GET.
#[track_caller]
pub fn get(http: SocketAddr, path: &str, headers: &str) -> Answer {
    send(http, "GET", path, headers, &Value::Null)
}

/// Signs in, if it is let in.
#[track_caller]
pub fn login(http: SocketAddr, email: &str, password: &str) -> Answer {
    post(http, "/api/auth/login", "", &json!({ "email": email, "password": password }))
}

/// Makes an account with a name, and returns its id and the header of its token.
#[track_caller]
pub fn register(http: SocketAddr, name: &str) -> (String, String) {
    let body = json!({
        "email": format!("{name}@example.org"),
        "password": PASSWORD,
        "name": name,
    });
    let made = post(http, "/api/auth/register", "", &body);
    let id = made.json()["data"]["user"]["id"].as_str().map(str::to_owned);
    (id.unwrap_or_else(|| panic!("{}", made.text())), bearer(&made))
}

/// The header of the token that somebody was given.
#[track_caller]
pub fn bearer(signed_in: &Answer) -> String {
    let said = signed_in.json();
    let token = said["data"]["tokens"]["access_token"].as_str();
    let token = token.unwrap_or_else(|| panic!("{}", signed_in.text()));
    format!("authorization: Bearer {token}\r\n")
}

/// The bytes of a request.
pub fn request(http: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {http}\r\n{kind}{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}
