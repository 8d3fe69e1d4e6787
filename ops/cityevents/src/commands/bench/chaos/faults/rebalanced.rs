//! Processes that decide come and go, some in order and some not, so that partitions move all the
//! time.

use super::{Scene, Struck};
use crate::commands::bench::chaos::cluster::judge_end;

/// Who comes and goes.
const GUESTS: [&str; 2] = ["registration-3", "registration-4"];

pub(super) fn strike(scene: &mut Scene<'_>) -> anyhow::Result<Struck> {
    let times = scene.times(2_500, 2, 40);
    let mut struck = Struck { times: times as u32, ..Struck::default() };
    for number in 0..times {
        scene.wait_for_moment(number, times);
        let guests = &GUESTS[..=(number % 2) as usize];
        for guest in guests {
            scene.cluster.begin(guest)?;
        }
        for guest in guests {
            scene.cluster.wait_ready(guest)?;
        }
        for (index, guest) in guests.iter().enumerate() {
            // One of two leaves without a word.
            if index == 1 {
                scene.cluster.kill(guest)?;
            } else {
                let ended = scene.cluster.terminate(guest)?;
                struck.problems.extend(judge_end(guest, &ended));
            }
        }
    }
    Ok(struck)
}
