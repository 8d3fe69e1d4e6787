//! Access tokens over HTTP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cityevents_domain::actor::Role;
use cityevents_kit::keys::{
    Caller, KeyRing, KeyStatus, KeysError, Standing, Standings, TokenError, TokenSigner,
    TokenVerifier,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, USER};

const SESSION: Uuid = Uuid::from_bytes([1; 16]);

fn verifier(app: &App) -> TokenVerifier {
    TokenVerifier::new(app.ring.clone(), &app.config)
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn a_good_token_names_its_caller() {
    let app = App::new(&[]);
    let bearer = format!("Bearer {}", app.token());
    let answer = app.get("/me", &[("authorization", &bearer)]).await;
    assert_eq!(answer.body, USER.to_string());
    assert_eq!(app.get("/maybe", &[("authorization", &bearer)]).await.body, USER.to_string());
    assert_eq!(app.get("/maybe", &[]).await.body, "nobody");
}

#[tokio::test]
async fn an_expired_token_says_so() {
    let app = App::new(&[]);
    let token = app.signer.sign_at(&USER, Role::User, &SESSION, Duration::from_secs(60), 1_000);
    let bearer = format!("Bearer {}", token.unwrap());
    let answer = app.get("/me", &[("authorization", &bearer)]).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::UNAUTHORIZED, "token_expired")
    );
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
}

#[test]
fn time_is_looked_at_with_every_request_also_for_remembered_tokens() {
    let app = App::new(&[]);
    let verifier = verifier(&app);
    let ttl = Duration::from_secs(60);
    let token = app.signer.sign_at(&USER, Role::Moderator, &SESSION, ttl, 1_000).unwrap();
    let claims = verifier.verify_at(&token, 1_000).unwrap();
    assert_eq!((claims.sub, claims.role, claims.sid), (USER, Role::Moderator, SESSION));
    assert!(verifier.verify_at(&token, 1_064).is_ok(), "clocks may differ a little");
    assert_eq!(verifier.verify_at(&token, 1_065), Err(TokenError::Expired));
    assert!(verifier.verify_at(&token, 995).is_ok());
    assert_eq!(verifier.verify_at(&token, 994), Err(TokenError::NotYetValid));
}

#[test]
fn rotation_ends_no_session_and_retiring_a_key_does() {
    let app = App::new(&[]);
    let verifier = verifier(&app);
    let token = app.token();
    assert!(verifier.verify(&token).is_ok());
    let before = app.ring.list();
    let current = app.ring.rotate().unwrap();
    assert_eq!(current.kid, before[1].kid, "the key that was next signs now");
    assert!(verifier.verify(&token).is_ok());
    assert!(verifier.verify(&app.token()).is_ok());
    let retiring = before[0].kid.clone();
    let in_use = app.ring.retire_stolen(&current.kid);
    assert!(matches!(in_use, Err(KeysError::InUse { status: KeyStatus::Current, .. })));
    assert!(matches!(app.ring.retire_stolen("unknown"), Err(KeysError::Unknown { .. })));
    app.ring.retire_stolen(&retiring).unwrap();
    assert_eq!(verifier.verify(&token), Err(TokenError::Invalid));
    assert!(app.ring.list().iter().any(|key| key.status == KeyStatus::Next));
}

/// How the account stands, as the test says.
struct Stands(Mutex<Standing>);

impl Standings for Stands {
    fn standing(&self, caller: &Caller) -> Standing {
        assert_eq!(caller.user, USER);
        *self.0.lock().unwrap()
    }
}

#[tokio::test]
async fn the_standing_of_the_account_counts_and_not_what_the_token_says() {
    let stands = Arc::new(Stands(Mutex::new(Standing::Allowed(Role::User))));
    let app = App::with(&[], |verifier| verifier.with_standings(stands.clone()));
    let bearer = format!("Bearer {}", app.token());
    let headers = [("authorization", bearer.as_str())];
    for role in Role::ALL {
        *stands.0.lock().unwrap() = Standing::Allowed(role);
        assert_eq!(app.get("/role", &headers).await.body, role.as_str());
    }
    for (standing, status, code) in [
        (Standing::Locked, StatusCode::FORBIDDEN, "account_locked"),
        (Standing::Revoked, StatusCode::UNAUTHORIZED, "unauthenticated"),
    ] {
        *stands.0.lock().unwrap() = standing;
        for path in ["/me", "/maybe"] {
            let answer = app.get(path, &headers).await;
            assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
        }
    }
    // Whoever presents no token is not asked about.
    assert_eq!(app.get("/maybe", &[]).await.body, "nobody");
    *stands.0.lock().unwrap() = Standing::Allowed(Role::User);
    assert_eq!(app.get("/me", &headers).await.body, USER.to_string());
}

#[test]
fn forged_tokens_are_refused() {
    let app = App::new(&[]);
    let verifier = verifier(&app);
    let token = app.token();
    let parts: Vec<&str> = token.split('.').collect();
    let payload: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let kid = app.ring.list()[0].kid.clone();
    let public = URL_SAFE_NO_PAD.decode(&app.ring.list()[0].public_key).unwrap();

    let mut admin = payload.clone();
    admin["role"] = json!("admin");
    let none = part(&json!({"alg": "none", "typ": "JWT", "kid": kid}));
    let hmac_header = jsonwebtoken::Header {
        kid: Some(kid.clone()),
        ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256)
    };
    let hmac_key = jsonwebtoken::EncodingKey::from_secret(&public);
    let hmac = jsonwebtoken::encode(&hmac_header, &admin, &hmac_key).unwrap();
    let forged = [
        format!("{}.{}.{}", parts[0], part(&admin), parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{none}.{}.", part(&admin)),
        format!("{none}.{}.{}", part(&admin), parts[2]),
        hmac,
        format!("{token}A"),
        format!("{token}."),
        token.replace('.', ""),
        String::new(),
        "..".to_owned(),
    ];
    for token in forged {
        assert_eq!(verifier.verify(&token), Err(TokenError::Invalid), "{token}");
    }
    for index in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        // The last character of a base64 text can carry bits that mean nothing.
        if let Ok(claims) = verifier.verify(&changed) {
            panic!("{claims:?} from {changed}");
        }
    }
}

#[test]
fn tokens_of_other_issuers_audiences_and_rings_are_refused() {
    let app = App::new(&[]);
    let verifier = verifier(&app);
    let session = SESSION;
    let (audience, issuer) = (app.config.tokens.audience.as_str(), app.config.token_issuer());
    let signed_as = |audience: &str, issuer: &str| {
        let other = App::new(&[("tokens.audience", audience), ("tokens.issuer", issuer)]);
        let signer = TokenSigner::new(app.ring.clone(), &other.config);
        signer.sign(&USER, Role::User, &session).unwrap()
    };
    verifier.verify(&signed_as(audience, &issuer)).unwrap();
    for token in [signed_as("else", &issuer), signed_as(audience, "https://else")] {
        assert_eq!(verifier.verify(&token), Err(TokenError::Invalid), "{token}");
    }
    let folder = tempfile::tempdir().unwrap();
    let ring = KeyRing::open(folder.path()).unwrap();
    let token = TokenSigner::new(ring, &app.config).sign(&USER, Role::User, &session).unwrap();
    assert_eq!(verifier.verify(&token), Err(TokenError::Invalid));
}
