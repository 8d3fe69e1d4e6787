//! Every process is stopped with SIGTERM, one after the other, and started again. No request is
//! cut, and each ends in time with status 0.

use std::time::Duration;

use super::{Scene, Struck};
use crate::commands::bench::chaos::cluster::{everybody, judge_end};

pub(super) fn strike(scene: &mut Scene<'_>) -> anyhow::Result<Struck> {
    let times = everybody().count() as u64;
    let mut struck = Struck { times: times as u32, ..Struck::default() };
    let mut longest = (Duration::ZERO, "");
    for (number, name) in (0..times).zip(everybody()) {
        scene.wait_for_moment(number, times);
        let ended = scene.cluster.terminate(name)?;
        struck.problems.extend(judge_end(name, &ended));
        longest = longest.max((ended.took, name));
        scene.cluster.restart(name)?;
    }
    struck.notes.push(format!("{} took longest to end, {:.1?}", longest.1, longest.0));
    if scene.load.is_over() {
        struck.notes.push("the load was over before everybody was stopped".to_owned());
    }
    Ok(struck)
}
