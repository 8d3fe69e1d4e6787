//! What staff looks through and does: accounts, roles, locks, and the trail of all that.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use cityevents_domain::ids::UserId;
use cityevents_kit::http::PathId;
use cityevents_kit::{ErrorCode, Problem};
use minijinja::context;
use minijinja::value::Value;
use serde_json::json;

use super::Pages;
use super::address::{listing, next};
use super::calls::Call;
use super::forms::{Asked, Form};
use super::problem::shown;
use super::render::data;
use super::visitor::{Visitor, see_other};

/// Rows of a page.
const SHOWN: u32 = 50;

pub(super) async fn page(
    State(pages): State<Pages>,
    visitor: Visitor,
    Asked(asked): Asked,
) -> Result<Response, Problem> {
    let told = context! { done => asked.done(&["saved"]) };
    pages.accounts(&visitor, &asked, StatusCode::OK, told).await
}

/// Locks, unlocks, signs out, or gives another role.
pub(super) async fn change(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(account): PathId<UserId>,
    form: Form,
) -> Result<Response, Problem> {
    let call = match form.text("do") {
        "lock" => Call::post(format!("/api/auth/mod/users/{account}/ban")),
        "unlock" => Call::post(format!("/api/auth/mod/users/{account}/unban")),
        "sign-out" => Call::post(format!("/api/auth/admin/users/{account}/sessions/revoke")),
        "role" => Call::post(format!("/api/auth/admin/users/{account}/role"))
            .with(json!({ "role": form.text("role") })),
        _ => return Err(Problem::invalid("do", "write lock, unlock, sign-out or role")),
    };
    match pages.shared.calls.ask(&visitor, call).await {
        Ok(_) => Ok(see_other("/staff?done=saved")),
        Err(problem) if problem.code() == ErrorCode::Unauthenticated => Err(problem),
        Err(problem) => {
            let told = context! { problem => shown(&problem) };
            let status = problem.code().status();
            pages.accounts(&visitor, &Form::default(), status, told).await
        }
    }
}

pub(super) async fn trail(
    State(pages): State<Pages>,
    visitor: Visitor,
    Asked(asked): Asked,
) -> Result<Response, Problem> {
    let names = ["actor", "target", "cursor"];
    let call = listing("/api/admin/audit-trail", SHOWN, &asked, &names);
    let (body, problem) = match pages.shared.calls.ask(&visitor, Call::get(call)).await {
        Ok(answer) => (answer.body, None),
        Err(problem) if problem.meta().contains_key("fields") => (json!({}), Some(problem)),
        Err(problem) => return Err(problem),
    };
    let next = next("/staff/trail", &asked, &names, &body["data"]);
    let status = problem.as_ref().map_or(StatusCode::OK, |problem| problem.code().status());
    let mut known = context! { form => asked.shown(), list => data(&body["data"]), next => next };
    if let Some(problem) = &problem {
        known = context! { problem => shown(problem), ..known };
    }
    Ok(pages.page_with(status, &visitor, "trail.html", known))
}

impl Pages {
    async fn accounts(
        &self,
        visitor: &Visitor,
        asked: &Form,
        status: StatusCode,
        told: Value,
    ) -> Result<Response, Problem> {
        let names = ["q", "role", "status", "cursor"];
        let call = listing("/api/auth/admin/users", SHOWN, asked, &names);
        let list = self.shared.calls.ask(visitor, Call::get(call)).await?.body;
        let next = next("/staff", asked, &names, &list["data"]);
        let user = visitor.caller().map(|caller| caller.user.to_string());
        let known = context! {
            form => asked.shown(),
            list => data(&list["data"]),
            own => user,
            next => next,
            ..told
        };
        Ok(self.page_with(status, visitor, "staff.html", known))
    }
}
