//! Refusals to move money.

use chrono::{DateTime, SecondsFormat, Utc};

use super::Worded;
use crate::ledger::{Charge, Direction, Irreversible, Refused, Twin};
use crate::values::money::Money;
use crate::values::sid::AccountSid;

impl Worded for Refused {
    fn words(&self) -> String {
        match self {
            Self::Nothing => "the amount must be more than 0.00".to_owned(),
            Self::PaidByOwner(account) => {
                format!("{account} is a sub-account, which has no money: its owner pays; `account show` names it")
            }
            Self::NoOpenAccount(account) => format!("there is no open account {account}"),
            Self::Insufficient { account, amount } => format!("the balance of {account} is less than {amount}"),
            Self::Twin(twin) => seen(twin),
            Self::KeyReused { account, key } => {
                format!("the key {key} was used for another credit, debit or transfer of {account}: give a new one")
            }
            Self::ToItself(account) => format!("{account} is both accounts: give another one to transfer to"),
            Self::NoEntry(entry) => format!("there is no entry {entry}: 'numberbank report ledger' shows their ids"),
            Self::NotReversible(entry, what) => irreversible(*entry, *what),
            Self::Reversed { entry, by, at } => {
                format!("entry {entry} was reversed already, by entry {by} at {}", time(*at))
            }
            Self::Spent { entry, account, missing, charges, more } => spent(*entry, *account, *missing, charges, *more),
        }
    }
}

fn seen(Twin { account, direction, amount, to, entry, at }: &Twin) -> String {
    let done = match (direction, to) {
        (_, Some(to)) => format!("{account} gave {amount} to {to}"),
        (Direction::Credit, None) => format!("{account} was credited {amount}"),
        (Direction::Debit, None) => format!("{account} was debited {amount}"),
    };
    format!(
        "{done} with the same note at {}, by entry {entry}: --again does it once more, another \
        --note tells them apart, and a --key makes it safe to repeat",
        time(*at)
    )
}

fn irreversible(entry: i64, what: Irreversible) -> String {
    let (what, instead) = match what {
        Irreversible::Reversal => ("a reversal", "credit or debit the account anew"),
        Irreversible::HalfOfTransfer => ("half of a transfer", "transfer the money back with 'account transfer'"),
        Irreversible::Purchase => ("a purchase", "release the number, and credit the account what you give back"),
        Irreversible::Fee => ("a monthly fee", "credit the account what you give back"),
    };
    format!("entry {entry} is {what}, and only credits and debits are reversed: {instead}")
}

fn spent(entry: i64, account: AccountSid, missing: Money, charges: &[Charge], more: i64) -> String {
    let paid: Vec<_> = charges.iter().map(charge).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "{missing} of entry {entry} is missing, for {account} has paid since: {}{more}; credit the account, or debit what \
        is left",
        paid.join(", ")
    )
}

fn charge(Charge { kind, at, amount, phone_number }: &Charge) -> String {
    let number = phone_number.map(|number| format!(" of {number}")).unwrap_or_default();
    format!("{amount} {}{number} on {}", kind.name(), at.date_naive())
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
