//! The topics of an instance.

use cityevents_runtime::log::TopicPartition;
use cityevents_schemas::catalog::catalog;
use serde_json::{Value, json};

use super::Context;
use crate::instance::topics;

pub(super) fn list(context: &Context) -> anyhow::Result<Value> {
    let log = &**context.log();
    let mut rows = Vec::new();
    for topic in catalog().topics() {
        let Some(found) = topics::find(log, &topic.full_name(&context.prefix))? else { continue };
        let spec = &found.spec;
        let mut records = 0;
        for partition in 0..spec.partitions {
            let partition = TopicPartition::new(spec.name.clone(), partition);
            let marks = log.watermarks(&partition)?;
            records += marks.high - marks.low;
        }
        let copies = log.copies(spec)?.map(|(is, _)| is);
        rows.push(json!({
            "topic": &*spec.name,
            "partitions": spec.partitions,
            "cleanup": topics::cleanup_text(spec.cleanup),
            "timestamps": topics::timestamps_text(spec.timestamps),
            "durable": spec.durable,
            "replication": copies.map(|copies| copies.replication),
            "min_insync": copies.map(|copies| copies.min_insync),
            "records": records,
            "id": found.id,
        }));
    }
    Ok(Value::Array(rows))
}

pub(super) fn create(context: &Context) -> anyhow::Result<Value> {
    let log = context.log();
    let created = topics::create_missing(&**log, &context.prefix, context.partitions)?;
    let rows = created.iter().map(|name| json!({ "topic": &**name, "created": true }));
    Ok(rows.collect())
}

pub(super) fn check(context: &Context) -> anyhow::Result<Value> {
    let log = context.log();
    let differences = topics::differences(&**log, &context.prefix, context.partitions)?;
    Ok(serde_json::to_value(differences)?)
}
