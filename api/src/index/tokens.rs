//! The terms that documents are found by: every beginning of every word, and single letters and
//! pairs of letters of runs.
//!
//! Terms are made when an event is indexed, so that a search looks up one list for a word however
//! short it is, and never has to walk through a dictionary.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use super::fold::fold;
use super::words::{Piece, pieces};

/// Between the words, or the runs, of a text that is handed to a tokenizer. Part of neither.
const SEPARATOR: char = '\n';
/// Behind the term that is a whole word. Part of no word.
pub(super) const WHOLE: char = '\0';
/// Letters that lie between two runs, as it were: no pair reaches over them.
const GAP: usize = 8;

/// How often the pieces of a text count.
pub(super) struct Part<'a> {
    pub(super) text: &'a str,
    pub(super) weight: usize,
}

/// The words and the runs of several texts, ready for their tokenizers.
pub(super) fn prepare(parts: &[Part<'_>]) -> (String, String) {
    let (mut words, mut runs) = (String::new(), String::new());
    for part in parts {
        let folded = fold(part.text);
        for piece in pieces(&folded) {
            let (list, text) = match piece {
                Piece::Word(word) => (&mut words, word),
                Piece::Run(run) => (&mut runs, run),
            };
            for _ in 0..part.weight {
                list.push_str(text);
                list.push(SEPARATOR);
            }
        }
    }
    (words, runs)
}

/// Words → all their beginnings, and each as a whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Beginnings;

impl Tokenizer for Beginnings {
    type TokenStream<'a> = BeginningsStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> BeginningsStream<'a> {
        BeginningsStream { words: text.split(SEPARATOR), rest: None, token: Token::default() }
    }
}

/// See [`Beginnings`].
pub(super) struct BeginningsStream<'a> {
    words: std::str::Split<'a, char>,
    /// What is left of a word; `None` when its whole was told.
    rest: Option<std::str::Chars<'a>>,
    token: Token,
}

impl TokenStream for BeginningsStream<'_> {
    fn advance(&mut self) -> bool {
        loop {
            if let Some(rest) = &mut self.rest {
                match rest.next() {
                    Some(character) => self.token.text.push(character),
                    None => {
                        self.token.text.push(WHOLE);
                        self.rest = None;
                    }
                }
                self.token.position = self.token.position.wrapping_add(1);
                return true;
            }
            let Some(word) = self.words.next() else { return false };
            if !word.is_empty() {
                self.token.text.clear();
                self.rest = Some(word.chars());
            }
        }
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

/// Runs → their letters and pairs of letters, with positions.
#[derive(Debug, Clone, Default)]
pub(super) struct Pairs;

impl Tokenizer for Pairs {
    type TokenStream<'a> = PairsStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> PairsStream<'a> {
        PairsStream { rest: text, position: 0, has_told_letter: false, token: Token::default() }
    }
}

/// See [`Pairs`].
pub(super) struct PairsStream<'a> {
    rest: &'a str,
    /// Of the letter at its head.
    position: usize,
    /// Whether the letter at the head of the rest was told, and its pair is next.
    has_told_letter: bool,
    token: Token,
}

impl TokenStream for PairsStream<'_> {
    fn advance(&mut self) -> bool {
        loop {
            let mut letters = self.rest.chars();
            let Some(letter) = letters.next() else { return false };
            if letter == SEPARATOR {
                self.rest = letters.as_str();
                self.position += GAP;
                continue;
            }
            self.token.text.clear();
            self.token.text.push(letter);
            self.token.position = self.position;
            if !self.has_told_letter {
                self.has_told_letter = true;
                return true;
            }
            self.has_told_letter = false;
            self.rest = letters.as_str();
            self.position += 1;
            if let Some(next) = letters.next().filter(|next| *next != SEPARATOR) {
                self.token.text.push(next);
                return true;
            }
        }
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(tokenizer: &mut impl Tokenizer, text: &str) -> Vec<(String, usize)> {
        let mut stream = tokenizer.token_stream(text);
        let mut tokens = Vec::new();
        while stream.advance() {
            tokens.push((stream.token().text.clone(), stream.token().position));
        }
        tokens
    }

    #[test]
    fn a_word_has_all_its_beginnings_and_itself() {
        let (words, runs) = prepare(&[Part { text: "Jaz Ü", weight: 1 }]);
        assert_eq!(runs, "");
        let terms: Vec<String> =
            tokens(&mut Beginnings, &words).into_iter().map(|(term, _)| term).collect();
        assert_eq!(terms, ["j", "ja", "jaz", "jaz\0", "u", "u\0"]);
    }

    #[test]
    fn a_run_has_letters_and_pairs_in_their_places() {
        let (words, runs) =
            prepare(&[Part { text: "音楽祭 x 東", weight: 1 }, Part { text: "京", weight: 2 }]);
        assert_eq!(words, "x\n");
        let mut found = tokens(&mut Pairs, &runs);
        found.sort();
        let place = |term: &str| {
            let places = found.iter().filter(|(known, _)| known == term);
            places.map(|(_, place)| *place).collect::<Vec<_>>()
        };
        assert_eq!(place("音"), [0]);
        assert_eq!((place("音楽"), place("楽祭")), (vec![0], vec![1]));
        assert_eq!(place("京").len(), 2);
        assert!(place("祭東").is_empty() && place("京京").is_empty());
    }
}
