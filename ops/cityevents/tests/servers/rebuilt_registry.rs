//! A schema registry that somebody made anew: it answers as the real one does, which it asks, but gave
//! the schema of commands another id than that which is in the records.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// An id that no registry has given.
const NOBODYS_ID: u32 = 1_999_999_996;

/// Listens on a port of its own for as long as the test runs.
pub struct RebuiltRegistry {
    address: SocketAddr,
    path: String,
}

impl RebuiltRegistry {
    /// In front of the registry at `url`: one schema has another id in it than `id`.
    pub fn start(url: &str, id: u32) -> Self {
        let url = reqwest::Url::parse(url).unwrap();
        let server =
            format!("{}:{}", url.host_str().unwrap(), url.port_or_known_default().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                thread::spawn(move || answer(client, &server, id));
            }
        });
        Self { address, path: url.path().to_owned() }
    }

    /// What `registry.url` names.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }
}

/// One request; the connection ends behind it.
fn answer(mut client: TcpStream, server: &str, id: u32) {
    let Some((head, body)) = request(&mut client) else { return };
    let asked = head
        .replace(&format!("/schemas/ids/{id}?"), &format!("/schemas/ids/{NOBODYS_ID}?"))
        // So its end is that of the connection.
        .replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let mut server = TcpStream::connect(server).unwrap();
    server.write_all(asked.as_bytes()).unwrap();
    server.write_all(&body).unwrap();
    let mut said = String::new();
    server.read_to_string(&mut said).unwrap();
    let said = said.replace(&format!("\"id\":{id},"), &format!("\"id\":{},", another(id)));
    // Whoever asked may have gone.
    let _gone = client.write_all(said.as_bytes());
}

/// As many digits, so that the answer is as long as it says.
fn another(id: u32) -> u32 {
    let greatest = 10_u32.pow(id.ilog10() + 1) - 1;
    if id == greatest { id - 1 } else { greatest }
}

/// The head of a request with the empty line behind it, and its body.
fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut read, mut chunk) = (Vec::new(), [0; 4_096]);
    let end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(count) => read.extend_from_slice(&chunk[..count]),
        }
    };
    let mut body = read.split_off(end);
    let head = String::from_utf8(read).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    while body.len() < length.unwrap_or(0) {
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "it ends within a request: {head}");
        body.extend_from_slice(&chunk[..count]);
    }
    Some((head, body))
}
