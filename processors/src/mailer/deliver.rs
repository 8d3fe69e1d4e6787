//! The way of one mail: look up, write, claim, hand over, remember.

use std::time::Duration;

use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::SealedText;
use cityevents_kit::event_body::reason_place;
use cityevents_kit::seal::PersonKey;
use cityevents_mail::{DeliveryError, EventCard, FailureClass, Mail, MailId};
use cityevents_runtime::retry::{Failure, Verdict};
use cityevents_schemas::ErrorClass;
use cityevents_schemas::message::{Email, EmailContent, decode_email};
use cityevents_trace::TraceParent;
use cityevents_views::ViewsError;
use tokio::sync::watch;
use tokio::time::Instant;

use super::directory::{Addressee, DropReason};
use super::gate::Urgency;
use super::ledger::{Claim, Claimed, LedgerError, Sighting, State};
use super::letter::{LookedUp, letter_of};
use super::{Parts, hold};
use crate::emails;

/// When to try again after something that everybody needs was away.
const AWAY_WAIT: Duration = Duration::from_millis(500);
/// How often the tables are asked for an event that they do not have yet.
const EVENT_WAIT: Duration = Duration::from_millis(50);
/// How long the tables may be behind what a mail tells before it waits in a tier.
const EVENT_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether somebody else still delivers a mail.
const BUSY_LOOK: Duration = Duration::from_secs(2);

impl Parts {
    /// Handles the record of one mail, and returns when it is clear what came of it. While tables or
    /// mail server are away it waits: nothing is moved then. `None`: it was waiting when everything
    /// stopped.
    pub(super) async fn handle(
        &self,
        value: &[u8],
        trace: Option<&TraceParent>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Option<Verdict> {
        let email = match self.decode(value, stopped).await? {
            Ok(email) => email,
            Err(poison) => return Some(poison),
        };
        let id = MailId::from_bytes(email.id);
        // The words of this program, and no others, are labels.
        let template = email.content.template();
        let mut seen = Sighting::default();
        loop {
            match self.try_once(&id, &email, trace, &mut seen).await {
                Ok(Tried::Ended(verdict)) => return Some(verdict),
                Ok(Tried::Sent) => {
                    self.metrics.count_sent(template, self.age(&email));
                    return Some(Verdict::Done);
                }
                Ok(Tried::Again(wait)) => pause(wait, stopped).await?,
                Err(Away { reason, wait }) => {
                    tracing::debug!(mail.id = %id, "mail {id} waits: {reason}");
                    pause(wait, stopped).await?;
                }
            }
        }
    }

    async fn decode(
        &self,
        value: &[u8],
        stopped: &mut watch::Receiver<bool>,
    ) -> Option<Result<Email, Verdict>> {
        loop {
            match decode_email(value) {
                Ok(email) => return Some(Ok(email)),
                Err(error) if error.class() == ErrorClass::Retry => {
                    tracing::warn!(%error, "a mail cannot be read now: {error}");
                    pause(AWAY_WAIT, stopped).await?;
                }
                Err(error) => {
                    let reason = error.to_string();
                    return Some(Err(Verdict::Poison(Failure::new("undecodable", reason))));
                }
            }
        }
    }

    async fn try_once(
        &self,
        id: &MailId,
        email: &Email,
        trace: Option<&TraceParent>,
        seen: &mut Sighting,
    ) -> Result<Tried, Away> {
        let (recipient, destination, token) = match self.directory.addressee(email).await? {
            Addressee::Person { recipient, destination, token } => (recipient, destination, token),
            Addressee::Nobody(reason) => {
                if reason != DropReason::Unknown {
                    self.ledger.drop_mail(id, reason.as_str()).await?;
                }
                self.metrics.count_dropped(reason.as_str());
                return Ok(Tried::Ended(Verdict::Done));
            }
        };
        let Some(event) = self.event(&email.content).await? else {
            let failure = Failure::new("not_yet", "the tables do not have the event yet");
            return Ok(Tried::Ended(Verdict::Retry(failure)));
        };
        let reason = self.reason(email).await?;
        let looked_up = LookedUp { event: event.0, reason, token };
        let Some(letter) = letter_of(email.content.clone(), looked_up) else {
            let failure = Failure::new("incomplete", "something is missing that the mail needs");
            return Ok(Tried::Ended(Verdict::Poison(failure)));
        };
        let mail = match self.writer.write(id, &letter, &recipient, email.occurred_at) {
            Ok(mail) => mail.traced(trace),
            Err(error) => {
                let failure = Failure::new("unwritable", error.to_string());
                return Ok(Tried::Ended(Verdict::Poison(failure)));
            }
        };
        let urgency = if emails::is_bulk(&email.content) { Urgency::Bulk } else { Urgency::Urgent };
        let turn = self.pace.turn(&destination, urgency).await;
        let permit = match self.breaker.permit() {
            Ok(permit) => permit,
            Err(open) => return Ok(Tried::Again(open.retry_after)),
        };
        let mut claim = match self.ledger.claim(id, seen).await? {
            Claimed::Ours(claim) => claim,
            Claimed::Busy(left) => return Ok(Tried::Again(left.clamp(EVENT_WAIT, BUSY_LOOK))),
            Claimed::Settled(state) => {
                if state == State::Sent {
                    self.metrics.repeats.inc();
                }
                return Ok(Tried::Ended(Verdict::Done));
            }
        };
        if claim.is_again {
            self.metrics.doubts.inc();
            tracing::warn!(mail.id = %id, "mail {id} may have been delivered, and is once more");
        }
        self.metrics.delivering.inc();
        let delivered = self.hand_over(&mail, &mut claim).await;
        self.metrics.delivering.dec();
        drop(turn);
        let error = match delivered {
            Ok(()) => {
                permit.succeed();
                self.deferrals.delivered();
                self.remember(|| self.ledger.sent(&claim)).await?;
                return Ok(Tried::Sent);
            }
            Err(error) => self.judged(email, error),
        };
        match error.class {
            FailureClass::Transient | FailureClass::Permanent => permit.succeed(),
            FailureClass::Downstream | FailureClass::Unknown => permit.fail(),
        }
        self.metrics.count_failure(error.class.as_str());
        self.failed(&claim, error).await
    }

    async fn hand_over(&self, mail: &Mail, claim: &mut Claim) -> Result<(), DeliveryError> {
        let started = Instant::now();
        let delivered = hold::deliver(&self.ledger, claim, self.transport.deliver(mail)).await;
        self.metrics.deliver_seconds.observe(started.elapsed().as_secs_f64());
        delivered
    }

    /// What is put off like everybody else's mail says nothing about this one.
    fn judged(&self, email: &Email, error: DeliveryError) -> DeliveryError {
        if error.class != FailureClass::Transient || !self.deferrals.put_off(email.recipient) {
            return error;
        }
        let reason = format!("everybody is put off: {}", error.reason);
        DeliveryError::new(FailureClass::Downstream, reason)
    }

    async fn failed(&self, claim: &Claim, error: DeliveryError) -> Result<Tried, Away> {
        let failure = Failure::new(error.class.as_str(), error.reason);
        if error.class != FailureClass::Unknown {
            self.remember(|| self.ledger.release(claim)).await?;
        }
        Ok(match error.class {
            FailureClass::Transient | FailureClass::Unknown => {
                Tried::Ended(Verdict::Retry(failure))
            }
            FailureClass::Permanent => Tried::Ended(Verdict::Refused(failure)),
            FailureClass::Downstream => {
                tracing::warn!("mails cannot be delivered: {}", failure.reason);
                Tried::Again(AWAY_WAIT)
            }
        })
    }

    /// Writes into the ledger, however long that takes: what was delivered must not be forgotten
    /// because the tables were away for a moment.
    async fn remember<F>(&self, write: impl Fn() -> F) -> Result<(), Away>
    where
        F: Future<Output = Result<(), LedgerError>>,
    {
        loop {
            match write().await {
                Ok(()) => return Ok(()),
                Err(error @ LedgerError::Closed) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "the ledger of mails: {error}");
                    tokio::time::sleep(AWAY_WAIT).await;
                }
            }
        }
    }

    /// The event of a mail, as far as one belongs to it; `None` when the tables have not come to it.
    async fn event(&self, content: &EmailContent) -> Result<Option<Found>, Away> {
        let Some(event) = content.event() else { return Ok(Some(Found(None))) };
        let version_min = content.event_version().unwrap_or(0);
        let deadline = Instant::now() + EVENT_PATIENCE;
        loop {
            let row = self.views.events.event(event).await?;
            if let Some(row) = row.filter(|row| row.event.version >= version_min) {
                return Ok(Some(Found(Some(EventCard::from(&row.event)))));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(EVENT_WAIT).await;
        }
    }

    /// Why somebody was removed, opened with the person's key.
    async fn reason(&self, email: &Email) -> Result<Option<String>, Away> {
        let EmailContent::Removed { event, reason: Some(sealed), .. } = &email.content else {
            return Ok(None);
        };
        self.open(*event, email.recipient, sealed).await
    }

    async fn open(
        &self,
        event: EventId,
        user: UserId,
        sealed: &SealedText,
    ) -> Result<Option<String>, Away> {
        // Erased with the key.
        let Some(key) = self.views.person_keys.person_key(user).await? else { return Ok(None) };
        let opened = PersonKey::from_bytes(key.0).open(&reason_place(&event, &user), &sealed.0);
        Ok(opened.ok())
    }

    fn age(&self, email: &Email) -> Duration {
        let age_ms = self.clock.now_ms().saturating_sub(email.occurred_at.as_millis());
        Duration::from_millis(u64::try_from(age_ms).unwrap_or(0))
    }
}

/// Waits; `None` when everything stops.
async fn pause(wait: Duration, stopped: &mut watch::Receiver<bool>) -> Option<()> {
    tokio::select! {
        () = tokio::time::sleep(wait) => Some(()),
        _ = stopped.wait_for(|stopped| *stopped) => None,
    }
}

/// An event that a mail needs, or that it needs none.
struct Found(Option<EventCard>);

/// What one try came to.
enum Tried {
    Sent,
    Ended(Verdict),
    /// Nothing came of it, and that says nothing about the mail.
    Again(Duration),
}

/// Something that every mail needs is away.
struct Away {
    reason: String,
    wait: Duration,
}

impl From<ViewsError> for Away {
    fn from(error: ViewsError) -> Self {
        let wait = error.retry_after().unwrap_or(AWAY_WAIT);
        Self { reason: error.to_string(), wait }
    }
}

impl From<LedgerError> for Away {
    fn from(error: LedgerError) -> Self {
        Self { reason: error.to_string(), wait: AWAY_WAIT }
    }
}

impl From<super::directory::DirectoryError> for Away {
    fn from(error: super::directory::DirectoryError) -> Self {
        Self { reason: error.reason, wait: error.retry_after }
    }
}
