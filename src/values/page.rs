//! Pages of a list.

/// The default number of items on a page.
pub const DEFAULT_SIZE: u32 = 50;

/// The largest number of items on a page.
pub const LARGEST_SIZE: u32 = 1000;

/// A page that is asked for by number must begin within this many items of the list: PostgreSQL reads all items before
/// it.
pub const REACH: i64 = 100_000;

/// A page that is asked for. `K` is the key of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<K> {
    /// Counted from 0.
    pub number: u32,
    /// The number of items on a page.
    pub size: u32,
    pub cursor: Cursor<K>,
}

/// How to find a page. By number, later pages cost more. Every other way costs the same for all pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor<K> {
    /// By the page's number: the request names no cursor.
    ByNumber,
    /// The page begins after the item with this key.
    After(K),
    /// The page ends before the item with this key.
    Before(K),
    /// The last page. Its number is not known yet.
    Last,
}

impl<K> Page<K> {
    /// How many items of the list come before this page.
    pub fn start(&self) -> i64 {
        i64::from(self.number) * i64::from(self.size)
    }

    /// The last page of a list of `total` items.
    pub fn last_of(self, total: i64) -> Self {
        let number = (total - 1).max(0) / i64::from(self.size);
        Self { number: u32::try_from(number).unwrap_or(u32::MAX), ..self }
    }
}

/// One page of a list of `T`, whose key is `K`.
#[derive(Debug)]
pub struct Slice<T, K> {
    pub page: Page<K>,
    /// The number of items in the whole list.
    pub total: i64,
    pub items: Vec<T>,
    /// Whether the list goes on after this page. Read with the items, not computed from `total`: numbers may be bought
    /// or released between the two reads.
    pub more: bool,
}

impl<T, K> Slice<T, K> {
    /// `items` are those of the page, and the one after them if there is any.
    pub fn new(page: Page<K>, total: i64, mut items: Vec<T>) -> Self {
        let size = page.size as usize;
        let more = items.len() > size;
        items.truncate(size);
        Self { page, total, items, more }
    }

    /// The page's number; 0 for an empty list, whichever page was asked for.
    pub fn number(&self) -> i64 {
        if self.total == 0 { 0 } else { i64::from(self.page.number) }
    }

    /// The number of pages in the whole list; 0 if it is empty.
    pub fn pages(&self) -> i64 {
        let size = i64::from(self.page.size);
        (self.total + size - 1) / size
    }

    /// The offsets of the page's first and last item in the whole list; 0 and 0 if the page is empty.
    pub fn offsets(&self) -> (i64, i64) {
        match i64::try_from(self.items.len()) {
            Ok(count) if count > 0 => (self.page.start(), self.page.start() + count - 1),
            _ => (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_from_zero() {
        let page = Page::<()> { number: 0, size: 50, cursor: Cursor::ByNumber };
        let slice = Slice::new(page, 38, vec![(); 38]);
        assert_eq!((slice.offsets(), slice.pages(), slice.more), ((0, 37), 1, false));
        let full = Slice::new(Page { size: 10, ..page }, 38, vec![(); 11]);
        assert_eq!((full.offsets(), full.pages(), full.more), ((0, 9), 4, true));
        let past = Slice::new(Page { number: 3, ..page }, 38, Vec::<()>::new());
        assert_eq!((past.offsets(), past.more), ((0, 0), false));
    }

    #[test]
    fn the_last_page_is_full_or_the_rest() {
        let page = Page::<()> { number: 7, size: 10, cursor: Cursor::Last };
        for (total, number) in [(0, 0), (1, 0), (10, 0), (11, 1), (20, 1), (100_001, 10_000)] {
            assert_eq!(page.last_of(total).number, number, "{total}");
        }
    }
}
