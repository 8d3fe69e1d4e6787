//! The table of mails, line by line.

use cityevents_domain::actor::Role;
use cityevents_domain::event::{Capacity, Counters, EventFields};
use cityevents_domain::fact::Outcome;
use cityevents_domain::ids::{CommandId, EventId};
use cityevents_domain::registration::{Ban, SealedText};
use cityevents_domain::time::Timestamp;

use super::*;

const EVENT: EventId = EventId::from_bytes([1; 16]);
const OWNER: UserId = UserId::from_bytes([2; 16]);
const ADA: UserId = UserId::from_bytes([3; 16]);
const STAFF: UserId = UserId::from_bytes([4; 16]);
const AT: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn fact(actor: UserId, changes: Vec<Change>) -> Fact {
    Fact {
        event: EVENT,
        event_seq: 5,
        command: CommandId::from_bytes([9; 16]),
        command_digest: 0,
        at: AT,
        actor: Actor::Person { user: actor, role: Role::User },
        changes,
        counters: Counters::default(),
        outcome: Outcome::Done { at: AT },
    }
}

fn row(status: EventStatus, published: bool) -> Box<Event> {
    Box::new(Event {
        id: EVENT,
        owner: OWNER,
        fields: EventFields {
            title: "Jazz".into(),
            description: "Loud".into(),
            city: "Vienna".into(),
            category: "music".into(),
            location: String::new(),
            start_time: AT,
            end_time: AT,
            capacity: Capacity::Unlimited,
            waitlist_limit: None,
            opens_at: None,
            cover_image_ids: Vec::new(),
        },
        status,
        version: 7,
        created_at: AT,
        updated_at: AT,
        published_at: published.then_some(AT),
        canceled_at: None,
    })
}

fn event(cause: EventCause, status: EventStatus, reason: Option<&str>) -> Change {
    Change::Event { cause, event: row(status, true), reason: reason.map(String::from) }
}

fn registration(
    cause: RegistrationCause,
    status: RegistrationStatus,
    position: Option<u32>,
) -> Change {
    let registration = Registration {
        user: ADA,
        status,
        joined_at: AT,
        updated_at: AT,
        ticket: None,
        checked_in_at: None,
    };
    let reason = Some(SealedText(vec![8]));
    Change::Registration { cause, registration, position, reason }
}

fn told(actor: UserId, change: Change) -> Vec<Tell> {
    tell(&fact(actor, vec![change]))
}

#[test]
fn people_hear_what_became_of_their_registration() {
    use RegistrationCause as Cause;
    use RegistrationStatus as Status;
    let event = EVENT;
    let reason = Some(SealedText(vec![8]));
    let rows = [
        (Cause::Joined, Status::Active, None, Some(EmailContent::PlaceConfirmed { event })),
        (
            Cause::Joined,
            Status::Waitlisted,
            Some(4),
            Some(EmailContent::Waitlisted { event, position: 4 }),
        ),
        (Cause::Promoted, Status::Active, None, Some(EmailContent::PlaceCameFree { event })),
        (
            Cause::Kicked,
            Status::Rejected,
            None,
            Some(EmailContent::Removed { event, reason, until: None }),
        ),
        (Cause::Left, Status::Canceled, None, None),
        (Cause::Lifted, Status::Canceled, None, None),
        (Cause::CheckedIn, Status::Active, None, None),
        (Cause::Banned, Status::Rejected, None, None),
    ];
    for (cause, status, position, content) in rows {
        let expected: Vec<_> = content.map(|content| Tell::One(ADA, content)).into_iter().collect();
        assert_eq!(told(OWNER, registration(cause, status, position)), expected, "{cause:?}");
    }
}

#[test]
fn who_is_banned_hears_of_it_once_with_reason_and_end() {
    let (reason, until) = (Some(SealedText(vec![1])), Some(AT));
    let ban = Ban {
        user: ADA,
        banned_by: OWNER,
        banned_at: AT,
        expires_at: until,
        reason: reason.clone(),
    };
    let changes = vec![
        registration(RegistrationCause::Banned, RegistrationStatus::Rejected, None),
        Change::Banned(ban),
    ];
    let event = EVENT;
    let expected = vec![Tell::One(ADA, EmailContent::Removed { event, reason, until })];
    assert_eq!(tell(&fact(OWNER, changes)), expected);
    assert_eq!(told(OWNER, Change::Unbanned { user: ADA }), []);
}

#[test]
fn a_cancellation_is_told_to_the_owner_at_once_and_to_the_others_step_by_step() {
    let reason = Some("rain".to_owned());
    let canceled = event(EventCause::Canceled, EventStatus::Canceled, Some("rain"));
    let owner = EmailContent::EventCanceled {
        event: EVENT,
        version: 7,
        reason: reason.clone(),
        standing: EmailStanding::Owner,
    };
    let remembered = Canceled { version: 7, reason, trace: None };
    let expected = vec![Tell::Remember(remembered), Tell::One(OWNER, owner)];
    assert_eq!(told(OWNER, canceled), expected);
    for (position, standing) in [(None, EmailStanding::Active), (Some(3), EmailStanding::Waiting)] {
        let (cause, status) = (RegistrationCause::EventCanceled, RegistrationStatus::Expired);
        let expected = vec![Tell::CalledOff(ADA, standing)];
        assert_eq!(told(STAFF, registration(cause, status, position)), expected);
    }
}

#[test]
fn a_change_of_time_or_place_is_told_to_all_once_the_event_was_published() {
    let notable = EventCause::Updated { notable: true };
    let expected = vec![Tell::Many(Occasion::Changed { version: 7 })];
    assert_eq!(told(OWNER, event(notable, EventStatus::Published, None)), expected);
    assert_eq!(told(OWNER, event(notable, EventStatus::Draft, None)), expected);
    let draft =
        Change::Event { cause: notable, event: row(EventStatus::Draft, false), reason: None };
    assert_eq!(told(OWNER, draft), []);
    for cause in EventCause::ALL {
        let is_told = matches!(cause, EventCause::Canceled) || cause == notable;
        let told = told(OWNER, event(cause, EventStatus::Draft, None));
        assert_eq!(!told.is_empty(), is_told, "{cause:?}");
    }
}

#[test]
fn the_owner_hears_when_staff_takes_an_event_back_and_not_of_the_own_doing() {
    let unpublished = || event(EventCause::Unpublished, EventStatus::Draft, Some("spam"));
    assert_eq!(told(OWNER, unpublished()), []);
    let reason = Some("spam".to_owned());
    let content = EmailContent::EventUnpublished { event: EVENT, version: 7, reason };
    assert_eq!(told(STAFF, unpublished()), [Tell::One(OWNER, content)]);
}

#[test]
fn a_message_goes_to_those_addressed() {
    use RegistrationStatus::{Active, Canceled as Left, Expired, Rejected, Waitlisted};
    for (to, meant) in [
        (Audience::Active, &[Active][..]),
        (Audience::Waitlisted, &[Waitlisted]),
        (Audience::All, &[Active, Waitlisted]),
    ] {
        let message = Change::Message { to, subject: "s".into(), text: "t".into() };
        let told = told(OWNER, message);
        let [Tell::Many(occasion)] = &told[..] else { panic!("{told:?}") };
        for status in [Active, Waitlisted, Left, Rejected, Expired] {
            let content = occasion.content(EVENT, status);
            assert_eq!(content.is_some(), meant.contains(&status), "{to:?} {status:?}");
        }
    }
}
