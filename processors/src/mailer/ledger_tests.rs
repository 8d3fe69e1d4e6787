//! Tests of the ledger.

use cityevents_runtime::log::clock::ManualClock;
use cityevents_views::Views;

use super::*;

const ID: MailId = MailId::from_bytes([7; 16]);

fn entry(state: State, member: &str, run: u64) -> Entry {
    let by = Holder { member: member.to_owned(), run };
    Entry { state, at_ms: 1_000, by, doubts: 0, why: None, lease_ms: 0 }
}

#[test]
fn a_claim_in_doubt_is_taken_over_and_another_process_is_waited_for() {
    let me = Holder { member: "a".into(), run: 1 };
    let rows = [
        (entry(State::Sent, "a", 1), Step::Settled(State::Sent)),
        (entry(State::Dropped, "b", 2), Step::Settled(State::Dropped)),
        (entry(State::Released, "b", 2), Step::Claim { is_again: false }),
        (entry(State::Claimed, "a", 1), Step::Claim { is_again: true }),
        (entry(State::Claimed, "a", 2), Step::Claim { is_again: true }),
        // One that is never renewed.
        (entry(State::Claimed, "b", 2), Step::Wait(Duration::from_millis(419_000))),
    ];
    for (entry, expected) in rows {
        assert_eq!(step(&entry, &me, 2_000, Duration::from_secs(100)), expected, "{entry:?}");
    }
    let late = entry(State::Claimed, "b", 2);
    assert_eq!(step(&late, &me, 421_000, Duration::ZERO), Step::Claim { is_again: true });
    // Whatever clocks say of one that is.
    let renewed = Entry { lease_ms: LEASE_MS, ..late };
    for now_ms in [-1_000_000, 2_000, 900_000_000] {
        let after = |seen_for| step(&renewed, &me, now_ms, seen_for);
        assert_eq!(after(LEASE / 4), Step::Wait(LEASE / 4 * 3));
        assert_eq!(after(LEASE), Step::Claim { is_again: true });
    }
}

#[test]
fn entries_of_programs_that_renew_no_claims_are_read_and_those_that_do_are_told_apart() {
    let old = r#"{"state":"claimed","at_ms":1000,"by":{"member":"b","run":2}}"#;
    assert_eq!(serde_json::from_str::<Entry>(old).unwrap(), entry(State::Claimed, "b", 2));
    assert_eq!(serde_json::to_string(&entry(State::Claimed, "b", 2)).unwrap(), old);
}

fn ledger(views: &Views, clock: &ManualClock, member: &str) -> Ledger {
    Ledger::start(views.records.clone(), Arc::new(clock.clone()), member).unwrap()
}

async fn ours(ledger: &Ledger) -> Claim {
    match ledger.claim(&ID, &mut Sighting::default()).await.unwrap() {
        Claimed::Ours(claim) => claim,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_settled_for_everybody() {
    let (views, clock) = (Views::memory(), ManualClock::new(1_000));
    let (one, other) = (ledger(&views, &clock, "a"), ledger(&views, &clock, "b"));
    let claim = ours(&one).await;
    assert!(!claim.is_again);
    assert!(matches!(other.claim(&ID, &mut Sighting::default()).await.unwrap(), Claimed::Busy(_)));
    one.release(&claim).await.unwrap();
    let claim = ours(&other).await;
    assert!(!claim.is_again, "it certainly was not delivered");
    other.sent(&claim).await.unwrap();
    assert_eq!(
        one.claim(&ID, &mut Sighting::default()).await.unwrap(),
        Claimed::Settled(State::Sent)
    );
    one.drop_mail(&ID, "erased").await.unwrap();
    assert_eq!(one.entry(&ID).await.unwrap().unwrap().state, State::Sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_run_takes_over_at_once_and_counts_the_doubt() {
    let (views, clock) = (Views::memory(), ManualClock::new(1_000));
    let first = ledger(&views, &clock, "a");
    let lost = ours(&first).await;
    let second = ledger(&views, &clock, "a");
    let claim = ours(&second).await;
    assert!(claim.is_again);
    second.sent(&claim).await.unwrap();
    // The first one wakes up, and has nothing to say any more.
    first.release(&lost).await.unwrap();
    let entry = second.entry(&ID).await.unwrap().unwrap();
    assert_eq!((entry.state, entry.doubts), (State::Sent, 1));
}

#[tokio::test(start_paused = true)]
async fn another_process_takes_over_what_was_not_renewed_for_the_time_of_a_claim() {
    let (views, clock) = (Views::memory(), ManualClock::new(1_000));
    let (one, other) = (ledger(&views, &clock, "a"), ledger(&views, &clock, "b"));
    let mut lost = ours(&one).await;
    let mut seen = Sighting::default();
    let second = Duration::from_secs(1);
    assert_eq!(other.claim(&ID, &mut seen).await.unwrap(), Claimed::Busy(LEASE));
    tokio::time::advance(LEASE - second).await;
    assert_eq!(other.claim(&ID, &mut seen).await.unwrap(), Claimed::Busy(second));
    assert!(one.renew(&mut lost).await.unwrap());
    tokio::time::advance(second * 2).await;
    assert_eq!(other.claim(&ID, &mut seen).await.unwrap(), Claimed::Busy(LEASE));
    assert!(lost.ends_at() < Instant::now() + LEASE, "and it ends for its holder before that");
    tokio::time::advance(LEASE).await;
    let Claimed::Ours(claim) = other.claim(&ID, &mut seen).await.unwrap() else {
        panic!("it is not taken over");
    };
    assert!(claim.is_again);
    // The first one wakes up: the claim is not its own any more, and it has nothing to say.
    assert!(!one.renew(&mut lost).await.unwrap());
    one.release(&lost).await.unwrap();
    other.sent(&claim).await.unwrap();
    let entry = one.entry(&ID).await.unwrap().unwrap();
    assert_eq!((entry.state, entry.doubts, &*entry.by.member), (State::Sent, 1, "b"));
}

#[tokio::test]
async fn a_renewal_that_was_let_go_of_does_not_lose_the_outcome() {
    let (views, clock) = (Views::memory(), ManualClock::new(1_000));
    let ledger = ledger(&views, &clock, "a");
    let mut claim = ours(&ledger).await;
    {
        let renewing = ledger.renew(&mut claim);
        futures::pin_mut!(renewing);
        // It is on its way, and nobody hears what comes of it.
        assert!(futures::poll!(&mut renewing).is_pending());
    }
    ledger.sent(&claim).await.unwrap();
    assert_eq!(ledger.entry(&ID).await.unwrap().unwrap().state, State::Sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_claims_at_once_one_is_ours() {
    let (views, clock) = (Views::memory(), ManualClock::new(1_000));
    let ledgers: Vec<_> =
        ["a", "b", "c", "d"].iter().map(|name| ledger(&views, &clock, name)).collect();
    let claims = futures::future::join_all(
        ledgers.iter().map(async |one| one.claim(&ID, &mut Sighting::default()).await),
    )
    .await;
    let ours = claims.iter().filter(|claim| matches!(claim, Ok(Claimed::Ours(_)))).count();
    assert_eq!(ours, 1);
}
