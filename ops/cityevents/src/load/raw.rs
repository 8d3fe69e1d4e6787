//! The cheapest HTTP/1.1 client that there can be: a request that is bytes already, an answer of
//! which status and body are looked at. For load at rates where a proper client would take as much
//! of the machine as the server that is measured.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Read at once.
const READ_BYTES: usize = 16 << 10;

/// One kept-alive connection, one request at a time.
pub struct RawConnection {
    stream: TcpStream,
    input: Vec<u8>,
}

/// What an answer says.
#[derive(Debug)]
pub struct RawAnswer<'a> {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: &'a [u8],
}

impl RawConnection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: Vec::with_capacity(READ_BYTES) })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// When the connection breaks, or the answer has no length.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<RawAnswer<'_>> {
        self.stream.write_all(request).await?;
        self.input.clear();
        let head = loop {
            let before = self.input.len();
            if self.stream.read_buf(&mut self.input).await? == 0 {
                bail!("the server closed the connection before it answered");
            }
            if let Some(head) = head_end(&self.input, before) {
                break head;
            }
        };
        let (status, length) = read_head(&self.input[..head])?;
        while self.input.len() < head + length {
            if self.stream.read_buf(&mut self.input).await? == 0 {
                bail!("the server closed the connection within an answer");
            }
        }
        Ok(RawAnswer { status, body: &self.input[head..head + length] })
    }
}

/// Where the body begins, if the head is whole; `seen` bytes were looked at before.
fn head_end(input: &[u8], seen: usize) -> Option<usize> {
    let from = seen.saturating_sub(3);
    input[from..].windows(4).position(|four| four == b"\r\n\r\n").map(|at| from + at + 4)
}

fn read_head(head: &[u8]) -> anyhow::Result<(u16, usize)> {
    let text = std::str::from_utf8(head)?;
    let status = text.get(9..12).and_then(|digits| digits.parse().ok());
    let status = status.context("an answer without status")?;
    if status == 204 || status == 304 {
        return Ok((status, 0));
    }
    let mut lines = text.split("\r\n");
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok((status, length.context("an answer without length")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_found_wherever_it_is_cut() {
        let answer =
            b"HTTP/1.1 409 Conflict\r\nx: y\r\nContent-Length: 12\r\n\r\n{\"a\": \"b\"}\r\n";
        let whole = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        for cut in 0..whole {
            assert_eq!(head_end(&answer[..cut], 0), None, "{cut}");
            assert_eq!(head_end(&answer[..whole], cut), Some(whole), "{cut}");
        }
        assert_eq!(read_head(&answer[..whole]).unwrap(), (409, 12));
        assert_eq!(read_head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap(), (204, 0));
        assert!(read_head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
