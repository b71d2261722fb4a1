//! Answers of commands: tables for people, or one JSON document.

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::{Map, Value};

use super::options::Output;
use super::terminal::visible;
use super::{Done, Failure, write_out};

/// Writes an answer: a list becomes a table, anything else lines of name and value.
pub fn show(output: Output, answer: &impl Serialize) -> Done {
    let value = serde_json::to_value(answer).map_err(|error| Failure::Bad(error.to_string()))?;
    write_out(&match output {
        Output::Json => format!("{value:#}\n"),
        _ => match &value {
            Value::Array(rows) => rows_table(rows),
            Value::Object(fields) => fields_table(fields),
            other => format!("{}\n", text(other)),
        },
    })
}

fn rows_table(rows: &[Value]) -> String {
    let Some(Value::Object(first)) = rows.first() else { return "(none)\n".to_owned() };
    let mut table = plain();
    table.set_header(first.keys());
    for row in rows.iter().filter_map(Value::as_object) {
        table.add_row(row.values().map(cell));
    }
    lines(table)
}

fn fields_table(fields: &Map<String, Value>) -> String {
    let mut table = plain();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_array()) {
        table.add_row([Cell::new(name), Cell::new(text(value))]);
    }
    let mut shown = lines(table);
    for (name, rows) in fields.iter().filter_map(|(name, value)| Some((name, value.as_array()?))) {
        shown += &format!("\n{name}\n{}", rows_table(rows));
    }
    shown
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn lines(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    format!("{}\n", table.trim_fmt())
}

fn cell(value: &Value) -> Cell {
    let alignment = if value.is_number() { CellAlignment::Right } else { CellAlignment::Left };
    Cell::new(text(value)).set_alignment(alignment)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => visible(text).into_owned(),
        other => visible(&other.to_string()).into_owned(),
    }
}
