//! The files that mails are made of: built in, and those of a folder in their place.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::languages;
use super::problem::TemplateProblem;

/// Folder of languages, beside the folders of mails.
const LANGUAGES: &str = "languages";

macro_rules! built_in {
    ($($name:literal,)*) => {
        /// The templates that are built in: name and content.
        pub(super) const TEMPLATES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../templates/", $name)))),*];
    };
}

built_in! {
    "layout.html",
    "layout.txt",
    "event.html",
    "event.txt",
    "words.html",
    "words.txt",
    "button.html",
    "verify_address/subject.txt",
    "verify_address/body.txt",
    "verify_address/body.html",
    "reset_password/subject.txt",
    "reset_password/body.txt",
    "reset_password/body.html",
    "place_confirmed/subject.txt",
    "place_confirmed/body.txt",
    "place_confirmed/body.html",
    "waitlisted/subject.txt",
    "waitlisted/body.txt",
    "waitlisted/body.html",
    "place_came_free/subject.txt",
    "place_came_free/body.txt",
    "place_came_free/body.html",
    "removed/subject.txt",
    "removed/body.txt",
    "removed/body.html",
    "event_canceled/subject.txt",
    "event_canceled/body.txt",
    "event_canceled/body.html",
    "event_changed/subject.txt",
    "event_changed/body.txt",
    "event_changed/body.html",
    "organizer_message/subject.txt",
    "organizer_message/body.txt",
    "organizer_message/body.html",
    "event_unpublished/subject.txt",
    "event_unpublished/body.txt",
    "event_unpublished/body.html",
}

/// All files, by name.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    pub(super) templates: BTreeMap<String, String>,
    /// By tag.
    pub(super) languages: BTreeMap<String, String>,
}

impl Sources {
    /// What is built in.
    pub(super) fn built_in() -> Self {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Self {
            templates: TEMPLATES.iter().map(own).collect(),
            languages: languages::BUILT_IN.iter().map(own).collect(),
        }
    }

    /// Puts the files of a folder in the place of those that are built in; languages may be new.
    /// A file that is neither is a mistake, most likely in its name.
    pub(super) fn replace_from(&mut self, folder: &Path) -> Vec<TemplateProblem> {
        let mut problems = Vec::new();
        for path in files(folder, &mut problems) {
            let name = path.strip_prefix(folder).unwrap_or(&path);
            let name = name.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
            let mut problem = |problem: String| {
                problems.push(TemplateProblem { file: name.clone(), line: None, problem });
            };
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) => {
                    problem(format!("cannot be read: {error}"));
                    continue;
                }
            };
            let language = name.strip_prefix(LANGUAGES).and_then(|rest| rest.strip_prefix('/'));
            if let Some(tag) = language.and_then(|file| file.strip_suffix(".toml")) {
                // One spelling of a tag, so that it takes the place of the built-in one.
                let known = self.languages.keys().find(|known| known.eq_ignore_ascii_case(tag));
                let tag = known.cloned().unwrap_or_else(|| tag.to_owned());
                self.languages.insert(tag, text);
            } else if let Some(built_in) = self.templates.get_mut(&name) {
                *built_in = text;
            } else {
                problem("is no template: see ops/docs/MAIL.md for their names".to_owned());
            }
        }
        problems
    }
}

/// The files of a folder and of its folders, hidden ones aside.
fn files(folder: &Path, problems: &mut Vec<TemplateProblem>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.unwrap_or_else(|error| {
            let (file, problem) =
                (folder.display().to_string(), format!("cannot be read: {error}"));
            problems.push(TemplateProblem { file, line: None, problem });
            Vec::new()
        });
        for entry in entries {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Template;

    #[test]
    fn every_file_of_the_folder_is_built_in_and_every_mail_has_its_three() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let mut sources = Sources::built_in();
        assert_eq!(sources.replace_from(&folder), []);
        let count = files(&folder, &mut Vec::new()).len();
        assert_eq!(count, TEMPLATES.len());
        for template in Template::ALL {
            for part in ["subject.txt", "body.txt", "body.html"] {
                let name = format!("{}/{part}", template.as_str());
                assert!(sources.templates.contains_key(&name), "{name}");
            }
        }
    }
}
