//! The door: the ticket of a person, and whom one belongs to.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::event::{Event, EventStatus};
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::RegistrationStatus;
use cityevents_kit::event_body::is_ended;
use cityevents_kit::http::{PathId, Query};
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::{EventPath, IdText, NotThere, NotYours, Refusals};
use cityevents_kit::seal::{CheckInCodes, Ticket};
use cityevents_kit::{ErrorCode, Problem};
use cityevents_views::RegistrationRow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::person::Participant;
use super::{NoParameters, given};
use crate::answer::Answer;
use crate::card::as_text;
use crate::freshness::Presented;
use crate::state::Reads;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ticket)]
struct TicketBody {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    event_id: EventId,
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    user_id: UserId,
    /// For a camera: signed, so that it can be checked with the keys of `/.well-known/jwks.json`.
    ticket: String,
    /// The same to be typed in.
    code: String,
}

/// What is shown at the door: one of both.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    /// A code, a ticket, or the address of a ticket's picture.
    code: Option<String>,
    #[param(value_type = Option<IdText>)]
    user_id: Option<String>,
}

/// The own ticket, while there is a place and a door to come.
#[utoipa::path(
    get,
    path = "/api/events/{id}/ticket",
    tag = "joining",
    operation_id = "own_ticket",
    params(EventPath),
    responses((status = 200, description = "as asked for", body = TicketBody), Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn ticket(
    State(reads): State<Reads>,
    PathId(id): PathId<EventId>,
    Query(NoParameters {}): Query<NoParameters>,
    caller: Caller,
    presented: Presented,
) -> Result<Response, Problem> {
    let as_of = reads.settle(presented).await?;
    let event = reads.shown_event(id, Some(&caller), presented).await?;
    let row = reads.registered(id, caller.user).await?;
    reads.expects(&event, &row)?;
    let ticket = Ticket { event: id, user: caller.user };
    let given = ticket.give(&reads.keys, &reads.cursors).map_err(|error| {
        tracing::error!(%error, "no ticket can be signed: {error}");
        Problem::internal()
    })?;
    let body = TicketBody {
        event_id: id,
        user_id: caller.user,
        ticket: given,
        code: CheckInCodes::new(reads.cursors.clone()).give(&id, &caller.user),
    };
    Ok(Answer::new(body, as_of).into_response())
}

/// Whom something that is shown at the door belongs to, before anybody is let in.
#[utoipa::path(
    get,
    path = "/api/events/{id}/check-in",
    tag = "organising",
    operation_id = "look_at_ticket",
    params(EventPath, Shown),
    responses((status = 200, description = "as asked for", body = Participant), NotYours, NotThere),
    security(("bearer" = [])),
)]
pub(super) async fn look(
    State(reads): State<Reads>,
    PathId(event): PathId<EventId>,
    Query(shown): Query<Shown>,
    caller: Caller,
    presented: Presented,
) -> Result<Response, Problem> {
    let as_of = reads.settle(presented).await?;
    reads.managed_event(event, &caller).await?;
    let codes = CheckInCodes::new(reads.cursors.clone());
    let user = match (given(shown.code), given(shown.user_id)) {
        (Some(code), None) => codes
            .whose(&event, &code)
            .map_err(|error| Problem::invalid("code", error.to_string()))?,
        (None, Some(user)) => {
            user.parse().map_err(|_| Problem::invalid("user_id", "write the id of an account"))?
        }
        _ => return Err(Problem::invalid("code", "send either this or user_id")),
    };
    let row = reads.registered(event, user).await?;
    Ok(Answer::new(Participant::of(&reads, &row).await?, as_of).into_response())
}

impl Reads {
    async fn registered(&self, event: EventId, user: UserId) -> Result<RegistrationRow, Problem> {
        let row = self.views.registrations.registration(event, user).await;
        let row = row.map_err(|error| self.failed(&error))?;
        row.ok_or_else(|| Problem::new(ErrorCode::NotJoined))
    }

    /// Whether this person is expected at the door.
    fn expects(&self, event: &Event, row: &RegistrationRow) -> Result<(), Problem> {
        let code = match event.status {
            EventStatus::Canceled => ErrorCode::EventCanceled,
            _ if is_ended(event, self.now()) => ErrorCode::EventEnded,
            EventStatus::Published if row.registration.status == RegistrationStatus::Active => {
                return Ok(());
            }
            EventStatus::Published => ErrorCode::NotJoined,
            EventStatus::Draft | EventStatus::Ended => ErrorCode::EventNotPublished,
        };
        Err(Problem::new(code))
    }
}
