//! Paths of the API: names become one part each, whatever is in them.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::ManagementError;

/// Everything that is not certain to stand for itself in a path.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A path under `/api`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(String);

impl Path {
    /// Makes the path of these parts.
    ///
    /// # Errors
    ///
    /// Fails if a part is empty, `.` or `..`: RabbitMQ resolves those, encoded too, and would answer for another object.
    pub(crate) fn new(parts: &[&str]) -> Result<Self, ManagementError> {
        let mut path = String::from("/api");
        for part in parts {
            if matches!(*part, "" | "." | "..") {
                return Err(ManagementError::unaddressable(part));
            }
            path.push('/');
            path.extend(utf8_percent_encode(part, ENCODED));
        }
        Ok(Self(path))
    }

    /// Adds a query.
    pub(crate) fn query(&self, query: &str) -> Self {
        Self(format!("{}?{query}", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManagementErrorKind;

    #[track_caller]
    fn check(part: &str, expected: &str) {
        assert_eq!(Path::new(&["queues", part]).unwrap().to_string(), format!("/api/queues/{expected}"));
    }

    #[test]
    fn a_name_is_one_part_whatever_is_in_it() {
        check("orders", "orders");
        check("/", "%2F");
        check("a/b", "a%2Fb");
        check("%2f", "%252f");
        check("../x", "..%2Fx");
        check("...", "...");
        check("grün ☂", "gr%C3%BCn%20%E2%98%82");
        check("a?b#c&d=e+f", "a%3Fb%23c%26d%3De%2Bf");
        check("x.y-z_~", "x.y-z_~");
        check("\n\u{7f}", "%0A%7F");
    }

    #[test]
    fn a_name_that_a_url_cannot_hold_is_refused() {
        for name in ["", ".", ".."] {
            let error = Path::new(&["queues", name]).unwrap_err();
            assert_eq!(error.kind(), ManagementErrorKind::Unaddressable, "{name}");
        }
    }
}
