//! Spans of work on records: one for each record whose trace is kept, and one for what was done at
//! once, which links to all of them.
//!
//! Of a record whose trace is not kept one header is looked at, and of a process that hands spans to
//! nobody not even that.

use cityevents_trace::{Span, SpanKind, TRACE_PARENT, TraceParent, Tracer};

use crate::log::Record;
use crate::log::headers::HeadersBuilder;

/// Gives the spans of one kind of work. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Spans {
    tracer: Tracer,
    one: &'static str,
    burst: &'static str,
}

impl Spans {
    /// None.
    pub const fn off() -> Self {
        Self { tracer: Tracer::off(), one: "", burst: "" }
    }

    /// Under these names: of the work on one record, and on many at once.
    pub const fn new(tracer: Tracer, one: &'static str, burst: &'static str) -> Self {
        Self { tracer, one, burst }
    }

    /// Begins with records of a partition.
    pub fn begin<'a>(
        &self,
        partition: u32,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> BurstSpans {
        let mut begun = BurstSpans { spans: self.clone(), partition, kept: Vec::new(), all: None };
        if !self.tracer.is_on() {
            return begun;
        }
        let mut count = 0_u64;
        for record in records {
            count += 1;
            if let Some(context) = self.tracer.kept(|name| record.headers.get(name)) {
                begun.kept.push((record.offset, context));
            }
        }
        begun.all = self.tracer.burst(self.burst, begun.kept.iter().map(|(_, context)| *context));
        if let Some(all) = &mut begun.all {
            all.set("messaging.destination.partition.id", u64::from(partition))
                .set("messaging.batch.message_count", count);
        }
        begun
    }
}

/// Spans of what is done at once.
#[derive(Debug)]
pub struct BurstSpans {
    spans: Spans,
    partition: u32,
    /// In the order of offsets.
    kept: Vec<(u64, TraceParent)>,
    all: Option<Span>,
}

impl BurstSpans {
    /// Begins the span of one record, if its trace is kept.
    pub fn one(&self, offset: u64) -> Option<Span> {
        let index = self.kept.binary_search_by_key(&offset, |(offset, _)| *offset).ok()?;
        let (offset, context) = self.kept.get(index)?;
        let Spans { tracer, one, .. } = &self.spans;
        let mut span = tracer.child(context, one, SpanKind::Consumer)?;
        span.set("messaging.destination.partition.id", u64::from(self.partition))
            .set("messaging.kafka.offset", *offset);
        Some(span)
    }

    /// Begins the spans of all records whose traces are kept.
    pub fn each(&self) -> Vec<Span> {
        self.kept.iter().filter_map(|(offset, _)| self.one(*offset)).collect()
    }

    /// The span of all of it, for who sees its end.
    pub fn into_span(self) -> Option<Span> {
        self.all
    }

    /// All of it is done.
    pub fn end(self, each: Vec<Span>) {
        each.into_iter().chain(self.all).for_each(Span::end);
    }
}

/// Lets whatever reads a record go on from this span.
pub fn carry_on(headers: &mut HeadersBuilder, span: &Span) {
    headers.replace(TRACE_PARENT, span.context().to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prometheus_client::metrics::counter::Counter;

    use super::*;
    use crate::log::Headers;

    fn record(offset: u64, trace: &str) -> Record {
        let mut headers = HeadersBuilder::default();
        headers.push("ce_id", b"1").push(TRACE_PARENT, trace.as_bytes());
        let headers = headers.build();
        Record { offset, timestamp_ms: 0, key: None, value: Some(Bytes::new()), headers }
    }

    #[test]
    fn only_records_of_kept_traces_have_spans_and_what_is_done_at_once_links_to_them() {
        let (tracer, mut ended) = Tracer::with_queue(8, Counter::default());
        let spans = Spans::new(tracer, "one", "many");
        let trace =
            |first: char, flags| format!("00-{first}{}-{}-{flags}", "0".repeat(31), "1".repeat(16));
        let records = [
            record(3, &trace('a', "01")),
            record(5, &trace('b', "00")),
            record(9, &trace('c', "01")),
        ];
        let begun = spans.begin(7, &records);
        assert!(begun.one(5).is_none() && begun.one(4).is_none());
        let each = begun.each();
        let mut headers = HeadersBuilder::from_headers(&records[0].headers);
        carry_on(&mut headers, &each[0]);
        let headers: Headers = headers.build();
        let named = headers.iter().filter(|(name, _)| *name == TRACE_PARENT).count();
        assert_eq!(named, 1);
        let carried = headers.get_text(TRACE_PARENT).and_then(TraceParent::parse);
        assert_eq!(carried, Some(each[0].context()));
        begun.end(each);
        let names: Vec<_> = std::iter::from_fn(|| ended.try_recv().ok()).collect();
        let [first, second, all] = &names[..] else { panic!("{names:?}") };
        assert_eq!((&*first.name, &*second.name, &*all.name), ("one", "one", "many"));
        assert_eq!((first.trace_id[0], second.trace_id[0]), (0xa0, 0xc0));
        let linked: Vec<_> = all.links.iter().map(|link| link.trace_id[0]).collect();
        assert_eq!(linked, [0xa0, 0xc0]);
        assert!(spans.begin(7, &records[1..2]).into_span().is_none());
    }
}
