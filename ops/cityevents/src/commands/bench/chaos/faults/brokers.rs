//! Brokers that go away: each of three while it leads partitions, and the only one there is.

use std::time::Duration;

use super::{Scene, Struck};

/// How long a broker of three is away at least: long enough for others to lead.
const AWAY: Duration = Duration::from_secs(3);
/// How long a broker that is back has for catching up before the next one is killed.
const CATCH_UP: Duration = Duration::from_secs(3);
/// All of them, so that every partition's leader is among those killed.
const BROKERS: [&str; 3] = ["kafka-cluster/1", "kafka-cluster/2", "kafka-cluster/3"];

pub(super) fn strike_leaders(scene: &mut Scene<'_>) -> anyhow::Result<Struck> {
    let times = BROKERS.len() as u64;
    let servers = scene.servers.breakable()?;
    for (number, broker) in (0..times).zip(BROKERS) {
        scene.wait_for_moment(number, times);
        servers.run(&["kill", broker])?;
        std::thread::sleep(AWAY);
        servers.run(&["up", "kafka-cluster"])?;
        std::thread::sleep(CATCH_UP);
    }
    Ok(Struck { times: times as u32, ..Struck::default() })
}

pub(super) fn strike_only_one(scene: &mut Scene<'_>) -> anyhow::Result<Struck> {
    let times = scene.times(20_000, 2, 4);
    let servers = scene.servers.breakable()?;
    for number in 0..times {
        scene.wait_for_moment(number, times);
        if number % 2 == 0 {
            servers.run(&["kill", "kafka"])?;
        } else {
            servers.run(&["stop", "kafka"])?;
        }
        servers.run(&["up", "kafka"])?;
    }
    Ok(Struck { times: times as u32, ..Struck::default() })
}
