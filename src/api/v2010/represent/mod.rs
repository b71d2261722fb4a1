//! How answers look on the wire: one description of a resource, three representations.

use std::sync::OnceLock;

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};

use super::page;
use super::refusals::Refusal;
use crate::values::page::{Cursor, Slice};
use crate::values::phone::PhoneNumber;
use crate::values::sid::NumberSid;
use crate::web::asked::{Asked, Representation};
use crate::web::codes::Code;
use crate::web::exception::Exception;
use crate::web::params::encode;
use crate::web::represent::xml::{self, Xml};
use crate::web::represent::{CsvRow, Fields, Links, Pieces, Plain, Rows, csv_document, csv_rows, list_links};
use crate::web::site::Site;

mod json;

/// The root of the resource tree.
pub const TREE: &str = "/2010-04-01";

/// Takes also what is not a text in JSON. Names are those of the XML; JSON has them in snake case.
pub trait Typed: Fields {
    /// A value as each representation writes it. `None`: XML does not have it.
    fn fixed(&mut self, name: &'static str, json: &str, xml: Option<&str>);

    /// Elements that are the same of many resources, and not the first ones of any: `write` writes them.
    fn same(&mut self, known: &'static Same, write: impl FnOnce(&mut Self));

    /// The path of a resource. JSON adds its own ending.
    fn uri(&mut self, name: &'static str, path: &impl Plain);
}

/// What elements look like that are the same of many resources, once they were written: to write them one by one for each
/// would take a third of the time of a page.
pub struct Same {
    json: OnceLock<Vec<u8>>,
    xml: OnceLock<Vec<u8>>,
}

impl Same {
    pub const fn new() -> Self {
        Self { json: OnceLock::new(), xml: OnceLock::new() }
    }
}

/// A resource as the wire shows it.
pub trait Record {
    const NAME: &'static str;
    /// The names of all elements, for the header of a CSV.
    fn columns(&self) -> &'static [&'static str];
    fn write(&self, to: &mut impl Typed);
}

/// `+14158675309`
pub struct E164(pub PhoneNumber);

impl Plain for E164 {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(b"+1");
        Plain::write(&self.0, to);
    }
}

/// Writes the paths of the resources below another one's path.
pub fn subresources(to: &mut impl Typed, path: &str, names: &[&str]) {
    let (mut json, mut xml) = (String::new(), String::new());
    for name in names {
        let comma = if json.is_empty() { "" } else { "," };
        json.push_str(&format!("{comma}\"{}\":\"{path}/{name}.json\"", json::snake(name)));
        xml.push_str(&format!("<{name}>{path}/{name}</{name}>"));
    }
    to.fixed("SubresourceUris", &format!("{{{json}}}"), Some(&xml));
}

/// A list as the wire shows it.
pub struct List<'a, T> {
    pub name: &'static str,
    pub columns: &'static [&'static str],
    /// The query that narrows the list, without paging.
    pub filters: &'a [(&'static str, Option<&'a str>)],
    pub slice: Slice<T, NumberSid>,
    /// The Sids of the first and the last number of this page, if they can be used as cursors.
    pub ends: Option<[NumberSid; 2]>,
}

impl Typed for Xml<'_> {
    fn fixed(&mut self, name: &'static str, _: &str, xml: Option<&str>) {
        if let Some(value) = xml {
            self.element(name, |xml| xml.raw(value));
        }
    }

    fn same(&mut self, known: &'static Same, write: impl FnOnce(&mut Self)) {
        if let Some(text) = known.xml.get() {
            return self.written().extend_from_slice(text);
        }
        let before = self.written().len();
        write(self);
        known.xml.get_or_init(|| self.written()[before..].to_vec());
    }

    fn uri(&mut self, name: &'static str, path: &impl Plain) {
        self.plain(name, path);
    }
}

impl Typed for CsvRow {
    fn fixed(&mut self, name: &'static str, json: &str, xml: Option<&str>) {
        if let Some(value) = xml {
            self.text(name, if json.starts_with('{') { json } else { value });
        }
    }

    fn same(&mut self, _: &'static Same, write: impl FnOnce(&mut Self)) {
        write(self);
    }

    fn uri(&mut self, name: &'static str, path: &impl Plain) {
        self.plain(name, path);
    }
}

/// The answer that holds one resource.
pub fn one(asked: &Asked, status: StatusCode, record: &impl Record) -> HttpResponse {
    let body = match asked.representation {
        Representation::Xml => document(record),
        Representation::Json => json::document(record),
        Representation::Csv => {
            csv_document(record.columns(), std::slice::from_ref(record), |record, to| record.write(to))
        }
    };
    answer(status, asked.representation, body)
}

/// The answer that holds a whole list: one without paging. `given` is the query that it answers.
pub fn whole<T: Record>(
    asked: &Asked,
    name: &str,
    columns: &'static [&'static str],
    given: &[(&str, Option<&str>)],
    all: &[T],
) -> HttpResponse {
    let query = query(given);
    let mark = if query.is_empty() { "" } else { "?" };
    let uri = format!("{}{mark}{}", asked.whole(), query.trim_start_matches('&'));
    let body = match asked.representation {
        Representation::Xml => xml::whole(name, &uri, |xml| {
            all.iter().for_each(|one| xml.element(T::NAME, |xml| one.write(xml)));
        }),
        Representation::Json => json::whole(name, &uri, all),
        Representation::Csv => csv_document(columns, all, |one, to| one.write(to)),
    };
    answer(StatusCode::OK, asked.representation, body)
}

/// The parameters of a query that were given, each after `&`.
fn query(given: &[(&str, Option<&str>)]) -> String {
    given.iter().filter_map(|(name, value)| Some(format!("&{name}={}", encode((*value)?)))).collect()
}

/// The answer that holds a page of a list.
pub async fn list<T: Record + Unpin + 'static>(asked: &Asked, list: List<'_, T>) -> HttpResponse {
    let List { name, columns, filters, slice, ends } = list;
    let given = query(filters);
    let uri = |page, cursor| {
        let (path, ending) = (&asked.path, asked.ending);
        format!("{path}{ending}?{}{given}", page::parameters(page, slice.page.size, cursor))
    };
    let mut links = Links::of(&slice, ends, uri);
    // Also to the first page by a token: so a walk back skips nothing while others buy.
    if let (1, Some([first, _])) = (slice.number(), ends) {
        links.previous = uri(0, Cursor::Before(first));
    }
    let representation = asked.representation;
    let (head, tail) = match representation {
        Representation::Xml => xml::around(name, &slice, &links),
        Representation::Json => json::around(name, &slice, &links),
        Representation::Csv => (csv_document::<T>(columns, &[], |_, _| {}), String::new()),
    };
    let rows = Written { representation, columns, tail };
    let mut response = answer(StatusCode::OK, representation, Pieces::new(head, slice.items, rows).await);
    list_links(&mut response, &links);
    response
}

/// How the rows of a list are written.
struct Written {
    representation: Representation,
    columns: &'static [&'static str],
    tail: String,
}

impl<T: Record> Rows<T> for Written {
    fn write(&self, rows: &[T], is_first: bool, to: &mut Vec<u8>) {
        match self.representation {
            Representation::Xml => rows.iter().for_each(|row| xml::element(to, T::NAME, |xml| row.write(xml))),
            Representation::Json => json::rows(rows, is_first, to),
            Representation::Csv => csv_rows(self.columns, rows, |row, to| row.write(to), to),
        }
    }

    fn tail(&self) -> &str {
        &self.tail
    }
}

fn document<R: Record>(record: &R) -> Vec<u8> {
    xml::document(|xml| xml.element(R::NAME, |xml| record.write(xml)))
}

/// The answer to a request that was refused or failed. Two messages are Twilio's own, by which programs tell them.
pub fn refusal(asked: &Asked, site: &Site, error: &actix_web::Error) -> HttpResponse {
    let mut told = Exception::of(error, |Refusal(told)| told.clone());
    match told.code {
        Code::NotFound => told.message = format!("The requested resource {} was not found", asked.whole()),
        Code::Authenticate => "Authenticate".clone_into(&mut told.message),
        _ => {}
    }
    let exception = RestException { told: &told, more_info: told.more_info(site) };
    let (representation, body) = match asked.representation {
        Representation::Json => (Representation::Json, json::document(&exception)),
        Representation::Xml | Representation::Csv => (Representation::Xml, document(&exception)),
    };
    let mut response = answer(told.status, representation, body);
    told.tell(&mut response);
    response
}

fn answer(status: StatusCode, representation: Representation, body: impl MessageBody + 'static) -> HttpResponse {
    let mut response = HttpResponse::with_body(status, body).map_into_boxed_body();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(representation.content_type()));
    response
}

struct RestException<'a> {
    told: &'a Exception,
    more_info: String,
}

impl Record for RestException<'_> {
    const NAME: &'static str = "RestException";

    fn columns(&self) -> &'static [&'static str] {
        &["Code", "Message", "MoreInfo", "Status"]
    }

    fn write(&self, to: &mut impl Typed) {
        let (code, status) = (self.told.number.to_string(), self.told.status.as_str());
        to.fixed("Code", &code, Some(&code));
        to.text("Message", &self.told.message);
        to.text("MoreInfo", &self.more_info);
        to.fixed("Status", status, Some(status));
    }
}
