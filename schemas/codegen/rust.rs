//! Writes the records of a model as Rust: structs that borrow from the bytes that they are read
//! from, each with its `Wire` codec. What a field's codec does is written by hand, in
//! `src/codec.rs`; here is only the order of the fields.

use std::fmt::{Error, Write as _};

use super::Problem;
use super::avro::{Field, Model, Record, Type};

/// Words that a field must not be called, since the generated code has to be plain Rust.
const KEYWORDS: [&str; 12] =
    ["as", "enum", "final", "fn", "impl", "in", "match", "mod", "move", "ref", "self", "type"];

/// Optional records from which on a record is taken for a choice of bodies.
const BODIES_MIN: usize = 3;
/// Fields of a body that is not yet wide.
const BODY_LEAVES_MAX: usize = 10;

/// The source of module `wire`.
pub fn generate(model: &Model) -> Result<String, Problem> {
    let mut out = String::from("// Generated from schemas/avro by schemas/codegen.\n");
    for (name, record) in &model.records {
        if let Some(field) = record.fields.iter().find(|f| KEYWORDS.contains(&f.name.as_str())) {
            return Err(format!("{name}: a field cannot be called {}", field.name));
        }
        item(&mut out, model, name, record).map_err(|error| error.to_string())?;
    }
    Ok(out)
}

fn item(out: &mut String, model: &Model, name: &str, record: &Record) -> Result<(), Error> {
    let borrows = model.borrows(&Type::Record(name.into()));
    let lifetime = if borrows { "<'a>" } else { "" };
    writeln!(out, "\n/// {}", record.doc)?;
    writeln!(out, "#[derive(Debug, Clone, PartialEq)]\npub struct {name}{lifetime} {{")?;
    for Field { name, doc, kind } in &record.fields {
        let kind = field_type(model, record, kind);
        writeln!(out, "    /// {doc}\n    pub {name}: {kind},")?;
    }
    writeln!(out, "}}\n\nimpl<'a> Wire<'a> for {name}{lifetime} {{")?;
    let least: Vec<_> = record
        .fields
        .iter()
        .map(|field| field_type(model, record, &field.kind))
        .map(|kind| format!("<{kind} as Wire<'a>>::BYTES_MIN"))
        .collect();
    writeln!(out, "    const BYTES_MIN: usize = {};\n", least.join(" + "))?;
    writeln!(out, "    #[inline]\n    fn empty() -> Self {{\n        Self {{")?;
    for Field { name, .. } in &record.fields {
        writeln!(out, "            {name}: Wire::empty(),")?;
    }
    writeln!(out, "        }}\n    }}\n")?;
    writeln!(out, "    #[inline]\n    fn encode(&self, out: &mut Vec<u8>) {{")?;
    for Field { name, .. } in &record.fields {
        writeln!(out, "        self.{name}.encode(out);")?;
    }
    writeln!(out, "    }}\n")?;
    writeln!(out, "    #[inline]")?;
    writeln!(
        out,
        "    fn read(&mut self, input: &mut &'a [u8]) -> Result<(), Box<DecodeError>> {{"
    )?;
    for Field { name, .. } in &record.fields {
        writeln!(out, "        self.{name}.read(input)?;")?;
    }
    writeln!(out, "        Ok(())\n    }}\n}}")
}

fn rust_type(model: &Model, kind: &Type) -> String {
    match kind {
        Type::Long => "i64".into(),
        Type::Text => "&'a str".into(),
        Type::Bytes => "&'a [u8]".into(),
        Type::Fixed(size) => format!("[u8; {size}]"),
        Type::Record(name) if model.borrows(kind) => format!("{name}<'a>"),
        Type::Record(name) => name.clone(),
        Type::List(inner) => format!("Vec<{}>", rust_type(model, inner)),
        Type::Optional(inner) => format!("Option<{}>", rust_type(model, inner)),
    }
}

/// The type of a field. Where a record offers bodies of which one is there, the wide ones are boxed:
/// else every value would be as large as all bodies together.
fn field_type(model: &Model, record: &Record, kind: &Type) -> String {
    let body = |kind: &Type| match kind {
        Type::Optional(inner) if matches!(**inner, Type::Record(_)) => Some(leaves(model, inner)),
        _ => None,
    };
    let bodies = record.fields.iter().filter_map(|field| body(&field.kind)).count();
    match kind {
        Type::Optional(inner) if bodies >= BODIES_MIN && body(kind) > Some(BODY_LEAVES_MAX) => {
            format!("Option<Box<{}>>", rust_type(model, inner))
        }
        _ => rust_type(model, kind),
    }
}

/// Fields that are no records, at any depth.
fn leaves(model: &Model, kind: &Type) -> usize {
    match kind {
        Type::Record(name) => model
            .records
            .get(name)
            .map_or(0, |record| record.fields.iter().map(|f| leaves(model, &f.kind)).sum()),
        Type::Optional(inner) => leaves(model, inner),
        _ => 1,
    }
}
