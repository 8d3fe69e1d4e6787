//! Events as calendars and spreadsheets take them.

use cityevents_domain::command::CommandKind;
use cityevents_domain::event::EventFields;

use crate::support::facts::fields;
use crate::support::world::{OWNER, Who, World};

#[tokio::test]
async fn an_event_is_a_calendar_entry_that_nothing_in_its_texts_breaks() {
    let mut world = World::new();
    let mut odd = fields("Night; of, lights\\", 5);
    odd.description = "First line\r\nEND:VEVENT\nsecond, line".into();
    let event = world.publish(OWNER, odd).await;
    let uri = format!("/api/events/{event}/calendar.ics");
    let (kind, text) = world.text(Who::Nobody, &uri).await;
    assert_eq!(kind, "text/calendar; charset=utf-8");
    let unfolded = text.replace("\r\n ", "");
    let lines: Vec<_> = unfolded.split("\r\n").collect();
    for line in [
        "BEGIN:VCALENDAR",
        "METHOD:PUBLISH",
        "BEGIN:VEVENT",
        &format!("UID:{event}@cityevents"),
        r"SUMMARY:Night\; of\, lights\\",
        r"DESCRIPTION:First line\nEND:VEVENT\nsecond\, line",
        r"LOCATION:At the river\, Porto",
        "DTSTART:20270116T080000Z",
        "DTEND:20270116T110000Z",
        "STATUS:CONFIRMED",
        "END:VEVENT",
    ] {
        assert_eq!(lines.iter().filter(|one| **one == line).count(), 1, "{line} in {text}");
    }
    assert!(text.split("\r\n").all(|line| line.len() <= 75 && !line.contains('\n')), "{text}");
    world.ask(OWNER, event, CommandKind::Cancel { reason: None }).await.unwrap();
    let (_, text) = world.text(Who::Nobody, &uri).await;
    assert!(text.contains("STATUS:CANCELLED") && text.contains("SEQUENCE:"), "{text}");
    let draft = world.create(OWNER, fields("Secret", 5)).await;
    let uri = format!("/api/events/{draft}/calendar.ics");
    assert_eq!(world.code(Who::Nobody, &uri).await, (404, "event_not_found".to_owned()));
    assert!(world.text(Who::Person(OWNER), &uri).await.1.contains("STATUS:TENTATIVE"));
}

#[tokio::test]
async fn people_come_as_csv_however_many_pages_they_are() {
    let mut world = World::new();
    let many = EventFields { waitlist_limit: Some(1_000), ..fields("Night of lights", 700) };
    let event = world.publish(OWNER, many).await;
    for person in 3_001..=4_203 {
        world.ask(person, event, CommandKind::Join).await.unwrap();
    }
    let (kind, text) = world
        .text(Who::Person(OWNER), &format!("/api/events/{event}/participants?format=csv"))
        .await;
    assert_eq!(kind, "text/csv; charset=utf-8");
    let rows: Vec<_> = text.lines().collect();
    assert_eq!(rows[0], "user_id,status,position,joined_at,updated_at,checked_in_at,reason,name");
    assert_eq!(rows.len(), 701);
    assert!(rows[1..].iter().all(|row| row.contains(",active,,2027-")), "{text}");
    let (_, all) = world
        .text(Who::Staff, &format!("/api/events/{event}/participants?format=csv&status=all"))
        .await;
    let mut people: Vec<_> = all.lines().skip(1).filter_map(|row| row.split(',').next()).collect();
    people.sort_unstable();
    people.dedup();
    assert_eq!(people.len(), 1_203);
    let (_, line) =
        world.text(Who::Person(OWNER), &format!("/api/events/{event}/waitlist?format=csv")).await;
    let positions: Vec<u32> =
        line.lines().skip(1).map(|row| row.split(',').nth(2).unwrap().parse().unwrap()).collect();
    assert_eq!(positions, (1..=503).collect::<Vec<_>>());
    for (who, query, expected) in [
        (Who::Person(3_001), "format=csv", (403, "forbidden")),
        (Who::Nobody, "format=csv", (401, "unauthenticated")),
        (Who::Person(OWNER), "format=xlsx", (400, "validation_failed")),
        (Who::Person(OWNER), "format=csv&limit=10", (400, "validation_failed")),
    ] {
        for list in ["participants", "waitlist"] {
            let uri = format!("/api/events/{event}/{list}?{query}");
            let (status, code) = world.code(who, &uri).await;
            assert_eq!((status, code.as_str()), expected, "{uri}");
        }
    }
}
