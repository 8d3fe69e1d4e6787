//! What people wrote, made harmless: it stays text, and stays where it is put.

/// On one line, without what would end a header or turn the reading direction of what follows.
pub(super) fn one_line(text: &str) -> String {
    let kept = text.chars().filter(|one| !is_turning(*one));
    let spaced = kept.map(|one| if is_breaking(one) { ' ' } else { one }).collect::<String>();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// With its lines, and nothing else that is not text.
pub(super) fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}'], "\n");
    let kept = text.chars().filter(|one| !is_turning(*one));
    kept.map(|one| if one.is_control() && one != '\n' { ' ' } else { one }).collect()
}

/// A mail's text: no blanks at the ends of lines, no more than one empty line, one end of line.
pub(super) fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let mut is_after_empty = true;
    for line in text.lines() {
        // "-- " begins a signature.
        let line = if line == "-- " { line } else { line.trim_end() };
        if !(line.is_empty() && is_after_empty) {
            tidied.push_str(line);
            tidied.push('\n');
        }
        is_after_empty = line.is_empty();
    }
    let end = tidied.trim_end_matches('\n').len();
    tidied.truncate(end);
    tidied.push('\n');
    tidied
}

/// Characters for controls, and those that end lines for some readers.
fn is_breaking(one: char) -> bool {
    one.is_control() || matches!(one, '\u{2028}' | '\u{2029}')
}

/// Embeddings, overrides and isolates of direction: they would reach beyond the text.
fn is_turning(one: char) -> bool {
    matches!(one, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_on_their_line_and_in_their_direction() {
        let wicked = " a\r\nBcc: eve@example.org\u{2028}b\u{202e}c\u{2067}\u{85}d\0 ";
        assert_eq!(one_line(wicked), "a Bcc: eve@example.org bc d");
        assert_eq!(lines("a\r\nb\rc\u{2028}d\u{202e}\u{7}e"), "a\nb\nc\nd e");
        assert_eq!(one_line("שלום עולם \u{200f}x"), "שלום עולם \u{200f}x");
    }

    #[test]
    fn a_text_is_tidied() {
        assert_eq!(tidy("\n\na  \n\n\n-- \nb\n\n\n"), "a\n\n-- \nb\n");
    }
}
