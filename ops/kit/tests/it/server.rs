//! The server on a real socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cityevents_kit::http::{ServeOptions, listen, serve};
use cityevents_kit::lifecycle::{DrainReport, Lifecycle, Stage};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// For what takes less than a second.
const LONGEST: Duration = Duration::from_secs(30);
const OPTIONS: ServeOptions = ServeOptions {
    header_timeout: LONGEST,
    connections_max: 100,
    drain_notice: Duration::from_millis(200),
    drain_max: LONGEST,
    metrics: None,
};

async fn start(router: Router, options: ServeOptions) -> (SocketAddr, Lifecycle) {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let lifecycle = Lifecycle::new();
    let component = lifecycle.register("http", Stage::Http, 2 * LONGEST);
    lifecycle.all_registered();
    tokio::spawn(serve(listener, router, options, component));
    lifecycle.wait_ready().await.unwrap();
    (address, lifecycle)
}

/// Sends a request and reads the whole answer; says whether the server will close.
async fn ask(stream: &mut BufReader<TcpStream>) -> std::io::Result<bool> {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    let (mut close, mut length) = (false, None);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let lower = line.trim().to_ascii_lowercase();
        close |= lower == "connection: close";
        if let Some(value) = lower.strip_prefix("content-length: ") {
            length = value.parse().ok();
        }
        if lower.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length.unwrap()];
    stream.read_exact(&mut body).await?;
    assert_eq!(body, b"done");
    Ok(close)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_under_load_cuts_no_accepted_request() {
    let begun = Arc::new(AtomicU64::new(0));
    let answered = Arc::new(AtomicU64::new(0));
    let handler = {
        let begun = Arc::clone(&begun);
        move || {
            let number = begun.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(Duration::from_millis(number % 20)).await;
                "done"
            }
        }
    };
    let (address, lifecycle) = start(Router::new().route("/", get(handler)), OPTIONS).await;
    let (enough, mut is_enough) = tokio::sync::watch::channel(0_u64);
    let clients: Vec<_> = (0..32)
        .map(|_| {
            let (answered, enough) = (Arc::clone(&answered), enough.clone());
            tokio::spawn(async move {
                // Until nobody listens any more.
                while let Ok(stream) = TcpStream::connect(address).await {
                    let mut stream = BufReader::new(stream);
                    while let Ok(close) = ask(&mut stream).await {
                        answered.fetch_add(1, Ordering::SeqCst);
                        enough.send_modify(|count| *count += 1);
                        if close {
                            break;
                        }
                    }
                }
            })
        })
        .collect();
    is_enough.wait_for(|count| *count > 1_000).await.unwrap();
    let report = lifecycle.drain(2 * LONGEST).await;
    assert!(report.is_clean(), "{report:?}");
    for client in clients {
        client.await.unwrap();
    }
    let (begun, answered) = (begun.load(Ordering::SeqCst), answered.load(Ordering::SeqCst));
    assert_eq!(begun, answered, "every request that reached a handler was answered in full");
    assert!(begun > 1_000);
}

/// Everything happens in one thread, so that the server is told to stop before it has looked at its
/// socket: the operating system has taken more connections than a task may accept without a pause.
#[tokio::test]
async fn connections_that_wait_when_the_server_stops_are_answered() {
    const WAITING: usize = 200;
    let options = ServeOptions {
        connections_max: 2 * WAITING as u32,
        drain_notice: Duration::ZERO,
        ..OPTIONS
    };
    let router = Router::new().route("/", get(async || "done"));
    let (address, lifecycle) = start(router, options).await;
    let waiting: Vec<_> = (0..WAITING)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            stream.set_nonblocking(true).unwrap();
            TcpStream::from_std(stream).unwrap()
        })
        .collect();
    assert!(lifecycle.drain(2 * LONGEST).await.is_clean());
    for mut stream in waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
    }
}

#[tokio::test]
async fn a_first_request_may_come_a_while_after_its_connection_when_the_server_stops() {
    let options = ServeOptions { drain_notice: Duration::ZERO, ..OPTIONS };
    let router = Router::new().route("/", get(async || "done"));
    let (address, lifecycle) = start(router, options).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let sending = async {
        // Until nobody listens any more: the server is about to close what is open.
        while TcpStream::connect(address).await.is_ok() {}
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
    };
    let (report, ()) = tokio::join!(lifecycle.drain(2 * LONGEST), sending);
    assert!(report.is_clean());
}

#[tokio::test]
async fn a_client_that_sends_no_head_is_let_go() {
    let options = ServeOptions { header_timeout: Duration::from_millis(200), ..OPTIONS };
    let (address, lifecycle) = start(Router::new(), options).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(LONGEST, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the server closes the connection");
    assert!(lifecycle.drain(2 * LONGEST).await.is_clean());
}

#[tokio::test]
async fn a_connection_that_never_ends_is_dropped_at_the_deadline() {
    let options = ServeOptions {
        drain_notice: Duration::ZERO,
        drain_max: Duration::from_millis(100),
        ..OPTIONS
    };
    let pending = Router::new().route("/", get(async || std::future::pending::<()>().await));
    let (address, lifecycle) = start(pending, options).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let report = lifecycle.drain(2 * LONGEST).await;
    assert_eq!(report, DrainReport::default());
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_their_turn() {
    let options = ServeOptions { connections_max: 1, ..OPTIONS };
    let router = Router::new().route("/", get(async || "done"));
    let (address, lifecycle) = start(router, options).await;
    let mut first = BufReader::new(TcpStream::connect(address).await.unwrap());
    ask(&mut first).await.unwrap();
    let mut second = BufReader::new(TcpStream::connect(address).await.unwrap());
    let waiting = tokio::time::timeout(Duration::from_millis(100), ask(&mut second)).await;
    assert!(waiting.is_err(), "the only place is taken");
    drop(first);
    let mut third = BufReader::new(TcpStream::connect(address).await.unwrap());
    drop(second);
    ask(&mut third).await.unwrap();
    drop(third);
    assert!(lifecycle.drain(2 * LONGEST).await.is_clean());
}
