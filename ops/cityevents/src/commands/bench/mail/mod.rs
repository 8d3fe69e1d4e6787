//! Mails: how many a second with the ledger, how late after a tier's wait, how soon after a join, and
//! what calling off a large event does to joins of others.

mod accounts;
mod canceled;
mod joined;
mod late;
mod mailers;
mod sink;
mod throughput;
mod witnesses;

use super::Plan;
use super::measure::Row;

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let mut rows = throughput::measure(plan)?;
    rows.extend(late::measure(plan)?);
    rows.extend(joined::measure(plan)?);
    rows.extend(canceled::measure(plan)?);
    Ok(rows)
}
