//! The peer that most people would build: PostgreSQL, a row lock on the event, a unique row for
//! the registration, and a commit that waits for the disk.
//!
//! It gets every advantage that keeps the promise: prepared statements, room for updates in
//! place, no other index than the one that forbids joining twice, and in a second form the whole
//! join as one function on the server, so that a join costs one round trip instead of five.

use std::ops::Range;

use anyhow::{Context as _, bail, ensure};
use postgres::{Client, NoTls, Statement};
use uuid::Uuid;

use super::load::{Expected, Joins, Told};
use crate::commands::bench::workload::user_of;
use crate::commands::random_id;

/// How a join is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `BEGIN`, `SELECT … FOR UPDATE`, `INSERT`, `UPDATE`, `COMMIT`.
    Statements,
    /// The same in one function.
    Function,
}

/// Events in a schema of their own, which goes when this is dropped.
pub(super) struct Postgres {
    url: String,
    schema: String,
    admin: Client,
    places: u32,
    ids: Vec<Uuid>,
}

impl Postgres {
    /// Makes events with so many places each.
    ///
    /// # Errors
    /// When the server cannot be reached, or does not keep what it acknowledges.
    pub(super) fn prepare(url: &str, events: u64, places: u32) -> anyhow::Result<Self> {
        let mut admin = connect(url)?;
        for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
            let value: String = admin.query_one(&format!("SHOW {setting}"), &[])?.get(0);
            ensure!(
                value == "on",
                "PostgreSQL runs with {setting} = {value}: what it acknowledges may be lost, so \
                 that it is no peer; set it to on"
            );
        }
        let schema = format!("bench_{}", Uuid::from_bytes(random_id()).simple());
        admin.batch_execute(&TABLES.replace("@schema", &schema))?;
        let ids: Vec<_> = (0..events).map(|_| Uuid::from_bytes(random_id())).collect();
        let mut this = Self { url: url.to_owned(), schema, admin, places, ids };
        for id in &this.ids {
            let insert = format!("INSERT INTO {}.event (id, places) VALUES ($1, $2)", this.schema);
            this.admin.execute(&insert, &[id, &i64::from(places)])?;
        }
        this.admin.batch_execute("CHECKPOINT").or_else(|_| {
            // Only an administrator may ask for one; without it the first one comes by itself.
            this.admin.batch_execute("SELECT 1")
        })?;
        Ok(this)
    }

    /// Another connection.
    pub(super) fn connection(&self, form: Form) -> anyhow::Result<Connection> {
        let mut client = connect(&self.url)?;
        client.batch_execute("SET synchronous_commit = on")?;
        let schema = &self.schema;
        let mut prepare = |text: &str| client.prepare(&text.replace("@schema", schema));
        let statements = match form {
            Form::Statements => Statements::Several {
                lock: prepare(LOCK)?,
                insert: prepare(INSERT)?,
                update: prepare(UPDATE)?,
            },
            Form::Function => Statements::One(prepare("SELECT @schema.join($1, $2)")?),
        };
        Ok(Connection { client, statements, ids: self.ids.clone() })
    }

    /// Compares the tables with what was asked for.
    ///
    /// # Errors
    /// When they differ: somebody was lost, is in twice, got a place too many or overtook others.
    pub(super) fn check(&mut self, asked: u64) -> anyhow::Result<()> {
        let events = self.ids.len() as u64;
        let expected = Expected { asked, events, places: self.places.into() };
        let check = self.admin.prepare(&CHECK.replace("@schema", &self.schema))?;
        for (event, id) in (0..).zip(&self.ids) {
            let row = self.admin.query_one(&check, &[id])?;
            let seen = |column: usize| row.get::<_, i64>(column).unsigned_abs();
            let people = Told { active: seen(0), waiting: seen(1) };
            expected.check("PostgreSQL's table of registrations", event, people)?;
            let counted = Told { active: seen(2), waiting: seen(3) };
            expected.check("PostgreSQL's table of events", event, counted)?;
            ensure!(
                seen(4) == people.active + people.waiting && seen(5) == people.waiting,
                "PostgreSQL is wrong: event {event} has {} different people and {} different \
                 positions for {people:?}",
                seen(4),
                seen(5)
            );
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let dropped = self.admin.batch_execute(&format!("DROP SCHEMA {} CASCADE", self.schema));
        if let Err(error) = dropped {
            tracing::warn!(schema = %self.schema, "the schema of the measurement stays: {error}");
        }
    }
}

fn connect(url: &str) -> anyhow::Result<Client> {
    Client::connect(url, NoTls).context(
        "PostgreSQL cannot be reached: give its address as --postgres \
         postgres://user:password@host:port/database, without TLS",
    )
}

/// Where a URL points, as `host:port`.
///
/// # Errors
/// When it is none.
pub(super) fn address_of(url: &str) -> anyhow::Result<String> {
    let config: postgres::Config = url.parse().context("--postgres is no URL of PostgreSQL")?;
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_hosts().first() {
        Some(postgres::config::Host::Tcp(host)) => Ok(format!("{host}:{port}")),
        _ => bail!("--postgres names no host: write postgres://user@host:port/database"),
    }
}

enum Statements {
    Several { lock: Statement, insert: Statement, update: Statement },
    One(Statement),
}

/// A connection with its statements prepared.
pub(super) struct Connection {
    client: Client,
    statements: Statements,
    ids: Vec<Uuid>,
}

impl Joins for Connection {
    fn join(&mut self, numbers: Range<u64>, told: &mut Told) -> anyhow::Result<()> {
        for number in numbers {
            let event = self.ids[usize::try_from(number % self.ids.len() as u64)?];
            let user = Uuid::from_bytes(*user_of(number).as_bytes());
            match self.join_one(&event, &user)? {
                0 => told.active += 1,
                position if position > 0 => told.waiting += 1,
                refused => bail!("PostgreSQL refused join {number} with {refused}"),
            }
        }
        Ok(())
    }
}

impl Connection {
    /// 0, or the position in the line.
    fn join_one(&mut self, event: &Uuid, user: &Uuid) -> anyhow::Result<i64> {
        let (lock, insert, update) = match &self.statements {
            Statements::One(join) => {
                return Ok(self.client.query_one(join, &[event, user])?.get(0));
            }
            Statements::Several { lock, insert, update } => (lock, insert, update),
        };
        let mut transaction = self.client.transaction()?;
        let row = transaction.query_one(lock, &[event])?;
        let (places, line_max): (i64, i64) = (row.get(0), row.get(1));
        let (active, waiting): (i64, i64) = (row.get(2), row.get(3));
        let has_place = waiting == 0 && active < places;
        if !has_place && waiting >= line_max {
            transaction.rollback()?;
            return Ok(-2);
        }
        let position = if has_place { 0 } else { waiting + 1 };
        transaction.execute(insert, &[event, user, &has_place, &position])?;
        let counted = (active + i64::from(has_place), waiting + i64::from(!has_place));
        transaction.execute(update, &[event, &counted.0, &counted.1])?;
        transaction.commit()?;
        Ok(position)
    }
}

const LOCK: &str =
    "SELECT places, line_max, active, waiting FROM @schema.event WHERE id = $1 FOR UPDATE";
const INSERT: &str = "INSERT INTO @schema.registration (event_id, user_id, is_active, position) \
                      VALUES ($1, $2, $3, $4)";
const UPDATE: &str = "UPDATE @schema.event SET active = $2, waiting = $3 WHERE id = $1";

/// People by standing, counters, and how many people and positions are different.
const CHECK: &str = "
    SELECT count(*) FILTER (WHERE is_active), count(*) FILTER (WHERE NOT is_active),
           (SELECT active FROM @schema.event WHERE id = $1),
           (SELECT waiting FROM @schema.event WHERE id = $1),
           count(DISTINCT user_id),
           count(DISTINCT position) FILTER (WHERE position BETWEEN 1 AND
               (SELECT waiting FROM @schema.event WHERE id = $1))
    FROM @schema.registration WHERE event_id = $1";

const TABLES: &str = "
    CREATE SCHEMA @schema;
    CREATE TABLE @schema.event (
        id uuid PRIMARY KEY,
        places bigint NOT NULL,
        line_max bigint NOT NULL DEFAULT 1000000000,
        active bigint NOT NULL DEFAULT 0,
        waiting bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 10);
    CREATE TABLE @schema.registration (
        event_id uuid NOT NULL,
        user_id uuid NOT NULL,
        is_active boolean NOT NULL,
        position bigint NOT NULL,
        joined_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (event_id, user_id)
    );
    CREATE FUNCTION @schema.join(wanted uuid, person uuid) RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE
        found @schema.event%ROWTYPE;
        has_place boolean;
    BEGIN
        SELECT * INTO found FROM @schema.event WHERE id = wanted FOR UPDATE;
        has_place := found.waiting = 0 AND found.active < found.places;
        IF NOT has_place AND found.waiting >= found.line_max THEN
            RETURN -2;
        END IF;
        INSERT INTO @schema.registration (event_id, user_id, is_active, position) VALUES
            (wanted, person, has_place, CASE WHEN has_place THEN 0 ELSE found.waiting + 1 END);
        UPDATE @schema.event SET
            active = found.active + has_place::int,
            waiting = found.waiting + (NOT has_place)::int
        WHERE id = wanted;
        RETURN CASE WHEN has_place THEN 0 ELSE found.waiting + 1 END;
    END $$;";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_found_in_its_url() {
        let address = |url: &str| address_of(url).map_err(|error| error.to_string());
        assert_eq!(address("postgres://me:secret@db:15432/x").unwrap(), "db:15432");
        assert_eq!(address("postgres://me@127.0.0.1/x").unwrap(), "127.0.0.1:5432");
        assert!(address("127.0.0.1:5432").unwrap_err().contains("--postgres"));
        assert!(address("postgres:///x").unwrap_err().contains("no host"));
    }
}
