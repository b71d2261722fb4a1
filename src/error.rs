//! The one error catalogue, and the one error type of every use case.
//!
//! What a client may read ([`Refusal`]) and what happened inside ([`Error::cause`]) are kept apart: causes go
//! to the log only.

use std::fmt;
use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::values::clock::WrongClock;

macro_rules! catalogue {
    ($($code:ident = $number:literal, $status:literal, $title:literal, $cause:literal, $remedy:literal;)*) => {
        /// The code of an error, which settles its HTTP status. Twilio's numbers where one fits, 29xxx are ours.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($code = $number),* }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$code),*];

            pub const fn status(self) -> u16 {
                match self { $(Self::$code => $status),* }
            }

            pub const fn title(self) -> &'static str {
                match self { $(Self::$code => $title),* }
            }

            pub const fn cause(self) -> &'static str {
                match self { $(Self::$code => $cause),* }
            }

            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$code => $remedy),* }
            }
        }
    };
}

catalogue! {
    FriendlyName = 20002, 400, "Invalid FriendlyName",
        "The FriendlyName is longer than 64 characters or holds a control character.",
        "Send at most 64 characters of text. An empty FriendlyName gives a number its default name.";
    Authenticate = 20003, 401, "Authenticate",
        "The request has no credentials, or they are unreadable or wrong, or the account is closed.",
        "Send HTTP Basic credentials: the AccountSid as user name, the AuthToken as password.";
    MethodNotAllowed = 20004, 405, "Method not allowed",
        "The resource exists, but not for this HTTP method.",
        "Use one of the methods that the Allow header of the answer lists.";
    AccountNotActive = 20005, 403, "Account not active",
        "The account is suspended: it can read and release numbers, but not buy or update them.",
        "Ask the operator to activate the account. Where a monthly fee was not paid, a credit that covers what is due does so.";
    PageSize = 20007, 400, "Page size out of range",
        "The page size (num or PageSize) is not a whole number from 1 to 1000.",
        "Ask for 1 to 1000 numbers a page and follow nextpageuri for the rest.";
    NotFound = 20404, 404, "Resource not found",
        "There is no such resource in this account.",
        "Check the path, letter for letter: paths and Sids are case-sensitive.";
    TooManyRequests = 20429, 429, "Too many requests",
        "More credentials wait to be verified than this server verifies at once, or too many wrong ones came from your address, or the account sends more requests than one may, or has more of them under way or more answers unread.",
        "Wait as long as the Retry-After header says, then try again.";
    Internal = 20500, 500, "Internal server error",
        "Something went wrong inside the server.",
        "Look whether the request took effect before you try again; if it stays, tell the operator when it happened.";
    Unavailable = 20503, 503, "Service unavailable",
        "The server cannot reach its database just now, or others keep it too busy for this request.",
        "Try again after what the Retry-After header says; send an Idempotency-Key with purchases, so that a retry buys nothing twice.";
    Url = 21402, 400, "Invalid URL",
        "A callback URL is not an absolute http or https URL with a host, is longer than 2048 characters, or has invisible characters in its host.",
        "Send a URL such as http://example.com/handle, or an empty value to clear it.";
    Method = 21403, 400, "Invalid method",
        "A callback's method is neither GET nor POST.",
        "Send GET or POST.";
    VoiceFallback = 21405, 400, "VoiceFallbackUrl without Url",
        "A VoiceFallbackUrl needs a Url, and after this request there would be none.",
        "Set Url too, or clear VoiceFallbackUrl in the same request.";
    SmsFallback = 21406, 400, "SmsFallbackUrl without SmsUrl",
        "An SmsFallbackUrl needs an SmsUrl, and after this request there would be none.",
        "Set SmsUrl too, or clear SmsFallbackUrl in the same request.";
    SmsOnTollFree = 21407, 400, "No SMS on a toll-free number",
        "Earlier versions of this server refused Sms parameters on a toll-free number.",
        "Nothing is to be done: they are checked like all others, and not shown.";
    AreaCode = 21451, 400, "Invalid area code",
        "The AreaCode is not three digits or no US area code.",
        "Send a US area code such as 415, or leave AreaCode out for a number from anywhere.";
    NoNumber = 21452, 400, "No phone number found",
        "There is no number left that matches the request.",
        "Try another area code, or leave AreaCode out. Toll-free codes are sold by TollFree, all others by Local.";
    InsufficientBalance = 29001, 402, "Insufficient balance",
        "The account's balance is less than the first month's price of the number.",
        "Ask the operator to credit the account.";
    InvalidParameter = 29002, 400, "Invalid parameter",
        "A parameter's value is not one of those that it takes; or a purchase or an update came with a parameter in the query of the URL, with a name in another spelling, or with a name of a later API version.",
        "The message names the parameter and says what would be right.";
    RepeatedParameter = 29003, 400, "Repeated parameter",
        "A parameter was sent more than once.",
        "Send each parameter once.";
    Unreadable = 29004, 400, "Unreadable request",
        "The request has a broken percent-encoding, text that is not UTF-8, a NUL character, or a line feed in its form; or its body did not arrive in time.",
        "Encode parameters as application/x-www-form-urlencoded in UTF-8, without a line feed at the end, and send the body at once.";
    IdempotencyKey = 29005, 409, "Idempotency key used for another request",
        "This idempotency key came with a different request within the last 24 hours.",
        "Use a new key for each new purchase, and the same key only to repeat the same request.";
    BodyTooLarge = 29006, 413, "Request body too large",
        "The body of the request is larger than 16 KiB.",
        "Send the parameters of one number only.";
    ContentType = 29007, 415, "Unsupported content type",
        "The body is not a form, or it is compressed.",
        "Send Content-Type: application/x-www-form-urlencoded, or none, and no Content-Encoding.";
}

impl Code {
    pub const fn number(self) -> u16 {
        self as u16
    }

    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }

    /// A refusal of this code, with a message that says what would be right.
    pub fn because(self, message: impl Into<String>) -> Error {
        Error::Refused(Refusal { code: self, message: message.into(), retry_after: 1 })
    }
}

/// The refusal of whatever is not the caller's, whether it exists or not.
pub fn not_found() -> Error {
    Code::NotFound.because("There is no such resource in this account")
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    pub message: String,
    /// Seconds until the same request may be granted, where that is a matter of time: 429 and 503.
    pub retry_after: u64,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (error {})", self.message, self.code.number())
    }
}

/// Why a use case did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The request cannot be granted as it is; nothing was changed.
    #[error("{0}")]
    Refused(Refusal),
    /// The database is out of reach, or too many wait for it; the same request may go through later.
    #[error("{0}")]
    Unavailable(String),
    /// PostgreSQL took it back whole because others were at the same rows; the same again may go through at once.
    #[error("others came in between again and again, and nothing was changed: {0}")]
    Overtaken(String),
    /// The answer to its commit was lost: it may be done or not.
    #[error("the database's answer was lost: {0}")]
    Unknown(String),
    /// This machine's clock is too wrong for what was asked; nothing was changed.
    #[error("{0}")]
    WrongClock(String),
    /// A defect, or something outside that should not happen.
    #[error("{0}")]
    Internal(String),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The refusal of too much in too short a time; there is more after this wait.
    pub fn too_many(what: &str, wait: Duration) -> Self {
        let retry_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let message = format!("{what}; try again in {retry_after} s");
        Self::Refused(Refusal { code: Code::TooManyRequests, message, retry_after })
    }

    /// What happened inside, for the log.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Refused(_) => None,
            Self::Unavailable(cause)
            | Self::Overtaken(cause)
            | Self::Unknown(cause)
            | Self::WrongClock(cause)
            | Self::Internal(cause) => Some(cause),
        }
    }

    /// What a client may know of it.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal.clone(),
            Self::Unavailable(_) | Self::Overtaken(_) | Self::Unknown(_) | Self::WrongClock(_) => Refusal {
                code: Code::Unavailable,
                message: "The service is unavailable for a moment, try again shortly".to_owned(),
                retry_after: 1,
            },
            Self::Internal(_) => Refusal {
                code: Code::Internal,
                message: "An internal error occurred; look whether the request took effect before you try again"
                    .to_owned(),
                retry_after: 1,
            },
        }
    }
}

/// The name of the constraint that a statement ran into, if it was one.
pub fn violated(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(|error| error.constraint())
}

/// Whether others came in between of a statement, so that the same again, which sees what they did, may succeed.
///
/// PostgreSQL ended it to let another one go on, or it held the row's new version against a constraint before it noticed
/// that the row is newer than what the statement began with. Constraints called `…_not_negative` guard what each statement
/// that takes something away has compared itself, in the row that it locked: where one is met, that was an older version.
fn is_overtaken(error: &sqlx::Error) -> bool {
    matches!(sqlstate(error).as_deref(), Some("40P01" | "40001"))
        || violated(error).is_some_and(|constraint| constraint.ends_with("_not_negative"))
}

/// Whether no connection like the one that said this is of use any more: the server ended it, or is not the
/// primary (any more).
pub fn ends_connection(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    let state = error.code().unwrap_or_default();
    matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
        || state == READ_ONLY
        || ["08", "57P"].iter().any(|class| state.starts_with(class))
}

/// The state of a statement that would write on a standby, or where transactions are read-only.
const READ_ONLY: &str = "25006";

/// Whether the server refused to write, for it is a standby or made read-only.
pub fn is_read_only(error: &sqlx::Error) -> bool {
    sqlstate(error).as_deref() == Some(READ_ONLY)
}

/// Whether the server has no room on its disk, or memory, or may not use more of them.
pub fn is_full(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|state| state.starts_with("53"))
}

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
}

impl From<WrongClock> for Error {
    fn from(error: WrongClock) -> Self {
        Self::WrongClock(error.to_string())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        // Causes name no statement and no value: PostgreSQL's text may quote both.
        let out_of_reach = match &error {
            E::Io(_) | E::Tls(_) | E::Protocol(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => true,
            E::Database(_) => sqlstate(&error).is_some_and(|state| is_passing(&state)),
            E::Configuration(_)
            | E::InvalidArgument(_)
            | E::RowNotFound
            | E::TypeNotFound { .. }
            | E::ColumnIndexOutOfBounds { .. }
            | E::ColumnNotFound(_)
            | E::ColumnDecode { .. }
            | E::Encode(_)
            | E::Decode(_)
            | E::AnyDriverError(_)
            | E::Migrate(_)
            | E::InvalidSavePointStatement
            | E::BeginFailed => false,
            // sqlx's enum may grow; what is unknown is not blamed on the network.
            _ => false,
        };
        match error.to_string() {
            cause if is_overtaken(&error) => Self::Overtaken(cause),
            cause if out_of_reach => Self::Unavailable(format!("the database is out of reach: {cause}")),
            cause => Self::Internal(cause),
        }
    }
}

/// SQLSTATEs of a server that goes away, comes up, is full, is a standby, lets nobody in, has no such database
/// for the moment, or gave up waiting.
fn is_passing(state: &str) -> bool {
    let class = state.get(..2).unwrap_or_default();
    matches!(class, "08" | "28" | "3D" | "40" | "53" | "57") || matches!(state, READ_ONLY | "55P03")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_number_once() {
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(*code));
            assert!((400..600).contains(&code.status()), "{code:?}");
        }
        assert_eq!(Code::from_number(0), None);
    }

    #[test]
    fn a_database_that_is_out_of_reach_is_told_from_a_defect() {
        for state in ["08006", "28P01", "3D000", "40001", "53300", "57P03", "25006", "55P03"] {
            assert!(is_passing(state), "{state}");
        }
        for state in ["", "0", "23505", "42P01", "22P02", "25001", "55000"] {
            assert!(!is_passing(state), "{state}");
        }
    }

    #[test]
    fn the_inside_is_never_told() {
        for error in [Error::Internal("select secret".into()), sqlx::Error::PoolTimedOut.into()] {
            assert!(!error.refusal().message.contains("select"));
            assert!(error.refusal().code.status() >= 500);
        }
    }
}
