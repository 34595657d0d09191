//! Filters in WebAssembly's text format.

use std::borrow::Cow;

use crate::check::damage;
use crate::error::Problem;

/// The module, where the bytes are text that looks like WebAssembly's; other bytes as they are.
///
/// # Errors
/// [`Problem::Text`] with the line and what is wrong there; [`Problem::Invalid`] of a component that was cut off.
pub fn assemble(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Problem> {
    if bytes.starts_with(b"\0asm") || !looks_like_text(bytes) {
        return damage(bytes).map_or(Ok(Cow::Borrowed(bytes)), Err);
    }
    wat::parse_bytes(bytes).map_err(|error| Problem::Text { message: error.to_string().replace("<anon>:", "") })
}

/// Whether the first thing after blanks and comments is an opening parenthesis.
fn looks_like_text(bytes: &[u8]) -> bool {
    let Ok(mut text) = std::str::from_utf8(bytes) else { return false };
    loop {
        text = text.trim_start();
        if let Some(comment) = text.strip_prefix(";;") {
            text = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(comment) = text.strip_prefix("(;") {
            text = comment.split_once(";)").map_or("", |(_, rest)| rest);
        } else {
            return text.starts_with('(');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_assembled_and_the_rest_is_not() {
        assert_eq!(assemble(b";; a\n (; b ;) (module)").unwrap().as_ref(), b"\0asm\x01\0\0\0");
        for other in [b"\0asm".as_slice(), b"hello", b"\xff(module)", b"", b";;"] {
            assert!(matches!(assemble(other), Ok(Cow::Borrowed(bytes)) if bytes == other));
        }
        let Err(Problem::Text { message }) = assemble(b"(module\n (oops))") else { panic!("no error") };
        assert!(message.contains("2:3"), "{message}");
    }
}
