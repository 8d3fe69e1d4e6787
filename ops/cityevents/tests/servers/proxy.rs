//! A way to a server that can be cut, and that can fall silent.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What becomes of connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Forwarding,
    /// They are closed.
    Cut,
    /// They are taken, and nothing is ever said.
    Silent,
    Ended,
}

/// Listens on a port of its own for as long as it lives.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    mode: Mode,
    streams: Vec<TcpStream>,
}

impl Proxy {
    /// In front of `target`, which is `host:port`.
    pub fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared { mode: Mode::Forwarding, streams: Vec::new() }));
        let (target, accepting) = (target.to_owned(), Arc::clone(&shared));
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut shared = accepting.lock().unwrap();
                match shared.mode {
                    Mode::Forwarding => {
                        let (client, server) = (client.unwrap(), TcpStream::connect(&target));
                        let Ok(server) = server else { continue };
                        pipe(&client, &server);
                        pipe(&server, &client);
                        shared.streams.extend([client, server]);
                    }
                    Mode::Cut => {}
                    Mode::Silent => shared.streams.extend(client),
                    Mode::Ended => return,
                }
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, and every new one.
    pub fn cut(&self) {
        self.set(Mode::Cut);
    }

    /// Ends all connections; new ones get no answer.
    pub fn fall_silent(&self) {
        self.set(Mode::Silent);
    }

    /// Forwards again.
    pub fn mend(&self) {
        self.set(Mode::Forwarding);
    }

    fn set(&self, mode: Mode) {
        let mut shared = self.shared.lock().unwrap();
        shared.mode = mode;
        for stream in shared.streams.drain(..) {
            let _closed_already = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Mode::Ended);
        let _wakes_the_listener = TcpStream::connect(self.address);
    }
}

fn pipe(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        let _cut = io::copy(&mut from, &mut to);
        let _closed_already = to.shutdown(Shutdown::Both);
    });
}
