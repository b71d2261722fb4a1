//! Refusals of requests that cannot be read, or ask for what is not the caller's. No use case is called.

use std::time::Duration;

use actix_web::http::header::HeaderValue;
use actix_web::{HttpResponse, ResponseError};

use crate::accounts;
use crate::error::{Denied, Refuses};
use crate::values::text::{NotACallbackUrl, NotAMethod, NotAName};

/// Why a request is refused before a use case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    NotAuthenticated,
    /// There is nothing at this path that the caller may see.
    NotFound,
    /// The resource has only these methods.
    Method(HeaderValue),
    Unreadable(Fault),
    BodyTooLarge,
    /// The body is compressed.
    Encoded,
    /// The body is not a form.
    NotAForm,
    /// `_method` has a wrong value, or is not allowed here.
    MethodOverride,
    /// A parameter was sent more than once, by one of these names.
    Repeated(Vec<&'static str>),
    /// This parameter was sent in another spelling.
    Misspelt(&'static str),
    /// A parameter has another name here; the text says which.
    Elsewhere(&'static str),
    /// This parameter was sent in the query of the URL.
    InQuery(&'static str),
    Unfit(Unfit),
}

/// A parameter of all versions with a wrong value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    FriendlyName(NotAName),
    Url(&'static str, NotACallbackUrl),
    Method(&'static str, NotAMethod),
    Flag(&'static str),
    IdempotencyKey,
    /// Headers with these two names hold different keys.
    IdempotencyKeys([&'static str; 2]),
}

impl From<Unfit> for Refused {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

/// The part of a request that cannot be read.
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
    /// The parts of a form do not fit their boundary, or have no names.
    Parts,
    /// A part of a form is a file, or no plain text.
    NotText,
}

impl Refuses for Refused {}

impl From<accounts::Refused> for Refused {
    /// The client is not told why.
    fn from(_: accounts::Refused) -> Self {
        Self::NotAuthenticated
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Unreadable(fault)
    }
}

/// Lets extractors use `?`. `frame` turns the refusal into an answer.
impl ResponseError for Denied<Refused> {
    fn error_response(&self) -> HttpResponse {
        HttpResponse::InternalServerError().finish()
    }
}
