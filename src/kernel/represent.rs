//! How answers look on the wire: one description of a resource, three representations.
//! Each is written straight into one buffer.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, LINK, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use crate::kernel::error::{Code, Error, Refusal};
use crate::kernel::page::Slice;
use crate::kernel::params::encode;

/// The root of the resource tree.
pub const TREE: &str = "/2008-08-01";

/// The representation that a path's ending asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Representation {
    #[default]
    Xml,
    Json,
    Csv,
}

impl Representation {
    pub const ENDINGS: [(&str, Self); 3] = [(".xml", Self::Xml), (".json", Self::Json), (".csv", Self::Csv)];

    const fn content_type(self) -> &'static str {
        match self {
            Self::Xml => "application/xml; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// What is asked for, apart from by whom: set once for each request, before it is routed.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub representation: Representation,
    /// The path in its plain form, as the URIs of a list repeat it.
    pub path: String,
    /// The ending that was sent, so that those URIs keep the representation.
    pub ending: &'static str,
}

/// Takes the elements of a resource, in their order.
pub trait Fields {
    fn field(&mut self, name: &'static str, value: &str);
}

/// A resource as the wire shows it.
pub trait Record {
    const NAME: &'static str;
    /// The names of its elements, for the head of a CSV. An element may be missing from a record.
    fn columns(&self) -> &'static [&'static str];
    fn write(&self, to: &mut impl Fields);
}

/// A list as the wire shows it.
pub struct List<'a, T> {
    pub name: &'static str,
    pub columns: &'static [&'static str],
    /// The query that narrows the list, without paging.
    pub filters: &'a [(&'static str, &'a str)],
    pub slice: &'a Slice<T>,
    /// The `AfterSid` of the page after this one, where the list can be walked by it.
    pub last_sid: Option<String>,
}

/// The answer that holds one resource.
pub fn one(asked: &Asked, status: StatusCode, record: &impl Record) -> HttpResponse {
    let body = match asked.representation {
        Representation::Xml => Xml::document(|xml| xml.record(record)),
        Representation::Json => Json::document(|json| json.record(record)),
        Representation::Csv => csv(record.columns(), std::slice::from_ref(record)),
    };
    answer(status, asked.representation, body)
}

/// The answer that holds a page of a list. Its neighbours are also in `Link` headers:
/// JSON and CSV have no place for the attributes.
pub fn list<T: Record>(asked: &Asked, list: &List<'_, T>) -> HttpResponse {
    let uris = Uris::of(asked, list);
    let items = &list.slice.items;
    let body = match asked.representation {
        Representation::Xml => Xml::document(|xml| xml.list(list, &uris)),
        Representation::Json => Json::document(|json| json.list(list.name, items)),
        Representation::Csv => csv(list.columns, items),
    };
    let mut response = answer(StatusCode::OK, asked.representation, body);
    for (rel, uri) in [("next", &uris.next), ("prev", &uris.previous)] {
        if let Some(link) = Some(uri).filter(|uri| !uri.is_empty()).map(|uri| format!("<{uri}>; rel=\"{rel}\"")) {
            response.headers_mut().append(LINK, HeaderValue::try_from(link).expect("an encoded URI is a header value"));
        }
    }
    response
}

/// The answer that tells of an error. `site` is where this server is reached: `http://host:port`.
pub fn refusal(representation: Representation, site: &str, refusal: &Refusal) -> HttpResponse {
    let exception = RestException { refusal, site };
    let (representation, body) = match representation {
        Representation::Json => (Representation::Json, Json::document(|json| json.record(&exception))),
        Representation::Xml | Representation::Csv => (Representation::Xml, Xml::document(|xml| xml.record(&exception))),
    };
    let mut response = answer(status(refusal.code), representation, body);
    let header = match refusal.code {
        Code::Authenticate => Some((WWW_AUTHENTICATE, "Basic realm=\"numberbank\"")),
        Code::TooManyRequests | Code::Unavailable => Some((RETRY_AFTER, "1")),
        _ => None,
    };
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn status(code: Code) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn answer(status: StatusCode, representation: Representation, body: Vec<u8>) -> HttpResponse {
    let mut response = HttpResponse::with_body(status, body).map_into_boxed_body();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(representation.content_type()));
    response
}

/// Lets handlers end with `?`; the frame around every request writes the body.
impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        status(self.refusal().code)
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

struct RestException<'a> {
    refusal: &'a Refusal,
    site: &'a str,
}

impl Record for RestException<'_> {
    const NAME: &'static str = "RestException";

    fn columns(&self) -> &'static [&'static str] {
        &["Status", "Message", "Code", "MoreInfo"]
    }

    fn write(&self, to: &mut impl Fields) {
        let code = self.refusal.code;
        to.field("Status", &code.status().to_string());
        to.field("Message", &self.refusal.message);
        to.field("Code", &code.number().to_string());
        to.field("MoreInfo", &format!("{}/docs/errors/{}", self.site, code.number()));
    }
}

/// The paths of a list and its neighbours, relative to the host; a missing one is empty.
struct Uris {
    this: String,
    first: String,
    next: String,
    previous: String,
    last: String,
}

impl Uris {
    fn of<T>(asked: &Asked, list: &List<'_, T>) -> Self {
        let slice = list.slice;
        let filters: String = list.filters.iter().map(|(name, value)| format!("&{name}={}", encode(value))).collect();
        let uri = |page: i64, after: Option<&str>| {
            let after = after.map(|sid| format!("&AfterSid={sid}")).unwrap_or_default();
            let (path, ending, size) = (&asked.path, asked.ending, slice.page.size);
            format!("{path}{ending}?Page={page}&PageSize={size}{filters}{after}")
        };
        let number = slice.number();
        let after = slice.page.after.map(|sid| sid.to_string());
        Self {
            this: uri(number, after.as_deref()),
            first: uri(0, None),
            next: if slice.more { uri(number + 1, list.last_sid.as_deref()) } else { String::new() },
            previous: if number > 0 { uri(number - 1, None) } else { String::new() },
            last: uri((slice.pages() - 1).max(0), None),
        }
    }
}

struct Xml(Writer<Vec<u8>>);

impl Xml {
    fn document(content: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut xml = Self(Writer::new(Vec::with_capacity(1024)));
        xml.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        xml.element(BytesStart::new("TwilioResponse"), content);
        let mut document = xml.0.into_inner();
        document.push(b'\n');
        document
    }

    fn record(&mut self, record: &impl Record) {
        fn name<R: Record>(_: &R) -> &'static str {
            R::NAME
        }
        self.element(BytesStart::new(name(record)), |xml| record.write(xml));
    }

    fn list<T: Record>(&mut self, list: &List<'_, T>, uris: &Uris) {
        let slice = list.slice;
        let (start, end) = slice.places();
        let numbers = [
            ("page", slice.number()),
            ("numpages", slice.pages()),
            ("pagesize", i64::from(slice.page.size)),
            ("total", slice.total),
            ("start", start),
            ("end", end),
        ];
        let texts = [
            ("uri", &uris.this),
            ("firstpageuri", &uris.first),
            ("nextpageuri", &uris.next),
            ("previouspageuri", &uris.previous),
            ("lastpageuri", &uris.last),
        ];
        let mut tag = BytesStart::new(list.name);
        for (name, value) in numbers {
            tag.push_attribute((name, value.to_string().as_str()));
        }
        for (name, value) in texts {
            tag.push_attribute((name, value.as_str()));
        }
        self.element(tag, |xml| slice.items.iter().for_each(|item| xml.record(item)));
    }

    fn element(&mut self, tag: BytesStart<'_>, content: impl FnOnce(&mut Self)) {
        let end = tag.to_end().into_owned();
        self.event(Event::Start(tag));
        content(self);
        self.event(Event::End(end));
    }

    fn event(&mut self, event: Event<'_>) {
        self.0.write_event(event).expect("memory can be written to");
    }
}

impl Fields for Xml {
    fn field(&mut self, name: &'static str, value: &str) {
        self.event(Event::Start(BytesStart::new(name)));
        self.event(Event::Text(BytesText::new(value)));
        self.event(Event::End(BytesEnd::new(name)));
    }
}

/// JSON of the old API: the names of the XML, every value a string.
struct Json {
    buffer: Vec<u8>,
    first: bool,
}

impl Json {
    fn document(content: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut json = Self { buffer: Vec::with_capacity(1024), first: true };
        json.raw("{\"TwilioResponse\":");
        content(&mut json);
        json.raw("}\n");
        json.buffer
    }

    fn record<R: Record>(&mut self, record: &R) {
        self.raw("{");
        self.string(R::NAME);
        self.raw(":{");
        self.first = true;
        record.write(self);
        self.raw("}}");
    }

    fn list<T: Record>(&mut self, name: &str, items: &[T]) {
        self.raw("{");
        self.string(name);
        self.raw(":[");
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.raw(",");
            }
            self.record(item);
        }
        self.raw("]}");
    }

    fn raw(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    fn string(&mut self, text: &str) {
        serde_json::to_writer(&mut self.buffer, text).expect("memory can be written to");
    }
}

impl Fields for Json {
    fn field(&mut self, name: &'static str, value: &str) {
        if !std::mem::take(&mut self.first) {
            self.raw(",");
        }
        self.string(name);
        self.raw(":");
        self.string(value);
    }
}

/// A row of a CSV: elements that a record leaves out become empty cells.
struct CsvRow<'a> {
    columns: std::slice::Iter<'a, &'static str>,
    cells: Vec<Cow<'a, str>>,
}

fn csv<T: Record>(columns: &'static [&'static str], items: &[T]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::with_capacity(1024));
    let mut write = |cells: &[Cow<'_, str>]| {
        writer.write_record(cells.iter().map(|cell| cell.as_bytes())).expect("memory can be written to");
    };
    write(&columns.iter().map(|name| Cow::Borrowed(*name)).collect::<Vec<_>>());
    for item in items {
        let mut row = CsvRow { columns: columns.iter(), cells: Vec::with_capacity(columns.len()) };
        item.write(&mut row);
        row.cells.resize(columns.len(), Cow::Borrowed(""));
        write(&row.cells);
    }
    writer.into_inner().expect("memory can be written to")
}

impl Fields for CsvRow<'_> {
    fn field(&mut self, name: &'static str, value: &str) {
        for column in self.columns.by_ref() {
            if *column == name {
                self.cells.push(Cow::Owned(value.to_owned()));
                return;
            }
            self.cells.push(Cow::Borrowed(""));
        }
    }
}
