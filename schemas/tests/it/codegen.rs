//! What the generator writes, and what it refuses.

#[path = "../../codegen/mod.rs"]
#[allow(dead_code, reason = "the build script uses what the tests do not")]
mod generator;

use generator::{avro::Model, rust, topics};

/// A record with one field.
fn record(field: &str) -> String {
    format!(r#"{{"type":"record","name":"R","doc":"A record.","fields":[{field}]}}"#)
}

fn problem(source: &str) -> String {
    Model::default().add(source).unwrap_err()
}

#[test]
fn a_record_becomes_a_struct_that_borrows_and_a_codec_in_the_order_of_the_fields() {
    let mut model = Model::default();
    let fields = r#"
        {"name":"id","type":{"type":"fixed","name":"Id","size":16},"doc":"An id."},
        {"name":"name","type":"string","doc":"A name."},
        {"name":"others","type":{"type":"array","items":"Id"},"default":[],"doc":"Others."},
        {"name":"at","type":["null",{"type":"long","logicalType":"timestamp-millis"}],
         "default":null,"doc":"When."}"#;
    model.add(&record(fields)).unwrap();
    let source = rust::generate(&model).unwrap();
    for part in [
        "/// A record.\n#[derive(Debug, Clone, PartialEq)]\npub struct R<'a> {\n",
        "    /// An id.\n    pub id: [u8; 16],\n",
        "    pub name: &'a str,\n",
        "    pub others: Vec<[u8; 16]>,\n",
        "    pub at: Option<i64>,\n",
        "impl<'a> Wire<'a> for R<'a> {\n",
        "        self.id.encode(out);\n        self.name.encode(out);\n        self.others",
        "        self.id.read(input)?;\n        self.name.read(input)?;\n        self.others",
    ] {
        assert!(source.contains(part), "{part}\nis not in\n{source}");
    }
}

#[test]
fn a_record_of_numbers_does_not_borrow() {
    let mut model = Model::default();
    model.add(&record(r#"{"name":"n","type":"long","doc":"A number."}"#)).unwrap();
    let source = rust::generate(&model).unwrap();
    assert!(source.contains("pub struct R {") && source.contains("impl<'a> Wire<'a> for R {"));
}

#[test]
fn a_wide_body_is_boxed_where_bodies_are_a_choice() {
    let long = |at| format!(r#"{{"name":"n{at}","type":"long","doc":"A number."}}"#);
    let body = |name: &str, width: usize| {
        let fields = (0..width).map(long).collect::<Vec<_>>().join(",");
        format!(
            r#"{{"name":"{name}","default":null,"doc":"A body.","type":["null",
            {{"type":"record","name":"{name}Body","doc":"A body.","fields":[{fields}]}}]}}"#
        )
    };
    let (wide, narrow, third) = (body("wide", 11), body("narrow", 10), body("third", 1));
    let generated = |fields: &[&str]| {
        let mut model = Model::default();
        model.add(&record(&fields.join(","))).unwrap();
        rust::generate(&model).unwrap()
    };
    let choice = generated(&[&wide, &narrow, &third]);
    assert!(choice.contains("pub wide: Option<Box<wideBody>>,"));
    assert!(choice.contains("pub narrow: Option<narrowBody>,"));
    assert!(generated(&[&wide, &narrow]).contains("pub wide: Option<wideBody>,"));
}

#[test]
fn what_would_break_evolution_is_refused() {
    let kind = |kind: &str| record(&format!(r#"{{"name":"f","type":{kind},"doc":"A field."}}"#));
    for (source, expected) in [
        (kind(r#"{"type":"enum","name":"E","symbols":["A"]}"#), "type enum is not supported"),
        (kind(r#"{"type":"map","values":"long"}"#), "type map is not supported"),
        (kind(r#"["null","long","string"]"#), "a union must be [null, X]"),
        (kind(r#"["long","null"]"#), "a union must be [null, X]"),
        (kind(r#"["null","long"]"#), "an optional field needs the default null"),
        (kind(r#""float""#), "type float is not supported"),
        (kind(r#""Unknown""#), "type Unknown is not supported"),
        (record(r#"{"name":"f","type":"long"}"#), "needs a text `doc`"),
        ("[]".into(), "a union must be [null, X]"),
        ("\"long\"".into(), "a source must be a record"),
        ("{".into(), "EOF"),
    ] {
        let problem = problem(&source);
        assert!(problem.contains(expected), "{source}: {problem}");
    }
}

#[test]
fn an_array_of_nothing_is_refused_since_its_count_could_not_be_bounded() {
    let empty = r#"{"type":"record","name":"E","doc":"Empty.","fields":[]}"#;
    let field = format!(
        r#"{{"name":"f","type":{{"type":"array","items":{empty}}},"default":[],"doc":"F."}}"#
    );
    assert!(problem(&record(&field)).contains("at least one byte"));
}

#[test]
fn a_record_of_two_sources_must_be_the_same_in_both() {
    let mut model = Model::default();
    model.add(&record(r#"{"name":"n","type":"long","doc":"A number."}"#)).unwrap();
    model.add(&record(r#"{"name":"n","type":"long","doc":"A number."}"#)).unwrap();
    let other = record(r#"{"name":"n","type":"string","doc":"A number."}"#);
    assert_eq!(model.add(&other).unwrap_err(), "R: defined twice, and not alike");
}

#[test]
fn a_field_that_is_a_word_of_rust_is_refused() {
    let mut model = Model::default();
    model.add(&record(r#"{"name":"type","type":"long","doc":"A number."}"#)).unwrap();
    assert_eq!(rust::generate(&model).unwrap_err(), "R: a field cannot be called type");
}

#[test]
fn a_wrong_catalogue_is_refused() {
    let good = include_str!("../../topics.toml");
    topics::generate(good).unwrap();
    for (from, to, expected) in [
        ("group = \"mail\"", "group = \"male\"", "emails: no group male"),
        ("retention = \"7d\"", "retention = \"7w\"", "not a length of time"),
        ("divisor = 4", "divisor = 0", "a divisor is at least 1"),
        ("name = \"emails\"", "name = \"Emails\"", "a topic's name has a-z"),
        ("doc = ", "dog = ", "unknown field `dog`"),
    ] {
        let problem = topics::generate(&good.replace(from, to)).unwrap_err();
        assert!(problem.contains(expected), "{to}: {problem}");
    }
}
