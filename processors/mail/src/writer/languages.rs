//! The languages of mails: what is said, in which words.
//!
//! A language is a file of messages. English is the one that others are held against: the same
//! keys, and no value in a message that English does not give it.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Environment;
use toml::{Table, Value};

use super::problem::TemplateProblem;

/// The language that is always there.
pub(super) const REFERENCE: &str = "en";
/// What is built in: tag and file.
pub(super) const BUILT_IN: [(&str, &str); 2] = [
    (REFERENCE, include_str!("../../languages/en.toml")),
    ("de", include_str!("../../languages/de.toml")),
];
/// Numbers that the rule for plural forms is tried with.
const COUNTS_TRIED: i64 = 200;
/// Parts of a tag (BCP 47): language, script, region, variants.
const TAG_PARTS_MAX: usize = 6;

/// One language.
#[derive(Debug, Clone)]
pub(super) struct Language {
    pub(super) tag: String,
    pub(super) is_right_to_left: bool,
    pub(super) weekdays: Vec<String>,
    pub(super) months: Vec<String>,
    /// Names the form for a number `n`: an expression of the templates.
    pub(super) plural: String,
    messages: BTreeMap<String, Message>,
}

#[derive(Debug, Clone)]
enum Message {
    Plain(String),
    Counted(BTreeMap<String, String>),
}

impl Message {
    fn texts(&self) -> Vec<&str> {
        match self {
            Self::Plain(text) => vec![text],
            Self::Counted(forms) => forms.values().map(String::as_str).collect(),
        }
    }
}

impl Language {
    /// Reads a file. Values that are missing or of another kind are problems, all of them.
    pub(super) fn parse(tag: &str, file: &str, text: &str) -> Result<Self, Vec<TemplateProblem>> {
        let mut problems = Problems { file, list: Vec::new() };
        if !is_tag(tag) {
            problems.add("the name of the file is no language: write de.toml or pt-BR.toml");
        }
        let table = text.parse::<Table>().map_err(|error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let problem = error.message().to_owned();
            vec![TemplateProblem { file: file.to_owned(), line, problem }]
        })?;
        let mut messages = BTreeMap::new();
        for (section, entries) in &table {
            match entries.as_table() {
                Some(_) if section == "language" => {}
                Some(entries) => section_messages(section, entries, &mut messages, &mut problems),
                None => problems.add(&format!("{section} must be a section: [{section}]")),
            }
        }
        let head = table.get("language").and_then(Value::as_table).cloned().unwrap_or_default();
        let mut text = |key: &str| match head.get(key).and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => {
                problems.add(&format!("language.{key} is missing, or no text"));
                String::new()
            }
        };
        let (_name, direction, plural) = (text("name"), text("direction"), text("plural"));
        let mut names = |key: &str, count: usize| {
            let list = head.get(key).and_then(Value::as_array);
            let list: Vec<_> = list.into_iter().flatten().filter_map(Value::as_str).collect();
            if list.len() != count {
                problems.add(&format!("language.{key} must be {count} names"));
            }
            list.into_iter().map(str::to_owned).collect()
        };
        let (weekdays, months) = (names("weekdays", 7), names("months", 12));
        if !["ltr", "rtl"].contains(&&*direction) {
            problems.add("language.direction must be \"ltr\" or \"rtl\"");
        }
        let tag = tag.to_owned();
        let is_right_to_left = direction == "rtl";
        let language = Self { tag, is_right_to_left, weekdays, months, plural, messages };
        language.check_plural(&mut problems);
        if problems.list.is_empty() { Ok(language) } else { Err(problems.list) }
    }

    /// What another language lacks, has too much or says with values that this one does not give.
    pub(super) fn check(&self, other: &Self, file: &str) -> Vec<TemplateProblem> {
        let mut problems = Problems { file, list: Vec::new() };
        for (key, message) in &self.messages {
            let Some(theirs) = other.messages.get(key) else {
                problems.add(&format!("{key} is missing"));
                continue;
            };
            let given: BTreeSet<_> = message.texts().into_iter().flat_map(placeholders).collect();
            for name in theirs.texts().into_iter().flat_map(placeholders) {
                if !given.contains(name) {
                    problems.add(&format!("{key} uses {{{name}}}, which it is not given"));
                }
            }
            let is_counted = |message: &Message| matches!(message, Message::Counted(_));
            if is_counted(message) != is_counted(theirs) {
                problems.add(&format!("{key} must count in both languages, or in neither"));
            }
        }
        for key in other.messages.keys().filter(|key| !self.messages.contains_key(*key)) {
            problems.add(&format!("{key} is no message"));
        }
        problems.list
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.messages.contains_key(key)
    }

    /// A message with its values. `form` finds the plural form for a number.
    pub(super) fn say(
        &self,
        key: &str,
        values: &[(&str, String)],
        form: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<String, String> {
        let message = self.messages.get(key).ok_or_else(|| format!("there is no message {key}"))?;
        let text = match message {
            Message::Plain(text) => text,
            Message::Counted(forms) => {
                let count = values.iter().find(|(name, _)| *name == "n");
                let (_, count) = count.ok_or_else(|| format!("{key} counts: give it n"))?;
                let form = form(count)?;
                forms.get(&form).ok_or_else(|| format!("{key} has no form {form:?}"))?
            }
        };
        fill(text, values).map_err(|name| format!("{key} needs {name}"))
    }

    /// A message of this module's own callers, which do not count.
    pub(super) fn plain(&self, key: &str, values: &[(&str, String)]) -> Result<String, String> {
        self.say(key, values, |_| Err(format!("{key} must not count")))
    }

    fn check_plural(&self, problems: &mut Problems<'_>) {
        let environment = Environment::new();
        let expression = match environment.compile_expression(&self.plural) {
            Ok(expression) => expression,
            Err(error) => return problems.add(&format!("language.plural: {error}")),
        };
        let mut forms = BTreeSet::new();
        for n in 0..=COUNTS_TRIED {
            match expression.eval(minijinja::context!(n)) {
                Ok(form) => drop(forms.insert(form.to_string())),
                Err(error) => return problems.add(&format!("language.plural: {error}")),
            }
        }
        for (key, message) in &self.messages {
            let Message::Counted(given) = message else { continue };
            for form in forms.iter().filter(|form| !given.contains_key(*form)) {
                problems.add(&format!("{key}.{form} is missing: the rule of plurals asks for it"));
            }
        }
    }
}

/// Finds the language for a wish (RFC 4647, lookup): the tag, then shorter ones, then the default.
pub(super) fn look_up<'all, T>(
    all: &'all BTreeMap<String, T>,
    wish: Option<&str>,
    default: &str,
) -> Option<&'all T> {
    let mut wish = wish.unwrap_or_default().to_ascii_lowercase().replace('_', "-");
    loop {
        let found = all.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(&wish));
        if let Some((_, language)) = found {
            return Some(language);
        }
        match wish.rfind('-') {
            Some(end) => wish.truncate(end),
            None => return all.get(default),
        }
    }
}

struct Problems<'file> {
    file: &'file str,
    list: Vec<TemplateProblem>,
}

impl Problems<'_> {
    fn add(&mut self, problem: &str) {
        let (file, problem) = (self.file.to_owned(), problem.to_owned());
        self.list.push(TemplateProblem { file, line: None, problem });
    }
}

fn section_messages(
    section: &str,
    entries: &Table,
    messages: &mut BTreeMap<String, Message>,
    problems: &mut Problems<'_>,
) {
    for (name, value) in entries {
        let key = format!("{section}.{name}");
        let message = match value {
            Value::String(text) => Message::Plain(text.clone()),
            Value::Table(forms) if forms.values().all(Value::is_str) => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let forms = forms.iter().map(|(form, value)| (form.clone(), text(value)));
                Message::Counted(forms.collect())
            }
            _ => {
                problems.add(&format!("{key} must be a text, or forms that are texts"));
                continue;
            }
        };
        if message.texts().iter().any(|text| text.trim().is_empty()) {
            problems.add(&format!("{key} says nothing"));
        }
        messages.insert(key, message);
    }
}

fn is_tag(tag: &str) -> bool {
    let parts: Vec<_> = tag.split('-').collect();
    let is_part = |part: &&str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    parts.len() <= TAG_PARTS_MAX && parts[0].len() >= 2 && parts.iter().all(is_part)
}

/// The names in braces.
fn placeholders(text: &str) -> Vec<&str> {
    let parts = text.split('{').skip(1);
    parts.filter_map(|part| part.split_once('}').map(|(name, _)| name)).collect()
}

/// The text with values in place of names; the name that has none.
fn fill(text: &str, values: &[(&str, String)]) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else { break };
        filled.push_str(before);
        let value = values.iter().find(|(given, _)| *given == name);
        filled.push_str(&value.ok_or_else(|| name.to_owned())?.1);
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in(tag: &str) -> Language {
        let (_, text) = BUILT_IN.into_iter().find(|(known, _)| *known == tag).unwrap();
        Language::parse(tag, &format!("{tag}.toml"), text).unwrap()
    }

    #[test]
    fn every_language_says_everything() {
        let english = built_in("en");
        for (tag, _) in BUILT_IN {
            assert_eq!(english.check(&built_in(tag), tag), [], "{tag}");
        }
    }

    #[test]
    fn what_a_translation_gets_wrong_is_named() {
        let english = built_in("en");
        let (_, text) = BUILT_IN[1];
        let wrong = text
            .replace("turn = ", "trun = ")
            .replace("Stelle {position}", "Stelle {place}")
            .replace("'one' if", "'uno' if")
            .replace("\"Montag\", ", "")
            .replace("\"ltr\"", "\"left\"");
        let problems = Language::parse("de_AT!", "de.toml", &wrong).unwrap_err();
        let told = |problems: &[TemplateProblem]| {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let said = told(&problems);
        for part in ["no language", "7 names", "ltr", "verify_address.valid.uno is missing"] {
            assert!(said.contains(part), "{part} in {said}");
        }
        let wrong = text.replace("turn = ", "trun = ").replace("{position}", "{place}");
        let language = Language::parse("de", "de.toml", &wrong).unwrap();
        let said = told(&english.check(&language, "de.toml"));
        for part in ["waitlisted.turn is missing", "waitlisted.trun is no message", "{place}"] {
            assert!(said.contains(part), "{part} in {said}");
        }
        let problems = Language::parse("de", "de.toml", "[language]\nname = = 3").unwrap_err();
        assert!(told(&problems).starts_with("de.toml, line 2: "), "{}", told(&problems));
    }

    #[test]
    fn the_nearest_language_is_found() {
        let all: BTreeMap<_, _> =
            ["de", "en", "pt-BR"].into_iter().map(|tag| (tag.to_owned(), tag)).collect();
        for (wish, found) in [
            (Some("de"), "de"),
            (Some("DE-at"), "de"),
            (Some("pt_br"), "pt-BR"),
            (Some("pt"), "en"),
            (Some("tlh"), "en"),
            (Some(""), "en"),
            (Some("-"), "en"),
            (None, "en"),
        ] {
            assert_eq!(look_up(&all, wish, "en"), Some(&found), "{wish:?}");
        }
    }

    #[test]
    fn a_value_is_not_looked_at_again() {
        let values = [("a", "{b}".to_owned()), ("b", "2".to_owned())];
        assert_eq!(fill("{a} and {b}", &values).unwrap(), "{b} and 2");
        assert_eq!(fill("{c}", &values), Err("c".to_owned()));
        assert_eq!(fill("open { brace", &values).unwrap(), "open { brace");
    }
}
