//! Appends the changes that rows have and the topic has not: a crash or an outage of the log came
//! between the two.

use std::time::Duration;

use cityevents_domain::ids::UserId;
use cityevents_kit::Component;
use cityevents_schemas::message::AccountChange;
use cityevents_views::{BoxFuture, ViewsError};
use futures::future::join_all;

use super::{AccountChanges, PublishError};

/// How often the rows are looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Wait after a failure; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// Longest wait after a failure.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// Most changes that are looked at and appended together.
const PAGE: usize = 200;

/// The rows, as the sweeper sees them.
pub trait UnpublishedAccounts: Send + Sync {
    /// Up to `limit` accounts whose row has a later version than was published, each as it is now.
    fn unpublished(&self, limit: usize) -> BoxFuture<'_, Result<Vec<AccountChange>, ViewsError>>;

    /// The topic has this version of an account. Of two calls the higher version counts.
    fn published(&self, account: UserId, version: u64) -> BoxFuture<'_, Result<(), ViewsError>>;
}

/// Why a sweep ended early.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Rows(#[from] ViewsError),
    #[error(transparent)]
    Append(#[from] PublishError),
}

/// Sweeps until the component is told to stop. Any number of instances may sweep the same rows: a
/// change that is appended twice says nothing new the second time.
pub async fn sweep(component: Component, rows: &dyn UnpublishedAccounts, changes: &AccountChanges) {
    let mut backoff = BACKOFF_MIN;
    component.ready();
    loop {
        let wait = match sweep_page(rows, changes).await {
            Ok(swept) => {
                if backoff != BACKOFF_MIN {
                    backoff = BACKOFF_MIN;
                    component.ready();
                }
                if swept == PAGE { Duration::ZERO } else { SWEEP_EVERY }
            }
            Err(error) => {
                tracing::warn!("changes of accounts wait to be told: {error}");
                component.degraded(format!("changes of accounts wait to be told: {error}"));
                let wait = backoff;
                backoff = backoff.saturating_mul(2).min(BACKOFF_MAX);
                wait
            }
        };
        tokio::select! {
            biased;
            () = component.shutdown().wait() => break,
            () = tokio::time::sleep(wait) => {}
        }
    }
    component.finished();
}

/// Appends one page, and returns how many changes it had.
async fn sweep_page(
    rows: &dyn UnpublishedAccounts,
    changes: &AccountChanges,
) -> Result<usize, SweepError> {
    let page = rows.unpublished(PAGE).await?;
    let appended = join_all(page.iter().map(|change| async move {
        changes.publish(change).await?;
        rows.published(change.account, change.version).await?;
        Ok(())
    }));
    appended.await.into_iter().collect::<Result<(), SweepError>>()?;
    Ok(page.len())
}
