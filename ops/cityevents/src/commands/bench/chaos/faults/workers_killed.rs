//! Workers are killed with SIGKILL, one after the other, and started again.

use super::{Scene, Struck};
use crate::commands::bench::chaos::cluster::WORKERS;

pub(super) fn strike(scene: &mut Scene<'_>) -> anyhow::Result<Struck> {
    let times = scene.times(2_500, 2, 40);
    for (number, worker) in (0..times).zip(WORKERS.into_iter().cycle()) {
        scene.wait_for_moment(number, times);
        scene.cluster.kill(worker)?;
        scene.cluster.restart(worker)?;
    }
    Ok(Struck { times: times as u32, ..Struck::default() })
}
