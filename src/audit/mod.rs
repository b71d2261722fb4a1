//! The audit: proves over the whole database that money and stock add up, and reports every breach.

use crate::db::Db;
use crate::error::Result;

mod store;

/// A broken invariant.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Breach {
    /// The number of the invariant: 1 balances, 2 holders, 3 purchases, 4 months, 5 overlaps, 6 corrections,
    /// 7 families.
    pub invariant: i32,
    /// What it is about: an account Sid, phone number, number Sid, or kind and area code.
    pub subject: String,
    pub what: String,
}

/// Every breach of the seven invariants, in their order:
///
/// 1. an account's balance is the sum of its ledger entries and never negative, and every
///    entry's `balance_after` is the running sum;
/// 2. a number in use has exactly one open tenancy, any other has none; an account's counts of
///    numbers and their monthly fees are those of its open tenancies, and the stock's counts are
///    those of its numbers;
/// 3. every purchase has one tenancy, one ledger entry and one number, and the other way round; the payer of the account
///    that bought has paid for it;
/// 4. no month of a tenancy is charged twice, none after its end, each to the payer of the account that
///    held it and at the price of its sale; the next one is due on the day on which it begins;
/// 5. no two tenancies of a number overlap, transfers included: at any moment it had one holder or none;
/// 6. what reverses an entry undoes it whole, the halves of a transfer cancel out, and a key belongs to a credit or debit;
/// 7. an owner is a main account, and open while a sub-account of it is; it counts those. A sub-account is suspended with
///    its owner, and has no money.
///
/// # Errors
/// If the database is out of reach.
pub async fn audit(db: &Db) -> Result<Vec<Breach>> {
    // All statements read the same snapshot, also while others buy and release.
    let mut snapshot = db.snapshot().await?;
    let mut breaches = store::balances(&mut snapshot).await?;
    breaches.extend(store::holders(&mut snapshot).await?);
    breaches.extend(store::holdings(&mut snapshot).await?);
    breaches.extend(store::counts(&mut snapshot).await?);
    breaches.extend(store::purchases(&mut snapshot).await?);
    breaches.extend(store::months(&mut snapshot).await?);
    breaches.extend(store::due(&mut snapshot).await?);
    breaches.extend(store::overlaps(&mut snapshot).await?);
    breaches.extend(store::transfers(&mut snapshot).await?);
    breaches.extend(store::corrections(&mut snapshot).await?);
    breaches.extend(store::families(&mut snapshot).await?);
    breaches.sort_unstable();
    Ok(breaches)
}
