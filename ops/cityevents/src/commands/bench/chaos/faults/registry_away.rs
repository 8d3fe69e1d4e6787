//! The schema registry is gone for a while. Ids that are known stay known, so nobody notices.

use super::{Scene, Struck};

pub(super) fn strike(scene: &mut Scene<'_>) -> anyhow::Result<Struck> {
    let servers = scene.servers.breakable()?;
    scene.wait_for_moment(0, 4);
    servers.run(&["kill", "registry"])?;
    let before = scene.load.answered();
    std::thread::sleep(scene.away);
    let during = scene.load.answered() - before;
    servers.run(&["up", "registry"])?;
    let mut struck = Struck { times: 1, ..Struck::default() };
    struck.notes.push(format!("{during} answers while it was away"));
    if during == 0 && !scene.load.is_over() {
        struck.problems.push("nobody was answered while the registry was away".to_owned());
    }
    Ok(struck)
}
