//! An error with its causes in one line.

use std::{error::Error, fmt};

/// Shows an error with its causes, outermost first: `cannot read orders; caused by: permission denied`.
///
/// For logs and for what a program prints. The errors of Garenne print so under `Debug` too, because that is what a `main` that
/// returns a `Result` shows.
///
/// # Examples
///
/// ```
/// use garenne_shared::{Chain, Codecs};
///
/// let error = Codecs::json().decode::<u32>(Some("application/json"), b"1,").unwrap_err();
/// assert!(Chain(&error).to_string().contains("to the message type; caused by: trailing characters"));
/// assert_eq!(format!("{error:?}"), Chain(&error).to_string());
/// ```
#[derive(Clone, Copy)]
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

// === impl Chain ===

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Some libraries repeat the cause in the message.
            if !said.ends_with(&text) {
                write!(f, "; caused by: {text}")?;
                said = text;
            }
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Link(&'static str, #[source] Option<Box<Link>>);

    fn link(text: &'static str, cause: Option<Link>) -> Link {
        Link(text, cause.map(Box::new))
    }

    #[test]
    fn every_cause_is_shown_once_outermost_first() {
        let error = link("cannot connect", Some(link("no route", Some(link("unplugged", None)))));
        assert_eq!(Chain(&error).to_string(), "cannot connect; caused by: no route; caused by: unplugged");
        let error = link("cannot connect: no route", Some(link("no route", Some(link("unplugged", None)))));
        assert_eq!(Chain(&error).to_string(), "cannot connect: no route; caused by: unplugged");
        assert_eq!(Chain(&link("alone", None)).to_string(), "alone");
    }
}
