//! Names of headers, eight bytes at a time: heads are full of them, and byte by byte they would take most of the time that a
//! head does.

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// Makes ASCII letters lower-case.
pub(crate) fn make_lowercase(name: &mut [u8]) {
    let Some(last) = name.len().checked_sub(WORD) else {
        name.make_ascii_lowercase();
        return;
    };
    let mut at = 0;
    while at < last {
        make_word_lowercase(name, at);
        at += WORD;
    }
    // Perhaps a part of it again.
    make_word_lowercase(name, last);
}

fn make_word_lowercase(name: &mut [u8], at: usize) {
    if let Some(bytes) = name[at..].first_chunk_mut() {
        *bytes = lowercase(u64::from_ne_bytes(*bytes)).to_ne_bytes();
    }
}

/// Whether it is this name, in any case.
pub(crate) fn is(name: &[u8], other: &str) -> bool {
    name.len() == other.len() && are_same(name, other.as_bytes())
}

/// Whether two names of one length differ in nothing but the case of ASCII letters.
pub(crate) fn are_same(name: &[u8], other: &[u8]) -> bool {
    let Some(last) = name.len().checked_sub(WORD) else { return are_alike(short(name), short(other)) };
    let is_same = |at: usize| match (name[at..].first_chunk(), other[at..].first_chunk()) {
        (Some(bytes), Some(others)) => are_alike(u64::from_ne_bytes(*bytes), u64::from_ne_bytes(*others)),
        _ => false,
    };
    let mut at = 0;
    while at < last {
        if !is_same(at) {
            return false;
        }
        at += WORD;
    }
    is_same(last)
}

fn are_alike(word: u64, other: u64) -> bool {
    word == other || lowercase(word) == lowercase(other)
}

/// What is shorter than a word, as a word: some of its bytes perhaps twice.
fn short(name: &[u8]) -> u64 {
    match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) => u64::from(u32::from_ne_bytes(*first)) << 32 | u64::from(u32::from_ne_bytes(*last)),
        _ => name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The word with its ASCII letters in lower case.
fn lowercase(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES * 0x80;
    // No sum of a byte without its highest bit goes over into the next one. That bit tells then whether it is `A` or more, and
    // whether it is more than `Z`.
    let low = word & !HIGH;
    let from_a = low + ONES * (0x80 - b'A' as u64);
    let past_z = low + ONES * (0x80 - b'Z' as u64 - 1);
    let is_upper = from_a & !past_z & !word & HIGH;
    // 0x80 becomes 0x20, which is what the cases differ in.
    word | is_upper >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_as_bytes() {
        for byte in 0..=u8::MAX {
            for len in 0..20 {
                for at in 0..len {
                    let mut name = vec![b'-'; len];
                    name[at] = byte;
                    let mut lower = name.clone();
                    make_lowercase(&mut lower);
                    assert_eq!(lower, name.to_ascii_lowercase());
                    assert!(are_same(&lower, &name) && are_same(&name, &lower));
                    lower[at] ^= 1;
                    assert_eq!(are_same(&lower, &name), lower.eq_ignore_ascii_case(&name), "{byte}");
                }
            }
        }
        assert!(!are_same(b"x-header-1-a", b"x-header-2-a"));
    }
}
