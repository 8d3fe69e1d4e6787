//! This machine: its disk, its addresses and its clock.

use std::io::Write as _;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use cityevents_kit::Config;
use cityevents_runtime::log::{TopicPartition, read_one};
use tokio::runtime::Runtime;

use super::row::Finding;
use crate::instance;

/// Room below which a day's growth may fill a disk.
const FREE_BYTES_MIN: u64 = 2 << 30;
/// An address far away: the way there tells which address of this machine others see. Nothing is sent.
const FAR_AWAY: &str = "192.0.2.1:9";
const READ_WAIT: Duration = Duration::from_secs(5);

/// Rows `disk`, `operations listener`.
pub(super) fn production(config: &Config) -> Vec<Finding> {
    vec![disk(config), operations_listener(config)]
}

/// Row `disk`.
pub(super) fn laptop(config: &Config) -> Vec<Finding> {
    vec![disk(config)]
}

fn disk(config: &Config) -> Finding {
    let dir = &config.data.dir;
    let shown = dir.display();
    let free = match writable(dir).and_then(|()| Ok(rustix::fs::statvfs(dir)?)) {
        Ok(statistics) => statistics.f_bavail.saturating_mul(statistics.f_frsize),
        Err(error) => {
            let todo = "make the folder, and let the user that runs the instance write there";
            return Finding::fail(format!("{shown} cannot be written: {error}"), todo);
        }
    };
    let needed = match config.is_cluster() {
        true => FREE_BYTES_MIN,
        // Below the reserve nobody may write any more.
        false => FREE_BYTES_MIN.max(config.log.local.disk_reserve.saturating_mul(2)),
    };
    let found = format!("{shown} can be written, {:.1} GiB free", free as f64 / (1 << 30) as f64);
    if free < needed {
        let gib = needed as f64 / (1 << 30) as f64;
        return Finding::fail(found, format!("make room: at least {gib:.1} GiB"));
    }
    Finding::ok(found)
}

/// Writes a file down to the disk, and takes it away.
fn writable(dir: &Path) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(b"cityevents doctor")?;
    file.as_file().sync_all()?;
    file.close()
}

fn operations_listener(config: &Config) -> Finding {
    let listen = config.ops.listen;
    let address = match listen.ip() {
        any if any.is_unspecified() => seen_from_outside(),
        one => Some(one),
    };
    let todo = "set ops.listen to an address that only Prometheus and operators reach";
    match address {
        None => Finding::warn(format!("{listen}: on every address, and none leads outside"), todo),
        Some(address) if is_private(address) => Finding::ok(format!("{listen} is not public")),
        Some(address) => {
            Finding::fail(format!("{listen} is open at {address}, to everybody"), todo)
        }
    }
}

/// The address of this machine on its way to everybody.
fn seen_from_outside() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect(FAR_AWAY).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

const fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            // Shared addresses (RFC 6598) are behind a translator as well.
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && second & 0b1100_0000 == 64;
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || is_shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Row `clock`: against everybody who tells the time. Tokens, ticks and allowances compare clocks.
pub(super) fn clock(config: &Config) -> Vec<Finding> {
    if !config.is_cluster() {
        return vec![Finding::ok("one machine has one clock")];
    }
    let asked: [(&str, anyhow::Result<Option<i64>>); 3] = [
        ("the tables", tables_ahead_ms(config).map(Some)),
        ("the brokers", log_ahead_ms(config)),
        ("the schema registry", registry_ahead_ms(config)),
    ];
    let told: Vec<_> =
        asked.iter().filter_map(|(who, ahead)| Some((*who, (*ahead.as_ref().ok()?)?))).collect();
    let Some((who, ahead_ms)) = told.iter().max_by_key(|(_, ahead)| ahead.abs()) else {
        return vec![Finding::unknown("nobody tells the time")];
    };
    let names = told.iter().map(|(who, _)| *who).collect::<Vec<_>>().join(", ");
    let leeway = config.tokens.leeway;
    let seconds = *ahead_ms as f64 / 1_000.0;
    if ahead_ms.unsigned_abs() > u64::try_from(leeway.as_millis()).unwrap_or(u64::MAX) {
        let todo = "let chrony or the like set the clocks of all machines";
        return vec![Finding::fail(format!("{who} are {seconds:+.1} s from this machine"), todo)];
    }
    vec![Finding::ok(format!("within {:.1} s of {names}", seconds.abs()))]
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn tables_ahead_ms(config: &Config) -> anyhow::Result<i64> {
    let options = instance::scylla_options(config)?;
    let runtime = Runtime::new()?;
    let told = runtime.block_on(cityevents_views::scylla::server_time(&options))?;
    Ok(told.as_millis() - now_ms())
}

fn registry_ahead_ms(config: &Config) -> anyhow::Result<Option<i64>> {
    Ok(instance::look_at_registry(config)?.told_ms.map(|told_ms| told_ms - now_ms()))
}

/// How far the newest command is in the future. Brokers stamp commands themselves, so one from the
/// future says that theirs is ahead; an old one says nothing.
fn log_ahead_ms(config: &Config) -> anyhow::Result<Option<i64>> {
    let context = instance::open_log(config)?;
    let mut newest = None;
    for partition in 0..context.log().describe(&context.source.commands)?.spec.partitions {
        let place = TopicPartition::new(context.source.commands.clone(), partition);
        let marks = context.log().watermarks(&place)?;
        if marks.high == marks.low {
            continue;
        }
        let last = read_one(&**context.log(), &place, marks.high - 1, READ_WAIT)?;
        newest = newest.max(last.map(|record| record.timestamp_ms));
    }
    Ok(newest.map(|newest: i64| (newest - now_ms()).max(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for private in ["127.0.0.1", "10.1.2.3", "192.168.1.1", "172.31.0.1", "100.64.0.1", "::1"] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:4860:4860::8888"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }
}
