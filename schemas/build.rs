//! Generates `wire` (codecs) from `avro/*.avsc` and `topic` (constants) from `topics.toml`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

mod codegen;

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for input in ["avro", "topics.toml", "codegen", "build.rs"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let mut model = codegen::avro::Model::default();
    for path in sources(Path::new("avro"))? {
        model
            .add(&fs::read_to_string(&path)?)
            .map_err(|problem| format!("{}: {problem}", path.display()))?;
    }
    fs::write(out.join("wire.rs"), codegen::rust::generate(&model)?)?;
    let topics = codegen::topics::generate(&fs::read_to_string("topics.toml")?)
        .map_err(|problem| format!("topics.toml: {problem}"))?;
    fs::write(out.join("topic.rs"), topics)?;
    Ok(())
}

/// The current sources in the order of their names; older versions are in folders and stay out.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "avsc") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
