//! Reads forms and queries strictly: what cannot be read is refused, never guessed.

use std::cell::Cell;
use std::rc::Rc;

use super::refused::{Fault, Refused};

type Result<T, E = Refused> = std::result::Result<T, E>;

/// The parameters of one request, in the order in which they came. Clones share what was read of them. Most requests have
/// none, which takes no memory.
#[derive(Clone, Debug, Default)]
pub struct Params(Option<Rc<Sent>>);

#[derive(Debug, Default)]
struct Sent {
    pairs: Vec<(String, String)>,
    /// A bit for each of the first parameters whose value was asked for.
    read: Cell<u128>,
}

impl Params {
    /// Reads `application/x-www-form-urlencoded` text.
    ///
    /// # Errors
    /// [`Refused::Unreadable`] for broken percent-encoding, text that is not UTF-8, or a NUL.
    pub fn parse(text: &[u8]) -> Result<Self> {
        text.split(|&byte| byte == b'&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let mut parts = pair.splitn(2, |&byte| byte == b'=');
                let mut part = || decode(parts.next().unwrap_or_default());
                Ok((part()?, part()?))
            })
            .collect()
    }

    /// The value of a parameter, if it was sent.
    ///
    /// # Errors
    /// [`Refused::Repeated`]
    pub fn get(&self, name: &'static str) -> Result<Option<&str>> {
        self.one_of(&[name])
    }

    /// The value of a parameter that has several names.
    ///
    /// # Errors
    /// [`Refused::Repeated`], by any of the names.
    pub fn one_of(&self, names: &[&'static str]) -> Result<Option<&str>> {
        let Some(sent) = &self.0 else { return Ok(None) };
        let all = sent.pairs.iter().enumerate();
        let mut found = all.filter(|(_, (name, _))| names.contains(&name.as_str()));
        let Some((at, (_, value))) = found.next() else { return Ok(None) };
        sent.read.update(|read| read | bit(at));
        match found.next() {
            None => Ok(Some(value)),
            Some(_) => Err(Refused::Repeated(names.to_vec())),
        }
    }

    /// The value of a parameter that has several names. An empty value counts as not sent.
    ///
    /// # Errors
    /// [`Refused::Repeated`]
    pub fn filled(&self, names: &[&'static str]) -> Result<Option<&str>> {
        let mut found = None;
        for name in names {
            if let Some(value) = self.get(name)?.filter(|value| !value.is_empty()) {
                if found.is_some() {
                    return Err(Refused::Repeated(names.to_vec()));
                }
                found = Some(value);
            }
        }
        Ok(found)
    }

    /// All parameters that are not empty.
    fn all_filled(&self) -> impl Iterator<Item = &(String, String)> {
        self.pairs().iter().filter(|(_, value)| !value.is_empty())
    }

    /// All parameters, as they were sent.
    pub fn pairs(&self) -> &[(String, String)] {
        self.0.as_ref().map_or(&[], |sent| &sent.pairs)
    }

    /// The names that nobody has asked for, of the first 128 parameters.
    pub fn unread(&self) -> impl Iterator<Item = &str> {
        let read = self.0.as_ref().map_or(0, |sent| sent.read.get());
        let sent = self.pairs().iter().enumerate().take(u128::BITS as usize);
        sent.filter(move |(at, _)| read & bit(*at) == 0).map(|(_, (name, _))| name.as_str())
    }
}

/// The bit of the parameter at this place; none beyond the first 128.
fn bit(at: usize) -> u128 {
    u32::try_from(at).ok().and_then(|at| 1_u128.checked_shl(at)).unwrap_or_default()
}

impl FromIterator<(String, String)> for Params {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        let pairs: Vec<_> = pairs.into_iter().collect();
        Self((!pairs.is_empty()).then(|| Rc::new(Sent { pairs, read: Cell::default() })))
    }
}

/// The parameter with which a POST asks to be treated as another method.
pub const METHOD: &str = "_method";

/// The parameters of a form that costs money or changes what is paid for. Unknown ones are ignored, but a name that
/// looks like one of these is refused.
pub struct KnownParameters<'a> {
    pub names: &'a [&'static str],
    /// Names that other versions use, each with the right one here.
    pub elsewhere: &'a [(&'static str, &'static str)],
}

impl KnownParameters<'_> {
    /// Refuses what the client probably means otherwise, in a form and in the query beside it.
    ///
    /// # Errors
    /// [`Refused::Misspelt`], [`Refused::Elsewhere`], [`Refused::InQuery`] for a parameter that the form does not repeat, and
    /// [`Refused::Repeated`].
    pub fn check(&self, form: &Params, query: &Params) -> Result<()> {
        let sent = || form.all_filled().chain(query.all_filled()).map(|(name, _)| name.as_str());
        for name in sent().filter(|name| !self.names.contains(name) && *name != METHOD) {
            // The message holds the right name only: the other may be as long as a body.
            if let Some(right) = self.names.iter().find(|right| differ_in_spelling(name, right)) {
                return Err(Refused::Misspelt(right));
            }
            if let Some((_, right)) = self.elsewhere.iter().find(|(other, _)| differ_in_spelling(name, other)) {
                return Err(Refused::Elsewhere(right));
            }
        }
        for name in self.names {
            let value = query.get(name)?.filter(|value| !value.is_empty());
            if value.is_some() && value != form.get(name)? {
                return Err(Refused::InQuery(name));
            }
        }
        Ok(())
    }
}

/// Whether two names differ only in case, `_`, `-`, and what is added by accident: spaces, a byte order mark, the
/// brackets of an array, the rest of an `&amp;`.
fn differ_in_spelling(sent: &str, name: &str) -> bool {
    fn plain(name: &str) -> impl Iterator<Item = u8> {
        name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
    }
    let sent = sent.strip_prefix("amp;").unwrap_or(sent);
    plain(sent.split('[').next().unwrap_or_default()).eq(plain(name))
}

fn decode(encoded: &[u8]) -> Result<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next()).zip(hex(rest.next())).map(|(high, low)| high << 4 | low).ok_or(Fault::Percent)?,
            byte => byte,
        });
    }
    text(bytes)
}

/// The text of a name or a value.
///
/// # Errors
/// [`Refused::Unreadable`] for text that is not UTF-8, or a NUL.
pub fn text(bytes: Vec<u8>) -> Result<String> {
    if bytes.contains(&0) {
        return Err(Fault::Nul.into());
    }
    String::from_utf8(bytes).map_err(|_| Fault::NotUtf8.into())
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    let digit = char::from(*digit?).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// Writes `text` so that [`Params::parse`] reads it back.
pub fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use url::form_urlencoded;

    use super::*;

    fn is_unreadable(result: &Result<Params>) -> bool {
        matches!(result, Err(Refused::Unreadable(_)))
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=%00", "%=1", "a=%+1"] {
            assert!(is_unreadable(&Params::parse(text.as_bytes())), "{text}");
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

    #[test]
    fn an_empty_parameter_may_count_as_not_sent() {
        let params = Params::parse(b"a=&b=2&c=3&d=&d=").unwrap();
        assert_eq!(params.filled(&["a"]).unwrap(), None);
        assert_eq!(params.filled(&["a", "b"]).unwrap(), Some("2"));
        assert!(params.filled(&["b", "c"]).is_err());
        assert!(params.filled(&["d"]).is_err());
    }

    #[test]
    fn what_looks_like_a_parameter_and_is_none_is_refused() {
        let heeded = KnownParameters { names: &["AreaCode", "Url", "Method"], elsewhere: &[("VoiceUrl", "write Url")] };
        let check = |form: &str, query: &str| {
            heeded.check(&Params::parse(form.as_bytes()).unwrap(), &Params::parse(query.as_bytes()).unwrap())
        };
        for (form, query) in [
            ("AreaCode=415&Url=x", ""),
            ("AreaCode=415", "AreaCode=415"),
            ("_method=PUT", "_method=PUT"),
            ("area_code=&VoiceUrl=&Area=1&Urls=2&AreaCodes=3&=4", "URL=&AreaCode="),
            ("", ""),
        ] {
            assert!(check(form, query).is_ok(), "{form} {query}");
        }
        for (form, query, right) in [
            ("area_code=415", "", Refused::Misspelt("AreaCode")),
            ("AREACODE=415&AreaCode=415", "", Refused::Misspelt("AreaCode")),
            ("a-r-e-a-_code=415", "", Refused::Misspelt("AreaCode")),
            (" AreaCode=415", "", Refused::Misspelt("AreaCode")),
            ("\u{feff}AreaCode=415", "", Refused::Misspelt("AreaCode")),
            ("AreaCode[]=415", "", Refused::Misspelt("AreaCode")),
            ("AreaCode[0]=415", "", Refused::Misspelt("AreaCode")),
            ("x=1&amp;AreaCode=415", "", Refused::Misspelt("AreaCode")),
            ("", "areaCode=415", Refused::Misspelt("AreaCode")),
            ("url=x", "", Refused::Misspelt("Url")),
            ("method=GET", "", Refused::Misspelt("Method")),
            ("_Method=GET", "", Refused::Misspelt("Method")),
            ("voice_url=x", "", Refused::Elsewhere("write Url")),
            ("", "VoiceUrl=x", Refused::Elsewhere("write Url")),
            ("", "AreaCode=415", Refused::InQuery("AreaCode")),
            ("AreaCode=415", "AreaCode=212", Refused::InQuery("AreaCode")),
            ("AreaCode=", "AreaCode=212", Refused::InQuery("AreaCode")),
        ] {
            assert_eq!(check(form, query), Err(right), "{form} {query}");
        }
        assert_eq!(check("Url=x", "Url=x&Url=x"), Err(Refused::Repeated(vec!["Url"])));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in "[^\0]*") {
            let params = Params::parse(format!("v={}", encode(&value)).as_bytes()).unwrap();
            prop_assert_eq!(params.get("v").unwrap(), Some(value.as_str()));
        }

        #[test]
        fn what_is_written_is_read_back_in_its_order(pairs in vec(("[^\0]{0,9}", "[^\0]{0,9}"), 0..40)) {
            let mut text = form_urlencoded::Serializer::new(String::new());
            let text = text.extend_pairs(&pairs).finish();
            // An empty pair is written as `=`, which is read back too.
            let read = Params::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(read.pairs(), pairs);
        }

        #[test]
        fn hostile_bytes_are_what_a_lenient_reader_makes_of_them_or_refused_for_a_reason(bytes in hostile()) {
            let lenient: Vec<(String, String)> = form_urlencoded::parse(&bytes).into_owned().collect();
            let holds = |c: char| lenient.iter().any(|(name, value)| name.contains(c) || value.contains(c));
            match Params::parse(&bytes) {
                Ok(params) => {
                    prop_assert!(!breaks_off(&bytes) && !holds('\0'));
                    prop_assert_eq!(params.pairs(), lenient);
                }
                result => {
                    prop_assert!(is_unreadable(&result));
                    prop_assert!(breaks_off(&bytes) || holds('\0') || holds(char::REPLACEMENT_CHARACTER));
                }
            }
        }
    }

    /// Whether a percent sign is not followed by two hex digits.
    fn breaks_off(bytes: &[u8]) -> bool {
        let signs = (0..bytes.len()).filter(|at| bytes[*at] == b'%');
        let mut after = signs.map(|at| bytes.get(at + 1..at + 3));
        after.any(|digits| digits.is_none_or(|digits| !digits.iter().all(u8::is_ascii_hexdigit)))
    }

    /// From none to thousands of fields, valid and broken.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let plain = select(vec!["&", "=", "a", "a=b&", "+", ";", "%26", "%3d", "%C3%a9", "é", "%2525"]);
        let broken =
            select(vec![&b"%"[..], b"%4", b"%zz", b"%+1", b"%00", b"\0", b"%c0%af", b"%ed%a0%80", b"\xff", b"\r\n"]);
        let whole = vec(plain.clone(), 0..200).prop_map(|parts| parts.concat().into_bytes());
        let mixed = prop_oneof![30 => plain.prop_map(str::as_bytes), 1 => broken].prop_map(<[u8]>::to_vec);
        let long = (any::<u8>(), 0..20_000_usize).prop_map(|(byte, count)| vec![byte; count]);
        prop_oneof![4 => whole, 4 => vec(mixed, 0..100).prop_map(|parts| parts.concat()), 2 => vec(any::<u8>(), 0..40), 1 => long]
    }
}
