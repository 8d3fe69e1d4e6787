//! `kill -9` of a process that sends mails, on Kafka and Cassandra, while everybody else goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use cityevents_kit::breaker::{Breaker, BreakerMetrics, BreakerOptions};
use cityevents_kit::telemetry::MetricsRegistry;
use cityevents_mail::MailId;
use cityevents_processors::mailer::ledger::Entry;
use cityevents_views::Views;
use cityevents_views::records::{RecordKey, RecordKind};
use cityevents_views::scylla::ScyllaOptions;
use tokio::runtime::Runtime;

use crate::cluster::{Cluster, Process, poll_for};
use crate::mail_burst::{self, Burst, Mailer};
use crate::people;
use crate::smtp_sink::Sink;
use crate::stack;

const KILLS: usize = 4;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

struct Role<'a> {
    cluster: &'a Cluster,
    /// Names of processes, one after the other; the last one stays.
    names: Vec<&'static str>,
    views: Views,
    process: Option<Process<'a>>,
}

impl<'a> Role<'a> {
    fn start(cluster: &'a Cluster, names: Vec<&'static str>) -> Self {
        let options = ScyllaOptions {
            nodes: vec![stack::cassandra()],
            keyspace: cluster.setting_of("CITYEVENTS__SCYLLA__KEYSPACE").to_owned(),
            ..ScyllaOptions::default()
        };
        let metrics = BreakerMetrics::default();
        let breaker = Breaker::new("tables", BreakerOptions::default(), &metrics);
        let registry = MetricsRegistry::new("test", "");
        let views = RUNTIME.block_on(Views::scylla(options, breaker, &registry)).unwrap();
        let mut role = Self { cluster, names, views, process: None };
        role.restart();
        role
    }
}

impl Mailer for Role<'_> {
    fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    fn ledger(&self, mails: &BTreeSet<MailId>) -> BTreeMap<MailId, Entry> {
        let entry = |id: &MailId| {
            let key = RecordKey::new(RecordKind::Mail, id.as_bytes().as_slice());
            let record = RUNTIME.block_on(self.views.records.record(key)).unwrap()?;
            Some((*id, serde_json::from_slice(&record.value.content).unwrap()))
        };
        mails.iter().filter_map(entry).collect()
    }

    fn restart(&mut self) {
        let name = if self.names.len() > 1 { self.names.remove(0) } else { self.names[0] };
        let process = Process::start_named(self.cluster, "mailer", name);
        self.process = Some(process.until_ready());
    }
}

#[test]
fn kills_of_the_mailer_on_servers_lose_no_mail_and_double_only_those_in_doubt() {
    lose_none_and_double_only_those_in_doubt("kills", KILLS, vec!["mailer-1"]);
}

#[test]
fn a_mailer_under_another_name_sends_what_a_killed_one_had_claimed_and_counts_it() {
    lose_none_and_double_only_those_in_doubt(
        "renamed",
        2,
        vec!["mailer-1", "mailer-2", "mailer-3"],
    );
}

fn lose_none_and_double_only_those_in_doubt(
    keyspace: &str,
    kills: usize,
    names: Vec<&'static str>,
) {
    let mut random = mail_burst::random();
    let sink = Sink::start(&mail_burst::PUTS_OFF);
    let (mut cluster, _) = people::cluster(keyspace);
    for (name, value) in mail_burst::settings(&sink) {
        cluster = cluster.setting(name, value);
    }
    let cluster = cluster.setting("CITYEVENTS__LIMITS__ENABLED", "false");
    let others = "ingest,api,registration,projection,notifier";
    let others = Process::start_with(&cluster, others).until_ready();
    let mut mailer = Role::start(&cluster, names);
    let burst = Burst::begin(others.http());
    let doubts = mail_burst::kill_again_and_again(&sink, &mut mailer, &mut random, kills);
    burst.wait_for_all(&sink, || mailer.process.as_ref().unwrap().log());
    let rows = poll_for(|| {
        let rows = mail_burst::lag_rows(&cluster.run(&["lag", "--output", "json"]));
        rows.iter().all(|row| row["records"] == 0).then_some(rows)
    });
    mail_burst::assert_waited(&rows);
    let given_up = cluster.run(&["dlq", "list", "--all", "--output", "json"]).json();
    assert_eq!(given_up.as_array().unwrap().len(), 0, "{given_up}");
    mailer.process.take().unwrap().stop();
    burst.assert_sent(&sink, &doubts, &mailer.ledger(&mail_burst::ids(&sink)));
    others.stop();
}
