//! Twilio's RestException: what an answer tells that refuses. The words that all versions of the API use stand here; each
//! version has its own for its use cases.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};

use super::codes::Code;
use super::form::LARGEST_BODY;
use super::observe::{Cause, RefusedBy};
use super::pages::of_error;
use super::refused::{Fault, Refused, Unfit};
use super::site::Site;
use crate::error::{Denied, Error, Limit};
use crate::purchases::{self, IdempotencyKey, KEY_HOURS};

/// An answer that refuses, and its cause for the log.
#[derive(Clone, Debug)]
pub struct Exception {
    pub code: Code,
    /// The status and the number that the client sees: those of the code, unless others were ordered.
    pub status: StatusCode,
    pub number: u32,
    pub message: String,
    /// For 429 and 503: in how many seconds a retry may succeed.
    retry_after: u64,
    /// For 405: the methods that the resource has.
    allow: Option<HeaderValue>,
    /// The internal cause. It is logged and never sent.
    cause: Option<String>,
}

impl Exception {
    pub fn new((code, message): (Code, String)) -> Self {
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { code, status, number: code.number().into(), message, retry_after: 1, allow: None, cause: None }
    }

    /// A refusal that no rule of the API asks for, with any error status and number.
    pub fn ordered(status: StatusCode, number: u32, message: String, retry_after: u64) -> Self {
        let nearest = if status.is_client_error() { Code::InvalidParameter } else { Code::Internal };
        let code = u16::try_from(number).ok().and_then(Code::from_number).unwrap_or(nearest);
        Self { status, number, retry_after, ..Self::new((code, message)) }
    }

    /// What a handler or the frame has refused. `told` takes it from the refusal of a version.
    pub fn of<R: ResponseError + 'static>(error: &actix_web::Error, told: impl FnOnce(&R) -> Self) -> Self {
        if let Some(refusal) = error.as_error::<R>() {
            return told(refusal);
        }
        if let Some(exception) = error.as_error::<Self>() {
            return exception.clone();
        }
        match error.as_error::<Denied<Refused>>().cloned() {
            Some(Denied::Refused(refused)) => refused.into(),
            Some(Denied::Failed(error)) => error.into(),
            // The framework refuses only what it cannot route or read.
            None if error.as_response_error().status_code().is_client_error() => {
                Refused::Unreadable(Fault::Request).into()
            }
            None => Error::Internal(error.to_string()).into(),
        }
    }

    /// The page that explains it. `site` is this server's address; if that is not known, the link is a path.
    pub fn more_info(&self, site: &Site) -> String {
        format!("{site}{}", of_error(self.number))
    }

    /// Adds its headers to the answer, and what is logged of it.
    pub fn tell(self, response: &mut HttpResponse) {
        let header = match self.status {
            StatusCode::UNAUTHORIZED => {
                Some((WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"numberbank\"")))
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Some((RETRY_AFTER, HeaderValue::from(self.retry_after)))
            }
            _ => self.allow.map(|methods| (ALLOW, methods)),
        };
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        let mut told = response.extensions_mut();
        told.insert(RefusedBy(self.code));
        if let Some(cause) = self.cause {
            told.insert(Cause(cause));
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (error {})", self.message, self.number)
    }
}

/// Lets what stands before the handlers refuse in the words of every version.
impl ResponseError for Exception {
    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status).finish()
    }
}

impl From<Error> for Exception {
    fn from(error: Error) -> Self {
        let cause = Some(error.to_string());
        let (code, message) = match error {
            Error::TooMany { of, wait } => return too_many(of, wait),
            Error::Unavailable(_) | Error::Overtaken(_) | Error::Unknown(_) | Error::WrongClock(_) => {
                (Code::Unavailable, "The service is unavailable for a moment, try again shortly")
            }
            Error::Internal(_) => (
                Code::Internal,
                "An internal error occurred; look whether the request took effect before you try again",
            ),
        };
        Self { cause, ..Self::new((code, message.to_owned())) }
    }
}

fn too_many(of: Limit, wait: Duration) -> Exception {
    let what = match of {
        Limit::Verifications => "Too many credentials wait to be verified",
        Limit::WrongTokens => "Too many wrong credentials came from your address",
        Limit::Rate => "The account sends too many requests",
        Limit::UnderWay => "The account has too many requests under way",
        Limit::Changes => "This was changed as often as it may be in a day",
        Limit::Unread => "Answers of this account that are not read yet take all the memory it may have",
    };
    let retry_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let message = format!("{what}; try again in {retry_after} s");
    Exception { retry_after, ..Exception::new((Code::TooManyRequests, message)) }
}

pub const NOT_AUTHENTICATED: &str =
    "Authenticate with HTTP Basic credentials: the AccountSid as user name, its AuthToken as password";
pub const SUSPENDED: &str =
    "The account is not active: it can read and release numbers only; ask who suspended it, its owner or the operator";
/// One text for all reasons, so that no client learns whether another account holds the number.
pub const NOT_ON_SALE: &str = "This PhoneNumber is not on sale; AvailablePhoneNumbers lists some that are";
pub const NOT_FOUND: &str = "There is no such resource in this account";

/// A part of the request cannot be read, or is not the caller's.
impl From<Refused> for Exception {
    fn from(refused: Refused) -> Self {
        let allow = if let Refused::Method(allow) = &refused { Some(allow.clone()) } else { None };
        Self { allow, ..Self::new(read(refused)) }
    }
}

fn read(refused: Refused) -> (Code, String) {
    let (code, message) = match refused {
        Refused::NotAuthenticated => (Code::Authenticate, NOT_AUTHENTICATED.to_owned()),
        Refused::NotFound => (Code::NotFound, NOT_FOUND.to_owned()),
        Refused::Method(allow) => {
            let methods = allow.to_str().unwrap_or_default();
            (Code::MethodNotAllowed, format!("This resource takes {methods} only"))
        }
        Refused::Unreadable(fault) => (Code::Unreadable, unreadable(fault)),
        Refused::BodyTooLarge => {
            let kib = LARGEST_BODY / 1024;
            (Code::BodyTooLarge, format!("The body is larger than {kib} KiB ({LARGEST_BODY} bytes); send less"))
        }
        Refused::Encoded => (Code::ContentType, "Send the body as it is, without a Content-Encoding".to_owned()),
        Refused::NotAForm => (Code::ContentType, "Send the body as application/x-www-form-urlencoded".to_owned()),
        Refused::MethodOverride => (Code::InvalidParameter, "_method must be PUT or DELETE, on a POST".to_owned()),
        Refused::Repeated(names) => {
            (Code::RepeatedParameter, format!("{} was sent more than once; send it once", names.join(" or ")))
        }
        Refused::Misspelt(name) => {
            (Code::InvalidParameter, format!("{name} was sent in another spelling; names are exact, so write {name}"))
        }
        Refused::Elsewhere(right) => (Code::InvalidParameter, right.to_owned()),
        Refused::InQuery(name) => {
            (Code::InvalidParameter, format!("{name} is in the query of the URL; send it in the body of the request"))
        }
        Refused::Unfit(unfit) => unfitting(&unfit),
    };
    (code, message)
}

fn unfitting(unfit: &Unfit) -> (Code, String) {
    match unfit {
        Unfit::FriendlyName(must) => (Code::FriendlyName, format!("FriendlyName {must}")),
        Unfit::Url(name, must) => (Code::Url, format!("{name} {must}")),
        Unfit::Method(name, must) => (Code::Method, format!("{name} {must}")),
        Unfit::Flag(name) => (Code::InvalidParameter, format!("{name} must be true, false, 1 or 0")),
        Unfit::IdempotencyKey => {
            let longest = IdempotencyKey::LONGEST;
            (Code::InvalidParameter, format!("Idempotency-Key must be 1 to {longest} visible ASCII characters"))
        }
        Unfit::IdempotencyKeys(names) => {
            (Code::RepeatedParameter, format!("{} must not differ; send one key", names.join(" and ")))
        }
    }
}

/// Why a purchase was not made.
pub fn unsold(refused: &purchases::Refused) -> (Code, String) {
    let (code, message) = match refused {
        purchases::Refused::AccountGone => (Code::Authenticate, NOT_AUTHENTICATED),
        purchases::Refused::Suspended => (Code::AccountNotActive, SUSPENDED),
        purchases::Refused::NoNumber => (Code::NoNumber, "No phone number is left that matches; try another AreaCode"),
        purchases::Refused::NotOnSale(_) => (Code::NotOnSale, NOT_ON_SALE),
        // What an owner has left is no business of its sub-account.
        purchases::Refused::Insufficient { price, is_owners: true, .. } => {
            let message =
                format!("The balance of the account's owner does not cover the first month's price of {price}");
            return (Code::InsufficientBalance, message);
        }
        purchases::Refused::Insufficient { balance, price, .. } => {
            let message = format!("The balance of {balance} does not cover the first month's price of {price}");
            return (Code::InsufficientBalance, message);
        }
        purchases::Refused::KeyReused => {
            let message =
                format!("The idempotency key was used for another request within {KEY_HOURS} hours; send a new one");
            return (Code::IdempotencyKey, message);
        }
    };
    (code, message.to_owned())
}

fn unreadable(fault: Fault) -> String {
    match fault {
        Fault::Request => "The request cannot be read".to_owned(),
        Fault::Path => "The path of the request cannot be read".to_owned(),
        Fault::Percent => {
            "The request cannot be read: a percent sign is not followed by two hex digits; write a literal \
            one as %25"
                .to_owned()
        }
        Fault::Nul => {
            "The request cannot be read: a NUL character cannot be part of a parameter; leave it out".to_owned()
        }
        Fault::NotUtf8 => "The request cannot be read: the parameters are not UTF-8; encode them as UTF-8".to_owned(),
        Fault::SlowBody(time) => format!("The body of the request did not arrive within {time:?}; send it again"),
        Fault::CutBody => "The body of the request broke off; send it again".to_owned(),
        Fault::Json => "The body looks like JSON; send a form, as in AreaCode=415&FriendlyName=Home".to_owned(),
        Fault::LineFeed => {
            "The form has a line feed in it; put & between parameters, and write a line feed in a value \
            as %0A"
                .to_owned()
        }
        Fault::LineFeedAtEnd => {
            "The form ends with a line feed, which would be a part of the last value; leave it out \
            (curl: --data @file, not --data-binary)"
                .to_owned()
        }
        Fault::Parts => {
            "The form cannot be read: the boundary in Content-Type must separate its parts and end it, and each part \
            must have a name"
                .to_owned()
        }
        Fault::NotText => {
            "A part of the form is a file, or no plain text; send text fields only, in UTF-8 and without an encoding"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Unavailable;

    #[test]
    fn the_inside_is_never_told() {
        for error in [Error::Internal("secret".into()), Error::Unavailable(Unavailable::Database("secret".into()))] {
            let told = Exception::from(error);
            assert!(!told.message.contains("secret") && told.code.status() >= 500);
            assert!(told.cause.is_some_and(|cause| cause.contains("secret")));
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds() {
        for (millis, seconds) in [(1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            let told = Exception::from(Error::TooMany { of: Limit::Rate, wait: Duration::from_millis(millis) });
            assert_eq!((told.code.status(), told.retry_after), (429, seconds));
        }
    }
}
