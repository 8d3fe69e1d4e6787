//! Signing keys and the secret of the instance.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cityevents_kit::Config;
use cityevents_kit::config::{DEFAULT_TOML, KeysStore, SecretSource};
use cityevents_kit::keys::{KeyInfo, KeyRing, KeyStatus};
use cityevents_kit::seal::InstanceSecret;

use super::row::Finding;
use crate::instance;

/// What others may not have: anything, and the group may not write. Secrets that are mounted are often
/// read by a group.
const OTHERS: u32 = 0o027;
/// A key that has signed for so long is overdue to be rotated, in days.
const KEY_DAYS_MAX: i64 = 365;

/// Rows `signing keys`, `instance secret`.
pub(super) fn production(config: &Config) -> Vec<Finding> {
    let own = config.is_cluster() && config.keys.store == KeysStore::Dir;
    let keys = match own && config.keys.dir.is_none() {
        true => {
            let todo =
                "set keys.store = \"views\", or keys.dir to a folder that all processes share";
            Finding::fail("every process would sign with keys of its own", todo)
        }
        false => signing_keys(config),
    };
    let given = config.keys.instance_secret.is_some() || config.keys.instance_secret_file.is_some();
    let secret = match config.is_cluster() && !given {
        true => {
            let todo = "set keys.instance_secret_file: links, cookies and cursors of one process have \
                        to be good at the others; openssl rand -base64 32 makes one";
            Finding::fail("every process would make one of its own", todo)
        }
        false => instance_secret(config),
    };
    vec![keys, secret]
}

/// The same, of an instance on this machine.
pub(super) fn laptop(config: &Config) -> Vec<Finding> {
    vec![signing_keys(config), instance_secret(config)]
}

fn signing_keys(config: &Config) -> Finding {
    let dir = config.keys_dir();
    let ring = match config.keys.store {
        KeysStore::Dir => {
            let file = KeyRing::file_in(&dir);
            if !file.exists() {
                let todo = "start the instance once, which makes them, or correct keys.dir";
                return Finding::fail(format!("there are none in {}", dir.display()), todo);
            }
            for path in [&dir, &file] {
                if let Some(open) = open_to_others(path) {
                    return open;
                }
            }
            KeyRing::open(&dir).map_err(anyhow::Error::from)
        }
        KeysStore::Views => match instance::has_keys(config) {
            Ok(false) => {
                let todo = "start a process with the role api once, which makes them";
                return Finding::fail("there are none in the tables", todo);
            }
            Ok(true) => instance::open_keys(config),
            Err(error) => Err(error),
        },
    };
    match ring {
        Ok(ring) => judge(&ring.list()),
        Err(error) => Finding::fail(format!("{error:#}"), "see the row `tables`, or restore them"),
    }
}

fn judge(keys: &[KeyInfo]) -> Finding {
    let now = jiff::Timestamp::now();
    let Some(current) = keys.iter().find(|key| key.status == KeyStatus::Current) else {
        return Finding::fail("none of them signs", "restore the keys");
    };
    // It signs since the one before stopped; with none before, since it was made.
    let since = keys.iter().filter_map(|key| key.signed_until.as_ref()).max();
    let since = since.unwrap_or(&current.created_at).parse::<jiff::Timestamp>();
    let days = since.map_or(0, |since| now.duration_since(since).as_hours() / 24);
    let found = format!("{} keys, one signs for {days} days", keys.len());
    if days > KEY_DAYS_MAX {
        return Finding::warn(found, "cityevents keys rotate, which nobody notices");
    }
    Finding::ok(found)
}

fn instance_secret(config: &Config) -> Finding {
    let keys = &config.keys;
    let given = SecretSource::of(keys.instance_secret.as_ref(), keys.instance_secret_file.as_ref());
    let file = match &given {
        Some(_) => keys.instance_secret_file.clone(),
        None => Some(InstanceSecret::file_in(&config.data.dir)),
    };
    if let Some(file) = file {
        if !file.exists() {
            let todo = "start the instance once, which makes it, or correct \
                        keys.instance_secret_file; openssl rand -base64 32 makes one";
            return Finding::fail(format!("there is none in {}", file.display()), todo);
        }
        if let Some(open) = open_to_others(&file) {
            return open;
        }
    }
    if let Err(error) = InstanceSecret::open(config) {
        return Finding::fail(error.to_string(), "correct keys.instance_secret_file");
    }
    let secret = given.and_then(|source| source.current().ok());
    if secret.is_some_and(|secret| is_known(secret.expose().trim())) {
        let todo = "make one of your own: openssl rand -base64 32";
        return Finding::fail("it is the example that everybody has", todo);
    }
    Finding::ok("32 bytes, not open to others")
}

/// Whether it stands in the manual, as an example.
fn is_known(secret: &str) -> bool {
    !secret.is_empty() && DEFAULT_TOML.contains(&format!("\"{secret}\""))
}

/// What is wrong when others than the owner may read or write something.
fn open_to_others(path: &Path) -> Option<Finding> {
    let shown = path.display();
    let mode = match std::fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode() & 0o777,
        Err(error) => {
            let todo = "let the user that runs the instance read it";
            return Some(Finding::fail(format!("{shown} cannot be looked at: {error}"), todo));
        }
    };
    let todo = || format!("chmod o-rwx,g-w {shown}");
    (mode & OTHERS != 0)
        .then(|| Finding::fail(format!("{shown} is open to others (mode {mode:03o})"), todo()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_signs_for_years_is_overdue_and_the_example_is_no_secret() {
        let key = |status, created_at: jiff::Timestamp| KeyInfo {
            kid: "k".into(),
            status,
            created_at: created_at.to_string(),
            signed_until: None,
            public_key: String::new(),
        };
        let days = |days: i64| jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
        let verdict = |age| judge(&[key(KeyStatus::Current, days(age))]).verdict;
        assert_eq!(verdict(10), super::super::row::Verdict::Ok);
        assert_eq!(verdict(400), super::super::row::Verdict::Warn);
        assert_eq!(
            judge(&[key(KeyStatus::Next, days(1))]).verdict,
            super::super::row::Verdict::Fail
        );
        assert!(is_known("rIuQr0FHeN1vWmYhPAkA+T9KPyyyq1dH1JXk7R4Ei1o="));
        assert!(!is_known("") && !is_known("a secret of one's own"));
    }
}
