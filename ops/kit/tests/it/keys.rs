//! Keys in files: followed, private, refused when damaged.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use cityevents_kit::keys::{ApiKeys, Follow, KeyRing, KeyStatus, KeysError, Scope, follow};
use cityevents_kit::lifecycle::{Lifecycle, Stage};

/// For what another thread does in a second.
const LONGEST: Duration = Duration::from_secs(30);

#[test]
fn the_first_start_makes_a_ring_that_only_the_owner_may_read() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("keys");
    let ring = KeyRing::open(&dir).unwrap();
    let statuses: Vec<_> = ring.list().iter().map(|key| key.status).collect();
    assert_eq!(statuses, [KeyStatus::Current, KeyStatus::Next]);
    assert_eq!(KeyRing::open(&dir).unwrap().list(), ring.list());
    let jwks = ring.jwks();
    let keys = jwks["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!((&keys[0]["kty"], &keys[0]["crv"]), (&"OKP".into(), &"Ed25519".into()));
    assert!(keys.iter().all(|key| key.get("d").is_none()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join("signing-keys.json")), 0o600);
    }
}

#[tokio::test]
async fn a_change_by_another_process_is_followed_and_a_damaged_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let ring = KeyRing::open(folder.path()).unwrap();
    let other = KeyRing::open(folder.path()).unwrap();
    let lifecycle = Lifecycle::new();
    let component = lifecycle.register("keys", Stage::Background, LONGEST);
    let thread = follow(component, vec![Arc::new(ring.clone())]).unwrap();
    let rotated = other.rotate().unwrap();
    within(LONGEST, || {
        ring.list().iter().any(|key| key.kid == rotated.kid && key.status == KeyStatus::Current)
    });

    let path = folder.path().join("signing-keys.json");
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, b"{\"version\": 9, \"keys\": []}").unwrap();
    within(LONGEST, || {
        let health = lifecycle.health();
        let reason = health.components[0].reason.clone().unwrap_or_default();
        reason.contains("version is 9")
    });
    assert_eq!(ring.list(), other.list(), "what was read before stays good");
    std::fs::write(&path, good).unwrap();
    within(LONGEST, || lifecycle.health().components[0].reason.is_none());
    assert!(lifecycle.drain(LONGEST).await.is_clean());
    thread.join().unwrap();
}

/// Looks until it is so; fails when it has not become so in time.
fn within(limit: Duration, is_so: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + limit;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "not within {limit:?}");
        std::thread::yield_now();
    }
}

#[test]
fn damaged_rings_are_refused_with_a_reason_that_quotes_no_seed() {
    let folder = tempfile::tempdir().unwrap();
    KeyRing::open(folder.path()).unwrap();
    let path = folder.path().join("signing-keys.json");
    let good = std::fs::read_to_string(&path).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&good).unwrap();
    let seed = parsed["keys"][0]["seed"].as_str().unwrap();
    let damaged = [
        String::new(),
        good[..good.len() / 2].to_owned(),
        good.replace("\"version\": 1", "\"version\": 2"),
        good.replace("\"next\"", "\"current\""),
        good.replace(seed, "short"),
        good.replace(&format!("\"{seed}\""), "7"),
    ];
    for content in damaged {
        std::fs::write(&path, &content).unwrap();
        let error = KeyRing::open(folder.path()).err().unwrap();
        assert!(matches!(error, KeysError::Damaged { .. }), "{error}");
        assert!(!error.to_string().contains(seed));
    }
}

#[test]
fn an_api_key_is_good_for_its_scope_until_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let keys = ApiKeys::open(folder.path()).unwrap();
    let (info, secret) = keys.create(&[Scope::Ingest], "importer").unwrap();
    let (powerless, powerless_secret) = keys.create(&[], "nothing").unwrap();
    let stored = std::fs::read_to_string(folder.path().join("api-keys.json")).unwrap();
    let random = secret.expose().rsplit_once('_').map_or("", |(_, random)| random);
    assert!(!stored.contains(random), "only the hash is stored");

    let code = |given: &[(&'static str, &str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.insert(*name, value.parse().unwrap());
        }
        keys.authenticate(&headers, Scope::Ingest).map_err(|problem| problem.code().as_str())
    };
    let bearer = |secret: &str| format!("Bearer {secret}");
    assert_eq!(code(&[("authorization", &bearer(secret.expose()))]), Ok(info.id.clone()));
    assert_eq!(code(&[("x-api-key", secret.expose())]), Ok(info.id.clone()));
    assert_eq!(code(&[("x-api-key", powerless_secret.expose())]), Err("forbidden"));
    assert_eq!(code(&[]), Err("unauthenticated"));
    for wrong in ["cek_", "cek__", "x", &format!("cek_{}_{}", info.id, "A".repeat(43))] {
        assert_eq!(code(&[("x-api-key", wrong)]), Err("unauthenticated"), "{wrong}");
    }
    let elsewhere = ApiKeys::open(folder.path()).unwrap();
    elsewhere.revoke(&info.id).unwrap();
    keys.reload().unwrap();
    assert_eq!(code(&[("x-api-key", secret.expose())]), Err("unauthenticated"));
    assert_eq!(keys.list().iter().map(|key| &key.id).collect::<Vec<_>>(), [&powerless.id]);
    assert!(keys.revoke("unknown").is_err());
}

#[test]
fn rotations_by_several_at_once_all_count() {
    let folder = tempfile::tempdir().unwrap();
    let ring = KeyRing::open(folder.path()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| KeyRing::open(folder.path()).unwrap().rotate().unwrap());
        }
    });
    ring.reload().unwrap();
    assert_eq!(ring.list().len(), 2 + 4);
}
