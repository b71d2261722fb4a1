//! What a path asks for, except the caller.

use std::rc::Rc;

/// The representation that a path's ending asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Representation {
    #[default]
    Xml,
    Json,
    Csv,
}

impl Representation {
    pub const ENDINGS: [(&str, Self); 3] = [(".xml", Self::Xml), (".json", Self::Json), (".csv", Self::Csv)];

    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Xml => "application/xml; charset=utf-8",
            // Without a charset: JSON is always UTF-8, and old PHP clients compare the whole value.
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// What a request asks for, except the caller: set once for each request, before it is routed.
#[derive(Clone, Debug)]
pub struct Asked {
    pub representation: Representation,
    /// The normalized path, which the URIs of a list repeat.
    pub path: Rc<str>,
    /// The ending that was sent, which those URIs repeat.
    pub ending: &'static str,
}

impl Asked {
    /// The path with its ending.
    pub fn whole(&self) -> String {
        format!("{}{}", self.path, self.ending)
    }
}
