//! One line in the log for a request.
//!
//! No address of the client, no path and no query: they can tell who somebody is or what they look for,
//! and some paths carry tokens. The template of the route tells what was asked.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use cityevents_domain::ids::UserId;
use tracing::field;

use super::context::RequestContext;
use crate::config::AccessLog;
use crate::telemetry::{AccountHash, method_label};

/// What a line tells.
pub(super) struct Line<'a> {
    pub(super) context: &'a RequestContext,
    pub(super) method: &'a Method,
    /// The template that matched, if one did.
    pub(super) route: Option<&'a str>,
    pub(super) status: StatusCode,
    pub(super) duration: Duration,
    /// Who called, if they said so.
    pub(super) caller: Option<UserId>,
}

impl Line<'_> {
    pub(super) fn write(&self, which: AccessLog) {
        let failed = self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS;
        match which {
            AccessLog::Off => return,
            AccessLog::Failed if !failed => return,
            AccessLog::All | AccessLog::Failed => {}
        }
        let duration_ms = (self.duration.as_secs_f64() * 1e6).round() / 1e3;
        let route = self.route.unwrap_or("unmatched");
        let method = method_label(self.method);
        let account_hash = self.caller.as_ref().map(AccountHash::of).map(field::display);
        tracing::info!(
            target: "cityevents::access",
            { "request.id" = %self.context.request_id(),
              "trace.id" = %self.context.trace().trace_id(),
              "http.method" = method,
              "http.route" = route,
              "http.status" = self.status.as_u16(),
              duration_ms = duration_ms,
              account_hash = account_hash },
            "{} {} {}",
            method,
            route,
            self.status.as_u16()
        );
    }
}
