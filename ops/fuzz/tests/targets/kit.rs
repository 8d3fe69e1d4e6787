//! What callers and operators hand in: cursors, tokens, configuration.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cityevents_domain::actor::Role;
use cityevents_fuzz::Seen;
use cityevents_fuzz::values::{bytes, number, offset, pick, text, user};
use cityevents_kit::Config;
use cityevents_kit::config::{DEFAULT_TOML, Sources};
use cityevents_kit::consistency::ConsistencyToken;
use cityevents_kit::keys::{KeyRing, TokenSigner, TokenVerifier};
use cityevents_kit::seal::{CursorSealer, FilterHash, InstanceSecret};
use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::{fuzz, reads_back};

/// Seconds since 1970 at which tokens are looked at.
const NOW: i64 = 1_800_000_000;

fn config_in(folder: &std::path::Path) -> Config {
    let overrides = vec![("data.dir".to_owned(), folder.display().to_string())];
    Config::load(Sources { overrides, ..Sources::default() }).unwrap().config
}

#[test]
fn a_cursor_opens_only_as_it_was_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let sealer = CursorSealer::new(InstanceSecret::open(&config_in(folder.path())).unwrap());
    let filters = FilterHash::of([("city", "Köln")]);
    let made: RefCell<BTreeMap<String, Vec<u8>>> = RefCell::default();
    let make = |rng: &mut SmallRng| {
        let position: Vec<u8> = (0..rng.random_range(0..60)).map(|_| rng.random()).collect();
        let cursor = sealer.seal("events", &filters, &position).unwrap();
        made.borrow_mut().insert(cursor.clone(), position);
        cursor.into_bytes()
    };
    fuzz("kit CursorSealer::open", make, |input| {
        let cursor = String::from_utf8_lossy(input);
        if sealer.open("joins", &filters, &cursor).is_ok() {
            return Err("it opens for another list".to_owned());
        }
        let opened = sealer.open("events", &filters, &cursor).ok();
        match opened.as_ref() == made.borrow().get(&*cursor) {
            true => Ok(Seen::of(opened.is_some())),
            false => Err(format!("it opens as {opened:?}")),
        }
    });
}

fn tokens(target: &str, part: impl Fn(String) -> Vec<u8>, whole: impl Fn(&[u8]) -> String) {
    let folder = tempfile::tempdir().unwrap();
    let config = config_in(folder.path());
    let ring = KeyRing::open(&folder.path().join("keys")).unwrap();
    let signer = TokenSigner::new(ring.clone(), &config);
    let verifier = TokenVerifier::new(ring, &config);
    let made: RefCell<BTreeMap<String, _>> = RefCell::default();
    let make = |rng: &mut SmallRng| {
        let (user, role) = (user(rng), pick(rng, &Role::ALL));
        let session = uuid::Uuid::from_bytes(bytes(rng));
        let ttl = Duration::from_secs(rng.random_range(60..90_000));
        let token = signer.sign_at(&user, role, &session, ttl, NOW - 10).unwrap();
        made.borrow_mut().insert(token.clone(), (user, role, session));
        part(token)
    };
    fuzz(target, make, |input| {
        let token = whole(input);
        let read = verifier.verify_at(&token, NOW).ok();
        let read = read.map(|claims| (claims.sub, claims.role, claims.sid));
        match read.as_ref() == made.borrow().get(&token) {
            true => Ok(Seen::of(read.is_some())),
            false => Err(format!("a token that nobody signed says {read:?}")),
        }
    });
}

#[test]
fn a_token_counts_only_as_it_was_signed() {
    tokens("kit TokenVerifier::verify_at", String::into_bytes, |input| {
        String::from_utf8_lossy(input).into_owned()
    });
}

#[test]
fn a_token_with_other_claims_does_not_count() {
    // Damage goes to the header and the claims themselves, and not to their base64.
    let decoded = |token: String| {
        let parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
        parts.collect::<Vec<_>>().join(&b"\0\0\0\0"[..])
    };
    let encoded = |input: &[u8]| {
        let mut rest = input;
        let mut parts = Vec::new();
        while let Some(at) = rest.windows(4).position(|four| four == b"\0\0\0\0") {
            parts.push(URL_SAFE_NO_PAD.encode(&rest[..at]));
            rest = &rest[at + 4..];
        }
        parts.push(URL_SAFE_NO_PAD.encode(rest));
        parts.join(".")
    };
    tokens("kit TokenVerifier::verify_at, decoded", decoded, encoded);
}

#[test]
fn consistency_tokens_are_read_or_refused() {
    let make = |rng: &mut SmallRng| {
        let token = ConsistencyToken { partition: number(rng), offset: offset(rng) };
        token.to_string().into_bytes()
    };
    fuzz("kit ConsistencyToken", make, |input| {
        let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).parse::<ConsistencyToken>();
        reads_back(read(input), |token| token.to_string().into_bytes(), read)
    });
}

/// The manual with some examples taken for values.
fn configuration(rng: &mut SmallRng) -> Vec<u8> {
    let known = ["http.listen", "log.partitions", "log.prefix", "views.cache"];
    let mut lines: Vec<&str> = DEFAULT_TOML.lines().filter(|line| !line.starts_with('#')).collect();
    // Sections stay whole, or are left out whole.
    let mut sections: Vec<Vec<&str>> = vec![Vec::new()];
    for line in lines.drain(..) {
        if line.starts_with('[') {
            sections.push(Vec::new());
        }
        sections.last_mut().unwrap().push(line);
    }
    let kept = sections.into_iter().filter(|_| rng.random::<bool>());
    let mut out = kept.flatten().collect::<Vec<_>>().join("\n");
    let comment = format!("\n# {} {}\n", pick(rng, &known), text(rng));
    out.push_str(&comment);
    out.into_bytes()
}

#[test]
fn configurations_are_read_or_every_problem_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("city.toml");
    fuzz("kit Config::load", configuration, |input| {
        std::fs::write(&file, input).unwrap();
        let sources = Sources { file: Some(file.clone()), ..Sources::default() };
        match Config::load(sources) {
            Ok(loaded) => {
                let _ = format!("{:?}", loaded.config);
                Ok(Seen::Accepted)
            }
            Err(problems) if problems.0.is_empty() || problems.to_string().trim().is_empty() => {
                Err("it is refused and nothing is named".to_owned())
            }
            Err(_) => Ok(Seen::Refused),
        }
    });
}

#[test]
fn variables_and_options_are_read_or_every_problem_is_named() {
    let keys = ["log.partitions", "http.listen", "views.cache", "http.trusted_proxies", "data.dir"];
    let make = |rng: &mut SmallRng| {
        let values = ["8", "127.0.0.1:0", "1 MiB", "10.0.0.0/8, ::1", "/tmp/x"];
        let at = rng.random_range(0..keys.len());
        format!("{}={}", keys[at], values[at]).into_bytes()
    };
    fuzz("kit Config::load, variables", make, |input| {
        let text = String::from_utf8_lossy(input);
        let (key, value) = text.split_once('=').unwrap_or((&text, ""));
        let variable = format!("CITYEVENTS__{}", key.to_uppercase().replace('.', "__"));
        let sources = [
            Sources { overrides: vec![(key.into(), value.into())], ..Sources::default() },
            Sources { environment: vec![(variable, value.into())], ..Sources::default() },
        ];
        let mut accepted = false;
        for sources in sources {
            match Config::load(sources) {
                Ok(_) => accepted = true,
                Err(problems) if problems.0.is_empty() => {
                    return Err("it is refused and nothing is named".to_owned());
                }
                Err(_) => {}
            }
        }
        Ok(Seen::of(accepted))
    });
}
