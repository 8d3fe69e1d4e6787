//! Spans as OTLP has them.

use cityevents_trace::{SpanData, SpanKind, TraceParent, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{self, Link};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

const SERVICE: &str = "cityevents";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is said of the process with every batch.
pub(super) struct Process {
    resource: Resource,
}

impl Process {
    pub(super) fn new(instance: &str) -> Self {
        let text = |text: &str| Value::Text(text.to_owned().into());
        let attributes = [
            ("service.name", text(SERVICE)),
            ("service.version", text(VERSION)),
            ("service.instance.id", text(instance)),
        ];
        let attributes = attributes.into_iter().map(attribute).collect();
        Self { resource: Resource { attributes, ..Resource::default() } }
    }

    pub(super) fn request(
        &self,
        spans: impl Iterator<Item = SpanData>,
    ) -> ExportTraceServiceRequest {
        let scope = InstrumentationScope {
            name: SERVICE.to_owned(),
            version: VERSION.to_owned(),
            ..InstrumentationScope::default()
        };
        let spans = ScopeSpans {
            scope: Some(scope),
            spans: spans.map(span).collect(),
            schema_url: String::new(),
        };
        let of_process = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![spans],
            schema_url: String::new(),
        };
        ExportTraceServiceRequest { resource_spans: vec![of_process] }
    }
}

fn span(data: SpanData) -> Span {
    let kind = match data.kind {
        SpanKind::Internal => span::SpanKind::Internal,
        SpanKind::Server => span::SpanKind::Server,
        SpanKind::Producer => span::SpanKind::Producer,
        SpanKind::Consumer => span::SpanKind::Consumer,
        SpanKind::Client => span::SpanKind::Client,
    };
    let status =
        data.error.map(|why| Status { message: why.into_owned(), code: StatusCode::Error.into() });
    Span {
        trace_id: data.trace_id.to_vec(),
        span_id: data.span_id.to_vec(),
        parent_span_id: data.parent_id.map(Vec::from).unwrap_or_default(),
        flags: TraceParent::SAMPLED.into(),
        name: data.name.into_owned(),
        kind: kind.into(),
        start_time_unix_nano: data.started_ns,
        end_time_unix_nano: data.ended_ns,
        attributes: data.attributes.into_iter().map(attribute).collect(),
        links: data.links.iter().map(link).collect(),
        dropped_links_count: data.links_dropped,
        status,
        ..Span::default()
    }
}

fn link(to: &TraceParent) -> Link {
    Link {
        trace_id: to.trace_id.to_vec(),
        span_id: to.parent_id.to_vec(),
        flags: to.flags.into(),
        ..Link::default()
    }
}

fn attribute((name, value): (&'static str, Value)) -> KeyValue {
    let value = match value {
        Value::Text(text) => any_value::Value::StringValue(text.into_owned()),
        Value::Number(number) => any_value::Value::IntValue(number),
    };
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}
