//! Answers of commands: tables for people, or one JSON document.

use std::iter::once;

use serde::Serialize;
use serde_json::{Map, Value};

use super::options::Output;
use super::table::Table;
use super::terminal::visible;
use super::{Done, Failure, write_out};

/// Writes an answer. For people, a list becomes a table, anything else lines of name and value.
pub fn show(output: Output, answer: &impl Serialize) -> Done {
    let value = serde_json::to_value(answer).map_err(|error| Failure::Bad(error.to_string()))?;
    write_out(&match output {
        Output::Json => format!("{value:#}\n"),
        _ => match &value {
            Value::Array(rows) => rows_table(rows),
            Value::Object(fields) => fields_table(fields),
            other => format!("{}\n", visible(&text(other))),
        },
    })
}

fn rows_table(rows: &[Value]) -> String {
    let Some(Value::Object(first)) = rows.first() else { return "(none)\n".to_owned() };
    let header: Vec<_> = first.keys().cloned().collect();
    let rows: Vec<Vec<_>> =
        rows.iter().filter_map(Value::as_object).map(|row| row.values().map(text).collect()).collect();
    let (table, mut shown) = (Table::of(Some(&header), &rows), String::new());
    once(&header).chain(&rows).for_each(|row| table.write(&mut shown, row));
    shown
}

fn fields_table(fields: &Map<String, Value>) -> String {
    let single = fields.iter().filter(|(_, value)| !value.is_array());
    let rows: Vec<_> = single.map(|(name, value)| [name.clone(), text(value)]).collect();
    let (table, mut shown) = (Table::of(None, &rows), String::new());
    rows.iter().for_each(|row| table.write(&mut shown, row));
    for (name, rows) in fields.iter().filter_map(|(name, value)| Some((name, value.as_array()?))) {
        shown += &format!("\n{name}\n{}", rows_table(rows));
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
