//! How answers look on the wire: one description of a resource, three representations.

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};

use super::page;
use super::refusals::Refusal;
use crate::values::page::Slice;
use crate::values::sid::NumberSid;
use crate::web::asked::{Asked, Representation};
use crate::web::exception::Exception;
use crate::web::params::encode;
use crate::web::represent::{Fields, Links, Pieces, Rows, csv_document, csv_rows, list_links, xml};
use crate::web::site::Site;

mod json;

use json::Json;

/// The root of the resource tree.
pub const TREE: &str = "/2008-08-01";

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
        Representation::Xml => document(record),
        Representation::Json => Json::document(record),
        Representation::Csv => {
            csv_document(record.columns(), std::slice::from_ref(record), |record, to| record.write(to))
        }
    };
    answer(status, asked.representation, body)
}

/// The answer that holds a page of a list.
pub async fn list<T: Record + Unpin + 'static>(asked: &Asked, list: List<'_, T>) -> HttpResponse {
    let List { name, columns, filters, slice, ends } = list;
    let filters: String = filters.iter().map(|(name, value)| format!("&{name}={}", encode(value))).collect();
    let links = Links::of(&slice, ends, |page, cursor| {
        let (path, ending, size) = (&asked.path, asked.ending, slice.page.size);
        format!("{path}{ending}?Page={page}&PageSize={size}{filters}{}", page::parameter(cursor))
    });
    let representation = asked.representation;
    let (head, tail) = match representation {
        Representation::Xml => xml::around(name, &slice, &links),
        Representation::Json => json::around(name),
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

/// The answer to a request that was refused or failed.
pub fn refusal(asked: &Asked, site: &Site, error: &actix_web::Error) -> HttpResponse {
    let told = Exception::of(error, |Refusal(told)| told.clone());
    let exception = RestException { told: &told, more_info: told.more_info(site) };
    let (representation, body) = match asked.representation {
        Representation::Json => {
            (Representation::Json, json::beside(Json::document(&exception), &Beside::of(&exception)))
        }
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

/// The parts of an error as version 2010-04-01 has them: old SDKs read them there for every version.
#[derive(serde::Serialize)]
struct Beside<'a> {
    status: u16,
    code: u32,
    message: &'a str,
    more_info: &'a str,
}

impl<'a> Beside<'a> {
    fn of(exception: &'a RestException<'a>) -> Self {
        let Exception { status, number, message, .. } = exception.told;
        Self { status: status.as_u16(), code: *number, message, more_info: &exception.more_info }
    }
}

impl Record for RestException<'_> {
    const NAME: &'static str = "RestException";

    fn columns(&self) -> &'static [&'static str] {
        &["Status", "Message", "Code", "MoreInfo"]
    }

    fn write(&self, to: &mut impl Fields) {
        let Exception { status, number, message, .. } = self.told;
        to.text("Status", status.as_str());
        to.text("Message", message);
        to.text("Code", &number.to_string());
        to.text("MoreInfo", &self.more_info);
    }
}
