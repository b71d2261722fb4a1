//! Refusals in the words of this version: for each reason its code and its text.

use actix_web::{HttpResponse, ResponseError};

use crate::accounts;
use crate::error::{Denied, Error};
use crate::values::page::REACH;
use crate::web::codes::Code;
use crate::web::exception::{Exception, NOT_AUTHENTICATED, NOT_FOUND};
use crate::web::refused::Refused;
use crate::{numbers, releases};

/// An answer that refuses.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} (error {})", _0.message, _0.code.number())]
pub struct Refusal(pub Exception);

/// Lets handlers use `?`. `web::frame` turns the refusal into an answer.
impl ResponseError for Refusal {
    fn error_response(&self) -> HttpResponse {
        HttpResponse::InternalServerError().finish()
    }
}

/// A parameter with a wrong value.
#[derive(Clone, Copy, Debug)]
pub enum Unfit {
    Page,
    PageSize,
    PageToken,
    /// The status of an account is none.
    Status,
    /// A main account's own status.
    OwnStatus,
    /// The account to which a number is to go is no Sid.
    AccountSid,
    /// There is no account to which a number can go.
    NoTaker,
    /// This registry does not keep what the parameter sets.
    NotKept(&'static str),
    /// The area code of a search is not three digits.
    AreaCode,
    /// The pattern of a search.
    Contains,
    /// A search by a place that this registry does not know of its numbers.
    Place(&'static str),
}

/// A reason that has words.
trait Worded {
    fn words(self) -> (Code, String);
}

impl<R: Worded> From<R> for Refusal {
    fn from(reason: R) -> Self {
        Self(Exception::new(reason.words()))
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
        Self(error.into())
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self(refused.into())
    }
}

const SUSPENDED: &str = "The account is suspended: it can read and release numbers only; ask the operator";

impl Worded for Unfit {
    fn words(self) -> (Code, String) {
        let (code, message) = match self {
            Self::Page => {
                return (Code::InvalidParameter, format!("Page must be a whole number from 0 to {}", u32::MAX));
            }
            Self::NotKept(name) => {
                let message = format!("{name} cannot be set: this registry does not keep it; leave it out");
                return (Code::InvalidParameter, message);
            }
            Self::Place(name) => {
                let message = format!(
                    "{name} cannot be searched by: this registry knows area code and state of its numbers only; leave it out"
                );
                return (Code::InvalidParameter, message);
            }
            Self::AreaCode => (Code::AreaCode, "AreaCode must be three digits"),
            Self::Contains => (
                Code::InvalidParameter,
                "Contains must be 2 to 16 characters: digits, letters, * and %, with at least two digits or letters; a + may \
                come first (in a URL %2B), and a $ last",
            ),
            Self::PageSize => (Code::PageSize, "PageSize must be a whole number from 1 on"),
            Self::PageToken => (Code::PageToken, "PageToken must be as next_page_uri or previous_page_uri gives it"),
            Self::Status => (Code::Status, "Status must be active, suspended or closed"),
            Self::OwnStatus => (Code::OwnStatus, "The status of a main account is changed by the operator only"),
            Self::AccountSid => (Code::NotASid, "AccountSid must be AC and 32 hexadecimal digits"),
            Self::NoTaker => (Code::NoSuchAccount, "There is no account of yours with this AccountSid"),
        };
        (code, message.to_owned())
    }
}

impl Worded for accounts::Refused {
    fn words(self) -> (Code, String) {
        match self {
            Self::NotAuthenticated => (Code::Authenticate, NOT_AUTHENTICATED.to_owned()),
            Self::Unknown(_) | Self::Unnamed(_) | Self::Several(..) => (Code::NotFound, NOT_FOUND.to_owned()),
            Self::Suspended => (Code::AccountNotActive, SUSPENDED.to_owned()),
            Self::Closed(account) => (Code::AccountNotActive, format!("{account} is closed for good")),
            // This version closes no account yet, and knows no ref.
            Self::HoldsNumbers { .. } | Self::HoldsMore(_) | Self::HoldsMoney { .. } | Self::RefTaken { .. } => {
                (Code::InvalidParameter, "The account cannot be changed so".to_owned())
            }
        }
    }
}

impl Worded for numbers::Refused {
    fn words(self) -> (Code, String) {
        let (code, message) = match self {
            Self::NotHeld | Self::NotInStock(_) | Self::NotOnSale(..) | Self::NeverSold(_) => {
                (Code::NotFound, NOT_FOUND)
            }
            Self::Suspended => (Code::AccountNotActive, SUSPENDED),
            Self::LoneVoiceFallback => {
                (Code::VoiceFallback, "VoiceFallbackUrl needs a VoiceUrl: set VoiceUrl too, or clear VoiceFallbackUrl")
            }
            Self::LoneSmsFallback => {
                (Code::SmsFallback, "SmsFallbackUrl needs an SmsUrl: set SmsUrl too, or clear SmsFallbackUrl")
            }
            Self::UnknownCursor => return Unfit::PageToken.words(),
            Self::BeyondReach => {
                let message =
                    format!("Page reaches the first {REACH} numbers of a list; follow next_page_uri from there");
                return (Code::InvalidParameter, message);
            }
        };
        (code, message.to_owned())
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
            // No request of this version restores a number.
            Self::IsHeld(..) | Self::NotQuarantined(..) | Self::NotLast(..) | Self::HolderClosed(_) => {
                (Code::InvalidParameter, "The number cannot be given back".to_owned())
            }
            Self::SameAccount(..) | Self::NoTaker(_) | Self::TakerClosed(_) | Self::TakerSuspended(_) => {
                Unfit::NoTaker.words()
            }
        }
    }
}
