//! Money that comes to an account: by a credit, a transfer, or the reversal of a debit. It pays what the account owes.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{Step, store};
use crate::accounts::{self, Account, Status};
use crate::db::transact::transact;
use crate::db::{Db, Transaction};
use crate::error::{Denied, Result};
use crate::ledger::{self, Direction, Entered, Links, Order, Refused, Repeated, Reversible};
use crate::values::clock::Clock;
use crate::values::money::Money;
use crate::values::sid::AccountSid;

/// What a credit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Credited {
    pub sid: AccountSid,
    /// The id of the entry.
    pub entry: i64,
    /// After the fees that it paid.
    pub balance: Money,
    /// Months that were charged because of it, if the account was suspended as unpaid.
    pub charged: i64,
    /// The sum of these fees.
    pub paid: Money,
    /// Fees that are still due, because they are more than the balance.
    pub owed: Money,
    pub status: Status,
    /// Whether that made it active again.
    pub activated: bool,
}

/// Puts money on an account. If the account is suspended as unpaid and its balance now covers all due fees, they are
/// charged, the oldest first, and the account becomes active. All of it is one transaction.
///
/// # Errors
/// [`Refused::Nothing`], [`Refused::NoOpenAccount`], [`Refused::Twin`], [`Refused::KeyReused`], and when this machine's
/// clock is wrong: it may bill.
pub async fn credit(db: &Db, clock: &Clock, order: Order<'_>) -> Result<Credited, Denied<Refused>> {
    clock.trusted()?;
    let request = order.request(Direction::Credit);
    transact(db, async |within| {
        let now = clock.now();
        ledger::hold(within, &[order.account]).await?;
        if let Some(answer) = ledger::answered(within, &order, Direction::Credit, &request, now).await? {
            return Ok(answer);
        }
        let credited = settled_credit(within, &order, Links::default(), now).await?;
        ledger::keep_answer(within, &order, credited.entry, &request, &credited).await?;
        Ok(credited)
    })
    .await
}

/// Credits an account that is locked, and settles what it owes.
async fn settled_credit(
    within: &mut Transaction,
    order: &Order<'_>,
    links: Links,
    now: DateTime<Utc>,
) -> Result<Credited, Denied<Refused>> {
    let entered = ledger::enter(within, order, Direction::Credit, links, now).await?;
    let settled = store::settle(within, order.account, now, now).await?;
    standing_after(within, order.account, entered.id, settled, now).await
}

async fn standing_after(
    within: &mut Transaction,
    account: AccountSid,
    entry: i64,
    settled: Option<Step>,
    now: DateTime<Utc>,
) -> Result<Credited, Denied<Refused>> {
    let owed = store::owed(&mut **within, account, now).await?;
    let found = accounts::find_within(within, account).await;
    let Account { balance, status, .. } = found.map_err(|denied| denied.map(|_| Refused::NoOpenAccount(account)))?;
    let activated = settled.is_some() && status == Status::Active;
    let (charged, paid) = settled.map_or((0, Money::ZERO), |settled| (settled.charged, settled.amount));
    Ok(Credited { sid: account, entry, balance, charged, paid, owed, status, activated })
}

/// What a transfer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Transferred {
    /// Its number, which both entries have.
    pub transfer: i64,
    pub amount: Money,
    pub from_account_sid: AccountSid,
    pub from_entry: i64,
    pub from_balance: Money,
    pub to_account_sid: AccountSid,
    pub to_entry: i64,
    pub to_balance: Money,
    /// Of the account that got the money, as in [`Credited`].
    pub charged: i64,
    pub paid: Money,
    pub owed: Money,
    pub status: Status,
    pub activated: bool,
}

/// Moves money from the order's account to another one, which is credited as by [`credit`]: both in one transaction.
///
/// # Errors
/// Those of [`ledger::debit`] and [`credit`]; [`Refused::ToItself`].
pub async fn transfer(
    db: &Db,
    clock: &Clock,
    order: Order<'_>,
    to: AccountSid,
) -> Result<Transferred, Denied<Refused>> {
    clock.trusted()?;
    let order = Order { to: Some(to), ..order };
    if order.account == to {
        return Err(Refused::ToItself(to).into());
    }
    let request = json!({ "kind": "transfer", "to": to, "amount": order.amount, "note": order.note });
    transact(db, async |within| {
        let now = clock.now();
        ledger::hold(within, &[order.account, to]).await?;
        if let Some(answer) = ledger::answered(within, &order, Direction::Debit, &request, now).await? {
            return Ok(answer);
        }
        let done = transferred(within, &order, to, now).await?;
        ledger::keep_answer(within, &order, done.from_entry, &request, &done).await?;
        Ok(done)
    })
    .await
}

/// Moves money between two accounts that are locked.
async fn transferred(
    within: &mut Transaction,
    order: &Order<'_>,
    to: AccountSid,
    now: DateTime<Utc>,
) -> Result<Transferred, Denied<Refused>> {
    let transfer = ledger::next_transfer(within).await?;
    let links = Links { transfer: Some(transfer), reverses: None };
    let from = ledger::enter(within, order, Direction::Debit, links, now).await?;
    let credited = settled_credit(within, &Order { account: to, to: None, ..*order }, links, now).await?;
    let Credited { entry: to_entry, balance: to_balance, charged, paid, owed, status, activated, .. } = credited;
    Ok(Transferred {
        transfer,
        amount: order.amount,
        from_account_sid: order.account,
        from_entry: from.id,
        from_balance: from.balance,
        to_account_sid: to,
        to_entry,
        to_balance,
        charged,
        paid,
        owed,
        status,
        activated,
    })
}

/// What a reversal did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Reversed {
    /// The id of the entry that it undoes.
    pub reverses: i64,
    /// Of the new entry: a credit is undone by a debit, and the other way round.
    pub kind: Direction,
    pub amount: Money,
    #[serde(flatten)]
    pub account: Credited,
}

/// Undoes a credit or debit, once. Money that comes back to the account pays what it owes, as by [`credit`].
///
/// # Errors
/// Those of [`ledger::reversible`], [`Refused::NoOpenAccount`], and when this machine's clock is wrong: it may bill.
pub async fn reverse(db: &Db, clock: &Clock, entry: i64, note: Option<&str>) -> Result<Reversed, Denied<Refused>> {
    clock.trusted()?;
    transact(db, async |within| {
        let now = clock.now();
        let Reversible { account, amount, direction } = ledger::reversible(within, entry).await?;
        let order = Order { account, to: None, amount, note, repeated: Repeated::Done };
        let links = Links { reverses: Some(entry), transfer: None };
        let account = match direction {
            Direction::Credit => settled_credit(within, &order, links, now).await?,
            Direction::Debit => {
                let Entered { id, .. } = ledger::enter(within, &order, direction, links, now).await?;
                standing_after(within, account, id, None, now).await?
            }
        };
        Ok(Reversed { reverses: entry, kind: direction, amount, account })
    })
    .await
}
