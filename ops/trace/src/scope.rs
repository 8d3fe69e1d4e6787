//! What a thread works for just now: looked up where something is written that belongs to it.
//!
//! A future is entered at every poll and left after it, so that tasks that share a thread do not
//! take each other's place.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::TraceParent;

thread_local! {
    static CURRENT: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Something that work can be done for: a request, a record.
pub trait Scoped: Send + Sync {
    /// Where it stands in its trace.
    fn trace(&self) -> TraceParent;

    /// The id of the request, where it is one.
    fn request_id(&self) -> Option<&str> {
        None
    }
}

impl Scoped for TraceParent {
    fn trace(&self) -> TraceParent {
        *self
    }
}

/// What work is done for. Cheap to clone.
#[derive(Clone)]
pub struct Scope(Arc<dyn Scoped>);

impl Scope {
    /// The scope of something.
    pub fn of(what: Arc<dyn Scoped>) -> Self {
        Self(what)
    }

    /// What this thread works for, if it says so.
    pub fn current() -> Option<Self> {
        // Gone already while a thread ends.
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }

    /// A future that works for what this thread works for now, wherever it runs.
    pub fn carry<F: Future>(future: F) -> impl Future<Output = F::Output> {
        let scope = Self::current();
        async move {
            match scope {
                Some(scope) => scope.around(future).await,
                None => future.await,
            }
        }
    }

    /// Where that stands in its trace.
    pub fn current_trace() -> Option<TraceParent> {
        Self::current().map(|scope| scope.trace())
    }

    /// Where it stands in its trace.
    pub fn trace(&self) -> TraceParent {
        self.0.trace()
    }

    /// The id of the request, where it is one.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id()
    }

    /// This thread works for it until the guard is dropped.
    pub fn enter(self) -> Entered {
        Entered { before: replace(Some(self)) }
    }

    /// A future that works for it.
    pub fn around<F>(self, future: F) -> Around<F> {
        Around { scope: self, future }
    }
}

fn replace(scope: Option<Scope>) -> Option<Scope> {
    CURRENT.try_with(|current| current.replace(scope)).ok().flatten()
}

/// See [`Scope::enter`].
#[must_use]
pub struct Entered {
    before: Option<Scope>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        replace(self.before.take());
    }
}

pin_project! {
    /// See [`Scope::around`].
    pub struct Around<F> {
        scope: Scope,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Around<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.scope.clone().enter();
        this.future.poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn parent(number: u8) -> TraceParent {
        TraceParent { trace_id: [number; 16], parent_id: [number; 8], flags: 0 }
    }

    #[test]
    fn what_was_worked_for_before_is_back_after() {
        assert_eq!(Scope::current_trace(), None);
        let outer = Scope::of(Arc::new(parent(1))).enter();
        {
            let _inner = Scope::of(Arc::new(parent(2))).enter();
            assert_eq!(Scope::current_trace(), Some(parent(2)));
        }
        assert_eq!(Scope::current_trace(), Some(parent(1)));
        drop(outer);
        assert_eq!(Scope::current_trace(), None);
    }

    #[test]
    fn what_is_done_later_is_done_for_the_same() {
        let entered = Scope::of(Arc::new(parent(1))).enter();
        let mut later = Box::pin(Scope::carry(async { Scope::current_trace() }));
        drop(entered);
        let mut nothing = Box::pin(Scope::carry(async { Scope::current_trace() }));
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(later.as_mut().poll(&mut context), Poll::Ready(Some(parent(1))));
        assert_eq!(nothing.as_mut().poll(&mut context), Poll::Ready(None));
    }

    #[test]
    fn futures_that_take_turns_on_a_thread_keep_their_own() {
        let of = |number| {
            let scope = Scope::of(Arc::new(parent(number)));
            Box::pin(scope.around(async move {
                for _ in 0..3 {
                    assert_eq!(Scope::current_trace(), Some(parent(number)));
                    let mut waited = false;
                    std::future::poll_fn(|_| match std::mem::replace(&mut waited, true) {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    })
                    .await;
                }
            }))
        };
        let (mut one, mut two) = (of(1), of(2));
        let mut context = Context::from_waker(Waker::noop());
        for turn in 0..4 {
            assert_eq!(one.as_mut().poll(&mut context).is_ready(), turn == 3);
            assert_eq!(Scope::current_trace(), None);
            assert_eq!(two.as_mut().poll(&mut context).is_ready(), turn == 3);
        }
    }
}
