//! Text with fields in braces, such as the routing key `order.placed.{region}`.

use std::{fmt, str::FromStr};

/// Text with fields in braces. `{{` and `}}` stand for braces.
///
/// What a field is, a member of a struct or of a JSON object, is for its user to say.
///
/// # Examples
///
/// ```
/// use garenne_shared::template::{Part, Template};
///
/// let template: Template = "order.placed.{region}".parse()?;
/// assert_eq!(template.parts(), [Part::Text("order.placed.".into()), Part::Field("region".into())]);
/// # Ok::<_, garenne_shared::template::TemplateError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// One part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it is, not empty.
    Text(String),
    /// The name of a field, not empty.
    Field(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A placeholder has no end.
    #[error("the placeholder `{{{0}` is not closed; write `{{{{` for a brace")]
    Unclosed(String),
    /// A placeholder has no beginning.
    #[error("a `}}` without its `{{`; write `}}}}` for a brace")]
    Unopened,
    /// A placeholder names nothing.
    #[error("a placeholder must name a field, but `{{}}` is empty")]
    Empty,
}

// === impl Template ===

impl Template {
    /// Returns the parts in their order. No two texts are neighbours.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the text if there is no field in it.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match &self.parts[..] {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(template: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut text) = (Vec::new(), String::new());
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                text.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                return Err(TemplateError::Unopened);
            }
            let end = rest.find(['{', '}']).unwrap_or(rest.len());
            let (name, Some(after)) = (&rest[..end], rest[end..].strip_prefix('}')) else {
                return Err(TemplateError::Unclosed(rest[..end].to_owned()));
            };
            if name.is_empty() {
                return Err(TemplateError::Empty);
            }
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Field(name.to_owned()));
            rest = after;
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self { parts })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}")),
            Part::Field(name) => write!(f, "{{{name}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn braces_are_doubled_to_stand_for_themselves() {
        let template: Template = "a{{{b}}}c".parse().unwrap();
        assert_eq!(
            template.parts(),
            [Part::Text("a{".into()), Part::Field("b".into()), Part::Text("}c".into())]
        );
        assert_eq!(template.literal(), None);
        assert_eq!("{{a}}".parse::<Template>().unwrap().literal(), Some("{a}"));
        assert_eq!("".parse::<Template>().unwrap().literal(), Some(""));
    }

    #[test]
    fn unbalanced_braces_are_refused() {
        let unclosed = |text: &str| TemplateError::Unclosed(text.to_owned());
        for (template, error) in [
            ("a.{region", unclosed("region")),
            ("{a{b}", unclosed("a")),
            ("{", unclosed("")),
            ("region}", TemplateError::Unopened),
            ("a.{b}.}", TemplateError::Unopened),
            ("{}", TemplateError::Empty),
        ] {
            assert_eq!(template.parse::<Template>(), Err(error), "{template}");
        }
    }

    proptest! {
        #[test]
        fn a_template_survives_display(template in "[ab.{}]{0,12}") {
            if let Ok(parsed) = template.parse::<Template>() {
                prop_assert_eq!(parsed.to_string().parse::<Template>().unwrap(), parsed);
            }
        }

        #[test]
        fn doubled_braces_are_text(text in ".*") {
            let template: Template = text.replace('{', "{{").replace('}', "}}").parse().unwrap();
            prop_assert_eq!(template.literal(), Some(&*text));
        }
    }
}
