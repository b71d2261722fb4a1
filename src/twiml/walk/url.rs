//! Where a verb leads.

use super::super::Error;
use super::Location;
use crate::values::text::CallbackUrl;

/// Resolves a reference against the URL of its document. An absolute URL is kept as it was written, for the program
/// signs what it wrote; an empty reference is the document itself.
///
/// # Errors
/// If it leads to no URL of http or https.
pub fn resolved(at: &Location, reference: &str, line: u32) -> Result<String, Error> {
    let reference = reference.trim();
    if reference.is_empty() {
        return Ok(at.url.clone());
    }
    if let Ok(absolute) = CallbackUrl::new(reference.to_owned()) {
        return Ok(absolute.as_str().to_owned());
    }
    let base = ::url::Url::parse(&at.url).ok();
    let joined = ::url::Url::options().base_url(base.as_ref()).parse(reference).ok();
    let url = joined.and_then(|url| CallbackUrl::new(url.into()).ok());
    let what = || format!("'{}'", reference.chars().take(100).collect::<String>());
    url.map(|url| url.as_str().to_owned()).ok_or_else(|| Error::of(11100, Some(line), &what()))
}
