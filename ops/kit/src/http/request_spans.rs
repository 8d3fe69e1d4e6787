//! The span of a request, and whether its trace is kept.

use axum::http::{Method, StatusCode};
use cityevents_trace::{Sampler, Span, SpanKind, Tracer};

use super::context::RequestContext;
use crate::config::Telemetry;
use crate::telemetry::method_label;

/// Gives requests their spans.
pub(super) struct RequestSpans {
    sampler: Sampler,
    tracer: Tracer,
}

impl RequestSpans {
    /// Without a place to hand spans to, nothing but what callers keep is kept.
    pub(super) fn new(telemetry: &Telemetry, tracer: Tracer) -> Self {
        let follows_callers = telemetry.trace_callers;
        let sampler = match &telemetry.otlp_endpoint {
            Some(_) => Sampler::new(telemetry.trace_ratio, follows_callers),
            None => Sampler::only_callers(follows_callers),
        };
        Self { sampler, tracer }
    }

    /// Decides which traces are kept.
    pub(super) const fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// The span of a request whose trace is kept: named by the template, since paths have ids.
    pub(super) fn begin(
        &self,
        context: &RequestContext,
        method: &Method,
        route: Option<&str>,
    ) -> Option<Span> {
        let trace = context.trace();
        if !self.tracer.is_on() || !trace.own().is_sampled() {
            return None;
        }
        let (method, route) = (method_label(method), route.unwrap_or("unmatched"));
        let name = format!("{method} {route}");
        let mut span = self.tracer.span(trace.own(), trace.caller(), name, SpanKind::Server)?;
        span.set("http.request.method", method)
            .set("http.route", route.to_owned())
            .set("request.id", context.request_id().as_str().to_owned());
        Some(span)
    }

    /// The request is answered.
    pub(super) fn end(span: Option<Span>, status: StatusCode) {
        let Some(mut span) = span else { return };
        span.set("http.response.status_code", u64::from(status.as_u16()));
        if status.is_server_error() {
            span.fail(status.as_str().to_owned());
        }
        span.end();
    }
}
