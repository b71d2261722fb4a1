//! Tables for people: columns that are as wide as their widest cell, two spaces apart. On a terminal, as many as fit.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::screen::Screen;

/// A wider cell than this runs over: it does not widen all rows.
const WIDEST: usize = 80;

/// On a terminal, a wider cell is cut.
const WIDEST_ON_TERMINAL: usize = 40;

/// How many columns matter so much that wide cells are cut for them, and to what width at the least.
const FOREMOST: usize = 4;
const LEAST: usize = 16;

/// The columns of a table that are shown.
pub struct Table {
    columns: Vec<Column>,
    screen: Screen,
    /// The names of those that are not.
    left_out: Vec<String>,
}

struct Column {
    /// Its place in a row.
    at: usize,
    name: String,
    width: usize,
    /// Texts are of many lengths; Sids, times and phone numbers are of one.
    varies: bool,
    /// Numbers stand at the right.
    is_number: bool,
}

impl Table {
    /// Columns for this header, if there is one, and these rows. Where a line has a width, the columns at the places
    /// `foremost` come first, and only those that fit.
    pub fn of<R: AsRef<[S]>, S: AsRef<str>>(
        header: Option<&R>,
        rows: &[R],
        screen: Screen,
        foremost: Option<&[usize]>,
    ) -> Self {
        let count = header.into_iter().chain(rows).map(|row| row.as_ref().len()).max().unwrap_or_default();
        let natural: Vec<usize> = (0..count).collect();
        let places = foremost.filter(|_| screen.width.is_some()).unwrap_or(&natural);
        let all = places.iter().map(|at| Column::of(header, rows, screen, *at));
        let Some(room) = screen.width.filter(|_| header.is_some()) else {
            return Self { columns: all.collect(), screen, left_out: Vec::new() };
        };
        let (mut columns, mut left_out, mut taken) = (Vec::<Column>::new(), Vec::new(), 0);
        for mut column in all {
            let gap = if columns.is_empty() { 0 } else { 2 };
            let missing = (taken + gap + column.width).saturating_sub(room);
            if missing > 0 && columns.len() < FOREMOST {
                let wide = columns.iter_mut().chain([&mut column]).filter(|wide| wide.varies);
                if let Some(wide) = wide.max_by_key(|wide| wide.width).filter(|wide| wide.width >= LEAST + missing) {
                    wide.width -= missing;
                    taken = taken.min(room - gap - column.width);
                }
            }
            if columns.is_empty() || taken + gap + column.width <= room {
                taken += gap + column.width;
                columns.push(column);
            } else {
                left_out.push(column.name);
            }
        }
        Self { columns, screen, left_out }
    }

    /// Which columns are not shown, in one line.
    pub fn left_out(&self) -> Option<String> {
        (!self.left_out.is_empty()).then(|| format!("columns left out: {}; --wide shows all", self.left_out.join(", ")))
    }

    /// Writes a row on one line. An empty cell is a dash.
    pub fn write<S: AsRef<str>>(&self, to: &mut String, row: &[S]) {
        let begins = to.len();
        for column in &self.columns {
            let Some(value) = row.get(column.at) else { continue };
            let cell = self.screen.clipped(self.screen.cell(value.as_ref()), column.width);
            let blanks = column.width.saturating_sub(cell.width());
            let (before, after) = if column.is_number { (blanks, 0) } else { (0, blanks) };
            // A line of name and value names its column itself.
            let name = if column.name.is_empty() { row[0].as_ref() } else { &column.name };
            let (colour, plain) = self.screen.paint(name, value.as_ref());
            let _ = write!(to, "{:before$}{colour}{cell}{plain}{:after$}  ", "", "");
        }
        to.truncate(begins + to[begins..].trim_end().len());
        to.push('\n');
    }
}

impl Column {
    fn of<R: AsRef<[S]>, S: AsRef<str>>(header: Option<&R>, rows: &[R], screen: Screen, at: usize) -> Self {
        let cell = |row: &R| row.as_ref().get(at).map(|cell| cell.as_ref().to_owned());
        let widths = header.into_iter().chain(rows).filter_map(cell).map(|cell| screen.cell(&cell).width());
        let cells = || rows.iter().filter_map(move |row| Some(row.as_ref().get(at)?.as_ref()));
        let widest = if screen.width.is_some() && header.is_some() { WIDEST_ON_TERMINAL } else { WIDEST };
        Self {
            at,
            name: header.and_then(cell).unwrap_or_default(),
            varies: cells().map(str::len).filter(|len| *len > 0).min() < cells().map(str::len).max(),
            width: widths.max().unwrap_or_default().min(widest),
            is_number: header.is_some()
                && cells().all(|cell| cell.is_empty() || cell.parse::<f64>().is_ok())
                && cells().any(|cell| !cell.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &[&str], rows: &[Vec<&str>], screen: Screen, foremost: Option<&[usize]>) -> String {
        let header = header.to_vec();
        let table = Table::of(Some(&header), rows, screen, foremost);
        let mut text = String::new();
        for row in std::iter::once(&header).chain(rows) {
            table.write(&mut text, row);
        }
        text
    }

    #[test]
    fn columns_are_as_wide_as_they_look() {
        let rows = [vec!["株式会社", "7"], vec!["Acme", ""], vec!["a\tb", "1200"]];
        let text = shown(&["name", "count"], &rows, Screen::default(), Some(&[1, 0]));
        assert_eq!(text, "name      count\n株式会社      7\nAcme          -\na\\tb       1200\n");
    }

    #[test]
    fn a_narrow_terminal_shows_what_matters_most() {
        let rows = [vec!["1", "a long note that does not fit", "active"]];
        let narrow = Screen { width: Some(16), ..Screen::default() };
        let table = Table::of(Some(&vec!["id", "note", "status"]), &rows, narrow, Some(&[2, 1, 0]));
        assert_eq!(table.left_out().as_deref(), Some("columns left out: note; --wide shows all"));
        assert_eq!(shown(&["id", "note", "status"], &rows, narrow, Some(&[2, 1, 0])), "status  id\nactive   1\n");
    }

    #[test]
    fn a_long_name_leaves_room_for_what_matters_more() {
        let long = "A name that is much longer than most of them";
        let rows = [vec!["AC01", long, "suspended", "1.00"], vec!["AC02", "Acme", "active", "2.00"]];
        let narrow = Screen { width: Some(40), ..Screen::default() };
        let text = shown(&["sid", "name", "status", "balance"], &rows, narrow, Some(&[0, 1, 2, 3]));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "AC01  A name that is much lo…  suspended");
        assert_eq!(lines[2], "AC02  Acme                     active");
    }

    #[test]
    fn a_long_cell_runs_over_where_nobody_says_how_wide_a_line_is() {
        let rows = vec![vec!["x".repeat(200), "y".to_owned()]];
        let mut text = String::new();
        Table::of(None, &rows, Screen::default(), None).write(&mut text, &rows[0]);
        assert_eq!(text, format!("{}  y\n", "x".repeat(200)));
    }
}
