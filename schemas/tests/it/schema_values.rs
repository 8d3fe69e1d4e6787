//! Random values of any Avro schema that our contracts could have.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::Name;
use apache_avro::types::Value;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::generate::text;

/// Any value of a schema.
pub fn value(schema: &Schema) -> BoxedStrategy<Value> {
    value_of(schema, &mut HashMap::new())
}

fn value_of(
    schema: &Schema,
    names: &mut HashMap<Name, BoxedStrategy<Value>>,
) -> BoxedStrategy<Value> {
    match schema {
        Schema::Null => Just(Value::Null).boxed(),
        Schema::Long => any::<i64>().prop_map(Value::Long).boxed(),
        Schema::TimestampMillis => any::<i64>().prop_map(Value::TimestampMillis).boxed(),
        Schema::String => text().prop_map(Value::String).boxed(),
        Schema::Bytes => vec(any::<u8>(), 0..40).prop_map(Value::Bytes).boxed(),
        Schema::Fixed(fixed) => {
            let size = fixed.size;
            let strategy =
                vec(any::<u8>(), size).prop_map(move |bytes| Value::Fixed(size, bytes)).boxed();
            names.insert(fixed.name.clone(), strategy.clone());
            strategy
        }
        Schema::Array(array) => {
            vec(value_of(&array.items, names), 0..4).prop_map(Value::Array).boxed()
        }
        Schema::Union(union) => {
            let some = value_of(&union.variants()[1], names);
            prop_oneof![
                Just(Value::Union(0, Box::new(Value::Null))),
                some.prop_map(|value| Value::Union(1, Box::new(value))),
            ]
            .boxed()
        }
        Schema::Record(record) => {
            let fields: Vec<_> = record
                .fields
                .iter()
                .map(|field| (Just(field.name.clone()), value_of(&field.schema, names)))
                .collect();
            let strategy = fields.prop_map(Value::Record).boxed();
            names.insert(record.name.clone(), strategy.clone());
            strategy
        }
        Schema::Ref { name } => names[name].clone(),
        other => panic!("no values of {other:?}: our contracts do not use it"),
    }
}
