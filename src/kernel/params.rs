//! Forms and queries, read strictly: what cannot be read is refused, never guessed.

use crate::kernel::error::{Code, Error, Result};

/// The parameters of one request, in the order they came.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `application/x-www-form-urlencoded` text.
    ///
    /// # Errors
    /// 29004 for broken percent-encoding, text that is not UTF-8, or a NUL.
    pub fn parse(text: &[u8]) -> Result<Self> {
        text.split(|&byte| byte == b'&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let mut parts = pair.splitn(2, |&byte| byte == b'=');
                let mut part = || decode(parts.next().unwrap_or_default());
                Ok((part()?, part()?))
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    /// The value of a parameter, if it was sent.
    ///
    /// # Errors
    /// 29003 when it was sent twice.
    pub fn get(&self, name: &str) -> Result<Option<&str>> {
        self.one_of(&[name])
    }

    /// The value of a parameter that goes by several names.
    ///
    /// # Errors
    /// 29003 when it was sent twice, by whichever name.
    pub fn one_of(&self, names: &[&str]) -> Result<Option<&str>> {
        let mut found = self.0.iter().filter(|(name, _)| names.contains(&name.as_str()));
        let first = found.next().map(|(_, value)| value.as_str());
        match found.next() {
            None => Ok(first),
            Some(_) => Err(Code::RepeatedParameter
                .because(format!("{} was sent more than once; send it once", names.join(" or ")))),
        }
    }
}

fn decode(text: &[u8]) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next()).zip(hex(rest.next())).map(|(high, low)| high << 4 | low).ok_or_else(|| {
                unreadable("a percent sign is not followed by two hex digits; write a literal one as %25")
            })?,
            byte => byte,
        });
    }
    if bytes.contains(&0) {
        return Err(unreadable("a NUL character cannot be part of a parameter; leave it out"));
    }
    String::from_utf8(bytes).map_err(|_| unreadable("the parameters are not UTF-8; encode them as UTF-8"))
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    let digit = char::from(*digit?).to_digit(16)?;
    u8::try_from(digit).ok()
}

fn unreadable(why: &str) -> Error {
    Code::Unreadable.because(format!("The request cannot be read: {why}"))
}

/// Writes `text` so that [`Params::parse`] reads it back.
pub fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(result: Result<Params>) -> Option<Code> {
        match result {
            Err(Error::Refused(refusal)) => Some(refusal.code),
            _ => None,
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=%00", "%=1", "a=%+1"] {
            assert_eq!(code(Params::parse(text.as_bytes())), Some(Code::Unreadable), "{text}");
        }
    }

    #[test]
    fn a_repeated_parameter_is_refused() {
        let params = Params::parse(b"a=1&b=2&a=3&&=4&c").unwrap();
        assert_eq!(params.get("b").unwrap(), Some("2"));
        assert_eq!(params.get("c").unwrap(), Some(""));
        assert_eq!(params.get("d").unwrap(), None);
        assert!(params.get("a").is_err());
        assert!(params.one_of(&["b", "c"]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in "[^\0]*") {
            let params = Params::parse(format!("v={}", encode(&value)).as_bytes()).unwrap();
            prop_assert_eq!(params.get("v").unwrap(), Some(value.as_str()));
        }

        #[test]
        fn no_bytes_make_anything_but_parameters_or_a_refusal(bytes: Vec<u8>) {
            if let Err(error) = Params::parse(&bytes) {
                prop_assert!(matches!(error, Error::Refused(_)));
            }
        }
    }
}
