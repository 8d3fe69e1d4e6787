//! Components start, report, die and stop.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cityevents_kit::lifecycle::{Lifecycle, Stage, State, StopReason};

/// For what takes no time.
const BUDGET: Duration = Duration::from_secs(60);

#[test]
fn readiness_is_green_when_every_component_is_and_tells_reasons() {
    let lifecycle = Lifecycle::new();
    let worker = lifecycle.register("registration", Stage::Workers, BUDGET);
    let views = lifecycle.register("views", Stage::Log, BUDGET);
    lifecycle.all_registered();
    assert!(!lifecycle.health().is_ready());
    worker.restoring("40 % of partition 3");
    views.ready();
    let health = lifecycle.health();
    assert!(!health.is_ready() && !health.started && health.is_alive());
    assert_eq!(health.components[0].state, State::Restoring);
    assert_eq!(health.components[0].reason.as_deref(), Some("40 % of partition 3"));
    worker.ready();
    assert!(lifecycle.health().is_ready() && lifecycle.health().started);
    worker.degraded("slow disk");
    assert!(lifecycle.health().is_ready());
    worker.stopped("circuit open: 10 poison records in a row");
    let health = lifecycle.health();
    assert!(!health.is_ready() && health.started && health.is_alive());
    worker.finished();
    views.finished();
}

#[test]
fn a_process_that_has_not_said_that_all_is_registered_is_not_ready() {
    let lifecycle = Lifecycle::new();
    assert!(!lifecycle.health().is_ready());
    lifecycle.all_registered();
    assert!(lifecycle.health().is_ready());
}

#[tokio::test]
async fn a_dropped_handle_is_a_death_and_turns_liveness_red() {
    let lifecycle = Lifecycle::new();
    let component = lifecycle.register("mailer", Stage::Workers, BUDGET);
    component.ready();
    drop(component);
    let health = lifecycle.health();
    assert!(!health.is_alive() && !health.is_ready());
    assert_eq!(health.components[0].state, State::Died);
    let reason = lifecycle.wait_for_stop().await.unwrap();
    assert_eq!(reason, StopReason::Died("mailer".to_owned()));
}

#[test]
fn a_panic_in_a_component_is_told_as_one() {
    let lifecycle = Lifecycle::new();
    let component = lifecycle.register("worker", Stage::Workers, BUDGET);
    let thread = std::thread::spawn(move || {
        component.ready();
        panic!("for the test");
    });
    assert!(thread.join().is_err());
    let health = lifecycle.health();
    assert_eq!(health.components[0].reason.as_deref(), Some("it panicked"));
    assert!(!health.is_alive());
}

#[test]
fn a_loop_that_does_not_turn_turns_liveness_red_until_it_does() {
    let lifecycle = Lifecycle::new();
    let component = lifecycle.register("worker", Stage::Workers, BUDGET);
    component.ready();
    component.expect_progress_within(Duration::from_millis(1));
    let started = std::time::Instant::now();
    while lifecycle.health().is_alive() {
        assert!(started.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
    assert_eq!(lifecycle.health().components[0].state, State::Stuck);
    component.expect_progress_within(Duration::from_secs(60));
    assert!(lifecycle.health().is_alive());
    component.finished();
}

#[tokio::test]
async fn components_stop_stage_by_stage() {
    let lifecycle = Lifecycle::new();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut threads = Vec::new();
    for (name, stage) in [
        ("log", Stage::Log),
        ("worker", Stage::Workers),
        ("http", Stage::Http),
        ("sweeper", Stage::Background),
    ] {
        let component = lifecycle.register(name, stage, BUDGET);
        let order = Arc::clone(&order);
        threads.push(std::thread::spawn(move || {
            component.ready();
            assert!(component.shutdown().wait_timeout(Duration::from_secs(60)));
            order.lock().unwrap().push(name);
            component.finished();
        }));
    }
    let report = lifecycle.drain(BUDGET).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(*order.lock().unwrap(), ["http", "worker", "sweeper", "log"]);
    assert!(lifecycle.health().draining && !lifecycle.health().is_ready());
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_stop_is_named_and_does_not_hold_up_the_rest() {
    let lifecycle = Lifecycle::new();
    let stubborn = lifecycle.register("stubborn", Stage::Http, Duration::from_secs(2));
    let log = lifecycle.register("log", Stage::Log, Duration::from_secs(8));
    let told = log.shutdown().clone();
    let task = tokio::spawn(async move {
        told.wait().await;
        log.finished();
    });
    let started = tokio::time::Instant::now();
    let report = lifecycle.drain(Duration::from_secs(10)).await;
    assert_eq!(report.late, ["stubborn"]);
    assert_eq!(started.elapsed().as_secs(), 2);
    task.await.unwrap();
    let late = lifecycle.register("late", Stage::Workers, BUDGET);
    assert!(late.shutdown().is_triggered(), "who comes after its stage was told is told at once");
    drop((stubborn, late));
    assert!(lifecycle.health().is_alive());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_else_may_take_is_for_whoever_needs_it() {
    let lifecycle = Lifecycle::new();
    let second = Duration::from_secs(1);
    let tasks = [("http", Stage::Http, 6), ("log", Stage::Log, 4)].map(|(name, stage, takes)| {
        let component = lifecycle.register(name, stage, 2 * second);
        tokio::spawn(async move {
            component.shutdown().clone().wait().await;
            tokio::time::sleep(takes * second).await;
            component.finished();
        })
    });
    let report = lifecycle.drain(11 * second).await;
    assert!(report.is_clean(), "{report:?}");
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_stop_from_inside_keeps_its_first_reason() {
    let lifecycle = Lifecycle::new();
    lifecycle.request_stop("demo is over");
    lifecycle.request_stop("again");
    assert!(lifecycle.draining().is_triggered());
    let reason = lifecycle.wait_for_stop().await.unwrap();
    assert_eq!(reason.to_string(), "demo is over");
}

#[tokio::test]
async fn waiting_for_readiness_ends_with_it_or_with_a_death() {
    let lifecycle = Lifecycle::new();
    let component = lifecycle.register("views", Stage::Log, BUDGET);
    lifecycle.all_registered();
    let waiting = tokio::spawn({
        let lifecycle = lifecycle.clone();
        async move { lifecycle.wait_ready().await }
    });
    component.ready();
    assert!(waiting.await.unwrap().is_ok());
    drop(component);
    assert!(lifecycle.wait_ready().await.is_err());
}
