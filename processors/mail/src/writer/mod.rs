//! Makes mails of letters: templates in a language, put together as a message.
//!
//! Everything that can be wrong with templates is found when the writer is made. What is left is
//! about one mail, and no other try of it ends better ([`WriteError`]).

mod check;
mod context;
mod dates;
mod invitation;
mod languages;
mod message;
mod problem;
mod site;
mod sources;
mod templates;
mod words;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cityevents_domain::time::Timestamp;
use minijinja::context;

use self::languages::Language;
pub use self::problem::{TemplateProblem, WriterError};
pub use self::site::{Site, SiteError};
use self::sources::Sources;
use self::templates::Templates;
use crate::{Letter, Mail, MailId};

/// The files of a mail.
const PARTS: [&str; 3] = ["subject.txt", "body.txt", "body.html"];

/// Who gets a mail.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// How the person wants to be called.
    pub name: Option<String>,
    /// The language the person reads, as a tag (BCP 47). Without, or when there is no translation:
    /// the default.
    pub language: Option<String>,
    /// Link by which the person gets no more mails of this kind, with one click (RFC 8058). Left
    /// out of mails that always come.
    pub unsubscribe: Option<String>,
}

/// Without anything of the person.
impl std::fmt::Debug for Recipient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Recipient")
            .field("language", &self.language)
            .finish_non_exhaustive()
    }
}

/// A letter cannot be written: not now, and not later. Says nothing of the person.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The address is none.
    #[error("the address cannot be used: {0}")]
    Address(#[from] lettre::address::AddressError),
    /// The template fails with these values.
    #[error("the template fails: {0}")]
    Template(TemplateProblem),
    /// A header would not be one line of plain characters.
    #[error("the header {0} cannot be written: it must be one line of plain characters")]
    Header(&'static str),
    /// A part cannot be put into a mail.
    #[error("a part cannot be encoded")]
    Encoding,
    /// The parts do not make a mail.
    #[error("the mail cannot be put together: {0}")]
    Message(#[from] lettre::error::Error),
}

/// What a letter says, before it is a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Parts {
    /// One line.
    pub subject: String,
    /// For readers of text.
    pub text: String,
    /// For everybody else.
    pub html: String,
    /// See [`Recipient::unsubscribe`].
    pub unsubscribe: Option<String>,
}

impl Parts {
    fn of(
        site: &Site,
        templates: &Templates,
        letter: &Letter,
        recipient: &Recipient,
    ) -> Result<Self, TemplateProblem> {
        let name = letter.template().as_str();
        let [subject_file, text_file, html_file] = PARTS.map(|part| format!("{name}/{part}"));
        let problem = |file: &str, problem: &str| {
            let (file, problem) = (file.to_owned(), problem.to_owned());
            TemplateProblem { file, line: None, problem }
        };
        let values = context::of(site, &templates.language, letter, recipient)
            .map_err(|error| problem(&subject_file, &error))?;
        let unsubscribe = recipient.unsubscribe.clone();
        let unsubscribe = unsubscribe.filter(|_| letter.template().is_optional());
        // The subject is not there yet while it is written.
        let mail =
            context! { mail => context! { unsubscribe => unsubscribe.clone() }, ..values.clone() };
        let subject = words::one_line(&templates.render(&subject_file, &mail)?);
        if subject.is_empty() {
            return Err(problem(&subject_file, "the subject is empty"));
        }
        let mail = context! { subject => subject.clone(), unsubscribe => unsubscribe.clone() };
        let values = context! { mail, ..values };
        let text = words::tidy(&templates.render(&text_file, &values)?);
        let html = templates.render(&html_file, &values)?;
        Ok(Self { subject, text, html, unsubscribe })
    }
}

/// Writes letters. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    site: Site,
    /// By tag.
    languages: BTreeMap<String, Templates>,
    /// The tag of the one for everybody else.
    default: String,
}

impl Writer {
    /// A writer. Files of the folder take the place of the built-in ones of the same name, whole.
    ///
    /// # Errors
    /// With every problem of templates and languages at once.
    pub fn new(site: Site, overrides: Option<&Path>) -> Result<Self, WriterError> {
        let mut sources = Sources::built_in();
        let mut problems = Vec::new();
        if let Some(folder) = overrides {
            problems.extend(sources.replace_from(folder));
        }
        let mut languages = BTreeMap::new();
        for (tag, language) in read_languages(&sources, &mut problems) {
            match Templates::compile(&sources.templates, language) {
                Ok(templates) => {
                    problems.extend(check::check(&site, &sources, &templates));
                    languages.insert(tag, templates);
                }
                Err(found) => problems.extend(found),
            }
        }
        let default = languages::look_up(&languages, Some(&site.language), "");
        let default = default.map(|templates| templates.language.tag.clone());
        // One that is there and has a fault is told of above, with the fault.
        let is_there = languages::look_up(&sources.languages, Some(&site.language), "").is_some();
        if default.is_none() && !is_there {
            let problem = format!("there is no language {}; see mail.language", site.language);
            problems.push(TemplateProblem { file: "languages".to_owned(), line: None, problem });
        }
        // Each language finds the same faults of a template.
        let mut told = Vec::new();
        problems.retain(|problem| {
            !told.contains(problem) && {
                told.push(problem.clone());
                true
            }
        });
        if !problems.is_empty() {
            return Err(WriterError(problems));
        }
        let default = default.unwrap_or_default();
        Ok(Self { inner: Arc::new(Inner { site, languages, default }) })
    }

    /// Writes a letter to somebody. `at` is the time that the mail carries: the one of what it
    /// tells, so that the same mail is the same at every try.
    ///
    /// # Errors
    /// [`WriteError`]: trying again does not help.
    pub fn write(
        &self,
        id: &MailId,
        letter: &Letter,
        recipient: &Recipient,
        at: Timestamp,
    ) -> Result<Mail, WriteError> {
        let site = &self.inner.site;
        let parts = self.parts(letter, recipient)?;
        let entry = invitation::of(site, letter, &recipient.address, at);
        message::compose(site, id, recipient, parts, entry, at)
    }

    /// What a letter says to somebody, without the message around it.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn parts(&self, letter: &Letter, recipient: &Recipient) -> Result<Parts, WriteError> {
        let Inner { site, languages, default } = &*self.inner;
        let wish = recipient.language.as_deref();
        let templates = languages::look_up(languages, wish, default).ok_or_else(|| {
            let (file, problem) = ("languages".to_owned(), "there is none".to_owned());
            WriteError::Template(TemplateProblem { file, line: None, problem })
        })?;
        Parts::of(site, templates, letter, recipient).map_err(WriteError::Template)
    }

    /// Tags of the languages that it writes.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.inner.languages.keys().map(String::as_str)
    }
}

/// Every language that can be read, the reference first; each is held against it.
fn read_languages(
    sources: &Sources,
    problems: &mut Vec<TemplateProblem>,
) -> BTreeMap<String, Language> {
    let mut languages = BTreeMap::new();
    for (tag, text) in &sources.languages {
        match Language::parse(tag, &language_file(tag), text) {
            Ok(language) => drop(languages.insert(tag.clone(), language)),
            Err(found) => problems.extend(found),
        }
    }
    // The one that is built in: another English has to say everything as well.
    let (tag, text) = languages::BUILT_IN[0];
    match Language::parse(tag, &language_file(tag), text) {
        Ok(reference) => {
            for (tag, language) in &languages {
                problems.extend(reference.check(language, &language_file(tag)));
            }
        }
        Err(found) => problems.extend(found),
    }
    languages
}

fn language_file(tag: &str) -> String {
    format!("languages/{tag}.toml")
}
