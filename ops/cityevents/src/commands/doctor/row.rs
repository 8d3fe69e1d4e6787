//! What one look came to, and how all of them are taken at once.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use cityevents_kit::Config;
use serde::Serialize;

/// A look that takes longer has found nothing: whoever it asks hangs.
const LOOK_MAX: Duration = Duration::from_secs(30);

/// Whether somebody may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Yes.
    Ok,
    /// Nobody knows, or sooner or later it will hurt.
    Warn,
    /// No.
    Fail,
    /// As `fail` or `warn`, and somebody who knows has said that it is to be so.
    Accepted,
}

impl Verdict {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Accepted => "accepted",
        }
    }
}

/// What a look came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// What there is.
    pub(super) found: String,
    /// What to do; empty where nothing is to be done.
    pub(super) todo: String,
}

impl Finding {
    /// All is well.
    pub(super) fn ok(found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, found: found.into(), todo: String::new() }
    }

    /// Not known, or not good for ever.
    pub(super) fn warn(found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, found: found.into(), todo: todo.into() }
    }

    /// Not good.
    pub(super) fn fail(found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, found: found.into(), todo: todo.into() }
    }

    /// Nobody can tell before something else is mended.
    pub(super) fn unknown(why: &str) -> Self {
        Self::warn(format!("not known: {why}"), "mend that first")
    }
}

/// A line of the answer.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    pub(super) found: String,
    pub(super) todo: String,
}

/// Looks that are taken one after the other, since the later ones need what the first has opened.
pub(super) struct Look {
    /// Names of the rows, one for each finding.
    pub(super) checks: &'static [&'static str],
    pub(super) take: fn(&Config) -> Vec<Finding>,
}

/// Takes all looks side by side, each on a thread of its own, so that one that hangs or fails badly
/// costs its own rows only.
pub(super) fn take(looks: &[Look], config: &Config) -> Vec<Row> {
    let started = Instant::now();
    let taken: Vec<_> = looks
        .iter()
        .map(|look| {
            let (told, heard) = mpsc::channel();
            let (take, config) = (look.take, config.clone());
            let thread = std::thread::Builder::new().name(format!("doctor {}", look.checks[0]));
            let spawned = thread.spawn(move || {
                // Whoever waited may have given up.
                let _late = told.send(take(&config));
            });
            (look, heard, spawned)
        })
        .collect();
    let mut rows = Vec::new();
    for (look, heard, spawned) in taken {
        let left = LOOK_MAX.saturating_sub(started.elapsed());
        let findings = match spawned {
            Ok(_) => heard.recv_timeout(left).map_err(|error| match error {
                mpsc::RecvTimeoutError::Timeout => {
                    format!("no answer within {} s", LOOK_MAX.as_secs())
                }
                mpsc::RecvTimeoutError::Disconnected => "the look itself has failed".to_owned(),
            }),
            Err(error) => Err(format!("no thread can be made: {error}")),
        };
        let mut findings = findings.map_or_else(
            |why| vec![Finding::fail(why, "look at what it asks"); look.checks.len()].into_iter(),
            Vec::into_iter,
        );
        rows.extend(look.checks.iter().map(|check| {
            let missing = || Finding::unknown("the look told nothing of it");
            let Finding { verdict, found, todo } = findings.next().unwrap_or_else(missing);
            Row { check, verdict, found, todo }
        }));
    }
    rows
}

#[cfg(test)]
mod tests {
    use cityevents_kit::config::Sources;

    use super::*;

    #[test]
    fn a_look_that_fails_badly_costs_its_own_rows_only() {
        let config = Config::load(Sources::default()).unwrap().config;
        let looks = [
            Look { checks: &["bad", "worse"], take: |_| panic!("as tests do") },
            Look { checks: &["good"], take: |_| vec![Finding::ok("fine")] },
            Look { checks: &["short", "of one"], take: |_| vec![Finding::ok("fine")] },
        ];
        let rows = take(&looks, &config);
        let verdicts: Vec<_> = rows.iter().map(|row| (row.check, row.verdict)).collect();
        assert_eq!(
            verdicts,
            [
                ("bad", Verdict::Fail),
                ("worse", Verdict::Fail),
                ("good", Verdict::Ok),
                ("short", Verdict::Ok),
                ("of one", Verdict::Warn)
            ]
        );
    }
}
