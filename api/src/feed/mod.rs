//! The feed: what is talked about, the same by what a person likes, and what was published last.
//!
//! - What is talked about comes from slots in the tables that the topology `trending` keeps full. All
//!   partitions' slots of a city are read together, put in order and kept for a second, so that a
//!   popular page costs the tables next to nothing. First pages that are nobody's own are kept for
//!   that second as well.
//! - A slot may be a moment behind: whether its event is still public, in that city and to come is
//!   asked of the index, for every card that is shown.
//! - A page goes on behind what the pages before have shown, whatever has happened to the order
//!   since: the sealed cursor knows the items themselves, so none comes twice, and none is missing
//!   that was there all along. What was published last needs no more than the place of the last
//!   item, since that order does not move.

mod answers;
mod candidates;
mod cursor;
mod item;
mod latest;
mod page;
mod routes;
mod taste;

use std::sync::Arc;

use cityevents_kit::seal::VisitorCookies;
use utoipa_axum::router::OpenApiRouter;

use self::answers::Answers;
use self::candidates::Candidates;
use crate::state::Reads;

/// The feed. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    reads: Reads,
    visitors: VisitorCookies,
    candidates: Arc<Candidates>,
    answers: Arc<Answers>,
}

impl Feed {
    /// On top of the reads.
    pub fn new(reads: Reads, visitors: VisitorCookies) -> Self {
        Self { reads, visitors, candidates: Arc::default(), answers: Arc::default() }
    }
}

/// The calls of the feed.
pub fn router(feed: Feed) -> OpenApiRouter {
    routes::router(feed)
}
