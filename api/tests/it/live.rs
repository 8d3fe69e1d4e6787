//! Streams that say how things stand.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use axum::body::BodyDataStream;
use axum::http::StatusCode;
use cityevents_domain::actor::Role;
use cityevents_domain::command::CommandKind;
use cityevents_kit::keys::Standing;
use futures::StreamExt as _;
use serde_json::Value;

use crate::support::facts::{fields, user};
use crate::support::world::{OWNER, Who, World};

/// What a browser makes of a stream.
struct Stream {
    bytes: BodyDataStream,
    rest: String,
    waiting: VecDeque<(String, Value)>,
    /// What was said last, by name.
    last: HashMap<String, Value>,
}

impl Stream {
    async fn open(world: &World, who: Who, uri: &str) -> Self {
        let response = world.open(who, uri, &[]).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let bytes = response.into_body().into_data_stream();
        Self { bytes, rest: String::new(), waiting: VecDeque::new(), last: HashMap::new() }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            let chunk = self.bytes.next().await;
            self.rest.push_str(std::str::from_utf8(&chunk?.unwrap()).unwrap());
            while let Some((block, rest)) = self.rest.clone().split_once("\n\n") {
                self.rest = rest.to_owned();
                let field = |name: &str| {
                    block.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
                };
                if let (Some(event), Some(data)) = (field("event:"), field("data:")) {
                    self.waiting.push_back((event, serde_json::from_str(&data).unwrap()));
                }
            }
        }
    }

    /// Reads on until something is the last that was said.
    async fn until(&mut self, name: &str, says: impl Fn(&Value) -> bool) -> Value {
        let patience = tokio::time::sleep(Duration::from_secs(60));
        tokio::pin!(patience);
        loop {
            if let Some(last) = self.last.get(name).filter(|last| says(last)) {
                return last.clone();
            }
            let said = tokio::select! { said = self.next() => said, () = &mut patience => None };
            assert!(said.is_some(), "{name} is not said: {:?}", self.last);
            let (event, data) = said.unwrap();
            self.last.insert(event, data);
        }
    }
}

#[tokio::test]
async fn who_waits_sees_the_line_move_and_the_place_come_free() {
    let mut world = World::new();
    let event = world.publish(OWNER, fields("Night of lights", 1)).await;
    for person in 1..=3 {
        world.ask(person, event, CommandKind::Join).await.unwrap();
    }
    let uri = format!("/api/events/{event}/live");
    let mut third = Stream::open(&world, Who::Person(3), &uri).await;
    let mut stranger = Stream::open(&world, Who::Nobody, &uri).await;
    let counts = third.until("counts", |_| true).await;
    assert_eq!((&counts["active_participants"], &counts["waitlist_count"]), (&1.into(), &2.into()));
    assert_eq!(counts["free_places"], 0);
    let own = third.until("participation", |_| true).await;
    assert_eq!((&own["status"], &own["position"]), (&"waitlisted".into(), &2.into()));
    world.ask(1, event, CommandKind::Leave).await.unwrap();
    third.until("participation", |own| own["position"] == 1).await;
    world.ask(2, event, CommandKind::Leave).await.unwrap();
    let own = third.until("participation", |own| own["status"] == "active").await;
    assert!(own.get("position").is_none(), "{own}");
    let counts = third.until("counts", |counts| counts["waitlist_count"] == 0).await;
    assert_eq!(counts["active_participants"], 1);
    world.ask(OWNER, event, CommandKind::Cancel { reason: None }).await.unwrap();
    third.until("counts", |counts| counts["status"] == "canceled").await;
    // Nobody hears of others.
    world.draining.trigger();
    while let Some((name, data)) = stranger.next().await {
        assert_eq!(name, "counts", "{data}");
    }
    while third.next().await.is_some() {}
}

#[tokio::test]
async fn a_stream_ends_when_whose_it_is_is_locked_out_or_may_do_something_else() {
    let mut world = World::new();
    let event = world.publish(OWNER, fields("Night of lights", 9)).await;
    let uri = format!("/api/events/{event}/live");
    let mut other = Stream::open(&world, Who::Person(2), &uri).await;
    for standing in [Standing::Locked, Standing::Revoked, Standing::Allowed(Role::Moderator)] {
        let mut of_event = Stream::open(&world, Who::Person(1), &uri).await;
        let mut own = Stream::open(&world, Who::Person(1), "/api/me/live").await;
        of_event.until("counts", |_| true).await;
        world.standings.0.lock().insert(user(1), standing);
        let ended = async {
            while of_event.next().await.is_some() {}
            while own.next().await.is_some() {}
        };
        tokio::time::timeout(Duration::from_secs(60), ended).await.expect("they end");
        world.standings.0.lock().clear();
    }
    // Nobody else's does.
    world.ask(1, event, CommandKind::Join).await.unwrap();
    other.until("counts", |counts| counts["active_participants"] == 1).await;
}

#[tokio::test]
async fn own_registrations_are_followed_wherever_they_are() {
    let mut world = World::new();
    let first = world.publish(OWNER, fields("Night of lights", 1)).await;
    let second = world.publish(OWNER, fields("Morning run", 1)).await;
    world.ask(1, first, CommandKind::Join).await.unwrap();
    let mut own = Stream::open(&world, Who::Person(1), "/api/me/live").await;
    let of = |event: &dyn ToString, status: &'static str| {
        let event = event.to_string();
        move |own: &Value| own["event_id"] == *event && own["status"] == status
    };
    own.until("participation", of(&first, "active")).await;
    world.ask(2, second, CommandKind::Join).await.unwrap();
    world.ask(1, second, CommandKind::Join).await.unwrap();
    let waits = own.until("participation", of(&second, "waitlisted")).await;
    assert_eq!(waits["position"], 1);
    let kick = CommandKind::Kick { user: user(1), reason: None };
    world.ask(OWNER, first, kick).await.unwrap();
    own.until("participation", of(&first, "rejected")).await;
}

#[tokio::test]
async fn what_may_not_be_seen_is_refused_before_a_stream_begins() {
    let mut world = World::new();
    let draft = world.create(OWNER, fields("Secret", 1)).await;
    let uri = format!("/api/events/{draft}/live");
    // Its status first: a stream that begins has no end.
    assert_eq!(world.open(Who::Person(1), &uri, &[]).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.code(Who::Person(1), &uri).await, (404, "event_not_found".to_owned()));
    let nobody = world.open(Who::Nobody, "/api/me/live", &[]).await;
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    let mut owner = Stream::open(&world, Who::Person(OWNER), &uri).await;
    let own = owner.until("participation", |_| true).await;
    assert_eq!(own["status"], "none");
}
