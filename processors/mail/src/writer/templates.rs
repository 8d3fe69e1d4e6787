//! Templates, ready to be filled: one environment a language.
//!
//! A variable that is not there, a message that does not exist and a value that a message lacks are
//! errors, not blanks. HTML is escaped unless the template itself wrote it.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value,
};

use super::languages::Language;
use super::problem::TemplateProblem;

/// How deep templates may include each other.
const DEPTH_MAX: usize = 100;

/// Templates in one language.
#[derive(Debug, Clone)]
pub(super) struct Templates {
    environment: Environment<'static>,
    pub(super) language: Arc<Language>,
}

impl Templates {
    /// Compiles all of them.
    pub(super) fn compile(
        sources: &BTreeMap<String, String>,
        language: Language,
    ) -> Result<Self, Vec<TemplateProblem>> {
        let language = Arc::new(language);
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_recursion_limit(DEPTH_MAX);
        if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
            environment.set_syntax(syntax);
        }
        environment.set_formatter(write_value);
        environment
            .add_filter("lines", |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>());
        environment.add_filter("quote", |text: &str| {
            let quoted = text.lines().map(|line| format!("> {line}"));
            quoted.collect::<Vec<_>>().join("\n")
        });
        let words = Arc::clone(&language);
        environment.add_function("say", move |state: &State<'_, '_>, key: &str, given: Kwargs| {
            say(&words, state, key, &given)
        });
        let mut problems = Vec::new();
        for (name, text) in sources {
            if let Err(error) = environment.add_template_owned(name.clone(), text.clone()) {
                problems.push(problem(name, &error));
            }
        }
        if problems.is_empty() { Ok(Self { environment, language }) } else { Err(problems) }
    }

    /// Fills a template.
    pub(super) fn render(&self, name: &str, values: &Value) -> Result<String, TemplateProblem> {
        let template = self.environment.get_template(name);
        let rendered = template.and_then(|template| template.render(values.clone()));
        rendered.map_err(|error| problem(name, &error))
    }

    /// The variables that a template takes from outside, with their members.
    pub(super) fn variables(&self, name: &str) -> Vec<String> {
        let template = self.environment.get_template(name);
        let names = template.map(|template| template.undeclared_variables(true));
        let mut names: Vec<_> = names.unwrap_or_default().into_iter().collect();
        names.retain(|name| name != "say");
        names.sort();
        names
    }
}

/// An error of the engine, where it happened: the innermost place that it tells.
fn problem(name: &str, error: &Error) -> TemplateProblem {
    let mut told: (&Error, Option<&str>) = (error, None);
    let mut next = Some(error);
    while let Some(error) = next {
        told = (error, error.name().or(told.1));
        next = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
    }
    let (innermost, file) = told;
    let detail = innermost.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    TemplateProblem {
        file: file.unwrap_or(name).to_owned(),
        line: innermost.line().or(error.line()),
        problem: format!("{}{detail}", innermost.kind()),
    }
}

/// As the engine does, but for the slash, which links are full of and which harms nothing.
fn write_value(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    if !matches!(state.auto_escape(), AutoEscape::Html) || value.is_safe() {
        return minijinja::escape_formatter(out, state, value);
    }
    let failed = |_| Error::new(ErrorKind::WriteFailure, "a value cannot be written");
    for one in value.to_string().chars() {
        match one {
            '<' => out.write_str("&lt;"),
            '>' => out.write_str("&gt;"),
            '&' => out.write_str("&amp;"),
            '"' => out.write_str("&quot;"),
            '\'' => out.write_str("&#39;"),
            _ => std::fmt::Write::write_char(out, one),
        }
        .map_err(failed)?;
    }
    Ok(())
}

fn say(
    language: &Language,
    state: &State<'_, '_>,
    key: &str,
    given: &Kwargs,
) -> Result<String, Error> {
    let failed = |detail: String| Error::new(ErrorKind::InvalidOperation, detail);
    let mut values = Vec::new();
    for name in given.args() {
        let value: Value = given.get(name)?;
        if value.is_undefined() {
            let detail = format!("{name} of the message {key} has no value");
            return Err(Error::new(ErrorKind::UndefinedError, detail));
        }
        values.push((name, value.to_string()));
    }
    let form = |count: &str| {
        let n: u64 = count.parse().map_err(|_| format!("{key} counts: n must be a number"))?;
        let rule = state.env().compile_expression_owned(language.plural.clone());
        let form = rule.and_then(|rule| rule.eval(minijinja::context!(n)));
        form.map(|form| form.to_string()).map_err(|error| error.to_string())
    };
    language.say(key, &values, form).map_err(failed)
}
