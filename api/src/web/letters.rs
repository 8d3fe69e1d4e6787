//! Where the links in mails lead: proving an address, and setting another password.
//!
//! A link alone does nothing, since whatever checks mails may follow it: the page that it opens has
//! a button. Its address carries the token, so it is told to nobody else.

use axum::extract::State;
use axum::http::header::HeaderValue;
use axum::response::Response;
use cityevents_kit::Problem;
use minijinja::context;
use serde_json::json;

use super::Pages;
use super::address::encoded;
use super::calls::Call;
use super::forms::{Asked, Form};
use super::visitor::{REFERRER_POLICY, Visitor, see_other};

pub(super) async fn forgot_form(State(pages): State<Pages>, visitor: Visitor) -> Response {
    pages.page(&visitor, "forgot.html", context! { form => Form::default().shown() })
}

/// Answers alike whether there is an account or not.
pub(super) async fn forgot(
    State(pages): State<Pages>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Problem> {
    let body = json!({ "email": form.text("email") });
    let call = Call::post("/api/auth/password/reset/request").with(body);
    pages.shared.calls.ask(&visitor, call).await?;
    Ok(pages.page(&visitor, "message.html", context! { message => "forgot.sent" }))
}

pub(super) async fn reset_form(
    State(pages): State<Pages>,
    visitor: Visitor,
    Asked(form): Asked,
) -> Result<Response, Problem> {
    let token = encoded(form.text("token"));
    let call = Call::get(format!("/api/auth/password/reset/validate?token={token}"));
    pages.shared.calls.ask(&visitor, call).await?;
    Ok(discreet(pages.page(&visitor, "reset.html", context! { form => form.shown() })))
}

pub(super) async fn reset(
    State(pages): State<Pages>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Problem> {
    let body = json!({ "token": form.text("token"), "new_password": form.text("new_password") });
    let call = Call::post("/api/auth/password/reset/confirm").with(body);
    match pages.shared.calls.ask(&visitor, call).await {
        Ok(_) => {
            // All sessions have ended, the one of this browser too.
            visitor.keep(pages.shared.cookie.clear().1);
            Ok(see_other("/login?notice=password-set"))
        }
        Err(problem) if problem.meta().contains_key("fields") => {
            Ok(discreet(pages.form_again(&visitor, "reset.html", &form, &problem)))
        }
        Err(problem) => Err(problem),
    }
}

pub(super) async fn verify_form(
    State(pages): State<Pages>,
    visitor: Visitor,
    Asked(form): Asked,
) -> Response {
    discreet(pages.page(&visitor, "verify.html", context! { form => form.shown() }))
}

pub(super) async fn verify(
    State(pages): State<Pages>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Problem> {
    let body = json!({ "token": form.text("token") });
    let call = Call::post("/api/auth/verify-email/confirm").with(body);
    pages.shared.calls.ask(&visitor, call).await?;
    Ok(pages.page(&visitor, "message.html", context! { message => "verify.done" }))
}

pub(super) async fn verify_again(
    State(pages): State<Pages>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    let call = Call::post("/api/auth/verify-email/request");
    pages.shared.calls.ask(&visitor, call).await?;
    Ok(pages.page(&visitor, "message.html", context! { message => "verify.sent" }))
}

/// Pages whose address is a secret tell it to no other site.
pub(super) fn discreet(mut response: Response) -> Response {
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
