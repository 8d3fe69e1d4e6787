//! A worker is frozen until others have its partitions. When it wakes it knows nothing of that, and
//! writes what it had decided.

use super::{Scene, Struck};
use crate::commands::bench::chaos::cluster::WORKERS;

pub(super) fn strike(scene: &mut Scene<'_>) -> anyhow::Result<Struck> {
    let times = scene.times(10_000, 2, 10);
    for (number, worker) in (0..times).zip(WORKERS.into_iter().cycle()) {
        scene.wait_for_moment(number, times);
        scene.freeze(worker)?;
    }
    Ok(Struck { times: times as u32, ..Struck::default() })
}
