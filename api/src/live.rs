//! Streams that say how an event and the own registrations stand, as long as somebody looks.
//!
//! A stream asks the lines in this process every [`LOOK_EVERY`] and sends what changed, so that
//! counts which change a thousand times a second are sent twice; changes of the own registration are
//! told by the fold at once ([`crate::lines`]). The database is asked when a stream begins, once more
//! when the rows have surely caught up with the lines, and seldom after that.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use cityevents_domain::event::{Capacity, EventStatus};
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::{Registration, RegistrationStatus};
use cityevents_domain::time::Timestamp;
use cityevents_kit::Problem;
use cityevents_kit::event_body::{WireTime, is_ended, wire_status};
use cityevents_kit::keys::{Caller, Standing};
use cityevents_views::EventRow;
use futures::stream;
use prometheus_client::metrics::gauge::Gauge;
use serde::Serialize;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::card::as_text;
use crate::lines::Told;
use crate::state::Reads;

/// Streams of one process.
pub(crate) const STREAMS_MAX: usize = 20_000;
/// How often counts and positions are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// When the rows are read again after the beginning, and then every so often.
const REREAD_SOON: Duration = Duration::from_secs(2);
const REREAD_EVERY: Duration = Duration::from_secs(60);
/// A stream ends after this, and the client opens another: what may not be seen any more is refused
/// then.
const LIFETIME: Duration = Duration::from_secs(300);
/// When a client opens another one.
const RETRY: Duration = Duration::from_secs(1);
/// A comment this often keeps what is between client and server from giving up.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Own registrations that are followed.
const OWN_MAX: usize = 200;

/// What somebody looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    /// One event, and the own registration with it.
    Event(EventId),
    /// All own registrations.
    Own,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Counts {
    #[serde(serialize_with = "as_text")]
    event_id: EventId,
    status: &'static str,
    ended: bool,
    capacity: u32,
    active_participants: u32,
    /// `null` where everybody fits.
    free_places: Option<u32>,
    waitlist_count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Participation {
    #[serde(serialize_with = "as_text")]
    event_id: EventId,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined_at: Option<WireTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
}

/// An own registration, and what was said of it last.
struct Own {
    registration: Registration,
    said: Option<Participation>,
}

struct Live {
    reads: Reads,
    watched: Watched,
    caller: Option<Caller>,
    told: Option<broadcast::Receiver<Told>>,
    own: BTreeMap<EventId, Own>,
    counts: Option<Counts>,
    /// The row of the event that the counts were made with: it may come after the lines.
    event: Option<EventRow>,
    looks: Interval,
    reread_at: Instant,
    ends_at: Instant,
    has_begun: bool,
    _open: OpenStream,
}

/// Takes a place, and counts.
struct OpenStream {
    open: Gauge,
    _place: OwnedSemaphorePermit,
}

impl OpenStream {
    fn begin(open: Gauge, place: OwnedSemaphorePermit) -> Self {
        open.inc();
        Self { open, _place: place }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl Reads {
    /// A stream of what somebody looks at. What they may not see is refused before.
    pub(crate) async fn live(
        &self,
        watched: Watched,
        caller: Option<&Caller>,
    ) -> Result<Response, Problem> {
        let place = self.streams.clone().try_acquire_owned().map_err(|_| {
            Problem::unavailable("too many streams are open here: ask the view", LOOK_EVERY)
        })?;
        let user = caller.map(|caller| caller.user);
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Instant::now();
        let mut live = Live {
            reads: self.clone(),
            watched,
            caller: caller.copied(),
            // Before the rows are read, so that nothing is missed in between.
            told: user.map(|user| self.lines.listen(user)),
            own: BTreeMap::new(),
            counts: None,
            event: None,
            looks,
            reread_at: now + REREAD_SOON,
            ends_at: now + LIFETIME,
            has_begun: false,
            _open: OpenStream::begin(self.metrics.streams(), place),
        };
        live.read_rows().await?;
        let messages = stream::unfold(live, |mut live| async move {
            let messages = live.next().await?;
            Some((stream::iter(messages.into_iter().map(Ok::<_, Infallible>)), live))
        });
        let messages = futures::StreamExt::flatten(messages);
        let alive = KeepAlive::new().interval(KEEP_ALIVE);
        Ok(Sse::new(messages).keep_alive(alive).into_response())
    }
}

impl Live {
    /// What to say next, once there is something; `None` at the end.
    async fn next(&mut self) -> Option<Vec<Message>> {
        loop {
            if self.has_begun {
                let draining = self.reads.draining.clone();
                tokio::select! {
                    biased;
                    () = draining.wait() => return None,
                    () = tokio::time::sleep_until(self.ends_at) => return None,
                    () = hear(&mut self.told, &mut self.own, &mut self.reread_at, self.watched) => {}
                    _ = self.looks.tick() => {}
                }
                if self.is_shut_out() {
                    return None;
                }
                self.hear_rest();
            }
            if Instant::now() >= self.reread_at {
                self.reread_at = Instant::now() + REREAD_EVERY;
                // What cannot be read now is read next time; what is told meanwhile is right.
                let _failed_and_logged = self.read_rows().await;
            }
            let mut messages = Vec::new();
            if !std::mem::replace(&mut self.has_begun, true) {
                messages.push(Message::default().retry(RETRY).comment("live"));
            }
            self.say_counts(&mut messages).await;
            self.say_own(&mut messages);
            if !messages.is_empty() {
                return Some(messages);
            }
        }
    }

    /// Whether the token that opened the stream is good no more, or good for something else: whoever
    /// comes again learns which.
    fn is_shut_out(&self) -> bool {
        let standings = &self.reads.standings;
        let is_good =
            |caller: &Caller| standings.standing(caller) == Standing::Allowed(caller.role);
        !self.caller.as_ref().is_none_or(is_good)
    }

    /// What else was told: one message for many changes.
    fn hear_rest(&mut self) {
        let Some(told) = &mut self.told else { return };
        loop {
            match told.try_recv() {
                Ok(told) => take(&mut self.own, self.watched, told),
                Err(TryRecvError::Lagged(_)) => self.reread_at = Instant::now(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    async fn read_rows(&mut self) -> Result<(), Problem> {
        let Some(Caller { user, .. }) = self.caller else { return Ok(()) };
        let rows = &self.reads.views.registrations;
        let failed = |error| self.reads.failed(&error);
        let found = match self.watched {
            Watched::Event(event) => {
                rows.registration(event, user).await.map_err(failed)?.into_iter().collect()
            }
            Watched::Own => rows.own_joins(user, None, OWN_MAX).await.map_err(failed)?.items,
        };
        for row in found {
            let told = Told { event: row.event, registration: row.registration };
            take(&mut self.own, self.watched, told);
        }
        Ok(())
    }

    async fn say_counts(&mut self, messages: &mut Vec<Message>) {
        let Watched::Event(event) = self.watched else { return };
        let line = self.reads.lines.counters_and_change(&event);
        let seen_seq = self.event.as_ref().map_or(0, |row| row.event_seq);
        let is_as_before = |counts: &Counts| match line {
            Some((now, changed_seq)) => {
                now.active == counts.active_participants
                    && now.waiting == counts.waitlist_count
                    && changed_seq <= seen_seq
            }
            // The lines forget an event that is over; its row says so, once it does.
            None => counts.ended || counts.status == wire_status(EventStatus::Canceled),
        };
        if self.counts.as_ref().is_some_and(is_as_before) {
            return;
        }
        // Joins do not change the event, and its end is known from the row.
        let is_known =
            self.event.is_some() && line.is_some_and(|(_, changed_seq)| changed_seq <= seen_seq);
        if !is_known {
            let Ok(Some(row)) = self.reads.views.events.event(event).await else { return };
            self.event = Some(row);
        }
        let Some(row) = &self.event else { return };
        let counters = match line {
            Some((counters, _)) => counters,
            None => match self.reads.counters(event).await {
                Ok(counters) => counters,
                Err(_) => return,
            },
        };
        let capacity = row.event.fields.capacity;
        let counts = Counts {
            event_id: event,
            status: wire_status(row.event.status),
            ended: is_ended(&row.event, self.reads.now()),
            capacity: capacity.to_wire(),
            active_participants: counters.active,
            free_places: (capacity != Capacity::Unlimited).then(|| capacity.free(counters.active)),
            waitlist_count: counters.waiting,
        };
        if self.counts != Some(counts) {
            messages.extend(message("counts", &counts));
            self.counts = Some(counts);
        }
    }

    fn say_own(&mut self, messages: &mut Vec<Message>) {
        let Some(Caller { user, .. }) = self.caller else { return };
        if let Watched::Event(event) = self.watched
            && self.own.is_empty()
        {
            let none = Registration { status: RegistrationStatus::Canceled, ..nobody(user) };
            let said =
                Participation { event_id: event, status: "none", joined_at: None, position: None };
            messages.extend(message("participation", &said));
            self.own.insert(event, Own { registration: none, said: Some(said) });
            return;
        }
        for (event, own) in &mut self.own {
            let Registration { status, joined_at, updated_at, .. } = own.registration;
            if updated_at == NEVER {
                continue;
            }
            let waits = status == RegistrationStatus::Waitlisted;
            let position = waits.then(|| self.reads.lines.position(event, &user)).flatten();
            let said = Participation {
                event_id: *event,
                status: status.as_str(),
                joined_at: Some(WireTime(joined_at)),
                position,
            };
            if own.said != Some(said) {
                messages.extend(message("participation", &said));
                own.said = Some(said);
            }
        }
    }
}

/// Before everything that was ever told.
const NEVER: Timestamp = Timestamp::from_millis(i64::MIN);

/// Somebody who never joined.
const fn nobody(user: UserId) -> Registration {
    Registration {
        user,
        status: RegistrationStatus::Canceled,
        joined_at: NEVER,
        updated_at: NEVER,
        ticket: None,
        checked_in_at: None,
    }
}

/// Waits for a change of an own registration; for ever where there is nobody to hear of.
async fn hear(
    told: &mut Option<broadcast::Receiver<Told>>,
    own: &mut BTreeMap<EventId, Own>,
    reread_at: &mut Instant,
    watched: Watched,
) {
    match told {
        None => std::future::pending().await,
        Some(listening) => match listening.recv().await {
            Ok(one) => take(own, watched, one),
            Err(RecvError::Lagged(_)) => *reread_at = Instant::now(),
            Err(RecvError::Closed) => *told = None,
        },
    }
}

/// Takes a registration in unless a later state of it is known.
fn take(own: &mut BTreeMap<EventId, Own>, watched: Watched, told: Told) {
    if matches!(watched, Watched::Event(event) if event != told.event) {
        return;
    }
    let Told { event, registration } = told;
    let known =
        own.entry(event).or_insert(Own { registration: nobody(registration.user), said: None });
    if registration.updated_at >= known.registration.updated_at {
        known.registration = registration;
    }
}

/// `None` for what is no JSON, which nothing here is.
fn message(name: &str, body: &impl Serialize) -> Option<Message> {
    Message::default().event(name).json_data(body).ok()
}
