//! Avro: the generated codecs against apache-avro on the same bytes, and the whole way of a command
//! in process: decode, decide, apply, encode.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use apache_avro::{Schema, from_avro_datum, to_avro_datum};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::Capacity;
use cityevents_domain::fact::{Fact, Verdict};
use cityevents_domain::ids::EventId;
use cityevents_domain::state::Partition;
use cityevents_domain::time::Timestamp;
use cityevents_processors::registration::Registration;
use cityevents_runtime::log::Headers;
use cityevents_runtime::topology::{Input, LinkPosition, Topology as _};
use cityevents_schemas::message::{
    Reply, ReplyVerdict, decode_command, encode_command, encode_link, encode_reply,
};
use cityevents_schemas::{HEADER_BYTES, Record, Wire, wire};

use super::Plan;
use super::measure::{Goal, Row, thread_cpu};
use super::workload::{Mix, START_MS, command, event, user_of};

/// Calls between two looks at the clock.
const CALLS: u32 = 2_000;
/// Measurements of one codec call: three records, both ways, two codecs.
const MEASUREMENTS: u32 = 12;
/// Commands encoded at once, outside of the measured time.
const BLOCK_COMMANDS: usize = 8_192;
/// Commands of one pass in process.
const PASS_COMMANDS: usize = 1_000_000;

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let mut rows = codecs(plan.seconds / (2 * MEASUREMENTS))?;
    let budget = plan.seconds / 4;
    let plain = in_process(budget, Plain::default)?;
    let topology = in_process(budget, Registration::default)?;
    let conditions = "processor time of one thread, one hot event, all rules";
    rows.push(
        Row::new("P2 decode, decide, apply, encode the link", plain, "M/s")
            .goal(Goal::AtLeast(1.5))
            .under(conditions),
    );
    rows.push(
        Row::new("    with invariants, headers and reply", topology, "M/s")
            .under("as the worker does it, without the log"),
    );
    Ok(rows)
}

fn codecs(budget: Duration) -> anyhow::Result<Vec<Row>> {
    let samples = Samples::make()?;
    let mut rows = Vec::new();
    let mut all = Ratio::default();
    for (name, record, bytes) in [
        ("command", Record::EventCommand, &samples.command),
        ("link with a fact", Record::EventFact, &samples.link),
        ("reply", Record::CommandReply, &samples.reply),
    ] {
        let body = &bytes[HEADER_BYTES..];
        let own = match record {
            Record::EventCommand => generated(body, budget, wire::EventCommand::decode)?,
            Record::EventFact => generated(body, budget, wire::EventFact::decode)?,
            _ => generated(body, budget, wire::CommandReply::decode)?,
        };
        let peer = apache(record, body, budget)?;
        let ratio = Ratio { own: own.0 + own.1, peer: peer.0 + peer.1 };
        all = Ratio { own: all.own + ratio.own, peer: all.peer + ratio.peer };
        rows.push(
            Row::new(format!("P14 Avro, {name}: apache-avro to generated"), ratio.value(), "×")
                .goal(Goal::AtLeast(10.0))
                .under(format!(
                    "{} bytes, the same of both; encode {:.0} and {:.0} ns, decode {:.0} and \
                     {:.0} ns",
                    body.len(),
                    own.0,
                    peer.0,
                    own.1,
                    peer.1
                )),
        );
    }
    rows.push(Row::new("    all three together", all.value(), "×").goal(Goal::AtLeast(10.0)));
    Ok(rows)
}

/// Nanoseconds of both.
#[derive(Default)]
struct Ratio {
    own: f64,
    peer: f64,
}

impl Ratio {
    fn value(&self) -> f64 {
        self.peer / self.own.max(1e-9)
    }
}

/// A join on its way: the command, the fact that came of it in its link, the reply.
struct Samples {
    command: Vec<u8>,
    link: Vec<u8>,
    reply: Vec<u8>,
}

impl Samples {
    fn make() -> anyhow::Result<Self> {
        let mut partition = Partition::default();
        let (event, commands) = event(1, Capacity::Limited(1_000), None, START_MS);
        let at = Timestamp::from_millis(START_MS);
        let mut last = None;
        let join = command(7, event, user_of(7), CommandKind::Join);
        for command in commands.iter().chain([&join]) {
            let fact = decided(&partition, command, at).context("a refused sample")?;
            partition.apply(&fact);
            last = Some(fact);
        }
        let fact = last.context("no sample")?;
        let (mut command, mut link, mut reply) = (Vec::new(), Vec::new(), Vec::new());
        encode_command(&join, &mut command);
        encode_link(Some(&fact), &[], None, at, &mut link);
        let verdict = ReplyVerdict::Accepted(fact.outcome);
        let told = Reply {
            command: join.id,
            event: Some(event),
            verdict,
            at,
            partition: 1,
            link_offset: Some(123_456),
        };
        encode_reply(&told, &mut reply);
        Ok(Self { command, link, reply })
    }
}

fn decided(partition: &Partition, command: &Command, at: Timestamp) -> Option<Fact> {
    match partition.decide(command, at) {
        Verdict::Fact(fact) => Some(*fact),
        Verdict::Unchanged(_) | Verdict::Refused(_) => None,
    }
}

/// Nanoseconds to encode and to decode.
fn generated<'a, T: Wire<'a>>(
    body: &'a [u8],
    budget: Duration,
    decode: impl Fn(&mut &'a [u8]) -> Result<T, cityevents_schemas::DecodeError>,
) -> anyhow::Result<(f64, f64)> {
    let record = decode(&mut &body[..])?;
    let mut out = Vec::with_capacity(1_024);
    record.encode(&mut out);
    ensure!(out == body, "the generated codec writes other bytes than it read");
    let encode = nanoseconds(budget, || {
        out.clear();
        black_box(&record).encode(&mut out);
        black_box(&mut out);
    });
    let decode = nanoseconds(budget, || {
        let _record = black_box(decode(&mut black_box(body)));
    });
    Ok((encode, decode))
}

/// The same by apache-avro. What a caller with a struct of its own would pay is not in it.
fn apache(record: Record, body: &[u8], budget: Duration) -> anyhow::Result<(f64, f64)> {
    let schema = Schema::parse_str(record.source())?;
    let value = from_avro_datum(&schema, &mut &body[..], None)?;
    let written = to_avro_datum(&schema, value.clone())?;
    ensure!(written == body, "apache-avro writes other bytes");
    let clone = nanoseconds(budget, || {
        let _value = black_box(black_box(&value).clone());
    });
    let encode = nanoseconds(budget, || {
        let _bytes = black_box(to_avro_datum(&schema, black_box(&value).clone()));
    });
    let decode = nanoseconds(budget, || {
        let _value = black_box(from_avro_datum(&schema, &mut black_box(body), None));
    });
    Ok(((encode - clone).max(0.0), decode))
}

/// Processor time of a call, over as many as fit into the budget.
fn nanoseconds(budget: Duration, mut call: impl FnMut()) -> f64 {
    for _ in 0..CALLS {
        call();
    }
    let started = thread_cpu();
    let mut calls = 0_u64;
    loop {
        for _ in 0..CALLS {
            call();
        }
        calls += u64::from(CALLS);
        let spent = thread_cpu() - started;
        if spent >= budget {
            return spent.as_nanos() as f64 / calls as f64;
        }
    }
}

/// A way of a command from its bytes to the bytes that it becomes.
trait Way {
    fn take(&mut self, offset: u64, at_ms: i64, value: &[u8]) -> anyhow::Result<()>;
}

/// Nothing but the codecs and the rules.
#[derive(Default)]
struct Plain {
    partition: Partition,
    out: Vec<u8>,
}

impl Way for Plain {
    fn take(&mut self, _: u64, at_ms: i64, value: &[u8]) -> anyhow::Result<()> {
        let command = decode_command(value)?;
        let at = Timestamp::from_millis(at_ms);
        if let Verdict::Fact(fact) = self.partition.decide(&command, at) {
            self.out.clear();
            encode_link(Some(&fact), &[], None, at, &mut self.out);
            self.partition.apply(&fact);
            black_box(&mut self.out);
        }
        Ok(())
    }
}

impl Way for Registration {
    fn take(&mut self, offset: u64, at_ms: i64, value: &[u8]) -> anyhow::Result<()> {
        let headers = Headers::empty();
        let input = Input { offset, timestamp_ms: at_ms, value, headers: &headers };
        let decision = self.decide(&input)?;
        if self.unlinked_bytes() > 64 << 10 {
            black_box(self.closing_link());
        }
        let position = LinkPosition { partition: 0, offset };
        black_box(self.encode_answer(&decision.answer, position));
        black_box(decision.link);
        Ok(())
    }
}

/// Millions a second.
fn in_process<W: Way>(budget: Duration, make: impl Fn() -> W) -> anyhow::Result<f64> {
    let (mut spent, mut done) = (Duration::ZERO, 0_usize);
    // The first pass warms up.
    for pass in 0.. {
        let mut way = make();
        let (event, commands) = event(1, Capacity::Limited(1_000_000), Some(100_000), START_MS);
        let mut offset = 0;
        for block in blocks(event, &commands) {
            let started = thread_cpu();
            for value in &block {
                way.take(offset, START_MS + (offset / 100) as i64, value)?;
                offset += 1;
            }
            if pass > 0 {
                spent += thread_cpu() - started;
                done += block.len();
            }
        }
        if pass > 0 && spent >= budget {
            break;
        }
    }
    Ok(done as f64 / 1e6 / spent.as_secs_f64())
}

/// The commands of one pass as bytes, a block at a time.
fn blocks(event: EventId, first: &[Command]) -> impl Iterator<Item = Vec<Vec<u8>>> {
    let mut mix = Mix::new(vec![event]);
    let mut next = first.to_vec();
    let mut left = PASS_COMMANDS;
    std::iter::from_fn(move || {
        if next.is_empty() {
            let count = left.min(BLOCK_COMMANDS);
            left -= count;
            mix.fill(&mut next, count);
        }
        let encode = |command: &Command| {
            let mut value = Vec::with_capacity(128);
            encode_command(command, &mut value);
            value
        };
        let block: Vec<_> = next.drain(..).map(|command| encode(&command)).collect();
        (!block.is_empty()).then_some(block)
    })
}
