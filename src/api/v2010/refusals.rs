//! Refusals in the words of this version: for each reason its code and its text.

use crate::accounts;
use crate::accounts::families::{MOST_EVER, MOST_SUB_ACCOUNTS};
use crate::accounts::keys::MOST_KEYS;
use crate::numbers::settings::ApiVersion;
use crate::values::page::REACH;
use crate::web::caller::Call;
use crate::web::codes::Code;
use crate::web::exception::{NOT_AUTHENTICATED, NOT_FOUND, NOT_ON_SALE, SUSPENDED, unsold};
use crate::web::refusal::refusal;
use crate::{numbers, purchases, releases};

refusal! {}

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
    /// A sub-account gives no number away.
    Giver,
    /// A sub-account does what its owner may.
    OwnerOnly,
    /// A standard API key manages accounts or keys.
    StandardKey,
    /// An API key gives a number to another account.
    KeyGivesNone,
    /// This registry does not keep what the parameter sets.
    NotKept(&'static str),
    /// A Sid of a resource at Twilio has another form.
    ForeignSid {
        name: &'static str,
        prefix: &'static str,
    },
    ApiVersion,
    /// A purchase names no phone number and no area code.
    NothingNamed,
    /// The PhoneNumber of a purchase is none.
    NotANumber,
    /// It may be one, but not of a US number.
    NotOnSale,
    AreaCode,
    /// An area code on a path that takes a PhoneNumber only.
    AreaCodeOfKind,
    /// The number is not of the kind of the path.
    OtherKind,
    /// A purchase for another account than that of the path.
    OtherAccount,
    /// The area code of a search is not three digits.
    SearchedAreaCode,
    /// The pattern of a search.
    Contains,
    /// A search by a place that this registry does not know of its numbers.
    Place(&'static str),
}

/// Accounts and keys are managed by all but standard API keys.
pub fn refuse_standard_key(call: &Call) -> Result<(), Unfit> {
    if call.caller.may_manage() { Ok(()) } else { Err(Unfit::StandardKey) }
}

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
            Self::ForeignSid { name, prefix } => {
                let code = if prefix == "AP" { Code::ApplicationSid } else { Code::InvalidParameter };
                return (code, format!("{name} must be {prefix} and 32 hexadecimal digits"));
            }
            Self::ApiVersion => {
                let [old, new] = ApiVersion::ALL.map(ApiVersion::as_str);
                return (Code::InvalidParameter, format!("ApiVersion must be {old} or {new}"));
            }
            Self::NothingNamed => {
                (Code::NotANumber, "Send the PhoneNumber that you want, or an AreaCode for any number of it")
            }
            Self::NotANumber => (Code::NotANumber, "PhoneNumber must be a US phone number, such as +14158675309"),
            Self::NotOnSale => (Code::NotOnSale, NOT_ON_SALE),
            Self::AreaCode => (Code::AreaCode, "AreaCode must be a US area code of three digits, such as 415"),
            Self::AreaCodeOfKind => {
                (Code::AreaCodeOfKind, "This path takes a PhoneNumber only; send the AreaCode to IncomingPhoneNumbers")
            }
            Self::OtherAccount => (
                Code::InvalidParameter,
                "The number goes to the account of the path; leave AccountSid out, or send it there",
            ),
            Self::OtherKind => {
                (Code::OtherKind, "The PhoneNumber is not of the kind of this path; send it to IncomingPhoneNumbers")
            }
            Self::Place(name) => {
                let message = format!(
                    "{name} cannot be searched by: this registry knows area code and state of its numbers only; leave it out"
                );
                return (Code::InvalidParameter, message);
            }
            Self::SearchedAreaCode => (Code::AreaCode, "AreaCode must be three digits"),
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
            Self::Giver => (Code::TransferByOwner, "Only the account that owns this one can transfer its numbers"),
            Self::OwnerOnly => (Code::NotAllowed, "Only the account that owns this one can do that"),
            Self::StandardKey => (
                Code::NotAllowed,
                "A standard API key cannot manage accounts or keys; send the AccountSid and its AuthToken",
            ),
            Self::KeyGivesNone => (
                Code::NotAllowed,
                "An API key cannot give a number to another account; send the AccountSid and its AuthToken",
            ),
            Self::NoTaker => (Code::NoSuchAccount, "There is no account of yours with this AccountSid"),
        };
        (code, message.to_owned())
    }
}

impl Worded for accounts::Refused {
    fn words(self) -> (Code, String) {
        match self {
            Self::NotAuthenticated => (Code::Authenticate, NOT_AUTHENTICATED.to_owned()),
            Self::Unknown(_) | Self::Unnamed(_) | Self::Several(..) | Self::NoKey(_) => {
                (Code::NotFound, NOT_FOUND.to_owned())
            }
            Self::Suspended => (Code::AccountNotActive, SUSPENDED.to_owned()),
            Self::TooManyKeys => (
                Code::TooManyKeys,
                format!("An account has at most {MOST_KEYS} API keys; delete one that is not needed"),
            ),
            Self::Closed(account) => (Code::AccountClosed, format!("{account} is closed for good")),
            Self::NotAMainAccount(_) => (Code::NotAllowed, "A sub-account owns no accounts".to_owned()),
            Self::TooManySubAccounts => {
                let message = format!(
                    "An account owns at most {MOST_SUB_ACCOUNTS} open sub-accounts, and creates at most {MOST_EVER} \
                    in all; close some, or use an open one again"
                );
                (Code::TooManySubAccounts, message)
            }
            Self::SuspendedByOperator(account) => {
                (Code::SuspendedByOperator, format!("{account} was suspended by the operator; ask the operator"))
            }
            Self::OwnerNotActive(_) => (Code::OwnerNotActive, "Your account is suspended; ask the operator".to_owned()),
            Self::HoldsTooMany(most) => {
                let message = format!("The account holds more than {most} numbers: release or transfer some first");
                (Code::InvalidParameter, message)
            }
            Self::HoldsMore(account) => {
                (Code::InvalidParameter, format!("{account} came to hold more numbers meanwhile; try again"))
            }
            Self::Reopened(account) => {
                (Code::InvalidParameter, format!("{account} was made active before it was closed; try again"))
            }
            // This version releases what an account holds, and knows no ref; a sub-account has no money.
            Self::HoldsNumbers { .. }
            | Self::HoldsMoney { .. }
            | Self::OwnsAccounts { .. }
            | Self::RefTaken { .. }
            | Self::Exists(_) => (Code::InvalidParameter, "The account cannot be changed so".to_owned()),
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
            // No request of this version restores a number.
            Self::IsHeld(..) | Self::NotQuarantined(..) | Self::NotLast(..) | Self::HolderClosed(_) => {
                (Code::InvalidParameter, "The number cannot be given back".to_owned())
            }
            Self::SameAccount(..) | Self::NoTaker(_) => Unfit::NoTaker.words(),
            Self::TakerClosed(account) | Self::TakerSuspended(account) => {
                (Code::TakerNotActive, format!("{account} is not active, so that it takes no number"))
            }
        }
    }
}
