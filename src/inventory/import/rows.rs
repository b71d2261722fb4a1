//! Reads a row.

use super::columns::{Column, Columns};
use super::store::Batch;
use super::truncated;
use crate::values::money::{Cost, NotACost};
use crate::values::phone::{Digits, NotAPhoneNumber, PhoneNumber};
use crate::values::text::LONGEST_NOTE;

/// The longest provider or note, in characters.
const MAX_TEXT: usize = LONGEST_NOTE;

/// Why a row cannot be stored.
#[derive(Debug)]
pub struct Fault {
    /// A short name, by which rows with this fault are counted.
    pub name: &'static str,
    /// What is wrong with this row, and what would be right.
    pub reason: String,
}

impl Fault {
    pub fn new(name: &'static str, reason: impl Into<String>) -> Self {
        Self { name, reason: reason.into() }
    }
}

pub struct StockRow {
    phone_number: PhoneNumber,
    provider: Option<String>,
    monthly_cost: Option<Cost>,
    note: Option<String>,
}

impl StockRow {
    pub fn of(cells: &[&[u8]], columns: &Columns) -> Result<Self, Fault> {
        let count = columns.header.len();
        if cells.len() > count {
            let reason = format!("the row has more cells than the header, which has {count}");
            return Err(Fault::new("more cells than the header", reason));
        }
        let cell = |column: Column| {
            let cell = columns.index(column).and_then(|index| cells.get(index)).copied().unwrap_or_default();
            let text = std::str::from_utf8(cell).map(str::trim).map_err(|_| {
                let reason = format!("{} is no UTF-8 text; was it Latin-1? --encoding latin1 reads it", column.name());
                Fault::new("not UTF-8", reason)
            })?;
            Ok(Some(text).filter(|text| !text.is_empty()))
        };
        Ok(Self {
            phone_number: phone_number(cell(Column::PhoneNumber)?.unwrap_or_default())?,
            provider: text(Column::Provider, cell(Column::Provider)?)?,
            monthly_cost: cell(Column::MonthlyCost)?.map(cost).transpose()?,
            note: text(Column::Note, cell(Column::Note)?)?,
        })
    }
}

fn phone_number(cell: &str) -> Result<PhoneNumber, Fault> {
    if cell.is_empty() {
        return Err(Fault::new("no phone number", "phone_number is empty"));
    }
    cell.parse().map(Digits::value).and_then(PhoneNumber::for_stock).map_err(|NotAPhoneNumber { text, reason }| {
        let error = NotAPhoneNumber { text: truncated(&text), reason };
        Fault::new(reason.name(), format!("phone_number {error}"))
    })
}

fn cost(cell: &str) -> Result<Cost, Fault> {
    let refused = |_| Fault::new("not an amount", format!("monthly_cost {}", NotACost(truncated(cell))));
    cell.parse().map_err(refused)
}

/// A provider or note; it may hold line breaks.
fn text(column: Column, cell: Option<&str>) -> Result<Option<String>, Fault> {
    let Some(cell) = cell else { return Ok(None) };
    if cell.chars().count() > MAX_TEXT {
        let reason = format!("{} must be at most {MAX_TEXT} characters", column.name());
        return Err(Fault::new("text too long", reason));
    }
    if cell.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r')) {
        return Err(Fault::new("control character", format!("{} holds a control character", column.name())));
    }
    Ok(Some(cell.to_owned()))
}

impl Batch {
    pub(super) fn push(&mut self, row: StockRow) {
        self.phone_numbers.push(row.phone_number.digits());
        self.kinds.push(row.phone_number.kind());
        self.providers.push(row.provider);
        self.costs.push(row.monthly_cost.map(Cost::ten_thousandths));
        self.notes.push(row.note);
    }

    pub(super) fn len(&self) -> usize {
        self.phone_numbers.len()
    }
}
