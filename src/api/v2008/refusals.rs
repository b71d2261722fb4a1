//! Refusals in the words of this version: for each reason its code and its text.

use std::time::Duration;

use actix_web::http::header::HeaderValue;
use actix_web::{HttpResponse, ResponseError};

use crate::accounts;
use crate::error::{Denied, Error, Limit};
use crate::purchases::{self, IdempotencyKey};
use crate::values::page::{LARGEST_SIZE, REACH};
use crate::values::text::{NotACallbackUrl, NotAMethod, NotAName};
use crate::web::codes::Code;
use crate::web::form::LARGEST_BODY;
use crate::web::refused::{Fault, Refused};
use crate::{numbers, releases};

/// An answer that refuses, and its cause for the log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message} (error {})", code.number())]
pub struct Refusal {
    pub code: Code,
    pub message: String,
    /// For 429 and 503: in how many seconds a retry may succeed.
    pub retry_after: u64,
    /// For 405: the methods that the resource has.
    pub allow: Option<HeaderValue>,
    /// The internal cause. It is logged and never sent.
    pub cause: Option<String>,
}

/// Lets handlers use `?`. `web::frame` turns the refusal into an answer.
impl ResponseError for Refusal {
    fn error_response(&self) -> HttpResponse {
        HttpResponse::InternalServerError().finish()
    }
}

/// A parameter with a wrong value.
#[derive(Clone, Debug)]
pub enum Unfit {
    Page,
    PageSize,
    Last,
    /// A cursor that is not a Sid.
    Cursor,
    /// More than one cursor.
    Cursors,
    AreaCode,
    FriendlyName(NotAName),
    Url(&'static str, NotACallbackUrl),
    Method(&'static str, NotAMethod),
    Flag(&'static str),
    IdempotencyKey,
    /// Headers with these two names hold different keys.
    IdempotencyKeys([&'static str; 2]),
    /// A resource that Twilio has and this registry does not have.
    NotKept(String),
}

/// A reason that has words.
trait Worded {
    fn words(self) -> (Code, String);
}

impl<R: Worded> From<R> for Refusal {
    fn from(reason: R) -> Self {
        let (code, message) = reason.words();
        Self { code, message, retry_after: 1, allow: None, cause: None }
    }
}

impl<R: Into<Self>> From<Denied<R>> for Refusal {
    fn from(denied: Denied<R>) -> Self {
        match denied {
            Denied::Refused(reason) => reason.into(),
            Denied::Failed(error) => error.into(),
        }
    }
}

impl From<Error> for Refusal {
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
        Self { code, message: message.to_owned(), retry_after: 1, allow: None, cause }
    }
}

fn too_many(of: Limit, wait: Duration) -> Refusal {
    let what = match of {
        Limit::Verifications => "Too many credentials wait to be verified",
        Limit::WrongTokens => "Too many wrong credentials came from your address",
        Limit::Rate => "The account sends too many requests",
        Limit::UnderWay => "The account has too many requests under way",
        Limit::Unread => "Answers of this account that are not read yet take all the memory it may have",
    };
    let retry_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let message = format!("{what}; try again in {retry_after} s");
    Refusal { code: Code::TooManyRequests, message, retry_after, allow: None, cause: None }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let allow = if let Refused::Method(allow) = &refused { Some(allow.clone()) } else { None };
        let (code, message) = read(refused);
        Self { code, message, retry_after: 1, allow, cause: None }
    }
}

const NOT_AUTHENTICATED: &str =
    "Authenticate with HTTP Basic credentials: the AccountSid as user name, its AuthToken as password";
const NOT_FOUND: &str = "There is no such resource in this account";
const SUSPENDED: &str = "The account is suspended: it can read and release numbers only; ask the operator";
const LONE_VOICE_FALLBACK: &str = "VoiceFallbackUrl needs a Url: set Url too, or clear VoiceFallbackUrl";
const LONE_SMS_FALLBACK: &str = "SmsFallbackUrl needs an SmsUrl: set SmsUrl too, or clear SmsFallbackUrl";
const UNKNOWN_CURSOR: &str = "AfterSid and BeforeSid must be the Sid of a number of this account, as nextpageuri and \
    previouspageuri give it";

/// A part of the request cannot be read, or is not the caller's.
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
    };
    (code, message)
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
    }
}

impl Worded for Unfit {
    fn words(self) -> (Code, String) {
        match self {
            Self::Page => (Code::InvalidParameter, format!("Page must be a whole number from 0 to {}", u32::MAX)),
            Self::PageSize => {
                (Code::PageSize, format!("PageSize (or num) must be a whole number from 1 to {LARGEST_SIZE}"))
            }
            Self::Last => (Code::InvalidParameter, "Last must be true; leave it out for any other page".to_owned()),
            Self::Cursor => (Code::InvalidParameter, UNKNOWN_CURSOR.to_owned()),
            Self::Cursors => (Code::InvalidParameter, "Send one of AfterSid, BeforeSid and Last".to_owned()),
            Self::AreaCode => (
                Code::AreaCode,
                "AreaCode must be a US area code of three digits, such as 415; leave it out for a number from anywhere"
                    .to_owned(),
            ),
            Self::FriendlyName(must) => (Code::FriendlyName, format!("FriendlyName {must}")),
            Self::Url(name, must) => (Code::Url, format!("{name} {must}")),
            Self::Method(name, must) => (Code::Method, format!("{name} {must}")),
            Self::Flag(name) => (Code::InvalidParameter, format!("{name} must be true, false, 1 or 0")),
            Self::IdempotencyKey => {
                let longest = IdempotencyKey::LONGEST;
                (Code::InvalidParameter, format!("Idempotency-Key must be 1 to {longest} visible ASCII characters"))
            }
            Self::IdempotencyKeys(names) => {
                (Code::RepeatedParameter, format!("{} must not differ; send one key", names.join(" and ")))
            }
            Self::NotKept(name) => (Code::NotFound, format!("numberbank keeps numbers; it has no {name}")),
        }
    }
}

impl Worded for accounts::Refused {
    fn words(self) -> (Code, String) {
        match self {
            Self::NotAuthenticated => (Code::Authenticate, NOT_AUTHENTICATED.to_owned()),
            Self::Unknown(account) => (Code::NotFound, format!("There is no account {account}")),
            Self::Unnamed(_) | Self::Several(..) => (Code::NotFound, "There is no such account".to_owned()),
            Self::Suspended => (Code::AccountNotActive, SUSPENDED.to_owned()),
            Self::Closed(account) => (Code::AccountNotActive, format!("{account} is closed for good")),
            Self::HoldsNumbers { account, numbers } => {
                (Code::InvalidParameter, format!("{account} still holds {numbers} numbers: release them first"))
            }
            // This version closes no account and knows no ref.
            Self::HoldsMore(_) => (Code::InvalidParameter, "The account holds more by now".to_owned()),
            Self::HoldsMoney { .. } => (Code::InvalidParameter, "The account still has money".to_owned()),
            Self::RefTaken { .. } => (Code::InvalidParameter, "Another account has this ref".to_owned()),
        }
    }
}

impl Worded for numbers::Refused {
    fn words(self) -> (Code, String) {
        match self {
            Self::NotHeld | Self::NotInStock(_) | Self::NotOnSale(..) | Self::NeverSold(_) => {
                (Code::NotFound, NOT_FOUND.to_owned())
            }
            Self::Suspended => (Code::AccountNotActive, SUSPENDED.to_owned()),
            Self::LoneVoiceFallback => (Code::VoiceFallback, LONE_VOICE_FALLBACK.to_owned()),
            Self::LoneSmsFallback => (Code::SmsFallback, LONE_SMS_FALLBACK.to_owned()),
            Self::UnknownCursor => (Code::InvalidParameter, UNKNOWN_CURSOR.to_owned()),
            Self::BeyondReach => (
                Code::InvalidParameter,
                format!(
                    "Page reaches the first {REACH} numbers of a list; walk on from there by nextpageuri, or back from \
                    lastpageuri by previouspageuri"
                ),
            ),
        }
    }
}

impl Worded for purchases::Refused {
    fn words(self) -> (Code, String) {
        match self {
            Self::AccountGone => (Code::Authenticate, NOT_AUTHENTICATED.to_owned()),
            Self::Suspended => (Code::AccountNotActive, SUSPENDED.to_owned()),
            Self::NoNumber => (Code::NoNumber, "No phone number is left that matches; try another AreaCode".to_owned()),
            Self::Insufficient { balance, price } => (
                Code::InsufficientBalance,
                format!("The balance of {balance} does not cover the first month's price of {price}"),
            ),
            Self::KeyReused => (
                Code::IdempotencyKey,
                format!(
                    "The idempotency key was used for another request within {} hours; send a new one",
                    purchases::KEY_HOURS
                ),
            ),
            Self::NotOnSale(why) => why.words(),
        }
    }
}

impl Worded for releases::Refused {
    fn words(self) -> (Code, String) {
        match self {
            Self::NotHeld
            | Self::NeverSold(_)
            | Self::NotInStock(_)
            | Self::NotInUse(..)
            | Self::HeldUnderAnother(..) => (Code::NotFound, NOT_FOUND.to_owned()),
            // No request of this version restores a number, or moves one to another account.
            Self::IsHeld(..) | Self::NotQuarantined(..) | Self::NotLast(..) | Self::HolderClosed(_) => {
                (Code::InvalidParameter, "The number cannot be given back".to_owned())
            }
            Self::SameAccount(..) | Self::NoTaker(_) | Self::TakerClosed(_) | Self::TakerSuspended(_) => {
                (Code::InvalidParameter, "The number cannot be moved".to_owned())
            }
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
            let refusal = Refusal::from(error);
            assert!(!refusal.message.contains("secret") && refusal.code.status() >= 500);
            assert!(refusal.cause.is_some_and(|cause| cause.contains("secret")));
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds() {
        for (millis, seconds) in [(1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            let refusal = Refusal::from(Error::TooMany { of: Limit::Rate, wait: Duration::from_millis(millis) });
            assert_eq!((refusal.code.status(), refusal.retry_after), (429, seconds));
        }
    }
}
