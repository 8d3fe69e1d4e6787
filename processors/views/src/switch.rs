//! Tables whose rows can be replaced by others while they are in use.
//!
//! What is in no log (the keys of persons, accounts, what people like) is always in the *main*
//! tables; everything that is made from the log is in those that are *current*. A call goes to the
//! tables that are current when it is polled first, and to no others.
//!
//! Whoever writes rows together with how far they go must not have the tables replaced in between:
//! it takes [`Switch::current`], writes into that, and ends when [`Current::is_current`] says no.
//! Rows that it wrote into tables that are not current any more do no harm, since nobody reads them.

use std::sync::Arc;

use futures::future::FutureExt;
use parking_lot::RwLock;

use crate::Views;
use crate::error::ViewsError;
use crate::query::{
    OwnEventPosition, OwnEventsQuery, OwnJoinPosition, Page, ParticipantPosition, ParticipantsQuery,
};
use crate::row::{
    BanRow, CountersRow, EventRow, Mutation, OutcomeRow, ProgressRow, RegistrationRow, Row,
    TrendEntry,
};
use crate::tables::{
    BoxFuture, ReadBans, ReadCounters, ReadEvents, ReadOutcomes, ReadProgress, ReadRegistrations,
    ReadTrends, WriteTables,
};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::time::Timestamp;

/// Which tables are current, for one process.
pub struct Switch {
    main: Views,
    current: RwLock<Named>,
}

#[derive(Clone)]
struct Named {
    name: String,
    generation: u64,
    views: Views,
}

/// The tables that were current at some moment.
#[derive(Clone)]
pub struct Current {
    /// Them.
    pub views: Views,
    generation: u64,
    switch: Arc<Switch>,
}

impl Current {
    /// Whether they still are.
    pub fn is_current(&self) -> bool {
        self.switch.current.read().generation == self.generation
    }
}

impl Switch {
    /// The main tables are current, under this name.
    pub fn new(name: impl Into<String>, main: Views) -> Arc<Self> {
        let current = Named { name: name.into(), generation: 0, views: main.clone() };
        Arc::new(Self { main, current: RwLock::new(current) })
    }

    /// The main tables.
    pub const fn main(&self) -> &Views {
        &self.main
    }

    /// The name of the tables that are current.
    pub fn name(&self) -> String {
        self.current.read().name.clone()
    }

    /// The tables that are current now, and stay what they are.
    pub fn current(self: &Arc<Self>) -> Current {
        let Named { generation, views, .. } = self.current.read().clone();
        Current { views, generation, switch: Arc::clone(self) }
    }

    /// Other tables are current from now on.
    pub fn replace(&self, name: impl Into<String>, rows: &Views) {
        let views = Views {
            person_keys: self.main.person_keys.clone(),
            records: self.main.records.clone(),
            profiles: self.main.profiles.clone(),
            ..rows.clone()
        };
        let mut current = self.current.write();
        let generation = current.generation + 1;
        *current = Named { name: name.into(), generation, views };
    }

    /// Tables that are at every moment those that are current then.
    pub fn views(self: &Arc<Self>) -> Views {
        let rows = Arc::new(Switched(Arc::clone(self)));
        Views {
            write: rows.clone(),
            events: rows.clone(),
            registrations: rows.clone(),
            bans: rows.clone(),
            counters: rows.clone(),
            outcomes: rows.clone(),
            progress: rows.clone(),
            trends: rows,
            person_keys: self.main.person_keys.clone(),
            profiles: self.main.profiles.clone(),
            records: self.main.records.clone(),
        }
    }
}

struct Switched(Arc<Switch>);

impl Switched {
    fn now(&self) -> Views {
        self.0.current.read().views.clone()
    }
}

impl WriteTables for Switched {
    fn write(&self, mutations: Vec<Mutation>) -> BoxFuture<'_, Result<(), ViewsError>> {
        async move {
            let is_of_main = |mutation: &Mutation| matches!(mutation.row, Row::Profile(_));
            let (main, rows): (Vec<_>, Vec<_>) = mutations.into_iter().partition(is_of_main);
            if !main.is_empty() {
                self.0.main.write.write(main).await?;
            }
            if !rows.is_empty() {
                self.now().write.write(rows).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), ViewsError>> {
        async move {
            self.0.main.write.flush().await?;
            self.now().write.flush().await
        }
        .boxed()
    }
}

/// Calls that go to the tables of the moment.
macro_rules! to_current {
    ($($table:ident: $trait:ident { $(
        fn $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;
    )+ })+) => {
        $(impl $trait for Switched {
            $(fn $name(&self, $($argument: $kind),*) -> BoxFuture<'_, Result<$answer, ViewsError>> {
                async move { self.now().$table.$name($($argument),*).await }.boxed()
            })+
        })+
    };
}

to_current! {
    events: ReadEvents {
        fn event(event: EventId) -> Option<EventRow>;
        fn own_events(query: OwnEventsQuery) -> Page<EventRow, OwnEventPosition>;
    }
    registrations: ReadRegistrations {
        fn registration(event: EventId, user: UserId) -> Option<RegistrationRow>;
        fn participants(query: ParticipantsQuery) -> Page<RegistrationRow, ParticipantPosition>;
        fn own_joins(
            user: UserId, after: Option<OwnJoinPosition>, limit: usize
        ) -> Page<RegistrationRow, OwnJoinPosition>;
        fn waitlist(event: EventId, after: Option<u32>, limit: usize) -> Page<RegistrationRow, u32>;
    }
    bans: ReadBans {
        fn ban(event: EventId, user: UserId) -> Option<BanRow>;
        fn bans(event: EventId, after: Option<UserId>, limit: usize) -> Page<BanRow, UserId>;
    }
    counters: ReadCounters {
        fn counters(event: EventId) -> Option<CountersRow>;
    }
    outcomes: ReadOutcomes {
        fn outcome(command: CommandId, now: Timestamp) -> Option<OutcomeRow>;
    }
    progress: ReadProgress {
        fn progress(projection: String, partition: u32) -> Option<ProgressRow>;
    }
    trends: ReadTrends {
        fn trends(city: Option<String>) -> Vec<TrendEntry>;
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::row::{ProfileRow, WriteTimestamp};

    fn progress(next_offset: u64) -> Mutation {
        let row = ProgressRow {
            projection: "p".to_owned(),
            partition: 0,
            next_offset,
            cursor: String::new(),
        };
        Mutation::new(row, WriteTimestamp(next_offset))
    }

    fn offset(views: &Views) -> Option<u64> {
        let row = block_on(views.progress.progress("p".to_owned(), 0)).unwrap();
        row.map(|row| row.next_offset)
    }

    #[test]
    fn rows_go_to_the_tables_of_the_moment_and_what_is_in_no_log_to_the_main_ones() {
        let (main, other) = (Views::memory(), Views::memory());
        let switch = Switch::new("main", main.clone());
        let views = switch.views();
        let before = switch.current();
        block_on(views.write.write(vec![progress(1)])).unwrap();
        assert!(before.is_current());
        switch.replace("other", &other);
        assert_eq!(switch.name(), "other");
        assert!(!before.is_current());
        assert_eq!(offset(&views), None, "the other tables have nothing yet");

        let at = Timestamp::from_millis(5);
        let profile = ProfileRow { person: [7; 16], signals: Vec::new(), at, expires_at: at };
        let profile = Mutation::new(profile, WriteTimestamp(1));
        block_on(views.write.write(vec![progress(9), profile])).unwrap();
        assert_eq!((offset(&main), offset(&other), offset(&views)), (Some(1), Some(9), Some(9)));
        let has_profile = |views: &Views| {
            block_on(views.profiles.profile([7; 16], Timestamp::MIN)).unwrap().is_some()
        };
        assert!(has_profile(&main) && has_profile(&views) && !has_profile(&other));

        // Who took them before goes on writing into the old ones.
        block_on(before.views.write.write(vec![progress(3)])).unwrap();
        assert_eq!((offset(&main), offset(&views)), (Some(3), Some(9)));
        switch.replace("main", &main);
        assert!(!before.is_current(), "they were away meanwhile");
        assert_eq!(offset(&views), Some(3));
    }
}
