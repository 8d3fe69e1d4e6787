//! Hands a mail over, and holds its claim for as long as that takes.
//!
//! A delivery that outlives its claim could end beside another one of the same mail. So the claim is
//! renewed while the server takes its time, and a delivery is let go of when that failed for too long:
//! what came of it is not known then, like with a server that does not answer.

use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use cityevents_mail::{DeliveryError, FailureClass};
use tokio::time::{Instant, sleep_until};

use super::ledger::{Claim, Ledger};

/// Longest time of handing one mail over, whatever the transport does about it.
const DELIVER_MAX: Duration = Duration::from_secs(360);
/// How often a claim is renewed: some of it may fail before it ends.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// When to try again to renew it.
const RENEW_AGAIN: Duration = Duration::from_secs(1);

/// Delivers for as long as the claim is ours.
pub(super) async fn deliver(
    ledger: &Ledger,
    claim: &mut Claim,
    delivery: impl Future<Output = Result<(), DeliveryError>>,
) -> Result<(), DeliveryError> {
    let unknown = |reason: &str| Err(DeliveryError::new(FailureClass::Unknown, reason));
    let mut delivery = pin!(delivery);
    let started = Instant::now();
    let mut renew_at = started + RENEW_EVERY;
    loop {
        let ends_at = claim.ends_at();
        if let Some(delivered) = before(renew_at.min(ends_at), delivery.as_mut()).await {
            return delivered;
        }
        if started.elapsed() >= DELIVER_MAX {
            return unknown(&format!("nothing was heard for {} s", DELIVER_MAX.as_secs()));
        }
        tokio::select! {
            biased;
            delivered = before(ends_at, delivery.as_mut()) => {
                return delivered.unwrap_or_else(|| unknown("the claim could not be renewed"));
            }
            renewed = ledger.renew(claim) => match renewed {
                Ok(true) => renew_at = Instant::now() + RENEW_EVERY,
                Ok(false) => return unknown("somebody else has claimed the mail"),
                Err(error) => {
                    tracing::warn!(%error, "the ledger of mails: {error}");
                    renew_at = Instant::now() + RENEW_AGAIN;
                }
            },
        }
    }
}

/// Goes on until then; `None` when that moment has come. The clock is asked before every step: a timer
/// alone is late in a process that was stopped for a while, and the step would be one too many.
async fn before<T>(until: Instant, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut timer = pin!(sleep_until(until));
    std::future::poll_fn(|context| {
        if Instant::now() >= until || timer.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(context).map(Some)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use cityevents_mail::MailId;
    use cityevents_runtime::log::clock::ManualClock;
    use cityevents_views::Views;

    use super::super::ledger::{Claimed, LEASE, Sighting, State};
    use super::*;

    const ID: MailId = MailId::from_bytes([7; 16]);

    fn ledgers<const N: usize>(members: [&str; N]) -> [Ledger; N] {
        let (views, clock) = (Views::memory(), Arc::new(ManualClock::new(1_000)));
        members.map(|name| Ledger::start(views.records.clone(), clock.clone(), name).unwrap())
    }

    async fn ours(ledger: &Ledger) -> Claim {
        match ledger.claim(&ID, &mut Sighting::default()).await.unwrap() {
            Claimed::Ours(claim) => claim,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_else_delivers_while_a_server_takes_minutes() {
        let [one, other] = ledgers(["a", "b"]);
        let mut claim = ours(&one).await;
        let slow = async {
            tokio::time::sleep(LEASE * 9).await;
            Ok(())
        };
        let delivering = async {
            deliver(&one, &mut claim, slow).await.unwrap();
            one.sent(&claim).await.unwrap();
        };
        let waiting = async {
            let mut seen = Sighting::default();
            loop {
                match other.claim(&ID, &mut seen).await.unwrap() {
                    Claimed::Busy(left) => tokio::time::sleep(left.max(RENEW_AGAIN)).await,
                    said => return said,
                }
            }
        };
        let ((), said) = tokio::join!(delivering, waiting);
        assert_eq!(said, Claimed::Settled(State::Sent));
        assert_eq!(one.entry(&ID).await.unwrap().unwrap().doubts, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_is_let_go_of_when_somebody_else_has_the_mail() {
        // Who starts again under the same name knows that the former process is gone.
        let [one, next] = ledgers(["a", "a"]);
        let mut claim = ours(&one).await;
        assert!(ours(&next).await.is_again);
        let error = deliver(&one, &mut claim, std::future::pending()).await.unwrap_err();
        assert_eq!(error.class, FailureClass::Unknown);
        assert!(error.reason.contains("somebody else"), "{}", error.reason);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_was_stopped_for_too_long_takes_no_further_step() {
        let [one, other] = ledgers(["a", "b"]);
        let mut claim = ours(&one).await;
        let mut seen = Sighting::default();
        assert!(matches!(other.claim(&ID, &mut seen).await.unwrap(), Claimed::Busy(_)));
        let stepped = AtomicBool::new(false);
        let steps = std::future::poll_fn(|_| {
            stepped.store(true, Ordering::Relaxed);
            Poll::Pending
        });
        {
            let mut delivery = pin!(deliver(&one, &mut claim, steps));
            assert!(futures::poll!(&mut delivery).is_pending());
            assert!(stepped.swap(false, Ordering::Relaxed));
            // Nobody polls it, as in a stopped process.
            tokio::time::advance(LEASE).await;
            let taken = other.claim(&ID, &mut seen).await.unwrap();
            assert!(matches!(taken, Claimed::Ours(Claim { is_again: true, .. })), "{taken:?}");
            let error = delivery.await.unwrap_err();
            assert_eq!(error.class, FailureClass::Unknown);
        }
        assert!(!stepped.load(Ordering::Relaxed), "it went on beside the other one");
    }
}
