//! Who is locked out or gone gives their places back, and nothing personal stays.

use cityevents_api::identity::{LeaveError, LeaveEvents};
use cityevents_domain::actor::Actor;
use cityevents_domain::command::CommandKind;
use cityevents_domain::event::EventStatus;
use cityevents_domain::ids::EventId;
use cityevents_domain::refusal::Refusal;
use cityevents_domain::registration::RegistrationStatus;
use cityevents_domain::time::{Millis, Timestamp};
use cityevents_kit::keys::TokenError;
use cityevents_views::{
    Mutation, PersonKey, PersonKeys as _, ProfileRow, ProfileSignal, ReadEvents as _,
    ReadProfiles as _, ReadRegistrations as _, WriteTables as _, WriteTimestamp,
};

use super::*;
use crate::support::facts::{Facts, fields};
use crate::support::rows;

/// Decides as the processors do, and writes the rows.
pub(super) struct Events {
    memory: Arc<MemoryViews>,
    facts: Mutex<Facts>,
    /// Nobody takes commands.
    pub(super) is_away: std::sync::atomic::AtomicBool,
    /// Events that nobody can leave.
    stuck: Mutex<Vec<EventId>>,
}

impl Events {
    pub(super) fn new(memory: Arc<MemoryViews>) -> Self {
        Self {
            memory,
            facts: Mutex::new(Facts::new(1)),
            is_away: false.into(),
            stuck: Mutex::default(),
        }
    }

    pub(super) async fn ask(
        &self,
        user: UserId,
        event: EventId,
        kind: CommandKind,
    ) -> Result<(), Refusal> {
        let actor = Actor::Person { user, role: Role::User };
        let linked = self.facts.lock().ask(actor, event, kind)?;
        if let Some(fact) = &linked.fact {
            self.memory.write(rows::of_fact(fact)).await.unwrap();
        }
        Ok(())
    }

    pub(super) async fn publish(&self, owner: UserId, title: &str, places: u32) -> EventId {
        let id = self.facts.lock().next_id();
        let event = EventId::of_create(&id);
        let actor = Actor::Person { user: owner, role: Role::User };
        let kind = CommandKind::Create(Box::new(fields(title, places)));
        let linked = self.facts.lock().ask_as(id, actor, event, kind).unwrap();
        self.memory.write(rows::of_fact(&linked.fact.unwrap())).await.unwrap();
        self.ask(owner, event, CommandKind::Publish).await.unwrap();
        event
    }

    async fn status(&self, event: EventId, user: UserId) -> Option<RegistrationStatus> {
        let row = self.memory.registration(event, user).await.unwrap();
        row.map(|row| row.registration.status)
    }
}

impl LeaveEvents for Events {
    fn leave(&self, user: UserId, event: EventId) -> BoxFuture<'_, Result<(), LeaveError>> {
        Box::pin(async move {
            if self.is_away.load(Ordering::SeqCst) {
                let reason = "nobody takes commands".to_owned();
                return Err(LeaveError { reason, retry_after: Duration::from_secs(2) });
            }
            if self.stuck.lock().contains(&event) {
                let reason = "this event cannot be left".to_owned();
                return Err(LeaveError { reason, retry_after: Duration::from_secs(2) });
            }
            // Whatever was decided: there is nothing to leave any more.
            self.ask(user, event, CommandKind::Leave).await.ok();
            Ok(())
        })
    }

    fn call_off(&self, owner: UserId, event: EventId) -> BoxFuture<'_, Result<(), LeaveError>> {
        Box::pin(async move {
            self.ask(owner, event, CommandKind::Cancel { reason: None }).await.ok();
            Ok(())
        })
    }
}

const OWNER: UserId = UserId::from_bytes([0x77; 16]);

#[tokio::test]
async fn a_banned_person_gives_their_places_to_the_line() {
    let world = World::new();
    let events = &world.events;
    let (ada, _) = world.person("ada@b.co", Role::User).await;
    let (ben, _) = world.person("ben@b.co", Role::User).await;
    let (_, staff) = world.person("eve@b.co", Role::Moderator).await;
    let event = events.publish(OWNER, "Night of lights", 1).await;
    let late = events.publish(OWNER, "Morning run", 1).await;
    events.ask(ada, event, CommandKind::Join).await.unwrap();
    events.ask(ben, event, CommandKind::Join).await.unwrap();
    assert_eq!(events.status(event, ben).await, Some(RegistrationStatus::Waitlisted));
    // Nobody takes commands when it happens: it is made good later.
    events.is_away.store(true, Ordering::SeqCst);
    let ban = format!("/api/auth/mod/users/{ada}/ban");
    let said = world.ask_as(&staff.token(), &ban, None).await;
    assert_eq!(said.status, StatusCode::OK);
    world.pass(6);
    assert!(world.identity.departures_page().await.is_err());
    assert_eq!(events.status(event, ada).await, Some(RegistrationStatus::Active));
    // A join that was on its way when the account was locked.
    events.ask(ada, late, CommandKind::Join).await.unwrap();
    events.is_away.store(false, Ordering::SeqCst);
    world.identity.departures_page().await.unwrap();
    assert_eq!(events.status(event, ada).await, Some(RegistrationStatus::Canceled));
    assert_eq!(events.status(late, ada).await, Some(RegistrationStatus::Canceled));
    assert_eq!(events.status(event, ben).await, Some(RegistrationStatus::Active));
    // Once: who is let in again keeps what they join then.
    let unban = format!("/api/auth/mod/users/{ada}/unban");
    world.ask_as(&staff.token(), &unban, None).await;
    events.ask(ada, late, CommandKind::Join).await.unwrap();
    world.pass(6);
    world.identity.departures_page().await.unwrap();
    assert_eq!(events.status(late, ada).await, Some(RegistrationStatus::Active));
}

#[tokio::test]
async fn who_cannot_be_let_go_does_not_hold_up_those_behind() {
    let world = World::new();
    let events = &world.events;
    let (ada, _) = world.person("ada@b.co", Role::User).await;
    let (ben, _) = world.person("ben@b.co", Role::User).await;
    let (_, staff) = world.person("eve@b.co", Role::Moderator).await;
    let stuck = events.publish(OWNER, "Night of lights", 5).await;
    let other = events.publish(OWNER, "Morning run", 5).await;
    events.stuck.lock().push(stuck);
    for (person, event) in [(ada, other), (ada, stuck), (ben, other)] {
        events.ask(person, event, CommandKind::Join).await.unwrap();
    }
    for person in [ada, ben] {
        let ban = format!("/api/auth/mod/users/{person}/ban");
        let said = world.ask_as(&staff.token(), &ban, None).await;
        assert_eq!(said.status, StatusCode::OK);
        world.pass(1);
    }
    world.pass(6);
    // Ada is the first of the list, and can leave only one of two.
    assert!(world.identity.departures_page().await.is_err());
    for person in [ada, ben] {
        assert_eq!(events.status(other, person).await, Some(RegistrationStatus::Canceled));
    }
    assert_eq!(events.status(stuck, ada).await, Some(RegistrationStatus::Active));
    events.stuck.lock().clear();
    world.identity.departures_page().await.unwrap();
    assert_eq!(events.status(stuck, ada).await, Some(RegistrationStatus::Canceled));
}

#[tokio::test]
async fn an_event_that_was_published_while_its_owner_was_being_erased_is_called_off() {
    let world = World::new();
    let events = &world.events;
    let (ada, out) = world.person("ada@b.co", Role::User).await;
    let (ben, _) = world.person("ben@b.co", Role::User).await;
    let token = out.token();
    let ask = Ask { token: Some(&token), ..Ask::default() };
    assert_eq!(world.send("DELETE", "/api/auth/me", ask).await.status, StatusCode::NO_CONTENT);
    // Decided after it was looked whether there is one.
    let event = events.publish(ada, "Night of lights", 5).await;
    events.ask(ben, event, CommandKind::Join).await.unwrap();
    world.pass(6);
    world.identity.departures_page().await.unwrap();
    let row = world.memory.event(event).await.unwrap().unwrap();
    assert_eq!(row.event.status, EventStatus::Canceled);
    world.identity.departures_page().await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_none_by_todays_rules_is_erased_like_any_other() {
    let world = World::new();
    let (ada, out) = world.person("ada@b.co", Role::User).await;
    let key = || RecordKey::new(RecordKind::Account, ada.as_bytes().as_slice());
    let before = world.memory.record(key()).await.unwrap().unwrap();
    let mut old: Value = serde_json::from_slice(&before.value.content).unwrap();
    old["email"] = json!("ada at b.co");
    let value = RecordValue { content: old.to_string().into_bytes(), expires_at: None };
    let change = Change {
        key: key(),
        expected: Some(before.revision),
        revision: Revision([9; 16]),
        value: Some(value),
    };
    assert!(world.memory.change(change).await.unwrap());
    let token = out.token();
    let ask = Ask { token: Some(&token), ..Ask::default() };
    assert_eq!(world.send("DELETE", "/api/auth/me", ask).await.status, StatusCode::NO_CONTENT);
    let row = world.memory.record(key()).await.unwrap().unwrap();
    assert!(!String::from_utf8(row.value.content).unwrap().contains("ada at"));
}

#[tokio::test]
async fn an_erased_account_leaves_nothing_personal_and_its_address_free() {
    let world = World::new();
    let events = &world.events;
    let (ada, out) = world.person("Ada@b.co", Role::User).await;
    let (_, staff) = world.person("eve@b.co", Role::Moderator).await;
    let event = events.publish(OWNER, "Night of lights", 5).await;
    events.ask(ada, event, CommandKind::Join).await.unwrap();
    world.memory.insert_person_key_if_absent(ada, PersonKey([3; 32])).await.unwrap();
    let taste = |offset| {
        let at = Timestamp::from_millis(world.clock.now_ms());
        let signal =
            ProfileSignal { at, is_join: true, event: [1; 8], category: "film".to_owned() };
        let expires_at = at + Millis::hours(720);
        let row = ProfileRow { person: *ada.as_bytes(), signals: vec![signal], at, expires_at };
        world.memory.write(vec![Mutation::new(row, WriteTimestamp(offset))])
    };
    taste(4_000_000_000).await.unwrap();
    let ban = format!("/api/auth/mod/users/{ada}");
    world.ask_as(&staff.token(), &format!("{ban}/ban"), None).await;
    world.ask_as(&staff.token(), &format!("{ban}/unban"), None).await;
    let out_again = world.login("ada@b.co", PASSWORD).await;
    events.ask(ada, event, CommandKind::Join).await.ok();
    let token = out_again.token();
    // While it cannot be left, nothing happens.
    events.is_away.store(true, Ordering::SeqCst);
    let erase = |token| world.send("DELETE", "/api/auth/me", Ask { token, ..Ask::default() });
    assert_eq!(erase(Some(&token)).await.code(), "unavailable");
    assert_eq!(world.login("ada@b.co", PASSWORD).await.status, StatusCode::OK);
    events.is_away.store(false, Ordering::SeqCst);
    let erased = erase(Some(&token)).await;
    assert_eq!((erased.status, erased.cookie.as_deref()), (StatusCode::NO_CONTENT, Some("")));
    assert_eq!(events.status(event, ada).await, Some(RegistrationStatus::Canceled));
    assert_eq!(world.get("/api/auth/me", &token).await.code(), "unauthenticated");
    assert_eq!(world.login("ada@b.co", PASSWORD).await.code(), "invalid_credentials");
    let refreshed = world.refresh(&out_again.cookie.unwrap()).await;
    assert_eq!(refreshed.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.memory.person_key(ada).await.unwrap(), None);
    // What a signal says that was on its way counts no more.
    for late in [None, Some(4_000_000_001)] {
        if let Some(offset) = late {
            taste(offset).await.unwrap();
        }
        let liked = world.memory.profile(*ada.as_bytes(), Timestamp::MIN).await.unwrap().unwrap();
        assert_eq!(liked.signals, []);
    }
    let key = RecordKey::new(RecordKind::Account, ada.as_bytes().as_slice());
    let row = world.memory.record(key).await.unwrap().unwrap();
    let row = String::from_utf8(row.value.content).unwrap().to_lowercase();
    assert!(!row.contains("ada@") && !row.contains("argon2"), "{row}");
    let key = RecordKey::new(RecordKind::Address, "ada@b.co");
    assert_eq!(world.memory.record(key).await.unwrap(), None);
    // What staff did is still known, and elsewhere the tokens are no good.
    let (_, root) = world.person("root@b.co", Role::Admin).await;
    let trail = format!("/api/admin/audit-trail?target={ada}");
    let trail = world.get(&trail, &root.token()).await;
    assert_eq!(trail.body["data"]["items"].as_array().map(Vec::len), Some(2), "{}", trail.body);
    world.known(&ada, 4).await;
    for token in [out.token(), token] {
        assert_eq!(world.verifier.verify(&token).unwrap_err(), TokenError::Revoked);
        assert_eq!(world.get("/api/auth/me", &token).await.code(), "unauthenticated");
    }
    assert_eq!(world.register("ada@b.co").await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn who_owns_a_coming_event_or_administers_alone_is_not_erased() {
    let world = World::new();
    let (ada, out) = world.person("ada@b.co", Role::User).await;
    let event = world.events.publish(ada, "Night of lights", 5).await;
    let (_, root) = world.person("root@b.co", Role::Admin).await;
    for (token, why) in [(out.token(), event.to_string()), (root.token(), "last admin".into())] {
        let ask = Ask { token: Some(&token), ..Ask::default() };
        let said = world.send("DELETE", "/api/auth/me", ask).await;
        assert_eq!((said.status, said.code()), (StatusCode::CONFLICT, "invalid_state"));
        let detail = said.body["error"]["message"].as_str().unwrap();
        assert!(detail.contains(&why), "{detail}");
        assert_eq!(world.get("/api/auth/me", &token).await.status, StatusCode::OK);
    }
    world.events.ask(ada, event, CommandKind::Cancel { reason: None }).await.unwrap();
    let token = out.token();
    let ask = Ask { token: Some(&token), ..Ask::default() };
    let said = world.send("DELETE", "/api/auth/me", ask).await;
    assert_eq!(said.status, StatusCode::NO_CONTENT, "{}", said.body);
}

#[tokio::test]
async fn an_erasure_that_a_crash_cut_is_finished() {
    let world = World::new();
    let (ada, out) = world.person("ada@b.co", Role::User).await;
    // Rows that fail from here on: the account is shut, and the rest is still there.
    let key = || RecordKey::new(RecordKind::Account, ada.as_bytes().as_slice());
    let before = world.memory.record(key()).await.unwrap().unwrap();
    let token = out.token();
    let ask = Ask { token: Some(&token), ..Ask::default() };
    assert_eq!(world.send("DELETE", "/api/auth/me", ask).await.status, StatusCode::NO_CONTENT);
    let after = world.memory.record(key()).await.unwrap().unwrap();
    let mut cut: Value = serde_json::from_slice(&after.value.content).unwrap();
    let whole: Value = serde_json::from_slice(&before.value.content).unwrap();
    cut["email"] = whole["email"].clone();
    let value = RecordValue { content: cut.to_string().into_bytes(), expires_at: None };
    let change = Change {
        key: key(),
        expected: Some(after.revision),
        revision: Revision([9; 16]),
        value: Some(value),
    };
    assert!(world.memory.change(change).await.unwrap());
    let claim = json!({"account": ada.to_string(), "claimed_at_ms": 0}).to_string().into_bytes();
    let change = Change {
        key: RecordKey::new(RecordKind::Address, "ada@b.co"),
        expected: None,
        revision: Revision([8; 16]),
        value: Some(RecordValue { content: claim, expires_at: None }),
    };
    assert!(world.memory.change(change).await.unwrap());
    world.pass(6);
    world.identity.departures_page().await.unwrap();
    let row = world.memory.record(key()).await.unwrap().unwrap();
    assert!(!String::from_utf8(row.value.content).unwrap().contains("ada@"));
    let key = RecordKey::new(RecordKind::Address, "ada@b.co");
    assert_eq!(world.memory.record(key).await.unwrap(), None);
}

#[tokio::test]
async fn a_person_gets_all_that_is_kept_of_them() {
    let world = World::new();
    let (ada, out) = world.person("ada@b.co", Role::User).await;
    let event = world.events.publish(OWNER, "Night of lights", 5).await;
    world.events.ask(ada, event, CommandKind::Join).await.unwrap();
    let own = world.events.publish(ada, "Morning run", 5).await;
    let at = Timestamp::from_millis(world.clock.now_ms());
    let signal = |is_join| ProfileSignal { at, is_join, event: [1; 8], category: "film".into() };
    let (signals, expires_at) = (vec![signal(false), signal(true)], at + Millis::hours(1));
    let row = ProfileRow { person: *ada.as_bytes(), signals, at, expires_at };
    world.memory.write(vec![Mutation::new(row, WriteTimestamp(1))]).await.unwrap();
    let exported = world.get("/api/auth/me/export", &out.token()).await;
    let data = &exported.body["data"];
    assert_eq!(data["user"]["email"], "ada@b.co");
    assert_eq!(data["sessions"].as_array().map(Vec::len), Some(1));
    assert_eq!(data["registrations"][0]["event_id"], json!(event.to_string()));
    assert_eq!(data["registrations"][0]["title"], "Night of lights");
    assert_eq!(data["events"][0]["id"], json!(own.to_string()));
    assert_eq!(data["notifications"]["mail"]["event_changed"], true);
    let interests = data["interests"].as_array().unwrap();
    let kinds: Vec<_> = interests.iter().map(|one| (&one["kind"], &one["category"])).collect();
    assert_eq!(kinds, [(&json!("view"), &json!("film")), (&json!("join"), &json!("film"))]);
    assert!(!data.to_string().contains("argon2"));
}

#[tokio::test]
async fn mails_are_switched_off_one_by_one() {
    let world = World::new();
    let (_, out) = world.person("ada@b.co", Role::User).await;
    let token = out.token();
    let path = "/api/me/notifications";
    let patch = |body| {
        world.send("PATCH", path, Ask { body: Some(body), token: Some(&token), ..Ask::default() })
    };
    let said = patch(json!({"mail": {"event_changed": false, "waitlisted": false}})).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.body);
    patch(json!({"mail": {"waitlisted": true}})).await;
    let kept = world.get(path, &token).await.body;
    assert_eq!(
        (&kept["mail"]["event_changed"], &kept["mail"]["waitlisted"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(kept["mail"].as_object().map(serde_json::Map::len), Some(8));
    let said = patch(json!({"mail": {"weather": true}})).await;
    assert_eq!(said.code(), "validation_failed");
    assert!(said.body["error"]["meta"]["fields"]["mail.weather"].is_string(), "{}", said.body);
}

#[tokio::test]
async fn a_calendar_reads_what_one_goes_to_until_all_sessions_are_revoked() {
    let world = World::new();
    let (ada, out) = world.person("ada@b.co", Role::User).await;
    let event = world.events.publish(OWNER, "Night of lights", 5).await;
    let left = world.events.publish(OWNER, "Morning run", 5).await;
    for event in [event, left] {
        world.events.ask(ada, event, CommandKind::Join).await.unwrap();
    }
    world.events.ask(ada, left, CommandKind::Leave).await.unwrap();
    let link = world.get("/api/me/calendar", &out.token()).await.body;
    let path = link["url"].as_str().unwrap().split_once("/api/").unwrap().1.to_owned();
    let read = |path: String| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let router = world.router.clone();
        async move {
            let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            (parts.status, String::from_utf8(bytes.to_vec()).unwrap())
        }
    };
    let (status, text) = read(format!("/api/{path}")).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert!(text.contains("Night of lights") && !text.contains("Morning run"), "{text}");
    for wrong in ["", "x", &path[path.len() - 20..]] {
        let (status, _) = read(format!("/api/me/calendar.ics?token={wrong}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    world.pass(1);
    world.ask_as(&out.token(), "/api/auth/sessions/revoke", None).await;
    assert_eq!(read(format!("/api/{path}")).await.0, StatusCode::BAD_REQUEST);
}
