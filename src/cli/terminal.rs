//! Writes answers to standard output and lines to standard error, and makes texts of tenants and files safe for a
//! terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use super::{Done, Failure};

/// The text with all characters escaped that a terminal would obey or hide: control characters, all line breaks, and
/// Unicode's format characters (zero-width characters, marks of direction, tags).
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) {
            let _ = write!(shown, "{}", c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown.into()
}

fn is_hidden(c: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator};
    // In ASCII only control characters are hidden, so most texts need no table.
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    matches!(c.general_category(), Control | Format | LineSeparator | ParagraphSeparator)
}

/// Writes to standard output.
pub fn write_out(text: &str) -> Done {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

pub fn written(result: io::Result<()>) -> Done {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::NoReader,
        _ => Failure::Untold(format!("the answer could not be written: {error}")),
    })
}

/// Writes a line to standard error. An error is ignored: there is no other place to report it.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", visible(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_escaped_and_nothing_else() {
        for text in ["", "Acme, \"Inc\" \\ ☎", "Émile 株式会社", "a'b", "e\u{301}"] {
            assert_eq!(visible(text), text);
        }
        for (text, shown) in [
            ("a\u{202e}b", "a\\u{202e}b"),
            ("\u{200b}\u{200d}\u{2060}\u{feff}", "\\u{200b}\\u{200d}\\u{2060}\\u{feff}"),
            ("\u{e0041}", "\\u{e0041}"),
            ("\u{ad}\u{61c}\u{2066}", "\\u{ad}\\u{61c}\\u{2066}"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\r\nb\tc\0", "a\\r\\nb\\tc\\u{0}"),
            ("\u{9b}\u{2028}\u{2029}", "\\u{9b}\\u{2028}\\u{2029}"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }
}
