//! The circuit breaker, with a clock by hand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use cityevents_kit::breaker::BreakerError;
use cityevents_kit::telemetry::MetricsRegistry;
use cityevents_kit::{Breaker, BreakerMetrics, BreakerOptions, BreakerState};

const OPEN_FOR: Duration = Duration::from_secs(5);

struct Bench {
    breaker: Breaker,
    passed_ms: Arc<AtomicU64>,
    registry: MetricsRegistry,
}

impl Bench {
    fn new(options: BreakerOptions) -> Self {
        let (began, passed_ms) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let registry = MetricsRegistry::new("0", "test");
        let metrics = BreakerMetrics::new(&registry);
        let passed = Arc::clone(&passed_ms);
        let clock = Arc::new(move || began + Duration::from_millis(passed.load(Ordering::SeqCst)));
        Self {
            breaker: Breaker::with_clock("store", options, &metrics, clock),
            passed_ms,
            registry,
        }
    }

    fn in_a_row() -> Self {
        // The ratio never decides.
        Self::new(BreakerOptions {
            failures: 3,
            open_for: OPEN_FOR,
            window_calls_min: u32::MAX,
            ..BreakerOptions::default()
        })
    }

    fn pass(&self, length: Duration) {
        self.passed_ms.fetch_add(length.as_millis() as u64, Ordering::SeqCst);
    }

    fn fail(&self) {
        self.breaker.permit().unwrap().fail();
    }

    fn succeed(&self) {
        self.breaker.permit().unwrap().succeed();
    }

    fn open(&self) {
        (0..3).for_each(|_| self.fail());
        assert_eq!(self.breaker.state(), BreakerState::Open);
    }
}

#[test]
fn failures_in_a_row_open_it_and_a_success_between_them_does_not_let_them_add_up() {
    let bench = Bench::in_a_row();
    for _ in 0..10 {
        bench.fail();
        bench.fail();
        bench.succeed();
    }
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    (0..3).for_each(|_| bench.fail());
    assert_eq!(bench.breaker.state(), BreakerState::Open);
}

#[test]
fn while_it_is_open_calls_are_refused_with_the_time_that_is_left() {
    let bench = Bench::in_a_row();
    bench.open();
    bench.pass(Duration::from_millis(1_500));
    let refusal = bench.breaker.permit().err().unwrap();
    assert_eq!((refusal.dependency, refusal.retry_after), ("store", Duration::from_millis(3_500)));
    assert_eq!(refusal.to_string(), "store does not answer, try again in 4 s");
    assert_eq!(bench.breaker.check(), Err(refusal));
    // Never a hint that is so short that it only brings the caller back in vain.
    bench.pass(Duration::from_millis(3_499));
    assert_eq!(bench.breaker.check().unwrap_err().retry_after, Duration::from_secs(1));
}

#[test]
fn exactly_one_probe_goes_through_when_it_is_half_open() {
    let bench = Bench::in_a_row();
    bench.open();
    bench.pass(OPEN_FOR);
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    assert!(bench.breaker.check().is_ok());
    const THREADS: usize = 16;
    let barrier = Barrier::new(THREADS);
    let permits: Vec<_> = std::thread::scope(|scope| {
        let race = || {
            barrier.wait();
            bench.breaker.permit().ok()
        };
        let racers: Vec<_> = (0..THREADS).map(|_| scope.spawn(race)).collect();
        racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(permits.len(), 1);
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    assert!(bench.breaker.check().is_err(), "a probe is under way");
    permits.into_iter().for_each(|permit| permit.succeed());
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    // Closed again, it counts from the beginning.
    bench.fail();
    bench.fail();
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn a_failed_probe_opens_it_for_as_long_again() {
    let bench = Bench::in_a_row();
    bench.open();
    for _ in 0..3 {
        bench.pass(OPEN_FOR);
        bench.fail();
        assert_eq!(bench.breaker.state(), BreakerState::Open);
        assert_eq!(bench.breaker.check().unwrap_err().retry_after, OPEN_FOR);
    }
}

#[test]
fn a_probe_without_a_verdict_makes_room_for_another() {
    let bench = Bench::in_a_row();
    bench.open();
    bench.pass(OPEN_FOR);
    let probe = bench.breaker.permit().unwrap();
    assert!(bench.breaker.permit().is_err());
    drop(probe);
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    bench.succeed();
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn verdicts_of_calls_from_before_the_last_change_do_not_count() {
    let bench = Bench::in_a_row();
    let old: Vec<_> = (0..10).map(|_| bench.breaker.permit().unwrap()).collect();
    bench.open();
    let mut old = old.into_iter();
    // Neither does an old success close it, nor do old failures keep it open or open it again.
    old.next().unwrap().succeed();
    assert_eq!(bench.breaker.state(), BreakerState::Open);
    bench.pass(OPEN_FOR);
    old.next().unwrap().fail();
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    bench.succeed();
    old.for_each(|permit| permit.fail());
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn too_many_failures_in_the_window_open_it_though_they_are_not_in_a_row() {
    let options = BreakerOptions {
        failures: 100,
        failure_ratio: 0.5,
        window: Duration::from_secs(10),
        window_calls_min: 20,
        open_for: OPEN_FOR,
    };
    let bench = Bench::new(options.clone());
    for _ in 0..9 {
        bench.succeed();
        bench.fail();
    }
    assert_eq!(bench.breaker.state(), BreakerState::Closed, "too few calls to tell");
    bench.succeed();
    bench.fail();
    assert_eq!(bench.breaker.state(), BreakerState::Open);

    // What lies before the window does not count.
    let bench = Bench::new(options);
    (0..19).for_each(|_| bench.fail());
    bench.pass(Duration::from_millis(10_001));
    for _ in 0..30 {
        bench.succeed();
        bench.succeed();
        bench.fail();
    }
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn only_the_errors_that_speak_against_the_dependency_count() {
    let bench = Bench::in_a_row();
    let call = |answer: Result<u8, &'static str>| {
        bench.breaker.call_blocking(|| answer, |error| *error == "timeout")
    };
    for _ in 0..10 {
        assert!(matches!(call(Err("syntax")), Err(BreakerError::Failed("syntax"))));
    }
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    for _ in 0..3 {
        assert!(matches!(call(Err("timeout")), Err(BreakerError::Failed("timeout"))));
    }
    assert!(matches!(call(Ok(1)), Err(BreakerError::Open(_))), "nothing is done while it is open");
    bench.pass(OPEN_FOR);
    assert!(matches!(call(Ok(1)), Ok(1)));
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_waits_counts_for_nothing() {
    let bench = Bench::in_a_row();
    bench.open();
    bench.pass(OPEN_FOR);
    let waiting = std::future::pending::<Result<(), ()>>();
    let mut probe = Box::pin(bench.breaker.call(waiting, |()| true));
    assert!(futures::poll!(&mut probe).is_pending());
    assert!(bench.breaker.permit().is_err());
    drop(probe);
    let answer = bench.breaker.call(async { Ok::<_, ()>(7) }, |()| true).await;
    assert!(matches!(answer, Ok(7)));
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn state_transitions_and_refusals_are_metrics() {
    let bench = Bench::in_a_row();
    let says = |line: &str| {
        let text = bench.registry.encode().unwrap();
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    };
    says(r#"cityevents_breaker_state{dependency="store"} 0"#);
    bench.open();
    assert!(bench.breaker.permit().is_err());
    assert!(bench.breaker.permit().is_err());
    says(r#"cityevents_breaker_state{dependency="store"} 2"#);
    says(r#"cityevents_breaker_refusals_total{dependency="store"} 2"#);
    says(r#"cityevents_breaker_transitions_total{dependency="store",state="open"} 1"#);
    bench.pass(OPEN_FOR);
    let probe = bench.breaker.permit().unwrap();
    says(r#"cityevents_breaker_state{dependency="store"} 1"#);
    probe.succeed();
    says(r#"cityevents_breaker_state{dependency="store"} 0"#);
    says(r#"cityevents_breaker_transitions_total{dependency="store",state="closed"} 1"#);
}

#[test]
fn a_refusal_takes_no_time() {
    let bench = Bench::in_a_row();
    bench.open();
    let began = Instant::now();
    for _ in 0..1_000 {
        assert!(bench.breaker.permit().is_err());
    }
    // A thousand of them within the time that one would wait for the circuit to close.
    assert!(began.elapsed() < OPEN_FOR, "{:?}", began.elapsed());
}
