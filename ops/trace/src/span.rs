//! One step of a trace: what was done, from when to when, and what of.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::TraceParent;
use crate::tracer::Sink;

/// Most links of a span; the rest are counted.
const LINKS_MAX: usize = 128;

/// What a span is to the others of its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpanKind {
    /// A step inside a process.
    #[default]
    Internal,
    /// Answers a request.
    Server,
    /// Writes a record that somebody reads later.
    Producer,
    /// Works on a record.
    Consumer,
    /// Asks somebody else and waits.
    Client,
}

/// A value of an attribute. Never anything about a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(Cow<'static, str>),
    /// A whole number.
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpanData {
    /// The trace it belongs to.
    pub trace_id: [u8; 16],
    /// Itself.
    pub span_id: [u8; 8],
    /// The span that caused it.
    pub parent_id: Option<[u8; 8]>,
    /// What was done, in bounded words.
    pub name: Cow<'static, str>,
    /// What it is to others.
    pub kind: SpanKind,
    /// Nanoseconds since 1970.
    pub started_ns: u64,
    /// Nanoseconds since 1970.
    pub ended_ns: u64,
    /// What of.
    pub attributes: Vec<(&'static str, Value)>,
    /// Spans of other traces that it was done for.
    pub links: Vec<TraceParent>,
    /// Links that were too many.
    pub links_dropped: u32,
    /// Why it failed, if it did.
    pub error: Option<Cow<'static, str>>,
}

/// A step under way. One that is dropped before [`Span::end`] was given up, and says so.
#[derive(Debug)]
pub struct Span(Box<Open>);

#[derive(Debug)]
struct Open {
    data: SpanData,
    begun: Instant,
    sink: Arc<Sink>,
    is_ended: bool,
}

impl Span {
    pub(crate) fn begin(sink: Arc<Sink>, data: SpanData) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let data = SpanData { started_ns, ..data };
        Self(Box::new(Open { data, begun: Instant::now(), sink, is_ended: false }))
    }

    /// What to hand on to whatever it causes.
    pub fn context(&self) -> TraceParent {
        let SpanData { trace_id, span_id, .. } = self.0.data;
        TraceParent { trace_id, parent_id: span_id, flags: TraceParent::SAMPLED }
    }

    /// Says something about it.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) -> &mut Self {
        self.0.data.attributes.push((name, value.into()));
        self
    }

    /// Says of which span of another trace it takes care as well.
    pub fn link(&mut self, to: TraceParent) -> &mut Self {
        let data = &mut self.0.data;
        if data.links.len() < LINKS_MAX {
            data.links.push(to);
        } else {
            data.links_dropped += 1;
        }
        self
    }

    /// Says that it failed. Not what a person did wrong: what is to be mended.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) -> &mut Self {
        self.0.data.error = Some(why.into());
        self
    }

    /// It is done.
    pub fn end(mut self) {
        self.0.is_ended = true;
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Open { data, begun, sink, is_ended } = &mut *self.0;
        if !*is_ended && data.error.is_none() {
            data.error = Some(Cow::Borrowed("given up"));
        }
        let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        data.ended_ns = data.started_ns.saturating_add(took);
        sink.put(std::mem::take(data));
    }
}
