//! W3C Trace Context: the trace that a request belongs to.

use axum::http::{HeaderMap, HeaderName};
use cityevents_trace::{Sampler, TRACE_PARENT, TRACE_STATE, TraceParent, is_valid_state};

const PARENT: HeaderName = HeaderName::from_static(TRACE_PARENT);
const STATE: HeaderName = HeaderName::from_static(TRACE_STATE);

/// Where a request stands in its trace. Carried on in the headers of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    own: TraceParent,
    caller: Option<[u8; 8]>,
    state: Option<String>,
}

impl TraceContext {
    /// The caller's trace, or a new one; `random` gives the ids that are new. What the caller says
    /// is ignored where it is malformed. Whether the trace is kept is decided here, for everybody
    /// behind.
    pub(super) fn of(headers: &HeaderMap, random: &[u8; 24], sampler: &Sampler) -> Self {
        let (trace, span) = random.split_at(16);
        let (mut trace_id, mut parent_id, mut number) = ([0; 16], [0; 8], [0; 8]);
        trace_id.copy_from_slice(trace);
        parent_id.copy_from_slice(span);
        // Of our own numbers also where the trace is the caller's: else one could choose.
        number.copy_from_slice(&trace[8..]);
        let text = |name: HeaderName| headers.get(name)?.to_str().ok();
        let parent = text(PARENT).and_then(TraceParent::parse);
        let said = parent.as_ref().map(TraceParent::is_sampled);
        let kept = sampler.keeps(said, u64::from_be_bytes(number));
        let flags = if kept { TraceParent::SAMPLED } else { 0 };
        let Some(TraceParent { trace_id, parent_id: caller, .. }) = parent else {
            let own = TraceParent { trace_id, parent_id, flags };
            return Self { own, caller: None, state: None };
        };
        let state = text(STATE).filter(|state| is_valid_state(state)).map(str::to_owned);
        Self { own: TraceParent { trace_id, parent_id, flags }, caller: Some(caller), state }
    }

    /// What whatever this request causes is caused by.
    pub const fn own(&self) -> &TraceParent {
        &self.own
    }

    /// The step of the caller that caused this request, if the caller says so.
    pub const fn caller(&self) -> Option<[u8; 8]> {
        self.caller
    }

    /// `tracestate`, as it came.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The id of the trace in hexadecimal digits.
    pub fn trace_id(&self) -> String {
        self.own.trace_id_text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn context(parent: &str, sampler: Sampler) -> TraceContext {
        let mut headers = HeaderMap::new();
        headers.insert(PARENT, parent.parse().unwrap());
        headers.insert(STATE, "vendor=1".parse().unwrap());
        TraceContext::of(&headers, &[1; 24], &sampler)
    }

    #[test]
    fn the_callers_trace_goes_on_with_a_span_of_ours() {
        let context = context(CALLER, Sampler::only_callers(true));
        let expected = "00-0af7651916cd43dd8448eb211c80319c-0101010101010101-01";
        assert_eq!(context.own().to_string(), expected);
        assert_eq!(context.caller(), TraceParent::parse(CALLER).map(|caller| caller.parent_id));
        assert_eq!(context.tracestate(), Some("vendor=1"));
    }

    #[test]
    fn whether_a_trace_is_kept_is_not_the_callers_affair_unless_told_so() {
        assert!(!context(CALLER, Sampler::new(0.0, false)).own().is_sampled());
        assert!(context(CALLER, Sampler::new(1.0, false)).own().is_sampled());
        let not_kept = CALLER.replace("-01", "-00");
        assert!(!context(&not_kept, Sampler::new(1.0, true)).own().is_sampled());
    }

    #[test]
    fn a_malformed_parent_starts_a_new_trace() {
        for wrong in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            let context = context(wrong, Sampler::new(1.0, true));
            assert_eq!(context.trace_id(), "01".repeat(16), "{wrong}");
            assert_eq!((context.caller(), context.tracestate()), (None, None));
        }
    }
}
