//! Kick, ban, unban, and bans that run out.

use cityevents_domain::command::CommandKind;
use cityevents_domain::fact::{Change, Fact, Outcome, Verdict};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::{RegistrationCause, RegistrationStatus, SealedText};

use crate::fixtures::{
    HOUR, OWNER, STRANGER, Stage, ban, check_in, fields, kick, time, unban, user,
};

fn causes(fact: &Fact) -> Vec<&'static str> {
    let words = fact.changes.iter().map(|change| match change {
        Change::Registration { cause, .. } => cause.as_str(),
        Change::Banned(_) => "ban",
        Change::Unbanned { .. } => "unban",
        Change::Event { .. } => "event",
        Change::Message { .. } => "message",
    });
    words.collect()
}

#[test]
fn a_kick_removes_promotes_and_keeps_out_until_lifted() {
    let mut stage = Stage::published(fields(1)).joined(2);
    let fact = stage.accept(OWNER, kick(0));
    assert_eq!(causes(&fact), ["kicked", "promoted"]);
    assert_eq!(stage.status_of(0), Some(RegistrationStatus::Rejected));
    assert_eq!(stage.active(), [user(1)]);
    assert_eq!(stage.refusal(0, CommandKind::Join), Refusal::RemovedByOrganizer);
    stage.unchanged(OWNER, kick(0));
    stage.unchanged(0, CommandKind::Leave);
    assert_eq!(causes(&stage.accept(OWNER, unban(0))), ["lifted"]);
    assert_eq!(stage.status_of(0), Some(RegistrationStatus::Canceled));
    assert_eq!(stage.accept(0, CommandKind::Join).counters.waiting, 1);
}

#[test]
fn a_kick_needs_a_registration_and_also_keeps_out_who_has_left() {
    let mut stage = Stage::published(fields(1)).joined(1);
    assert_eq!(stage.refusal(OWNER, kick(STRANGER)), Refusal::NotJoined);
    assert_eq!(stage.refusal(OWNER, kick(OWNER)), Refusal::IsOrganizer);
    stage.accept(0, CommandKind::Leave);
    assert_eq!(causes(&stage.accept(OWNER, kick(0))), ["kicked"]);
    assert_eq!(stage.refusal(0, CommandKind::Join), Refusal::RemovedByOrganizer);
}

#[test]
fn a_kick_from_the_line_promotes_nobody() {
    let mut stage = Stage::published(fields(1)).joined(3);
    assert_eq!(causes(&stage.accept(OWNER, kick(1))), ["kicked"]);
    assert_eq!(stage.position_of(2), Some(1));
}

#[test]
fn the_reason_of_a_removal_travels_sealed_and_is_bounded() {
    let mut stage = Stage::published(fields(3)).joined(2);
    let kick =
        |bytes| CommandKind::Kick { user: user(0), reason: Some(SealedText(vec![7; bytes])) };
    let ban = |bytes| CommandKind::Ban {
        user: user(1),
        reason: Some(SealedText(vec![7; bytes])),
        expires_at: None,
    };
    assert_eq!(stage.refusal(OWNER, kick(4_097)), Refusal::InvalidState);
    assert_eq!(stage.refusal(OWNER, ban(4_097)), Refusal::InvalidState);
    let fact = stage.accept(OWNER, kick(4_096));
    let Change::Registration { reason, .. } = &fact.changes[0] else { panic!("{fact:?}") };
    assert_eq!(reason, &Some(SealedText(vec![7; 4_096])));
    let fact = stage.accept(OWNER, ban(9));
    let Change::Banned(kept) = &fact.changes[0] else { panic!("{fact:?}") };
    assert_eq!(kept.reason, Some(SealedText(vec![7; 9])));
}

#[test]
fn a_ban_reaches_also_who_never_joined() {
    let mut stage = Stage::published(fields(3));
    let fact = stage.accept(OWNER, ban(STRANGER, None));
    assert_eq!(causes(&fact), ["ban"]);
    assert_eq!(stage.refusal(STRANGER, CommandKind::Join), Refusal::Banned);
    assert_eq!(stage.refusal(STRANGER, CommandKind::Leave), Refusal::NotJoined);
    assert_eq!(causes(&stage.accept(OWNER, unban(STRANGER))), ["unban"]);
    stage.accept(STRANGER, CommandKind::Join);
}

#[test]
fn a_ban_removes_the_registration_and_promotes_and_unban_lifts_both() {
    let mut stage = Stage::published(fields(1)).joined(2);
    stage.accept(OWNER, check_in(0));
    let fact = stage.accept(OWNER, ban(0, None));
    assert_eq!(causes(&fact), ["ban", "banned", "promoted"]);
    assert_eq!(fact.counters.checked_in, 0);
    assert_eq!(stage.status_of(0), Some(RegistrationStatus::Rejected));
    assert_eq!(causes(&stage.accept(OWNER, unban(0))), ["unban", "lifted"]);
    assert_eq!(stage.status_of(0), Some(RegistrationStatus::Canceled));
    let outcome = stage.unchanged(OWNER, unban(0));
    assert_eq!(outcome, Outcome::Done { at: time(stage.now) });
}

#[test]
fn the_owner_cannot_be_banned_and_a_ban_that_has_run_out_is_none() {
    let mut stage = Stage::published(fields(1));
    assert_eq!(stage.refusal(OWNER, ban(OWNER, None)), Refusal::IsOrganizer);
    stage.now = HOUR;
    assert_eq!(stage.refusal(OWNER, ban(1, Some(time(HOUR)))), Refusal::InvalidState);
    stage.accept(OWNER, ban(1, Some(time(HOUR + 1))));
}

#[test]
fn a_ban_that_ran_out_keeps_nobody_out_whether_a_tick_came_or_not() {
    for is_ticked in [false, true] {
        let mut stage = Stage::published(fields(1)).joined(2);
        stage.accept(OWNER, ban(0, Some(time(HOUR))));
        assert_eq!(stage.partition.next_deadline(), Some(time(HOUR)));
        stage.now = HOUR - 1;
        assert_eq!(stage.refusal(0, CommandKind::Join), Refusal::Banned);
        stage.now = HOUR;
        if is_ticked {
            let Some(Verdict::Fact(fact)) = stage.tick_due() else { panic!("no tick") };
            assert_eq!(causes(&fact), ["unban", "lifted"]);
            assert_eq!(stage.status_of(0), Some(RegistrationStatus::Canceled));
        }
        let fact = stage.accept(0, CommandKind::Join);
        assert_eq!(fact.counters.waiting, 1);
        if !is_ticked {
            // The late tick takes the ban away and leaves the new registration alone.
            let Some(Verdict::Fact(fact)) = stage.tick_due() else { panic!("no tick") };
            assert_eq!(causes(&fact), ["unban"]);
            assert_eq!(stage.status_of(0), Some(RegistrationStatus::Waitlisted));
        }
        assert!(stage.tick_due().is_none());
    }
}

#[test]
fn who_came_back_after_a_ban_ran_out_can_be_banned_again() {
    let mut stage = Stage::published(fields(1)).joined(1);
    stage.accept(OWNER, ban(0, Some(time(10))));
    stage.now = 20;
    stage.accept(0, CommandKind::Join);
    let fact = stage.accept(OWNER, ban(0, None));
    assert_eq!(causes(&fact), ["ban", "banned"]);
    // The old expiry is forgotten with the old ban.
    assert!(stage.tick_due().is_none());
    assert_eq!(stage.refusal(0, CommandKind::Join), Refusal::Banned);
}

#[test]
fn a_ban_that_runs_out_does_not_lift_a_kick() {
    let mut stage = Stage::published(fields(1)).joined(1);
    stage.accept(OWNER, kick(0));
    assert_eq!(causes(&stage.accept(OWNER, ban(0, Some(time(10))))), ["ban"]);
    stage.now = 10;
    let Some(Verdict::Fact(fact)) = stage.tick_due() else { panic!("no tick") };
    assert_eq!(causes(&fact), ["unban"]);
    assert_eq!(stage.refusal(0, CommandKind::Join), Refusal::RemovedByOrganizer);
}

#[test]
fn a_kick_of_somebody_banned_outlasts_the_ban() {
    let mut stage = Stage::published(fields(1)).joined(1);
    stage.accept(OWNER, ban(0, Some(time(10))));
    assert_eq!(causes(&stage.accept(OWNER, kick(0))), ["kicked"]);
    stage.now = 10;
    assert!(matches!(stage.tick_due(), Some(Verdict::Fact(_))));
    assert_eq!(stage.refusal(0, CommandKind::Join), Refusal::RemovedByOrganizer);
    assert_eq!(causes(&stage.accept(OWNER, unban(0))), ["lifted"]);
}

#[test]
fn many_bans_that_run_out_at_once_are_lifted_five_hundred_in_a_fact() {
    let mut stage = Stage::published(fields(0));
    stage.is_thorough = false;
    for number in 0..1_200 {
        stage.accept(OWNER, ban(number, Some(time(HOUR))));
    }
    stage.now = HOUR;
    let mut lifted = Vec::new();
    while let Some(verdict) = stage.tick_due() {
        let Verdict::Fact(fact) = verdict else { panic!("{verdict:?}") };
        lifted.push(fact.changes.len());
    }
    assert_eq!(lifted, [500, 500, 200]);
    assert_eq!(stage.state().bans().map(|bans| bans.iter().count()), Some(0));
}

#[test]
fn the_cause_tells_a_ban_from_a_kick() {
    let mut stage = Stage::published(fields(2)).joined(2);
    stage.accept(OWNER, kick(0));
    stage.accept(OWNER, ban(1, None));
    let causes: Vec<_> = stage.facts.iter().flat_map(causes).collect();
    let kicked = RegistrationCause::Kicked.as_str();
    let banned = RegistrationCause::Banned.as_str();
    assert_eq!(causes.iter().filter(|cause| **cause == kicked).count(), 1);
    assert_eq!(causes.iter().filter(|cause| **cause == banned).count(), 1);
}
