//! Answers of commands: tables for people, or one JSON document.

use std::iter::once;

use serde::Serialize;
use serde_json::{Map, Value};

use super::options::Output;
use super::rows::Rows;
use super::screen::Screen;
use super::table::Table;
use super::terminal::visible;
use super::{Done, Failure, write_out};

/// Writes an answer. For people, a list becomes a table, anything else lines of name and value.
pub fn show(output: Output, answer: &impl Serialize) -> Done {
    let value = serde_json::to_value(answer).map_err(|error| Failure::Bad(error.to_string()))?;
    if let (Output::Csv, Value::Array(rows)) = (output, &value) {
        return lines(rows);
    }
    write_out(&match output {
        Output::Json => format!("{value:#}\n"),
        _ => match &value {
            Value::Array(rows) => rows_table(rows, Screen::of(output)),
            Value::Object(fields) => fields_table(fields, Screen::of(output)),
            other => format!("{}\n", visible(&text(other))),
        },
    })
}

/// A list as CSV. Every text in it may have been chosen by somebody.
fn lines(list: &[Value]) -> Done {
    let mut listing = Listing { names: names(list), ..Listing::new(Output::Csv) };
    list.iter().try_for_each(|row| listing.add(row))?;
    listing.end()
}

/// A list that is written as its rows come. Their names are those of the first row.
pub struct Listing {
    output: Output,
    names: Vec<String>,
    rows: Option<Rows>,
}

impl Listing {
    pub const fn new(output: Output) -> Self {
        Self { output, names: Vec::new(), rows: None }
    }

    pub fn add(&mut self, row: &impl Serialize) -> Done {
        let value = serde_json::to_value(row).map_err(|error| Failure::Bad(error.to_string()))?;
        let fields = value.as_object().ok_or_else(|| Failure::Bad("a row has fields".to_owned()))?;
        if self.names.is_empty() {
            self.names = fields.keys().cloned().collect();
        }
        let rows = match &mut self.rows {
            Some(rows) => rows,
            none => {
                let rows = none.insert(Rows::new(self.output, self.names.clone()));
                rows.head(&self.names.iter().map(String::as_str).collect::<Vec<_>>())?;
                rows
            }
        };
        if self.output == Output::Json { rows.show(fields) } else { rows.show(&cells(fields, &self.names)) }
    }

    pub fn end(self) -> Done {
        match (self.rows, self.output) {
            (Some(rows), _) => rows.end(),
            (None, Output::Json) => Rows::new(Output::Json, Vec::new()).end(),
            (None, Output::Csv) => Ok(()),
            (None, _) => write_out("(none)\n"),
        }
    }
}

/// An answer of fields, and then of lists that are written as their rows come.
pub struct Outline {
    output: Output,
    /// The name of the list that rows are added to, and its rows.
    list: Option<(&'static str, Listing)>,
}

impl Outline {
    pub const fn new(output: Output) -> Self {
        Self { output, list: None }
    }

    /// Writes the fields.
    pub fn begin(&mut self, fields: &impl Serialize) -> Result<&mut Self, Failure> {
        let value = serde_json::to_value(fields).map_err(|error| Failure::Bad(error.to_string()))?;
        write_out(&match (self.output, &value) {
            // Lists follow within the braces.
            (Output::Json, _) => value.to_string().trim_end_matches('}').to_owned(),
            (_, Value::Object(fields)) => fields_table(fields, Screen::of(self.output)),
            _ => String::new(),
        })?;
        Ok(self)
    }

    /// Ends the list before, if there is one, and begins another.
    pub fn list(&mut self, name: &'static str) -> Done {
        self.list.take().map_or(Ok(()), |(_, listing)| listing.end())?;
        self.list = Some((name, Listing::new(self.output)));
        write_out(&match self.output {
            Output::Json => format!(",\n\"{name}\": "),
            _ => format!("\n{name}\n"),
        })
    }

    /// The list of this name, which begins unless rows were added to it before.
    pub fn within(&mut self, name: &'static str) -> Result<&mut Self, Failure> {
        if self.list.as_ref().is_none_or(|(current, _)| *current != name) {
            self.list(name)?;
        }
        Ok(self)
    }

    pub fn add(&mut self, row: &impl Serialize) -> Done {
        self.list.as_mut().map_or(Ok(()), |(_, listing)| listing.add(row))
    }

    pub fn end(self) -> Done {
        self.list.map_or(Ok(()), |(_, listing)| listing.end())?;
        if self.output == Output::Json { write_out("}\n") } else { Ok(()) }
    }
}

/// The names of all members of a list's objects, in the order in which they come first.
fn names(list: &[Value]) -> Vec<String> {
    let mut names = Vec::<String>::new();
    for name in list.iter().filter_map(Value::as_object).flat_map(Map::keys) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The cells of a row below these names. A member that it lacks is empty.
fn cells(row: &Map<String, Value>, names: &[String]) -> Vec<String> {
    names.iter().map(|name| row.get(name).map(text).unwrap_or_default()).collect()
}

fn rows_table(rows: &[Value], screen: Screen) -> String {
    if rows.is_empty() {
        return "(none)\n".to_owned();
    }
    let header = names(rows);
    if header.is_empty() {
        return rows.iter().map(|row| visible(&text(row)).into_owned() + "\n").collect();
    }
    let rows: Vec<Vec<_>> = rows.iter().filter_map(Value::as_object).map(|row| cells(row, &header)).collect();
    let (table, mut shown) = (Table::of(Some(&header), &rows, screen, None), String::new());
    once(&header).chain(&rows).for_each(|row| table.write(&mut shown, row));
    shown.extend(table.left_out().map(|told| told + "\n"));
    shown
}

fn fields_table(fields: &Map<String, Value>, screen: Screen) -> String {
    let single = fields.iter().filter(|(_, value)| !value.is_array());
    let rows: Vec<_> = single.map(|(name, value)| [name.clone(), text(value)]).collect();
    let (table, mut shown) = (Table::of(None, &rows, screen, None), String::new());
    rows.iter().for_each(|row| table.write(&mut shown, row));
    for (name, rows) in fields.iter().filter_map(|(name, value)| Some((name, value.as_array()?))) {
        shown += &format!("\n{name}\n{}", rows_table(rows, screen));
    }
    shown
}

/// The text of a cell. Null is empty.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_stands_below_its_own_name_and_texts_are_lines() {
        let rows = [json!({ "n": 1, "entry": "fee" }), json!({ "n": 2, "path": "/a" })];
        let header = names(&rows);
        assert_eq!(header, ["n", "entry", "path"]);
        assert_eq!(cells(rows[1].as_object().expect("an object"), &header), ["2", "", "/a"]);
        let screen = Screen::of(Output::Wide);
        assert_eq!(rows_table(&[json!("AC1"), json!("AC2")], screen), "AC1\nAC2\n");
        assert_eq!(rows_table(&[], screen), "(none)\n");
    }
}
