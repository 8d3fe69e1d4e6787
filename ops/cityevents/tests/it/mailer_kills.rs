//! `kill -9` of the process that sends mails, again and again while it does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cityevents_mail::MailId;
use cityevents_processors::mailer::ledger::Entry;
use cityevents_views::Views;
use cityevents_views::embedded::Options;
use cityevents_views::records::{RecordKey, RecordKind};
use futures::executor::block_on;

use super::command_line::run_on;
use super::instance::{DEADLINE, Instance, poll_for};
use super::mail_burst::{self, Burst, Mailer};
use super::smtp_sink::Sink;

const KILLS: usize = 10;

struct Dev<'a> {
    data: &'a Path,
    settings: Vec<(&'static str, String)>,
    instance: Option<Instance>,
}

impl Mailer for Dev<'_> {
    fn kill(&mut self) {
        self.instance.take().unwrap().kill();
    }

    fn ledger(&self, mails: &BTreeSet<MailId>) -> BTreeMap<MailId, Entry> {
        let views = Views::embedded(&self.data.join("views"), Options::default()).unwrap();
        let entry = |id: &MailId| {
            let key = RecordKey::new(RecordKind::Mail, id.as_bytes().as_slice());
            let record = block_on(views.records.record(key)).unwrap()?;
            Some((*id, serde_json::from_slice(&record.value.content).unwrap()))
        };
        mails.iter().filter_map(entry).collect()
    }

    fn restart(&mut self) {
        let settings: Vec<_> =
            self.settings.iter().map(|(name, value)| (*name, &**value)).collect();
        self.instance = Some(Instance::start_with(self.data, &settings));
    }
}

#[test]
fn ten_kills_during_a_burst_of_mails_lose_none_and_double_only_those_in_doubt() {
    let mut random = mail_burst::random();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let sink = Sink::start(&mail_burst::PUTS_OFF);
    // Each process has another name, since its listener takes any port.
    let settings = mail_burst::settings(&sink);
    let mut dev = Dev { data, settings, instance: None };
    dev.restart();
    let burst = Burst::begin(dev.instance.as_ref().unwrap().http);
    let doubts = mail_burst::kill_again_and_again(&sink, &mut dev, &mut random, KILLS);
    burst.wait_for_all(&sink, || dev.instance.as_ref().unwrap().log());
    let mut rows = Vec::new();
    poll_for(DEADLINE, || {
        rows = mail_burst::lag_rows(&run_on(data, &["lag", "--output", "json"]));
        rows.iter().all(|row| row["records"] == 0)
    });
    mail_burst::assert_waited(&rows);
    let given_up = run_on(data, &["dlq", "list", "--all", "--output", "json"]).json();
    assert_eq!(given_up.as_array().unwrap().len(), 0, "{given_up}");
    dev.instance.take().unwrap().stop();
    burst.assert_sent(&sink, &doubts, &dev.ledger(&mail_burst::ids(&sink)));
}
