//! What an operator says of what he does.

use crate::values::text::LONGEST_NOTE;

/// Reads a note.
///
/// # Errors
/// If it is empty, too long, or holds a control character.
pub fn note(text: &str) -> Result<String, String> {
    let fits = (1..=LONGEST_NOTE).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
        .ok_or_else(|| format!("1 to {LONGEST_NOTE} characters are expected, and no control characters"))
}
