//! Takes out of the topic the sessions that ended so long ago that none of their tokens is out.

use std::time::Duration;

use cityevents_domain::time::Timestamp;
use cityevents_kit::Component;
use cityevents_runtime::log::clock::Clock;
use futures::future::join_all;

use super::{AccountChanges, AccountStandings};

/// How often it is looked for them.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Most that are taken out together.
const PAGE: usize = 1_000;
/// Clocks of machines differ, and nothing is wrong with knowing for longer.
const SLACK_MS: i64 = 60_000;

/// Forgets sessions until the component is told to stop. Any number of instances may do so: what is
/// taken out twice is out. `token_life` is how long a token is good for, at most.
pub async fn forget_sessions(
    component: Component,
    standings: &AccountStandings,
    changes: &AccountChanges,
    clock: &dyn Clock,
    token_life: Duration,
) {
    component.ready();
    loop {
        let now = Timestamp::from_millis(clock.now_ms());
        forget_page(standings, changes, now, token_life).await;
        tokio::select! {
            biased;
            () = component.shutdown().wait() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    component.finished();
}

async fn forget_page(
    standings: &AccountStandings,
    changes: &AccountChanges,
    now: Timestamp,
    token_life: Duration,
) {
    let life_ms = i64::try_from(token_life.as_millis()).unwrap_or(i64::MAX);
    let before_ms = now.as_millis().saturating_sub(life_ms).saturating_sub(SLACK_MS);
    let old = standings.table.ended_before(before_ms, PAGE);
    let forgotten = join_all(old.into_iter().map(|session| changes.forget_session(session))).await;
    if let Some(error) = forgotten.into_iter().find_map(Result::err) {
        tracing::debug!(%error, "sessions that ended are forgotten later: {error}");
    }
}
