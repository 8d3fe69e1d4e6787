//! Making an account, signing in, signing out.

use axum::extract::State;
use axum::response::Response;
use cityevents_kit::{ErrorCode, Problem};
use minijinja::context;
use minijinja::value::Value;
use serde_json::json;

use super::Pages;
use super::address::own;
use super::calls::{Answer, Call};
use super::forms::{Asked, Form};
use super::problem::shown;
use super::session::Token;
use super::visitor::{Visitor, see_other};

/// What the sign-in page says first. Anything else says nothing.
const NOTICES: [&str; 3] = ["signed-out", "password-set", "account-deleted"];

pub(super) async fn login_form(
    State(pages): State<Pages>,
    visitor: Visitor,
    Asked(form): Asked,
) -> Response {
    let notice = NOTICES.into_iter().find(|notice| *notice == form.text("notice"));
    let providers = pages.providers();
    let known = context! { form => form.shown(), notice => notice, providers };
    match ErrorCode::parse(form.text("error")) {
        // Nothing came of a sign-in at a provider.
        Some(code) => {
            let told = context! { problem => shown(&Problem::new(code)), ..known };
            pages.page(&visitor, "login.html", told)
        }
        None => pages.page(&visitor, "login.html", known),
    }
}

pub(super) async fn login(
    State(pages): State<Pages>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Problem> {
    let body = json!({ "email": form.text("email"), "password": form.text("password") });
    let call = Call::post("/api/auth/login").with(body);
    match pages.shared.calls.ask(&visitor, call).await {
        Ok(answer) => pages.signed_in(&visitor, &form, &answer),
        Err(problem) => Ok(pages.form_again(&visitor, "login.html", &form, &problem)),
    }
}

pub(super) async fn register_form(
    State(pages): State<Pages>,
    visitor: Visitor,
    Asked(form): Asked,
) -> Response {
    pages.page(&visitor, "register.html", context! { form => form.shown() })
}

pub(super) async fn register(
    State(pages): State<Pages>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Problem> {
    let body = json!({
        "email": form.text("email"),
        "password": form.text("password"),
        "name": form.given("name"),
        "language": visitor.language().code(),
    });
    let call = Call::post("/api/auth/register").with(body);
    match pages.shared.calls.ask(&visitor, call).await {
        Ok(answer) => pages.signed_in(&visitor, &form, &answer),
        Err(problem) => Ok(pages.form_again(&visitor, "register.html", &form, &problem)),
    }
}

pub(super) async fn logout(
    State(pages): State<Pages>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    let out = pages.shared.calls.ask(&visitor, Call::post("/api/auth/logout")).await;
    match out {
        Ok(_) => {}
        // Signed out elsewhere already.
        Err(problem) if problem.code() == ErrorCode::Unauthenticated => {}
        Err(problem) => return Err(problem),
    }
    visitor.keep(pages.shared.cookie.clear().1);
    Ok(see_other("/login?notice=signed-out"))
}

impl Pages {
    /// Where else one can sign in.
    pub(super) fn providers(&self) -> Vec<Value> {
        let all = self.shared.identity.sign_in_providers();
        all.map(|(key, name)| context! { key, name }).collect()
    }

    /// Gives the session to the browser and goes where the visitor came from.
    fn signed_in(
        &self,
        visitor: &Visitor,
        form: &Form,
        answer: &Answer,
    ) -> Result<Response, Problem> {
        let token = Token::of(&answer.body).ok_or_else(Problem::internal)?;
        visitor.keep(self.shared.cookie.set(&token.text, token.age_seconds).1);
        Ok(see_other(own(form.text("return_to")).unwrap_or("/")))
    }
}
