//! A provider that says what a test wants it to say, over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use openidconnect::{PkceCodeChallenge, PkceCodeVerifier};
use parking_lot::Mutex;
use serde_json::{Value, json};

pub const CLIENT: &str = "city";
pub const SECRET: &str = "the secret of the city";
/// What the header of an Ed25519 private key in PKCS #8 looks like; the seed follows.
const PKCS8: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];

/// What somebody with a code is told.
pub struct Grant {
    /// The challenge that began the sign-in.
    challenge: String,
    pub header: Header,
    pub key: EncodingKey,
    pub claims: Value,
    /// Instead of a token by the above.
    pub token: Option<Value>,
}

impl Grant {
    /// The token of this answer.
    fn token(&self) -> Value {
        let made = || json!(jsonwebtoken::encode(&self.header, &self.claims, &self.key).unwrap());
        self.token.clone().unwrap_or_else(made)
    }

    /// Signed by nobody.
    pub fn unsigned(&mut self) {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "none", "kid": self.header.kid});
        self.token = Some(json!(format!("{}.{}.", part(header), part(self.claims.clone()))));
    }
}

pub struct Provider {
    pub issuer: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    issuer: Mutex<String>,
    /// Published: id and seed.
    keys: Mutex<Vec<(String, u8)>>,
    codes: Mutex<BTreeMap<String, Grant>>,
    user: Mutex<Value>,
    document: Mutex<Value>,
    calls: Mutex<BTreeMap<String, u32>>,
    is_away: AtomicBool,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        *shared.issuer.lock() = issuer.clone();
        shared.keys.lock().push(("one".to_owned(), 1));
        *shared.document.lock() = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            // More than it should say: neither proves that it was the provider.
            "id_token_signing_alg_values_supported": ["EdDSA", "HS256", "none"],
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(user))
            .layer(middleware::from_fn_with_state(shared.clone(), count))
            .with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { issuer, shared }
    }

    /// The settings of an instance that lets people in by this provider.
    pub fn settings(&self, section: &str) -> Vec<(String, String)> {
        let set = |key: &str, value: &str| (format!("oauth.{section}.{key}"), value.to_owned());
        vec![
            set("issuer", &self.issuer),
            set("client_id", CLIENT),
            set("client_secret", SECRET),
            set("name", "City hall"),
            ("http.public_url".to_owned(), super::PAGE.to_owned()),
        ]
    }

    /// A code for somebody who has signed in, once. `change` says what the token says otherwise.
    pub fn grant(
        &self,
        begun: &super::Begun,
        subject: &str,
        change: impl FnOnce(&mut Grant),
    ) -> String {
        let now = jsonwebtoken::get_current_timestamp();
        let (kid, seed) = self.shared.keys.lock().last().cloned().unwrap();
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(kid);
        let mut grant = Grant {
            challenge: begun.asked["code_challenge"].clone(),
            header,
            key: key(seed),
            claims: json!({
                "iss": self.issuer, "aud": CLIENT, "sub": subject, "nonce": begun.asked["nonce"],
                "iat": now, "exp": now + 300, "name": "Ada",
                "email": format!("{subject}@example.org"), "email_verified": true,
            }),
            token: None,
        };
        change(&mut grant);
        let mut codes = self.shared.codes.lock();
        let code = format!("code-{}", codes.len());
        codes.insert(code.clone(), grant);
        code
    }

    /// Publishes another key beside those that there are, which it signs with from now on.
    pub fn rotate(&self, kid: &str, seed: u8) {
        self.shared.keys.lock().push((kid.to_owned(), seed));
    }

    /// What it tells of whoever asks about themselves.
    pub fn tell(&self, user: Value) {
        *self.shared.user.lock() = user;
    }

    /// Says something else of itself.
    pub fn describe(&self, member: &str, value: Value) {
        self.shared.document.lock()[member] = value;
    }

    pub fn be_away(&self, is_away: bool) {
        self.shared.is_away.store(is_away, Ordering::SeqCst);
    }

    /// How often a path was asked for.
    pub fn calls(&self, path: &str) -> u32 {
        self.shared.calls.lock().get(path).copied().unwrap_or_default()
    }
}

/// The private key of a seed.
pub fn key(seed: u8) -> EncodingKey {
    EncodingKey::from_ed_der(&[PKCS8.as_slice(), &[seed; 32]].concat())
}

async fn count(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    *shared.calls.lock().entry(request.uri().path().to_owned()).or_default() += 1;
    if shared.is_away.load(Ordering::SeqCst) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    next.run(request).await
}

async fn document(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(shared.document.lock().clone())
}

async fn keys(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let key = |(kid, seed): &(String, u8)| {
        let public = ed25519_dalek::SigningKey::from_bytes(&[*seed; 32]).verifying_key().to_bytes();
        let x = URL_SAFE_NO_PAD.encode(public);
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x})
    };
    let keys: Vec<_> = shared.keys.lock().iter().map(key).collect();
    Json(json!({ "keys": keys }))
}

async fn token(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let refused =
        |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    let expected = STANDARD.encode(format!("{CLIENT}:{}", SECRET.replace(' ', "+")));
    let shown =
        request.headers().get(AUTHORIZATION).map(|shown| shown.to_str().unwrap().to_owned());
    if shown != Some(format!("Basic {expected}")) {
        return refused("invalid_client");
    }
    let body: Bytes = axum::body::to_bytes(request.into_body(), 10_000).await.unwrap();
    let form: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let redirect = "http://city.test:8080/api/auth/oauth/";
    if form["grant_type"] != "authorization_code" || !form["redirect_uri"].starts_with(redirect) {
        return refused("invalid_request");
    }
    let mut codes = shared.codes.lock();
    let Some(grant) = codes.get_mut(&form["code"]) else { return refused("invalid_grant") };
    let verifier = PkceCodeVerifier::new(form["code_verifier"].clone());
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    if std::mem::take(&mut grant.challenge) != challenge.as_str() {
        return refused("invalid_grant");
    }
    let answer =
        json!({"access_token": "opaque", "token_type": "Bearer", "id_token": grant.token()});
    Json(answer).into_response()
}

async fn user(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let is_known =
        request.headers().get(AUTHORIZATION).is_some_and(|shown| shown == "Bearer opaque");
    match is_known {
        true => Json(shared.user.lock().clone()).into_response(),
        false => StatusCode::UNAUTHORIZED.into_response(),
    }
}
