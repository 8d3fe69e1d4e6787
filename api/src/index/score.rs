//! How well an event fits what was typed: BM25 over statistics that a walk keeps. Pure.
//!
//! The statistics of an index move with every change, and with them every score; a list that went
//! on by scores of another moment would skip events and show others twice. So the first page takes
//! the statistics as they are, and the cursor carries what came of them ([`Weights`]): the score of
//! an event that does not change is the same on every page, after merges, restarts and on other
//! instances. Sums are made in the order of the words, so that they round alike.

use super::words::Wanted;

/// How soon more of a word stops to count.
const K1: f32 = 1.2;
/// How much long texts are marked down.
const B: f32 = 0.75;
/// What a whole word counts beside its beginning.
const WHOLE_WORD: f32 = 0.5;
/// Scores are whole numbers: so many are one point.
const UNITS: f32 = 4_096.0;
/// Classes of lengths that the index tells apart.
const LENGTH_CLASSES: usize = 256;

/// How often a word stands in a text at most, that what it counts is worked out beforehand.
const TIMES_KNOWN: u32 = 8;

/// What a search is scored with.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Weights {
    /// How long the texts are on average, in words and in runs.
    pub(super) average: [f32; 2],
    /// What each word counts, the rare ones more.
    pub(super) words: Vec<f32>,
    /// What each run counts.
    pub(super) runs: Vec<f32>,
}

impl Weights {
    /// Whether there is one for each of what is wanted.
    pub(super) fn are_of(&self, wanted: &Wanted) -> bool {
        self.words.len() == wanted.words.len() && self.runs.len() == wanted.runs.len()
    }

    /// As bytes of a cursor.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let counts = [self.words.len(), self.runs.len()];
        let mut bytes: Vec<u8> = counts.map(|count| u8::try_from(count).unwrap_or(u8::MAX)).into();
        for number in self.average.iter().chain(&self.words).chain(&self.runs) {
            bytes.extend_from_slice(&number.to_bits().to_be_bytes());
        }
        bytes
    }

    /// From the bytes of a cursor.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([words, runs], rest) = bytes.split_first_chunk::<2>()?;
        let (words, runs) = (usize::from(*words), usize::from(*runs));
        let (numbers, left) = rest.as_chunks::<4>();
        let number = |bytes: &[u8; 4]| f32::from_bits(u32::from_be_bytes(*bytes));
        let numbers: Vec<f32> = numbers.iter().map(number).collect();
        let is_whole = left.is_empty() && numbers.len() == 2 + words + runs;
        if !is_whole || numbers.iter().any(|number| !number.is_finite()) {
            return None;
        }
        let (average, numbers) = numbers.split_first_chunk::<2>()?;
        let (words, runs) = numbers.split_at_checked(words)?;
        Some(Self { average: *average, words: words.to_vec(), runs: runs.to_vec() })
    }
}

/// What a word counts that so many of all texts have.
pub(super) fn rarity(texts: u64, with_it: u64) -> f32 {
    let (texts, with_it) = (texts.max(with_it) as f64, with_it as f64);
    (1.0 + (texts - with_it + 0.5) / (with_it + 0.5)).ln() as f32
}

/// How much the length of a text marks it down, by class of length.
pub(super) struct Lengths([f32; LENGTH_CLASSES]);

impl Lengths {
    /// Against an average. `length_of` says what a class stands for.
    pub(super) fn new(average: f32, length_of: impl Fn(u8) -> u32) -> Self {
        let average = average.max(1.0);
        Self(std::array::from_fn(|class| {
            let length = length_of(u8::try_from(class).unwrap_or(u8::MAX)) as f32;
            K1 * (1.0 - B + B * length / average)
        }))
    }

    /// What a word counts that a text of this class has so many times.
    pub(super) fn count(&self, weight: f32, times: u32, class: u8) -> f32 {
        if times == 0 {
            return 0.0;
        }
        let times = times as f32;
        weight * (times * (K1 + 1.0)) / (times + self.0[usize::from(class)])
    }
}

/// What one word counts, worked out for all lengths where a text has it a few times: a search asks
/// for each text that it finds.
pub(super) struct Counts<'a> {
    lengths: &'a Lengths,
    weight: f32,
    known: Vec<[f32; LENGTH_CLASSES]>,
}

impl<'a> Counts<'a> {
    pub(super) fn new(lengths: &'a Lengths, weight: f32) -> Self {
        let all = |times| {
            std::array::from_fn(|class| {
                lengths.count(weight, times, u8::try_from(class).unwrap_or(u8::MAX))
            })
        };
        Self { lengths, weight, known: (1..=TIMES_KNOWN).map(all).collect() }
    }

    /// Of a whole word, what that counts besides.
    pub(super) fn of_whole(lengths: &'a Lengths, weight: f32) -> Self {
        Self::new(lengths, weight * WHOLE_WORD)
    }

    /// What it counts in a text of this class that has it so many times.
    pub(super) fn of(&self, times: u32, class: u8) -> f32 {
        match self.known.get(times.wrapping_sub(1) as usize) {
            Some(known) => known[usize::from(class)],
            None => self.lengths.count(self.weight, times, class),
        }
    }
}

/// A sum as a score.
pub(super) fn score(sum: f32) -> u32 {
    // Saturates, and what is no number becomes 0.
    (sum * UNITS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_survive_a_cursor_and_damage_is_seen() {
        let weights = Weights { average: [7.5, 1.0], words: vec![0.25, 3.0], runs: vec![1.5] };
        let bytes = weights.to_bytes();
        assert_eq!(Weights::from_bytes(&bytes), Some(weights));
        for end in 0..bytes.len() {
            assert_eq!(Weights::from_bytes(&bytes[..end]), None, "{end}");
        }
        let nan = Weights { average: [f32::NAN, 1.0], ..Weights::default() };
        assert_eq!(Weights::from_bytes(&nan.to_bytes()), None);
    }

    #[test]
    fn rare_words_often_in_short_texts_count_most() {
        assert!(rarity(1_000, 1) > rarity(1_000, 500));
        assert!(rarity(1_000, 1_000) > 0.0);
        let lengths = Lengths::new(50.0, u32::from);
        assert!(lengths.count(1.0, 2, 50) > lengths.count(1.0, 1, 50));
        assert!(lengths.count(1.0, 1, 10) > lengths.count(1.0, 1, 200));
        assert_eq!(score(lengths.count(1.0, 0, 10)), 0);
        let counts = Counts::new(&lengths, 0.3);
        for (times, class) in [(0, 7), (1, 0), (3, 90), (8, 255), (9, 255), (u32::MAX, 4)] {
            assert_eq!(counts.of(times, class), lengths.count(0.3, times, class), "{times}");
        }
        assert_eq!((score(f32::NAN), score(f32::INFINITY)), (0, u32::MAX));
    }
}
