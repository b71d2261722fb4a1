//! What an operator changes of an account: its name and ref, and whether it may act.

use super::{Account, Reason, Reference, Refused, Status, find_within};
use crate::db::transact::transact;
use crate::db::{Db, Transaction, violated};
use crate::error::{Denied, Error, Result};
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::sid::AccountSid;
use crate::values::text::FriendlyName;

mod store;

/// What is to be changed; `None` stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edit<'a> {
    pub name: Option<&'a FriendlyName>,
    /// `Some(None)` takes it away.
    pub reference: Option<Option<&'a Reference>>,
}

/// Changes the name or the ref of an account. Of a closed one, only the ref: another account may need it.
///
/// # Errors
/// [`Refused::Unknown`], [`Refused::Closed`], [`Refused::RefTaken`]
pub async fn edit(db: &Db, clock: &Clock, sid: AccountSid, edit: Edit<'_>) -> Result<Account, Denied<Refused>> {
    transact(db, async |within| {
        refuse_taken(within, sid, edit.reference.flatten()).await?;
        let changed = store::edit(within, sid, edit, clock.now()).await.map_err(overtaken_by_ref)?;
        changed_or_why_not(within, sid, changed).await
    })
    .await
}

/// Refuses a ref that another account has.
pub(super) async fn refuse_taken(
    within: &mut Transaction,
    sid: AccountSid,
    reference: Option<&Reference>,
) -> Result<(), Denied<Refused>> {
    let Some(reference) = reference else { return Ok(()) };
    match store::with_ref(within, reference).await? {
        Some(by) if by != sid => Err(Refused::RefTaken { reference: reference.clone(), by }.into()),
        _ => Ok(()),
    }
}

/// Where another account got the ref just now, the next try finds it.
pub(super) fn overtaken_by_ref(error: sqlx::Error) -> Denied<Refused> {
    match violated(&error) {
        Some("accounts_ref_key") => Error::Overtaken(error.to_string()).into(),
        _ => error.into(),
    }
}

/// Suspends an account. To suspend it again only tells the note, if there is one.
///
/// # Errors
/// [`Refused::Unknown`], [`Refused::Closed`]
pub async fn suspend(db: &Db, clock: &Clock, sid: AccountSid, note: Option<&str>) -> Result<Account, Denied<Refused>> {
    transact(db, async |within| {
        let changed = store::suspend(within, sid, Said::by_operator(note), clock.now()).await?;
        changed_or_why_not(within, sid, changed).await
    })
    .await
}

/// Suspends an account that is to be closed, so that it buys nothing more. `None` if it is closed already.
///
/// # Errors
/// When the database is out of reach.
pub async fn shut(within: &mut Transaction, clock: &Clock, sid: AccountSid, by: Reason) -> Result<Option<Account>> {
    Ok(store::suspend(within, sid, Said { by, note: Some("to be closed") }, clock.now()).await?)
}

/// Makes a suspended account active again. The reason of the suspension makes no difference. Its unpaid fees stay due: the next run of
/// billing charges them, or suspends the account again.
///
/// # Errors
/// [`Refused::Unknown`], [`Refused::Closed`]
pub async fn activate(db: &Db, clock: &Clock, sid: AccountSid, note: Option<&str>) -> Result<Account, Denied<Refused>> {
    transact(db, async |within| {
        let changed = store::activate(within, sid, note, clock.now()).await?;
        changed_or_why_not(within, sid, changed).await
    })
    .await
}

/// What becomes of the balance of an account that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// It is debited: the operator pays it out.
    Refunded,
    /// It stays, and can be debited later.
    Kept,
}

/// Who changes an account, and a note.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    pub by: Reason,
    pub note: Option<&'a str>,
}

impl<'a> Said<'a> {
    pub const fn by_operator(note: Option<&'a str>) -> Self {
        Self { by: Reason::Operator, note }
    }
}

/// An account that was closed.
#[derive(Debug)]
pub struct Closed {
    pub account: Account,
    pub refunded: Money,
}

/// Closes an account for good, which must hold no number any more. One that has money needs to be told what becomes of
/// that. Of an account that is closed already, what is left can still be refunded.
///
/// # Errors
/// [`Refused::Unknown`], [`Refused::HoldsNumbers`], [`Refused::OwnsAccounts`], [`Refused::HoldsMoney`]
pub async fn close(
    within: &mut Transaction,
    clock: &Clock,
    sid: AccountSid,
    leftover: Option<Leftover>,
    said: Said<'_>,
) -> Result<Closed, Denied<Refused>> {
    let now = clock.now();
    let closed = store::close(within, sid, leftover.is_some(), said, now).await?;
    let mut account = closed.ok_or(Refused::Unknown(sid))?;
    match (account.numbers_held(), account.status) {
        (0, Status::Closed) => {}
        (0, _) if account.sub_accounts > 0 => {
            return Err(Refused::OwnsAccounts { account: sid, sub_accounts: account.sub_accounts }.into());
        }
        (0, _) => return Err(Refused::HoldsMoney { account: sid, balance: account.balance }.into()),
        (numbers, _) => return Err(Refused::HoldsNumbers { account: sid, numbers }.into()),
    }
    let mut refunded = Money::ZERO;
    if leftover == Some(Leftover::Refunded) {
        refunded = store::refund(within, sid, said.note, now).await?.unwrap_or(Money::ZERO);
        account.balance = Money::ZERO;
    }
    Ok(Closed { account, refunded })
}

pub(super) async fn changed_or_why_not(
    within: &mut Transaction,
    sid: AccountSid,
    changed: Option<Account>,
) -> Result<Account, Denied<Refused>> {
    match changed {
        Some(account) => Ok(account),
        None => {
            find_within(within, sid).await?;
            Err(Refused::Closed(sid).into())
        }
    }
}
