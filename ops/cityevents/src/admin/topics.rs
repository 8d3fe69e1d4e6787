//! The topics of an instance.

use std::fmt::Debug;

use cityevents_runtime::log::TopicPartition;
use serde_json::{Value, json};

use super::Context;
use crate::instance::topics;

pub(super) fn list(context: &Context) -> anyhow::Result<Value> {
    let mut rows = Vec::new();
    for topic in context.log().topics()? {
        let spec = &topic.spec;
        let mut records = 0;
        for partition in 0..spec.partitions {
            let partition = TopicPartition::new(spec.name.clone(), partition);
            let marks = context.log().watermarks(&partition)?;
            records += marks.high - marks.low;
        }
        let text = |value: &dyn Debug| format!("{value:?}");
        rows.push(json!({
            "topic": &*spec.name,
            "partitions": spec.partitions,
            "cleanup": text(&spec.cleanup),
            "timestamps": text(&spec.timestamps),
            "durable": spec.durable,
            "records": records,
            "id": topic.id,
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
