//! What the edge must know about a route.

use axum::http::Method;

/// Calls that share an allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallClass {
    /// Signing in; by address.
    Login,
    /// Making an account; by address.
    Register,
    /// Asking for a mail about a password or an address; by address.
    AccountMail,
    /// Joining and leaving; by user.
    Join,
    /// Bulk uploads; by address.
    Bulk,
    /// Telling what was shown or looked at; by address.
    Track,
    /// Pages and what they are made of; by user, or by address of somebody who is not signed in.
    Page,
    /// Asking to bring a picture; by user, or by address of somebody who is not signed in.
    Upload,
    /// Looking at pictures; by address.
    Picture,
    /// Everything else; by user, or by address of somebody who is not signed in.
    General,
    /// Never limited: health, readiness, metrics.
    Unlimited,
}

/// How a body is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// Limited in size and time; so is the answer's head.
    Whole,
    /// A stream in, out, or both: limited only by idle time.
    Stream,
}

/// What the edge does for a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoutePolicy {
    /// Which allowance calls use up.
    pub class: CallClass,
    /// How the body is treated.
    pub body: BodyKind,
    /// Whether the cookie of pages ([`crate::keys::SessionCookie`]) says who calls. Never for calls
    /// that write and do not look at where they come from: a browser sends the cookie by itself.
    pub by_cookie: bool,
}

impl RoutePolicy {
    /// For most routes.
    pub const GENERAL: Self = Self::of(CallClass::General);

    /// A whole body, and an allowance of its own.
    pub const fn of(class: CallClass) -> Self {
        Self { class, body: BodyKind::Whole, by_cookie: false }
    }

    /// The same with a stream.
    #[must_use]
    pub const fn streamed(self) -> Self {
        Self { body: BodyKind::Stream, ..self }
    }

    /// The same where the cookie of pages says who calls.
    #[must_use]
    pub const fn by_cookie(self) -> Self {
        Self { by_cookie: true, ..self }
    }
}

/// The policy of a method and route template (`/api/events/{id}/join`); `None` where no route
/// matched. Called for every request, so that it should be a plain `match`.
pub(super) type PolicyOf = fn(&Method, Option<&str>) -> RoutePolicy;
