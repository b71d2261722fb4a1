//! Refusals in the words of a command: one line each, which says what would be right.

use super::Failure;
use crate::accounts::families::MOST_SUB_ACCOUNTS;
use crate::accounts::keys::MOST_KEYS;
use crate::accounts::{MOST_LISTED, Named, Status};
use crate::error::{Denied, Error};
use crate::inventory::{Counted, MOST_AT_ONCE, MOST_MOVED, State};
use crate::{accounts, inventory, numbers, purchases, releases, reporting};

mod money;

/// A reason that has words.
trait Worded {
    fn words(&self) -> String;
}

impl<R: Worded> From<Denied<R>> for Failure {
    fn from(denied: Denied<R>) -> Self {
        match denied {
            Denied::Refused(reason) => Self::Refused(reason.words()),
            Denied::Failed(error) => error.into(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            // Nothing was changed, so it counts as a refusal.
            Error::WrongClock(why) => Self::Refused(why),
            Error::Unknown(_) => Self::Lost(error.to_string()),
            error => Self::Failed(error),
        }
    }
}

impl Worded for accounts::Refused {
    fn words(&self) -> String {
        match self {
            Self::NotAuthenticated => "the token is not this account's".to_owned(),
            Self::Unknown(account) => format!("there is no account {account}"),
            Self::Suspended => "the account is suspended: it can read and release numbers only".to_owned(),
            Self::Closed(account) => format!("{account} is closed for good"),
            Self::Unnamed(text) => format!(
                "there is no account '{text}': give its Sid or the beginning of it (6 characters or more), its ref, or its name"
            ),
            Self::Several(text, fits) => several(text, fits),
            Self::HoldsNumbers { account, numbers } => {
                let plural = if *numbers == 1 { "" } else { "s" };
                format!(
                    "{account} still holds {numbers} number{plural}: release them first, or close it with --release-numbers"
                )
            }
            Self::OwnsAccounts { account, sub_accounts } => {
                let plural = if *sub_accounts == 1 { "" } else { "s" };
                format!("{account} still owns {sub_accounts} open sub-account{plural}: close them first")
            }
            Self::HoldsTooMany(most) => format!("it holds more than {most} numbers"),
            Self::NotAMainAccount(account) => format!("{account} is a sub-account itself"),
            Self::NoKey(sid) => format!("there is no API key {sid}: 'numberbank key list' shows them"),
            Self::TooManyKeys => format!("an account has at most {MOST_KEYS} API keys: delete one that is not needed"),
            Self::TooManySubAccounts => format!("an account owns at most {MOST_SUB_ACCOUNTS} open sub-accounts"),
            Self::SuspendedByOperator(account) => format!("{account} was suspended by the operator"),
            Self::OwnerNotActive(owner) => format!("its owner {owner} is not active"),
            Self::HoldsMore(account) => {
                format!("{account} came to hold more while you were asked: it was not closed, look again")
            }
            Self::Reopened(account) => {
                format!(
                    "{account} was made active while its numbers were released: it keeps the rest, and was not closed"
                )
            }
            Self::HoldsMoney { account, balance } => {
                format!("{account} still has {balance}: close it with --refund to pay that out, or with --keep-balance")
            }
            Self::Exists(account) => format!("there is an account {account} already"),
            Self::RefTaken { reference, by } => {
                format!("the ref {reference} is that of {by}: give another one, or take it from there with --ref ''")
            }
        }
    }
}

/// Lists the accounts that a text fits.
fn several(text: &str, fits: &[Named]) -> String {
    let told = fits.iter().take(MOST_LISTED).map(|Named { sid, name, reference, status }| {
        let closed = if *status == Status::Closed { ", closed" } else { "" };
        match reference {
            Some(reference) => format!("{sid} {name} (ref {reference}{closed})"),
            None => format!("{sid} {name}{closed}"),
        }
    });
    let more = if fits.len() > MOST_LISTED { ", and more" } else { "" };
    format!("'{text}' fits several accounts: {}{more}", told.collect::<Vec<_>>().join(", "))
}

impl Worded for numbers::Refused {
    fn words(&self) -> String {
        match self {
            Self::NotHeld => "the account holds no such number".to_owned(),
            Self::Suspended => "the account is suspended".to_owned(),
            Self::LoneVoiceFallback => "a fallback for calls needs a URL for calls".to_owned(),
            Self::LoneSmsFallback => "a fallback for messages needs a URL for messages".to_owned(),
            Self::UnknownCursor | Self::BeyondReach => "there is no such page".to_owned(),
            Self::NotInStock(number) => format!("{number} is not in stock"),
            Self::NotOnSale(number, state) => {
                let remedy = match state {
                    State::Available => "try again",
                    State::InUse => "'numberbank number move' moves it to another account",
                    State::Quarantined => {
                        "'numberbank number restore' gives it back to its last holder, 'numberbank number show' says when \
                        it is back on sale"
                    }
                    State::Withdrawn => "'numberbank inventory return' puts it back on sale",
                    State::Retired => "'numberbank inventory return --force' makes it ours again",
                };
                format!("{number} is {} and not on sale: {remedy}", state.name())
            }
            Self::NeverSold(sid) => format!("there is no number {sid}"),
        }
    }
}

impl Worded for purchases::Refused {
    fn words(&self) -> String {
        match self {
            Self::AccountGone => "the account is closed for good".to_owned(),
            Self::Suspended => "the account is suspended and buys nothing: activate it, or pay what it owes".to_owned(),
            Self::NoNumber => "no phone number is left that matches".to_owned(),
            Self::Insufficient { balance, price, .. } => {
                format!("the balance of {balance} does not cover the first month's price of {price}")
            }
            Self::KeyReused => "the idempotency key was used for another request".to_owned(),
            Self::NotOnSale(why) => why.words(),
        }
    }
}

impl Worded for releases::Refused {
    fn words(&self) -> String {
        match self {
            Self::NotHeld => "the account holds no such number".to_owned(),
            Self::NeverSold(sid) => format!("there is no number {sid}"),
            Self::NotInStock(number) => format!("{number} is not in stock"),
            Self::NotInUse(number, state) => format!("{number} is {}; nobody holds it", state.name()),
            Self::HeldUnderAnother(number, sid) => {
                format!("{number} is held under {sid} no longer: name the number, or the Sid of who holds it now")
            }
            Self::IsHeld(number, sid) => format!("{number} is held under {sid} already"),
            Self::NotQuarantined(number, state) => {
                format!("{number} is {}; it can be given back only while it is in quarantine", state.name())
            }
            Self::NotLast(number, sid) => {
                format!("{number} had another holder after {sid}; it can go back to its last one only")
            }
            Self::HolderClosed(sid) => format!("the account that held {sid} is closed for good"),
            Self::SameAccount(number, account) => format!("{account} holds {number} already"),
            Self::NoTaker(account) => format!("there is no account {account}"),
            Self::TakerClosed(account) => format!("{account} is closed for good and takes no number"),
            Self::TakerSuspended(account) => {
                format!("{account} is suspended and takes no number: activate it first, or pay what it owes")
            }
        }
    }
}

impl Worded for inventory::Refused {
    fn words(&self) -> String {
        match self {
            Self::NotInStock(number) => format!("{number} is not in stock"),
            Self::CannotWithdraw(number, state) => {
                format!("{number} is {} and cannot be withdrawn; nothing was changed", state.name())
            }
            Self::CannotReturn(number, State::Retired) => {
                format!("{number} is retired: --force makes it ours again; nothing was changed")
            }
            Self::CannotReturn(number, state) => {
                format!("{number} is {} and cannot be put on sale; nothing was changed", state.name())
            }
            Self::CannotRetire(number, state) => {
                format!(
                    "{number} is {} and cannot be retired: 'numberbank number release' ends that; nothing was changed",
                    state.name()
                )
            }
            Self::TooManyMoved(wanted) => {
                format!("{wanted} numbers are more than the {MOST_MOVED} that one command changes")
            }
            Self::NoAccount(account) => format!("there is no account {account}"),
            Self::Closed(account) => format!("{account} is closed for good and buys nothing"),
            Self::TooMany(wanted) => {
                format!("{wanted} numbers are more than the {MOST_AT_ONCE} that can be added at once")
            }
            Self::File(reason) => format!("the file cannot be used: {reason}"),
            Self::BadRows(rows, reasons) => {
                let (plural, reasons) = (if *rows == 1 { "" } else { "s" }, Counted::message(reasons));
                format!(
                    "nothing was imported: {rows} bad row{plural} ({reasons}); mend them, or store the good ones with \
                    --skip-bad"
                )
            }
        }
    }
}

impl Worded for reporting::Refused {
    fn words(&self) -> String {
        match self {
            Self::NotLimitedBy { view, option, may } => {
                format!("'report {view}' cannot be limited by {option}: it takes {}", may.join(", "))
            }
            Self::PeriodOfAll { view } => {
                format!("'report {view}' takes --since and --until together with --account or --number only")
            }
        }
    }
}

impl From<reporting::Refused> for Failure {
    fn from(refused: reporting::Refused) -> Self {
        Self::Refused(refused.words())
    }
}
