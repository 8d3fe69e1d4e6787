//! How texts are made alike before they are compared, at indexing and at asking. Pure.
//!
//! Compatibility forms (half and full width, ligatures), case, and the marks of Latin, Greek,
//! Cyrillic, Hebrew and Arabic letters do not count: who types without them finds what is written
//! with them, and the other way round. Marks that make another letter stay: vowel signs of Indic
//! scripts, tone marks of Thai, the voicing of Japanese.

use unicode_normalization::UnicodeNormalization;

/// A text in which only what tells words apart is left.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower = text.nfkc().flat_map(char::to_lowercase);
    let bare = lower.nfd().filter(|character| !is_dropped(*character));
    let mut folded = String::with_capacity(text.len());
    for character in bare.nfc() {
        match spelled(character) {
            Some(letters) => folded.push_str(letters),
            None => folded.push(character),
        }
    }
    folded
}

/// Marks that writers leave out, and characters that nobody sees.
const fn is_dropped(character: char) -> bool {
    matches!(character as u32,
        0x00AD | 0x200B..=0x200F | 0x2060 | 0xFEFF
        // Accents of Latin, Greek and Cyrillic.
        | 0x0300..=0x036F | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20F0 | 0xFE20..=0xFE2F
        // Hebrew points and accents.
        | 0x0591..=0x05BD | 0x05BF | 0x05C1..=0x05C2 | 0x05C4..=0x05C5 | 0x05C7
        // Arabic vowels and signs, and the stroke that only makes words longer.
        | 0x0610..=0x061A | 0x0640 | 0x064B..=0x065F | 0x0670
        | 0x06D6..=0x06DC | 0x06DF..=0x06E4 | 0x06E7..=0x06E8 | 0x06EA..=0x06ED
        // The dot below of Indic letters.
        | 0x093C | 0x09BC | 0x0A3C | 0x0ABC | 0x0B3C | 0x0CBC)
}

/// Letters that no decomposition takes apart, as people type them without the key.
const fn spelled(character: char) -> Option<&'static str> {
    Some(match character {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ı' => "i",
        'ł' => "l",
        'þ' => "th",
        'ŧ' => "t",
        'ς' => "σ",
        'ٱ' => "ا",
        'ى' | 'ی' => "ي",
        'ة' => "ه",
        'ک' => "ك",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_writers_leave_out_does_not_count() {
        for (one, other) in [
            ("Jazz", "jAZZ"),
            ("São Paulo", "SAO PAULO"),
            ("Łódź", "lodz"),
            ("Tromsø", "tromso"),
            ("STRASSE", "straße"),
            ("Ægir", "aegir"),
            ("İstanbul", "istanbul"),
            ("Đà Nẵng", "da nang"),
            ("Αθήνα", "ΑΘΗΝΑ"),
            ("ΟΔΟΣ", "οδος"),
            ("ёлка", "ЕЛКА"),
            ("שָׁלוֹם", "שלום"),
            ("مُوسِيقَى", "موسيقي"),
            ("أحمد", "احمد"),
            ("ﬁlm", "film"),
            ("Ｔｏｋｙｏ", "tokyo"),
            ("ｶﾗｵｹ", "カラオケ"),
            ("한글", "한글"),
            ("co\u{ad}operate", "cooperate"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} and {other}");
        }
    }

    #[test]
    fn marks_that_make_another_letter_stay() {
        for (one, other) in [("か", "が"), ("कि", "कु"), ("ข้าว", "ขาว"), ("ハ", "パ"), ("a", "e")]
        {
            assert_ne!(fold(one), fold(other), "{one} and {other}");
        }
    }

    #[test]
    fn folding_twice_changes_nothing_more() {
        for text in ["Łódź ΟΔΟΣ Straße", "東京ﾀﾜｰ", "مُوسِيقَى", "संगीत समारोह", "한국어", "ǅ ǆ"]
        {
            let once = fold(text);
            assert_eq!(fold(&once), once, "{text}");
        }
    }
}
