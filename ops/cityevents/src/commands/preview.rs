//! `mail preview`: what mails look like, with the templates of an instance and letters about nobody.

use std::fs;
use std::process::ExitCode;

use cityevents_mail::{Letter, MailId, Site, Template, Writer, samples};
use serde_json::{Value, json};

use super::print_rows;
use crate::cli::{MailFormat, Place, Preview, Usage};
use crate::output;

const COLUMNS: [&str; 4] = ["name", "variants", "optional", "subject"];

pub(super) fn run(preview: &Preview) -> anyhow::Result<ExitCode> {
    let writer = writer(preview)?;
    let language = preview.language.as_deref().unwrap_or_default();
    let recipient = samples::recipient(language);
    if let Some(unknown) = &preview.language
        && !writer.languages().any(|known| known.eq_ignore_ascii_case(unknown))
    {
        let known: Vec<_> = writer.languages().collect();
        let wrong = format!("--language {unknown}: there are {}", known.join(", "));
        return Err(Usage(wrong).into());
    }
    let Some(name) = &preview.name else {
        let row = |template: Template| {
            let letters = samples::letters(template);
            let parts = writer.parts(&letters[0], &recipient)?;
            Ok(json!({
                "name": template.as_str(),
                "variants": letters.len(),
                "optional": template.is_optional(),
                "subject": parts.subject,
            }))
        };
        let rows = Template::ALL.into_iter().map(row).collect::<anyhow::Result<Value>>()?;
        print_rows(&rows, &COLUMNS, output::Format::Table)?;
        return Ok(ExitCode::SUCCESS);
    };
    let letter = letter(name, preview.variant)?;
    let shown = match preview.format {
        MailFormat::Text => {
            let parts = writer.parts(&letter, &recipient)?;
            format!("Subject: {}\n\n{}", parts.subject, parts.text)
        }
        MailFormat::Html => writer.parts(&letter, &recipient)?.html,
        MailFormat::Eml => {
            let id = MailId::from_bytes([0; 16]);
            let mail = writer.write(&id, &letter, &recipient, samples::AT)?;
            String::from_utf8(mail.message)?
        }
    };
    match &preview.output {
        Some(file) => fs::write(file, shown)
            .map_err(|error| Usage(format!("--output {}: {error}", file.display())))?,
        None => output::line(shown.trim_end()),
    }
    Ok(ExitCode::SUCCESS)
}

/// With the settings and templates of an instance: what it would refuse to start with is refused.
fn writer(preview: &Preview) -> anyhow::Result<Writer> {
    let (data, config) = (preview.data.clone(), preview.config.clone());
    let config = Place { data, config, output: output::Format::Table }.load(Vec::new())?.config;
    let site = Site::of(&config).map_err(|error| Usage(error.to_string()))?;
    let templates = config.mail.templates.as_deref();
    Ok(Writer::new(site, templates).map_err(|error| Usage(error.to_string()))?)
}

fn letter(name: &str, variant: usize) -> Result<Letter, Usage> {
    let template = Template::parse(name).ok_or_else(|| {
        let known = Template::ALL.map(Template::as_str).join(", ");
        Usage(format!("{name}: no such mail; there are {known}"))
    })?;
    let letters = samples::letters(template);
    let count = letters.len();
    let chosen = variant.checked_sub(1).and_then(|index| letters.into_iter().nth(index));
    chosen.ok_or_else(|| Usage(format!("--variant {variant}: {name} has 1 to {count}")))
}
