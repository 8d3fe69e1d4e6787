//! A new instance on a topic of account changes that has a hundred thousand of them.

use std::time::Instant;

use bytes::Bytes;
use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_domain::time::Timestamp;
use cityevents_runtime::log::{Outgoing, TopicPartition};
use cityevents_schemas::message::{AccountChange, AccountStatus, encode_account_change};

use crate::calls::get;
use crate::cluster::{Cluster, Process};
use crate::people::cluster;

const ACCOUNTS: u32 = 100_000;

fn account(number: u32) -> UserId {
    let id = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    UserId::from_bytes(id.to_be_bytes())
}

/// Everybody is locked out.
fn append_changes(cluster: &Cluster) {
    let log = cluster.log();
    let topic = format!("{}account-changes", cluster.prefix());
    assert_eq!(log.describe(&topic).unwrap().spec.partitions, 1);
    let partition = TopicPartition::new(topic, 0);
    let mut producer = log.producer("test").unwrap();
    for first in (0..ACCOUNTS).step_by(10_000) {
        let records = (first..first + 10_000).map(|number| {
            let change = AccountChange {
                account: account(number),
                version: 2,
                role: Role::User,
                status: AccountStatus::Locked,
                revoked_before: Some(Timestamp::from_millis(1)),
                kept_session: None,
                updated_at: Timestamp::from_millis(1),
                ended_session: None,
            };
            let mut value = Vec::new();
            encode_account_change(&change, &mut value);
            let key = Some(Bytes::from(change.account.to_string()));
            Outgoing { key, value: Some(value.into()), ..Outgoing::default() }
        });
        producer.append(&partition, records.collect()).unwrap();
        let mut deliveries = Vec::new();
        while producer.in_flight() > 0 {
            producer.poll(std::time::Duration::from_secs(10), &mut deliveries).unwrap();
        }
        assert!(deliveries.iter().all(|delivery| delivery.result.is_ok()), "{deliveries:?}");
    }
}

#[test]
fn a_new_instance_knows_a_hundred_thousand_account_changes_when_it_is_ready() {
    let (cluster, _) = cluster("readiness");
    let start = || {
        let started = Instant::now();
        (Process::start_with(&cluster, "ingest,api").until_ready(), started.elapsed())
    };
    let (before, without) = start();
    before.stop();
    append_changes(&cluster);
    let (instance, with) = start();
    println!("ready after {with:?} with {ACCOUNTS} account changes, {without:?} without");
    for number in [0, ACCOUNTS / 2, ACCOUNTS - 1] {
        let subject = account(number).to_string();
        let token = cluster.run(&["token", "--subject", &subject]).good();
        let headers = format!("authorization: Bearer {}\r\n", token.trim());
        assert_eq!(get(instance.http(), "/api/auth/me", &headers).code(), "account_locked");
    }
    instance.stop();
}
