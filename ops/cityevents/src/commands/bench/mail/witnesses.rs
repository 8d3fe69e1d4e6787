//! People who join another event meanwhile, and how long each waits for the mail about it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_mail::MailId;
use cityevents_processors::emails;
use cityevents_schemas::message::EmailContent;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::load::client::Connection;
use crate::load::crowd::Person;

/// So many at most.
pub(super) const PEOPLE: usize = 1_000;
/// Facts of an event before anybody joins it: it was made, and published.
const FACTS_BEFORE: u64 = 2;
/// Between one and the next.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two looks for a file.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Longest wait for a mail.
const PATIENCE: Duration = Duration::from_secs(300);

/// They join until they are stopped.
pub(super) struct Witnesses {
    stop: Arc<AtomicBool>,
    joining: JoinHandle<anyhow::Result<Vec<Duration>>>,
}

impl Witnesses {
    /// Begins with the first. Nobody else joins the event.
    pub(super) fn start(
        load: &Runtime,
        http: SocketAddr,
        event: EventId,
        people: Vec<Person>,
        inbox: PathBuf,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let joining = load.spawn(async move {
            let mut connection = Connection::open(http).await?;
            let path = format!("/api/events/{event}/join");
            let mut waited = Vec::new();
            for (event_seq, person) in (FACTS_BEFORE + 1..).zip(people) {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let asked = connection.post_as(&person.bearer, &path, Some("join"), Bytes::new());
                let joined = asked.await?;
                ensure!(joined.status.is_success(), "a join was answered with {}", joined.status);
                let answered = Instant::now();
                let content = EmailContent::PlaceConfirmed { event };
                // Its time is not in its id.
                let at = Timestamp::from_millis(0);
                let email = emails::about_fact((event, event_seq), person.user, at, content);
                let file = inbox.join(format!("{}.eml", MailId::from_bytes(email.id)));
                while !file.exists() {
                    ensure!(
                        answered.elapsed() < PATIENCE,
                        "the mail of fact {event_seq} does not come"
                    );
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                waited.push(answered.elapsed());
                tokio::time::sleep(PAUSE).await;
            }
            anyhow::Ok(waited)
        });
        Self { stop, joining }
    }

    /// Lets the one who waits have the mail, and tells how long each waited.
    pub(super) async fn stop(self) -> anyhow::Result<Vec<Duration>> {
        self.stop.store(true, Ordering::Relaxed);
        self.joining.await.context("who looks on has panicked")?
    }
}
