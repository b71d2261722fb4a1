//! Pages of a list.

/// The default page size, and the largest.
pub const DEFAULT_SIZE: u32 = 50;
pub const LARGEST_SIZE: u32 = 1000;

/// How many items of a list the number of a page can reach. To find a page by its number, all items before it are walked.
pub const REACH: i64 = 100_000;

/// The page that is asked for. `K` is the key of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<K> {
    /// Counted from 0.
    pub number: u32,
    pub size: u32,
    pub cursor: Cursor<K>,
}

/// How a page is found. All but the first way cost the same anywhere in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor<K> {
    /// Unspecified: by the page's number.
    ByNumber,
    /// After the item with this key.
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
    /// Whether the list goes on after this page. Read, not computed from the total: others buy and release meanwhile.
    pub more: bool,
}

impl<T, K> Slice<T, K> {
    /// `items` are those of the page and, if there is one, the next.
    pub fn new(page: Page<K>, total: i64, mut items: Vec<T>) -> Self {
        let size = page.size as usize;
        let more = items.len() > size;
        items.truncate(size);
        Self { page, total, items, more }
    }

    /// The page's number. An empty list has only page 0, also if another page was asked for.
    pub fn number(&self) -> i64 {
        if self.total == 0 { 0 } else { i64::from(self.page.number) }
    }

    pub fn pages(&self) -> i64 {
        let size = i64::from(self.page.size);
        (self.total + size - 1) / size
    }

    /// The offsets of the first and the last item in the whole list; 0 and 0 if there is none.
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
