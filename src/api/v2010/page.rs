//! Paging on the wire: which page a query asks for, and the parameters in links to other pages.

use super::refusals::{Refusal, Unfit};
use crate::values::page::{Cursor, DEFAULT_SIZE, LARGEST_SIZE, Page};
use crate::values::sid::NumberSid;
use crate::web::params::Params;

/// Reads `Page`, `PageSize` and `PageToken`. With a token, the number of the page is only told again.
///
/// # Errors
/// 20007 for a wrong size, 29002 for a wrong number, 21481 for a wrong token.
pub fn read(query: &Params) -> Result<Page<NumberSid>, Refusal> {
    let sent = query.filled(&["Page"])?;
    let number = sent.map_or(Ok(0), |text| whole_number(text).ok_or(Unfit::Page))?;
    let size = size(query, LARGEST_SIZE)?.unwrap_or(DEFAULT_SIZE);
    let cursor =
        query.filled(&["PageToken"])?.map_or(Ok(Cursor::ByNumber), |text| token(text).ok_or(Unfit::PageToken))?;
    // After a cursor, there is always a page before this one. Before a cursor, the list tells whether this is the first page.
    let number = match (cursor, sent) {
        (Cursor::After(_), _) => number.max(1),
        (Cursor::Before(_), None) => 1,
        _ => number,
    };
    Ok(Page { number, size, cursor })
}

/// Reads `PageSize`. More than the largest size means the largest one: SDKs ask for as many as their caller wants.
///
/// # Errors
/// 20007 for a wrong size.
pub fn size(query: &Params, largest: u32) -> Result<Option<u32>, Refusal> {
    let Some(text) = query.filled(&["PageSize"])? else { return Ok(None) };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let size = text.parse().unwrap_or(u32::MAX).min(largest);
    Ok(Some(size).filter(|size| is_number && *size > 0).ok_or(Unfit::PageSize).map(Some)?)
}

fn whole_number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A token is `PA` or `PB` and the Sid of the number after or before which the page is; of the last page, `PL`.
fn token(text: &str) -> Option<Cursor<NumberSid>> {
    match text.split_at_checked(2)? {
        ("PA", sid) => sid.parse().ok().map(Cursor::After),
        ("PB", sid) => sid.parse().ok().map(Cursor::Before),
        ("PL", "") => Some(Cursor::Last),
        _ => None,
    }
}

/// The parameters of a page in a URI.
pub fn parameters(page: i64, size: u32, cursor: Cursor<NumberSid>) -> String {
    let token = match cursor {
        Cursor::ByNumber => String::new(),
        Cursor::After(sid) => format!("&PageToken=PA{sid}"),
        Cursor::Before(sid) => format!("&PageToken=PB{sid}"),
        Cursor::Last => "&PageToken=PL".to_owned(),
    };
    // A number that can be read back: with a token it is only told again.
    let page = page.min(u32::MAX.into());
    format!("PageSize={size}&Page={page}{token}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Option<Page<NumberSid>> {
        super::read(&Params::parse(query.as_bytes()).unwrap()).ok()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let sid: NumberSid = "PN2a0747eba6abf96b7e3c3ff0b4530f6e".parse().unwrap();
        for cursor in [Cursor::ByNumber, Cursor::After(sid), Cursor::Before(sid), Cursor::Last] {
            assert_eq!(read(&parameters(3, 20, cursor)), Some(Page { number: 3, size: 20, cursor }));
        }
    }

    #[test]
    fn a_size_is_cut_and_what_is_no_size_is_refused() {
        for (text, size) in
            [("1", 1), ("1000", 1000), ("1001", 1000), ("99999999999999999999", 1000), ("007", 7), ("", 50)]
        {
            assert_eq!(read(&format!("PageSize={text}")).map(|page| page.size), Some(size), "{text}");
        }
        for query in [
            "PageSize=0",
            "PageSize=-1",
            "PageSize=1.0",
            "PageSize=ten",
            "Page=-1",
            "Page=4294967296",
            "Page=1&Page=1",
            "PageToken=PA",
            "PageToken=PAPN1",
            "PageToken=PLx",
            "PageToken=\u{e9}\u{e9}",
            "PageToken=PCPN2a0747eba6abf96b7e3c3ff0b4530f6e",
        ] {
            assert_eq!(read(query), None, "{query}");
        }
    }
}
