//! Takes expired outcomes and profiles away while table files are merged anyway, so that nobody has to look for
//! them. Readers do not rely on it: they compare `expires_at` themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use fjall::compaction::filter::{
    CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict,
};

use super::TREE;
use super::keys::{OUTCOMES, PROFILES};
use crate::codec::{Damage, ROW_VERSION, Reader};
use crate::tables::EXPIRY_SLACK_MS;

/// Which filter a tree has.
type Assigner = Arc<dyn Fn(&str) -> Option<Arc<dyn Factory>> + Send + Sync>;

/// Gives the tree its filter.
pub(super) fn assigner(horizon_ms: Arc<AtomicI64>) -> Assigner {
    let factory: Arc<dyn Factory> = Arc::new(ExpiryFactory { horizon_ms });
    Arc::new(move |tree| (tree == TREE).then(|| factory.clone()))
}

struct ExpiryFactory {
    horizon_ms: Arc<AtomicI64>,
}

impl Factory for ExpiryFactory {
    fn name(&self) -> &str {
        "expired outcomes and profiles"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        let horizon_ms = self.horizon_ms.load(Ordering::Relaxed);
        Box::new(Expiry { before_ms: horizon_ms.saturating_sub(EXPIRY_SLACK_MS) })
    }
}

struct Expiry {
    before_ms: i64,
}

impl CompactionFilter for Expiry {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        if !matches!(item.key().first(), Some(&(OUTCOMES | PROFILES))) {
            return Ok(Verdict::Keep);
        }
        let expired = expires_at_ms(&item.value()?).is_ok_and(|at_ms| at_ms < self.before_ms);
        Ok(if expired { Verdict::Remove } else { Verdict::Keep })
    }
}

/// Reads just the expiry of a stored row, which comes first; what cannot be read is kept.
fn expires_at_ms(value: &[u8]) -> Result<i64, Damage> {
    let mut reader = Reader::new(value);
    if reader.byte()? != ROW_VERSION {
        return Err(Damage("another version"));
    }
    reader.unsigned()?;
    reader.signed()
}
