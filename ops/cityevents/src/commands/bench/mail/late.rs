//! How late mails leave the tiers that they wait in: a server that puts some of them off, up to three
//! times, while others come in all the time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use cityevents_mail::{DeliveryError, FailureClass, Mail, MailId, Transport};
use cityevents_runtime::log::Log;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_views::embedded::Options;
use cityevents_views::{BoxFuture, Views};
use parking_lot::Mutex;

use super::mailers::{self, Lateness, PARTITIONS};
use super::throughput;
use crate::commands::bench::Plan;
use crate::commands::bench::measure::{Goal, Row};
use crate::instance;

/// Waits of the tiers. Shorter than in earnest, which is no matter: what is measured comes after them.
const DELAYS: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// Mails each second, and how many come in at once.
const RATE: u64 = 1_000;
const BATCH: u64 = 50;
/// Mails come in for so long, and for the waits more, so that a tier is never alone.
const SECONDS_MAX: u64 = 20;
/// Longest wait for the last one.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Puts one mail in five off: of those, four in seven once, two twice and one three times.
#[derive(Default)]
struct Hesitant {
    tries: Mutex<HashMap<MailId, u32>>,
    taken: AtomicU64,
}

impl Hesitant {
    fn deferrals_of(id: &MailId) -> u32 {
        let [first, second, ..] = id.as_bytes();
        match (first % 5, second % 7) {
            (0, 0..4) => 1,
            (0, 4..6) => 2,
            (0, _) => 3,
            _ => 0,
        }
    }
}

impl Transport for Hesitant {
    fn deliver<'mail>(
        &'mail self,
        mail: &'mail Mail,
    ) -> BoxFuture<'mail, Result<(), DeliveryError>> {
        Box::pin(async move {
            let due = Self::deferrals_of(&mail.id);
            if due > 0 {
                let mut tries = self.tries.lock();
                let tries = tries.entry(mail.id).or_default();
                *tries += 1;
                if *tries <= due {
                    return Err(DeliveryError::new(FailureClass::Transient, "put off"));
                }
            }
            self.taken.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    }
}

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().thread_name("mail").enable_all().build()?;
    let folder = plan.folder()?;
    let views = Views::embedded(&folder.path().join("views"), Options::default())?;
    let log: Arc<dyn Log> = LocalLog::open(folder.path().join("log"), LocalOptions::default())?;
    instance::topics::create_missing(&*log, "", PARTITIONS)?;
    let event = mailers::publish(&runtime, &views)?;
    let (server, late) = (Arc::new(Hesitant::default()), Lateness::default());
    let host = runtime.block_on(async {
        mailers::start(&log, &views, server.clone(), DELAYS.to_vec(), late.clone())
    })?;
    let waits: Duration = DELAYS.iter().sum();
    let seconds = plan.seconds.as_secs().clamp(1, SECONDS_MAX) + waits.as_secs();
    let count = seconds * RATE;
    let (started, pause) = (Instant::now(), Duration::from_secs(1) / (RATE / BATCH) as u32);
    for batch in 0..count / BATCH {
        let due = started + pause * u32::try_from(batch)?;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        throughput::write(&log, event, batch * BATCH..(batch + 1) * BATCH)?;
    }
    let taken = || server.taken.load(Ordering::Relaxed);
    while taken() < count {
        ensure!(started.elapsed() < waits + PATIENCE, "{} of {count} mails were sent", taken());
        std::thread::sleep(LOOK_EVERY);
    }
    host.stop();
    let mut rows = Vec::new();
    for (topic, late) in late.sorted() {
        let at = |part: usize| late[(late.len() * part / 100).min(late.len() - 1)];
        let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
        let slowest = late.last().copied().unwrap_or_default();
        rows.push(
            Row::new(format!("from due to taken, {topic}, p99"), milliseconds(at(99)), "ms")
                .goal(Goal::AtMost(250.0))
                .under(format!(
                    "{} mails that waited there, p50 {:.1} ms, the slowest {:.1} ms; {RATE} mails/s \
                     come in, of which one in five is put off; tiers of 1, 2 and 4 s",
                    late.len(),
                    milliseconds(at(50)),
                    milliseconds(slowest),
                )),
        );
    }
    Ok(rows)
}
