//! What is searched for, and found, in a text: words, and runs of unbroken writing. Pure.
//!
//! Words are those of Unicode (UAX 29), taken apart at apostrophes and dots, and a word that is
//! asked for is found where it begins a word. Chinese, Japanese, Thai and the like are written
//! without spaces, so a *run* of their letters is found anywhere inside a run.

use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

use super::fold::fold;

/// Characters of a word that count: longer ones that begin alike are taken for the same.
pub(super) const WORD_CHARACTERS_MAX: usize = 32;

/// A part of a text, folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A word, cut to [`WORD_CHARACTERS_MAX`].
    Word(&'a str),
    /// Letters without a break.
    Run(&'a str),
}

/// The pieces of a text that is folded already.
pub(super) fn pieces(folded: &str) -> impl Iterator<Item = Piece<'_>> {
    Stretches { rest: folded }.flat_map(|(stretch, is_run)| {
        let words = (!is_run).then(|| stretch.unicode_words().flat_map(parts));
        let words = words.into_iter().flatten().map(|word| Piece::Word(cut(word)));
        words.chain(is_run.then_some(Piece::Run(stretch)))
    })
}

/// What an apostrophe, a dot or a colon joins can be asked for by itself: `l'été` by `été`.
fn parts(word: &str) -> impl Iterator<Item = &str> {
    let is_joint = |character: char| !character.is_alphanumeric() && !is_combining_mark(character);
    word.split(is_joint).filter(|part| !part.is_empty())
}

fn cut(word: &str) -> &str {
    let end = word.char_indices().nth(WORD_CHARACTERS_MAX).map_or(word.len(), |(at, _)| at);
    word.get(..end).unwrap_or(word)
}

/// A text in stretches that are runs and stretches that are not.
struct Stretches<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Stretches<'a> {
    type Item = (&'a str, bool);

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.rest.chars().next()?;
        let is_run = is_unbroken(first);
        let end = if self.rest.is_ascii() {
            self.rest.len()
        } else {
            let ends = |character: char| is_unbroken(character) != is_run;
            self.rest.find(ends).unwrap_or(self.rest.len())
        };
        let (stretch, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some((stretch, is_run))
    }
}

/// Whether a character is a letter, or a part of one, of a script that writes without spaces.
fn is_unbroken(character: char) -> bool {
    let of_such_a_script = matches!(character as u32,
        // Thai, Lao, Tibetan, Burmese, Khmer, and their neighbours.
        0x0E00..=0x0FFF
        | 0x1000..=0x109F
        | 0x1780..=0x17FF
        | 0x1950..=0x19DF
        | 0x1A20..=0x1AAF
        | 0xA9E0..=0xA9FF
        | 0xAA60..=0xAADF
        // Chinese and Japanese.
        | 0x2E80..=0x2FDF
        | 0x3005..=0x3007
        | 0x3021..=0x3029
        | 0x3031..=0x312F
        | 0x31A0..=0x31FF
        | 0x3400..=0x4DBF
        | 0x4E00..=0x9FFF
        | 0xF900..=0xFAFF
        | 0x1AFF0..=0x1B16F
        | 0x20000..=0x3FFFF);
    of_such_a_script && (character.is_alphabetic() || is_combining_mark(character))
}

/// What somebody typed, made ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// Beginnings of words.
    pub(super) words: Vec<String>,
    /// Runs.
    pub(super) runs: Vec<String>,
}

impl Wanted {
    /// The words and runs of what somebody typed, each once. Nothing in it is an instruction.
    pub(crate) fn parse(typed: &str) -> Self {
        let folded = fold(typed);
        let mut wanted = Self::default();
        for piece in pieces(&folded) {
            let (list, text) = match piece {
                Piece::Word(word) => (&mut wanted.words, word),
                Piece::Run(run) => (&mut wanted.runs, run),
            };
            if list.iter().all(|known| known != text) {
                list.push(text.to_owned());
            }
        }
        wanted
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.words.len() + self.runs.len()
    }

    /// Whether there is nothing to look for.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether each of them stands in at least one of the texts, as a search would find it there.
    pub(crate) fn is_in(&self, texts: &[&str]) -> bool {
        if self.is_empty() {
            return true;
        }
        let folded: Vec<String> = texts.iter().map(|text| fold(text)).collect();
        let all: Vec<Piece<'_>> = folded.iter().flat_map(|text| pieces(text)).collect();
        let begins = |wanted: &String| {
            all.iter().any(|piece| matches!(piece, Piece::Word(word) if word.starts_with(wanted)))
        };
        let stands = |wanted: &String| {
            all.iter().any(|piece| matches!(piece, Piece::Run(run) if run.contains(wanted)))
        };
        self.words.iter().all(begins) && self.runs.iter().all(stands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces_of(text: &str) -> Vec<String> {
        let folded = fold(text);
        let shown = pieces(&folded).map(|piece| match piece {
            Piece::Word(word) => word.to_owned(),
            Piece::Run(run) => format!("[{run}]"),
        });
        shown.collect()
    }

    #[test]
    fn a_text_falls_into_words_and_runs() {
        for (text, expected) in [
            ("Open-Air Jazz, 2027!", vec!["open", "air", "jazz", "2027"]),
            ("Rock'n'Roll, l’été", vec!["rock", "n", "roll", "l", "ete"]),
            ("東京タワー2027年", vec!["[東京タワー]", "2027", "[年]"]),
            ("Jazz在北京、上海", vec!["jazz", "[在北京]", "[上海]"]),
            ("เทศกาลดนตรี 2027", vec!["[เทศกาลดนตรี]", "2027"]),
            ("ข้าวมันไก่", vec!["[ข้าวมันไก่]"]),
            ("서울 음악 축제", vec!["서울", "음악", "축제"]),
            ("संगीत समारोह", vec!["संगीत", "समारोह"]),
            ("", vec![]),
            ("!!! 🎉 --", vec![]),
        ] {
            assert_eq!(pieces_of(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_typed_is_in_texts_as_a_search_finds_it() {
        let texts = ["Łódź Jazz-Night 音楽祭", "Straßenfest"];
        for (typed, expected) in [
            ("lodz", true),
            ("JAZ nig", true),
            ("azz", false),
            ("jazz strasse", true),
            ("楽祭", true),
            ("祭楽", false),
            ("jazz rock", false),
            (" -- !", true),
        ] {
            assert_eq!(Wanted::parse(typed).is_in(&texts), expected, "{typed}");
        }
    }

    #[test]
    fn a_long_word_is_cut_and_a_typed_word_counts_once() {
        let long = "é".repeat(100);
        assert_eq!(pieces_of(&long), ["e".repeat(WORD_CHARACTERS_MAX)]);
        let wanted = Wanted::parse("Jazz jazz JÁZZ 音楽 音楽");
        assert_eq!((wanted.words.len(), wanted.runs.len(), wanted.len()), (1, 1, 2));
        assert!(Wanted::parse(" -- !").is_empty());
    }
}
