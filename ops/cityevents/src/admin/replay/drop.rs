//! Drops tables that nobody needs any more.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use cityevents_views::Views;
use serde_json::{Value, json};

use crate::admin::Context;
use crate::instance::{TablesName, tables_record as record};

/// So soon after a switch other processes may still use the tables that were live before it: they look
/// once a second.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

/// Drops them, unless they are live or nobody made them.
pub(super) fn drop_tables(context: &Context, name: &TablesName, by: &str) -> anyhow::Result<Value> {
    ensure!(
        !name.is_main(),
        "the main tables have the accounts of people too, and are never dropped"
    );
    let tables = &context.tables;
    tables.finish_drops()?;
    ensure!(tables.exist(name)?, "there are no tables {name}");
    let place = tables.place(name);
    let main = tables.open(&TablesName::main())?;
    if tables.are_shared() {
        check_ours(context, name, &place)?;
    }
    record::begin_drop(&main, name)?;
    wait_for_others(context, &main)?;
    // A replay that nobody goes on with has them open.
    let let_go = || drop(context.replays.0.lock().remove(name));
    let dropped = tables.drop_tables(name, let_go);
    let dropped = dropped.with_context(|| format!("the tables {name} ({place})"));
    let ended = record::end_drop(&main, name);
    dropped?;
    ended?;
    tracing::info!(views.tables = name.as_str(), "{by} dropped the tables {name}");
    Ok(json!({ "tables": name.as_str(), "place": place }))
}

/// A keyspace of this name may be that of another instance.
fn check_ours(context: &Context, name: &TablesName, place: &str) -> anyhow::Result<()> {
    let Some(made) = record::made(&context.tables.open(name)?)? else {
        bail!("{place} was not made by a replay, and may be of another instance");
    };
    ensure!(
        made.facts == context.log().describe(&context.source.facts)?.id,
        "{place} was made from another topic of facts than the one that is there now, maybe by another \
         instance; if it was not: DROP KEYSPACE by hand"
    );
    Ok(())
}

fn wait_for_others(context: &Context, main: &Views) -> anyhow::Result<()> {
    if !context.tables.are_shared() {
        return Ok(());
    }
    let switched_ms = record::live(main)?.map_or(0, |(_, live)| live.at_ms);
    let since = Duration::from_millis(record::now_ms().abs_diff(switched_ms));
    std::thread::sleep(SETTLED_AFTER.saturating_sub(since));
    Ok(())
}
