//! `dev` as a child process.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use super::command_line::{self, PATIENT, Said};

/// Longest wait for a process to do what it does in a second.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks where nothing tells that something happened.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running instance; killed when it is dropped.
pub struct Instance {
    child: Child,
    /// Its public listener.
    pub http: SocketAddr,
    /// Its operations listener.
    pub ops: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Instance {
    /// Starts on a folder and waits until it is ready.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// Starts with settings, by their names in the environment.
    #[track_caller]
    pub fn start_with(data: &Path, settings: &[(&str, &str)]) -> Self {
        match Self::try_start(data, settings) {
            Ok(instance) => instance,
            Err(said) => panic!("it did not become ready: {said:?}"),
        }
    }

    /// As [`Self::start_with`]; otherwise what it said before it went away.
    pub fn try_start(data: &Path, settings: &[(&str, &str)]) -> Result<Self, Said> {
        Self::launch(data, &[], settings)
    }

    /// Starts with options of `dev`.
    #[track_caller]
    pub fn start_as(data: &Path, options: &[&str]) -> Self {
        match Self::launch(data, options, &[]) {
            Ok(instance) => instance,
            Err(said) => panic!("it did not become ready: {said:?}"),
        }
    }

    fn launch(data: &Path, options: &[&str], settings: &[(&str, &str)]) -> Result<Self, Said> {
        let mut command = command_line::command();
        command.args(["dev", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data"]);
        command.arg(data).args(options).env("CITYEVENTS__LIMITS__ENABLED", "false");
        command.envs(PATIENT).envs(settings.iter().copied());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (told, ready) = mpsc::channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let readers = [follow(out, log.clone(), told.clone()), follow(err, log.clone(), told)];
        match ready.recv_timeout(DEADLINE) {
            Ok((http, ops)) => Ok(Self { child, http, ops, log }),
            Err(_) => {
                // It ended, or it hangs and is ended here; both leave what it said.
                let _ended = child.kill();
                let code = child.wait().unwrap().code().unwrap_or(-1);
                readers.into_iter().for_each(|reader| reader.join().unwrap());
                let err = log.lock().unwrap().clone();
                Err(Said { code, out: String::new(), err })
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has said so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        let done = std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(done.success());
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self, longest: Duration) -> ExitStatus {
        let mut status = None;
        poll_for(longest, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Stops it as a person would, and sees that it ends well.
    #[track_caller]
    pub fn stop(mut self) {
        self.terminate();
        let status = self.wait(DEADLINE);
        assert!(status.success(), "{status}: {}", self.log());
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Already gone where the test stopped it.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Looks until something is so.
#[track_caller]
pub fn poll_for(longest: Duration, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < longest, "not so after {longest:?}");
        std::thread::sleep(LOOK_EVERY);
    }
}

type Addresses = (SocketAddr, SocketAddr);

fn follow(
    stream: impl Read + Send + 'static,
    log: Arc<Mutex<String>>,
    told: mpsc::Sender<Addresses>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            if let Some(addresses) = ready_line(&line) {
                // Nobody listens any more when it came too late.
                let _late = told.send(addresses);
            }
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    })
}

fn ready_line(line: &str) -> Option<Addresses> {
    let rest = line.strip_prefix("cityevents is ready at http://")?;
    let (http, rest) = rest.split_once(" (operations at http://")?;
    Some((http.parse().ok()?, rest.strip_suffix(')')?.parse().ok()?))
}
