//! Finds the columns of a file by its header.

use std::str::FromStr;

use super::records::{Cells, DELIMITERS};
use super::truncated;

/// The properties that a file can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    PhoneNumber,
    Provider,
    MonthlyCost,
    Note,
}

/// Their names in carriers' files, in lower case, without blanks, `_` and `-`. The first is our own.
const NAMES: [(Column, &[&str]); 4] = [
    (Column::PhoneNumber, &["phonenumber", "number", "did", "tn", "e164", "telephonenumber", "phone"]),
    (Column::Provider, &["provider", "carrier"]),
    (Column::MonthlyCost, &["monthlycost", "cost", "mrc", "monthlyfee"]),
    (Column::Note, &["note", "description", "comment"]),
];

impl Column {
    pub const fn name(self) -> &'static str {
        match self {
            Self::PhoneNumber => "phone_number",
            Self::Provider => "provider",
            Self::MonthlyCost => "monthly_cost",
            Self::Note => "note",
        }
    }

    /// The column with this name.
    fn by_name(header: &str) -> Option<Self> {
        let normalized = normalized(header);
        NAMES.into_iter().find(|(_, names)| names.contains(&&*normalized)).map(|(column, _)| column)
    }
}

fn normalized(header: &str) -> String {
    let letters = header.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-'));
    letters.flat_map(char::to_lowercase).collect()
}

/// A header that the operator maps to a column, as in `Rate=monthly_cost`.
#[derive(Clone, Debug)]
pub struct Mapping {
    header: String,
    column: Column,
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (header, name) = text.rsplit_once('=').ok_or("HEADER=COLUMN is expected, as in Rate=monthly_cost")?;
        let column = NAMES.into_iter().find(|(_, names)| names[0] == normalized(name)).map(|(column, _)| column);
        let all = NAMES.map(|(column, _)| column.name()).join(", ");
        let column = column.ok_or_else(|| format!("'{name}' is no column; it must be one of {all}"))?;
        Ok(Self { header: header.trim().to_owned(), column })
    }
}

/// A column, and its header in the file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Understood {
    pub column: Column,
    pub header: String,
    #[serde(skip)]
    index: usize,
}

/// The columns of a file.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    pub understood: Vec<Understood>,
    /// The headers of unknown columns.
    pub left_out: Vec<String>,
    /// All headers, as in the file.
    pub header: Vec<Vec<u8>>,
    pub delimiter: u8,
}

impl Columns {
    /// Reads a header. The delimiter is the one with which most columns are known.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn of(record: &[u8], maps: &[Mapping], strict: bool) -> Result<Self, String> {
        let by = |delimiter: u8| {
            let mut cells = Cells::split_at(delimiter);
            let header: Vec<_> = cells.split(record).into_iter().map(<[u8]>::to_vec).collect();
            let names: Vec<_> = header.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
            let known = names.iter().filter(|name| column_of(name, maps).is_some()).count();
            (known, names, header, delimiter)
        };
        // On a tie, the delimiter that makes more cells, then the first one.
        let read = DELIMITERS.map(by).into_iter().rev().max_by_key(|(known, names, ..)| (*known, names.len()));
        let (_, names, header, delimiter) = read.unwrap_or_default();
        let columns = Self { understood: understood(&names, maps)?, left_out: Vec::new(), header, delimiter };
        let left_out = (0..).zip(&names).filter(|(index, name)| !name.is_empty() && !columns.takes(*index));
        let left_out: Vec<_> = left_out.map(|(_, name)| truncated(name)).collect();
        match left_out.first() {
            Some(name) if strict => {
                Err(format!("column '{name}' is unknown, and --strict wants none that is left out"))
            }
            _ => Ok(Self { left_out, ..columns }),
        }
    }

    fn takes(&self, index: usize) -> bool {
        self.understood.iter().any(|understood| understood.index == index)
    }

    /// The index of a column.
    pub fn index(&self, column: Column) -> Option<usize> {
        self.understood.iter().find(|understood| understood.column == column).map(|understood| understood.index)
    }
}

/// The column of a header: by `--map`, else by its usual names.
fn column_of(name: &str, maps: &[Mapping]) -> Option<Column> {
    let mapped = maps.iter().find(|map| normalized(&map.header) == normalized(name)).map(|map| map.column);
    let is_mapped = |column: &Column| maps.iter().any(|map| map.column == *column);
    mapped.or_else(|| Column::by_name(name).filter(|column| !is_mapped(column)))
}

fn understood(names: &[String], maps: &[Mapping]) -> Result<Vec<Understood>, String> {
    if let Some(map) = maps.iter().find(|map| !names.iter().any(|name| normalized(name) == normalized(&map.header))) {
        return Err(format!("--map names a column '{}', which the file does not have", truncated(&map.header)));
    }
    let mut all: Vec<Understood> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let Some(column) = column_of(name, maps) else { continue };
        let header = truncated(name);
        if let Some(other) = all.iter().find(|other| other.column == column) {
            let (other, meant) = (&other.header, column.name());
            return Err(format!(
                "the columns '{other}' and '{header}' both mean {meant}; say which one does, as in \
                --map '{header}={meant}'"
            ));
        }
        all.push(Understood { column, header, index });
    }
    if all.iter().any(|understood| understood.column == Column::PhoneNumber) {
        return Ok(all);
    }
    let named: Vec<_> = names.iter().take(10).map(|name| format!("'{}'", truncated(name))).collect();
    Err(format!(
        "its header needs a column phone_number (or number, did, tn, e164, telephone number, phone; or say which one \
        it is, as in --map 'Line=phone_number'), and names {}",
        named.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str, maps: &[&str], strict: bool) -> Result<String, String> {
        let maps: Vec<_> = maps.iter().map(|map| map.parse().expect("a mapping")).collect();
        let columns = Columns::of(header.as_bytes(), &maps, strict)?;
        let told = columns.understood.iter().map(|told| format!("{}={}", told.header, told.column.name()));
        let told = told.collect::<Vec<_>>().join(" ");
        Ok(format!("{} {told} -{}", char::from(columns.delimiter), columns.left_out.join(" -")))
    }

    #[test]
    fn columns_are_known_by_many_names_and_any_delimiter() {
        for (header, told) in [
            ("phone_number", ", phone_number=phone_number -"),
            ("Phone Number;MRC", "; Phone Number=phone_number MRC=monthly_cost -"),
            ("NOTE\tTN\tCarrier", "\t NOTE=note TN=phone_number Carrier=provider -"),
            (
                "\"E-164\",\"Monthly Fee\",Description,",
                ", E-164=phone_number Monthly Fee=monthly_cost Description=note -",
            ),
            ("Rate; center,DID", ", DID=phone_number -Rate; center"),
            ("LATA;telephone-number;Rate Center", "; telephone-number=phone_number -LATA -Rate Center"),
        ] {
            assert_eq!(read(header, &[], false).as_deref(), Ok(told), "{header}");
        }
    }

    #[test]
    fn a_mapping_goes_before_the_usual_names() {
        assert_eq!(
            read("Number,TN,Rate", &["tn=phone_number", "rate=monthly-cost"], false).unwrap(),
            ", TN=phone_number Rate=monthly_cost -Number"
        );
        assert!(read("number", &["Rate=monthly_cost"], false).unwrap_err().contains("'Rate'"));
        for wrong in ["Rate", "Rate=", "Rate=price"] {
            assert!(wrong.parse::<Mapping>().is_err(), "{wrong}");
        }
        assert!("a=b=note".parse::<Mapping>().is_ok_and(|map| map.header == "a=b"));
    }

    #[test]
    fn a_header_that_cannot_be_used_is_refused() {
        for (header, says) in [
            ("4158675309", "'4158675309'"),
            ("provider,note", "phone_number"),
            ("number,Phone", "both mean phone_number"),
            ("number,cost,MRC", "'cost' and 'MRC'"),
            ("number,number", "both mean phone_number"),
        ] {
            assert!(read(header, &[], false).unwrap_err().contains(says), "{header}");
        }
        assert!(read("number,number", &["number=phone_number"], false).is_err());
        assert!(read("number,LATA", &[], true).unwrap_err().contains("'LATA'"));
        assert!(read("number,,", &[], true).is_ok());
    }
}
