//! A publisher is frozen until another has its partitions, in the middle of a batch by chance. When
//! it wakes it must not turn a row back.

use super::{Scene, Struck};
use crate::commands::bench::chaos::cluster::PUBLISHERS;

pub(super) fn strike(scene: &mut Scene<'_>) -> anyhow::Result<Struck> {
    let times = scene.times(10_000, 2, 10);
    for (number, publisher) in (0..times).zip(PUBLISHERS.into_iter().cycle()) {
        scene.wait_for_moment(number, times);
        scene.freeze(publisher)?;
    }
    Ok(Struck { times: times as u32, ..Struck::default() })
}
