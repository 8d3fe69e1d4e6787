//! The peer that is known for speed: Redis, with the whole join as a Lua script on the server.
//!
//! People are members of a set, places are counted in a hash, the line is a list. How much of that
//! a crash leaves is a matter of `appendfsync`: with `always` what was answered is on the disk, with
//! `everysec` up to a second of answers is lost.

use std::collections::HashSet;
use std::ops::Range;

use anyhow::{Context as _, bail, ensure};
use redis::{Client, Commands as _, ConnectionLike as _};
use uuid::Uuid;

use super::load::{Expected, Joins, Told};
use crate::commands::bench::workload::user_of;
use crate::commands::random_id;

/// The policies that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sync {
    Always,
    EverySecond,
}

impl Sync {
    /// As the setting says.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::EverySecond => "everysec",
        }
    }
}

/// 0: has a place; more: the position in the line; less: not joined.
const JOIN: &str = "
if redis.call('SADD', KEYS[2], ARGV[1]) == 0 then return -1 end
local event = redis.call('HMGET', KEYS[1], 'places', 'active', 'line_max')
local waiting = redis.call('LLEN', KEYS[3])
if waiting == 0 and tonumber(event[2]) < tonumber(event[1]) then
  redis.call('HINCRBY', KEYS[1], 'active', 1)
  return 0
end
if waiting >= tonumber(event[3]) then
  redis.call('SREM', KEYS[2], ARGV[1])
  return -2
end
return redis.call('RPUSH', KEYS[3], ARGV[1])
";
/// Settings that a run changes, and puts back.
const SETTINGS: [&str; 2] = ["appendonly", "appendfsync"];
/// People read at once when the line is compared.
const LINE_PAGE: isize = 100_000;

/// Events under keys of their own, which go when this is dropped.
pub(super) struct Redis {
    client: Client,
    admin: redis::Connection,
    /// As the settings were before.
    before: Vec<(&'static str, String)>,
    script: String,
    events: Vec<[String; 3]>,
    places: u32,
}

impl Redis {
    /// Makes events with so many places each, and sets when the log of the server is synced.
    ///
    /// # Errors
    /// When the server cannot be reached, or does not take the settings.
    pub(super) fn prepare(url: &str, sync: Sync, events: u64, places: u32) -> anyhow::Result<Self> {
        let (client, mut admin) = connect(url)?;
        let before = SETTINGS.iter().map(|name| Ok((*name, setting(&mut admin, name)?)));
        let before = before.collect::<anyhow::Result<Vec<_>>>()?;
        let script = redis::cmd("SCRIPT").arg("LOAD").arg(JOIN).query(&mut admin)?;
        let run = Uuid::from_bytes(random_id()).simple();
        let keys = |event| {
            ["event", "people", "line"].map(|kind| format!("bench:{{{run}:{event}}}:{kind}"))
        };
        let events = (0..events).map(keys).collect();
        let mut this = Self { client, admin, before, script, events, places };
        for (name, value) in SETTINGS.iter().zip(["yes", sync.as_str()]) {
            set(&mut this.admin, name, value)?;
            let now = setting(&mut this.admin, name)?;
            ensure!(now == value, "Redis does not take {name} {value}, it stays {now}");
        }
        this.wait_for_log()?;
        for [event, ..] in &this.events {
            let fields =
                [("places", u64::from(places)), ("active", 0), ("line_max", 1_000_000_000)];
            let () = this.admin.hset_multiple(event, &fields)?;
        }
        Ok(this)
    }

    /// Switching the log on writes it in the background first.
    fn wait_for_log(&mut self) -> anyhow::Result<()> {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let info: String = redis::cmd("INFO").arg("persistence").query(&mut self.admin)?;
            let is = |line: &str| info.lines().any(|one| one.trim() == line);
            if is("aof_enabled:1")
                && is("aof_rewrite_in_progress:0")
                && is("aof_rewrite_scheduled:0")
                && is("aof_last_write_status:ok")
            {
                return Ok(());
            }
            ensure!(
                std::time::Instant::now() < deadline,
                "Redis does not get its log ready: {info}"
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Another connection.
    pub(super) fn connection(&self) -> anyhow::Result<Connection> {
        let connection = self.client.get_connection()?;
        Ok(Connection { connection, script: self.script.clone(), events: self.events.clone() })
    }

    /// Compares the keys with what was asked for.
    ///
    /// # Errors
    /// When they differ: somebody was lost, is in twice, or got a place too many.
    pub(super) fn check(&mut self, asked: u64) -> anyhow::Result<()> {
        let info: String = redis::cmd("INFO").arg("persistence").query(&mut self.admin)?;
        ensure!(
            info.lines().any(|line| line.trim() == "aof_last_write_status:ok"),
            "Redis could not write its log: {info}"
        );
        let events = self.events.len() as u64;
        let expected = Expected { asked, events, places: self.places.into() };
        for (number, [event, people, line]) in (0..).zip(&self.events) {
            let active: u64 = self.admin.hget(event, "active")?;
            let members: u64 = self.admin.scard(people)?;
            let waiting: u64 = self.admin.llen(line)?;
            expected.check("Redis", number, Told { active, waiting })?;
            ensure!(
                members == active + waiting,
                "Redis is wrong: event {number} has {members} people, {active} with a place and \
                 {waiting} in the line"
            );
            let mut seen: HashSet<Vec<u8>> = HashSet::new();
            for first in (0..isize::try_from(waiting)?).step_by(LINE_PAGE.unsigned_abs()) {
                let page: Vec<Vec<u8>> = self.admin.lrange(line, first, first + LINE_PAGE - 1)?;
                seen.extend(page);
            }
            ensure!(
                seen.len() as u64 == waiting,
                "Redis is wrong: in the line of event {number} stand {} people in {waiting} \
                 positions",
                seen.len()
            );
        }
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let mut clean = || -> redis::RedisResult<()> {
            for keys in &self.events {
                let () = redis::cmd("UNLINK").arg(keys).query(&mut self.admin)?;
            }
            for (name, value) in self.before.iter().rev() {
                set(&mut self.admin, name, value)?;
            }
            Ok(())
        };
        if let Err(error) = clean() {
            tracing::warn!("keys and settings of the measurement stay in Redis: {error}");
        }
    }
}

fn connect(url: &str) -> anyhow::Result<(Client, redis::Connection)> {
    let how = "Redis cannot be reached: give its address as --redis redis://host:port, without TLS";
    let client = Client::open(url).context(how)?;
    let connection = client.get_connection().context(how)?;
    Ok((client, connection))
}

/// Where a URL points, as `host:port`.
///
/// # Errors
/// When it is none.
pub(super) fn address_of(url: &str) -> anyhow::Result<String> {
    let client =
        Client::open(url).context("--redis is no URL of Redis: write redis://host:port")?;
    match client.get_connection_info().addr() {
        redis::ConnectionAddr::Tcp(host, port) => Ok(format!("{host}:{port}")),
        _ => bail!("--redis needs a host and no TLS: write redis://host:port"),
    }
}

fn setting(connection: &mut redis::Connection, name: &str) -> anyhow::Result<String> {
    let pair: Vec<String> = redis::cmd("CONFIG").arg("GET").arg(name).query(connection)?;
    pair.into_iter().nth(1).with_context(|| format!("Redis knows no setting {name}"))
}

fn set(connection: &mut redis::Connection, name: &str, value: &str) -> redis::RedisResult<()> {
    redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query(connection)
}

/// A connection that sends many scripts at once.
pub(super) struct Connection {
    connection: redis::Connection,
    script: String,
    events: Vec<[String; 3]>,
}

impl Joins for Connection {
    fn join(&mut self, numbers: Range<u64>, told: &mut Told) -> anyhow::Result<()> {
        let count = usize::try_from(numbers.end - numbers.start)?;
        let mut pipe = redis::Pipeline::with_capacity(count);
        for number in numbers.clone() {
            let keys = &self.events[usize::try_from(number % self.events.len() as u64)?];
            let user = user_of(number);
            pipe.cmd("EVALSHA")
                .arg(&self.script)
                .arg(keys.len())
                .arg(keys)
                .arg(&user.as_bytes()[..]);
        }
        let answers: Vec<i64> = pipe.query(&mut self.connection)?;
        ensure!(
            answers.len() == count && self.connection.is_open(),
            "Redis answered {} of {count} joins",
            answers.len()
        );
        for (number, answer) in numbers.zip(answers) {
            match answer {
                0 => told.active += 1,
                position if position > 0 => told.waiting += 1,
                refused => bail!("Redis refused join {number} with {refused}"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_found_in_its_url() {
        let address = |url: &str| address_of(url).map_err(|error| error.to_string());
        assert_eq!(address("redis://:secret@cache:16379/1").unwrap(), "cache:16379");
        assert_eq!(address("redis://127.0.0.1").unwrap(), "127.0.0.1:6379");
        assert!(address("127.0.0.1:6379").unwrap_err().contains("--redis"));
    }
}
