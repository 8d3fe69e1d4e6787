//! What is known of the commands that were handed to the log together, and who waits for it.
//!
//! A single command is a batch of one. The appender's thread reports what the log says of each
//! line, the replies' thread what was decided; one task waits.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cityevents_runtime::log::LogErrorKind;
use cityevents_trace::Span;
use parking_lot::Mutex;

/// One command of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// Handed to the log.
    Queued,
    /// The log has it.
    Durable,
    /// The log did not take it, or whether it did is unknown.
    Failed(LogErrorKind),
    /// Decided; the reply as it came.
    Replied(Bytes),
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// The log has all of them, or not.
    Durable,
    /// All are decided, or not taken by the log.
    Decided,
}

/// Shared by the three sides.
pub(crate) struct Batch {
    state: Mutex<State>,
    pub(crate) handed_over: Instant,
}

struct State {
    lines: Vec<Line>,
    queued: u32,
    undecided: u32,
    /// How long the last decision took to come.
    decided_after: Option<Duration>,
    waiting: Option<(Until, Waker)>,
    /// Of handing them to the log.
    span: Option<Span>,
}

impl State {
    /// The log has said what it has to say of a line.
    fn count_settled(&mut self) {
        self.queued -= 1;
        if self.queued == 0
            && let Some(span) = self.span.take()
        {
            span.end();
        }
    }

    fn is_reached(&self, until: Until) -> bool {
        match until {
            Until::Durable => self.queued == 0,
            Until::Decided => self.undecided == 0,
        }
    }

    /// The waker of who waits, if what it waits for has come.
    fn wake(&mut self) -> Option<Waker> {
        let (until, _) = self.waiting.as_ref()?;
        if !self.is_reached(*until) {
            return None;
        }
        self.waiting.take().map(|(_, waker)| waker)
    }
}

impl Batch {
    pub(crate) fn new(lines: usize) -> Self {
        let count = u32::try_from(lines).unwrap_or(u32::MAX);
        Self {
            state: Mutex::new(State {
                lines: vec![Line::Queued; lines],
                queued: count,
                undecided: count,
                decided_after: None,
                waiting: None,
                span: None,
            }),
            handed_over: Instant::now(),
        }
    }

    /// With a span that ends when the log has said of all lines whether it has them.
    pub(crate) fn traced(mut self, span: Option<Span>) -> Self {
        self.state.get_mut().span = span;
        self
    }

    /// The log has these lines. Returns who is to be woken.
    #[must_use]
    pub(crate) fn durable(&self, lines: impl IntoIterator<Item = u32>) -> Option<Waker> {
        let mut state = self.state.lock();
        for line in lines {
            if let Some(known @ Line::Queued) = state.lines.get_mut(line as usize) {
                *known = Line::Durable;
                state.count_settled();
            }
        }
        state.wake()
    }

    /// The log did not take these lines.
    #[must_use]
    pub(crate) fn failed(
        &self,
        lines: impl IntoIterator<Item = u32>,
        kind: LogErrorKind,
    ) -> Option<Waker> {
        let mut state = self.state.lock();
        for line in lines {
            // A line that was decided was taken after all.
            if let Some(known @ (Line::Queued | Line::Durable)) = state.lines.get_mut(line as usize)
            {
                let was_queued = *known == Line::Queued;
                *known = Line::Failed(kind);
                if let Some(span) = &mut state.span {
                    span.fail("not appended");
                }
                if was_queued {
                    state.count_settled();
                }
                state.undecided -= 1;
            }
        }
        state.wake()
    }

    /// A line was decided. A second reply to one line changes nothing.
    #[must_use]
    pub(crate) fn replied(&self, line: u32, reply: Bytes) -> Option<Waker> {
        let mut state = self.state.lock();
        let known = state.lines.get_mut(line as usize)?;
        let before = std::mem::replace(known, Line::Replied(reply));
        match before {
            Line::Queued => {
                state.count_settled();
                state.undecided -= 1;
            }
            Line::Durable => state.undecided -= 1,
            Line::Failed(_) => {}
            Line::Replied(first) => state.lines[line as usize] = Line::Replied(first),
        }
        if state.undecided == 0 && state.decided_after.is_none() {
            state.decided_after = Some(self.handed_over.elapsed());
        }
        state.wake()
    }

    /// How long the decisions took to come, without the time that whoever waits for them needed to
    /// notice; so far, if they have not come.
    pub(crate) fn waited(&self) -> Duration {
        self.state.lock().decided_after.unwrap_or_else(|| self.handed_over.elapsed())
    }

    /// What is known by now.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.state.lock().lines.clone()
    }

    /// What is known of the first line: of a single command all there is.
    pub(crate) fn first(&self) -> Line {
        self.state.lock().lines.first().cloned().unwrap_or(Line::Queued)
    }

    /// Waits. One task at a time.
    pub(crate) fn reached(&self, until: Until) -> Reached<'_> {
        Reached { batch: self, until }
    }
}

/// See [`Batch::reached`].
pub(crate) struct Reached<'a> {
    batch: &'a Batch,
    until: Until,
}

impl Future for Reached<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.batch.state.lock();
        if state.is_reached(self.until) {
            state.waiting = None;
            return Poll::Ready(());
        }
        match &mut state.waiting {
            Some((until, waker)) if waker.will_wake(context.waker()) => *until = self.until,
            waiting => *waiting = Some((self.until, context.waker().clone())),
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicU32);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll(batch: &Batch, until: Until, waker: &Arc<Counting>) -> bool {
        let waker = Waker::from(Arc::clone(waker));
        let mut future = batch.reached(until);
        Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_ready()
    }

    #[test]
    fn a_waiter_is_woken_once_when_the_last_line_is_decided() {
        let batch = Batch::new(2);
        let waker = Arc::default();
        assert!(!poll(&batch, Until::Decided, &waker));
        assert!(batch.durable([0, 1]).is_none());
        assert!(batch.replied(1, Bytes::from_static(b"b")).is_none());
        batch.replied(0, Bytes::from_static(b"a")).unwrap().wake();
        assert_eq!(waker.0.load(Ordering::SeqCst), 1);
        assert!(poll(&batch, Until::Decided, &waker));
        assert!(batch.replied(0, Bytes::from_static(b"again")).is_none());
        assert_eq!(batch.first(), Line::Replied(Bytes::from_static(b"a")));
    }

    #[test]
    fn a_reply_may_come_before_the_log_says_that_it_has_the_command() {
        let batch = Batch::new(1);
        assert!(batch.replied(0, Bytes::new()).is_none());
        let waker = Arc::default();
        assert!(poll(&batch, Until::Durable, &waker));
        assert!(batch.durable([0]).is_none());
        assert_eq!(batch.first(), Line::Replied(Bytes::new()));
    }

    #[test]
    fn a_failed_line_is_decided_enough_and_a_late_reply_still_counts() {
        let batch = Batch::new(2);
        let waker = Arc::default();
        assert!(!poll(&batch, Until::Decided, &waker));
        assert!(batch.durable([0]).is_none());
        assert!(batch.failed([0, 1], LogErrorKind::Unavailable).is_some());
        assert!(poll(&batch, Until::Decided, &waker));
        assert!(batch.replied(1, Bytes::new()).is_none());
        let expected = vec![Line::Failed(LogErrorKind::Unavailable), Line::Replied(Bytes::new())];
        assert_eq!(batch.lines(), expected);
    }

    #[test]
    fn lines_that_do_not_exist_are_passed_over() {
        let batch = Batch::new(1);
        assert!(batch.durable([7]).is_none());
        assert!(batch.replied(7, Bytes::new()).is_none());
        assert_eq!(batch.first(), Line::Queued);
    }
}
