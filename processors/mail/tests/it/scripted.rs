//! A mail server that does what it is told, where a real one would do what is right.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpSocket;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

/// Clients that may wait to be let in.
const BACKLOG: u32 = 1_024;

/// Where in the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum At {
    Greeting,
    Hello,
    StartTls,
    Login,
    Sender,
    Recipient,
    Data,
    /// After the first bytes of the content.
    Content,
    /// After the whole content.
    Answer,
    Reset,
}

/// What it does there, in place of what it should.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "not every test program uses all of it")]
pub(crate) enum Act {
    Say(&'static str),
    /// As usual, after a while.
    Slow(Duration),
    /// As usual, and something more in the same breath.
    Append(&'static str),
    Drop,
    Hang,
}

/// What a server is like.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manners {
    pub(crate) starttls: bool,
    pub(crate) implicit: bool,
    pub(crate) login: Option<(&'static str, &'static str)>,
    /// Closes after so many mails.
    pub(crate) closes_after: Option<usize>,
    /// Names on its certificate.
    pub(crate) names: &'static [&'static str],
}

#[allow(dead_code, reason = "not every test program uses all of it")]
pub(crate) struct Server {
    pub(crate) port: u16,
    /// Its certificate, to be trusted.
    pub(crate) certificate: String,
    socket: Option<TcpSocket>,
    shared: Arc<Shared>,
}

/// What it does at a point, given what the client said; nothing: as usual.
type Whim = Box<dyn FnMut(At, &str) -> Option<Act> + Send>;

/// A mail that came whole, and whether it was said that it is taken. Without an answer nobody but the
/// server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Taken,
    Refused,
    Unanswered,
}

struct Shared {
    manners: Manners,
    acts: Mutex<BTreeMap<At, VecDeque<Act>>>,
    whim: Mutex<Option<Whim>>,
    fates: Mutex<Vec<(String, Fate)>>,
    /// What clients said, commands only, with the mark of TLS.
    said: Mutex<Vec<String>>,
    mails: Mutex<Vec<Vec<u8>>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    open_max: AtomicUsize,
    tls: TlsAcceptor,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How a conversation goes on.
enum Next {
    Closed,
    Upgrade(Box<dyn Stream>),
}

#[allow(dead_code, reason = "not every test program uses all of it")]
impl Server {
    pub(crate) async fn start(manners: Manners) -> Self {
        let mut server = Self::closed(manners);
        server.open();
        server
    }

    /// One that is not there yet, although its address is known: connections are refused.
    pub(crate) fn closed(manners: Manners) -> Self {
        let names = if manners.names.is_empty() { &["localhost"] } else { manners.names };
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            manners,
            acts: Mutex::default(),
            whim: Mutex::default(),
            fates: Mutex::default(),
            said: Mutex::default(),
            mails: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            open_max: AtomicUsize::new(0),
            tls: TlsAcceptor::from(Arc::new(tls)),
        });
        Self { port, certificate: made.cert.pem(), shared, socket: Some(socket) }
    }

    /// From now on it is there.
    pub(crate) fn open(&mut self) {
        let Some(socket) = self.socket.take() else { return };
        let listener = socket.listen(BACKLOG).unwrap();
        let of_clients = Arc::clone(&self.shared);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let shared = Arc::clone(&of_clients);
                tokio::spawn(async move {
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
                    shared.open_max.fetch_max(open, Ordering::SeqCst);
                    let _ = shared.serve(Box::new(tcp)).await;
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
    }

    /// What it does from now on where it was not told otherwise; `None`: as usual.
    pub(crate) fn whenever(&self, whim: Option<Whim>) {
        *self.shared.whim.lock() = whim;
    }

    /// What became of mails that came whole, by their `Message-ID`, in order.
    pub(crate) fn fates(&self) -> Vec<(String, Fate)> {
        self.shared.fates.lock().clone()
    }

    /// What it does the next time at a point; called again, the time after that.
    pub(crate) fn next(&self, at: At, act: Act) {
        self.shared.acts.lock().entry(at).or_default().push_back(act);
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.shared.said.lock().clone()
    }

    pub(crate) fn mails(&self) -> Vec<Vec<u8>> {
        self.shared.mails.lock().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn open_max(&self) -> usize {
        self.shared.open_max.load(Ordering::SeqCst)
    }
}

impl Shared {
    async fn serve(&self, stream: Box<dyn Stream>) -> std::io::Result<()> {
        let mut is_tls = self.manners.implicit;
        let mut stream = stream;
        if is_tls {
            stream = Box::new(self.tls.accept(stream).await?);
        }
        let mut greets = true;
        loop {
            match self.talk(stream, greets, is_tls).await? {
                Next::Closed => return Ok(()),
                Next::Upgrade(clear) => stream = Box::new(self.tls.accept(clear).await?),
            }
            (greets, is_tls) = (false, true);
        }
    }

    async fn talk(
        &self,
        stream: Box<dyn Stream>,
        greets: bool,
        is_tls: bool,
    ) -> std::io::Result<Next> {
        let mut stream = BufReader::new(stream);
        let greeting = "220 scripted ESMTP";
        if greets && self.answer(&mut stream, At::Greeting, "", greeting).await?.is_none() {
            return Ok(Next::Closed);
        }
        let mut mails = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(Next::Closed);
            }
            let line = line.trim_end();
            let shown = if line.starts_with("AUTH") { "AUTH" } else { line };
            self.said.lock().push(format!("{}{shown}", if is_tls { "tls " } else { "" }));
            let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let (at, usual) = match &*word {
                "EHLO" => (At::Hello, self.abilities(is_tls)),
                "STARTTLS" => (At::StartTls, "220 go ahead".to_owned()),
                "AUTH" => (At::Login, self.signed_in(line)),
                "MAIL" => (At::Sender, "250 2.1.0 fine".to_owned()),
                "RCPT" => (At::Recipient, "250 2.1.5 fine".to_owned()),
                "DATA" => (At::Data, "354 go on".to_owned()),
                "RSET" => (At::Reset, "250 forgotten".to_owned()),
                "QUIT" => return Ok(Next::Closed),
                _ => (At::Reset, "502 5.5.1 what?".to_owned()),
            };
            let Some(answer) = self.answer(&mut stream, at, line, &usual).await? else {
                return Ok(Next::Closed);
            };
            if at == At::StartTls && answer.starts_with("220") {
                return Ok(Next::Upgrade(Box::new(stream.into_inner())));
            }
            if at == At::Data && answer.starts_with("354") {
                if !self.content(&mut stream).await? {
                    return Ok(Next::Closed);
                }
                mails += 1;
                if self.manners.closes_after == Some(mails) {
                    return Ok(Next::Closed);
                }
            }
        }
    }

    async fn content<S: Stream>(&self, stream: &mut BufReader<S>) -> std::io::Result<bool> {
        let mut mail = Vec::new();
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).await? == 0 {
                return Ok(false);
            }
            if mail.is_empty() && self.act(At::Content, "").is_some() {
                // With bytes unread, so that the client cannot go on writing.
                return Ok(false);
            }
            if line == b".\r\n" {
                break;
            }
            let stuffed = usize::from(line.starts_with(b"."));
            mail.extend_from_slice(&line[stuffed..]);
        }
        let id = message_id(&mail);
        self.mails.lock().push(mail);
        let place = {
            let mut fates = self.fates.lock();
            fates.push((id, Fate::Unanswered));
            fates.len() - 1
        };
        let Some(said) = self.answer(stream, At::Answer, "", "250 2.0.0 taken").await? else {
            return Ok(false);
        };
        let fate = if said.starts_with('2') { Fate::Taken } else { Fate::Refused };
        self.fates.lock()[place].1 = fate;
        Ok(true)
    }

    fn act(&self, at: At, heard: &str) -> Option<Act> {
        let told = self.acts.lock().get_mut(&at).and_then(VecDeque::pop_front);
        told.or_else(|| self.whim.lock().as_mut()?(at, heard))
    }

    /// What it answered; nothing when the conversation is over.
    async fn answer<S: Stream>(
        &self,
        stream: &mut BufReader<S>,
        at: At,
        heard: &str,
        usual: &str,
    ) -> std::io::Result<Option<String>> {
        let act = self.act(at, heard);
        let said = match act {
            None => format!("{usual}\r\n"),
            Some(Act::Say(said)) => format!("{said}\r\n"),
            Some(Act::Append(more)) => format!("{usual}\r\n{more}\r\n"),
            Some(Act::Slow(time)) => {
                tokio::time::sleep(time).await;
                format!("{usual}\r\n")
            }
            Some(Act::Drop) => return Ok(None),
            Some(Act::Hang) => {
                // Until the client gives up.
                let mut line = String::new();
                stream.read_line(&mut line).await?;
                return Ok(None);
            }
        };
        stream.write_all(said.as_bytes()).await?;
        stream.flush().await?;
        Ok(Some(said))
    }

    fn abilities(&self, is_tls: bool) -> String {
        let mut abilities = vec!["scripted"];
        if self.manners.starttls && !is_tls {
            abilities.push("STARTTLS");
        }
        if self.manners.login.is_some() {
            abilities.push("AUTH PLAIN LOGIN");
        }
        let last = abilities.len() - 1;
        let line = |(index, ability): (usize, &&str)| {
            format!("250{}{ability}", if index == last { ' ' } else { '-' })
        };
        abilities.iter().enumerate().map(line).collect::<Vec<_>>().join("\r\n")
    }

    fn signed_in(&self, line: &str) -> String {
        let given = line.strip_prefix("AUTH PLAIN ").unwrap_or_default();
        let given = base64::prelude::BASE64_STANDARD.decode(given).unwrap_or_default();
        let expected = self.manners.login.map(|(user, word)| format!("\0{user}\0{word}"));
        let fine = expected.is_some_and(|expected| expected.as_bytes() == given);
        (if fine { "235 2.7.0 welcome" } else { "535 5.7.8 no" }).to_owned()
    }
}

/// What a mail calls itself, without the domain.
fn message_id(mail: &[u8]) -> String {
    let text = String::from_utf8_lossy(mail);
    let line = text.lines().find_map(|line| line.strip_prefix("Message-ID: <"));
    line.and_then(|id| id.split('@').next()).unwrap_or_default().to_owned()
}
