//! Looks at templates before the first mail is written with them: what is wrong is told at start,
//! with file and line, and not by a mail that cannot be written some night.

use std::collections::BTreeSet;

use minijinja::Value;

use super::problem::TemplateProblem;
use super::sources::Sources;
use super::templates::Templates;
use super::{PARTS, Parts, Recipient, Site, context};
use crate::{Template, samples};

/// Tells a message in a template.
const SAY: &str = "say(\"";

/// Everything that is wrong with templates in one language.
pub(super) fn check(site: &Site, sources: &Sources, templates: &Templates) -> Vec<TemplateProblem> {
    let mut problems = Vec::new();
    let mut every = BTreeSet::new();
    for template in Template::ALL {
        match names(site, templates, template) {
            Ok(names) => {
                for part in PARTS {
                    let file = format!("{}/{part}", template.as_str());
                    problems.extend(unknown_variables(sources, templates, &file, &names));
                }
                every.extend(names);
            }
            Err(problem) => problems.push(problem),
        }
    }
    // What mails share may use what some of them have; trying them all shows the rest.
    every.extend(["words", "target", "label"].map(str::to_owned));
    let shared = sources.templates.keys().filter(|file| !file.contains('/'));
    for file in shared {
        problems.extend(unknown_variables(sources, templates, file, &every));
    }
    for (file, text) in &sources.templates {
        problems.extend(unknown_messages(templates, file, text));
    }
    if problems.is_empty() {
        problems.extend(failures(site, templates));
    }
    problems
}

/// Writes every form of every mail.
fn failures(site: &Site, templates: &Templates) -> Vec<TemplateProblem> {
    let mut problems = Vec::new();
    let named = samples::recipient(&templates.language.tag);
    let unnamed = Recipient { name: None, unsubscribe: None, ..named.clone() };
    for letter in Template::ALL.into_iter().flat_map(samples::letters) {
        for recipient in [&named, &unnamed] {
            if let Err(problem) = Parts::of(site, templates, &letter, recipient)
                && !problems.contains(&problem)
            {
                problems.push(problem);
            }
        }
    }
    problems
}

/// The names that a mail's templates are given, with their members.
fn names(
    site: &Site,
    templates: &Templates,
    template: Template,
) -> Result<BTreeSet<String>, TemplateProblem> {
    let mut names = BTreeSet::from(["mail.subject", "mail.unsubscribe"].map(str::to_owned));
    for letter in samples::letters(template) {
        let recipient = samples::recipient(&templates.language.tag);
        let values = context::of(site, &templates.language, &letter, &recipient);
        let values = values.map_err(|problem| TemplateProblem {
            file: format!("languages/{}.toml", templates.language.tag),
            line: None,
            problem,
        })?;
        add_names(&mut names, "", &values);
    }
    Ok(names)
}

fn add_names(names: &mut BTreeSet<String>, prefix: &str, values: &Value) {
    for key in values.try_iter().into_iter().flatten() {
        let name = format!("{prefix}{key}");
        let value = values.get_item(&key).unwrap_or_default();
        if value.kind() == minijinja::value::ValueKind::Map {
            add_names(names, &format!("{name}."), &value);
        }
        names.insert(name);
    }
}

fn unknown_variables(
    sources: &Sources,
    templates: &Templates,
    file: &str,
    names: &BTreeSet<String>,
) -> Vec<TemplateProblem> {
    let unknown = templates.variables(file).into_iter().filter(|name| !names.contains(name));
    let text = sources.templates.get(file).map(String::as_str).unwrap_or_default();
    let problem = |name: String| TemplateProblem {
        file: file.to_owned(),
        line: line_with(text, &name),
        problem: format!("unknown variable {name}; there are: {}", list(names)),
    };
    unknown.map(problem).collect()
}

fn unknown_messages(templates: &Templates, file: &str, text: &str) -> Vec<TemplateProblem> {
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for rest in line.split(SAY).skip(1) {
            // A key that is put together (`"event_canceled." ~ standing`) shows when it is used.
            let Some((key, after)) = rest.split_once('"') else { continue };
            let is_whole = !after.trim_start().starts_with('~');
            if is_whole && !templates.language.has(key) {
                let problem = format!("unknown message {key}; see languages/en.toml");
                problems.push(TemplateProblem {
                    file: file.to_owned(),
                    line: Some(index + 1),
                    problem,
                });
            }
        }
    }
    problems
}

fn line_with(text: &str, name: &str) -> Option<usize> {
    text.lines().position(|line| line.contains(name)).map(|index| index + 1)
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
