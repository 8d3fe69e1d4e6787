//! Layers, one over the other, and the check of the whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::env::{key_of, typed, variable_of};
use super::problems::{ConfigProblem, ConfigProblems};
use super::schema::{DEFAULT_TOML, Schema, flatten, is_below};
use super::{Config, oauth, properties, validate};

/// Where a configuration comes from, besides the built-in defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file given with `--config`.
    pub file: Option<PathBuf>,
    /// Variables: name and value. Only those that begin with `CITYEVENTS__` count.
    pub environment: Vec<(String, String)>,
    /// From options of the command line: dotted key and value.
    pub overrides: Vec<(String, String)>,
}

impl Sources {
    /// The file and overrides given, and the environment of this process.
    pub fn of_process(file: Option<PathBuf>, overrides: Vec<(String, String)>) -> Self {
        let variables = std::env::vars_os();
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        Self { file, environment: variables.filter_map(text).collect(), overrides }
    }
}

/// A configuration, and where each of its values comes from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    pub(super) origins: BTreeMap<String, Origin>,
}

/// A value as it was given, and where.
type Given = BTreeMap<String, (Value, Origin)>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    File(PathBuf),
    Environment,
    CommandLine,
}

impl Origin {
    pub(super) fn describe(&self, key: &str) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::Environment => format!("environment variable {}", variable_of(key)),
            Self::CommandLine => "command line".to_owned(),
        }
    }
}

impl Config {
    /// Reads and checks all layers.
    pub fn load(sources: Sources) -> Result<Loaded, ConfigProblems> {
        let mut problems = Vec::new();
        let (schema, defaults) = match (Schema::read(), DEFAULT_TOML.parse::<Table>()) {
            (Ok(schema), Ok(defaults)) => (schema, defaults),
            (Err(error), _) | (_, Err(error)) => {
                return Err(ConfigProblems(vec![layer("built-in defaults", error.message())]));
            }
        };
        let mut given = read_layers(&sources, &schema, &mut problems);
        given.retain(|key, (value, origin)| {
            let checked = check_key(&schema, key, value)
                .and_then(|()| with(&defaults, [(key, &*value)]).map(drop));
            let fine = checked.is_ok();
            problems.extend(checked.err().map(|message| problem(key, value, origin, message)));
            fine
        });
        // Every value fits on its own, so that they fit together.
        let values = given.iter().map(|(key, (value, _))| (key, value));
        let config = match with(&defaults, values) {
            Ok(config) => config,
            Err(message) => {
                problems.push(layer("configuration", &message));
                return Err(ConfigProblems(problems));
            }
        };
        let fixed = validate::validate(&config).into_iter();
        let fixed = fixed.map(|(key, message)| (key.to_owned(), message));
        for (key, message) in fixed.chain(oauth::validate(&config)) {
            let key = key.as_str();
            let (value, origin) = match given.get(key) {
                Some((value, origin)) => (Some(value), origin),
                None => (schema.keys.get(key), &Origin::Default),
            };
            let none = Value::String("not given".to_owned());
            problems.push(problem(key, value.unwrap_or(&none), origin, message));
        }
        if problems.is_empty() {
            let origins = given.into_iter().map(|(key, (_, origin))| (key, origin)).collect();
            return Ok(Loaded { config, origins });
        }
        problems.sort_by(|left, right| left.key.cmp(&right.key));
        Err(ConfigProblems(problems))
    }
}

/// What the layers above the defaults give, the last layer winning.
fn read_layers(sources: &Sources, schema: &Schema, problems: &mut Vec<ConfigProblem>) -> Given {
    let mut given = Given::new();
    if let Some(path) = &sources.file {
        match read_file(path) {
            Ok(table) => {
                let mut keys = BTreeMap::new();
                flatten(&table, "", &mut keys);
                let origin = Origin::File(path.clone());
                given.extend(keys.into_iter().map(|(key, value)| (key, (value, origin.clone()))));
            }
            Err(message) => problems.push(layer(&path.display().to_string(), &message)),
        }
    }
    let text = Value::String(String::new());
    let mut set = |key: String, value: &str, origin| {
        let value = typed(value, schema.get(&key).unwrap_or(&text));
        given.insert(key, (value, origin));
    };
    for (variable, value) in &sources.environment {
        if let Some(key) = key_of(variable) {
            set(key, value, Origin::Environment);
        }
    }
    for (key, value) in &sources.overrides {
        set(key.clone(), value, Origin::CommandLine);
    }
    given
}

fn read_file(path: &Path) -> Result<Table, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot be read: {error}; check the path given with --config"))?;
    text.parse::<Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!("line {line} is not TOML: {}", error.message())
    })
}

fn check_key(schema: &Schema, key: &str, value: &Value) -> Result<(), String> {
    let is_table = value.is_table();
    if is_below(key, properties::SECTION) || (is_table && key == properties::SECTION) {
        return Ok(());
    }
    if schema.get(key).is_some() || (is_table && schema.is_section(key)) {
        return Ok(());
    }
    if schema.is_section(key) {
        return Err("is a section; give its keys one by one".to_owned());
    }
    if let Some(outer) = schema.keys.keys().find(|known| is_below(key, known)) {
        return Err(format!("{outer} is a value and has no keys below it"));
    }
    Err(schema.nearest(key).map_or_else(
        || "unknown key; `cityevents config show` lists all keys".to_owned(),
        |near| format!("unknown key; did you mean {near}?"),
    ))
}

/// The configuration that the defaults and some values make, or what is wrong with it.
fn with<'a>(
    defaults: &Table,
    values: impl IntoIterator<Item = (&'a String, &'a Value)>,
) -> Result<Config, String> {
    let mut table = defaults.clone();
    for (key, value) in values {
        set(&mut table, key, value);
    }
    table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

fn set(table: &mut Table, key: &str, value: &Value) {
    if let Some(name) = key.strip_prefix(properties::SECTION).and_then(|key| key.strip_prefix('.'))
    {
        // Their names have dots of their own.
        return set_below(table, properties::SECTION.split('.'), name, value);
    }
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    set_below(table, section.split('.').filter(|part| !part.is_empty()), name, value);
}

fn set_below<'a>(
    table: &mut Table,
    mut sections: impl Iterator<Item = &'a str>,
    name: &str,
    value: &Value,
) {
    match sections.next() {
        None => drop(table.insert(name.to_owned(), value.clone())),
        Some(section) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                set_below(inner, sections, name, value);
            }
        }
    }
}

fn problem(key: &str, value: &Value, origin: &Origin, message: String) -> ConfigProblem {
    let secret = super::show::is_secret(key) || properties::is_secret(key);
    let value = if secret { "[redacted]".to_owned() } else { value.to_string() };
    // What a parser says about a secret may quote it.
    let message = if secret { "is not acceptable".to_owned() } else { message };
    let origin = origin.describe(key);
    ConfigProblem { key: key.to_owned(), value: Some(value), origin, message }
}

fn layer(origin: &str, message: &str) -> ConfigProblem {
    ConfigProblem {
        key: String::new(),
        value: None,
        origin: origin.to_owned(),
        message: message.to_owned(),
    }
}
