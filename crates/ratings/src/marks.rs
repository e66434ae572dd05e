//! Marks on letters: which of them people leave out when they type.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// The letters and marks of a text, taken apart, without the marks that people leave
/// out. `é` becomes `e`, but `ガ` keeps its mark: without it, it is another letter.
pub(crate) fn without_accents(text: &str) -> impl Iterator<Item = char> {
    let mut base = ' ';
    text.nfkd().filter(move |&c| {
        if is_combining_mark(c) {
            return !is_left_out(base, c);
        }
        base = c;
        true
    })
}

/// A text in which every letter has lost every mark: what is alike in it may be
/// another word, so it only serves to find what is near.
pub(crate) fn without_marks(text: &str) -> Cow<'_, str> {
    match text.is_ascii() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.nfkd().filter(|&c| !is_combining_mark(c)).collect()),
    }
}

/// Whether people leave the mark out over this letter, in the scripts that are known
/// here. In all others a mark is a vowel, a tone or a consonant, and stays.
fn is_left_out(base: char, mark: char) -> bool {
    match (base, mark) {
        // They choose between shapes of one character.
        (_, '\u{34f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}') => true,
        // Cyrillic: stress, and the dots of Ё. Й, Ї, Ў, Ѓ and Ќ are letters.
        ('г' | 'Г' | 'к' | 'К', _) => false,
        ('\u{400}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}' | '\u{a640}'..='\u{a69f}', _) => {
            matches!(mark, '\u{300}' | '\u{301}')
                || (matches!(base, 'е' | 'Е') && mark == '\u{308}')
        }
        // Arabic: the short vowels. Hamza and madda are part of their letter.
        ('\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{8a0}'..='\u{8ff}', _) => {
            matches!(mark, '\u{64b}'..='\u{652}' | '\u{670}')
        }
        // Latin, Greek, Hebrew: all.
        ('\u{0}'..='\u{5ff}' | '\u{1d00}'..='\u{1dbf}' | '\u{1e00}'..='\u{1fff}', _) => true,
        ('\u{2c60}'..='\u{2c7f}' | '\u{a720}'..='\u{a7ff}' | '\u{ab30}'..='\u{ab6f}', _) => true,
        // On a sign there is nothing to tell apart.
        _ => !base.is_alphabetic(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marks_that_people_leave_out_are_dropped() {
        let check = |text: &str, expected: &str| {
            let found: String = without_accents(text).collect();
            assert!(found.nfc().eq(expected.nfc()), "{text}: {found}");
        };
        for (text, expected) in [
            ("Amélie Ö Łódź ệ Å ñ", "Amelie O Łodz e A n"),
            ("Ἀθήνα Ϊ", "Αθηνα Ι"),
            ("за́мок Ёлки", "замок Елки"),
            ("мой Її Ў Ѓ Ќ", "мой Її Ў Ѓ Ќ"),
            ("שָׁלוֹם", "שלום"),
            ("مُحَمَّد", "محمد"),
            ("آأؤئ", "آأؤئ"),
            ("ガメラ パ ﾊﾞ", "ガメラ パ バ"),
            ("दिल क्या बड़ा", "दिल क्या बड़ा"),
            ("ปี่", "ปี่"),
            ("தமிழ்", "தமிழ்"),
            ("한글", "한글"),
            ("❤\u{fe0f} 葛\u{e0100} 1\u{20e3}", "❤ 葛 1"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn every_mark_is_dropped_for_what_is_near() {
        for (text, expected) in [("toy", "toy"), ("ガメラ", "カメラ"), ("ปี่", "ป"), ("é", "e")]
        {
            assert_eq!(without_marks(text), expected);
        }
    }
}
