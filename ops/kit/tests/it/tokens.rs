//! Tokens that differ from a good one in one thing, and rotation while tokens are in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cityevents_domain::actor::Role;
use cityevents_kit::keys::{
    Follow, KeyRing, KeyStatus, KeysError, TokenError, TokenSigner, TokenVerifier, follow,
};
use cityevents_kit::lifecycle::{Lifecycle, Stage};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, USER};

const SESSION: Uuid = Uuid::from_bytes([1; 16]);
const NOW: i64 = 1_790_000_000;
const HOUR: Duration = Duration::from_secs(3_600);

/// What a token is made of, all of it good until a test says otherwise.
struct Recipe {
    header: Header,
    claims: Value,
    key: EncodingKey,
}

impl Recipe {
    fn good(app: &App) -> Self {
        let (kid, key) = private_key(app.config.keys_dir().as_path(), "current");
        let header = Header { kid: Some(kid), ..Header::new(Algorithm::EdDSA) };
        let claims = json!({
            "iss": app.config.token_issuer(), "aud": "cityevents", "sub": USER.to_string(),
            "role": "user", "sid": SESSION.to_string(), "iat": NOW, "exp": NOW + 900,
        });
        Self { header, claims, key }
    }

    fn token(&self) -> String {
        jsonwebtoken::encode(&self.header, &self.claims, &self.key).unwrap()
    }
}

/// A key of a ring as its file has it.
fn private_key(dir: &std::path::Path, status: &str) -> (String, EncodingKey) {
    let file = std::fs::read(dir.join("signing-keys.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let keys = file["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["status"] == status).unwrap();
    let seed = URL_SAFE_NO_PAD.decode(key["seed"].as_str().unwrap()).unwrap();
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let kid = key["kid"].as_str().unwrap().to_owned();
    (kid, EncodingKey::from_ed_der(&[&prefix[..], &seed].concat()))
}

type Case = (&'static str, fn(&mut Recipe, &App), Result<(), TokenError>);

const CASES: &[Case] = &[
    ("nothing", |_, _| {}, Ok(())),
    ("a claim that nobody knows", |bad, _| bad.claims["more"] = json!([1]), Ok(())),
    (
        "a list of audiences",
        |bad, _| bad.claims["aud"] = json!(["else", "cityevents"]),
        Err(TokenError::Invalid),
    ),
    ("no kid", |bad, _| bad.header.kid = None, Err(TokenError::Invalid)),
    (
        "a kid that is unknown",
        |bad, _| bad.header.kid = Some("0011223344556677".to_owned()),
        Err(TokenError::Invalid),
    ),
    (
        "the kid of another key of the ring",
        |bad, app| bad.header.kid = Some(app.ring.list()[1].kid.clone()),
        Err(TokenError::Invalid),
    ),
    (
        "a key of another ring under our kid",
        |bad, _| {
            let folder = tempfile::tempdir().unwrap();
            KeyRing::open(folder.path()).unwrap();
            bad.key = private_key(folder.path(), "current").1;
        },
        Err(TokenError::Invalid),
    ),
    (
        "a secret that everybody knows, HS256 with the public key",
        |bad, app| {
            let public = URL_SAFE_NO_PAD.decode(&app.ring.list()[0].public_key).unwrap();
            bad.header.alg = Algorithm::HS256;
            bad.key = EncodingKey::from_secret(&public);
        },
        Err(TokenError::Invalid),
    ),
    (
        "another issuer",
        |bad, _| bad.claims["iss"] = json!("https://else.example"),
        Err(TokenError::Invalid),
    ),
    ("no issuer", |bad, _| without(bad, "iss"), Err(TokenError::Invalid)),
    ("another audience", |bad, _| bad.claims["aud"] = json!("else"), Err(TokenError::Invalid)),
    ("no audience", |bad, _| without(bad, "aud"), Err(TokenError::Invalid)),
    ("no subject", |bad, _| without(bad, "sub"), Err(TokenError::Invalid)),
    ("no session", |bad, _| without(bad, "sid"), Err(TokenError::Invalid)),
    ("no end", |bad, _| without(bad, "exp"), Err(TokenError::Invalid)),
    (
        "a role that there is not",
        |bad, _| bad.claims["role"] = json!("root"),
        Err(TokenError::Invalid),
    ),
    ("an end that is past", |bad, _| bad.claims["exp"] = json!(NOW - 5), Err(TokenError::Expired)),
    (
        "a beginning that is to come",
        |bad, _| bad.claims["nbf"] = json!(NOW + 6),
        Err(TokenError::NotYetValid),
    ),
    (
        "issued in the future",
        |bad, _| bad.claims["iat"] = json!(NOW + 6),
        Err(TokenError::NotYetValid),
    ),
];

fn without(bad: &mut Recipe, claim: &str) {
    bad.claims.as_object_mut().unwrap().remove(claim);
}

#[test]
fn a_token_that_differs_from_a_good_one_in_one_thing_is_refused_for_it() {
    for (what, change, expected) in CASES {
        let app = App::new(&[]);
        let verifier = TokenVerifier::new(app.ring.clone(), &app.config);
        let mut recipe = Recipe::good(&app);
        change(&mut recipe, &app);
        let token = recipe.token();
        for time in ["first", "second"] {
            let verified = verifier.verify_at(&token, NOW).map(drop);
            assert_eq!(verified, *expected, "{what}, the {time} time");
        }
    }
}

#[test]
fn a_key_is_retired_only_after_the_longest_life_of_its_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let ring = KeyRing::open(folder.path()).unwrap();
    let old = ring.list()[0].kid.clone();
    ring.rotate().unwrap();
    let signed_until = |kid: &str| {
        let key = ring.list().into_iter().find(|key| key.kid == kid).unwrap();
        key.signed_until.map(|at| at.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    };
    let stopped = signed_until(&old).unwrap();
    assert!(ring.list()[1..].iter().all(|key| key.signed_until.is_none()));
    // Two more rotations move nothing: what counts is when this key stopped.
    ring.rotate().unwrap();
    ring.rotate().unwrap();
    assert_eq!(signed_until(&old), Some(stopped));
    assert_eq!(ring.jwks()["keys"].as_array().unwrap().len(), 5);

    // The others read the file within two seconds, and sign with it until then.
    let over = stopped + 2_000 + 3_600_000;
    let early = ring.retire_at(&old, HOUR, over - 1);
    assert!(matches!(&early, Err(KeysError::StillNeeded { id, .. }) if *id == old), "{early:?}");
    assert_eq!(ring.retire_due(HOUR).unwrap(), Vec::<String>::new());
    assert_eq!(ring.list().len(), 5);
    ring.retire_at(&old, HOUR, over).unwrap();
    assert!(ring.list().iter().all(|key| key.kid != old));
    let statuses: Vec<_> = ring.list().iter().map(|key| key.status).collect();
    use KeyStatus::{Current, Next, Retiring};
    assert_eq!(statuses, [Retiring, Retiring, Current, Next]);
}

#[test]
fn a_remembered_token_of_a_retired_key_is_refused_by_who_follows_the_file() {
    let app = App::new(&[]);
    let dir = app.config.keys_dir();
    let elsewhere = KeyRing::open(&dir).unwrap();
    let verifier = TokenVerifier::new(elsewhere.clone(), &app.config);
    let token = app.token();
    assert!(verifier.verify(&token).is_ok());
    let old = app.ring.list()[0].kid.clone();
    app.ring.rotate().unwrap();
    app.ring.retire_stolen(&old).unwrap();
    elsewhere.reload().unwrap();
    assert_eq!(verifier.verify(&token), Err(TokenError::Invalid));
}

#[test]
fn a_key_made_a_moment_ago_is_looked_for_in_the_file_before_it_is_called_unknown() {
    let app = App::new(&[]);
    let elsewhere = KeyRing::open(&app.config.keys_dir()).unwrap();
    let verifier = TokenVerifier::new(elsewhere.clone(), &app.config);
    for _ in 0..3 {
        app.ring.rotate().unwrap();
    }
    assert!(elsewhere.list().iter().all(|key| key.kid != app.ring.list()[3].kid));
    assert!(verifier.verify(&app.token()).is_ok());
    assert_eq!(elsewhere.list(), app.ring.list());
}

#[tokio::test]
async fn keys_rotate_under_load_without_one_refused_token() {
    const ROTATIONS: usize = 40;
    let app = App::new(&[]);
    let dir = app.config.keys_dir();
    let lifecycle = Lifecycle::new();
    // Two instances, each with a ring of its own that follows the file; both sign and verify.
    let mut following = Vec::new();
    let instances = ["one", "two"].map(|name| {
        let ring = KeyRing::open(&dir).unwrap();
        let component = lifecycle.register(name, Stage::Background, HOUR);
        following.push(follow(component, vec![Arc::new(ring.clone())]).unwrap());
        (TokenSigner::new(ring.clone(), &app.config), TokenVerifier::new(ring, &app.config))
    });
    let (done, refused) = (AtomicBool::new(false), AtomicU64::new(0));
    let rounds: [AtomicU64; 4] = Default::default();
    std::thread::scope(|scope| {
        for (index, round) in rounds.iter().enumerate() {
            let (instances, done, refused) = (&instances, &done, &refused);
            scope.spawn(move || {
                let signer = &instances[index % 2].0;
                let long_ago = signer.sign(&USER, Role::User, &SESSION).unwrap();
                while !done.load(Ordering::Acquire) {
                    let session = Uuid::from_u128(u128::from(round.load(Ordering::Relaxed)));
                    let fresh = signer.sign(&USER, Role::User, &session).unwrap();
                    for (_, verifier) in instances {
                        let tokens = [&fresh, &long_ago];
                        let bad = tokens.iter().filter(|token| verifier.verify(token).is_err());
                        refused.fetch_add(bad.count() as u64, Ordering::Relaxed);
                    }
                    round.fetch_add(1, Ordering::Release);
                }
            });
        }
        for _ in 0..ROTATIONS {
            let before = rounds.each_ref().map(|round| round.load(Ordering::Acquire));
            app.ring.rotate().unwrap();
            // The next rotation comes when all have worked with this one.
            let all_went_on = || {
                let mut pairs = rounds.iter().zip(before);
                pairs.all(|(now, then)| now.load(Ordering::Acquire) >= then + 2)
            };
            while !all_went_on() {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(refused.load(Ordering::Relaxed), 0);
    assert!(lifecycle.drain(Duration::from_secs(30)).await.is_clean());
    for thread in following {
        thread.join().unwrap();
    }
    assert_eq!(app.ring.list().len(), 2 + ROTATIONS);
}
