//! The names of values on the command line.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::accounts::Status;
use crate::config::LogFormat;
use crate::inventory::import::Encoding;
use crate::inventory::{Retirement, State};
use crate::values::phone::Kind;

impl ValueEnum for LogFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Text => PossibleValue::new("text").help("For people"),
            Self::Json => PossibleValue::new("json").help("One JSON object a line"),
        })
    }
}

impl ValueEnum for Kind {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Local, Self::TollFree]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Local => PossibleValue::new("local"),
            Self::TollFree => PossibleValue::new("tollfree"),
        })
    }
}

impl ValueEnum for Status {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Active, Self::Suspended, Self::Closed]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Active => PossibleValue::new("active"),
            Self::Suspended => PossibleValue::new("suspended"),
            Self::Closed => PossibleValue::new("closed"),
        })
    }
}

impl ValueEnum for State {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Available, Self::InUse, Self::Quarantined, Self::Withdrawn, Self::Retired]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let value = PossibleValue::new(self.name());
        Some(match self {
            Self::Available | Self::InUse => value,
            Self::Quarantined => value.help("Released, and not sold again until its quarantine has ended"),
            Self::Withdrawn => value.help("Taken out of sale by the operator"),
            Self::Retired => value.help("Ours no longer"),
        })
    }
}

impl ValueEnum for Retirement {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::PortedOut, Self::Returned, Self::Mistake]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::PortedOut => PossibleValue::new("ported-out").alias("ported_out").help("To another provider"),
            Self::Returned => PossibleValue::new("returned").help("To the provider it came from"),
            Self::Mistake => PossibleValue::new("mistake").help("It never was ours"),
        })
    }
}

impl ValueEnum for Encoding {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Utf8, Self::Utf16Le, Self::Utf16Be, Self::Latin1]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Auto => PossibleValue::new("auto").help("UTF-16 where the first characters look like it, else UTF-8"),
            Self::Utf8 => PossibleValue::new("utf-8"),
            Self::Utf16Le => PossibleValue::new("utf-16le"),
            Self::Utf16Be => PossibleValue::new("utf-16be"),
            Self::Latin1 => PossibleValue::new("latin1")
                .aliases(["latin-1", "iso-8859-1", "windows-1252"])
                .help("Latin-1, as Windows writes it (windows-1252)"),
        })
    }
}
