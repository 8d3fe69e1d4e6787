//! Gives spans to who works on a trace that is kept.

use std::borrow::Cow;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use crate::span::{Span, SpanData, SpanKind};
use crate::{TRACE_PARENT, TraceParent};

/// Gives spans. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<Sink>>);

/// Where ended spans wait.
#[derive(Debug)]
pub(crate) struct Sink {
    queue: mpsc::Sender<SpanData>,
    dropped: Counter,
}

impl Sink {
    /// Never waits.
    pub(crate) fn put(&self, span: SpanData) {
        if self.queue.try_send(span).is_err() {
            self.dropped.inc();
        }
    }
}

impl Tracer {
    /// Gives none.
    pub const fn off() -> Self {
        Self(None)
    }

    /// A tracer and its queue. What ends while `waiting_max` wait is counted in `dropped`.
    pub fn with_queue(waiting_max: usize, dropped: Counter) -> (Self, mpsc::Receiver<SpanData>) {
        let (queue, waiting) = mpsc::channel(waiting_max.max(1));
        (Self(Some(Arc::new(Sink { queue, dropped }))), waiting)
    }

    /// Whether it may give any.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The context in these headers, if its trace is kept and anybody here would give spans.
    pub fn kept<'a>(
        &self,
        get: impl FnOnce(&'static str) -> Option<&'a [u8]>,
    ) -> Option<TraceParent> {
        self.0.as_ref()?;
        TraceParent::kept(get(TRACE_PARENT)?)
    }

    /// The span of a context that was made for it. `None` when its trace is not kept.
    pub fn span(
        &self,
        own: &TraceParent,
        parent_id: Option<[u8; 8]>,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
    ) -> Option<Span> {
        let sink = self.0.as_ref().filter(|_| own.is_sampled())?;
        let (trace_id, span_id, name) = (own.trace_id, own.parent_id, name.into());
        let data = SpanData { trace_id, span_id, parent_id, name, kind, ..SpanData::default() };
        Some(Span::begin(Arc::clone(sink), data))
    }

    /// A span caused by another one. `None` when the trace is not kept.
    pub fn child(&self, parent: &TraceParent, name: &'static str, kind: SpanKind) -> Option<Span> {
        self.child_again(parent, name, kind, 0)
    }

    /// [`Tracer::child`] of something that is done again: `turn` tells the times apart.
    pub fn child_again(
        &self,
        parent: &TraceParent,
        name: &'static str,
        kind: SpanKind,
        turn: u64,
    ) -> Option<Span> {
        if self.0.is_none() || !parent.is_sampled() {
            return None;
        }
        self.span(&parent.child(name, turn), Some(parent.parent_id), name, kind)
    }

    /// A span, in a trace of its own, of what is done at once for many traces that are kept. `None`
    /// when there are none of them.
    pub fn burst(
        &self,
        name: &'static str,
        links: impl IntoIterator<Item = TraceParent>,
    ) -> Option<Span> {
        self.0.as_ref()?;
        let mut links = links.into_iter();
        let first = links.next()?;
        let mut span = self.span(&first.apart(name), None, name, SpanKind::Consumer)?;
        span.link(first);
        for link in links {
            span.link(link);
        }
        Some(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: TraceParent = TraceParent { trace_id: [1; 16], parent_id: [2; 8], flags: 1 };
    const NOT_KEPT: TraceParent = TraceParent { flags: 0, ..KEPT };

    fn tracer(waiting_max: usize) -> (Tracer, mpsc::Receiver<SpanData>, Counter) {
        let dropped = Counter::default();
        let (tracer, waiting) = Tracer::with_queue(waiting_max, dropped.clone());
        (tracer, waiting, dropped)
    }

    #[test]
    fn a_trace_that_is_not_kept_has_no_spans() {
        let (tracer, mut waiting, _) = tracer(4);
        assert!(tracer.child(&NOT_KEPT, "step", SpanKind::Internal).is_none());
        assert!(Tracer::off().child(&KEPT, "step", SpanKind::Internal).is_none());
        let header = NOT_KEPT.to_string();
        assert_eq!(tracer.kept(|_| Some(header.as_bytes())), None);
        assert!(waiting.try_recv().is_err());
    }

    #[test]
    fn a_chain_of_spans_is_one_trace() {
        let (tracer, mut waiting, _) = tracer(4);
        let outer = tracer.child(&KEPT, "outer", SpanKind::Producer).unwrap();
        let inner = tracer.child(&outer.context(), "inner", SpanKind::Consumer).unwrap();
        inner.end();
        outer.end();
        let (inner, outer) = (waiting.try_recv().unwrap(), waiting.try_recv().unwrap());
        assert_eq!((&*inner.name, &*outer.name), ("inner", "outer"));
        assert_eq!(inner.trace_id, KEPT.trace_id);
        assert_eq!(inner.parent_id, Some(outer.span_id));
        assert_eq!(outer.parent_id, Some(KEPT.parent_id));
        assert_eq!((inner.error, outer.error), (None, None));
        assert!(outer.started_ns > 0 && outer.ended_ns >= inner.started_ns);
    }

    #[test]
    fn a_span_that_is_not_ended_was_given_up() {
        let (tracer, mut waiting, _) = tracer(4);
        drop(tracer.child(&KEPT, "step", SpanKind::Internal));
        assert_eq!(waiting.try_recv().unwrap().error.as_deref(), Some("given up"));
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let (tracer, mut waiting, dropped) = tracer(2);
        for _ in 0..5 {
            tracer.child(&KEPT, "step", SpanKind::Internal).unwrap().end();
        }
        assert_eq!(dropped.get(), 3);
        assert!(waiting.try_recv().is_ok());
        drop(waiting);
        tracer.child(&KEPT, "step", SpanKind::Internal).unwrap().end();
        assert_eq!(dropped.get(), 4);
    }

    #[test]
    fn a_burst_is_a_trace_of_its_own_with_a_bounded_number_of_links() {
        let (tracer, mut waiting, _) = tracer(4);
        assert!(tracer.burst("burst", []).is_none());
        let many = (0..200).map(|turn| KEPT.child("step", turn));
        tracer.burst("burst", many).unwrap().end();
        let burst = waiting.try_recv().unwrap();
        assert_ne!(burst.trace_id, KEPT.trace_id);
        assert_eq!((burst.parent_id, burst.links.len(), burst.links_dropped), (None, 128, 72));
        assert!(burst.links.iter().all(|link| link.trace_id == KEPT.trace_id));
    }
}
