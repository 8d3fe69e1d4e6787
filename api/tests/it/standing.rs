//! Changes of accounts, as every instance feels them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cityevents_api::standing::{
    AccountChanges, AccountStandings, StandingsMetrics, UnpublishedAccounts, forget_sessions, sweep,
};
use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_domain::time::Timestamp;
use cityevents_kit::config::{Config, Sources};
use cityevents_kit::keys::{
    Caller, Claims, KeyRing, Standing, Standings, TokenError, TokenSigner, TokenVerifier,
};
use cityevents_kit::lifecycle::{Lifecycle, Stage};
use cityevents_runtime::log::clock::ManualClock;
use cityevents_runtime::log::memory::MemoryLog;
use cityevents_runtime::log::{
    Cleanup, Isolation, Log, LogErrorKind, Outgoing, TimestampKind, TopicPartition, TopicSpec,
};
use cityevents_schemas::message::{AccountChange, AccountStatus, encode_account_change};
use cityevents_views::{BoxFuture, ViewsError};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use crate::support::facts::{NOW_MS, user};
use crate::support::flaky::FlakyLog;

const TOPIC: &str = "account-changes";
const PARTITIONS: u32 = 3;
const AT_MOST: Duration = Duration::from_secs(60);

fn memory() -> (Arc<MemoryLog>, Arc<dyn Log>) {
    let log = Arc::new(MemoryLog::new(ManualClock::new(NOW_MS)));
    log.create_topic(&TopicSpec {
        name: TOPIC.into(),
        partitions: PARTITIONS,
        cleanup: Cleanup::Compact,
        timestamps: TimestampKind::Create,
        durable: true,
    })
    .unwrap();
    let shared: Arc<dyn Log> = log.clone();
    (log, shared)
}

fn follow(log: &Arc<dyn Log>) -> AccountStandings {
    AccountStandings::start(log, TOPIC.into(), StandingsMetrics::default()).unwrap()
}

fn change(account: UserId, version: u64) -> AccountChange {
    AccountChange {
        account,
        version,
        role: Role::User,
        status: AccountStatus::Active,
        revoked_before: None,
        kept_session: None,
        updated_at: Timestamp::from_millis(NOW_MS),
        ended_session: None,
    }
}

/// Who calls with a token of a person that was issued at a second.
fn caller(sub: UserId, iat: i64) -> Caller {
    let sid = Uuid::from_bytes([9; 16]);
    Claims { sub, role: Role::User, sid, iat, nbf: None, exp: iat + 900 }.into()
}

/// Looks until it is so; fails when it has not become so in time.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + AT_MOST;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {AT_MOST:?}: {what}");
        std::thread::yield_now();
    }
}

fn ready(standings: &AccountStandings) {
    until("ready", || standings.problem().is_none());
}

/// Appends a value as it is, under the key of the first person.
fn append(log: &Arc<dyn Log>, partition: u32, value: Option<Vec<u8>>) {
    let mut producer = log.producer("test").unwrap();
    let key = Some(Bytes::from(user(1).to_string()));
    let record = Outgoing { key, value: value.map(Bytes::from), ..Outgoing::default() };
    producer.append(&TopicPartition::new(TOPIC, partition), vec![record]).unwrap();
    let mut deliveries = Vec::new();
    while deliveries.is_empty() {
        producer.poll(AT_MOST, &mut deliveries).unwrap();
    }
    assert!(deliveries[0].result.is_ok());
}

#[tokio::test]
async fn a_change_made_on_one_instance_is_felt_on_the_other_for_tokens_already_out() {
    let (_, log) = memory();
    let folder = tempfile::tempdir().unwrap();
    let overrides = [("data.dir".to_owned(), folder.path().to_str().unwrap().to_owned())].into();
    let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
    let ring = KeyRing::open(&config.keys_dir()).unwrap();
    let signer = TokenSigner::new(ring.clone(), &config);
    let instances = [(); 2].map(|()| {
        let standings = Arc::new(follow(&log));
        ready(&standings);
        let verifier = TokenVerifier::new(ring.clone(), &config);
        (verifier.with_standings(standings.clone()), standings)
    });
    let changes = AccountChanges::start(log.clone(), TOPIC.into()).unwrap();
    let (person, other) = (user(1), user(2));
    let now = NOW_MS / 1_000;
    let token = |account: &UserId, session: Uuid, at: i64| {
        let ttl = Duration::from_secs(900);
        signer.sign_at(account, Role::Moderator, &session, ttl, at).unwrap()
    };
    let session = Uuid::from_bytes([9; 16]);
    let (mine, theirs) = (token(&person, session, now), token(&other, session, now));
    let says = |token: &str| {
        let roles = instances
            .each_ref()
            .map(|(verifier, _)| verifier.verify_at(token, now + 1).map(|claims| claims.role));
        assert_eq!(roles[0], roles[1]);
        roles[0]
    };
    let publish = async |change: AccountChange| {
        changes.publish(&change).await.unwrap();
        until("known everywhere", || {
            let known = |(_, standings): &(_, Arc<AccountStandings>)| {
                standings.version(&change.account) == Some(change.version)
            };
            instances.iter().all(known)
        });
    };
    // Nothing was said about the person: the token is believed, and remembered.
    assert_eq!(says(&mine), Ok(Role::Moderator));

    publish(AccountChange { role: Role::User, ..change(person, 1) }).await;
    assert_eq!(says(&mine), Ok(Role::User));
    publish(AccountChange { role: Role::Admin, ..change(person, 2) }).await;
    assert_eq!(says(&mine), Ok(Role::Admin));

    publish(AccountChange { status: AccountStatus::Locked, ..change(person, 3) }).await;
    assert_eq!(says(&mine), Err(TokenError::Locked));
    let problem = TokenError::Locked.to_problem();
    assert_eq!(
        (problem.code().as_str(), problem.code().status().as_u16()),
        ("account_locked", 403)
    );
    publish(change(person, 4)).await;
    assert_eq!(says(&mine), Ok(Role::User));

    // All sessions end in the middle of this second. Who begins a new one in it is let in.
    let moment = NOW_MS + 500;
    let revoked_before = Some(Timestamp::from_millis(moment));
    publish(AccountChange { revoked_before, ..change(person, 5) }).await;
    assert_eq!(says(&mine), Err(TokenError::Revoked));
    let problem = TokenError::Revoked.to_problem();
    assert_eq!(
        (problem.code().as_str(), problem.code().status().as_u16()),
        ("unauthenticated", 401)
    );
    let begun = |at_ms: i64| {
        uuid::Builder::from_unix_timestamp_millis(at_ms.unsigned_abs(), &[7; 10]).into_uuid()
    };
    assert_eq!(says(&token(&person, begun(moment - 1), now)), Err(TokenError::Revoked));
    assert_eq!(says(&token(&person, begun(moment), now)), Ok(Role::User));
    assert_eq!(says(&token(&person, session, now + 1)), Ok(Role::User));

    let kept_session = Some(*begun(moment - 1).as_bytes());
    publish(AccountChange { revoked_before, kept_session, ..change(person, 6) }).await;
    assert_eq!(says(&token(&person, begun(moment - 1), now)), Ok(Role::User));
    assert_eq!(says(&mine), Err(TokenError::Revoked));

    publish(AccountChange { status: AccountStatus::Erased, ..change(person, 7) }).await;
    assert_eq!(says(&token(&person, session, now + 1)), Err(TokenError::Revoked));
    assert_eq!(says(&theirs), Ok(Role::Moderator), "somebody else's token is what it was");
}

#[tokio::test]
async fn changes_in_any_order_and_any_number_of_times_end_at_the_highest_version() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let (_, log) = memory();
    let changes = AccountChanges::start(log.clone(), TOPIC.into()).unwrap();
    let early = follow(&log);
    let mut said = Vec::new();
    let mut last = BTreeMap::new();
    for number in 0..40 {
        let versions = chance.random_range(1..6);
        for version in 1..=versions {
            let role = Role::ALL[chance.random_range(0..3)];
            let change = AccountChange { role, ..change(user(number), version) };
            said.extend(std::iter::repeat_n(change, chance.random_range(1..4)));
            last.insert(user(number), change);
        }
    }
    said.shuffle(&mut chance);
    for change in &said {
        changes.publish(change).await.unwrap();
    }
    let late = follow(&log);
    for standings in [&early, &late] {
        ready(standings);
        for (account, change) in &last {
            until("the last version", || standings.version(account) == Some(change.version));
            let standing = standings.standing(&caller(*account, 0));
            assert_eq!(standing, Standing::Allowed(change.role));
        }
        assert_eq!(standings.accounts(), last.len());
    }
    // And once all is known, what comes late changes nothing. The change of somebody else behind it
    // in the same partition tells when it was read.
    let old = AccountChange { status: AccountStatus::Locked, ..change(user(0), 0) };
    let mut value = Vec::new();
    encode_account_change(&old, &mut value);
    let mut behind = Vec::new();
    encode_account_change(&change(user(99), 1), &mut behind);
    append(&log, 0, Some(value));
    append(&log, 0, Some(behind));
    for standings in [&early, &late] {
        until("read", || standings.version(&user(99)) == Some(1));
        assert_eq!(standings.version(&user(0)), Some(last[&user(0)].version));
        assert!(matches!(standings.standing(&caller(user(0), 0)), Standing::Allowed(_)));
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stops_the_follower_and_what_it_knew_stays() {
    let (_, log) = memory();
    let changes = AccountChanges::start(log.clone(), TOPIC.into()).unwrap();
    let banned = AccountChange { status: AccountStatus::Locked, ..change(user(1), 1) };
    changes.publish(&banned).await.unwrap();
    let standings = follow(&log);
    ready(&standings);
    let mut damaged = Vec::new();
    encode_account_change(&change(user(2), 1), &mut damaged);
    damaged.truncate(damaged.len() - 1);
    append(&log, 1, Some(damaged));
    until("stopped", || {
        standings.problem().is_some_and(|problem| {
            problem.contains("account-changes/1: stopped: the record at offset")
        })
    });
    assert_eq!(standings.standing(&caller(user(1), 0)), Standing::Locked);
    // Whoever begins now is not ready either.
    let late = follow(&log);
    until("stopped", || late.problem().is_some_and(|problem| problem.contains("stopped")));
}

#[tokio::test]
async fn a_new_instance_is_ready_on_a_topic_of_which_only_the_last_of_each_is_left() {
    let (memory, log) = memory();
    let changes = AccountChanges::start(log.clone(), TOPIC.into()).unwrap();
    for version in 1..=5 {
        for number in 0..20 {
            changes.publish(&change(user(number), version)).await.unwrap();
        }
    }
    memory.clean(TOPIC).unwrap();
    let left: usize = (0..PARTITIONS)
        .map(|partition| TopicPartition::new(TOPIC, partition))
        .map(|partition| memory.records(&partition, Isolation::Uncommitted).unwrap().len())
        .sum();
    assert_eq!(left, 20);
    let standings = follow(&log);
    ready(&standings);
    for number in 0..20 {
        assert_eq!(standings.version(&user(number)), Some(5));
    }
}

#[tokio::test]
async fn an_empty_record_takes_nothing_back() {
    let (_, log) = memory();
    let changes = AccountChanges::start(log.clone(), TOPIC.into()).unwrap();
    let banned = AccountChange { status: AccountStatus::Locked, ..change(user(1), 1) };
    changes.publish(&banned).await.unwrap();
    for partition in 0..PARTITIONS {
        append(&log, partition, None);
    }
    changes.publish(&change(user(2), 1)).await.unwrap();
    let standings = follow(&log);
    ready(&standings);
    until("read", || standings.version(&user(2)) == Some(1));
    assert_eq!(standings.standing(&caller(user(1), 0)), Standing::Locked);
}

#[tokio::test]
async fn a_session_that_ended_is_known_until_its_last_token_has_expired_and_then_forgotten() {
    const LIFE: Duration = Duration::from_secs(900);
    let (memory, log) = memory();
    let changes = AccountChanges::start(log.clone(), TOPIC.into()).unwrap();
    let (early, standings) = (follow(&log), Arc::new(follow(&log)));
    let session = |number: u8| [number; 16];
    let of_session = |number: u8| Caller {
        session: Uuid::from_bytes(session(number)),
        ..caller(user(1), NOW_MS / 1_000)
    };
    let promoted = AccountChange { role: Role::Moderator, ..change(user(1), 1) };
    changes.publish(&promoted).await.unwrap();
    for (number, ended_ms) in [(1, NOW_MS), (2, NOW_MS + 600_000)] {
        let at = Timestamp::from_millis(ended_ms);
        let ended = AccountChange::of_session(user(1), session(number), at);
        changes.publish(&ended).await.unwrap();
        // Twice is once.
        changes.publish(&ended).await.unwrap();
    }
    let late = follow(&log);
    for standings in [&early, &standings, &late] {
        ready(standings);
        until("both are known", || standings.ended_sessions() == 2);
        assert_eq!(standings.standing(&of_session(1)), Standing::Revoked);
        assert_eq!(standings.standing(&of_session(2)), Standing::Revoked);
        let other = standings.standing(&of_session(3));
        assert_eq!(other, Standing::Allowed(Role::Moderator), "other sessions go on");
        assert_eq!(standings.version(&user(1)), Some(1), "nothing is said of the account");
    }
    // The last token of the first has expired, that of the second has not.
    let clock = ManualClock::new(NOW_MS + 1_000_000);
    let lifecycle = Lifecycle::new();
    let component = lifecycle.register("forgets", Stage::Background, AT_MOST);
    let forgetting = {
        let (standings, changes) = (standings.clone(), changes.clone());
        tokio::spawn(async move {
            forget_sessions(component, &standings, &changes, &clock, LIFE).await;
        })
    };
    let is_forgotten = async || {
        while early.ended_sessions() > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(AT_MOST, is_forgotten()).await.unwrap();
    assert_eq!(early.standing(&of_session(2)), Standing::Revoked);
    assert!(lifecycle.drain(AT_MOST).await.is_clean());
    forgetting.await.unwrap();
    // A new instance does not hear of it at all, once the topic is compacted.
    memory.clean(TOPIC).unwrap();
    let new = follow(&log);
    ready(&new);
    assert_eq!(new.ended_sessions(), 1);
}

#[tokio::test]
async fn a_log_that_fails_for_a_while_is_read_anew_and_nothing_is_forgotten_meanwhile() {
    let (_, inner) = memory();
    let fails_once = Arc::new(AtomicBool::new(false));
    let flaky: Arc<dyn Log> =
        Arc::new(FlakyLog { inner: inner.clone(), fails_once: fails_once.clone() });
    let changes = AccountChanges::start(inner, TOPIC.into()).unwrap();
    let banned = AccountChange { status: AccountStatus::Locked, ..change(user(1), 1) };
    changes.publish(&banned).await.unwrap();
    let standings = follow(&flaky);
    ready(&standings);
    fails_once.store(true, std::sync::atomic::Ordering::SeqCst);
    until("failed", || !fails_once.load(std::sync::atomic::Ordering::SeqCst));
    assert_eq!(standings.standing(&caller(user(1), 0)), Standing::Locked);
    changes.publish(&change(user(1), 2)).await.unwrap();
    until("read anew", || standings.version(&user(1)) == Some(2));
    ready(&standings);
}

/// Rows in memory: an account, its version, and the version that is marked as published.
#[derive(Default)]
struct Rows {
    accounts: Mutex<BTreeMap<UserId, (AccountChange, u64)>>,
}

impl Rows {
    fn change(&self, change: AccountChange) {
        let mut accounts = self.accounts.lock();
        accounts.entry(change.account).and_modify(|row| row.0 = change).or_insert((change, 0));
    }

    fn waiting(&self) -> usize {
        self.accounts.lock().values().filter(|(row, published)| *published < row.version).count()
    }
}

impl UnpublishedAccounts for Rows {
    fn unpublished(&self, limit: usize) -> BoxFuture<'_, Result<Vec<AccountChange>, ViewsError>> {
        let accounts = self.accounts.lock();
        let waiting = accounts.values().filter(|(row, published)| *published < row.version);
        let waiting = waiting.map(|(row, _)| *row).take(limit).collect();
        Box::pin(async move { Ok(waiting) })
    }

    fn published(&self, account: UserId, version: u64) -> BoxFuture<'_, Result<(), ViewsError>> {
        let mut accounts = self.accounts.lock();
        if let Some((_, published)) = accounts.get_mut(&account) {
            *published = (*published).max(version);
        }
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn what_a_crash_left_out_of_the_topic_is_appended_by_the_sweeper() {
    let (memory, log) = memory();
    let standings = follow(&log);
    let rows = Arc::new(Rows::default());
    for number in 0..500 {
        rows.change(AccountChange { role: Role::Moderator, ..change(user(number), 3) });
    }
    // The log refuses the first batch, too.
    memory.fail_next_append(LogErrorKind::Unavailable);
    let lifecycle = Lifecycle::new();
    let component = lifecycle.register("sweeper", Stage::Background, AT_MOST);
    let changes = AccountChanges::start(log.clone(), TOPIC.into()).unwrap();
    let sweeping = {
        let (rows, changes) = (rows.clone(), changes.clone());
        tokio::spawn(async move { sweep(component, &*rows, &changes).await })
    };
    let all = async || {
        let known = || (0..500).all(|number| standings.version(&user(number)) == Some(3));
        while !(known() && rows.waiting() == 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(AT_MOST, all()).await.unwrap();
    let standing = standings.standing(&caller(user(499), 0));
    assert_eq!(standing, Standing::Allowed(Role::Moderator));
    assert!(lifecycle.drain(AT_MOST).await.is_clean());
    sweeping.await.unwrap();
}

#[tokio::test]
async fn a_change_that_the_log_refuses_is_told_to_who_made_it() {
    let (memory, log) = memory();
    let changes = AccountChanges::start(log.clone(), TOPIC.into()).unwrap();
    memory.fail_next_append(LogErrorKind::Unavailable);
    assert!(changes.publish(&change(user(1), 1)).await.is_err());
    // The next one goes through a new producer.
    changes.publish(&change(user(1), 1)).await.unwrap();
}
