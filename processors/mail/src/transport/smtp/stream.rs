//! The connection below TLS, which gives no more than a line at a time while it is in the clear.
//!
//! What somebody on the way appends to the server's consent to `STARTTLS` would otherwise wait in a
//! buffer and pass for the server's first words under TLS. Here it is what TLS begins with, which
//! fails.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes read at once while in the clear: replies are short.
const CLEAR_BYTES: usize = 1_024;

/// See the module.
#[derive(Debug)]
pub(super) struct LineStream {
    tcp: TcpStream,
    ahead: Vec<u8>,
    passes_all: Arc<AtomicBool>,
}

impl LineStream {
    /// A stream that gives lines, and what makes it give everything.
    pub(super) fn new(tcp: TcpStream) -> (Self, Arc<AtomicBool>) {
        let passes_all = Arc::new(AtomicBool::new(false));
        (Self { tcp, ahead: Vec::new(), passes_all: Arc::clone(&passes_all) }, passes_all)
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let line = self.ahead.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
        let whole = self.ahead.len();
        let most =
            if self.passes_all.load(Ordering::Acquire) { whole } else { line.unwrap_or(whole) };
        let given = most.min(buffer.remaining());
        buffer.put_slice(&self.ahead[..given]);
        self.ahead.drain(..given);
    }
}

impl AsyncRead for LineStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            if self.passes_all.load(Ordering::Acquire) {
                return Pin::new(&mut self.tcp).poll_read(context, buffer);
            }
            let mut bytes = [0; CLEAR_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.tcp).poll_read(context, &mut read))?;
            self.ahead.extend_from_slice(read.filled());
        }
        self.give(buffer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LineStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

impl AsyncTokioStream for LineStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }
}
