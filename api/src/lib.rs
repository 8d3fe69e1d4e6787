//! Reads over HTTP: events and their lists, the own view of an event, the people of an event with
//! their positions in line, and what came of a command.
//!
//! Rows answer by key. Lists, search and the pages of public events come from an index of them that
//! this process keeps ([`index`]), and positions from lines that are folded here ([`lines`]).
//! Nothing here decides or writes anything.
//!
//! - A read that presents the token of a write waits until rows and lines have passed it, a short
//!   time at most; when it gave up, it says so with `X-As-Of`: `partition.offset` of the last fact
//!   that the rows have, as in the tokens. Lists say that always, for each partition; those of
//!   public events, which follow the topic `events`, say how far they are in that one.
//! - A draft that was never public does not exist for strangers, as in the domain.
//! - Unknown query parameters are refused: a filter that is silently left out shows wrong lists.

#![expect(unused_qualifications, reason = "what utoipa::path writes around types")]

mod access;
mod actions;
mod answer;
mod calendar;
mod card;
mod csv;
pub mod feed;
mod following;
mod freshness;
pub mod identity;
pub mod index;
pub mod lines;
mod lists;
mod live;
pub mod media;
mod metrics;
pub mod progress;
mod reasons;
mod routes;
pub mod standing;
mod state;
mod threads;
pub mod web;
mod written;

pub use self::metrics::ApiMetrics;
pub use self::progress::ProjectionProgress;
pub use self::routes::router;
pub use self::state::{IsPending, Reads, ReadsParts};
