//! One line in the log for a request.
//!
//! No address of the client and no query: both can tell who somebody is or what they look for.

use std::time::Duration;

use axum::http::{Method, StatusCode};

use super::context::RequestContext;
use crate::config::AccessLog;

/// What a line tells.
pub(super) struct Line<'a> {
    pub(super) context: &'a RequestContext,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) status: StatusCode,
    pub(super) duration: Duration,
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
        tracing::info!(
            target: "cityevents::access",
            { "request.id" = %self.context.request_id(),
              "trace.id" = %self.context.trace().trace_id(),
              "http.status" = self.status.as_u16(),
              duration_ms = duration_ms },
            "{} {} {}",
            self.method,
            self.path,
            self.status.as_u16()
        );
    }
}
