//! Pages for people: a thin layer of HTML over the calls.
//!
//! A page asks and writes by the product's own calls, in this process (`calls`), as the visitor who
//! asked for it. So there is one place for rules, limits and refusals, and a page can do nothing that
//! a program could not. Nothing here reads a table or gives a command.
//!
//! - Every page works without JavaScript; scripts only save a reload.
//! - Whoever writes does so with a form and a cookie, so every write says where it comes from
//!   (`visitor`), and is answered with a redirect.
//! - Texts are in the catalogues of `api/web/messages`, never in handlers.

mod account;
mod accounts;
mod address;
mod assets;
mod calls;
mod chart;
mod command;
mod door;
mod drafts;
mod event;
mod events;
mod forms;
mod joining;
mod language;
mod letters;
mod manage;
mod messages;
mod mine;
mod organise;
mod pictures;
mod problem;
mod qr;
mod render;
mod session;
mod staff;
mod start;
mod ticket;
mod times;
mod unsubscribe;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use cityevents_kit::http::{CallClass, RoutePolicy};
use cityevents_kit::keys::{SessionCookie, TokenVerifier};
use cityevents_kit::pictures::PictureAddresses;
use cityevents_runtime::log::clock::Clock;
use tokio::sync::Semaphore;

use self::calls::Calls;
use self::render::Templates;
use crate::identity::Identity;

/// Pictures that forms bring at the same time; each is in memory.
const UPLOADS_MAX: usize = 8;

/// What the pages are made of.
pub struct PagesParts {
    /// The calls: reads, writes and accounts, without the edge around them.
    pub calls: Router,
    /// Goes on with sessions.
    pub identity: Identity,
    /// Checks access tokens.
    pub verifier: TokenVerifier,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Writes the addresses of pictures.
    pub pictures: PictureAddresses,
    /// Largest picture that a form may bring.
    pub upload_bytes_max: u64,
}

/// The pages. Cheap to clone.
#[derive(Clone)]
pub struct Pages {
    shared: Arc<Shared>,
}

struct Shared {
    calls: Calls,
    identity: Identity,
    verifier: TokenVerifier,
    cookie: SessionCookie,
    clock: Arc<dyn Clock>,
    templates: Templates,
    upload_bytes_max: u64,
    /// Room for pictures that forms bring.
    uploads: Semaphore,
}

impl Pages {
    /// Puts the parts together.
    ///
    /// # Errors
    /// When a template or a catalogue that was compiled in cannot be read.
    pub fn new(parts: PagesParts) -> std::io::Result<Self> {
        let PagesParts { calls, identity, verifier, clock, pictures, upload_bytes_max } = parts;
        let cookie = SessionCookie::new(identity.has_secure_pages());
        let (calls, templates) = (Calls::new(calls), Templates::new(pictures)?);
        let uploads = Semaphore::new(UPLOADS_MAX);
        let shared = Shared {
            calls,
            identity,
            verifier,
            cookie,
            clock,
            templates,
            upload_bytes_max,
            uploads,
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

/// Every page with what can be done there.
fn table() -> Vec<(&'static str, MethodRouter<Pages>)> {
    vec![
        ("/", get(start::page)),
        ("/events", get(events::page)),
        ("/events/{id}", get(event::page)),
        ("/events/{id}/join", post(joining::join)),
        ("/events/{id}/leave", post(joining::leave)),
        ("/events/{id}/edit", get(drafts::edit_form).post(drafts::edit)),
        ("/events/{id}/manage", get(manage::page)),
        ("/events/{id}/people.csv", get(manage::file)),
        ("/events/{id}/state", post(organise::state)),
        ("/events/{id}/capacity", post(organise::capacity)),
        ("/events/{id}/covers", post(pictures::cover)),
        ("/events/{id}/covers/remove", post(pictures::remove_cover)),
        ("/events/{id}/people", post(organise::people)),
        ("/events/{id}/messages", post(organise::message)),
        ("/events/{id}/check-in", post(organise::check_in)),
        ("/events/{id}/door", get(door::page).post(door::let_in)),
        ("/events/{id}/door/list", get(door::list)),
        ("/events/{id}/ticket", get(ticket::page)),
        ("/check-in/{ticket}", get(door::scanned)),
        ("/new", get(drafts::new_form).post(drafts::create)),
        ("/me", get(mine::places)),
        ("/me/events", get(mine::events)),
        ("/account", get(account::page)),
        ("/account/avatar", post(pictures::avatar)),
        ("/account/avatar/remove", post(pictures::remove_avatar)),
        ("/account/mails", post(account::mails)),
        ("/account/name", post(account::name)),
        ("/account/password", post(account::password)),
        ("/account/providers/{provider}/unlink", post(account::unlink)),
        ("/account/sessions/{id}/end", post(account::end_session)),
        ("/account/sessions/end", post(account::end_sessions)),
        ("/account/export", get(account::export)),
        ("/account/delete", post(account::delete)),
        ("/staff", get(staff::page)),
        ("/staff/accounts/{id}", post(staff::change)),
        ("/staff/trail", get(staff::trail)),
        ("/commands/{id}", get(command::page)),
        ("/login", get(accounts::login_form).post(accounts::login)),
        ("/register", get(accounts::register_form).post(accounts::register)),
        ("/logout", post(accounts::logout)),
        ("/forgot", get(letters::forgot_form).post(letters::forgot)),
        ("/reset-password", get(letters::reset_form).post(letters::reset)),
        ("/verify-email", get(letters::verify_form).post(letters::verify)),
        ("/verify-email/again", post(letters::verify_again)),
        (unsubscribe::ROUTE, get(unsubscribe::page).post(unsubscribe::switch_off)),
        ("/language", post(language::switch)),
        ("/session", post(session::renew)),
    ]
}

/// All pages, and what they are made of.
pub fn router(pages: Pages) -> Router {
    let routes = table().into_iter();
    let routes = routes.fold(Router::new(), |router, (path, page)| router.route(path, page));
    let around = from_fn_with_state(pages.clone(), visitor::around);
    routes.route_layer(around).route(assets::ROUTE, get(assets::one)).with_state(pages)
}

/// The policy of pages, and of the streams that they follow; `None` for all other routes.
pub fn route_policy(method: &Method, route: Option<&str>) -> Option<RoutePolicy> {
    let route = route?;
    if matches!(route, "/account/avatar" | "/events/{id}/covers") {
        return Some(RoutePolicy::of(CallClass::Upload).streamed().by_cookie());
    }
    let class = match route {
        "/api/events/{id}/live" | "/api/me/live" => CallClass::General,
        assets::ROUTE => CallClass::Page,
        "/login" | "/account/password" if method == Method::POST => CallClass::Login,
        "/register" if method == Method::POST => CallClass::Register,
        "/forgot" | "/verify-email/again" if method == Method::POST => CallClass::AccountMail,
        "/events/{id}/join" | "/events/{id}/leave" => CallClass::Join,
        _ if is_page(route) => CallClass::Page,
        _ => return None,
    };
    Some(RoutePolicy::of(class).by_cookie())
}

/// Pages begin with these, and calls with none of them.
fn is_page(route: &str) -> bool {
    let first = route.trim_start_matches('/').split('/').next().unwrap_or_default();
    matches!(
        first,
        "" | "account"
            | "check-in"
            | "commands"
            | "events"
            | "forgot"
            | "language"
            | "login"
            | "logout"
            | "me"
            | "new"
            | "register"
            | "reset-password"
            | "session"
            | "staff"
            | "unsubscribe"
            | "verify-email"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is walked in a browser is this list: a page that is not in it is never looked at.
    #[test]
    fn the_list_of_pages_is_the_one_that_is_routed() {
        let list: serde_json::Value =
            serde_json::from_str(include_str!("../../web/pages.json")).unwrap();
        let listed =
            ["pages", "others"].into_iter().flat_map(|kind| list[kind].as_array().unwrap());
        let mut listed: Vec<_> = listed.map(|path| path.as_str().unwrap()).collect();
        let mut routed: Vec<_> = table().into_iter().map(|(path, _)| path).collect();
        listed.sort_unstable();
        routed.sort_unstable();
        assert_eq!(listed, routed);
    }

    #[test]
    fn the_cookie_of_pages_counts_on_pages_and_streams_only() {
        for (path, _) in table() {
            let policy = route_policy(&Method::GET, Some(path)).expect(path);
            assert!(policy.by_cookie, "{path}");
        }
        for call in ["/api/events", "/api/auth/me", "/api/events/{id}/join", "/healthz"] {
            assert_eq!(route_policy(&Method::POST, Some(call)), None, "{call}");
        }
    }
}
