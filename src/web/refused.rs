//! What cannot be read of a request, or is not the caller's: refused before any slice is asked.

use std::time::Duration;

use actix_web::http::header::HeaderValue;
use actix_web::{HttpResponse, ResponseError};

use crate::accounts;
use crate::error::{Denied, Refuses};

/// Why a request goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    NotAuthenticated,
    /// Nothing that the caller may see lies at this path.
    NotFound,
    /// The resource takes these methods only.
    Method(HeaderValue),
    Unreadable(Fault),
    BodyTooLarge,
    /// The body is compressed.
    Encoded,
    /// The body is no form.
    NotAForm,
    /// `_method` says what it cannot.
    MethodOverride,
    /// A parameter was sent more than once, by one of these names.
    Repeated(Vec<&'static str>),
    /// This parameter was sent in another spelling.
    Misspelt(&'static str),
    /// A parameter has another name here; the text says which.
    Elsewhere(&'static str),
    /// This parameter was sent in the query of the URL.
    InQuery(&'static str),
}

/// What cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Request,
    Path,
    /// A percent sign without two hex digits.
    Percent,
    Nul,
    NotUtf8,
    /// The body did not come within this time.
    SlowBody(Duration),
    /// The body broke off.
    CutBody,
    Json,
    LineFeed,
    LineFeedAtEnd,
}

impl Refuses for Refused {}

impl From<accounts::Refused> for Refused {
    /// A stranger is not told why.
    fn from(_: accounts::Refused) -> Self {
        Self::NotAuthenticated
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Unreadable(fault)
    }
}

/// Lets extractors end with `?`. The frame around every request writes the answer.
impl ResponseError for Denied<Refused> {
    fn error_response(&self) -> HttpResponse {
        HttpResponse::InternalServerError().finish()
    }
}
