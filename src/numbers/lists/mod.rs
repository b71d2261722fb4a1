//! Lists of the numbers that an account holds, newest first.

use std::sync::Arc;

use crate::db::Db;
use crate::db::batch::Reads;
use crate::db::replica::Source;
use crate::error::{Denied, Result};
use crate::numbers::{Number, Refused};
use crate::values::page::{self, Cursor, DEFAULT_SIZE, REACH};
use crate::values::phone::Kind;
use crate::values::sid::{AccountSid, NumberSid};

/// The statements contain these limits as literals, each one more than the most that is shown or counted, because PostgreSQL plans
/// best for a limit that it knows.
const _: () = assert!(page::LARGEST_SIZE + 1 == 1001 && REACH + 1 == 100_001);

mod matching;
mod named;
mod store;

pub use matching::Digits;

/// Which page of a list is asked for.
pub type Page = page::Page<NumberSid>;

/// A page of a list.
pub type Slice = page::Slice<Number, NumberSid>;

/// Which numbers of an account a list shows.
#[derive(Debug, Default)]
pub struct Filter {
    /// `None` means both kinds.
    pub kind: Option<Kind>,
    pub number: Option<Digits>,
    /// Only numbers with this name.
    pub name: Option<String>,
}

/// A part of a list: `size` numbers after one of them.
#[derive(Clone, Copy, Debug)]
struct Part {
    account: AccountSid,
    kind: Option<Kind>,
    /// `None` means the beginning.
    after: Option<NumberSid>,
    size: u32,
}

/// The numbers of a part.
#[derive(Debug, Default)]
struct Held {
    numbers: Vec<Number>,
    /// The number of items in the whole list; `None` if the part is empty.
    total: Option<i64>,
}

/// The lists. Pages that come together are one batch.
#[derive(Clone)]
pub struct Lists(Arc<Reads<Part, Held>>);

impl Lists {
    /// `most_waiting`: how many requests may wait for a batch.
    pub fn new(most_waiting: usize) -> Self {
        let read = |db: Db, asked: Vec<_>| async move { store::parts(&db, &asked).await };
        Self(Arc::new(Reads::new(most_waiting, read)))
    }

    /// The number of requests that wait for a batch.
    pub fn waiting(&self) -> usize {
        self.0.waiting()
    }

    /// A page of an account's numbers.
    ///
    /// # Errors
    /// [`Refused::UnknownCursor`], [`Refused::BeyondReach`]
    pub async fn page(
        &self,
        source: Source<'_>,
        account: AccountSid,
        filter: &Filter,
        page: Page,
    ) -> Result<Slice, Denied<Refused>> {
        let (kind, db) = (filter.kind, source.db());
        match (&filter.number, &filter.name) {
            (None, None) => self.page_of_all(source, All { account, kind }, page).await,
            (None, Some(name)) => named::page(db, account, kind, name, page).await,
            (Some(Digits::Like(like)), name) => matching::page(db, account, kind, like, name.as_deref(), page).await,
            (Some(number), name) => {
                let found = match number {
                    Digits::Whole(number) => store::find_by_digits(db, account, *number).await?,
                    Digits::None | Digits::Like(_) => None,
                };
                let fits = |number: &Number| {
                    kind.is_none_or(|kind| kind == number.phone_number.kind())
                        && name.as_ref().is_none_or(|name| *name == number.friendly_name())
                };
                let found: Vec<_> = found.into_iter().filter(fits).collect();
                let total = i64::try_from(found.len()).unwrap_or_default();
                let page = if page.cursor == Cursor::Last { page.last_of(total) } else { page };
                Ok(Slice::new(page, total, if page.number == 0 { found } else { Vec::new() }))
            }
        }
    }

    async fn page_of_all(&self, source: Source<'_>, all: All, page: Page) -> Result<Slice, Denied<Refused>> {
        let is_walked_at_once =
            matches!(page, Page { cursor: Cursor::After(_), .. } | Page { cursor: Cursor::ByNumber, number: 0, .. });
        let db = &if is_walked_at_once { source.db().clone() } else { source.db().admitted().await? };
        let (page, beginning) = begin(db, &all, page).await?;
        let after = beginning.after();
        let held = match beginning {
            Beginning::Past => Held::default(),
            _ => {
                let All { account, kind } = all;
                self.part(source, db, Part { account, kind, after, size: page.size + 1 }).await?
            }
        };
        // A page without numbers also shows the total.
        let total = match held.total {
            Some(total) => Some(total),
            None => store::count(db, all.account, all.kind, after).await?,
        };
        Ok(Slice::new(page, total.ok_or(Refused::UnknownCursor)?, held.numbers))
    }

    async fn part(&self, source: Source<'_>, db: &Db, part: Part) -> Result<Held> {
        if part.size > DEFAULT_SIZE + 1 {
            // A large page goes in no batch, so that only its own client waits for it.
            return Ok(store::parts(db, &[part]).await?.pop().unwrap_or_default());
        }
        self.0.join(source, part).await
    }
}

/// A list whose numbers can be found by offset.
trait ByOffset {
    /// Its numbers are counted up to this many.
    const COUNTED: i64;

    /// The number of items, up to [`COUNTED`](Self::COUNTED).
    async fn count(&self, db: &Db) -> sqlx::Result<i64>;

    /// The number at this offset; `None` if the list is shorter.
    async fn sid_at(&self, db: &Db, before: i64) -> sqlx::Result<Option<NumberSid>>;

    /// Walks backwards over `between` numbers, from `from` or from the end of the list, and returns the number before
    /// them. `Some(None)` if the list does not reach so far; `None` if the account never held `from`.
    async fn sid_before(
        &self,
        db: &Db,
        from: Option<NumberSid>,
        between: i64,
    ) -> sqlx::Result<Option<Option<NumberSid>>>;
}

/// All numbers of an account, of one kind or both.
#[derive(Clone, Copy)]
struct All {
    account: AccountSid,
    kind: Option<Kind>,
}

impl ByOffset for All {
    const COUNTED: i64 = i64::MAX;

    async fn count(&self, db: &Db) -> sqlx::Result<i64> {
        Ok(store::count(db, self.account, self.kind, None).await?.unwrap_or_default())
    }

    async fn sid_at(&self, db: &Db, before: i64) -> sqlx::Result<Option<NumberSid>> {
        store::sid_at(db, self.account, self.kind, before).await
    }

    async fn sid_before(
        &self,
        db: &Db,
        from: Option<NumberSid>,
        between: i64,
    ) -> sqlx::Result<Option<Option<NumberSid>>> {
        store::sid_before(db, self.account, self.kind, from, between).await
    }
}

/// Where a page begins in its list.
enum Beginning {
    /// At the first number of the list.
    First,
    /// After this number.
    After(NumberSid),
    /// After the last number.
    Past,
}

impl Beginning {
    const fn after(&self) -> Option<NumberSid> {
        match self {
            Self::After(sid) => Some(*sid),
            Self::First | Self::Past => None,
        }
    }
}

/// Finds where a page begins and, for the last page, its number. It reads only keys; the numbers are then read from
/// there on, which costs the same anywhere in the list.
async fn begin<L: ByOffset>(db: &Db, list: &L, page: Page) -> Result<(Page, Beginning), Denied<Refused>> {
    match page.cursor {
        Cursor::ByNumber => Ok((page, begin_by_number(db, list, page).await?)),
        Cursor::After(sid) => Ok((page, Beginning::After(sid))),
        Cursor::Before(sid) => {
            let before = list.sid_before(db, Some(sid), page.size.into()).await?.ok_or(Refused::UnknownCursor)?;
            // If fewer numbers than a page are left before the cursor, this is the first page.
            let number = if before.is_some() { page.number } else { 0 };
            Ok((Page { number, ..page }, before.map_or(Beginning::First, Beginning::After)))
        }
        Cursor::Last => {
            let total = list.count(db).await?;
            let page = page.last_of(total.min(L::COUNTED));
            if total > L::COUNTED {
                // If not all numbers were counted, the end is unknown, and this is the last page of those that were
                // counted.
                return Ok((page, begin_by_number(db, list, page).await?));
            }
            let before = list.sid_before(db, None, total - page.start()).await?.flatten();
            Ok((page, before.map_or(Beginning::First, Beginning::After)))
        }
    }
}

async fn begin_by_number<L: ByOffset>(db: &Db, list: &L, page: Page) -> Result<Beginning, Denied<Refused>> {
    match page.start() {
        0 => Ok(Beginning::First),
        start if start < REACH => {
            let before = list.sid_at(db, start - 1).await?;
            Ok(before.map_or(Beginning::Past, Beginning::After))
        }
        start if list.count(db).await? > start.min(L::COUNTED) => Err(Refused::BeyondReach.into()),
        _ => Ok(Beginning::Past),
    }
}
