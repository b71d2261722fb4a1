//! What standard output is: a terminal with a width and colours, or something that wants every column as it is.

use std::borrow::Cow;
use std::env;
use std::io::{self, IsTerminal};

use terminal_size::{Width, terminal_size};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::options::Output;
use super::terminal::visible;

/// How tables are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// For a person: times to the second.
    pub is_terminal: bool,
    /// What a line may take; `None`: as much as it needs.
    pub width: Option<usize>,
    pub has_colours: bool,
}

impl Screen {
    /// That of standard output.
    pub fn of(output: Output) -> Self {
        if !io::stdout().is_terminal() {
            return Self::default();
        }
        let width = terminal_size().map(|(Width(columns), _)| usize::from(columns)).filter(|columns| *columns > 0);
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            is_terminal: true,
            width: width.filter(|_| output != Output::Wide),
            has_colours: !is_set("NO_COLOR") && !is_dumb,
        }
    }

    /// A cell as it is shown; of nothing, a dash.
    pub fn cell(self, text: &str) -> Cow<'_, str> {
        match text {
            "" => "-".into(),
            time if self.is_terminal && is_time(time) => format!("{} {}Z", &time[..10], &time[11..19]).into(),
            text => visible(text),
        }
    }

    /// The cell with nothing after this width, where lines have one.
    pub fn clipped(self, cell: Cow<'_, str>, width: usize) -> Cow<'_, str> {
        if self.width.is_none() || cell.width() <= width {
            return cell;
        }
        let (mut kept, mut taken) = (String::new(), 0);
        for c in cell.chars() {
            taken += c.width().unwrap_or_default();
            if taken + 1 > width {
                break;
            }
            kept.push(c);
        }
        (kept + "…").into()
    }

    /// What comes before and after a value of the column with this name.
    pub fn paint(self, column: &str, value: &str) -> (&'static str, &'static str) {
        let colour = if self.has_colours && COLOURED.contains(&column) { colour(value) } else { None };
        colour.map_or(("", ""), |colour| (colour, "\u{1b}[0m"))
    }
}

/// The columns whose values have colours.
const COLOURED: [&str; 6] = ["state", "status", "from_state", "to_state", "outcome", "change"];

/// Green is well, yellow waits, red is stuck, and grey is gone.
fn colour(value: &str) -> Option<&'static str> {
    Some(match value {
        "available" | "active" | "activated" | "done" => "\u{1b}[32m",
        "in_use" => "\u{1b}[36m",
        "quarantined" | "interrupted" | "unknown" => "\u{1b}[33m",
        "suspended" | "number_lost" | "refused" | "failed" => "\u{1b}[31m",
        "withdrawn" | "retired" | "closed" => "\u{1b}[90m",
        _ => return None,
    })
}

/// `2026-11-24T04:32:17.129Z`
fn is_time(text: &str) -> bool {
    let like = "0000-00-00T00:00:00.000Z";
    let same = |(c, like): (u8, u8)| if like == b'0' { c.is_ascii_digit() } else { c == like };
    text.len() == like.len() && text.bytes().zip(like.bytes()).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NARROW: Screen = Screen { is_terminal: true, width: Some(20), has_colours: true };

    #[test]
    fn people_see_seconds_and_others_see_all() {
        let time = "2026-11-24T04:32:17.129Z";
        assert_eq!(NARROW.cell(time), "2026-11-24 04:32:17Z");
        assert_eq!(Screen::default().cell(time), time);
        assert_eq!(NARROW.cell("2026-11-24T04:32:17.12☎"), "2026-11-24T04:32:17.12☎");
    }

    #[test]
    fn a_cell_is_cut_where_a_line_has_a_width() {
        assert_eq!(NARROW.clipped("株式会社".into(), 6), "株式…");
        assert_eq!(NARROW.clipped("abcd".into(), 4), "abcd");
        assert_eq!(Screen::default().clipped("abcde".into(), 4), "abcde");
    }

    #[test]
    fn states_have_colours_on_a_terminal_only() {
        assert_eq!(NARROW.paint("state", "retired"), ("\u{1b}[90m", "\u{1b}[0m"));
        assert_eq!(NARROW.paint("note", "retired"), ("", ""));
        assert_eq!(Screen::default().paint("state", "retired"), ("", ""));
    }
}
