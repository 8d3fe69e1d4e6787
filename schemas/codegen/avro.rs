//! Reads Avro schemas (`.avsc`) into a small model, and refuses what our rules of evolution forbid:
//! enums, maps, and unions other than `[null, X]` with default null.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Problem;

/// A type of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// 64 bits, signed.
    Long,
    /// UTF-8 text.
    Text,
    /// Bytes.
    Bytes,
    /// So many bytes.
    Fixed(usize),
    /// A record, by name.
    Record(String),
    /// Any number of them.
    List(Box<Type>),
    /// One or none.
    Optional(Box<Type>),
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it means.
    pub doc: String,
    /// Its type.
    pub kind: Type,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it means.
    pub doc: String,
    /// Its fields in the order of the wire.
    pub fields: Vec<Field>,
}

/// All records of all sources by name. Sources may share a record if they define it alike.
#[derive(Debug, Default)]
pub struct Model {
    /// The records.
    pub records: BTreeMap<String, Record>,
}

impl Model {
    /// Adds the schema of one source.
    pub fn add(&mut self, source: &str) -> Result<(), Problem> {
        let schema: Value = serde_json::from_str(source).map_err(|error| error.to_string())?;
        let mut names = BTreeMap::new();
        match self.read(&schema, &mut names)? {
            Type::Record(_) => Ok(()),
            other => Err(format!("a source must be a record, is {other:?}")),
        }
    }

    /// Whether values of a type borrow from the bytes that they were read from.
    pub fn borrows(&self, kind: &Type) -> bool {
        match kind {
            Type::Long | Type::Fixed(_) => false,
            Type::Text | Type::Bytes => true,
            Type::List(inner) | Type::Optional(inner) => self.borrows(inner),
            Type::Record(name) => self
                .records
                .get(name)
                .is_some_and(|record| record.fields.iter().any(|field| self.borrows(&field.kind))),
        }
    }

    fn read(
        &mut self,
        schema: &Value,
        names: &mut BTreeMap<String, Type>,
    ) -> Result<Type, Problem> {
        match schema {
            Value::String(name) => named(name, names),
            Value::Array(branches) => match branches.as_slice() {
                [null, Value::Array(_)] if null == "null" => Err("a union in a union".into()),
                [null, branch] if null == "null" && branch != "null" => {
                    Ok(Type::Optional(Box::new(self.read(branch, names)?)))
                }
                _ => Err(format!("a union must be [null, X], is {schema}")),
            },
            Value::Object(_) => match text(schema, "type")? {
                "array" => {
                    let items = self.read(&schema["items"], names)?;
                    if self.is_empty(&items) {
                        return Err("items of an array must take at least one byte".into());
                    }
                    Ok(Type::List(Box::new(items)))
                }
                "fixed" => {
                    let size = schema["size"].as_u64().and_then(|size| usize::try_from(size).ok());
                    let kind = Type::Fixed(size.ok_or("a fixed type needs a size")?);
                    names.insert(text(schema, "name")?.into(), kind.clone());
                    Ok(kind)
                }
                "record" => self.record(schema, names),
                simple => named(simple, names),
            },
            other => Err(format!("not a type: {other}")),
        }
    }

    fn record(
        &mut self,
        schema: &Value,
        names: &mut BTreeMap<String, Type>,
    ) -> Result<Type, Problem> {
        let name = text(schema, "name")?.to_owned();
        let within = |problem: Problem| format!("{name}: {problem}");
        let doc = text(schema, "doc").map_err(within)?.to_owned();
        let Value::Array(items) = &schema["fields"] else {
            return Err(within("a record needs fields".into()));
        };
        let mut fields = Vec::with_capacity(items.len());
        for item in items {
            fields.push(self.field(item, names).map_err(within)?);
        }
        let record = Record { doc, fields };
        let known = self.records.entry(name.clone()).or_insert_with(|| record.clone());
        if *known != record {
            return Err(within("defined twice, and not alike".into()));
        }
        let kind = Type::Record(name.clone());
        names.insert(name, kind.clone());
        Ok(kind)
    }

    fn field(
        &mut self,
        item: &Value,
        names: &mut BTreeMap<String, Type>,
    ) -> Result<Field, Problem> {
        let name = text(item, "name")?.to_owned();
        let within = |problem: Problem| format!("{name}: {problem}");
        let doc = text(item, "doc").map_err(within)?.to_owned();
        let kind = self.read(&item["type"], names).map_err(within)?;
        if matches!(kind, Type::Optional(_)) && item.get("default") != Some(&Value::Null) {
            return Err(within("an optional field needs the default null".into()));
        }
        Ok(Field { name, doc, kind })
    }

    /// Whether a value may take no byte at all.
    fn is_empty(&self, kind: &Type) -> bool {
        match kind {
            Type::Fixed(size) => *size == 0,
            Type::Record(name) => self
                .records
                .get(name)
                .is_some_and(|record| record.fields.iter().all(|field| self.is_empty(&field.kind))),
            _ => false,
        }
    }
}

fn named(name: &str, names: &BTreeMap<String, Type>) -> Result<Type, Problem> {
    match name {
        "long" => Ok(Type::Long),
        "string" => Ok(Type::Text),
        "bytes" => Ok(Type::Bytes),
        other => names.get(other).cloned().ok_or_else(|| format!("type {other} is not supported")),
    }
}

fn text<'v>(schema: &'v Value, key: &str) -> Result<&'v str, Problem> {
    schema[key].as_str().ok_or_else(|| format!("needs a text `{key}`"))
}
