//! The product's workers on Kafka beside what else could be done, in one run on one machine: a
//! null loop, transactions of Kafka, a row lock in PostgreSQL, a script in Redis.
//!
//! Everybody joins different people to the same kind of events: so many places, then a line. What
//! came out is compared with what was asked for after every run, and a difference fails the
//! measurement. Who is not asked for is in the table all the same, with the option that asks.

mod cluster;
mod load;
mod paced;
mod postgres;
mod redis;
mod table;
mod transactions;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use cityevents_domain::event::Capacity;
use cityevents_kit::Config;
use cityevents_processors::audit;
use cityevents_runtime::log::Isolation;
use cityevents_schemas::topic;
use serde_json::json;

pub(super) use self::cluster::Cluster;
use self::load::{Driven, Expected, Offer, Told, drive};
use self::paced::{Pace, Paced};
use self::postgres::{Form, Postgres};
use self::redis::{Redis, Sync};
use self::table::{Entry, Figures, Part, Waited};
use self::transactions::Transactions;
use super::Plan;
use super::backlog::{Backlog, PARTITIONS, Times};
use super::measure::{number, per_second};
use super::processes::{Processes, listening_at};
use crate::cli::{Bench, Usage};
use crate::output::{self, Format};

/// Events that joins are spread over, when there is not one hot event.
const EVENTS: u64 = 64;
/// Commands of a backlog for each second asked for, and at most.
const BACKLOG_PER_SECOND: u64 = 100_000;
const BACKLOG_MAX: u64 = 3_000_000;
/// A hot event holds a million places and a line of 100,000.
const BACKLOG_HOT_MAX: u64 = 800_000;
const PLACES_MAX: u64 = 1_000_000;
/// One person in so many waits in the end, and at most so many at one event.
const WAITING_OF: u64 = 4;
const WAITING_MAX: u64 = 90_000;
/// Places of all events at peers, where it is not known how many joins will come.
const PLACES_OF_PEERS: u64 = 16_384;
/// Scripts on their way at once on each connection to Redis.
const PIPELINED: u64 = 64;
/// Looking takes the broker time, too.
const LOOK_EVERY: Duration = Duration::from_millis(10);

const KAFKA: &str = "kafka";
const POSTGRES: &str = "postgres";
const REDIS: &str = "redis";

/// Measures, and prints the table.
pub(super) fn run(arguments: &Bench, plan: &Plan, config: &Config) -> anyhow::Result<ExitCode> {
    let comparison = Comparison::new(arguments, plan, config)?;
    let mut runs = Vec::new();
    for number in 1..=arguments.runs {
        let spinner = output::spinner("measuring");
        spinner.set_message(format!("measuring, run {number} of {}", arguments.runs));
        runs.push(comparison.run(&|what| {
            spinner.set_message(format!("run {number} of {}: {what}", arguments.runs));
        })?);
        spinner.finish_and_clear();
    }
    report(arguments, &table::medians(runs))?;
    Ok(ExitCode::SUCCESS)
}

fn report(arguments: &Bench, entries: &[Entry]) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    if arguments.output == Format::Json {
        return output::json(&json!({
            "cores": cores,
            "profile": profile,
            "version": env!("CARGO_PKG_VERSION"),
            "warm_up_seconds": arguments.warm_up,
            "seconds": arguments.seconds,
            "runs": arguments.runs,
            "paced_per_second": arguments.rate,
            "connections": arguments.servers.connections,
            "entries": entries,
        }));
    }
    let (headings, rows, notes) = table::cells(entries);
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    output::table(&headings, rows);
    for note in notes {
        output::line(&note);
    }
    output::line(&format!(
        "joins/s: as many as go; p50 and p99: {} joins/s due at fixed times, from the due time; \
         ratios: to the product and the null loop on as many events",
        arguments.rate
    ));
    output::line(&format!(
        "of {} runs the one with the median rate; peers {} s after {} s of warm-up; {cores} cores \
         shared by all, servers and load included; {profile} build; every result was checked",
        arguments.runs, arguments.seconds, arguments.warm_up
    ));
    Ok(())
}

/// Who is compared, and how.
struct Comparison<'a> {
    plan: &'a Plan,
    config: &'a Config,
    connections: u32,
    postgres: Option<&'a str>,
    redis: Option<&'a str>,
    /// By server: itself, and this process.
    processes: [Processes; 3],
}

impl<'a> Comparison<'a> {
    fn new(arguments: &'a Bench, plan: &'a Plan, config: &'a Config) -> anyhow::Result<Self> {
        let servers = &arguments.servers;
        if let Some(unknown) =
            servers.pids.iter().find(|pid| ![KAFKA, POSTGRES, REDIS].contains(&&*pid.name))
        {
            let message = format!("--pid {}: name kafka, postgres or redis", unknown.name);
            return Err(Usage(message).into());
        }
        let (postgres, redis) = (servers.postgres.as_deref(), servers.redis.as_deref());
        let bad = |error: anyhow::Error| Usage(format!("{error:#}"));
        let addresses = [
            config.kafka.brokers.first().cloned(),
            postgres.map(postgres::address_of).transpose().map_err(bad)?,
            redis.map(redis::address_of).transpose().map_err(bad)?,
        ];
        let mut processes: [Processes; 3] = Default::default();
        let named = [KAFKA, POSTGRES, REDIS].into_iter().zip(addresses);
        for (slot, (name, address)) in processes.iter_mut().zip(named) {
            let given = servers.pids.iter().find(|pid| pid.name == name).map(|pid| pid.pid);
            let found = given.or_else(|| address.as_deref().and_then(listening_at));
            *slot = Processes::default().with(name, found);
            if let (Some(address), None) = (address, found) {
                output::note(&format!(
                    "no process of this machine is seen to listen at {address}: the processor \
                     time of {name} is not counted; give it as --pid {name}=PID"
                ));
            }
        }
        let connections = servers.connections;
        Ok(Self { plan, config, connections, postgres, redis, processes })
    }

    fn run(&self, tell: &dyn Fn(&str)) -> anyhow::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        if !self.config.kafka.brokers.is_empty() && !self.plan.warm_up.is_zero() {
            tell("warming Kafka up");
            let cluster = Cluster::connect(self.config)?;
            let backlog = self.backlog(&cluster, EVENTS, BACKLOG_PER_SECOND)?;
            let workers = backlog.start_workers()?;
            backlog.await_workers(&workers, &self.processes[0])?;
            workers.stop();
        }
        for events in [EVENTS, 1] {
            entries.extend(self.on_kafka(events, tell)?);
        }
        for events in [EVENTS, 1] {
            for form in [Form::Statements, Form::Function] {
                tell("PostgreSQL");
                entries.push(self.on_postgres(events, form)?);
            }
        }
        for events in [EVENTS, 1] {
            for sync in [Sync::Always, Sync::EverySecond] {
                tell("Redis");
                entries.push(self.on_redis(events, sync)?);
            }
        }
        Ok(entries)
    }

    fn pace(&self) -> Option<Pace> {
        let Plan { rate, warm_up, seconds, .. } = *self.plan;
        (rate > 0).then_some(Pace { rate, warm_up, seconds })
    }

    /// The null loop, the product and transactions, on the same commands.
    fn on_kafka(&self, events: u64, tell: &dyn Fn(&str)) -> anyhow::Result<Vec<Entry>> {
        let entry = |part, what: &str, conditions: String, figures| Entry {
            part,
            what: what.to_owned(),
            events,
            conditions,
            figures,
        };
        let names = [
            (Part::NullLoop, "null loop: poll, two appends"),
            (Part::Product, "product: registration workers"),
            (Part::Peer, "Kafka transactions"),
        ];
        if self.config.kafka.brokers.is_empty() {
            let missing = "give --kafka host:port, or kafka.brokers in the configuration";
            let of = |(part, what)| entry(part, what, String::new(), Err(missing.to_owned()));
            return Ok(names.map(of).into());
        }
        tell("a backlog on Kafka");
        let cluster = Cluster::connect(self.config)?;
        let processes = &self.processes[0];
        let mut backlog = self.backlog(&cluster, events, self.joins(events))?;
        let joins = backlog.joins();

        tell("the product");
        let workers = backlog.start_workers()?;
        let decided = backlog.await_workers(&workers, processes)?;
        tell("the product, paced");
        let replies = backlog.full_name(&topic::COMMAND_REPLIES);
        let waited = self.paced(&mut backlog, &replies, Isolation::Uncommitted)?;
        workers.stop();
        tell("checking the product");
        self.check_facts(&backlog, events)?;

        tell("the null loop");
        let null = backlog.null_loop(processes)?;

        tell("transactions");
        let transactions = Transactions::start(&backlog)?;
        let committed = transactions.await_drained(&backlog, processes)?;
        tell("transactions, paced");
        let replies = transactions.replies().to_owned();
        let waited_for_commits = self.paced(&mut backlog, &replies, Isolation::Committed)?;
        tell("checking transactions");
        let told = transactions.finish(&*cluster.log)?;
        self.expected(&backlog, events)?.check_told("the transactions of Kafka", told)?;

        let measured = [
            (&null, Waited::NotAsked, "no reply can be told from another, so no latency"),
            (&decided, waited, "chained facts, each burst acknowledged before its replies"),
            (&committed, waited_for_commits, "one transaction a burst of up to 8,192"),
        ];
        let of = |((part, what), (times, waited, how)): (_, (&Times, _, _))| {
            let conditions = format!(
                "{how}; backlog of {} joins or more, {PARTITIONS} partitions; threads of the \
                 client, processor seconds: {}",
                number(joins as f64),
                times.threads
            );
            let figures = Figures {
                joins_per_second: per_second(times.records, times.took),
                joins: times.records,
                cpu_seconds: times.spent.clone(),
                waited,
            };
            entry(part, what, conditions, Ok(figures))
        };
        Ok(names.into_iter().zip(measured).map(of).collect())
    }

    fn backlog(&self, cluster: &Cluster, events: u64, joins: u64) -> anyhow::Result<Backlog> {
        let places = self.places(events)?;
        let shape = (events, joins);
        let line = u32::try_from(WAITING_MAX)? + 10_000;
        let room = (Capacity::Limited(u32::try_from(places)?), Some(line));
        let mut backlog = Backlog::write(cluster.log.clone(), &cluster.prefix, shape, room)?;
        backlog.look_every = LOOK_EVERY;
        Ok(backlog)
    }

    /// Joins of a backlog.
    fn joins(&self, events: u64) -> u64 {
        let seconds = self.plan.seconds.as_secs().max(1);
        (BACKLOG_PER_SECOND * seconds).min(if events == 1 { BACKLOG_HOT_MAX } else { BACKLOG_MAX })
    }

    /// Places of each event, such that some wait in the end and nobody is refused.
    fn places(&self, events: u64) -> anyhow::Result<u64> {
        let paced = 2 * self.pace().map_or(0, |pace| pace.joins());
        let each = (self.joins(events) + paced).div_ceil(events);
        let places = each - (each / WAITING_OF).min(WAITING_MAX);
        if places > PLACES_MAX {
            let message = format!(
                "{each} joins do not fit into an event of {PLACES_MAX} places: give fewer \
                 --seconds, a shorter --warm-up or a lower --rate"
            );
            return Err(Usage(message).into());
        }
        Ok(places.max(1))
    }

    fn expected(&self, backlog: &Backlog, events: u64) -> anyhow::Result<Expected> {
        Ok(Expected { asked: backlog.joins(), events, places: self.places(events)? })
    }

    /// The audit reads the log as an outsider, and counts.
    fn check_facts(&self, backlog: &Backlog, events: u64) -> anyhow::Result<()> {
        let commands = backlog.full_name(&topic::EVENT_COMMANDS).into();
        let facts = backlog.full_name(&topic::EVENT_FACTS).into();
        let report = audit::audit(&*backlog.log, &commands, &facts, |_, _| {})?;
        ensure!(
            report.commands == backlog.records && report.pending == 0,
            "of {} commands the workers decided {}, and {} wait",
            backlog.records,
            report.commands,
            report.pending
        );
        let told = Told { active: report.active, waiting: report.waiting };
        self.expected(backlog, events)?.check_told("the product", told)
    }

    fn paced(
        &self,
        backlog: &mut Backlog,
        replies: &str,
        isolation: Isolation,
    ) -> anyhow::Result<Waited> {
        let Some(pace) = self.pace() else { return Ok(Waited::NotAsked) };
        let Paced { latencies, per_second } = paced::run(backlog, replies, isolation, pace)?;
        Ok(Waited::of(&latencies, per_second, pace.rate))
    }

    fn on_postgres(&self, events: u64, form: Form) -> anyhow::Result<Entry> {
        let (what, how) = match form {
            Form::Statements => (
                "PostgreSQL: row lock, statements",
                "BEGIN, SELECT … FOR UPDATE, INSERT, UPDATE, COMMIT",
            ),
            Form::Function => ("PostgreSQL: row lock, one function", "one call a join"),
        };
        let connections = self.connections;
        let entry = |figures| Entry {
            part: Part::Peer,
            what: what.to_owned(),
            events,
            conditions: format!("{how}; synchronous_commit on, {connections} connections"),
            figures,
        };
        let Some(url) = self.postgres else {
            return Ok(entry(Err("give --postgres postgres://user@host:port/database".into())));
        };
        let places = u32::try_from(PLACES_OF_PEERS / events)?;
        let measure = |offer: Offer| {
            let mut server = Postgres::prepare(url, events, places)?;
            let driven = drive(offer, &self.processes[1], || server.connection(form))?;
            server.check(driven.asked)?;
            checked("PostgreSQL", driven, events, places)
        };
        Ok(entry(Ok(self.figures(1, measure)?)))
    }

    fn on_redis(&self, events: u64, sync: Sync) -> anyhow::Result<Entry> {
        let connections = self.connections;
        let entry = |figures| Entry {
            part: Part::Peer,
            what: format!("Redis: Lua script, appendfsync {}", sync.as_str()),
            events,
            conditions: format!(
                "{connections} connections with {PIPELINED} \
                 scripts on their way each, one each when paced"
            ),
            figures,
        };
        let Some(url) = self.redis else {
            return Ok(entry(Err("give --redis redis://host:port".into())));
        };
        let places = u32::try_from(PLACES_OF_PEERS / events)?;
        let measure = |offer: Offer| {
            let mut server = Redis::prepare(url, sync, events, places)?;
            let driven = drive(offer, &self.processes[2], || server.connection())?;
            server.check(driven.asked)?;
            checked("Redis", driven, events, places)
        };
        Ok(entry(Ok(self.figures(PIPELINED, measure)?)))
    }

    /// As many as go, then at fixed times.
    fn figures(
        &self,
        batch: u64,
        measure: impl Fn(Offer) -> anyhow::Result<Driven>,
    ) -> anyhow::Result<Figures> {
        let Plan { warm_up, seconds, .. } = *self.plan;
        let connections = self.connections;
        let flat_out = measure(Offer { connections, batch, rate: None, warm_up, seconds })?;
        let waited = match self.pace() {
            None => Waited::NotAsked,
            Some(Pace { rate, .. }) => {
                let offer = Offer { connections, batch: 1, rate: Some(rate), warm_up, seconds };
                let paced = measure(offer)?;
                Waited::of(&paced.latencies, per_second(paced.measured, seconds), rate)
            }
        };
        Ok(Figures {
            joins_per_second: per_second(flat_out.measured, seconds),
            joins: flat_out.measured,
            cpu_seconds: flat_out.spent,
            waited,
        })
    }
}

fn checked(who: &str, driven: Driven, events: u64, places: u32) -> anyhow::Result<Driven> {
    let expected = Expected { asked: driven.asked, events, places: places.into() };
    expected.check_told(who, driven.told)?;
    Ok(driven)
}
