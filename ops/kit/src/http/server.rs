//! The server: takes connections, and stops without cutting a request.
//!
//! To stop, answers say `Connection: close` for a moment while connections are still taken, so that
//! clients that keep connections open go elsewhere by themselves; then those that wait to be taken
//! are taken, the listener closes, and every connection ends with the answer it owes.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::Service;

use crate::config::Config;
use crate::lifecycle::{Component, Shutdown};
use crate::telemetry::HttpMetrics;

/// Largest head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Connections that the operating system takes for us while we are busy, as far as it lets us
/// (`net.core.somaxconn`). Of those beyond, clients try again after a second, and then ever more seldom.
const BACKLOG: u32 = 4_096;

/// How long to wait before taking connections again when the machine has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long connections that nothing was heard of yet have for their first request when we stop: on a
/// busy machine it may come a while after the connection.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// How a listener behaves.
#[derive(Clone)]
pub struct ServeOptions {
    /// Time for the head of a request, and for an idle connection to send one.
    pub header_timeout: Duration,
    /// Open connections.
    pub connections_max: u32,
    /// For how long answers say that connections are about to close.
    pub drain_notice: Duration,
    /// How long open requests have after that.
    pub drain_max: Duration,
    /// Counts connections.
    pub metrics: Option<HttpMetrics>,
}

impl ServeOptions {
    /// The options of the public listener.
    pub fn of(config: &Config, metrics: HttpMetrics) -> Self {
        Self {
            header_timeout: config.http.header_timeout,
            connections_max: config.http.connections_max,
            drain_notice: config.http.drain_notice,
            drain_max: config.ops.shutdown_budget / 2,
            metrics: Some(metrics),
        }
    }

    /// The options of the operations listener: it has nobody to be patient with.
    pub fn of_ops(config: &Config) -> Self {
        Self {
            header_timeout: config.http.header_timeout,
            connections_max: 256,
            drain_notice: Duration::ZERO,
            drain_max: Duration::from_secs(1),
            metrics: None,
        }
    }
}

/// A listener with room for a rush in its queue.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart takes the port while ended connections are still remembered.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until the component is told to stop and every accepted request is answered. The
/// component is ready as soon as this runs.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServeOptions,
    component: Component,
) -> io::Result<()> {
    let shutdown = component.shutdown().clone();
    let server = Server {
        router,
        shutdown: shutdown.clone(),
        graceful: GracefulShutdown::new(),
        permits: Arc::new(Semaphore::new(options.connections_max as usize)),
        unheard: watch::Sender::new(0),
        options: options.clone(),
    };
    component.ready();
    {
        let mut notice_over = pin!(async {
            shutdown.wait().await;
            tokio::time::sleep(options.drain_notice).await;
        });
        loop {
            tokio::select! {
                biased;
                () = &mut notice_over => break,
                accepted = server.accept(&listener) => server.spawn(accepted),
            }
        }
    }
    server.take_last(listener);
    // Whoever sends nothing is not waited for.
    let mut unheard = server.unheard.subscribe();
    let all_heard = unheard.wait_for(|connections| *connections == 0);
    drop(tokio::time::timeout(FIRST_REQUEST, all_heard).await);
    let open = server.graceful.count();
    if tokio::time::timeout(options.drain_max, server.graceful.shutdown()).await.is_err() {
        tracing::warn!(connections_open = open, "connections were still open at the deadline");
    }
    component.finished();
    Ok(())
}

struct Server {
    router: Router,
    shutdown: Shutdown,
    graceful: GracefulShutdown,
    permits: Arc<Semaphore>,
    /// Connections of which no request has come yet.
    unheard: watch::Sender<usize>,
    options: ServeOptions,
}

/// Counts a connection until its first request has come, or it has ended without.
struct Unheard(watch::Sender<usize>);

impl Unheard {
    fn begin(connections: &watch::Sender<usize>) -> Self {
        connections.send_modify(|count| *count += 1);
        Self(connections.clone())
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A connection, and its place among the open ones.
type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

impl Server {
    async fn accept(&self, listener: &TcpListener) -> Accepted {
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                // Nobody closes the semaphore.
                return std::future::pending().await;
            };
            match listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, permit),
                // The client went away meanwhile.
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    tracing::error!("cannot take a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Takes the connections that the operating system has taken for us already, and closes the
    /// listener. Its queue is read without the runtime, which says "none yet" as well when a task has
    /// used up its budget, or when it has not looked at the socket since.
    fn take_last(&self, listener: TcpListener) {
        let listener = match listener.into_std() {
            Ok(listener) => listener,
            Err(error) => return tracing::error!("cannot take the last connections: {error}"),
        };
        while let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            match waiting(&listener) {
                Ok((stream, peer)) => self.spawn((stream, peer, permit)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_of_connection(&error) => {}
                Err(error) => return tracing::error!("cannot take a connection: {error}"),
            }
        }
    }

    fn spawn(&self, (stream, peer, permit): Accepted) {
        // Answers are small and awaited; there is nothing to collect.
        let _ = stream.set_nodelay(true);
        let (router, shutdown) = (self.router.clone(), self.shutdown.clone());
        let unheard = Mutex::new(Some(Unheard::begin(&self.unheard)));
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            drop(unheard.lock().take());
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer = router.clone().call(request.map(Body::new));
            let shutdown = shutdown.clone();
            async move {
                let mut response = answer.await?;
                if shutdown.is_triggered() {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.options.header_timeout)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let connection = self.graceful.watch(connection);
        let gauge = self.options.metrics.as_ref().map(|metrics| metrics.connections().clone());
        tokio::spawn(async move {
            if let Some(gauge) = &gauge {
                gauge.inc();
            }
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended early: {error}");
            }
            if let Some(gauge) = &gauge {
                gauge.dec();
            }
            drop(permit);
        });
    }
}

/// A connection of the queue, which is empty where this would block.
fn waiting(listener: &std::net::TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((TcpStream::from_std(stream)?, peer))
}

fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
