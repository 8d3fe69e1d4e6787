//! The calls about oneself. Answers carry what they say in `data`.

mod calendar;
mod directory;
mod own_data;
mod passwords;
mod proofs;
mod sessions;
mod sign_in;
mod staff;
mod wire;

use axum::Router;
use axum::http::Method;
use axum::routing::{get, post};
use cityevents_kit::http::{CallClass, RoutePolicy};
use cityevents_kit::keys::Caller;
use cityevents_kit::{ErrorCode, Problem};

use super::store::IdentityError;
use super::{Account, Identity};

/// The calls about accounts and sessions. The parts that every listener has come from around it.
pub fn router(identity: Identity) -> Router {
    Router::new()
        .route("/api/auth/register", post(sign_in::register))
        .route("/api/auth/login", post(sign_in::login))
        .route("/api/auth/refresh", post(sign_in::refresh))
        .route("/api/auth/logout", post(sign_in::logout))
        .route("/api/auth/me", get(sessions::me).delete(own_data::erase))
        .route("/api/auth/me/export", get(own_data::export))
        .route("/api/auth/me/status", get(sessions::status))
        .route("/api/auth/password/change", post(passwords::change))
        .route("/api/auth/password/reset/request", post(proofs::request_reset))
        .route("/api/auth/password/reset/validate", get(proofs::validate_reset))
        .route("/api/auth/password/reset/confirm", post(proofs::confirm_reset))
        .route("/api/auth/verify-email/request", post(proofs::request_verification))
        .route("/api/auth/verify-email/confirm", post(proofs::confirm_verification))
        .route("/api/auth/sessions", get(sessions::list))
        .route("/api/auth/sessions/{id}", axum::routing::delete(sessions::end))
        .route("/api/auth/sessions/revoke", post(sessions::end_all))
        .route("/api/auth/mod/users/{id}/ban", post(staff::ban))
        .route("/api/auth/mod/users/{id}/unban", post(staff::unban))
        .route("/api/auth/admin/users/{id}/role", post(staff::set_role))
        .route("/api/auth/admin/users/{id}/status", get(staff::status))
        .route("/api/auth/admin/users/{id}/sessions/revoke", post(staff::revoke))
        .route("/api/auth/admin/users", get(directory::accounts))
        .route("/api/admin/audit-trail", get(directory::audit_trail))
        .route("/api/me/calendar", get(calendar::link))
        .route("/api/me/calendar.ics", get(calendar::events))
        .route(
            "/api/me/notifications",
            get(own_data::notifications).patch(own_data::switch_notifications),
        )
        .with_state(identity)
}

/// The policy of these calls that are not general; `None` for all others.
pub fn route_policy(_: &Method, route: Option<&str>) -> Option<RoutePolicy> {
    match route? {
        "/api/auth/login" | "/api/auth/password/change" => Some(RoutePolicy::of(CallClass::Login)),
        "/api/auth/password/reset/request" | "/api/auth/verify-email/request" => {
            Some(RoutePolicy::of(CallClass::AccountMail))
        }
        "/api/auth/register" => Some(RoutePolicy::of(CallClass::Register)),
        _ => None,
    }
}

impl Identity {
    /// The account of a caller. Somebody whose token is good and who has no account any more has to
    /// sign in again; a locked account does nothing.
    async fn account_of_caller(&self, caller: &Caller) -> Result<Account, Problem> {
        let account = self.account(&caller.user).await.map_err(IdentityError::into_problem)?;
        let account = account.ok_or_else(|| Problem::new(ErrorCode::Unauthenticated))?;
        if account.locked {
            return Err(Problem::new(ErrorCode::AccountLocked));
        }
        Ok(account)
    }
}
