//! The calls about oneself. Answers carry what they say in `data`.

mod avatar;
mod calendar;
mod directory;
mod oauth;
mod own_data;
mod passwords;
mod profile;
mod proofs;
mod sessions;
mod sign_in;
mod staff;
mod unsubscribe;
mod wire;

use axum::http::Method;
use axum::middleware::from_fn_with_state;
use cityevents_kit::http::{CallClass, RoutePolicy};
use cityevents_kit::keys::Caller;
use cityevents_kit::{ErrorCode, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::store::IdentityError;
use super::{Account, Identity, allowances};

/// The calls about accounts and sessions. The parts that every listener has come from around it.
pub fn router(identity: Identity) -> OpenApiRouter {
    let counted = from_fn_with_state(identity.clone(), allowances::check);
    OpenApiRouter::new()
        .routes(routes!(sign_in::register))
        .routes(routes!(sign_in::login))
        .routes(routes!(sign_in::refresh))
        .routes(routes!(sign_in::logout))
        .routes(routes!(oauth::list))
        .routes(routes!(oauth::start))
        .routes(routes!(oauth::callback))
        .routes(routes!(oauth::link, oauth::unlink))
        .routes(routes!(oauth::linked))
        .routes(routes!(sessions::me, profile::change, own_data::erase))
        .routes(routes!(avatar::set))
        .routes(routes!(sessions::status))
        .routes(routes!(own_data::export))
        .routes(routes!(passwords::change))
        .routes(routes!(proofs::request_reset))
        .routes(routes!(proofs::validate_reset))
        .routes(routes!(proofs::confirm_reset))
        .routes(routes!(proofs::request_verification))
        .routes(routes!(proofs::confirm_verification))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::end))
        .routes(routes!(sessions::end_all))
        .routes(routes!(staff::ban))
        .routes(routes!(staff::unban))
        .routes(routes!(staff::set_role))
        .routes(routes!(staff::status))
        .routes(routes!(staff::revoke))
        .routes(routes!(directory::accounts))
        .routes(routes!(directory::audit_trail))
        .routes(routes!(calendar::link))
        .routes(routes!(calendar::events))
        .routes(routes!(unsubscribe::look, unsubscribe::switch_off))
        .routes(routes!(own_data::notifications, own_data::switch_notifications))
        .route_layer(counted)
        .with_state(identity)
}

/// The policy of these calls that are not general; `None` for all others.
pub fn route_policy(_: &Method, route: Option<&str>) -> Option<RoutePolicy> {
    match route? {
        "/api/auth/login"
        | "/api/auth/password/change"
        | "/api/auth/oauth/{provider}/start"
        | "/api/auth/oauth/{provider}/callback"
        | "/api/auth/oauth/{provider}/link" => Some(RoutePolicy::of(CallClass::Login)),
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
