//! Read-your-writes: waiting for the rows to pass a token, and saying how far they are.

use std::fmt::Write;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use cityevents_kit::Problem;
use cityevents_kit::consistency::ConsistencyToken;

use crate::state::Reads;

/// Says how far the rows are that an answer was made of.
pub(crate) const AS_OF_HEADER: HeaderName = HeaderName::from_static("x-as-of");
/// How often stored progress is asked for where nobody tells of it.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The token that a read presents, if it does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Presented(pub(crate) Option<ConsistencyToken>);

impl<S: Sync> FromRequestParts<S> for Presented {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        ConsistencyToken::of_request(&parts.headers).map(Self)
    }
}

/// What an answer says of how far its rows are, if it has to.
#[derive(Debug, Clone, Default)]
pub(crate) struct AsOf(pub(crate) Option<HeaderValue>);

impl Reads {
    /// Waits for the rows and lines to pass a token. What it returns goes into the answer's head.
    pub(crate) async fn settle(&self, presented: Presented) -> Result<AsOf, Problem> {
        let Presented(Some(token)) = presented else { return Ok(AsOf::default()) };
        let at_most = self.consistency_wait;
        let lines = self.lines.wait(token.partition, token.offset, at_most);
        let passed = match self.progress.has(token.partition) {
            true => tokio::join!(self.rows_pass(token), lines) == (true, true),
            false => false,
        };
        self.metrics.waited(passed);
        if passed {
            return Ok(AsOf::default());
        }
        let mut text = String::new();
        self.write_progress(token.partition, &mut text).await?;
        Ok(as_of(&text))
    }

    /// The same for a list, whose rows come from all partitions.
    pub(crate) async fn settle_list(&self, presented: Presented) -> Result<AsOf, Problem> {
        self.settle(presented).await?;
        let mut text = String::new();
        for partition in 0..self.progress.partitions() {
            self.write_progress(partition, &mut text).await?;
        }
        Ok(as_of(&text))
    }

    /// What a list of the index says: how far that has come in its own topic. A token is about
    /// facts, and nothing tells when what follows from one has come through there.
    pub(crate) fn as_of_index(&self) -> AsOf {
        as_of(&self.index.as_of())
    }

    async fn rows_pass(&self, token: ConsistencyToken) -> bool {
        let told = self.progress.wait(token.partition, token.offset, self.consistency_wait);
        let asked = async {
            while self.progress.next_offset(token.partition).is_none() {
                // Tables that fail now may answer in time, and else the caller hears that it waited.
                if let Ok(Some(next)) = self.stored_progress(token.partition).await
                    && next > token.offset
                {
                    return;
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            passed = told => passed,
            () = asked => true,
        }
    }

    async fn stored_progress(&self, partition: u32) -> Result<Option<u64>, Problem> {
        let row = self.views.progress.progress(self.projection.clone(), partition).await;
        let row = row.map_err(|error| self.failed(&error))?;
        Ok(row.map(|row| row.next_offset))
    }

    /// Appends `partition.offset` of the last fact in the rows; nothing where there is none.
    async fn write_progress(&self, partition: u32, text: &mut String) -> Result<(), Problem> {
        let next = match self.progress.next_offset(partition) {
            Some(next) => Some(next),
            None => self.stored_progress(partition).await?,
        };
        if let Some(offset) = next.and_then(|next| next.checked_sub(1)) {
            let comma = if text.is_empty() { "" } else { "," };
            // Writing to a text does not fail.
            let _written = write!(text, "{comma}{partition}.{offset}");
        }
        Ok(())
    }
}

fn as_of(text: &str) -> AsOf {
    const NOTHING: HeaderValue = HeaderValue::from_static("none");
    let value = if text.is_empty() { Ok(NOTHING) } else { HeaderValue::try_from(text) };
    AsOf(Some(value.unwrap_or(NOTHING)))
}
