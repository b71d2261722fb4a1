//! Lists of the numbers that an account holds, newest first.

use std::sync::Arc;

use crate::db::Db;
use crate::db::batch::Reads;
use crate::db::replica::Source;
use crate::error::{Denied, Result};
use crate::numbers::{Number, Refused};
use crate::values::page::{self, Cursor, DEFAULT_SIZE, REACH};
use crate::values::phone::{Kind, PhoneNumber};
use crate::values::sid::{AccountSid, NumberSid};

mod named;
mod store;

/// Which page of a list is asked for.
pub type Page = page::Page<NumberSid>;

/// A page of a list.
pub type Slice = page::Slice<Number, NumberSid>;

/// Which numbers of an account a list shows.
#[derive(Debug, Default)]
pub struct Filter {
    /// Both kinds where there is none.
    pub kind: Option<Kind>,
    /// Only the number with these digits; `Some(None)` are digits that no number has.
    pub number: Option<Option<PhoneNumber>>,
    /// Only numbers of this name.
    pub name: Option<String>,
}

/// So many numbers of a list, from right after one of them on.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    account: AccountSid,
    kind: Option<Kind>,
    /// From the beginning where there is none.
    after: Option<NumberSid>,
    size: u32,
}

/// What is held of a stretch.
#[derive(Debug, Default)]
struct Held {
    numbers: Vec<Number>,
    /// How many there are in the whole list; `None` where the stretch is empty.
    total: Option<i64>,
}

/// The lists. Pages that are asked for at once are one statement.
#[derive(Clone)]
pub struct Lists(Arc<Reads<Stretch, Held>>);

impl Lists {
    /// At most this many requests may wait for others.
    pub fn new(primary: &Db, replica: Option<&Db>, most_waiting: usize) -> Self {
        let read = |db, asked: Vec<_>| async move { store::stretches(&db, &asked).await };
        Self(Arc::new(Reads::new(primary, replica, most_waiting, read)))
    }

    /// How many requests wait for others.
    pub fn waiting(&self) -> usize {
        self.0.waiting()
    }

    /// A page of an account's numbers.
    ///
    /// # Errors
    /// [`Refused::NoSuchPlace`], [`Refused::BeyondReach`]
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
            (Some(number), name) => {
                let found = match number {
                    Some(number) => store::find_by_digits(db, account, *number).await?,
                    None => None,
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
                self.stretch(source, db, Stretch { account, kind, after, size: page.size + 1 }).await?
            }
        };
        // A page without numbers still tells how many there are on others.
        let total = match held.total {
            Some(total) => Some(total),
            None => store::count(db, all.account, all.kind, after).await?,
        };
        Ok(Slice::new(page, total.ok_or(Refused::NoSuchPlace)?, held.numbers))
    }

    async fn stretch(&self, source: Source<'_>, db: &Db, stretch: Stretch) -> Result<Held> {
        if stretch.size > DEFAULT_SIZE + 1 {
            // Nobody waits for a large page but who asked for it.
            return Ok(store::stretches(db, &[stretch]).await?.pop().unwrap_or_default());
        }
        self.0.join(source, stretch).await
    }
}

/// A list whose numbers are found by their places.
trait Places {
    /// How far its numbers are counted.
    const COUNTED: i64;

    /// How many there are.
    async fn count(&self, db: &Db) -> sqlx::Result<i64>;

    /// The number that has so many before it; `None` where the list is shorter.
    async fn place(&self, db: &Db, before: i64) -> sqlx::Result<Option<NumberSid>>;

    /// The number that has so many between it and this one, or the end of the list; `Some(None)` where the list begins
    /// after that, `None` where the account never held this one.
    async fn place_back(
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

impl Places for All {
    const COUNTED: i64 = i64::MAX;

    async fn count(&self, db: &Db) -> sqlx::Result<i64> {
        Ok(store::count(db, self.account, self.kind, None).await?.unwrap_or_default())
    }

    async fn place(&self, db: &Db, before: i64) -> sqlx::Result<Option<NumberSid>> {
        store::place(db, self.account, self.kind, before).await
    }

    async fn place_back(
        &self,
        db: &Db,
        from: Option<NumberSid>,
        between: i64,
    ) -> sqlx::Result<Option<Option<NumberSid>>> {
        store::place_back(db, self.account, self.kind, from, between).await
    }
}

/// Where the numbers of a page begin.
enum Beginning {
    /// With the first one of the list.
    First,
    /// Right after this one.
    After(NumberSid),
    /// After the last one.
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

/// Finds where a page begins, and its number where the list alone tells it. Only keys are read here; the numbers are
/// walked from there on, which costs the same everywhere.
async fn begin<L: Places>(db: &Db, list: &L, page: Page) -> Result<(Page, Beginning), Denied<Refused>> {
    match page.cursor {
        Cursor::ByNumber => Ok((page, begin_by_number(db, list, page).await?)),
        Cursor::After(sid) => Ok((page, Beginning::After(sid))),
        Cursor::Before(sid) => {
            let before = list.place_back(db, Some(sid), page.size.into()).await?.ok_or(Refused::NoSuchPlace)?;
            // Where fewer are left before it than a page holds, that is the first page.
            let number = if before.is_some() { page.number } else { 0 };
            Ok((Page { number, ..page }, before.map_or(Beginning::First, Beginning::After)))
        }
        Cursor::Last => {
            let total = list.count(db).await?;
            let page = page.last_of(total.min(L::COUNTED));
            if total > L::COUNTED {
                // Where the list ends nobody has counted: this is the last page of those that were.
                return Ok((page, begin_by_number(db, list, page).await?));
            }
            let before = list.place_back(db, None, total - page.start()).await?.flatten();
            Ok((page, before.map_or(Beginning::First, Beginning::After)))
        }
    }
}

async fn begin_by_number<L: Places>(db: &Db, list: &L, page: Page) -> Result<Beginning, Denied<Refused>> {
    match page.start() {
        0 => Ok(Beginning::First),
        start if start < REACH => {
            let before = list.place(db, start - 1).await?;
            Ok(before.map_or(Beginning::Past, Beginning::After))
        }
        start if list.count(db).await? > start.min(L::COUNTED) => Err(Refused::BeyondReach.into()),
        _ => Ok(Beginning::Past),
    }
}
