//! Making an account, signing in, going on, signing out.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cityevents_domain::actor::Role;
use cityevents_kit::http::{Json, NoBody};
use cityevents_kit::keys::Authentication;
use cityevents_kit::openapi::{Clash, NotKnown, NotYours};
use cityevents_kit::problem::InvalidFields;
use cityevents_kit::telemetry::AccountHash;
use cityevents_kit::{ErrorCode, Problem};

use tracing::field;

use super::wire::{Credentials, Data, Registration, SignedIn, Tokens, User, data};
use crate::identity::LinkPurpose;
use crate::identity::device::Device;
use crate::identity::passwords::Checked;
use crate::identity::session::{RefreshToken, Session};
use crate::identity::store::IdentityError;
use crate::identity::{
    Account, Address, HashingError, Identity, LanguageTag, NewAccount, Password, person_name,
};

/// Makes an account, and signs in.
#[utoipa::path(
    post,
    path = "/api/auth/register",
    tag = "identity",
    operation_id = "register",
    request_body = Registration,
    responses((status = 201, description = "made, and signed in", body = Data<SignedIn>), Clash),
)]
pub(super) async fn register(
    State(identity): State<Identity>,
    headers: HeaderMap,
    Json(body): Json<Registration>,
) -> Result<Response, Problem> {
    let mut wrong = InvalidFields::default();
    let email = Address::parse(&body.email).map_err(|error| wrong.add("email", error.to_string()));
    let password =
        Password::new(body.password).map_err(|error| wrong.add("password", error.to_string()));
    let name = person_name(body.name.as_deref().unwrap_or_default());
    let name = name.map_err(|error| wrong.add("name", error.to_string())).ok().flatten();
    let language = match body.language.as_deref().map(LanguageTag::parse) {
        None => LanguageTag::liked(&headers),
        Some(parsed) => parsed.map_err(|error| wrong.add("language", error.to_string())).ok(),
    };
    wrong.into_result()?;
    let (Ok(email), Ok(password)) = (email, password) else {
        return Err(Problem::new(ErrorCode::ValidationFailed));
    };
    let taken = || Problem::new(ErrorCode::EmailAlreadyExists);
    // Asked first, so that nobody makes us hash for nothing; what counts is the claim.
    let known = identity.account_of(&email).await.map_err(IdentityError::into_problem)?;
    if known.is_some() {
        return Err(taken());
    }
    let hash = identity.shared.passwords.hash(&password).await.map_err(hashing)?;
    let password_hash = Some(hash);
    let account = NewAccount { email, name, language, password_hash, role: Role::User };
    let made = identity.create_account(account).await.map_err(IdentityError::into_problem)?;
    let account = made.ok_or_else(taken)?;
    identity.mail_in_background(LinkPurpose::VerifyAddress, account.clone());
    identity.signed_in(StatusCode::CREATED, &account, &headers).await
}

/// Signs in.
#[utoipa::path(
    post,
    path = "/api/auth/login",
    tag = "identity",
    operation_id = "login",
    request_body = Credentials,
    responses((status = 200, description = "as asked for", body = Data<SignedIn>), NotKnown, NotYours),
)]
pub(super) async fn login(
    State(identity): State<Identity>,
    headers: HeaderMap,
    Json(body): Json<Credentials>,
) -> Result<Response, Problem> {
    let refused = || Problem::new(ErrorCode::InvalidCredentials);
    let account = match Address::parse(&body.email) {
        Ok(email) => {
            // Before anything is read or hashed.
            identity.check_tries(&email.key()).await?;
            identity.account_of(&email).await.map_err(IdentityError::into_problem)?
        }
        Err(_) => None,
    };
    let kept = account.as_ref().and_then(|account| account.password.as_deref());
    let checked = identity.shared.passwords.check(&body.password, kept).await.map_err(hashing)?;
    let (Some(account), Checked::Right { upgraded }) = (&account, checked) else {
        // Of an account that is there: addresses that somebody made up are not ours to keep.
        let hash = account.map(|account| AccountHash::of(&account.id)).map(field::display);
        tracing::warn!(account_hash = hash, "a sign-in is refused");
        return Err(refused());
    };
    // Only who knows the password learns that the account is locked.
    if account.locked {
        return Err(Problem::new(ErrorCode::AccountLocked));
    }
    if let Some(upgraded) = upgraded {
        let set = identity.upgrade_password_hash(&account.id, kept, &upgraded).await;
        set.map_err(IdentityError::into_problem)?;
    }
    identity.signed_in(StatusCode::OK, account, &headers).await
}

/// A new access token for the refresh cookie.
#[utoipa::path(
    post,
    path = "/api/auth/refresh",
    tag = "identity",
    operation_id = "refresh",
    responses((status = 200, description = "as asked for", body = Data<SignedIn>), NotKnown, NotYours),
)]
pub(super) async fn refresh(
    State(identity): State<Identity>,
    headers: HeaderMap,
    _: NoBody,
) -> Result<Response, Problem> {
    identity.shared.origins.check(&headers)?;
    identity.renew(&headers).await
}

/// Signs out.
///
/// Ends the session of the token, of the cookie, or of both.
#[utoipa::path(
    post,
    path = "/api/auth/logout",
    tag = "identity",
    operation_id = "logout",
    responses((status = 204, description = "done"), NotYours),
    security((), ("bearer" = [])),
)]
pub(super) async fn logout(
    State(identity): State<Identity>,
    authentication: Authentication,
    headers: HeaderMap,
    _: NoBody,
) -> Result<Response, Problem> {
    let page = identity.shared.origins.check(&headers);
    match (authentication.caller(), &page) {
        // Somebody with a token is no page that a browser sends a cookie for.
        (Some(caller), _) => {
            let ended = identity.end_session_and_tokens(&caller.user, &caller.session).await;
            ended.map_err(IdentityError::into_problem)?;
        }
        (None, Ok(())) => {}
        (None, Err(_)) => return page.map(IntoResponse::into_response),
    }
    if page.is_ok()
        && let Some(token) = identity.shared.cookie.read(&headers)
    {
        identity.end_session_of(&token).await.map_err(IdentityError::into_problem)?;
    }
    Ok((StatusCode::NO_CONTENT, [identity.shared.cookie.clear()]).into_response())
}

impl Identity {
    /// Goes on with the session of the refresh cookie. Who calls it has looked where the request
    /// comes from, or gives the answer to nobody but the browser.
    pub(crate) async fn renew(&self, headers: &HeaderMap) -> Result<Response, Problem> {
        let refused = || {
            let mut response = Problem::new(ErrorCode::Unauthenticated).into_response();
            let (name, value) = self.shared.cookie.clear();
            response.headers_mut().append(name, value);
            response
        };
        let Some(token) = self.shared.cookie.read(headers) else { return Ok(refused()) };
        let rotated = self.rotate(&token).await.map_err(IdentityError::into_problem)?;
        let Some((session, successor)) = rotated else { return Ok(refused()) };
        let account = self.account(&session.account).await.map_err(IdentityError::into_problem)?;
        // A session that was begun while all were revoked is in no list yet.
        let is_revoked = |account: &Account| {
            account.revoked_before_ms.is_some_and(|before_ms| session.created_at_ms < before_ms)
        };
        let Some(account) = account.filter(|account| !is_revoked(account)) else {
            return Ok(refused());
        };
        if account.locked {
            return Err(Problem::new(ErrorCode::AccountLocked));
        }
        self.with_tokens(StatusCode::OK, &account, &session, &successor)
    }

    /// Begins a session and tells of it.
    async fn signed_in(
        &self,
        status: StatusCode,
        account: &Account,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let (session, token) = self.begin_session_of(account, headers).await?;
        self.with_tokens(status, account, &session, &token)
    }

    /// Begins a session of somebody who may have been locked out since their account was read.
    pub(super) async fn begin_session_of(
        &self,
        account: &Account,
        headers: &HeaderMap,
    ) -> Result<(Session, RefreshToken), Problem> {
        let begun = self.begin_session(&account.id, Device::of(headers)).await;
        let (session, token) = begun.map_err(IdentityError::into_problem)?;
        // A ban or another password since the account was read has ended all sessions but this one.
        let now = self.account(&account.id).await.map_err(IdentityError::into_problem)?;
        let stands =
            |now: &Account| !now.locked && now.revoked_before_ms == account.revoked_before_ms;
        if !now.as_ref().is_some_and(stands) {
            let ended = self.end_session(&account.id, &session.id).await;
            ended.map_err(IdentityError::into_problem)?;
            return Err(Problem::new(ErrorCode::InvalidCredentials));
        }
        let account_hash = AccountHash::of(&account.id);
        tracing::info!(%account_hash, session = %session.id, "signed in");
        Ok((session, token))
    }

    fn with_tokens(
        &self,
        status: StatusCode,
        account: &Account,
        session: &Session,
        token: &RefreshToken,
    ) -> Result<Response, Problem> {
        let signer = &self.shared.signer;
        let access_token = signer
            .sign(&account.id, account.role, &session.id)
            .map_err(|error| IdentityError::from(error).into_problem())?;
        let expires_in = signer.ttl().as_secs();
        let tokens = Tokens { access_token, token_type: "Bearer", expires_in };
        let mut response = data(status, SignedIn { user: User::of(self, account), tokens });
        let (name, value) = self.shared.cookie.set(token);
        response.headers_mut().append(name, value);
        Ok(response)
    }
}

/// The answer where a password could not be hashed or checked.
pub(super) fn hashing(error: HashingError) -> Problem {
    match error {
        HashingError::Busy => {
            let after = std::time::Duration::from_secs(1);
            Problem::because(ErrorCode::Unavailable, error.to_string()).with_retry_after(after)
        }
        HashingError::Failed(_) => {
            tracing::error!(%error, "identity: {error}");
            Problem::new(ErrorCode::InternalError)
        }
    }
}
