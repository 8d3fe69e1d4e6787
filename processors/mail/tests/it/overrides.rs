//! Files in the place of the built-in ones, and what is found in them before the first mail.

use std::path::Path;

use cityevents_mail::{Site, Template, Writer, samples};

use super::support::site;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn refused(files: &[(&str, &str)]) -> String {
    Writer::new(site(), Some(folder(files).path())).unwrap_err().to_string()
}

#[test]
fn a_file_takes_the_place_of_the_built_in_one() {
    let text =
        "{% extends \"layout.txt\" %}{% block content %}Come, {{ event.title }}!\n{% endblock %}";
    let folder = folder(&[("place_confirmed/body.txt", text), (".notes/x", "not looked at")]);
    let writer = Writer::new(site(), Some(folder.path())).unwrap();
    let letter = &samples::letters(Template::PlaceConfirmed)[0];
    let parts = writer.parts(letter, &samples::recipient("de")).unwrap();
    assert!(parts.text.contains("Come, Night walk along the river!"), "{}", parts.text);
    assert!(parts.text.starts_with("Guten Tag Ada,"), "{}", parts.text);
    assert!(parts.html.contains("Sie haben einen Platz"), "{}", parts.html);
}

#[test]
fn a_language_is_added_by_a_file_and_has_to_be_whole() {
    let english = include_str!("../../languages/en.toml");
    let hebrew = english
        .replace("\"ltr\"", "\"rtl\"")
        .replace("You have a place at this event.", "יש לך מקום באירוע הזה.");
    let folder_of = folder(&[("languages/he.toml", &hebrew)]);
    let writer = Writer::new(site(), Some(folder_of.path())).unwrap();
    assert_eq!(writer.languages().collect::<Vec<_>>(), ["de", "en", "he"]);
    let letter = &samples::letters(Template::PlaceConfirmed)[0];
    let parts = writer.parts(letter, &samples::recipient("he-IL")).unwrap();
    assert!(parts.text.contains("יש לך מקום"), "{}", parts.text);
    assert!(parts.html.contains("<html lang=\"he\" dir=\"rtl\">"), "{}", parts.html);
    let site = Site { language: "he".to_owned(), ..site() };
    let writer = Writer::new(site, Some(folder_of.path())).unwrap();
    assert!(writer.parts(letter, &samples::recipient("tlh")).unwrap().text.contains("יש"));

    let partial = hebrew.replace("button = ", "knob = ");
    let said = refused(&[("languages/he.toml", &partial)]);
    for problem in ["verify_address.button is missing", "verify_address.knob is no message"] {
        assert!(said.contains(&format!("languages/he.toml: {problem}")), "{said}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_told_at_start_with_its_line() {
    let content = |inner: &str| {
        format!(
            "{{% extends \"layout.txt\" %}}\n{{% block content %}}\n{inner}\n{{% endblock %}}\n"
        )
    };
    for (inner, problem) in [
        ("{{ event.titel }}", "line 3: unknown variable event.titel; there are: event,"),
        ("{% if false %}{{ reason }}{% endif %}", "line 3: unknown variable reason"),
        ("{{ say(\"removed.laed\") }}", "line 3: unknown message removed.laed"),
        ("{{ say(\"removed.until\") }}", "line 3: "),
        ("{{ say(\"removed.until\", until=event.titel) }}", "unknown variable event.titel"),
        ("{{ event.title", "syntax error"),
        ("{% if event %}", "syntax error"),
        ("{{ event.title|upper_case }}", "line 3: unknown filter"),
        ("{% include \"evnt.txt\" %}", "line 3: "),
    ] {
        let said = refused(&[("place_confirmed/body.txt", &content(inner))]);
        assert!(said.contains(problem), "{inner}: {said}");
        assert!(said.contains("place_confirmed/body.txt"), "{inner}: {said}");
        assert!(!said.contains("there is no language"), "{inner}: {said}");
    }
    let itself = "{% include \"place_confirmed/body.txt\" %}";
    assert!(refused(&[("place_confirmed/body.txt", itself)]).contains("recursion"));
    let said = refused(&[("place_confirmed/subject.txt", " \n")]);
    assert!(said.contains("place_confirmed/subject.txt: the subject is empty"), "{said}");
    let said = refused(&[("layout.html", "{{ site.adress }}")]);
    assert!(said.contains("layout.html, line 1: unknown variable site.adress"), "{said}");
}

#[test]
fn every_problem_is_told_at_once_and_each_once() {
    let said = refused(&[
        ("place_confirmed/boddy.txt", "x"),
        ("languages/xx.toml", "[language]\nname = = 1"),
        ("languages/a_b.toml", include_str!("../../languages/en.toml")),
        ("readme.md", "x"),
        ("removed/body.html", "{{ nothing }}"),
    ]);
    for problem in [
        "5 problems",
        "place_confirmed/boddy.txt: is no template",
        "languages/xx.toml, line 2: ",
        "languages/a_b.toml: the name of the file is no language",
        "readme.md: is no template",
        "removed/body.html, line 1: unknown variable nothing",
    ] {
        assert!(said.contains(problem), "{problem}: {said}");
    }
    let absent = Writer::new(site(), Some(Path::new("/nonexistent/mails"))).unwrap_err();
    assert!(absent.to_string().contains("/nonexistent/mails: cannot be read"), "{absent}");
    let unknown = Writer::new(Site { language: "xx".to_owned(), ..site() }, None).unwrap_err();
    assert!(unknown.to_string().contains("there is no language xx"), "{unknown}");
}
