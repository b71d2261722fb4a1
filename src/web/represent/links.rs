//! Links from a page of a list to the pages around it.

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderValue, LINK};

use crate::values::page::{Cursor, Slice};
use crate::values::sid::NumberSid;

/// The paths of a page and of the pages around it, relative to the host. Empty if there is no such page.
pub struct Links {
    pub this: String,
    pub first: String,
    pub next: String,
    pub previous: String,
    pub last: String,
}

impl Links {
    /// The links of this page. `ends` are the Sids of its first and last number, if they can be used as cursors. `uri`
    /// writes the path of a page.
    pub fn of<T>(
        slice: &Slice<T, NumberSid>,
        ends: Option<[NumberSid; 2]>,
        uri: impl Fn(i64, Cursor<NumberSid>) -> String,
    ) -> Self {
        let (number, first) = (slice.number(), uri(0, Cursor::ByNumber));
        let last = if slice.pages() > 1 { uri(slice.pages() - 1, Cursor::Last) } else { first.clone() };
        let next = || uri(number + 1, ends.map_or(Cursor::ByNumber, |[_, last]| Cursor::After(last)));
        let previous = match (number, ends) {
            (0, _) => String::new(),
            (1, _) => first.clone(),
            (_, Some([first, _])) => uri(number - 1, Cursor::Before(first)),
            // This page is past the end of the list.
            (_, None) if slice.items.is_empty() => last.clone(),
            (_, None) => uri(number - 1, Cursor::ByNumber),
        };
        Self {
            this: uri(number, slice.page.cursor),
            next: if slice.more { next() } else { String::new() },
            previous,
            first,
            last,
        }
    }
}

/// Adds the neighbours of a page as `Link` headers, because JSON of old versions and CSV have no room for them.
///
/// # Panics
/// Never: an encoded URI is always a valid value of a header.
pub fn list_links(response: &mut HttpResponse, links: &Links) {
    for (rel, uri) in [("next", &links.next), ("prev", &links.previous)] {
        if let Some(link) = Some(uri).filter(|uri| !uri.is_empty()).map(|uri| format!("<{uri}>; rel=\"{rel}\"")) {
            response.headers_mut().append(LINK, HeaderValue::try_from(link).expect("an encoded URI is a header value"));
        }
    }
}
