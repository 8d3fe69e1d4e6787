//! Data to look at: events in several cities, people who joined, lines of people who wait.
//!
//! Made over HTTP like everything that people do. Who does what under which key is fixed for a day,
//! so that a fill that was cut off goes on when it is asked for again, and nothing is made twice.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use cityevents_api::identity::{Password, Passwords};
use cityevents_domain::actor::Role;
use cityevents_domain::ids::{CommandId, UserId};
use cityevents_kit::Config;
use cityevents_kit::keys::{KeyRing, TokenSigner};
use hyper::{Method, StatusCode};
use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Answer, Connection};
use super::crowd::Person;
use crate::admin::{self, AccountQuestion, AskedAccount, Question};
use crate::commands::random_id;
use crate::output;

/// People who join, wait and look.
const PEOPLE: usize = 120;
/// Accounts that are looked at for those of an earlier fill.
const ACCOUNTS_LOOKED_AT: usize = 1_000;
/// People who organise.
const OWNERS: usize = 12;
/// Title, category, place, hour, length in hours, places, who goes there.
const KINDS: [Kind; 20] = [
    Kind("Open air cinema", "film", "City park", 20, 3, 12, 20),
    Kind("Sunday jazz brunch", "music", "Harbour hall", 11, 3, 8, 8),
    Kind("Night run", "sport", "Old bridge", 21, 2, 40, 24),
    Kind("Pottery for beginners", "workshop", "Studio in the yard", 18, 2, 4, 11),
    Kind("Guided tour: houses and their stories", "culture", "Town hall steps", 15, 2, 10, 6),
    Kind("Board game evening", "games", "Café at the corner", 19, 4, 6, 13),
    Kind("Street food market", "food", "Market square", 12, 8, 0, 30),
    Kind("Repair café", "community", "Library, first floor", 14, 4, 15, 9),
    Kind("String quartet by candlelight", "music", "St. Martin's", 20, 2, 60, 17),
    Kind("Bouldering for the curious", "sport", "Old power station", 17, 3, 12, 5),
    Kind("Short films from next door", "film", "Kino Orion", 21, 2, 80, 4),
    Kind("Urban sketching", "workshop", "Riverside stairs", 10, 3, 12, 7),
    Kind("Poetry slam", "culture", "Theatre cellar", 20, 3, 90, 14),
    Kind("Swap your plants", "community", "Greenhouse", 13, 3, 0, 3),
    Kind("Chess in the square", "games", "Fountain square", 16, 4, 32, 2),
    Kind("Natural wine, six glasses", "food", "Cellar No. 9", 19, 3, 14, 16),
    Kind("First steps in Rust", "tech", "Hackspace", 18, 3, 20, 10),
    Kind("Swing dance, no partner needed", "music", "Ballroom", 20, 3, 50, 12),
    Kind("Sunrise yoga", "sport", "Lake meadow", 6, 1, 25, 1),
    Kind("Flea market of forgotten things", "community", "Tram depot", 9, 7, 0, 22),
];
const CITIES: [&str; 12] = [
    "Leipzig",
    "Lisbon",
    "Kyoto",
    "Bologna",
    "Gdańsk",
    "Montréal",
    "Ghent",
    "Porto",
    "Łódź",
    "Tbilisi",
    "Oaxaca",
    "Utrecht",
];

struct Kind(&'static str, &'static str, &'static str, i8, i64, u32, usize);

/// Accounts to look around with: address, name, role.
const ACCOUNTS: [(&str, &str, Role); 3] = [
    ("admin@example.org", "Admin", Role::Admin),
    ("organiser@example.org", "Organiser", Role::User),
    ("guest@example.org", "Guest", Role::User),
];

/// Fills an instance that has no published event yet; leaves any other as it is. Tells the
/// passwords of the accounts that it makes, once.
///
/// # Errors
/// When the instance does not answer, or refuses something.
pub async fn fill(config: &Config, http: SocketAddr, ops: SocketAddr) -> anyhow::Result<()> {
    let mut connection = Connection::open(http).await?;
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    if !is_empty_or_begun(&mut connection, today).await? {
        return Ok(());
    }
    let signer = TokenSigner::new(KeyRing::open(&config.keys_dir())?, config);
    let accounts = tokio::task::spawn_blocking(move || accounts(ops)).await??;
    let [_, organiser, guest] = accounts;
    let mut owners = people(&signer, "owner", OWNERS)?;
    owners[0] = person(&signer, organiser)?;
    let mut guests = people(&signer, "guest", PEOPLE)?;
    guests[0] = person(&signer, guest)?;
    let world = Arc::new(World { owners, guests, today });
    // The cities at once: each write waits for the disk, and the waits of many are one.
    let cities = CITIES
        .into_iter()
        .enumerate()
        .map(|(number, city)| tokio::spawn(fill_city(http, Arc::clone(&world), number, city)));
    let mut events = Vec::new();
    for city in cities.collect::<Vec<_>>() {
        events.extend(city.await??);
    }
    look_around(&mut connection, &world, &events).await?;
    tracing::info!("made {} events to look at", events.len());
    Ok(())
}

/// Who is there.
struct World {
    owners: Vec<Person>,
    guests: Vec<Person>,
    today: Date,
}

/// The events of one city, and who joins them: some cities are livelier than others.
async fn fill_city(
    http: SocketAddr,
    world: Arc<World>,
    city_number: usize,
    city: &'static str,
) -> anyhow::Result<Vec<String>> {
    let mut connection = Connection::open(http).await?;
    let mut events = Vec::new();
    for (kind_number, kind) in KINDS.iter().enumerate() {
        let number = city_number * KINDS.len() + kind_number;
        let owner = &world.owners[number % OWNERS];
        let fields = fields(kind, city, world.today, number)?;
        let id = publish(&mut connection, owner, &fields, number, world.today).await?;
        let crowd = kind.6 * (3 + number * 5 % 4) / 6;
        for guest in 0..crowd.max(1) {
            let guest = &world.guests[(guest + 7 * number) % PEOPLE];
            join(&mut connection, guest, &id).await?;
        }
        events.push(id);
    }
    Ok(events)
}

/// Everybody looks at some events.
async fn look_around(
    connection: &mut Connection,
    world: &World,
    events: &[String],
) -> anyhow::Result<()> {
    for (number, guest) in world.guests.iter().enumerate() {
        let looks = events.iter().skip(number % 7).step_by(5 + number % 9);
        let signals: Vec<_> =
            looks.map(|event| json!({ "event_type": "view", "event_id": event })).collect();
        let body = Bytes::from(serde_json::to_vec(&signals)?);
        let answer = connection.post_as(&guest.bearer, "/api/feed/track", None, body).await?;
        ensure!(answer.status == StatusCode::ACCEPTED, refusal("looking around", &answer));
    }
    Ok(())
}

/// Whether there is nothing yet, or only what an unfinished fill of this day has made.
async fn is_empty_or_begun(connection: &mut Connection, today: Date) -> anyhow::Result<bool> {
    let mark = mark_of(today);
    let is_ours = |event: &Value| {
        event["location"].as_str().is_some_and(|location| location.ends_with(&mark))
    };
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let path = format!("/api/events?limit=100{cursor}");
        let answer = connection.send(Method::GET, &path, &[], Bytes::new()).await?;
        ensure!(answer.status == StatusCode::OK, refusal("listing events", &answer));
        let body = answer.json()?;
        let items = body["items"].as_array().context("the list of events has no items")?;
        count += items.len();
        if !items.iter().all(is_ours) || count >= CITIES.len() * KINDS.len() {
            return Ok(false);
        }
        match body["next_cursor"].as_str() {
            None => return Ok(true),
            Some(next) => cursor = format!("&cursor={next}"),
        }
    }
}

/// What tells the sample events of a day from events that people made.
fn mark_of(today: Date) -> String {
    format!("(sample of {today})")
}

fn people(signer: &TokenSigner, what: &str, count: usize) -> anyhow::Result<Vec<Person>> {
    let one = |number: usize| {
        let nobody = UserId::from_bytes([0; 16]);
        let id = CommandId::derive(&nobody, "sample", what, &number.to_string());
        person(signer, UserId::from_bytes(*id.as_bytes()))
    };
    (0..count).map(one).collect()
}

fn person(signer: &TokenSigner, user: UserId) -> anyhow::Result<Person> {
    let session = Uuid::from_bytes(random_id());
    let token = signer.sign(&user, Role::User, &session)?;
    Ok(Person { user, bearer: format!("Bearer {token}") })
}

/// The ids of [`ACCOUNTS`]; those that are not there are made, and their passwords told. Blocks.
fn accounts(ops: SocketAddr) -> anyhow::Result<[UserId; 3]> {
    let ask = |question| admin::ask_running(ops, &Question::Account(question));
    let there = ask(AccountQuestion::List { role: None, limit: ACCOUNTS_LOOKED_AT })?;
    let there = there["accounts"].as_array().context("the list of accounts has no items")?;
    let passwords = Passwords::start()?;
    let mut ids = [UserId::from_bytes([0; 16]); 3];
    for (id, (email, name, role)) in ids.iter_mut().zip(ACCOUNTS) {
        let mut account = there.iter().find(|account| account["email"] == email).cloned();
        if account.is_none() {
            let password = URL_SAFE_NO_PAD.encode(random_id());
            let good = Password::new(password.as_str())?;
            let password_hash = futures::executor::block_on(passwords.hash(&good))?;
            let (email, name) = (email.to_owned(), Some(name.to_owned()));
            let role = role.as_str().to_owned();
            let asked = AskedAccount { email, name, role: role.clone(), password_hash };
            let made = ask(AccountQuestion::Create(asked))?;
            let email = made["email"].as_str().unwrap_or_default();
            output::line(&format!("sign in as {email} ({role}) with {password}"));
            account = Some(made);
        }
        let account = account.and_then(|account| account["id"].as_str()?.parse().ok());
        *id = account.context("an account without id")?;
    }
    output::note("these passwords are shown this once");
    Ok(ids)
}

fn fields(kind: &Kind, city: &str, today: Date, number: usize) -> anyhow::Result<Vec<u8>> {
    let Kind(title, category, place, hour, hours, capacity, _) = kind;
    let days = i64::try_from(3 + number * 7 % 60)?;
    let midnight = today.to_datetime(Time::midnight()).to_zoned(jiff::tz::TimeZone::UTC)?;
    let start = midnight.timestamp()
        + SignedDuration::from_hours(24 * days)
        + SignedDuration::from_hours(i64::from(*hour));
    let end = start + SignedDuration::from_hours(*hours);
    Ok(serde_json::to_vec(&json!({
        "title": title,
        "description": format!("{title} in {city}. Come as you are, bring a friend."),
        "city": city,
        "category": category,
        "location": format!("{place} {}", mark_of(today)),
        "start_time": start.to_string(),
        "end_time": end.to_string(),
        "capacity": capacity,
    }))?)
}

async fn publish(
    connection: &mut Connection,
    owner: &Person,
    fields: &[u8],
    number: usize,
    today: Date,
) -> anyhow::Result<String> {
    let body = Bytes::copy_from_slice(fields);
    let key = format!("sample-{today}-{number}");
    let created = connection.post_as(&owner.bearer, "/api/events", Some(&key), body).await?;
    ensure!(created.status == StatusCode::CREATED, refusal("making an event", &created));
    let id = created.json()?["id"].as_str().context("an event without id")?.to_owned();
    let path = format!("/api/events/{id}/publish");
    let published =
        connection.post_as(&owner.bearer, &path, Some("sample-publish"), Bytes::new()).await?;
    ensure!(published.status == StatusCode::OK, refusal("publishing an event", &published));
    Ok(id)
}

async fn join(connection: &mut Connection, guest: &Person, event: &str) -> anyhow::Result<()> {
    let path = format!("/api/events/{event}/join");
    let answer =
        connection.post_as(&guest.bearer, &path, Some("sample-join"), Bytes::new()).await?;
    if answer.status != StatusCode::OK {
        bail!(refusal("joining", &answer));
    }
    Ok(())
}

fn refusal(what: &str, answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    format!("{what} was answered with {}: {body}", answer.status)
}
