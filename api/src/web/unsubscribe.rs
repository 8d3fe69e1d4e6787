//! Where the link in a mail leads by which one gets no more of its kind.
//!
//! The address of the link is the proof, so it may be written to from anywhere: programs for mail do
//! so with one click (RFC 8058), without a cookie and without saying where they come from. Whoever
//! follows the link sees a page with a button, since whatever checks mails follows links too.

use axum::extract::State;
use axum::response::Response;
use cityevents_kit::Problem;
use minijinja::context;
use serde_json::json;

use super::Pages;
use super::address::encoded;
use super::calls::Call;
use super::forms::Asked;
use super::letters::discreet;
use super::render::data;
use super::visitor::Visitor;

/// Its address; see [`super::visitor::around`].
pub(super) const ROUTE: &str = "/unsubscribe";

pub(super) async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
    Asked(asked): Asked,
) -> Result<Response, Problem> {
    let token = asked.text("token");
    let call = Call::get(format!("/api/unsubscribe?token={}", encoded(token)));
    let known = pages.shared.calls.ask(&visitor, call).await?.body;
    let known = context! { token => token, link => data(&known["data"]) };
    Ok(discreet(pages.page(&visitor, "unsubscribe.html", known)))
}

/// What the body says is no matter: there is one thing to be done. No redirect, which programs for
/// mail would not follow.
pub(super) async fn switch_off(
    State(pages): State<Pages>,
    visitor: Visitor,
    Asked(asked): Asked,
) -> Result<Response, Problem> {
    let call = Call::post("/api/unsubscribe").with(json!({ "token": asked.text("token") }));
    pages.shared.calls.ask(&visitor, call).await?;
    let page = pages.page(&visitor, "message.html", context! { message => "unsubscribe.done" });
    Ok(discreet(page))
}
