//! A gate that lets so many through at the same time, and of those who wait the urgent ones first.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Somebody's own news.
    Urgent,
    /// Many are told the same: whoever is urgent goes first.
    Bulk,
}

/// The gate.
pub(super) struct Gate(Mutex<State>);

struct State {
    free: usize,
    urgent: VecDeque<oneshot::Sender<Permit>>,
    bulk: VecDeque<oneshot::Sender<Permit>>,
}

/// Has passed. Whoever is next does when it is dropped.
pub(super) struct Permit(Option<Arc<Gate>>);

impl Gate {
    /// Lets so many through.
    pub(super) fn new(at_once: usize) -> Self {
        let state = State { free: at_once, urgent: VecDeque::new(), bulk: VecDeque::new() };
        Self(Mutex::new(state))
    }

    /// Waits for a turn. Who stops waiting takes nobody's.
    pub(super) async fn pass(self: &Arc<Self>, urgency: Urgency) -> Permit {
        let called = {
            let mut state = self.0.lock();
            // Nobody waits while there is room.
            if state.free > 0 {
                state.free -= 1;
                return Permit(Some(Arc::clone(self)));
            }
            let (call, called) = oneshot::channel();
            match urgency {
                Urgency::Urgent => state.urgent.push_back(call),
                Urgency::Bulk => state.bulk.push_back(call),
            }
            called
        };
        // Whoever waits is forgotten with the gate only, which is kept here.
        called.await.unwrap_or(Permit(None))
    }

    /// Gives a place to whoever is next.
    fn leave(self: Arc<Self>) {
        loop {
            let next = {
                let mut state = self.0.lock();
                let urgent = state.urgent.pop_front();
                let Some(next) = urgent.or_else(|| state.bulk.pop_front()) else {
                    state.free += 1;
                    return;
                };
                next
            };
            match next.send(Permit(Some(Arc::clone(&self)))) {
                Ok(()) => return,
                // Waits no more.
                Err(mut permit) => permit.0 = None,
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn urgent_ones_go_first_and_each_in_their_order() {
        let gate = Arc::new(Gate::new(1));
        let mut inside = gate.pass(Urgency::Urgent).await;
        let pass = |urgency| {
            let mut waiting = gate.pass(urgency).boxed_local();
            assert!((&mut waiting).now_or_never().is_none());
            waiting
        };
        let mut waiting: Vec<_> = [
            ("a", Urgency::Bulk),
            ("b", Urgency::Bulk),
            ("c", Urgency::Urgent),
            ("d", Urgency::Urgent),
        ]
        .map(|(name, urgency)| (name, pass(urgency)))
        .into();
        for expected in ["c", "d", "a", "b"] {
            drop(inside);
            let passed = waiting
                .iter_mut()
                .enumerate()
                .find_map(|(at, (_, who))| who.now_or_never().map(|permit| (at, permit)));
            let (at, permit) = passed.unwrap();
            assert_eq!(waiting.remove(at).0, expected);
            assert!(waiting.iter_mut().all(|(_, who)| who.now_or_never().is_none()));
            inside = permit;
        }
    }

    #[tokio::test]
    async fn who_waits_no_more_takes_no_place_called_or_not() {
        let gate = Arc::new(Gate::new(1));
        let inside = gate.pass(Urgency::Urgent).await;
        let mut gone = gate.pass(Urgency::Urgent).boxed_local();
        let mut called = gate.pass(Urgency::Urgent).boxed_local();
        assert!((&mut gone).now_or_never().is_none());
        assert!((&mut called).now_or_never().is_none());
        drop(gone);
        drop(inside);
        drop(called);
        assert!(gate.pass(Urgency::Bulk).now_or_never().is_some());
    }
}
