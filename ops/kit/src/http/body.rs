//! Bodies of requests: bounded in size, and given up when they come too slowly.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::problem::{ErrorCode, Problem};

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Larger than allowed.
    #[error("the body is larger than the {bytes_max} bytes allowed")]
    TooLarge {
        /// What is allowed.
        bytes_max: u64,
    },
    /// Slower than allowed.
    #[error("the body came too slowly")]
    TooSlow,
}

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimits {
    pub(super) bytes_max: u64,
    /// Between two parts of it.
    pub(super) idle: Duration,
    /// For all of it.
    pub(super) total: Option<Duration>,
}

/// A body that fails when it goes beyond its limits. No timer runs while it arrives in time.
pub(super) struct GuardedBody {
    inner: Body,
    limits: BodyLimits,
    bytes_left: u64,
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl GuardedBody {
    pub(super) fn around(inner: Body, limits: BodyLimits) -> Body {
        let deadline = limits.total.map(|total| Instant::now() + total);
        let bytes_left = limits.bytes_max;
        Body::new(Self { inner, limits, bytes_left, deadline, timer: None })
    }
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
            let (idle, deadline) = (this.limits.idle, this.deadline);
            let timer = this.timer.get_or_insert_with(|| {
                let until = Instant::now() + idle;
                Box::pin(sleep_until(deadline.map_or(until, |deadline| deadline.min(until))))
            });
            ready!(timer.as_mut().poll(context));
            return Poll::Ready(Some(Err(axum::Error::new(BodyError::TooSlow))));
        };
        this.timer = None;
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            match this.bytes_left.checked_sub(length) {
                Some(left) => this.bytes_left = left,
                None => {
                    let error = BodyError::TooLarge { bytes_max: this.limits.bytes_max };
                    return Poll::Ready(Some(Err(axum::Error::new(error))));
                }
            }
            if this.deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Poll::Ready(Some(Err(axum::Error::new(BodyError::TooSlow))));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Reads a body to its end; its limits are those of the edge.
pub async fn collect_body(body: Body) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(body_problem(&error)),
    }
}

/// The answer to a body that could not be read.
pub fn body_problem(error: &(dyn std::error::Error + 'static)) -> Problem {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<BodyError>() {
            Some(BodyError::TooLarge { bytes_max }) => return too_large(*bytes_max),
            Some(BodyError::TooSlow) => {
                return Problem::because(ErrorCode::RequestTimeout, BodyError::TooSlow.to_string());
            }
            None => cause = error.source(),
        }
    }
    Problem::invalid("body", "cannot be read: cut off, or not compressed as Content-Encoding says")
}

/// The answer to a body that is larger than allowed.
pub fn too_large(bytes_max: u64) -> Problem {
    let detail = BodyError::TooLarge { bytes_max }.to_string();
    Problem::because(ErrorCode::PayloadTooLarge, detail).with_meta("bytes_max", bytes_max)
}
