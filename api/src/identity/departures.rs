//! People who are locked out or gone give their places back: a place that nobody can use belongs to
//! the line.
//!
//! Events are left by commands like any other. A place in a list says, before the row of the account
//! changes, that somebody is about to go, so that a sweeper finishes what a crash left. It also goes
//! over the events once more after [`GRACE_MS`], when no instance lets the person in any more: a
//! join may have been on its way.

use std::time::Duration;

use cityevents_domain::event::EventStatus;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::RegistrationStatus;
use cityevents_kit::Component;
use cityevents_kit::event_body::is_ended;
use cityevents_kit::telemetry::AccountHash;
use cityevents_views::records::{Place, PlacesQuery};
use cityevents_views::{BoxFuture, RegistrationRow};
use futures::StreamExt as _;
use futures::future::ready;

use super::store::IdentityError;
use super::{Account, Identity, own_rows};

/// Who is about to go, the oldest first.
const LIST: &[u8] = b"accounts/departing";
/// When every instance has known of a change for a while, and rows have what was decided before.
const GRACE_MS: i64 = 5_000;
/// Whoever announced a change and has not made it by then never will.
const PATIENCE_MS: i64 = 60_000;
/// How often the list is looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Places that are read at once.
const PAGE: usize = 100;
/// Commands that are on their way at once.
const LEAVING_AT_ONCE: usize = 16;

/// An event could not be left now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an event cannot be left now: {reason}")]
pub struct LeaveError {
    /// What kept it.
    pub reason: String,
    /// When to try again.
    pub retry_after: Duration,
}

/// Gives commands on behalf of people who do not do so themselves.
pub trait LeaveEvents: Send + Sync {
    /// Lets a person leave an event, and waits for the decision, which may be that there was nothing
    /// to leave.
    fn leave(&self, user: UserId, event: EventId) -> BoxFuture<'_, Result<(), LeaveError>>;

    /// Lets the owner of an event call it off, and waits for the decision in the same way.
    fn call_off(&self, owner: UserId, event: EventId) -> BoxFuture<'_, Result<(), LeaveError>>;
}

/// Somebody who is about to go, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Departure {
    at_ms: i64,
    account: UserId,
}

impl Departure {
    fn place(&self) -> Place {
        let at = self.at_ms.max(0).cast_unsigned().to_be_bytes();
        let position = [at.as_slice(), self.account.as_bytes()].concat();
        Place { list: LIST.to_vec(), position }
    }

    fn parse(position: &[u8]) -> Option<Self> {
        let (at, account) = position.split_first_chunk::<8>()?;
        let account = UserId::from_bytes(account.try_into().ok()?);
        Some(Self { at_ms: u64::from_be_bytes(*at).cast_signed(), account })
    }
}

impl Identity {
    /// Says that somebody is about to go. Comes before the row of the account is changed.
    pub(super) async fn announce_departure(&self, account: &UserId) -> Result<(), IdentityError> {
        let store = &self.shared.store;
        let departure = Departure { at_ms: store.now().as_millis(), account: *account };
        store.add_place(departure.place()).await
    }

    /// Leaves all events that are still to come, as far as the rows know. One that cannot be left now
    /// holds up no other.
    pub(super) async fn leave_events(&self, user: &UserId) -> Result<(), IdentityError> {
        let Some(leaving) = &self.shared.leaving else { return Ok(()) };
        let left = own_rows::joins(&self.shared.views, *user).map(|row| async move {
            let row = row?;
            if self.is_to_be_left(&row).await? {
                leaving.leave(*user, row.event).await?;
            }
            Ok::<_, IdentityError>(())
        });
        let failed = left.buffer_unordered(LEAVING_AT_ONCE).filter_map(|left| ready(left.err()));
        let failures: Vec<_> = failed.collect().await;
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// Calls off an event of somebody who is erased, and says whether there is none: one that was
    /// published at that very moment would stay without anybody who can.
    async fn has_nothing_to_call_off(&self, owner: &UserId) -> Result<bool, IdentityError> {
        let Some(leaving) = &self.shared.leaving else { return Ok(true) };
        let Some(event) = self.coming_event_of(owner).await? else { return Ok(true) };
        leaving.call_off(*owner, event).await?;
        // Its row comes after the decision: looked at next time.
        Ok(false)
    }

    /// [`Identity::leave_events`], while nobody waits for it. What fails is done by the sweeper.
    pub(super) fn leave_events_in_background(&self, user: UserId) {
        let identity = self.clone();
        tokio::spawn(async move {
            if let Err(error) = identity.leave_events(&user).await {
                let account_hash = AccountHash::of(&user);
                tracing::warn!(%error, %account_hash, "events are left later: {error}");
            }
        });
    }

    async fn is_to_be_left(&self, row: &RegistrationRow) -> Result<bool, IdentityError> {
        let stands = [RegistrationStatus::Active, RegistrationStatus::Waitlisted];
        if !stands.contains(&row.registration.status) {
            return Ok(false);
        }
        let event = self.shared.views.events.event(row.event).await?;
        let now = self.shared.store.now();
        // Where the row of the event is not there yet, the decision tells.
        Ok(event.is_none_or(|row| {
            row.event.status != EventStatus::Canceled && !is_ended(&row.event, now)
        }))
    }

    /// Sees to everybody who is about to go, until the component is told to stop. Any number of
    /// instances may do so at once.
    pub async fn sweep_departures(&self, component: Component) {
        component.ready();
        loop {
            match self.departures_page().await {
                Ok(()) => component.ready(),
                Err(error) => {
                    tracing::warn!(%error, "places of people who are gone are given back later: {error}");
                    component.degraded(format!("places of people who are gone wait: {error}"));
                }
            }
            tokio::select! {
                biased;
                () = component.shutdown().wait() => break,
                () = tokio::time::sleep(SWEEP_EVERY) => {}
            }
        }
        component.finished();
    }

    /// One look at the list. Who cannot be let go now holds up nobody behind them.
    ///
    /// # Errors
    /// When the tables or the log cannot be reached; the rest is done next time.
    pub async fn departures_page(&self) -> Result<(), IdentityError> {
        let (mut after, mut failure) = (None, None);
        loop {
            let list = LIST.to_vec();
            let query = PlacesQuery { list, descending: false, after: after.take(), limit: PAGE };
            let positions = self.shared.store.places(query).await?;
            let has_more = positions.len() == PAGE;
            for position in &positions {
                let Some(departure) = Departure::parse(position) else { continue };
                let now_ms = self.shared.store.now().as_millis();
                let waited_ms = now_ms.saturating_sub(departure.at_ms);
                if waited_ms < GRACE_MS {
                    return failure.map_or(Ok(()), Err);
                }
                if let Err(error) = self.let_go(&departure, waited_ms).await {
                    failure.get_or_insert(error);
                }
            }
            match positions.last().filter(|_| has_more) {
                Some(last) => after = Some(last.clone()),
                None => return failure.map_or(Ok(()), Err),
            }
        }
    }

    async fn let_go(&self, departure: &Departure, waited_ms: i64) -> Result<(), IdentityError> {
        let account = &departure.account;
        let (has_gone, is_all) = match self.row(account).await? {
            Some(row) if row.erased => {
                self.finish_erasing(&row).await?;
                (true, self.has_nothing_to_call_off(account).await?)
            }
            Some(Account { locked, .. }) => (locked, true),
            None => (false, true),
        };
        if has_gone {
            self.leave_events(account).await?;
        }
        if is_all && (has_gone || waited_ms >= PATIENCE_MS) {
            self.shared.store.remove_place(departure.place()).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_about_to_go_reads_back_and_older_ones_come_first() {
        let one = |at_ms| Departure { at_ms, account: UserId::from_bytes([7; 16]) };
        assert_eq!(Departure::parse(&one(5).place().position), Some(one(5)));
        assert!(one(5).place() < one(6).place());
        assert_eq!(Departure::parse(b"short"), None);
    }
}
