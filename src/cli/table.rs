//! Tables for people: columns that are as wide as their widest cell, two spaces apart.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::terminal::visible;

/// The widest column. A wider cell runs over, so that it does not widen all rows.
const WIDEST: usize = 80;

/// The columns of a table.
pub struct Table(Vec<Column>);

struct Column {
    width: usize,
    /// Numbers are aligned to the right.
    is_number: bool,
}

impl Table {
    /// Columns for this header, if there is one, and these rows.
    pub fn of<R: AsRef<[S]>, S: AsRef<str>>(header: Option<&R>, rows: &[R]) -> Self {
        let width = |row: &R, at: usize| row.as_ref().get(at).map_or(0, |cell| shown(cell.as_ref()).width());
        let count = header.into_iter().chain(rows).map(|row| row.as_ref().len()).max().unwrap_or_default();
        let column = |at: usize| {
            let cells = || rows.iter().filter_map(move |row| Some(row.as_ref().get(at)?.as_ref()));
            Column {
                width: header.into_iter().chain(rows).map(|row| width(row, at)).max().unwrap_or_default().min(WIDEST),
                is_number: header.is_some()
                    && cells().all(|cell| cell.is_empty() || cell.parse::<f64>().is_ok())
                    && cells().any(|cell| !cell.is_empty()),
            }
        };
        Self((0..count).map(column).collect())
    }

    /// Writes a row on one line. An empty cell is a dash.
    pub fn write<S: AsRef<str>>(&self, to: &mut String, row: impl IntoIterator<Item = S>) {
        let begins = to.len();
        for (cell, column) in row.into_iter().zip(&self.0) {
            let cell = shown(cell.as_ref());
            let blanks = column.width.saturating_sub(cell.width());
            let (before, after) = if column.is_number { (blanks, 0) } else { (0, blanks) };
            let _ = write!(to, "{:before$}{cell}{:after$}  ", "", "");
        }
        to.truncate(begins + to[begins..].trim_end().len());
        to.push('\n');
    }
}

fn shown(cell: &str) -> Cow<'_, str> {
    if cell.is_empty() { "-".into() } else { visible(cell) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_look() {
        let header = vec!["name", "count"];
        let rows = vec![vec!["株式会社", "7"], vec!["Acme", ""], vec!["a\tb", "1200"]];
        let table = Table::of(Some(&header), &rows);
        let mut text = String::new();
        for row in std::iter::once(&header).chain(&rows) {
            table.write(&mut text, row);
        }
        assert_eq!(text, "name      count\n株式会社      7\nAcme          -\na\\tb       1200\n");
    }

    #[test]
    fn a_long_cell_runs_over() {
        let rows = vec![vec!["x".repeat(200), "y".to_owned()]];
        let mut text = String::new();
        Table::of(None, &rows).write(&mut text, &rows[0]);
        assert_eq!(text, format!("{}  y\n", "x".repeat(200)));
    }
}
