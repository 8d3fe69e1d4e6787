//! Mails: how many a second with the ledger, how soon after a join, and what calling off a large event
//! does to joins of others.

mod canceled;
mod joined;
mod sink;
mod throughput;

use super::Plan;
use super::measure::Row;

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let mut rows = throughput::measure(plan)?;
    rows.extend(joined::measure(plan)?);
    rows.extend(canceled::measure(plan)?);
    Ok(rows)
}
