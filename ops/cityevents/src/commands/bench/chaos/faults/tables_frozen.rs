//! The tables do not answer for a while (SIGSTOP). Joins go on; who needs the tables is told so at
//! once, with 503 and Retry-After, as soon as the breaker is open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};

use super::{Scene, Struck};
use crate::commands::bench::chaos::ask::Caller;

/// When a breaker is open that had something to break it.
const OPEN_AFTER_PART: u32 = 2;
/// Reads that are tried then.
const READS: usize = 20;
/// How long an open breaker may take to say so, with everything else on the same machine.
const TOLD_WITHIN: Duration = Duration::from_millis(250);

pub(super) fn strike(scene: &mut Scene<'_>) -> anyhow::Result<Struck> {
    let servers = scene.servers.breakable()?.clone();
    scene.wait_for_moment(0, 4);
    let mut struck = Struck { times: 1, ..Struck::default() };
    servers.run(&["freeze", "cassandra"])?;
    let before = scene.load.answered();
    let frozen = Instant::now();
    let read = read(scene, frozen + scene.away / OPEN_AFTER_PART);
    std::thread::sleep(scene.away.saturating_sub(frozen.elapsed()));
    let during = scene.load.answered() - before;
    servers.run(&["thaw", "cassandra"])?;
    let (refused, median) = read?;
    struck.notes.push(format!(
        "{during} answers while they were frozen; of {READS} reads {refused} were refused, the \
         middle one in {median:.1?}"
    ));
    if during == 0 && !scene.load.is_over() {
        struck.problems.push("nobody was answered while the tables were frozen".to_owned());
    }
    if refused == 0 {
        struck.problems.push("no read was answered 503 with Retry-After".to_owned());
    }
    if median > TOLD_WITHIN {
        struck.problems.push(format!("refusing a read took {median:.1?}"));
    }
    Ok(struck)
}

/// Reads that need the tables, some to break the breaker and then some to count: how many were
/// refused with 503 and Retry-After, and how long the middle one of all took.
fn read(scene: &Scene<'_>, from: Instant) -> anyhow::Result<(usize, Duration)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut caller = Caller::new(Arc::clone(scene.cluster.targets()), 0);
    let person = &scene.load.people[0];
    let path = format!("/api/events/{}/view", scene.load.goals[0].id);
    let headers = [("authorization", &*person.bearer)];
    let mut refused = 0;
    let mut times = Vec::new();
    runtime.block_on(async {
        while times.len() < READS {
            let asked = Instant::now();
            let answer = caller.send(Method::GET, &path, &headers).await;
            let is_refused = answer.is_some_and(|answer| {
                answer.status == StatusCode::SERVICE_UNAVAILABLE
                    && answer.headers.contains_key("retry-after")
            });
            if asked >= from {
                refused += usize::from(is_refused);
                times.push(asked.elapsed());
            }
        }
    });
    times.sort_unstable();
    Ok((refused, times[READS / 2]))
}
