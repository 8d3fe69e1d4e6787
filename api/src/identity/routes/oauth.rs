//! Signing in at other providers.
//!
//! `start` and `callback` are followed by browsers, the rest is called by pages. Whoever takes HTML
//! is sent to a page, `/login?error=CODE` when nothing came of it; everybody else gets the problem.

use axum::extract::{RawPathParams, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use cityevents_kit::http::{NoBody, Query};
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::{Clash, NotKnown, NotThere, NotYours};
use cityevents_kit::{ErrorCode, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::wire::{Data, data, time};
use crate::identity::oidc::links::UnlinkError;
use crate::identity::oidc::{Answer, Flow, Provider, ReturnTo};
use crate::identity::store::IdentityError;
use crate::identity::{Account, Identity, LanguageTag};

/// The page that people sign in on.
const LOGIN_PAGE: &str = "/login";

/// A provider that one can sign in at.
#[derive(Serialize, ToSchema)]
pub(super) struct ProviderBody<'a> {
    /// The word in addresses.
    #[schema(example = "google")]
    provider: &'a str,
    /// What people call it.
    #[schema(example = "Google")]
    name: &'a str,
}

/// A provider that one can sign in to one's account at.
#[derive(Serialize, ToSchema)]
pub(super) struct LinkedBody {
    provider: String,
    name: String,
    linked_at: String,
}

/// Where to go on.
#[derive(Serialize, ToSchema)]
pub(super) struct LocationBody {
    location: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ReturnQuery {
    /// Where to go afterwards: a path of this site, at most 512 characters. Not given: `/`.
    #[param(required = false, nullable = false, example = "/events")]
    return_to: Option<String>,
}

/// What the provider sends back (OpenID Connect Core, 3.1.2.5, and RFC 9207). Providers send more.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CallbackQuery {
    #[param(required = false, nullable = false)]
    code: Option<String>,
    #[param(required = false, nullable = false)]
    state: Option<String>,
    /// Why there is no code.
    #[param(required = false, nullable = false)]
    error: Option<String>,
    /// Who answers.
    #[param(required = false, nullable = false)]
    iss: Option<String>,
}

/// A provider of a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes what provider_of reads")]
pub(super) struct ProviderPath {
    /// Which provider: one of the list.
    #[param(example = "google")]
    provider: String,
}

/// Where one can sign in.
#[utoipa::path(
    get,
    path = "/api/auth/oauth",
    tag = "identity",
    operation_id = "list_providers",
    responses((status = 200, description = "as asked for", body = Data<Vec<ProviderBody>>)),
)]
pub(super) async fn list(State(identity): State<Identity>) -> Response {
    let all = identity.shared.providers.iter();
    let all = all.map(|one| ProviderBody { provider: one.key(), name: one.name() });
    data(StatusCode::OK, all.collect::<Vec<_>>())
}

/// Sends the browser to a provider.
///
/// A cookie ties the answer to this browser, for ten minutes. Who takes HTML is sent to
/// `/login?error=CODE` when the provider cannot be asked.
#[utoipa::path(
    get,
    path = "/api/auth/oauth/{provider}/start",
    tag = "identity",
    operation_id = "start_provider_sign_in",
    params(ProviderPath, ReturnQuery),
    responses((status = 303, description = "to the provider"), NotThere),
)]
pub(super) async fn start(
    State(identity): State<Identity>,
    path: RawPathParams,
    Query(query): Query<ReturnQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let provider = identity.provider_of(&path)?;
    let flow = identity.flow(query, None)?;
    match identity.go_to(provider, &flow).await {
        Ok((location, cookie)) => {
            let mut response = see_other(&location);
            response.headers_mut().append(cookie.0, cookie.1);
            Ok(response)
        }
        Err(problem) => Ok(identity.nothing_came(problem, &headers, None)),
    }
}

/// Signs in with what the provider says.
///
/// The browser goes to the page that it began with, with the refresh cookie; when nothing came of
/// it, to `/login?error=CODE`, or back to its page with `error=CODE` when an account was to be
/// linked. Who does not take HTML gets a problem with that code: `oauth_state_invalid` (not begun in
/// this browser, used, or too late), `oauth_denied`, `oauth_failed`, `email_not_verified`,
/// `email_already_exists`, `oauth_already_linked`, `account_locked`, `unavailable`.
#[utoipa::path(
    get,
    path = "/api/auth/oauth/{provider}/callback",
    tag = "identity",
    operation_id = "finish_provider_sign_in",
    params(ProviderPath, CallbackQuery),
    responses(
        (status = 303, description = "signed in, or linked; or to a page that tells why not"),
        NotKnown, NotYours, NotThere, Clash,
    ),
)]
pub(super) async fn callback(
    State(identity): State<Identity>,
    path: RawPathParams,
    Query(query): Query<CallbackQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let provider = identity.provider_of(&path)?;
    let flow = match identity.flow_of(provider, &query, &headers) {
        Ok(flow) => flow,
        // The cookie stays: it may belong to another sign-in that is on its way.
        Err(problem) => return Ok(identity.nothing_came(problem, &headers, None)),
    };
    let mut response = match identity.came_back(provider, &flow, &query, &headers).await {
        Ok(response) => response,
        Err(problem) => {
            tracing::warn!(
                oauth.provider = provider.key(),
                "nobody signs in at a provider: {}",
                problem.code().as_str()
            );
            identity.nothing_came(problem, &headers, Some(&flow))
        }
    };
    let (name, value) = identity.shared.flows.clear();
    response.headers_mut().append(name, value);
    Ok(response)
}

/// Begins to link a provider to the own account.
///
/// Pages send the browser to the location of the answer. It comes back as from a sign-in, and stays
/// signed in as before.
#[utoipa::path(
    post,
    path = "/api/auth/oauth/{provider}/link",
    tag = "own",
    operation_id = "link_provider",
    params(ProviderPath, ReturnQuery),
    responses(
        (status = 200, description = "where to send the browser", body = Data<LocationBody>),
        NotYours, NotThere,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn link(
    State(identity): State<Identity>,
    path: RawPathParams,
    caller: Caller,
    Query(query): Query<ReturnQuery>,
    _: NoBody,
) -> Result<Response, Problem> {
    let account = identity.account_of_caller(&caller).await?;
    let provider = identity.provider_of(&path)?;
    let flow = identity.flow(query, Some(&account))?;
    let (location, cookie) = identity.go_to(provider, &flow).await?;
    let mut response = data(StatusCode::OK, LocationBody { location });
    response.headers_mut().append(cookie.0, cookie.1);
    Ok(response)
}

/// The providers that one can sign in to one's account at.
#[utoipa::path(
    get,
    path = "/api/auth/me/oauth",
    tag = "own",
    operation_id = "list_linked_providers",
    responses((status = 200, description = "as asked for", body = Data<Vec<LinkedBody>>), NotYours),
    security(("bearer" = [])),
)]
pub(super) async fn linked(
    State(identity): State<Identity>,
    caller: Caller,
) -> Result<Response, Problem> {
    let account = identity.account_of_caller(&caller).await?;
    let links = identity.links_of(&account).await.map_err(IdentityError::into_problem)?;
    let links = links.into_iter().map(|link| {
        let provider = identity.shared.providers.get(&link.provider);
        let name = provider.map_or(&*link.provider, Provider::name).to_owned();
        LinkedBody { provider: link.provider, name, linked_at: time(link.linked_at_ms) }
    });
    Ok(data(StatusCode::OK, links.collect::<Vec<_>>()))
}

/// Signs in at a provider no more. Refused where it is the only way to sign in to the account.
#[utoipa::path(
    delete,
    path = "/api/auth/oauth/{provider}/link",
    tag = "own",
    operation_id = "unlink_provider",
    params(ProviderPath),
    responses((status = 204, description = "done"), NotYours, NotThere, Clash),
    security(("bearer" = [])),
)]
pub(super) async fn unlink(
    State(identity): State<Identity>,
    path: RawPathParams,
    caller: Caller,
    _: NoBody,
) -> Result<Response, Problem> {
    let account = identity.account_of_caller(&caller).await?;
    // Of those that are set up no more, too.
    let unlinked = identity.unlink(&account.id, word_of(&path)).await;
    unlinked.map_err(|error| match error {
        UnlinkError::NotLinked => Problem::because(ErrorCode::NotFound, error.to_string()),
        UnlinkError::OnlyWay => Problem::because(ErrorCode::InvalidState, error.to_string()),
        UnlinkError::Identity(error) => error.into_problem(),
    })?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

type Cookie = (HeaderName, HeaderValue);

impl Identity {
    fn provider_of(&self, path: &RawPathParams) -> Result<&Provider, Problem> {
        self.shared.providers.named(word_of(path))
    }

    fn flow(&self, query: ReturnQuery, links: Option<&Account>) -> Result<Flow, Problem> {
        let return_to = query.return_to.as_deref().map_or(Some(ReturnTo::home()), ReturnTo::parse);
        let say = "write a path of this site that begins with one slash, of at most 512 characters";
        let return_to = return_to.ok_or_else(|| Problem::invalid("return_to", say))?;
        let links = links.map(|account| account.id);
        let flow = Flow::begin(self.shared.store.now(), links, return_to);
        flow.map_err(IdentityError::into_problem)
    }

    async fn go_to(&self, provider: &Provider, flow: &Flow) -> Result<(String, Cookie), Problem> {
        let begun = provider.begin(flow).await;
        let location = begun.map_err(|error| provider.problem(&error))?;
        let cookie = self.shared.flows.set(flow, &self.shared.cursors, provider.key());
        Ok((location.into(), cookie.map_err(IdentityError::into_problem)?))
    }

    /// The sign-in that an answer belongs to.
    fn flow_of(
        &self,
        provider: &Provider,
        query: &CallbackQuery,
        headers: &HeaderMap,
    ) -> Result<Flow, Problem> {
        let Self { shared, .. } = self;
        let flow = shared.flows.read(headers, &shared.cursors, provider.key());
        let state = query.state.as_deref().unwrap_or_default();
        let flow = flow.filter(|flow| flow.is_of(state, shared.store.now()));
        flow.ok_or_else(|| Problem::new(ErrorCode::OauthStateInvalid))
    }

    /// Of many answers to one sign-in one counts.
    async fn came_back(
        &self,
        provider: &Provider,
        flow: &Flow,
        query: &CallbackQuery,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let store = &self.shared.store;
        let (key, used) = flow.used();
        if !store.insert(key, &used).await.map_err(IdentityError::into_problem)? {
            return Err(Problem::new(ErrorCode::OauthStateInvalid));
        }
        let answer = Answer {
            code: query.code.as_deref(),
            error: query.error.as_deref(),
            issuer: query.iss.as_deref(),
        };
        let person = provider.finish(flow, &answer, store.now()).await;
        let person = person.map_err(|error| provider.problem(&error))?;
        let page = self.address_of(flow.return_to.as_str());
        if let Some(account) = &flow.links {
            let linked = self.link_to(account, flow.begun_at_ms, provider, &person).await;
            linked.map_err(|error| error.into_problem())?;
            return Ok(see_other(&page));
        }
        let language = LanguageTag::liked(headers);
        let account = self.account_of_person(provider, &person, language.as_ref()).await;
        let account = account.map_err(|error| error.into_problem())?;
        let (_, token) = self.begin_session_of(&account, headers).await?;
        let mut response = see_other(&page);
        let (name, value) = self.shared.cookie.set(&token);
        response.headers_mut().append(name, value);
        Ok(response)
    }

    /// The answer where nothing came of a sign-in.
    fn nothing_came(&self, problem: Problem, headers: &HeaderMap, flow: Option<&Flow>) -> Response {
        if !takes_html(headers) {
            return problem.into_response();
        }
        let code = problem.code().as_str();
        let page = match flow.filter(|flow| flow.links.is_some()) {
            Some(flow) => flow.return_to.with_error(code),
            None => format!("{LOGIN_PAGE}?error={code}"),
        };
        see_other(&self.address_of(&page))
    }

    /// A page as the browser finds it: below the path of the public address.
    fn address_of(&self, page: &str) -> String {
        let site = self.shared.site.split_once("://").map_or("", |(_, rest)| rest);
        let path = site.find('/').map_or("", |at| &site[at..]);
        format!("{path}{page}")
    }
}

fn word_of(path: &RawPathParams) -> &str {
    path.iter().next().map_or("", |(_, word)| word)
}

fn see_other(location: &str) -> Response {
    let empty = HeaderValue::from_static("/");
    let location = HeaderValue::try_from(location).unwrap_or(empty);
    let kept = HeaderValue::from_static("no-store");
    (StatusCode::SEE_OTHER, [(LOCATION, location), (CACHE_CONTROL, kept)]).into_response()
}

/// Whether it is a browser that goes to a page. Programs take anything.
fn takes_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|header| header.to_str().ok());
    accepted.flat_map(|header| header.split(',')).any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("text/html")
    })
}
