//! Which account an operator means.

use uuid::Uuid;

use super::{Refused, Status, store};
use crate::db::Db;
use crate::error::{Denied, Result};
use crate::values::sid::AccountSid;

/// An account as it is told apart from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub sid: AccountSid,
    pub name: String,
    pub reference: Option<String>,
    pub status: Status,
}

/// The shortest beginning of a Sid that names an account, in characters.
pub const SHORTEST_BEGINNING: usize = 6;

/// How many accounts a refusal lists that a text fits.
pub const MOST_LISTED: usize = 10;

/// The account that a text means: by its Sid, a unique beginning of it, its ref, or a name that no other account has. That
/// there is an account with a whole Sid is not checked.
///
/// # Errors
/// [`Refused::Unnamed`], [`Refused::Several`]
pub async fn resolve(db: &Db, text: &str) -> Result<AccountSid, Denied<Refused>> {
    if let Ok(sid) = text.parse() {
        return Ok(sid);
    }
    let mut fits = store::named(db, text, beginning(text)).await?;
    match fits.len() {
        0 => Err(Refused::Unnamed(text.to_owned()).into()),
        1 => Ok(fits.remove(0).sid),
        _ => Err(Refused::Several(text.to_owned(), fits).into()),
    }
}

/// How many accounts a search finds at most.
pub const MOST_FOUND: usize = 1000;

/// Up to one more than [`MOST_FOUND`] accounts, by a part of their name or ref, by the beginning of their Sid, or by a number that they hold or held.
///
/// # Errors
/// If the database is out of reach.
pub async fn search(db: &Db, text: &str) -> Result<Vec<AccountSid>> {
    Ok(store::matching(db, text, beginning(text), text.parse().ok(), MOST_FOUND as i64 + 1).await?)
}

/// The first and the last Sid that begin so.
fn beginning(text: &str) -> Option<(Uuid, Uuid)> {
    let hex = text.strip_prefix("AC").filter(|hex| text.len() >= SHORTEST_BEGINNING && hex.len() <= 32)?;
    let filled = |with: &str| u128::from_str_radix(&format!("{hex}{}", with.repeat(32 - hex.len())), 16).ok();
    let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((filled("0")?, filled("f")?))
        .filter(|_| is_hex)
        .map(|(low, high)| (Uuid::from_u128(low), Uuid::from_u128(high)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_range_of_sids() {
        let (low, high) = beginning("ACe536").unwrap();
        assert_eq!(low.simple().to_string(), format!("e536{}", "0".repeat(28)));
        assert_eq!(high.simple().to_string(), format!("e536{}", "f".repeat(28)));
        for text in ["", "AC", "ACe53", "Acme Inc", "ACME+0", "PNe536df", "ACé536", &format!("AC{}", "0".repeat(33))] {
            assert_eq!(beginning(text), None, "{text}");
        }
    }
}
