//! Lists of the numbers with a given name.

use super::{Beginning, ByOffset, Page, Slice, begin};
use crate::db::Db;
use crate::error::Denied;
use crate::numbers::Refused;
use crate::values::page::REACH;
use crate::values::phone::{Kind, PhoneNumber};
use crate::values::sid::{AccountSid, NumberSid};

mod store;

/// Numbers of an account, of one kind or both, with a name.
#[derive(Clone, Copy)]
struct Named<'a> {
    account: AccountSid,
    kind: Option<Kind>,
    name: &'a str,
    /// The number whose default name this is.
    default: Option<PhoneNumber>,
}

impl ByOffset for Named<'_> {
    /// There are no counts by name. Each page counts its list, so the count has a limit.
    const COUNTED: i64 = REACH;

    async fn count(&self, db: &Db) -> sqlx::Result<i64> {
        Ok(store::count(db, *self, None).await?.unwrap_or_default())
    }

    async fn sid_at(&self, db: &Db, before: i64) -> sqlx::Result<Option<NumberSid>> {
        store::sid_at(db, *self, before).await
    }

    async fn sid_before(
        &self,
        db: &Db,
        from: Option<NumberSid>,
        between: i64,
    ) -> sqlx::Result<Option<Option<NumberSid>>> {
        store::sid_before(db, *self, from, between).await
    }
}

/// A page of the numbers with this name. Its total is at most [`REACH`].
///
/// # Errors
/// As [`Lists::page`](super::Lists::page).
pub async fn page(
    db: &Db,
    account: AccountSid,
    kind: Option<Kind>,
    name: &str,
    page: Page,
) -> Result<Slice, Denied<Refused>> {
    // The default name of a number is its digits, formatted.
    let default = name.parse().ok().filter(|number: &PhoneNumber| number.formatted() == name);
    let db = &db.admitted().await?;
    let named = Named { account, kind, name, default };
    let (page, beginning) = begin(db, &named, page).await?;
    let after = beginning.after();
    let total = store::count(db, named, after).await?.ok_or(Refused::UnknownCursor)?.min(REACH);
    let numbers = match beginning {
        Beginning::Past => Vec::new(),
        _ => store::list(db, named, after, page.size + 1).await?,
    };
    Ok(Slice::new(page, total, numbers))
}
