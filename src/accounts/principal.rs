//! Who authenticates, and as whom the request then acts.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::keys::{self, Scope};
use super::store;
use super::token::Stored;
use crate::db::Db;
use crate::values::sid::{AccountSid, KeySid, NotASid};

/// Who authenticates: an account by its AuthToken, or an API key by its secret. Its Sid is the user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    Account(AccountSid),
    Key(KeySid),
}

/// As whom a request acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub account: AccountSid,
    /// Who pays for the account.
    pub payer: AccountSid,
    /// What the API key that was sent may do; `None` if the account's AuthToken was sent.
    pub scope: Option<Scope>,
}

impl Caller {
    /// Whether it may manage accounts and keys.
    pub fn may_manage(self) -> bool {
        self.scope != Some(Scope::Standard)
    }

    /// Whether it reaches the sub-accounts of its account. A sub-account has none, and a key stays on its own account.
    pub fn reaches_family(self) -> bool {
        self.account == self.payer && self.scope.is_none()
    }
}

impl Principal {
    /// The current credential; `None` if the account is closed, or there is no such principal.
    pub(super) async fn credential(self, db: &Db) -> sqlx::Result<Option<Uuid>> {
        match self {
            Self::Account(sid) => store::credential(db, sid).await,
            Self::Key(sid) => keys::store::credential(db, sid).await,
        }
    }

    /// The current credential and what is stored of its token or secret.
    pub(super) async fn stored(self, db: &Db) -> sqlx::Result<Option<Stored>> {
        match self {
            Self::Account(sid) => store::stored_token(db, sid).await,
            Self::Key(sid) => keys::store::stored(db, sid).await,
        }
    }
}

impl From<AccountSid> for Principal {
    fn from(sid: AccountSid) -> Self {
        Self::Account(sid)
    }
}

impl From<KeySid> for Principal {
    fn from(sid: KeySid) -> Self {
        Self::Key(sid)
    }
}

impl FromStr for Principal {
    type Err = NotASid;

    fn from_str(text: &str) -> Result<Self, NotASid> {
        text.parse().map(Self::Key).or_else(|_| text.parse().map(Self::Account))
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(sid) => sid.fmt(f),
            Self::Key(sid) => sid.fmt(f),
        }
    }
}
