//! Templates over the fields of a line: `order.placed.{region}`.

use std::{fmt, str::FromStr};

use garenne_shared::template::{self, Part};

use super::object::{FieldError, Object};

/// A template whose fields are those of a line, or of the objects in it: `{name}`, `{outer.inner}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    template: template::Template,
    /// The path of each of its fields, outermost object first.
    paths: Vec<Vec<String>>,
}

/// Why a template was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error(transparent)]
    Template(#[from] template::TemplateError),
    #[error("`{{{field}}}` in `{template}` names no field; write `{{name}}` or `{{outer.inner}}`")]
    Field { template: String, field: String },
}

// === impl Template ===

impl Template {
    /// Returns the text if it is the same for every line.
    pub(crate) fn literal(&self) -> Option<&str> {
        self.template.literal()
    }

    /// Returns the text for the fields of a line.
    pub(crate) fn render(&self, line: &Object<'_>) -> Result<String, FieldError> {
        let mut rendered = String::new();
        let mut paths = self.paths.iter();
        for part in self.template.parts() {
            match part {
                Part::Text(text) => rendered.push_str(text),
                Part::Field(_) => {
                    let path = paths.next().expect("each field has its path");
                    rendered.push_str(&line.scalar(path)?);
                }
            }
        }
        Ok(rendered)
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let template: template::Template = text.parse()?;
        let fields = template.parts().iter().filter_map(|part| match part {
            Part::Field(field) => Some(field),
            Part::Text(_) => None,
        });
        let paths = fields.map(|field| path(text, field)).collect::<Result<_, _>>()?;
        Ok(Self { template, paths })
    }
}

fn path(template: &str, field: &str) -> Result<Vec<String>, TemplateError> {
    let path: Vec<_> = field.split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        return Err(TemplateError::Field { template: template.to_owned(), field: field.to_owned() });
    }
    Ok(path)
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.template.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = r#"{"region":"eu","cents":1250,"big":123456789012345678901234567890,"price":1.50,"paid":true,
        "customer":{"country":"fr","tags":["a"]},"note":null,"quote":"a\"b\u00e9"}"#;

    #[track_caller]
    fn renders(template: &str, expected: &str) {
        let line = Object::parse(LINE).unwrap();
        assert_eq!(template.parse::<Template>().unwrap().render(&line).unwrap(), expected);
    }

    #[track_caller]
    fn is_unfit(template: &str, error: &str) {
        let line = Object::parse(LINE).unwrap();
        assert_eq!(template.parse::<Template>().unwrap().render(&line).unwrap_err().to_string(), error);
    }

    #[test]
    fn fields_stand_in_for_their_values() {
        renders("order.placed.{region}", "order.placed.eu");
        renders("{customer.country}/{paid}", "fr/true");
        renders("{quote}", "a\"bé");
        renders("no field", "no field");
        renders("", "");
    }

    #[test]
    fn numbers_are_rendered_as_they_are_written() {
        renders("{cents} {price} {big}", "1250 1.50 123456789012345678901234567890");
    }

    #[test]
    fn doubled_braces_are_literal() {
        renders("{{{region}}}", "{eu}");
        renders("{{region}}", "{region}");
        assert_eq!("{{{a.b}}}".parse::<Template>().unwrap().to_string(), "{{{a.b}}}");
    }

    #[test]
    fn an_unfit_field_is_an_error_with_its_name() {
        is_unfit("{tenant}", "field `tenant` is missing");
        is_unfit("{note}", "field `note` is null; a template takes text, numbers and truth values");
        is_unfit(
            "{customer}",
            "field `customer` is an object; a template takes text, numbers and truth values",
        );
        is_unfit(
            "{customer.tags}",
            "field `customer.tags` is a list; a template takes text, numbers and truth values",
        );
        is_unfit("{region.code}", "field `region` is not an object, so it has no `code`");
    }

    #[test]
    fn a_wrong_template_is_refused() {
        for wrong in ["{", "a{b", "}", "a}b", "{}", "{a..b}", "{.a}", "{a{b}"] {
            assert!(wrong.parse::<Template>().is_err(), "`{wrong}` was accepted");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_renders_to_itself(text in ".*") {
            let template: Template = text.replace('{', "{{").replace('}', "}}").parse().unwrap();
            prop_assert_eq!(template.render(&Object::parse("{}").unwrap()).unwrap(), text);
        }

        #[test]
        fn any_text_field_is_rendered_as_it_is(value in ".*") {
            let line = serde_json::json!({ "outer": { "value": value } }).to_string();
            let template: Template = "{outer.value}".parse().unwrap();
            prop_assert_eq!(template.render(&Object::parse(&line).unwrap()).unwrap(), value);
        }
    }
}
