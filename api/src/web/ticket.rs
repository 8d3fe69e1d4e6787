//! The own ticket, to be shown at the door from a screen or from paper.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::ids::EventId;
use cityevents_kit::http::PathId;
use cityevents_kit::{ErrorCode, Problem};
use minijinja::context;

use super::Pages;
use super::calls::Call;
use super::letters::discreet;
use super::problem::shown;
use super::qr;
use super::render::data;
use super::visitor::Visitor;

pub(super) async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
) -> Result<Response, Problem> {
    if visitor.caller().is_none() {
        return Err(Problem::new(ErrorCode::Unauthenticated));
    }
    let calls = &pages.shared.calls;
    let view = pages.view(&visitor, event).await?;
    let ticket = calls.ask(&visitor, Call::get(format!("/api/events/{event}/ticket"))).await;
    let (event, participation) = (data(&view["event"]), data(&view["participation"]));
    let ticket = match ticket {
        Ok(answer) => answer.body,
        Err(problem) => {
            let status = problem.code().status();
            let told = context! { event, participation, problem => shown(&problem) };
            return Ok(pages.page_with(status, &visitor, "ticket.html", told));
        }
    };
    let text = ticket["ticket"].as_str().unwrap_or_default();
    let picture = qr::picture(&format!("{}/check-in/{text}", pages.shared.identity.site()));
    let known = context! { event, participation, ticket => data(&ticket), picture };
    Ok(discreet(pages.page(&visitor, "ticket.html", known)))
}
