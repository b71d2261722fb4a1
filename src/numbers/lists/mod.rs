//! Lists of the numbers that an account holds, newest first.

use std::sync::Arc;

use crate::kernel::batch::Reads;
use crate::kernel::db::Db;
use crate::kernel::error::Result;
use crate::kernel::page::{DEFAULT_SIZE, Page, Slice, unknown_place};
use crate::kernel::phone::{Kind, PhoneNumber};
use crate::kernel::sid::{AccountSid, NumberSid};
use crate::numbers::Number;

mod store;

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
    /// So many requests may wait for others.
    pub fn new(primary: &Db, most_waiting: usize) -> Self {
        Self(Arc::new(Reads::new(primary, most_waiting)))
    }

    /// How many requests wait for others.
    pub fn waiting(&self) -> usize {
        self.0.waiting()
    }

    /// A page of an account's numbers.
    ///
    /// # Errors
    /// 29002 when the page is to begin after a number that the account never held.
    pub async fn page(&self, db: &Db, account: AccountSid, filter: &Filter, page: Page) -> Result<Slice<Number>> {
        let kind = filter.kind;
        match (&filter.number, &filter.name) {
            (None, None) => self.page_of_all(db, account, kind, page).await?.ok_or_else(unknown_place),
            (None, Some(name)) => page_by_name(db, account, kind, name, page).await?.ok_or_else(unknown_place),
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
                Ok(Slice::new(page, total, if page.number == 0 { found } else { Vec::new() }))
            }
        }
    }

    async fn page_of_all(
        &self,
        db: &Db,
        account: AccountSid,
        kind: Option<Kind>,
        page: Page,
    ) -> Result<Option<Slice<Number>>> {
        let before = |count| store::place(db, account, kind, count);
        let (after, held) = match beginning(page, before).await? {
            Some(after) => (after, self.stretch(db, Stretch { account, kind, after, size: page.size + 1 }).await?),
            None => (None, Held::default()),
        };
        // A page without numbers still tells how many there are on others.
        let total = match held.total {
            Some(total) => Some(total),
            None => store::count(db, account, kind, after).await?,
        };
        Ok(total.map(|total| Slice::new(page, total, held.numbers)))
    }

    async fn stretch(&self, db: &Db, stretch: Stretch) -> Result<Held> {
        if stretch.size > DEFAULT_SIZE + 1 {
            // Nobody waits for a large page but who asked for it.
            return Ok(store::stretches(db, &[stretch]).await?.pop().unwrap_or_default());
        }
        self.0.join(db, stretch, |db, asked| async move { store::stretches(&db, &asked).await }).await
    }
}

async fn page_by_name(
    db: &Db,
    account: AccountSid,
    kind: Option<Kind>,
    name: &str,
    page: Page,
) -> Result<Option<Slice<Number>>> {
    // A number without a name of its own goes by its digits, nicely formatted.
    let default = name.parse().ok().filter(|number: &PhoneNumber| number.formatted() == name);
    let named = store::Named { name, default };
    let before = |count| store::place_by_name(db, account, kind, named, count);
    let total = match beginning(page, before).await? {
        Some(after) => return Ok(store::list_by_name(db, account, kind, named, after, page).await?),
        None => store::count_by_name(db, account, kind, named, None).await?,
    };
    Ok(total.map(|total| Slice::new(page, total, Vec::new())))
}

/// The number after which a page begins: the one that it names or, where it gives only its own
/// number, the one that stands before it now. `None` where the list is shorter.
async fn beginning<F>(page: Page, before: impl FnOnce(i64) -> F) -> Result<Option<Option<NumberSid>>>
where
    F: Future<Output = sqlx::Result<Option<NumberSid>>>,
{
    match (page.after, page.start()) {
        (Some(after), _) => Ok(Some(Some(after))),
        (None, 0) => Ok(Some(None)),
        (None, start) => Ok(before(start - 1).await?.map(Some)),
    }
}
