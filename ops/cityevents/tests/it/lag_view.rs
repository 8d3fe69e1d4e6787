//! The view of `lag --watch` on a terminal: what a person at its keys sees, and that the terminal is given
//! back as it was.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use super::command_line::command;
use super::instance::{DEADLINE, Instance, poll_for};

const OPENED: &str = "\x1b[?1049h";
const LEFT: &str = "\x1b[?1049l";
const CURSOR_SHOWN: &str = "\x1b[?25h";

/// A program on a terminal of its own.
struct Watching {
    child: Child,
    keys: File,
    terminal: File,
    /// How the terminal was before.
    before: String,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Watching {
    fn start(data: &Path) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let path = ptsname(&keys, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let terminal = File::from(rustix::fs::open(path, flags, Mode::empty()).unwrap());
        let size = Winsize { ws_row: 30, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        let before = modes(&terminal);
        let keys = File::from(keys);
        let mut command = command();
        command.args(["lag", "--watch", "--data"]).arg(data).env("CITYEVENTS__LAG__EVERY", "100ms");
        command.stdin(terminal.try_clone().unwrap()).stdout(terminal.try_clone().unwrap());
        command.stderr(terminal.try_clone().unwrap());
        let child = command.spawn().unwrap();
        let (shown, mut screen) = (Arc::<Mutex<Vec<u8>>>::default(), keys.try_clone().unwrap());
        let all = shown.clone();
        // Ends when nobody has the terminal open any more.
        std::thread::spawn(move || {
            let mut piece = [0; 4_096];
            while let Ok(length @ 1..) = screen.read(&mut piece) {
                all.lock().unwrap().extend_from_slice(&piece[..length]);
            }
        });
        Self { child, keys, terminal, before, shown }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Presses keys, and waits until all of these words have been written since. Blanks may be jumped
    /// over, so that only words can be looked for.
    #[track_caller]
    fn press(&mut self, keys: &str, words: &[&str]) {
        let before = self.shown().len();
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.wait_for(before, words);
    }

    #[track_caller]
    fn wait_for(&self, from: usize, words: &[&str]) {
        poll_for(DEADLINE, || {
            let shown = self.shown();
            words.iter().all(|word| shown[from..].contains(word))
        });
    }

    /// Waits for its end: the terminal is as it was. Returns what was written after the view was left.
    fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        self.wait_for(0, &[LEFT, CURSOR_SHOWN]);
        assert_eq!(modes(&self.terminal), self.before);
        let shown = self.shown();
        let (view, after) = shown.rsplit_once(LEFT).unwrap();
        assert!(view.starts_with(OPENED), "{shown:?}");
        (status, after.to_owned())
    }
}

fn modes(terminal: &File) -> String {
    format!("{:?}", tcgetattr(terminal).unwrap())
}

#[test]
fn a_terminal_shows_who_is_behind_follows_keys_and_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    Instance::start(folder.path()).stop();
    let mut watching = Watching::start(folder.path());
    watching.wait_for(0, &["registration", "event-commands", "keeps", "total:"]);
    watching.press("?", &["Ctrl-C", "stalled"]);
    watching.press("/mail", &["groups", "mail_"]);
    watching.press("\r", &["leave"]);
    // An unfinished filter is forgotten by Escape, which leaves the view else.
    watching.press("fnobody", &["nobody_"]);
    watching.press("\x1b", &["registration"]);
    watching.keys.write_all(b"q").unwrap();
    let (status, after) = watching.end();
    assert_eq!((status.code(), &*after.replace(CURSOR_SHOWN, "")), (Some(0), ""));
}

#[test]
fn a_terminal_is_given_back_to_whoever_interrupts_stops_or_was_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Watching::start(folder.path());
    let (status, after) = nobody.end();
    assert_eq!(status.code(), Some(1));
    assert!(after.contains("error: there is no instance in"), "{after:?}");

    Instance::start(folder.path()).stop();
    let mut interrupted = Watching::start(folder.path());
    interrupted.wait_for(0, &["registration"]);
    interrupted.keys.write_all(b"\x03").unwrap();
    assert_eq!(interrupted.end().0.code(), Some(0));

    let stopped = Watching::start(folder.path());
    stopped.wait_for(0, &["registration"]);
    let id = Pid::from_raw(stopped.child.id().cast_signed()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    assert_eq!(stopped.end().0.code(), Some(0));
}
