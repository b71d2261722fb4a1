//! How answers look on the wire: one description of a resource, three representations.
//! Each is written straight into one buffer; the rows of a long list are written as the client takes them.

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, LINK, RETRY_AFTER, WWW_AUTHENTICATE};

use super::page;
use super::refusals::Refusal;
use crate::error::{Denied, Error};
use crate::values::page::{Cursor, Slice};
use crate::values::sid::NumberSid;
use crate::web::asked::{Asked, Representation};
use crate::web::codes::Code;
use crate::web::observe::{Cause, RefusedBy};
use crate::web::pages::of_error;
use crate::web::params::encode;
use crate::web::refused::{Fault, Refused};
use crate::web::site::Site;

mod csv;
mod json;
mod pieces;
mod plain;
mod xml;

use csv::csv;
use json::Json;
use pieces::{Pieces, Rows};
pub use plain::Rfc2822;
use xml::Xml;

/// The root of the resource tree.
pub const TREE: &str = "/2008-08-01";

/// Takes the elements of a resource, in their order.
pub trait Fields {
    /// A text. A client may have chosen it, so it must be escaped.
    fn text(&mut self, name: &'static str, value: &str);

    /// A value that is the same in every representation.
    fn plain(&mut self, name: &'static str, value: &impl Plain);
}

/// A value whose text needs no escaping in any representation.
pub trait Plain {
    fn write(&self, to: &mut Vec<u8>);
}

/// A resource as the wire shows it.
pub trait Record {
    const NAME: &'static str;
    /// The names of all elements, for the header of a CSV. A record may lack some of them.
    fn columns(&self) -> &'static [&'static str];
    fn write(&self, to: &mut impl Fields);
}

/// A list as the wire shows it.
pub struct List<'a, T> {
    pub name: &'static str,
    pub columns: &'static [&'static str],
    /// The query that narrows the list, without paging.
    pub filters: &'a [(&'static str, &'a str)],
    pub slice: Slice<T, NumberSid>,
    /// The Sids of the first and the last number of this page, if they can be used as cursors.
    pub ends: Option<[NumberSid; 2]>,
}

/// The answer that holds one resource.
pub fn one(asked: &Asked, status: StatusCode, record: &impl Record) -> HttpResponse {
    let body = match asked.representation {
        Representation::Xml => Xml::document(record),
        Representation::Json => Json::document(record),
        Representation::Csv => csv(record.columns(), std::slice::from_ref(record)),
    };
    answer(status, asked.representation, body)
}

/// The answer that holds a page of a list. Links to other pages are also in `Link` headers, because JSON and CSV have
/// no attributes for them.
///
/// # Panics
/// Never: an encoded URI is always a valid value of a header.
pub async fn list<T: Record + Unpin + 'static>(asked: &Asked, list: List<'_, T>) -> HttpResponse {
    let uris = Uris::of(asked, &list);
    let (representation, columns) = (asked.representation, list.columns);
    let (head, tail) = match representation {
        Representation::Xml => xml::around(&list, &uris),
        Representation::Json => json::around(list.name),
        Representation::Csv => (csv::<T>(columns, &[]), String::new()),
    };
    let rows = Rows { representation, columns, tail };
    let mut response = answer(StatusCode::OK, representation, Pieces::new(head, list.slice.items, rows).await);
    for (rel, uri) in [("next", &uris.next), ("prev", &uris.previous)] {
        if let Some(link) = Some(uri).filter(|uri| !uri.is_empty()).map(|uri| format!("<{uri}>; rel=\"{rel}\"")) {
            response.headers_mut().append(LINK, HeaderValue::try_from(link).expect("an encoded URI is a header value"));
        }
    }
    response
}

/// The answer to a request that was refused or failed.
pub fn refusal(representation: Representation, site: &Site, error: &actix_web::Error) -> HttpResponse {
    let refusal = if let Some(refusal) = error.as_error::<Refusal>() {
        refusal.clone()
    } else if let Some(denied) = error.as_error::<Denied<Refused>>() {
        denied.clone().into()
    } else if error.as_response_error().status_code().is_client_error() {
        // The framework refuses only what it cannot route or read.
        Refused::Unreadable(Fault::Request).into()
    } else {
        Error::Internal(error.to_string()).into()
    };
    let mut response = exception(representation, &site.to_string(), &refusal);
    let mut told = response.extensions_mut();
    told.insert(RefusedBy(refusal.code));
    if let Some(cause) = refusal.cause {
        told.insert(Cause(cause));
    }
    drop(told);
    response
}

/// The answer that tells of an error. `site` is this server's address (`http://host:port`). It is empty if the
/// address is not known; then links are paths.
fn exception(representation: Representation, site: &str, refusal: &Refusal) -> HttpResponse {
    let exception = RestException { refusal, site };
    let (representation, body) = match representation {
        Representation::Json => {
            (Representation::Json, json::beside(Json::document(&exception), &Beside::of(&exception)))
        }
        Representation::Xml | Representation::Csv => (Representation::Xml, Xml::document(&exception)),
    };
    let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = answer(status, representation, body);
    if let Some(allow) = &refusal.allow {
        response.headers_mut().insert(ALLOW, allow.clone());
    }
    let header = match refusal.code {
        Code::Authenticate => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"numberbank\""))),
        Code::TooManyRequests | Code::Unavailable => Some((RETRY_AFTER, HeaderValue::from(refusal.retry_after))),
        _ => None,
    };
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, value);
    }
    response
}

fn answer(status: StatusCode, representation: Representation, body: impl MessageBody + 'static) -> HttpResponse {
    let mut response = HttpResponse::with_body(status, body).map_into_boxed_body();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(representation.content_type()));
    response
}

struct RestException<'a> {
    refusal: &'a Refusal,
    site: &'a str,
}

impl RestException<'_> {
    fn more_info(&self) -> String {
        format!("{}{}", self.site, of_error(self.refusal.code))
    }
}

/// The parts of an error as version 2010-04-01 has them: old SDKs read them there for every version.
#[derive(serde::Serialize)]
struct Beside<'a> {
    status: u16,
    code: u16,
    message: &'a str,
    more_info: String,
}

impl<'a> Beside<'a> {
    fn of(exception: &RestException<'a>) -> Self {
        let refusal = exception.refusal;
        let (status, code) = (refusal.code.status(), refusal.code.number());
        Self { status, code, message: &refusal.message, more_info: exception.more_info() }
    }
}

impl Record for RestException<'_> {
    const NAME: &'static str = "RestException";

    fn columns(&self) -> &'static [&'static str] {
        &["Status", "Message", "Code", "MoreInfo"]
    }

    fn write(&self, to: &mut impl Fields) {
        let code = self.refusal.code;
        to.text("Status", &code.status().to_string());
        to.text("Message", &self.refusal.message);
        to.text("Code", &code.number().to_string());
        to.text("MoreInfo", &self.more_info());
    }
}

/// The paths of a page and of the pages around it, relative to the host. Empty if there is no such page.
struct Uris {
    this: String,
    first: String,
    next: String,
    previous: String,
    last: String,
}

impl Uris {
    fn of<T>(asked: &Asked, list: &List<'_, T>) -> Self {
        let slice = &list.slice;
        let filters: String = list.filters.iter().map(|(name, value)| format!("&{name}={}", encode(value))).collect();
        let uri = |page: i64, cursor: Cursor<NumberSid>| {
            let (path, ending, size) = (&asked.path, asked.ending, slice.page.size);
            let cursor = page::parameter(cursor);
            format!("{path}{ending}?Page={page}&PageSize={size}{filters}{cursor}")
        };
        let (number, first) = (slice.number(), uri(0, Cursor::ByNumber));
        let last = if slice.pages() > 1 { uri(slice.pages() - 1, Cursor::Last) } else { first.clone() };
        let next = |[_, last]: [NumberSid; 2]| uri(number + 1, Cursor::After(last));
        let previous = match (number, list.ends) {
            (0, _) => String::new(),
            (1, _) => first.clone(),
            (_, Some([first, _])) => uri(number - 1, Cursor::Before(first)),
            // This page is past the end of the list.
            (_, None) => last.clone(),
        };
        Self {
            this: uri(number, slice.page.cursor),
            next: list.ends.filter(|_| slice.more).map(next).unwrap_or_default(),
            previous,
            first,
            last,
        }
    }
}
