//! Paging on the wire: which page a query asks for, and the parameters in links to other pages.

use super::refusals::{Refusal, Unfit};
use crate::values::page::{Cursor, DEFAULT_SIZE, LARGEST_SIZE, Page};
use crate::values::sid::NumberSid;
use crate::web::params::Params;

/// Reads `Page` or `page`, `PageSize` or `num`, and `AfterSid`, `BeforeSid` or `Last`.
///
/// # Errors
/// 20007 for a wrong page size, 29002 for a wrong page or cursor.
pub fn read(query: &Params) -> Result<Page<NumberSid>, Refusal> {
    let number = query.one_of(&["Page", "page"])?.map_or(Ok(0), |text| whole_number(text).ok_or(Unfit::Page))?;
    let size = query.filled(&["PageSize", "num"])?.map_or(Ok(DEFAULT_SIZE), |text| {
        whole_number(text).filter(|size| (1..=LARGEST_SIZE).contains(size)).ok_or(Unfit::PageSize)
    })?;
    Ok(Page { number, size, cursor: cursor(query)? })
}

fn cursor(query: &Params) -> Result<Cursor<NumberSid>, Refusal> {
    let sid = |text: &str| text.parse().map_err(|_| Unfit::Cursor.into());
    match (query.get("AfterSid")?, query.get("BeforeSid")?, query.get("Last")?) {
        (None, None, None) => Ok(Cursor::ByNumber),
        (Some(text), None, None) => sid(text).map(Cursor::After),
        (None, Some(text), None) => sid(text).map(Cursor::Before),
        (None, None, Some("true")) => Ok(Cursor::Last),
        (None, None, Some(_)) => Err(Unfit::Last.into()),
        _ => Err(Unfit::Cursors.into()),
    }
}

/// The parameter for this cursor in a URI. Empty if the number of the page is enough.
pub fn parameter(cursor: Cursor<NumberSid>) -> String {
    match cursor {
        Cursor::ByNumber => String::new(),
        Cursor::After(sid) => format!("&AfterSid={sid}"),
        Cursor::Before(sid) => format!("&BeforeSid={sid}"),
        Cursor::Last => "&Last=true".to_owned(),
    }
}

fn whole_number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Option<(u32, u32)> {
        super::read(&Params::parse(query.as_bytes()).unwrap()).ok().map(|page| (page.number, page.size))
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
}
