//! What failures of one kind have in common.

use crate::MessageType;

/// Returns what failures of one kind have in common: 16 hexadecimal digits that are the same in every process and version.
///
/// Two failures have the same fingerprint if message type, error kind and error message are the same, but for what varies from message to
/// message: words with a digit (numbers, ids, addresses, times) and text in double quotes.
///
/// It is for grouping, not for security: 64 bits of FNV-1a.
///
/// # Examples
///
/// ```
/// use garenne_shared::fingerprint;
///
/// let first = fingerprint(None, "handler", "order 17 is locked by \"alice\"");
/// assert_eq!(first, fingerprint(None, "handler", "order 4711 is locked by \"bob\""));
/// assert_ne!(first, fingerprint(None, "handler", "order 17 is paid"));
/// ```
#[must_use]
pub fn fingerprint(message_type: Option<&MessageType>, error_kind: &str, error_message: &str) -> String {
    let message_type = message_type.map_or("", MessageType::as_str);
    let normalised = normalise(error_message);
    let parts = [message_type, error_kind, &normalised];
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Puts `#` for each word with a digit, and `""` for each text in double quotes.
fn normalise(text: &str) -> String {
    let mut normalised = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => match rest[1..].find('"') {
                Some(end) => {
                    normalised.push_str("\"\"");
                    end + 2
                }
                None => {
                    normalised.push(first);
                    1
                }
            },
            _ if is_of_word(first) => {
                let end = rest.find(|next| !is_of_word(next)).unwrap_or(rest.len());
                let word = &rest[..end];
                normalised.push_str(if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word });
                end
            }
            _ => {
                normalised.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    normalised
}

/// Ids, addresses and times are words with these in them.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(normalise(text), expected);
    }

    #[test]
    fn what_varies_from_message_to_message_is_left_out() {
        check("order 17 of 2026-12-01T08:00:01.5 failed", "order # of # failed");
        check("cannot reach 10.0.0.7:5432", "cannot reach #");
        check("no row for 8f14e45f-ceea-467f-a9d8-2b1c", "no row for #");
        check("invalid type: string \"a b\", expected u32", "invalid type: string \"\", expected #");
        check("missing field `cents` at line 1 column 9", "missing field `cents` at line # column #");
        check("one \" alone, naïve café", "one \" alone, naïve café");
        check("", "");
    }

    #[test]
    fn a_fingerprint_never_changes() {
        let message_type = MessageType::from_static("order.v1");
        assert_eq!(fingerprint(Some(&message_type), "handler", "no"), "24f5db441a76d893");
        assert_eq!(fingerprint(None, "", ""), "d94d12186c0f2fb7");
    }

    proptest! {
        #[test]
        fn any_text_has_one_and_normalising_twice_changes_nothing(text in "\\PC*", number in any::<u64>()) {
            let once = normalise(&text);
            prop_assert_eq!(&normalise(&once), &once);
            let other = number.wrapping_add(1);
            prop_assert_eq!(
                fingerprint(None, "handler", &format!("{text} {number}")),
                fingerprint(None, "handler", &format!("{text} {other}"))
            );
        }
    }
}
