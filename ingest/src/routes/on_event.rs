//! What every write to an event that is there begins with.

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use cityevents_domain::ids::EventId;
use cityevents_kit::http::PathId;
use cityevents_kit::keys::Caller;
use cityevents_kit::problem::Problem;

use super::{IngestState, Write};
use crate::answer::Success;
use crate::fields::Asked;
use crate::request::{Gate, WriteHeaders};

/// A write to the event of the path, before its body is read. The gate comes first: where there is
/// no room nothing else is looked at.
pub(super) struct OnEvent {
    pub(super) state: IngestState,
    pub(super) caller: Caller,
    pub(super) event: EventId,
    pub(super) headers: WriteHeaders,
}

impl FromRequestParts<IngestState> for OnEvent {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &IngestState) -> Result<Self, Problem> {
        Gate::from_request_parts(parts, state).await?;
        let caller = Caller::from_request_parts(parts, state).await?;
        let PathId(event) = PathId::from_request_parts(parts, state).await?;
        let headers = WriteHeaders::from_request_parts(parts, state).await?;
        Ok(Self { state: state.clone(), caller, event, headers })
    }
}

impl OnEvent {
    /// As [`Write::decide`], of the call `/api/events/{id}{rest}`.
    pub(super) async fn decide(
        self,
        method: &Method,
        rest: &str,
        asked: Result<Asked, Problem>,
    ) -> Response {
        let path = format!("/api/events/{}{rest}", self.event);
        self.decide_at(method, &path, asked).await
    }

    /// As [`OnEvent::decide`], of a call for staff: `/api/admin/events/{id}{rest}`.
    pub(super) async fn decide_for_staff(
        self,
        method: &Method,
        rest: &str,
        asked: Result<Asked, Problem>,
    ) -> Response {
        let path = format!("/api/admin/events/{}{rest}", self.event);
        self.decide_at(method, &path, asked).await
    }

    async fn decide_at(
        self,
        method: &Method,
        path: &str,
        asked: Result<Asked, Problem>,
    ) -> Response {
        let Self { state, caller, event, headers } = self;
        let write = Write { caller, headers, event: Some(event), success: Success::Ok };
        write.decide(&state, method, path, asked).await
    }
}
