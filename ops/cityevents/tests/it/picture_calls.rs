//! Bringing a picture, step by step.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::calls::{get, post};
use super::web::{Answer, once};

/// A red point, as PNG writes it.
pub const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4\
    z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

/// Where a picture can be brought.
pub struct Upload {
    pub id: String,
    pub path: String,
}

/// Asks for an address.
#[track_caller]
pub fn ask_for(http: SocketAddr, token: &str, purpose: &str) -> Upload {
    let asked = post(http, "/api/media/request-upload", token, &json!({ "purpose": purpose }));
    assert_eq!(asked.status, 200, "{}", asked.text());
    let said = asked.json();
    let (_, path) = said["presigned_url"].as_str().unwrap().split_once("/api/").unwrap();
    Upload { id: said["upload_id"].as_str().unwrap().to_owned(), path: format!("/api/{path}") }
}

/// Brings bytes to an address.
#[track_caller]
pub fn bring_at(http: SocketAddr, path: &str, bytes: &[u8]) -> Answer {
    once(http, "PUT", path, &[("content-type", "image/png")], bytes)
}

/// Brings the picture for somebody. Its id.
#[track_caller]
pub fn bring(http: SocketAddr, token: &str, purpose: &str) -> String {
    let upload = ask_for(http, token, purpose);
    let brought = bring_at(http, &upload.path, &STANDARD.decode(PICTURE).unwrap());
    assert_eq!(brought.status, 204, "{}", brought.text());
    upload.id
}

/// Says that it is there.
#[track_caller]
pub fn complete(http: SocketAddr, token: &str, id: &str) {
    let said = post(http, "/api/media/complete", token, &json!({ "upload_id": id }));
    assert_eq!(said.status, 200, "{}", said.text());
}

/// How far it is.
#[track_caller]
pub fn status(http: SocketAddr, token: &str, id: &str) -> Value {
    get(http, &format!("/api/media/{id}/status"), token).json()
}
