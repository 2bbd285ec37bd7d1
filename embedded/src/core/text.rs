//! Bytes of peers as text.

use std::borrow::Cow;

use super::Key;

/// Returns bytes as they are shown to people: what is not UTF-8 as `\xff`.
pub(crate) fn shown(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.into();
    }
    let mut shown = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        shown.push_str(chunk.valid());
        shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    shown.into()
}

/// Returns bytes as Erlang's `~ts` prints them in an error text: those that are not UTF-8 are taken for Latin-1.
pub(crate) fn printed(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => latin1(bytes).into(),
    }
}

/// Takes every byte for a character.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Returns a key that is text.
pub(crate) fn key(text: &str) -> Key {
    text.as_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_bytes_are_shown_and_printed() {
        assert_eq!(shown("é".as_bytes()), "é");
        assert_eq!(shown(b"a\xff\xe9b"), "a\\xff\\xe9b");
        assert_eq!(printed("é".as_bytes()), "é");
        assert_eq!(printed("é\u{0}".as_bytes()), "é\u{0}");
        assert_eq!(printed(b"\xff\xe9"), "ÿé");
    }
}
