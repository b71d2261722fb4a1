//! Main accounts and the sub-accounts that they own and pay for.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;

use super::{Account, AuthToken, Holder, Reason, Refused, Status, find_within};
use crate::db::Db;
use crate::db::transact::transact;
use crate::error::{Denied, Error, Limit, Result};
use crate::values::clock::Clock;
use crate::values::sid::AccountSid;
use crate::values::text::FriendlyName;

pub(super) mod store;

/// How many open sub-accounts an account may own.
pub const MOST_SUB_ACCOUNTS: i64 = 1000;

/// How many it may ever create: closed ones are kept for ever.
pub const MOST_EVER: i64 = 10_000;

/// How often an owner may change the status of a sub-account within a day: each change is kept for ever.
pub const MOST_CHANGES: i64 = 100;

const HOUR: Duration = Duration::from_hours(1);

/// Which account pays for which. That never changes, so it is remembered.
pub struct Families(Mutex<LruCache<AccountSid, AccountSid>>);

/// The size of the cache: about 8 MB.
const MAX_REMEMBERED: NonZeroUsize = NonZeroUsize::new(100_000).expect("more than none");

impl Default for Families {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_REMEMBERED)))
    }
}

impl Families {
    /// An account that the caller, a main account, is or pays for; `None` if there is no such account. Nothing is remembered of
    /// others: the time of an answer would tell who exists.
    ///
    /// # Errors
    /// When the database is out of reach.
    pub async fn holder(&self, db: &Db, account: AccountSid, caller: AccountSid) -> Result<Option<Holder>> {
        let is_own = |holder: &Holder| account == caller || holder.payer == caller;
        if let Some(payer) = self.remembered(account) {
            return Ok(Some(Holder { account, payer }).filter(is_own));
        }
        let found = holder(db, account).await?.filter(is_own);
        if let Some(Holder { payer, .. }) = found {
            self.known().put(account, payer);
        }
        Ok(found)
    }

    fn remembered(&self, account: AccountSid) -> Option<AccountSid> {
        self.known().get(&account).copied()
    }

    pub fn forget_all(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, LruCache<AccountSid, AccountSid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An account and its payer; `None` if there is no such account.
///
/// # Errors
/// When the database is out of reach.
pub async fn holder(db: &Db, account: AccountSid) -> Result<Option<Holder>> {
    let payer = store::payer(db, account).await?;
    Ok(payer.map(|payer| Holder { account, payer }))
}

/// A new sub-account, with its token: the only time that it is shown.
pub struct Made {
    pub account: Account,
    pub auth_token: AuthToken,
}

/// Creates a sub-account of a main account.
///
/// # Errors
/// [`Refused::NotAMainAccount`], [`Refused::Suspended`], [`Refused::TooManySubAccounts`]
pub async fn create(db: &Db, clock: &Clock, owner: AccountSid, name: &FriendlyName) -> Result<Made, Denied<Refused>> {
    let (sid, auth_token) = (AccountSid::random(), AuthToken::random());
    let kept = auth_token.kept(sid);
    let account: Result<_, Denied<Refused>> = transact(db, async |within| {
        // Locked first, so that a refusal tells what the statement saw.
        store::hold(within, owner, owner).await?;
        match store::create_below(within, owner, sid, name, &kept, clock.now()).await? {
            Some(account) => Ok(account),
            None => Err(why_none(&find_within(within, owner).await?).into()),
        }
    })
    .await;
    Ok(Made { account: account?, auth_token })
}

fn why_none(owner: &Account) -> Refused {
    match owner {
        Account { owner_sid: Some(_), .. } => Refused::NotAMainAccount(owner.sid),
        Account { status: Status::Active, .. } => Refused::TooManySubAccounts,
        _ => Refused::Suspended,
    }
}

/// An owner suspends its sub-account, or makes it active again.
///
/// # Errors
/// [`Refused::Unknown`], [`Refused::Closed`], [`Refused::OwnerNotActive`], [`Refused::SuspendedByOperator`]
pub async fn set_by_owner(
    db: &Db,
    clock: &Clock,
    Holder { account, payer }: Holder,
    suspended: bool,
) -> Result<Account, Denied<Refused>> {
    transact(db, async |within| {
        store::hold(within, payer, account).await?;
        if let Some(account) = store::set_by_owner(within, payer, account, suspended, clock.now()).await? {
            return Ok(account);
        }
        let (owner, child) = (find_within(within, payer).await?, find_within(within, account).await?);
        Err(match (child.status, owner.status, child.reason) {
            (Status::Closed, ..) => Refused::Closed(account).into(),
            (_, Status::Active, Some(Reason::Operator)) => Refused::SuspendedByOperator(account).into(),
            (_, Status::Active, _) => Error::TooMany { of: Limit::Changes, wait: HOUR }.into(),
            _ => Refused::OwnerNotActive(payer).into(),
        })
    })
    .await
}

/// Which accounts of a family are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Family<'a> {
    pub name: Option<&'a str>,
    pub status: Option<Status>,
}

/// An account and its sub-accounts, newest first, closed ones too: `size` of them from `start` on, and how many there are.
///
/// # Errors
/// When the database is out of reach.
pub async fn family(
    db: &Db,
    main: AccountSid,
    wanted: Family<'_>,
    start: i64,
    size: i64,
) -> Result<(Vec<Account>, i64)> {
    let (sids, total) = store::page(db, main, wanted, start, size).await?;
    Ok((store::find_all(db, &sids).await?, total))
}
