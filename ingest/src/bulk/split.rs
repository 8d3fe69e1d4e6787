//! Cuts a stream of bytes into the lines of an upload: newline-delimited JSON, or one JSON array.
//!
//! Which of both it is shows in the first byte that is no space. Memory is bounded: a line beyond
//! the limit is skipped to its end and reported in its place.

/// One line as it came, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut<'a> {
    /// The bytes of one value.
    Line(&'a [u8]),
    /// A line beyond the limit, skipped.
    TooLong,
}

/// The array is not one: nothing after this can be made sense of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SplitError {
    /// Something stands between two items that is no comma, or a comma is missing or too many.
    Separator,
    /// There is something after the end of the array.
    Trailing,
    /// The upload ends inside the array.
    Unfinished,
}

impl SplitError {
    pub(super) const fn rule(self) -> &'static str {
        match self {
            Self::Separator => "the array's items must be objects with one comma between them",
            Self::Trailing => "there is something after the end of the array",
            Self::Unfinished => "the array does not end",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing but spaces so far.
    Undecided,
    Lines,
    /// In an array, before an item; whether one must come (after a comma).
    Before {
        needed: bool,
    },
    /// In an item: braces and brackets that are open, and whether a text is.
    Item {
        depth: u32,
        text: Text,
    },
    /// In an array, behind an item.
    Behind,
    /// Behind the array.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    Escaped,
}

/// Takes bytes as they come and gives lines.
#[derive(Debug)]
pub(super) struct Splitter {
    mode: Mode,
    partial: Vec<u8>,
    is_too_long: bool,
    line_bytes_max: usize,
}

impl Splitter {
    pub(super) const fn new(line_bytes_max: usize) -> Self {
        Self { mode: Mode::Undecided, partial: Vec::new(), is_too_long: false, line_bytes_max }
    }

    /// Cuts what has come.
    pub(super) fn push(
        &mut self,
        mut data: &[u8],
        mut sink: impl FnMut(Cut<'_>),
    ) -> Result<(), SplitError> {
        if self.mode == Mode::Undecided {
            let Some(at) = data.iter().position(|byte| !byte.is_ascii_whitespace()) else {
                return Ok(());
            };
            let is_array = data[at] == b'[';
            self.mode = if is_array { Mode::Before { needed: false } } else { Mode::Lines };
            data = &data[at + usize::from(is_array)..];
        }
        if self.mode == Mode::Lines {
            self.push_lines(data, &mut sink);
            return Ok(());
        }
        self.push_array(data, &mut sink)
    }

    /// Everything has come.
    pub(super) fn finish(mut self, mut sink: impl FnMut(Cut<'_>)) -> Result<(), SplitError> {
        match self.mode {
            Mode::Undecided | Mode::Done => Ok(()),
            Mode::Lines => {
                self.end_line(&[], &mut sink);
                Ok(())
            }
            Mode::Before { .. } | Mode::Item { .. } | Mode::Behind => Err(SplitError::Unfinished),
        }
    }

    fn push_lines(&mut self, mut data: &[u8], sink: &mut impl FnMut(Cut<'_>)) {
        while let Some(at) = data.iter().position(|byte| *byte == b'\n') {
            self.end_line(&data[..at], sink);
            data = &data[at + 1..];
        }
        self.keep(data);
    }

    fn push_array(
        &mut self,
        data: &[u8],
        sink: &mut impl FnMut(Cut<'_>),
    ) -> Result<(), SplitError> {
        let mut item_began = 0;
        for (at, byte) in data.iter().copied().enumerate() {
            self.mode = match self.mode {
                Mode::Item { depth, text } => match step(depth, text, byte) {
                    Some((0, Text::Outside)) => {
                        self.end_line(&data[item_began..=at], sink);
                        Mode::Behind
                    }
                    Some((depth, text)) => Mode::Item { depth, text },
                    None => return Err(SplitError::Separator),
                },
                mode if byte.is_ascii_whitespace() => mode,
                Mode::Before { .. } if byte == b'{' => {
                    item_began = at;
                    Mode::Item { depth: 1, text: Text::Outside }
                }
                Mode::Before { needed: false } | Mode::Behind if byte == b']' => Mode::Done,
                Mode::Behind if byte == b',' => Mode::Before { needed: true },
                Mode::Done => return Err(SplitError::Trailing),
                _ => return Err(SplitError::Separator),
            };
        }
        if let Mode::Item { .. } = self.mode {
            self.keep(&data[item_began..]);
        }
        Ok(())
    }

    /// Keeps the beginning of a line.
    fn keep(&mut self, data: &[u8]) {
        if self.is_too_long || self.partial.len() + data.len() > self.line_bytes_max {
            self.is_too_long = true;
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(data);
        }
    }

    /// Gives the line that ends with `rest`. A blank one is none.
    fn end_line(&mut self, rest: &[u8], sink: &mut impl FnMut(Cut<'_>)) {
        if self.partial.is_empty() && !self.is_too_long && rest.len() <= self.line_bytes_max {
            give(rest, sink);
            return;
        }
        self.keep(rest);
        if self.is_too_long {
            sink(Cut::TooLong);
        } else {
            give(&self.partial, sink);
        }
        self.partial.clear();
        self.is_too_long = false;
    }
}

fn give(line: &[u8], sink: &mut impl FnMut(Cut<'_>)) {
    let line = line.trim_ascii();
    if !line.is_empty() {
        sink(Cut::Line(line));
    }
}

/// Whether braces and texts are open after a byte. Which bracket closes which is the parser's
/// business. `None` when more are closed than were open.
fn step(depth: u32, text: Text, byte: u8) -> Option<(u32, Text)> {
    match (text, byte) {
        (Text::Escaped, _) => Some((depth, Text::Inside)),
        (Text::Inside, b'\\') => Some((depth, Text::Escaped)),
        (Text::Inside, b'"') => Some((depth, Text::Outside)),
        (Text::Inside, _) => Some((depth, Text::Inside)),
        (Text::Outside, b'"') => Some((depth, Text::Inside)),
        (Text::Outside, b'{' | b'[') => Some((depth.saturating_add(1), text)),
        (Text::Outside, b'}' | b']') => Some((depth.checked_sub(1)?, text)),
        (Text::Outside, _) => Some((depth, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts `data` in pieces of `piece` bytes.
    fn split(data: &str, piece: usize) -> (Vec<String>, Option<SplitError>) {
        let mut splitter = Splitter::new(20);
        let mut lines = Vec::new();
        let mut sink = |cut: Cut<'_>| match cut {
            Cut::Line(line) => lines.push(String::from_utf8_lossy(line).into_owned()),
            Cut::TooLong => lines.push("TOO LONG".to_owned()),
        };
        for piece in data.as_bytes().chunks(piece) {
            if let Err(error) = splitter.push(piece, &mut sink) {
                return (lines, Some(error));
            }
        }
        let error = splitter.finish(&mut sink).err();
        (lines, error)
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let data = "\n  {\"a\":1}\r\n\n{\"b\":2}\nxxxxxxxxxxxxxxxxxxxxxxxxx\n{\"c\":3}";
        for piece in 1..=data.len() {
            let (lines, error) = split(data, piece);
            assert_eq!(lines, ["{\"a\":1}", "{\"b\":2}", "TOO LONG", "{\"c\":3}"], "{piece}");
            assert_eq!(error, None);
        }
    }

    #[test]
    fn items_are_the_same_however_they_arrive() {
        let data = r#" [ {"a":"]}\","} ,{"b":[{}]},{"long":"xxxxxxxxxxxxxxxxx"}, {} ]  "#;
        for piece in 1..=data.len() {
            let (lines, error) = split(data, piece);
            assert_eq!(lines, [r#"{"a":"]}\","}"#, r#"{"b":[{}]}"#, "TOO LONG", "{}"], "{piece}");
            assert_eq!(error, None);
        }
        assert_eq!(split("[]", 1), (Vec::new(), None));
        assert_eq!(split("  ", 1), (Vec::new(), None));
    }

    #[test]
    fn what_is_no_array_is_said_to_be_none() {
        for (data, expected) in [
            ("[{} {}]", SplitError::Separator),
            ("[,{}]", SplitError::Separator),
            ("[{},]", SplitError::Separator),
            ("[1]", SplitError::Separator),
            ("[{}]x", SplitError::Trailing),
            ("[{}", SplitError::Unfinished),
            ("[", SplitError::Unfinished),
            ("[{\"a", SplitError::Unfinished),
        ] {
            for piece in [1, 100] {
                assert_eq!(split(data, piece).1, Some(expected), "{data}");
            }
        }
    }
}
