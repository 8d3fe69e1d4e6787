//! Processes that take requests are killed with SIGKILL, with commands appended and not answered.
//! Callers repeat with the same key, and get the one decision.

use super::{Scene, Struck};
use crate::commands::bench::chaos::cluster::TAKERS;

pub(super) fn strike(scene: &mut Scene<'_>) -> anyhow::Result<Struck> {
    let times = scene.times(2_500, 3, 40);
    for (number, taker) in (0..times).zip(TAKERS.into_iter().cycle()) {
        scene.wait_for_moment(number, times);
        scene.cluster.kill(taker)?;
        scene.cluster.restart(taker)?;
    }
    Ok(Struck { times: times as u32, ..Struck::default() })
}
