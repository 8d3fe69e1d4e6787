//! Rows by key.

use cityevents_domain::event::Counters;
use cityevents_domain::fact::Outcome;
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::{RegistrationCause, RegistrationStatus, SealedText};
use cityevents_domain::time::Timestamp;

use super::build::{active, at, ban, command_id, counters, event, event_id, user_id};
use super::{done, put};
use crate::row::{Mutation, OutcomeRow, OutcomeVerdict, ProgressRow, WriteTimestamp};
use crate::tables::EXPIRY_SLACK_MS;
use crate::{Row, Views};

const DAY_MS: i64 = 86_400_000;

fn outcome(command: u64, verdict: OutcomeVerdict, decided_at: i64) -> OutcomeRow {
    OutcomeRow {
        command: command_id(command),
        event: Some(event_id(1)),
        user: Some(user_id(2)),
        verdict,
        at: at(decided_at),
        expires_at: at(decided_at + DAY_MS),
    }
}

fn progress(projection: &str, partition: u32, next_offset: u64) -> ProgressRow {
    ProgressRow {
        projection: projection.to_owned(),
        partition,
        next_offset,
        cursor: format!("cursor {next_offset}"),
    }
}

pub fn a_row_of_each_table_reads_back_as_it_was_written(views: &Views) {
    let mut removed = active(1, 2, 50);
    removed.registration.status = RegistrationStatus::Rejected;
    removed.registration.checked_in_at = Some(at(60));
    removed.cause = RegistrationCause::Kicked;
    removed.reason = Some(SealedText(vec![9; 40]));
    let mut bare = event(2, i64::MIN);
    bare.event.fields.waitlist_limit = None;
    bare.event.fields.opens_at = None;
    bare.event.fields.cover_image_ids.clear();
    bare.event.fields.description = "x".repeat(16_000);
    let rows: Vec<Row> = vec![
        event(1, 100).into(),
        bare.clone().into(),
        removed.clone().into(),
        ban(1, 3).into(),
        counters(1, 5, u64::MAX).into(),
        progress("rows", 7, u64::MAX).into(),
    ];
    let write = |row: Row| Mutation { row, timestamp: WriteTimestamp(1) };
    done(views.write.write(rows.into_iter().map(write).collect()));

    assert_eq!(done(views.events.event(event_id(1))), Some(event(1, 100)));
    assert_eq!(done(views.events.event(event_id(2))), Some(bare));
    let found = done(views.registrations.registration(event_id(1), user_id(2)));
    assert_eq!(found, Some(removed));
    assert_eq!(done(views.bans.ban(event_id(1), user_id(3))), Some(ban(1, 3)));
    assert_eq!(done(views.counters.counters(event_id(1))), Some(counters(1, 5, u64::MAX)));
    let found = done(views.progress.progress("rows".to_owned(), 7));
    assert_eq!(found, Some(progress("rows", 7, u64::MAX)));
}

pub fn what_was_never_written_is_not_there(views: &Views) {
    done(views.write.write(Vec::new()));
    put(views, event(1, 100), 1);
    assert_eq!(done(views.events.event(event_id(2))), None);
    assert_eq!(done(views.registrations.registration(event_id(1), user_id(1))), None);
    assert_eq!(done(views.bans.ban(event_id(1), user_id(1))), None);
    assert_eq!(done(views.counters.counters(event_id(1))), None);
    assert_eq!(done(views.outcomes.outcome(command_id(1), Timestamp::MIN)), None);
    assert_eq!(done(views.progress.progress(String::new(), 0)), None);
    assert_eq!(done(views.person_keys.person_key(user_id(1))), None);
}

pub fn the_highest_timestamp_wins_in_whatever_order_it_comes(views: &Views) {
    for timestamp in [3, 1, 4, 2] {
        put(views, counters(1, timestamp, u64::from(timestamp)), u64::from(timestamp));
    }
    assert_eq!(done(views.counters.counters(event_id(1))), Some(counters(1, 4, 4)));
    put(views, counters(2, 1, 1), u64::MAX);
    put(views, counters(2, 2, 2), u64::MAX - 1);
    assert_eq!(done(views.counters.counters(event_id(2))), Some(counters(2, 1, 1)));
}

pub fn of_equal_timestamps_the_same_row_wins_in_either_order(views: &Views) {
    let mut winners = Vec::new();
    for (event, first, second) in [(1, 8, 9), (2, 9, 8)] {
        put(views, counters(event, first, 1), 5);
        put(views, counters(event, second, 1), 5);
        winners.push(done(views.counters.counters(event_id(event))).map(|row| row.counters));
    }
    assert_eq!(winners[0], winners[1]);
    let both = vec![
        Mutation::new(counters(3, 9, 1), WriteTimestamp(5)),
        Mutation::new(counters(3, 8, 1), WriteTimestamp(5)),
    ];
    done(views.write.write(both));
    let found: Option<Counters> =
        done(views.counters.counters(event_id(3))).map(|row| row.counters);
    assert_eq!(found, winners[0]);
}

pub fn rows_of_one_call_may_overwrite_each_other(views: &Views) {
    let mutation = |start, timestamp| Mutation::new(event(1, start), WriteTimestamp(timestamp));
    done(views.write.write(vec![mutation(100, 1), mutation(300, 3), mutation(200, 2)]));
    assert_eq!(done(views.events.event(event_id(1))), Some(event(1, 300)));
}

pub fn an_outcome_of_each_kind_reads_back_as_it_was_written(views: &Views) {
    let event = Outcome::Event {
        event: Box::new(event(1, 100).event),
        counters: Counters { active: 1, waiting: 2, checked_in: 3 },
    };
    let registration = Outcome::Registration {
        user: user_id(2),
        status: RegistrationStatus::Waitlisted,
        position: Some(12),
        updated_at: at(5),
    };
    let mut verdicts = vec![
        OutcomeVerdict::Accepted(event),
        OutcomeVerdict::Accepted(registration.clone()),
        OutcomeVerdict::Unchanged(registration),
        OutcomeVerdict::Unchanged(Outcome::Done { at: at(6) }),
        OutcomeVerdict::Undecodable,
    ];
    verdicts.extend(
        [
            Refusal::EventFull,
            Refusal::NotOpenYet { opens_at: at(-7) },
            Refusal::AlreadyCheckedIn { first_at: at(8) },
            Refusal::VersionConflict { current: u32::MAX },
        ]
        .map(OutcomeVerdict::Refused),
    );
    for (number, verdict) in (0..).zip(verdicts) {
        let mut row = outcome(number, verdict, 1_000);
        if row.verdict == OutcomeVerdict::Undecodable {
            (row.event, row.user) = (None, None);
        }
        put(views, row.clone(), 1);
        assert_eq!(done(views.outcomes.outcome(command_id(number), at(1_000))), Some(row));
    }
}

pub fn an_expired_outcome_is_not_there(views: &Views) {
    put(views, outcome(1, OutcomeVerdict::Refused(Refusal::EventFull), 0), 1);
    let found = |now| done(views.outcomes.outcome(command_id(1), at(now)));
    assert!(found(DAY_MS - 1).is_some());
    assert_eq!(found(DAY_MS), None);
    // Decided anew, it lives on from then.
    let accepted = outcome(1, OutcomeVerdict::Accepted(Outcome::Done { at: at(9) }), DAY_MS / 2);
    put(views, accepted.clone(), 2);
    assert_eq!(found(DAY_MS), Some(accepted));
    assert_eq!(found(DAY_MS + DAY_MS / 2), None);
    // Long after, whether it was taken away or not.
    put(views, outcome(2, OutcomeVerdict::Undecodable, 10 * DAY_MS), 1);
    assert_eq!(found(10 * DAY_MS), None);
    assert!(done(views.outcomes.outcome(command_id(2), at(10 * DAY_MS))).is_some());
}

pub fn an_outcome_outlives_a_reader_whose_clock_lags(views: &Views) {
    let row = outcome(1, OutcomeVerdict::Undecodable, 0);
    put(views, row.clone(), 1);
    // Log time has passed the expiry already.
    put(views, outcome(2, OutcomeVerdict::Undecodable, DAY_MS + EXPIRY_SLACK_MS), 2);
    assert_eq!(done(views.outcomes.outcome(command_id(1), at(DAY_MS - 1))), Some(row));
}

pub fn progress_is_kept_by_projection_and_partition(views: &Views) {
    let all = [("a", 0, 10), ("a", 1, 20), ("b", 0, 30), ("a\0", 0, 40), ("", 0, 50)];
    for (projection, partition, next_offset) in all {
        put(views, progress(projection, partition, next_offset), next_offset);
    }
    for (projection, partition, next_offset) in all {
        let found = done(views.progress.progress(projection.to_owned(), partition));
        assert_eq!(found, Some(progress(projection, partition, next_offset)));
    }
}

pub fn progress_never_goes_back(views: &Views) {
    put(views, progress("a", 0, 10), 10);
    put(views, progress("a", 0, 9), 9);
    let found = done(views.progress.progress("a".to_owned(), 0));
    assert_eq!(found.map(|row| row.next_offset), Some(10));
}

pub fn flushing_changes_nothing(views: &Views) {
    put(views, event(1, 100), 1);
    done(views.write.flush());
    done(views.write.flush());
    assert_eq!(done(views.events.event(event_id(1))), Some(event(1, 100)));
}
