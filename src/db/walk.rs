//! Walks through a table by the places of its rows, some pages at a time. That needs no index, so no insert pays for it, and
//! a portion passes nothing that earlier ones deleted.

use super::{Db, store};

/// Pages of one portion: half a megabyte, some thousands of rows.
const PAGES: i64 = 64;

/// A portion of a table: its pages from the first on, up to the first one that is not among them.
#[derive(Clone, Copy, Debug)]
pub struct Portion {
    pub first: i64,
    pub end: i64,
}

/// The portions of a table as it is now. What is added later may be in none of them.
///
/// # Errors
/// If the database is out of reach.
pub async fn portions(db: &Db, table: &str) -> sqlx::Result<impl Iterator<Item = Portion>> {
    let size = store::size(db, table).await?;
    // To read some pages, PostgreSQL 13 reads the whole table.
    let pages = if size.can_walk { PAGES } else { size.pages };
    let portion = move |first| (first < size.pages).then_some(Portion { first, end: size.pages.min(first + pages) });
    Ok(std::iter::successors(portion(0), move |last| portion(last.end)))
}
