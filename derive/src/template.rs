//! The template of a routing key: `order.placed.{region}`.

use syn::{Error, LitStr, Result};

/// One part of a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Text as it is.
    Text(String),
    /// The name of a field.
    Field(String),
}

/// Splits a template into its parts.
pub(crate) fn parse(literal: &LitStr) -> Result<Vec<Part>> {
    let template = literal.value();
    let refuse = |message: String| Err(Error::new(literal.span(), message));
    let (mut parts, mut text) = (Vec::new(), String::new());
    let mut rest = template.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            // `{{` and `}}` stand for themselves.
            text.push_str(brace);
            rest = after;
        } else if brace == "}" {
            return refuse("a `}` without its `{`; write `}}` for a brace".to_owned());
        } else {
            let Some(end) = rest.find('}') else {
                return refuse(format!("the placeholder `{{{rest}` is not closed; write `{{{{` for a brace"));
            };
            let name = &rest[..end];
            if name.is_empty() {
                return refuse("a placeholder must name a field, but `{}` is empty".to_owned());
            }
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Field(name.to_owned()));
            rest = &rest[end + 1..];
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(template: &str) -> Result<Vec<Part>> {
        parse(&LitStr::new(template, proc_macro2::Span::call_site()))
    }

    #[test]
    fn braces_are_doubled_to_stand_for_themselves() {
        let expected = [Part::Text("a{".into()), Part::Field("b".into()), Part::Text("}c".into())];
        assert_eq!(parts("a{{{b}}}c").unwrap(), expected);
        assert_eq!(parts("plain").unwrap(), [Part::Text("plain".into())]);
        assert_eq!(parts("").unwrap(), []);
    }

    #[test]
    fn unbalanced_braces_are_refused() {
        for template in ["{region", "region}", "{}", "a.{b}.}"] {
            assert!(parts(template).is_err(), "{template}");
        }
    }
}
