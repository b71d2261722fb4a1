//! Paging: which part of a list is asked for, and the attributes that tell where it lies.

use crate::kernel::error::{Code, Error, Result};
use crate::kernel::params::Params;
use crate::kernel::sid::NumberSid;

/// The page size when none is asked for, and the largest one.
pub const DEFAULT_SIZE: u32 = 50;
pub const LARGEST_SIZE: u32 = 1000;

/// So many numbers of a list are reached by the number of a page alone: the walk to it grows with the number.
pub const REACH: i64 = 100_000;

/// Which page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Counted from 0.
    pub number: u32,
    pub size: u32,
    pub place: Place,
}

/// Where a page lies. All but the first cost the same everywhere in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where its number says.
    ByNumber,
    /// Right after this number, as `nextpageuri` says.
    After(NumberSid),
    /// Right before this number, as `previouspageuri` says.
    Before(NumberSid),
    /// At the end of the list, as `lastpageuri` says: its number is yet to be found.
    Last,
}

impl Place {
    /// The parameter of a URI that leads there; nothing where the number of the page does.
    pub fn parameter(self) -> String {
        match self {
            Self::ByNumber => String::new(),
            Self::After(sid) => format!("&AfterSid={sid}"),
            Self::Before(sid) => format!("&BeforeSid={sid}"),
            Self::Last => "&Last=true".to_owned(),
        }
    }

    fn read(query: &Params) -> Result<Self> {
        let sid = |text: &str| text.parse().map_err(|_| unknown_place());
        match (query.get("AfterSid")?, query.get("BeforeSid")?, query.get("Last")?) {
            (None, None, None) => Ok(Self::ByNumber),
            (Some(text), None, None) => sid(text).map(Self::After),
            (None, Some(text), None) => sid(text).map(Self::Before),
            (None, None, Some("true")) => Ok(Self::Last),
            (None, None, Some(_)) => {
                Err(Code::InvalidParameter.because("Last must be true; leave it out for any other page"))
            }
            _ => Err(Code::InvalidParameter.because("Send one of AfterSid, BeforeSid and Last")),
        }
    }
}

impl Page {
    /// Reads `Page` or `page`, `PageSize` or `num`, and `AfterSid`, `BeforeSid` or `Last`.
    ///
    /// # Errors
    /// 20007 for a page size, 29002 for a page or place that cannot be.
    pub fn read(query: &Params) -> Result<Self> {
        let number = query.one_of(&["Page", "page"])?.map_or(Ok(0), |text| {
            whole_number(text)
                .ok_or_else(|| Code::InvalidParameter.because("Page must be a whole number from 0 to 4294967295"))
        })?;
        let size = query.filled(&["PageSize", "num"])?.map_or(Ok(DEFAULT_SIZE), |text| {
            whole_number(text)
                .filter(|size| (1..=LARGEST_SIZE).contains(size))
                .ok_or_else(|| Code::PageSize.because("PageSize (or num) must be a whole number from 1 to 1000"))
        })?;
        Ok(Self { number, size, place: Place::read(query)? })
    }

    /// How many numbers of the whole list lie before this page.
    pub fn start(self) -> i64 {
        i64::from(self.number) * i64::from(self.size)
    }

    /// The last page of a list of so many.
    pub fn last_of(self, total: i64) -> Self {
        let number = (total - 1).max(0) / i64::from(self.size);
        Self { number: u32::try_from(number).unwrap_or(u32::MAX), ..self }
    }
}

/// The refusal of an `AfterSid` or `BeforeSid` that is no number of the list.
pub fn unknown_place() -> Error {
    Code::InvalidParameter
        .because("AfterSid and BeforeSid must be the Sid of a number of this account, as nextpageuri and previouspageuri give it")
}

/// The refusal of a page that its number alone does not reach.
pub fn beyond_reach() -> Error {
    Code::InvalidParameter.because(format!(
        "Page reaches the first {REACH} numbers of a list; walk on from there by nextpageuri, or back from lastpageuri by previouspageuri"
    ))
}

fn whole_number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// One page of a list.
#[derive(Debug)]
pub struct Slice<T> {
    pub page: Page,
    /// How many there are in the whole list.
    pub total: i64,
    pub items: Vec<T>,
    /// Whether the list goes on after this page. Seen, not computed: with others buying and
    /// releasing meanwhile, the total does not tell.
    pub more: bool,
}

impl<T> Slice<T> {
    /// Makes a page of `items`, of which one more than the page holds was asked for.
    pub fn new(page: Page, total: i64, mut items: Vec<T>) -> Self {
        let size = page.size as usize;
        let more = items.len() > size;
        items.truncate(size);
        Self { page, total, items, more }
    }

    /// Which page this is; whatever was asked for, nothing to list is page 0.
    pub fn number(&self) -> i64 {
        if self.total == 0 { 0 } else { i64::from(self.page.number) }
    }

    pub fn pages(&self) -> i64 {
        let size = i64::from(self.page.size);
        (self.total + size - 1) / size
    }

    /// The places of the first and the last item in the whole list; 0 and 0 when there is none.
    pub fn places(&self) -> (i64, i64) {
        match i64::try_from(self.items.len()) {
            Ok(count) if count > 0 => (self.page.start(), self.page.start() + count - 1),
            _ => (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Option<(u32, u32)> {
        Page::read(&Params::parse(query.as_bytes()).unwrap()).ok().map(|page| (page.number, page.size))
    }

    #[test]
    fn both_spellings_are_read() {
        assert_eq!(read(""), Some((0, 50)));
        assert_eq!(read("Page=2&PageSize=10"), Some((2, 10)));
        assert_eq!(read("page=2&num=1000"), Some((2, 1000)));
        assert_eq!(read("PAGE=x"), Some((0, 50)));
        assert_eq!((read("num=&PageSize="), read("num=&PageSize=7")), (Some((0, 50)), Some((0, 7))));
        for query in [
            "Page=-1",
            "Page=",
            "Page=1.0",
            "Page=4294967296",
            "num=0",
            "num=1001",
            "num=ten",
            "Page=1&page=1",
            "AfterSid=PN1",
            "BeforeSid=",
            "Last=",
            "Last=1",
            "Last=true&AfterSid=PN2a0747eba6abf96b7e3c3ff0b4530f6e",
        ] {
            assert_eq!(read(query), None, "{query}");
        }
    }

    #[test]
    fn places_count_from_zero() {
        let page = Page { number: 0, size: 50, place: Place::ByNumber };
        let slice = Slice::new(page, 38, vec![(); 38]);
        assert_eq!((slice.places(), slice.pages(), slice.more), ((0, 37), 1, false));
        let full = Slice::new(Page { size: 10, ..page }, 38, vec![(); 11]);
        assert_eq!((full.places(), full.pages(), full.more), ((0, 9), 4, true));
        let past = Slice::new(Page { number: 3, ..page }, 38, Vec::<()>::new());
        assert_eq!((past.places(), past.more), ((0, 0), false));
    }

    #[test]
    fn the_last_page_is_full_or_the_rest() {
        let page = Page { number: 7, size: 10, place: Place::Last };
        for (total, number) in [(0, 0), (1, 0), (10, 0), (11, 1), (20, 1), (100_001, 10_000)] {
            assert_eq!(page.last_of(total).number, number, "{total}");
        }
    }
}
