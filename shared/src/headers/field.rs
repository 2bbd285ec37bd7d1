//! What a field of a message becomes as a header.

use bytes::Bytes;

use super::{HeaderValue, Headers};

/// A value that a message can carry as a header: what `#[message(header)]` asks of the type of a field.
///
/// Implement it for a type of your own to use that as a header field.
///
/// # Examples
///
/// ```
/// use garenne_shared::{HeaderError, HeaderValue, ToHeader};
///
/// struct Tenant(String);
///
/// impl ToHeader for Tenant {
///     fn to_header(&self) -> Result<Option<HeaderValue>, HeaderError> {
///         self.0.to_header()
///     }
/// }
///
/// assert_eq!(Tenant("acme".into()).to_header()?, Some(HeaderValue::from("acme")));
/// assert_eq!(None::<Tenant>.to_header()?, None);
/// # Ok::<_, HeaderError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` cannot be a header",
    label = "no header value",
    note = "a header field is a `bool`, an `i8` to `i64`, a `u8` to `u64`, an `isize` or `usize`, an `f32` or `f64`, a `String` or `&'static str`, `Bytes`, `Headers`, a `HeaderValue`, or an `Option` of one of these",
    note = "for a type of your own, write `impl ToHeader for {Self}`"
)]
pub trait ToHeader {
    /// Returns the value of the header; `None` sends no header.
    ///
    /// # Errors
    ///
    /// Fails if AMQP has no value for it, such as an integer above [`i64::MAX`].
    fn to_header(&self) -> Result<Option<HeaderValue>, HeaderError>;
}

/// Why a value cannot be a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct HeaderError {
    reason: String,
}

// === impl ToHeader ===

macro_rules! always {
    ($($type:ty)*) => {$(
        impl ToHeader for $type {
            fn to_header(&self) -> Result<Option<HeaderValue>, HeaderError> {
                Ok(Some(HeaderValue::from(self.clone())))
            }
        }
    )*};
}

always! { bool i8 i16 i32 i64 u8 u16 u32 f32 f64 String &'static str Bytes Headers Vec<HeaderValue> HeaderValue }

/// Integers that may not fit the 64 bits and a sign that AMQP has.
macro_rules! if_it_fits {
    ($($type:ty)*) => {$(
        impl ToHeader for $type {
            fn to_header(&self) -> Result<Option<HeaderValue>, HeaderError> {
                match i64::try_from(*self) {
                    Ok(value) => Ok(Some(HeaderValue::Int(value))),
                    Err(_) => Err(HeaderError::new(format!(
                        "an integer in a header is at most {} (`i64::MAX`), but is {self}; send it as text",
                        i64::MAX
                    ))),
                }
            }
        }
    )*};
}

if_it_fits! { u64 usize isize }

impl<T: ToHeader> ToHeader for Option<T> {
    fn to_header(&self) -> Result<Option<HeaderValue>, HeaderError> {
        self.as_ref().map_or(Ok(None), T::to_header)
    }
}

// === impl HeaderError ===

impl HeaderError {
    /// Makes the error of a value; the reason says the rule, the value found and the remedy.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_any_width_are_integers() {
        let widest = Some(HeaderValue::Int(i64::MAX));
        assert_eq!(i64::MAX.to_header(), Ok(widest.clone()));
        assert_eq!((i64::MAX as u64).to_header(), Ok(widest));
        assert_eq!(i8::MIN.to_header(), Ok(Some(HeaderValue::Int(-128))));
        assert_eq!(isize::MIN.to_header(), Ok(Some(HeaderValue::Int(isize::MIN as i64))));
        assert_eq!(7_usize.to_header(), Ok(Some(HeaderValue::Int(7))));
    }

    #[test]
    fn an_integer_that_does_not_fit_is_refused_and_does_not_wrap() {
        let expected = "an integer in a header is at most 9223372036854775807 (`i64::MAX`), but is 9223372036854775808; send it as text";
        assert_eq!((1_u64 << 63).to_header().unwrap_err().to_string(), expected);
        assert!(Some(u64::MAX).to_header().is_err());
    }

    #[test]
    fn none_is_no_header() {
        assert_eq!(None::<u64>.to_header(), Ok(None));
        assert_eq!(Some(None::<String>).to_header(), Ok(None));
        assert_eq!(Some("acme").to_header(), Ok(Some(HeaderValue::from("acme"))));
    }
}
