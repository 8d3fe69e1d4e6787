//! One join is one trace, from its command to its mail.

use std::collections::{BTreeMap, BTreeSet};

use cityevents_domain::actor::Role;
use cityevents_domain::command::{Audience, CommandKind};
use cityevents_processors::registration::STEP_PEOPLE;
use cityevents_schemas::cloudevents::header;
use cityevents_schemas::topic;
use cityevents_trace::{SpanData, TRACE_PARENT, TraceParent, Tracer};
use prometheus_client::metrics::counter::Counter;

use super::fixture::{OWNER, World};

fn asked(trace: u8, flags: u8) -> TraceParent {
    TraceParent { trace_id: [trace; 16], parent_id: [trace; 8], flags }
}

/// A city in which the first of three who join is traced, and the spans that there are in the end.
fn traced(first: TraceParent) -> (World, Vec<SpanData>) {
    let mut world = World::new();
    let (tracer, mut ended) = Tracer::with_queue(1_000, Counter::default());
    world.tracer = tracer;
    let event = world.event(2);
    world.trace.set(Some(first));
    world.join(event, 0..1);
    world.trace.set(Some(asked(0xee, 0)));
    world.join(event, 1..3);
    world.settle();
    let mut mailer = world.mailer("one");
    world.send(&mut mailer);
    drop(mailer);
    let spans = std::iter::from_fn(|| ended.try_recv().ok()).collect();
    (world, spans)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_is_one_trace_from_its_command_to_its_mail() {
    let first = asked(0xab, 1);
    let (world, spans) = traced(first);
    let of_join = spans.iter().filter(|span| span.trace_id == first.trace_id);
    let by_name: BTreeMap<&str, &SpanData> = of_join.map(|span| (&*span.name, span)).collect();
    let names: Vec<_> = by_name.keys().copied().collect();
    assert_eq!(names, ["mailer send", "notifier tell", "projection write", "registration decide"]);
    let span = |name| by_name[name];
    let parent = |name| span(name).parent_id;
    assert_eq!(parent("registration decide"), Some(first.parent_id));
    let decided = Some(span("registration decide").span_id);
    assert_eq!(parent("projection write"), decided);
    assert_eq!(parent("notifier tell"), decided);
    assert_eq!(parent("mailer send"), Some(span("notifier tell").span_id));
    assert!(spans.iter().all(|span| span.error.is_none()), "{spans:?}");

    let mail = world.transport.mails();
    let sent = TraceParent { parent_id: span("mailer send").span_id, ..first };
    let head = format!("{TRACE_PARENT}: {sent}\r\n");
    let is_traced = |mail: &&cityevents_mail::Mail| mail.message.starts_with(head.as_bytes());
    assert_eq!(mail.iter().filter(is_traced).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_for_many_at_once_links_to_those_that_are_kept() {
    let first = asked(0xab, 1);
    let (_, spans) = traced(first);
    for (burst, one) in [
        ("registration burst", first.parent_id),
        ("projection batch", span_id(&spans, "registration decide")),
        ("notifier batch", span_id(&spans, "registration decide")),
    ] {
        let burst = spans.iter().find(|span| span.name == burst).unwrap();
        assert_eq!(burst.links, [TraceParent { parent_id: one, ..first }], "{burst:?}");
        assert_ne!(burst.trace_id, first.trace_id);
        assert_eq!(burst.parent_id, None);
    }
}

fn span_id(spans: &[SpanData], name: &str) -> [u8; 8] {
    spans.iter().find(|span| span.name == name).unwrap().span_id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_nobody_keeps_goes_on_in_headers_and_has_no_spans() {
    let (world, spans) = traced(asked(0xab, 0));
    assert_eq!(spans, []);
    for topic in [topic::EVENT_FACTS, topic::EMAILS] {
        let records = world.records(topic.name);
        let of = |record: &&cityevents_runtime::log::Record| {
            record.headers.get_text(header::TRACE_PARENT) == Some(&*asked(0xab, 0).to_string())
        };
        assert_eq!(records.iter().filter(of).count(), 1, "{}", topic.name);
    }
}

/// What the organiser does with 600 people there, and the spans and the heads of mails that come of it.
fn told_to_many(act: TraceParent, kind: CommandKind) -> (Vec<SpanData>, Vec<TraceParent>) {
    let mut world = World::new();
    let event = world.event(1_000);
    world.join(event, 0..600);
    world.settle();
    let (tracer, mut ended) = Tracer::with_queue(10_000, Counter::default());
    world.tracer = tracer;
    let before = world.mails().len();
    world.trace.set(Some(act));
    world.give(OWNER, Role::User, event, kind);
    world.trace.set(None);
    for _ in 0..2 {
        world.settle();
        world.clock.advance(1_000);
    }
    let mut mailer = world.mailer("one");
    world.send(&mut mailer);
    drop(mailer);
    let records = world.mails().split_off(before);
    let head = |record: &cityevents_runtime::log::Record| {
        record.headers.get_text(TRACE_PARENT).and_then(TraceParent::parse).unwrap()
    };
    let heads = records.iter().map(head).collect();
    (std::iter::from_fn(|| ended.try_recv().ok()).collect(), heads)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_are_told_is_steps_of_the_act_and_the_first_mail_of_each() {
    let act = asked(0xab, 1);
    let (to, subject, text) = (Audience::All, "Soon".to_owned(), "Wait.".to_owned());
    // The owner of an event that is called off gets a mail as well, by the fact of the act itself.
    let expired_in = 600_usize.div_ceil(STEP_PEOPLE.into());
    for (kind, step_count, of_owner) in [
        (CommandKind::Cancel { reason: None }, expired_in, 1),
        (CommandKind::Message { to, subject, text }, 2, 0),
    ] {
        let (spans, heads) = told_to_many(act, kind);
        let of_act: Vec<_> = spans.iter().filter(|span| span.trace_id == act.trace_id).collect();
        let named = |name: &str| -> Vec<&SpanData> {
            of_act.iter().copied().filter(|span| span.name == name).collect()
        };
        let ids = |spans: &[&SpanData]| -> BTreeSet<_> {
            spans.iter().map(|span| span.span_id).collect()
        };
        let (steps, told, sent) =
            (named("notifier step"), named("notifier tell"), named("mailer send"));
        let decided = named("registration decide")[0].span_id;
        let (acts, mails): (Vec<&SpanData>, Vec<&SpanData>) =
            told.iter().copied().partition(|span| span.parent_id == Some(decided));
        assert_eq!((acts.len(), steps.len()), (1, step_count), "{of_act:?}");
        assert!(steps.iter().all(|step| step.parent_id == Some(acts[0].span_id)));
        assert_eq!(ids(&steps).len(), step_count);
        assert_eq!((mails.len(), sent.len()), (step_count, step_count + of_owner));
        let parents = |spans: &[&SpanData]| -> BTreeSet<_> {
            spans.iter().filter_map(|span| span.parent_id).collect()
        };
        assert_eq!(parents(&mails), ids(&steps));
        assert_eq!(parents(&sent).len(), sent.len(), "each mail is sent by itself");
        assert!(parents(&sent).is_superset(&ids(&mails)));
        assert_eq!(ids(&of_act).len(), of_act.len(), "no two spans have an id");
        assert!(of_act.iter().all(|span| span.error.is_none()), "{of_act:?}");
        // Whoever has any of the mails finds the act.
        assert_eq!(heads.len(), 600 + of_owner);
        assert!(heads.iter().all(|head| head.trace_id == act.trace_id));
        assert_eq!(heads.iter().filter(|head| head.is_sampled()).count(), step_count + of_owner);
    }
    let (spans, heads) = told_to_many(asked(0xab, 0), CommandKind::Cancel { reason: None });
    assert_eq!(spans, []);
    assert!(heads.iter().all(|head| *head == asked(0xab, 0)));
}
