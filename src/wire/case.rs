//! Names and words that compare without regard to the case of ASCII letters (RFC 9110 §5.1), and names that only backends
//! take for one.

/// Whether the two are one but for the case of ASCII letters. As `eq_ignore_ascii_case`, which takes texts of less than
/// sixteen bytes byte by byte, and hardly a name is longer.
#[inline]
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && is_same_of_length(one, other)
}

fn is_same_of_length(one: &[u8], other: &[u8]) -> bool {
    if let (Some(end), Some(other_end)) = (one.last_chunk(), other.last_chunk()) {
        // What these have in common with the whole words is looked at twice.
        let mut words = one.as_chunks().0.iter().zip(other.as_chunks().0);
        return are_same_eight(u64::from_ne_bytes(*end), u64::from_ne_bytes(*other_end))
            && words.all(|(word, other)| are_same_eight(u64::from_ne_bytes(*word), u64::from_ne_bytes(*other)));
    }
    match (both_ends(one), both_ends(other)) {
        (Some(ends), Some(other_ends)) => are_same_eight(ends, other_ends),
        _ => one.eq_ignore_ascii_case(other),
    }
}

/// Whether some backends take the two names for one: those that make variables of fields (RFC 3875 §4.1.18) write `_` for
/// `-`, and some do for everything that is no letter or digit.
pub fn is_same_word(one: &[u8], other: &[u8]) -> bool {
    let plain = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    one.len() == other.len() && one.iter().map(plain).eq(other.iter().map(plain))
}

/// Whether `name` is not the name `known`, but some backends take it for that.
pub fn is_twin(name: &[u8], known: &[u8]) -> bool {
    is_same_word(known, name) && is_odd(name)
}

/// Whether a name holds what such backends change: a `-` they change too, but that all names do which they know.
pub fn is_odd(name: &[u8]) -> bool {
    !name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The first four bytes and the last four, of which some are the same ones in a text of less than eight.
fn both_ends(text: &[u8]) -> Option<u64> {
    let word = |chunk: &[u8; 4]| u64::from(u32::from_ne_bytes(*chunk));
    Some(word(text.first_chunk()?) << 32 | word(text.last_chunk()?))
}

/// The same of eight bytes at once.
fn are_same_eight(one: u64, other: u64) -> bool {
    let differences = one ^ other;
    // The cases of a letter differ by this bit; nothing is carried from one byte to the next below.
    differences & !repeated(CASE) == 0 && (differences << 2) & !letters(one | repeated(CASE)) == 0
}

/// The highest bit of each byte that is a small letter, where all have the bit of small ones.
fn letters(bytes: u64) -> u64 {
    let (high, low) = (bytes & repeated(HIGH), bytes & !repeated(HIGH));
    let from_a = low + repeated(HIGH - b'a');
    let beyond_z = low + repeated(HIGH - 1 - b'z');
    from_a & !beyond_z & !high & repeated(HIGH)
}

const fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The bit that a small letter has and a large one has not.
pub(super) const CASE: u8 = b'a' ^ b'A';
const HIGH: u8 = 0x80;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_with_other_punctuation_is_the_same_word() {
        for twin in ["x-user", "X_User", "x.USER", "x~user", "x|user"] {
            assert!(is_same_word(b"X-User", twin.as_bytes()), "{twin}");
            assert_eq!(is_odd(twin.as_bytes()), twin != "x-user", "{twin}");
        }
        for other in ["x-users", "xxuser", "x-us-r", "y-user"] {
            assert!(!is_same_word(b"X-User", other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn every_pair_of_bytes_at_every_place_is_judged_as_the_standard_library_does() {
        for length in [3, 5, 8, 11] {
            for place in 0..length {
                for (byte, other) in (0..=255).flat_map(|byte| (0..=255).map(move |other| (byte, other))) {
                    let (mut one, mut two) = (vec![b'k'; length], vec![b'K'; length]);
                    (one[place], two[place]) = (byte, other);
                    assert_eq!(is_same(&one, &two), one.eq_ignore_ascii_case(&two), "{one:?} {two:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_two_texts_are_judged_as_the_standard_library_does(one: Vec<u8>, other: Vec<u8>, flips: Vec<bool>) {
            prop_assert_eq!(is_same(&one, &other), one.eq_ignore_ascii_case(&other));
            let flipped: Vec<u8> = one.iter().zip(flips.iter().chain(std::iter::repeat(&false)))
                .map(|(byte, flip)| if *flip { byte ^ CASE } else { *byte }).collect();
            prop_assert_eq!(is_same(&one, &flipped), one.eq_ignore_ascii_case(&flipped));
        }
    }
}
