//! One's account: ways to sign in, sessions, mails, password, what is kept, and its end.

use axum::extract::{RawPathParams, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use cityevents_kit::http::PathId;
use cityevents_kit::{ErrorCode, Problem};
use minijinja::context;
use minijinja::value::Value;
use serde_json::{Map, json};

use super::Pages;
use super::address::encoded;
use super::calls::Call;
use super::forms::{Asked, Form};
use super::messages::Language;
use super::problem::shown;
use super::render::data;
use super::visitor::{Visitor, see_other};

/// What the page says first, after something was done.
const DONE: [&str; 3] = ["saved", "session-ended", "unlinked"];

pub(super) async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
    Asked(asked): Asked,
) -> Result<Response, Problem> {
    pages.account(&visitor, StatusCode::OK, context! { done => asked.done(&DONE) }).await
}

/// Which mails one gets: what is ticked, and nothing else.
pub(super) async fn mails(
    State(pages): State<Pages>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Problem> {
    let calls = &pages.shared.calls;
    let known = calls.ask(&visitor, Call::get("/api/me/notifications")).await?.body;
    let kinds = known["mail"].as_object().map(Map::keys).into_iter().flatten();
    let wanted: Map<_, _> =
        kinds.map(|kind| (kind.clone(), form.given(kind).is_some().into())).collect();
    let call = Call::new(Method::PATCH, "/api/me/notifications")
        .with(json!({ "mail": wanted, "language": form.given("language") }));
    calls.ask(&visitor, call).await?;
    Ok(see_other("/account?done=saved"))
}

/// What one is called.
pub(super) async fn name(
    State(pages): State<Pages>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Problem> {
    let body = json!({ "name": form.text("name") });
    let call = Call::new(Method::PATCH, "/api/auth/me").with(body);
    match pages.shared.calls.ask(&visitor, call).await {
        Ok(_) => Ok(see_other("/account?done=saved")),
        Err(problem) if problem.meta().contains_key("fields") => {
            let told = context! { problem => shown(&problem), form => form.shown() };
            pages.account(&visitor, problem.code().status(), told).await
        }
        Err(problem) => Err(problem),
    }
}

pub(super) async fn password(
    State(pages): State<Pages>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Problem> {
    let body = json!({
        "old_password": form.text("old_password"),
        "new_password": form.text("new_password"),
    });
    let call = Call::post("/api/auth/password/change").with(body);
    match pages.shared.calls.ask(&visitor, call).await {
        // All sessions have ended, this one too.
        Ok(_) => Ok(pages.signed_out(&visitor, "/login?notice=password-set")),
        Err(problem) if problem.code() == ErrorCode::Unauthenticated => Err(problem),
        Err(problem) => {
            let told = context! { problem => shown(&problem) };
            pages.account(&visitor, problem.code().status(), told).await
        }
    }
}

/// Signs in at a provider no more; never the last way in.
pub(super) async fn unlink(
    State(pages): State<Pages>,
    visitor: Visitor,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let provider = encoded(path.iter().next().map_or("", |(_, provider)| provider));
    let call = Call::new(Method::DELETE, format!("/api/auth/oauth/{provider}/link"));
    match pages.shared.calls.ask(&visitor, call).await {
        Ok(_) => Ok(see_other("/account?done=unlinked")),
        // It was taken away elsewhere.
        Err(problem) if problem.code() == ErrorCode::NotFound => Ok(see_other("/account")),
        Err(problem) if problem.code() == ErrorCode::InvalidState => {
            let told = context! { notice => "only-way" };
            pages.account(&visitor, problem.code().status(), told).await
        }
        Err(problem) => Err(problem),
    }
}

pub(super) async fn end_session(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(session): PathId<uuid::Uuid>,
) -> Result<Response, Problem> {
    let call = Call::new(Method::DELETE, format!("/api/auth/sessions/{session}"));
    match pages.shared.calls.ask(&visitor, call).await {
        Ok(_) => Ok(see_other("/account?done=session-ended")),
        // It has ended by itself.
        Err(problem) if problem.code() == ErrorCode::NotFound => Ok(see_other("/account")),
        Err(problem) => Err(problem),
    }
}

pub(super) async fn end_sessions(
    State(pages): State<Pages>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    pages.shared.calls.ask(&visitor, Call::post("/api/auth/sessions/revoke")).await?;
    Ok(pages.signed_out(&visitor, "/login?notice=signed-out"))
}

/// Everything that is kept of one, as a file.
pub(super) async fn export(
    State(pages): State<Pages>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    pages.shared.calls.send(&visitor, Call::get("/api/auth/me/export")).await
}

/// For ever, so it is asked for twice.
pub(super) async fn delete(
    State(pages): State<Pages>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Problem> {
    if form.given("sure").is_none() {
        let problem = Problem::invalid("sure", "tick this first");
        let told = context! { problem => shown(&problem) };
        return pages.account(&visitor, problem.code().status(), told).await;
    }
    let call = Call::new(Method::DELETE, "/api/auth/me");
    match pages.shared.calls.ask(&visitor, call).await {
        Ok(_) => Ok(pages.signed_out(&visitor, "/login?notice=account-deleted")),
        Err(problem) if problem.code() == ErrorCode::Unauthenticated => Err(problem),
        Err(problem) => {
            let told = context! { problem => shown(&problem) };
            pages.account(&visitor, problem.code().status(), told).await
        }
    }
}

/// The language of pages that a tag means, if it is one of theirs.
fn written_in(tag: &serde_json::Value) -> Option<&'static str> {
    let language = tag.as_str()?.split('-').next()?.to_ascii_lowercase();
    Language::parse(&language).map(Language::code)
}

impl Pages {
    pub(super) async fn account(
        &self,
        visitor: &Visitor,
        status: StatusCode,
        told: Value,
    ) -> Result<Response, Problem> {
        let calls = &self.shared.calls;
        let me = calls.ask(visitor, Call::get("/api/auth/me")).await?.body;
        let sessions = calls.ask(visitor, Call::get("/api/auth/sessions")).await?.body;
        let linked = calls.ask(visitor, Call::get("/api/auth/me/oauth")).await?.body;
        let mails = calls.ask(visitor, Call::get("/api/me/notifications")).await?.body;
        let calendar = calls.ask(visitor, Call::get("/api/me/calendar")).await?.body;
        let name = me["data"]["name"].as_str().unwrap_or_default().to_owned();
        // What was typed stands before what is kept.
        let told = context! { ..told, ..context! { form => context! { name } } };
        let known = context! {
            me => data(&me["data"]),
            sessions => data(&sessions["data"]),
            linked => data(&linked["data"]),
            mails => data(&mails["mail"]),
            mail_language => data(&mails["language"]),
            mail_language_of_page => written_in(&mails["language"]),
            calendar => data(&calendar["url"]),
            ..told
        };
        Ok(self.page_with(status, visitor, "account.html", known))
    }

    fn signed_out(&self, visitor: &Visitor, address: &str) -> Response {
        visitor.keep(self.shared.cookie.clear().1);
        see_other(address)
    }
}
