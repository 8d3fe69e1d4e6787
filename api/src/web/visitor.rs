//! Who looks at a page: language, session, and what their browser is to keep.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{
    CACHE_CONTROL, COOKIE, HeaderName, HeaderValue, LOCATION, REFERER, SET_COOKIE, VARY,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use cityevents_kit::http::RequestContext;
use cityevents_kit::keys::{Authentication, Caller};
use cityevents_kit::{ErrorCode, Problem};
use parking_lot::Mutex;

use super::Pages;
use super::address::{encoded, own};
use super::messages::Language;

/// Who looks at a page. Cheap to clone.
#[derive(Clone)]
pub(super) struct Visitor {
    shared: Arc<Known>,
}

struct Known {
    language: Language,
    authentication: Authentication,
    context: RequestContext,
    headers: HeaderMap,
    /// Path and query of the page that they see.
    address: String,
    /// Cookies that the answer sets.
    cookies: Mutex<Vec<HeaderValue>>,
}

impl Visitor {
    pub(super) fn language(&self) -> Language {
        self.shared.language
    }

    pub(super) fn caller(&self) -> Option<&Caller> {
        self.shared.authentication.caller()
    }

    pub(super) fn authentication(&self) -> Authentication {
        self.shared.authentication
    }

    pub(super) fn context(&self) -> &RequestContext {
        &self.shared.context
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.shared.headers
    }

    /// Where they are: where a form of every page comes back to.
    pub(super) fn address(&self) -> &str {
        &self.shared.address
    }

    /// Adds a cookie to the answer.
    pub(super) fn keep(&self, cookie: HeaderValue) {
        self.shared.cookies.lock().push(cookie);
    }

    /// Whoever has to sign in, and then comes back.
    pub(super) fn sign_in_first(&self) -> Response {
        let address = format!("/login?return_to={}", encoded(self.address()));
        see_other(&address)
    }
}

/// A redirect after a write.
pub(super) fn see_other(address: &str) -> Response {
    let address = HeaderValue::try_from(address).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, address)]).into_response()
}

/// The page that a form was on: nobody can be sent back to a write.
fn came_from(headers: &HeaderMap) -> &str {
    let said = headers.get(REFERER).and_then(|said| said.to_str().ok()).unwrap_or_default();
    let site = said.find("://").map_or(0, |at| at + 3);
    let path = said[site..].find('/').map_or("/", |at| &said[site + at..]);
    own(path).unwrap_or("/")
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';'));
    let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::internal)
    }
}

/// Around every page: refuses writes from elsewhere, goes on with a session whose cookie has run
/// out, and sends who has to sign in to where they can.
pub(super) async fn around(
    State(pages): State<Pages>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
    // Whose address is a proof by itself, and does nothing else.
    let is_proof = request.uri().path() == super::unsubscribe::ROUTE;
    if !is_reading
        && !is_proof
        && let Err(problem) = pages.shared.identity.check_origin(headers)
    {
        return problem.into_response();
    }
    let extensions = request.extensions();
    let Some(context) = extensions.get::<RequestContext>().cloned() else {
        tracing::error!("a page that needs the edge is not behind it");
        return Problem::internal().into_response();
    };
    let authentication = extensions.get::<Authentication>().copied().unwrap_or_default();
    let (authentication, cookies) = match authentication.caller() {
        Some(_) => (authentication, Vec::new()),
        None => pages.go_on(headers, authentication).await,
    };
    let known = Known {
        language: Language::of(headers),
        authentication,
        context,
        headers: headers.clone(),
        address: match is_reading {
            true => request.uri().path_and_query().map_or("/", |address| address.as_str()),
            false => came_from(headers),
        }
        .to_owned(),
        cookies: Mutex::new(cookies),
    };
    let visitor = Visitor { shared: Arc::new(known) };
    request.extensions_mut().insert(visitor.clone());
    let mut response = next.run(request).await;
    let must_sign_in = |problem: &Problem| {
        matches!(problem.code(), ErrorCode::Unauthenticated | ErrorCode::TokenExpired)
    };
    if response.extensions().get::<Problem>().is_some_and(must_sign_in) {
        response = visitor.sign_in_first();
    }
    let headers = response.headers_mut();
    for cookie in visitor.shared.cookies.lock().drain(..) {
        headers.append(SET_COOKIE, cookie);
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.append(VARY, HeaderValue::from_static("accept-language, cookie"));
    response
}

impl Pages {
    /// Goes on with the session of a browser whose short cookie has run out, if it has the long one.
    pub(super) async fn go_on(
        &self,
        headers: &HeaderMap,
        before: Authentication,
    ) -> (Authentication, Vec<HeaderValue>) {
        let (shared, mut cookies) = (&self.shared, Vec::new());
        if !shared.identity.is_remembered(headers) {
            if shared.cookie.read(headers).is_some() {
                cookies.push(shared.cookie.clear().1);
            }
            return (Authentication::Anonymous, cookies);
        }
        let answered = match shared.identity.renew(headers).await {
            Ok(answered) => answered,
            // A locked account, or tables that are away: as somebody who is not signed in.
            Err(problem) => {
                tracing::debug!(%problem, "a session is not gone on with");
                let is_locked = problem.code() == ErrorCode::AccountLocked;
                let kept = if is_locked { Authentication::Anonymous } else { before };
                return (kept, cookies);
            }
        };
        cookies.extend(answered.headers().get_all(SET_COOKIE).iter().cloned());
        let token = super::session::token_of(answered).await;
        let claims = token.as_ref().and_then(|token| shared.verifier.verify(&token.text).ok());
        match (token, claims) {
            (Some(token), Some(claims)) => {
                cookies.push(shared.cookie.set(&token.text, token.age_seconds).1);
                (Authentication::Caller(claims.into()), cookies)
            }
            _ => {
                cookies.push(shared.cookie.clear().1);
                (Authentication::Anonymous, cookies)
            }
        }
    }
}

/// The name of the header that says what a page may tell others of its address.
pub(super) const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");
