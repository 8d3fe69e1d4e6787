//! Taking a place and giving it back. The key of the form makes a second click the same click.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::ids::EventId;
use cityevents_kit::http::PathId;
use cityevents_kit::{ErrorCode, Problem};
use minijinja::context;

use super::Pages;
use super::address::encoded;
use super::calls::{Answer, Call};
use super::forms::Form;
use super::problem::shown;
use super::visitor::{Visitor, see_other};

pub(super) async fn join(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    form: Form,
) -> Result<Response, Problem> {
    pages.act(&visitor, event, &form, ("join", "joined")).await
}

pub(super) async fn leave(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    form: Form,
) -> Result<Response, Problem> {
    pages.act(&visitor, event, &form, ("cancel", "left")).await
}

impl Pages {
    async fn act(
        &self,
        visitor: &Visitor,
        event: EventId,
        form: &Form,
        (call, done): (&str, &str),
    ) -> Result<Response, Problem> {
        let page = format!("/events/{event}");
        if visitor.caller().is_none() {
            return Ok(see_other(&format!("/login?return_to={}", encoded(&page))));
        }
        let call = Call::post(format!("/api/events/{event}/{call}")).keyed(form.text("key"));
        match self.shared.calls.ask(visitor, call).await {
            Ok(answer) => Ok(after(&answer, &page, done)),
            // What is not there has no page to say it on.
            Err(problem) if problem.code() == ErrorCode::EventNotFound => Err(problem),
            Err(problem) => {
                let told = context! { problem => shown(&problem) };
                self.event(visitor, event, problem.code().status(), told).await
            }
        }
    }
}

/// Where to look after a write: at the page, which says that it is done, or at what waits with one.
pub(super) fn after(answer: &Answer, page: &str, done: &str) -> Response {
    let Some(pending) = answer.pending() else {
        return see_other(&format!("{page}?done={done}"));
    };
    let command = pending.trim_start_matches("/api");
    let and = if command.contains('?') { "&" } else { "?" };
    let then = encoded(&format!("{page}?done={done}"));
    see_other(&format!("{command}{and}then={then}"))
}
