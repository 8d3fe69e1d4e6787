//! Joins at a rate, from many people, each under a key of its own, every answer remembered.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cityevents_domain::ids::EventId;
use cityevents_domain::registration::RegistrationStatus;
use parking_lot::{Condvar, Mutex};
use tokio::task::JoinSet;

use super::ask::{Ask, Caller, Kind, Told, Troubles, Verdict};
use super::targets::Targets;
use crate::load::crowd::Person;
use crate::load::open_loop::Schedule;

/// Requests under way at the same time.
const CALLERS: usize = 256;
/// So often the load is repeated at most, with other events, while a fault goes on.
pub(super) const ROUNDS_MAX: usize = 6;
/// Every so many people who got a place leave again, so that the line moves.
const LEAVES_EVERY: usize = 12;
/// They leave when so many percent of the people have joined after them: the line is long by then.
const LEAVES_AFTER_PERCENT: usize = 45;

/// An event that people go for.
#[derive(Debug, Clone)]
pub(super) struct Goal {
    pub(super) id: EventId,
    pub(super) partition: u32,
    join: String,
    leave: String,
}

impl Goal {
    pub(super) fn new(id: EventId, partition: u32) -> Self {
        let path = |what: &str| format!("/api/events/{id}/{what}");
        Self { id, partition, join: path("join"), leave: path("cancel") }
    }

    /// The path of a request about it.
    pub(super) fn path(&self, kind: Kind) -> &str {
        match kind {
            Kind::Join => &self.join,
            Kind::Leave => &self.leave,
        }
    }
}

/// Who goes where, and how that stands.
pub(super) struct Load {
    /// Told apart by it, the keys of one fault from those of another.
    name: String,
    pub(super) people: Arc<Vec<Person>>,
    /// Round by round.
    pub(super) goals: Vec<Goal>,
    /// Joins of a round.
    pub(super) joins: u64,
    rate: u32,
    targets: Arc<Targets>,
    next: AtomicU64,
    may_end: AtomicBool,
    /// Somebody asked for far too long: nobody else need try.
    is_hopeless: AtomicBool,
    /// Event and person of those who have a place and will leave.
    leavers: Mutex<HashSet<(usize, usize)>>,
    standing: Mutex<Standing>,
    news: Condvar,
}

/// How the load stands.
#[derive(Debug, Clone, Default)]
struct Standing {
    answered: u64,
    is_over: bool,
    last: Vec<Option<Instant>>,
    silence_max: Duration,
}

/// What came of a load.
pub(super) struct Answers {
    pub(super) joins: u64,
    pub(super) told: Vec<Told>,
    pub(super) troubles: Troubles,
    /// Longest time in which no answer came from a partition.
    pub(super) silence_max: Duration,
    pub(super) took: Duration,
}

impl Load {
    /// Every person joins every goal at most once: `joins` times in a round, and another round, of
    /// other goals, for as long as [`Load::may_end`] is not said, up to [`ROUNDS_MAX`].
    pub(super) fn new(
        name: &str,
        people: Arc<Vec<Person>>,
        goals: Vec<Goal>,
        joins: u64,
        rate: u32,
        targets: Arc<Targets>,
    ) -> Self {
        let partitions = goals.iter().map(|goal| goal.partition as usize + 1).max().unwrap_or(0);
        let standing = Standing { last: vec![None; partitions], ..Standing::default() };
        Self {
            name: name.to_owned(),
            people,
            goals,
            joins,
            rate,
            targets,
            next: AtomicU64::new(0),
            may_end: AtomicBool::new(false),
            is_hopeless: AtomicBool::new(false),
            leavers: Mutex::default(),
            standing: Mutex::new(standing),
            news: Condvar::new(),
        }
    }

    /// What the load is for is over: no round is begun any more.
    pub(super) fn may_end(&self) {
        self.may_end.store(true, Ordering::Relaxed);
    }

    /// The key of a request.
    pub(super) fn key(&self, ask: &Ask) -> String {
        format!("{}-{}", self.name, ask.number)
    }

    /// Waits until so many requests are answered, or all are.
    pub(super) fn wait_for(&self, answered: u64) {
        let mut standing = self.standing.lock();
        while standing.answered < answered && !standing.is_over {
            self.news.wait(&mut standing);
        }
    }

    /// How many requests are answered.
    pub(super) fn answered(&self) -> u64 {
        self.standing.lock().answered
    }

    /// Whether all are.
    pub(super) fn is_over(&self) -> bool {
        self.standing.lock().is_over
    }

    /// Asks for everything.
    pub(super) async fn run(self: Arc<Self>) -> anyhow::Result<Answers> {
        let schedule = Schedule { start: Instant::now(), rate: Some(self.rate) };
        let mut callers = JoinSet::new();
        for turn in 0..CALLERS {
            callers.spawn(Arc::clone(&self).call(turn, schedule));
        }
        let (mut told, mut troubles) = (Vec::new(), Troubles::default());
        let mut failed = None;
        while let Some(caller) = callers.join_next().await {
            match caller.map_err(anyhow::Error::from).and_then(|answers| answers) {
                Ok((answers, met)) => {
                    told.extend(answers);
                    troubles.add(&met);
                }
                Err(error) => failed = Some(error),
            }
        }
        let silence_max = {
            let mut standing = self.standing.lock();
            standing.is_over = true;
            standing.silence_max
        };
        self.news.notify_all();
        match failed {
            Some(error) => Err(error),
            None => {
                let joins = told.iter().filter(|told| told.ask.kind == Kind::Join).count() as u64;
                Ok(Answers { joins, told, troubles, silence_max, took: schedule.start.elapsed() })
            }
        }
    }

    async fn call(
        self: Arc<Self>,
        turn: usize,
        schedule: Schedule,
    ) -> anyhow::Result<(Vec<Told>, Troubles)> {
        let mut caller = Caller::new(Arc::clone(&self.targets), turn);
        let mut all = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if self.is_last(number) || self.is_hopeless.load(Ordering::Relaxed) {
                return Ok((all, caller.troubles));
            }
            tokio::time::sleep_until(schedule.due(number).into()).await;
            let ask = self.ask(number)?;
            let told = self.decide(&mut caller, ask).await;
            if has_place(&told) && ask.person.is_multiple_of(LEAVES_EVERY) {
                self.leavers.lock().insert((ask.event, ask.person));
            }
            all.push(told);
            if let Some(leave) = self.leave_after(&ask) {
                all.push(self.decide(&mut caller, leave).await);
            }
        }
    }

    /// Whether the join of this number is not asked for any more.
    fn is_last(&self, number: u64) -> bool {
        let rounds = number / self.joins;
        rounds >= ROUNDS_MAX as u64 || (rounds > 0 && self.may_end.load(Ordering::Relaxed))
    }

    /// The n-th join: all events of a round fill at the same time.
    fn ask(&self, number: u64) -> anyhow::Result<Ask> {
        let of_round = self.goals.len() / ROUNDS_MAX;
        let (round, within) = (number / self.joins, number % self.joins);
        let (round, within) = (usize::try_from(round)?, usize::try_from(within)?);
        let (event, person) = (round * of_round + within % of_round, within / of_round);
        ensure!(person < self.people.len(), "more joins than people and events allow");
        Ok(Ask { kind: Kind::Join, number, event, person })
    }

    /// Who leaves when this join is decided.
    fn leave_after(&self, join: &Ask) -> Option<Ask> {
        let before = self.people.len() * LEAVES_AFTER_PERCENT / 100;
        let person = join.person.checked_sub(before)?;
        let earlier = before * (self.goals.len() / ROUNDS_MAX);
        let number = join.number.checked_sub(earlier as u64)?;
        let leaves = self.leavers.lock().remove(&(join.event, person));
        leaves.then_some(Ask { kind: Kind::Leave, number, event: join.event, person })
    }

    async fn decide(&self, caller: &mut Caller, ask: Ask) -> Told {
        let goal = &self.goals[ask.event];
        let person = &self.people[ask.person];
        let told = caller.decide(ask, person, goal.path(ask.kind), &self.key(&ask)).await;
        if told.verdict == Verdict::Nothing {
            self.is_hopeless.store(true, Ordering::Relaxed);
        }
        self.count(goal.partition as usize);
        told
    }

    fn count(&self, partition: usize) {
        let now = Instant::now();
        let mut standing = self.standing.lock();
        standing.answered += 1;
        if let Some(last) = standing.last.get_mut(partition)
            && let Some(before) = last.replace(now)
        {
            standing.silence_max = standing.silence_max.max(now - before);
        }
        drop(standing);
        self.news.notify_all();
    }
}

fn has_place(told: &Told) -> bool {
    matches!(told.verdict, Verdict::Stands { status: RegistrationStatus::Active, .. })
}

impl Answers {
    /// The answer of a join that got a place or a position.
    pub(super) fn standing(&self) -> impl Iterator<Item = &Told> {
        self.told.iter().filter(|told| matches!(told.verdict, Verdict::Stands { .. }))
    }

    /// The longest that anybody waited for a decision.
    pub(super) fn wait_max(&self) -> Duration {
        self.told.iter().map(|told| told.waited).max().unwrap_or_default()
    }
}

/// How many people, and how many events in a round, so many joins take.
pub(super) fn people_and_goals(joins: u64) -> anyhow::Result<(usize, usize)> {
    /// More people than that take long to sign tokens for.
    const PEOPLE_MAX: u64 = 5_000;
    let people = joins.div_ceil(8).clamp(25, PEOPLE_MAX);
    let goals = joins.div_ceil(people);
    let people = usize::try_from(people).context("too many people")?;
    Ok((people, usize::try_from(goals)?))
}
