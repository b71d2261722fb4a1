//! Refusals in the words of this version: for each reason its code and its text.

use crate::accounts;
use crate::values::page::{LARGEST_SIZE, REACH};
use crate::web::codes::Code;
use crate::web::exception::{NOT_AUTHENTICATED, NOT_FOUND, SUSPENDED, unsold};
use crate::web::refusal::refusal;
use crate::{numbers, purchases, releases};

refusal! {}

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
    /// A resource that Twilio has and this registry does not have.
    NotKept(String),
}

const LONE_VOICE_FALLBACK: &str = "VoiceFallbackUrl needs a Url: set Url too, or clear VoiceFallbackUrl";
const LONE_SMS_FALLBACK: &str = "SmsFallbackUrl needs an SmsUrl: set SmsUrl too, or clear SmsFallbackUrl";
const UNKNOWN_CURSOR: &str = "AfterSid and BeforeSid must be the Sid of a number of this account, as nextpageuri and \
    previouspageuri give it";

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
            Self::Exists(_) => (Code::InvalidParameter, "There is an account with this Sid already".to_owned()),
            Self::RefTaken { .. } => (Code::InvalidParameter, "Another account has this ref".to_owned()),
            // It has no sub-accounts and no API keys either.
            Self::HoldsTooMany(_)
            | Self::Reopened(_)
            | Self::NoKey(_)
            | Self::TooManyKeys
            | Self::NotAMainAccount(_)
            | Self::TooManySubAccounts
            | Self::SuspendedByOperator(_)
            | Self::OwnerNotActive(_)
            | Self::OwnsAccounts { .. } => (Code::InvalidParameter, "The account cannot be changed so".to_owned()),
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
        unsold(&self)
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
