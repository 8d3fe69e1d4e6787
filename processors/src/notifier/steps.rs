//! Spans of telling many what one act caused: a span for each step, in the trace of the act, and of its
//! mails the first one. A trace with a span for each of 100,000 people would be of no use to anybody; all
//! mails carry its id.

use cityevents_runtime::log::Headers;
use cityevents_trace::{Span, SpanKind, TraceParent, Tracer};

use crate::emails;

/// Mails of a step that have spans: an event with 100,000 people is called off in thousands of steps.
const TRACED_MAX: u64 = 1;

/// The spans of one step.
pub(super) struct StepSpans {
    tracer: Tracer,
    /// Of the step, or of the act where nobody keeps its trace.
    context: Option<TraceParent>,
    step: Option<Span>,
    mails: Vec<Span>,
    told: u64,
}

impl StepSpans {
    /// Begins a step. `act` is the context of what caused it, and `number` tells its steps apart.
    pub(super) fn begin(tracer: &Tracer, act: Option<&str>, number: u64) -> Self {
        let act = act.and_then(TraceParent::parse);
        let begin = |act| tracer.child_again(act, "notifier step", SpanKind::Internal, number);
        let step = act.as_ref().and_then(begin);
        let context = step.as_ref().map(Span::context).or(act);
        Self { tracer: tracer.clone(), context, step, mails: Vec::new(), told: 0 }
    }

    /// The headers of the next mail.
    pub(super) fn next(&mut self) -> Option<Headers> {
        let context = self.context?;
        let number = self.told;
        self.told += 1;
        if number < TRACED_MAX {
            let (name, kind) = ("notifier tell", SpanKind::Producer);
            if let Some(mail) = self.tracer.child_again(&context, name, kind, number) {
                let headers = emails::trace_headers(&mail.context());
                self.mails.push(mail);
                return Some(headers);
            }
        }
        let flags = context.flags & !TraceParent::SAMPLED;
        Some(emails::trace_headers(&TraceParent { flags, ..context }))
    }

    /// All of them, for who sees their end.
    pub(super) fn into_spans(self) -> Vec<Span> {
        let Self { mut step, mut mails, told, .. } = self;
        if let Some(step) = &mut step {
            step.set("messaging.batch.message_count", told);
        }
        mails.extend(step);
        mails
    }
}
