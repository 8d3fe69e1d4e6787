//! Circuit breakers as parts that the probes see: a process whose dependency is away goes on, less
//! well.

use std::time::Duration;

use cityevents_kit::breaker::{Breaker, BreakerState};
use cityevents_kit::{Lifecycle, Stage};

/// How often readiness looks at a breaker.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Time for what looks at it to stop.
const STOP_BUDGET: Duration = Duration::from_secs(2);

/// Tells the probes how a breaker stands. To be called within a tokio runtime.
pub(super) fn report(lifecycle: &Lifecycle, breaker: &Breaker) {
    let name = format!("breaker-{}", breaker.dependency());
    let component = lifecycle.register(name, Stage::Background, STOP_BUDGET);
    let breaker = breaker.clone();
    tokio::spawn(async move {
        let mut told = None;
        loop {
            let state = breaker.state();
            if told != Some(state) {
                told = Some(state);
                match state {
                    BreakerState::Closed => component.ready(),
                    BreakerState::Open | BreakerState::HalfOpen => {
                        let dependency = breaker.dependency();
                        component.degraded(format!(
                            "{dependency} did not answer and is not asked for a while"
                        ));
                    }
                }
            }
            tokio::select! {
                () = component.shutdown().wait() => break,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        component.finished();
    });
}
