//! A mail server whose whole memory is the test's: it lets clients in when it is told to, puts some
//! mails off, and keeps an answer to itself when somebody is to die without having heard it.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Longest wait for clients.
const PATIENCE: Duration = Duration::from_secs(60);

/// A mail that came whole and was not put off. Whether its client heard so is another matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// From its `Message-ID`: 32 hexadecimal digits.
    pub id: String,
    /// The address it was for.
    pub to: String,
    /// Its subject, on one line.
    pub subject: String,
    /// All of it.
    pub message: String,
}

#[derive(Default)]
struct State {
    lets_in: bool,
    holds: bool,
    held: usize,
    open: usize,
    steps: usize,
    tries: HashMap<String, u32>,
    taken: Vec<Taken>,
}

#[derive(Default)]
struct Shared {
    /// Ends of subjects, and how often each mail with such a one is put off.
    puts_off: Vec<(&'static str, u32)>,
    state: Mutex<State>,
    news: Condvar,
}

/// A running server; its threads end with the test.
pub struct Sink {
    /// Where it listens, on this machine.
    pub port: u16,
    shared: Arc<Shared>,
}

impl Sink {
    /// Starts it. Nobody is let in yet. Mails with these ends of subjects are put off so often.
    pub fn start(puts_off: &[(&'static str, u32)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { puts_off: puts_off.into(), ..Shared::default() });
        let of_clients = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.unwrap(), Arc::clone(&of_clients));
                shared.change(|state| state.open += 1);
                std::thread::spawn(move || {
                    // A client that is gone in the middle is what this server is for.
                    let _gone = shared.serve(stream);
                    shared.change(|state| state.open -= 1);
                });
            }
        });
        Self { port, shared }
    }

    /// Whether clients are let in, those that wait too.
    pub fn let_in(&self, lets_in: bool) {
        self.shared.change(|state| state.lets_in = lets_in);
    }

    /// Whether whole mails get no answer for now; those that wait for one get it in the end.
    pub fn hold_answers(&self, holds: bool) {
        self.shared.change(|state| state.holds = holds);
    }

    /// How often clients have said something so far.
    pub fn steps(&self) -> usize {
        self.shared.state.lock().unwrap().steps
    }

    /// Waits until clients have said something so often.
    #[track_caller]
    pub fn wait_for_steps(&self, steps: usize) {
        self.wait(|state| state.steps < steps);
    }

    /// Waits until a mail is taken and its client does not know.
    #[track_caller]
    pub fn wait_for_held(&self) {
        self.wait(|state| state.held == 0);
    }

    /// Waits until all clients are gone, and what they had said is heard.
    #[track_caller]
    pub fn wait_for_nobody(&self) {
        self.wait(|state| state.open > 0);
    }

    /// What it has taken, in order.
    pub fn taken(&self) -> Vec<Taken> {
        self.shared.state.lock().unwrap().taken.clone()
    }

    #[track_caller]
    fn wait(&self, not_yet: impl FnMut(&mut State) -> bool) {
        let state = self.shared.state.lock().unwrap();
        let (_state, late) = self.shared.news.wait_timeout_while(state, PATIENCE, not_yet).unwrap();
        assert!(!late.timed_out(), "the mail server waited in vain");
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.news.notify_all();
    }

    fn wait_while(&self, mut so: impl FnMut(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.state.lock().unwrap();
        self.news.wait_while(state, |state| so(state)).unwrap()
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut client = BufReader::new(stream);
        drop(self.wait_while(|state| !state.lets_in));
        say(&mut client, "220 sink ESMTP")?;
        let mut to = String::new();
        loop {
            let mut line = String::new();
            if client.read_line(&mut line)? == 0 {
                return Ok(());
            }
            self.change(|state| state.steps += 1);
            let word = line.split([' ', ':', '\r']).next().unwrap_or_default();
            match word.to_ascii_uppercase().as_str() {
                "EHLO" => say(&mut client, "250 sink")?,
                "RCPT" => {
                    to = between(&line, '<', '>').unwrap_or_default().to_owned();
                    say(&mut client, "250 fine")?;
                }
                "DATA" => {
                    say(&mut client, "354 go on")?;
                    let message = content(&mut client)?;
                    let answer = self.judge(&to, message);
                    say(&mut client, answer)?;
                }
                "QUIT" => return say(&mut client, "221 bye"),
                _ => say(&mut client, "250 fine")?,
            }
        }
    }

    /// Takes a mail, or puts it off for now, as often as is told of its subject.
    fn judge(&self, to: &str, message: String) -> &'static str {
        let (id, subject) = (id_of(&message), header(&message, "Subject").unwrap_or_default());
        let due = self.puts_off.iter().find(|(ending, _)| subject.ends_with(ending));
        let due = due.map_or(0, |(_, times)| *times);
        let mut is_put_off = false;
        self.change(|state| {
            state.steps += 1;
            let tries = state.tries.entry(id.clone()).or_default();
            *tries += 1;
            is_put_off = *tries <= due;
            if !is_put_off {
                state.taken.push(Taken { id, to: to.to_owned(), subject, message });
                state.held += 1;
            }
        });
        if is_put_off {
            return "451 4.3.0 later";
        }
        // In one step: whoever begins to hold answers sees those only that are held.
        self.wait_while(|state| state.holds).held -= 1;
        self.news.notify_all();
        "250 taken"
    }
}

fn say(client: &mut BufReader<TcpStream>, line: &str) -> io::Result<()> {
    client.get_mut().write_all(format!("{line}\r\n").as_bytes())
}

fn content(client: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut message = String::new();
    loop {
        let begins = message.len();
        if client.read_line(&mut message)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if &message[begins..] == ".\r\n" {
            message.truncate(begins);
            return Ok(message);
        }
    }
}

fn between(text: &str, from: char, to: char) -> Option<&str> {
    Some(text.split_once(from)?.1.split_once(to)?.0)
}

/// A header, unfolded.
fn header(message: &str, name: &str) -> Option<String> {
    let head = message.split("\r\n\r\n").next()?.replace("\r\n ", " ");
    let is_it = |line: &&str| line.split(':').next().is_some_and(|is| is == name);
    let line = head.split("\r\n").find(is_it)?;
    Some(line.split_once(": ")?.1.to_owned())
}

fn id_of(message: &str) -> String {
    let id = header(message, "Message-ID").unwrap();
    between(&id, '<', '@').unwrap().to_owned()
}
