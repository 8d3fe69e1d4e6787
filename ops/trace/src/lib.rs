//! What belongs together across threads, processes and topics: the trace context of W3C, and spans.
//!
//! A [`TraceParent`] travels in headers, of requests and of records, whether anybody keeps the trace
//! or not. A [`Span`] is there only where somebody does: [`Tracer`] gives none for a trace that is
//! not sampled, so that looking at a header is all that it costs. Ended spans wait in a queue of
//! bounded length for whoever hands them on; one that finds it full is dropped and counted. Nothing
//! here waits, and nothing here knows a network or what the spans are about.
//!
//! Ids of spans below the first follow from their parent and their name. So a command that is decided
//! twice gives the same headers twice, and no way of a record needs random numbers.

mod parent;
mod sampler;
mod scope;
mod span;
mod tracer;

pub use self::parent::{TraceParent, is_valid_state};
pub use self::sampler::Sampler;
pub use self::scope::{Around, Entered, Scope, Scoped};
pub use self::span::{Span, SpanData, SpanKind, Value};
pub use self::tracer::Tracer;

/// Name of the header that carries a [`TraceParent`], in requests, records and mails.
pub const TRACE_PARENT: &str = "traceparent";
/// Name of the header beside it for what tracing systems add.
pub const TRACE_STATE: &str = "tracestate";
