//! The account resources on the wire.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::page;
use super::refusals::{Refusal, Unfit, refuse_standard_key};
use super::represent::{self, List, Record, TREE, Typed};
use crate::accounts::families::{self, Family};
use crate::accounts::{self, Account, Status};
use crate::releases;
use crate::values::money::CURRENCY;
use crate::values::page::{Cursor, Page, Slice};
use crate::values::sid::NumberSid;
use crate::values::text::FriendlyName;
use crate::web::caller::Call;
use crate::web::params::KnownParameters;
use crate::web::refused::{self, Refused};
use crate::web::represent::Rfc2822;

/// `GET /Accounts`: the caller's own account and its sub-accounts, closed ones too.
pub async fn list(call: Call) -> Result<HttpResponse, Refusal> {
    refuse_standard_key(&call)?;
    let page = page::read(&call.input)?;
    let (name, status) = (call.input.filled(&["FriendlyName"])?, call.input.filled(&["Status"])?);
    if let Cursor::After(_) | Cursor::Before(_) = page.cursor {
        return Err(Unfit::PageToken.into());
    }
    call.reserve_page(page.size).await?;
    let slice = match status.map(status_of) {
        // No account has another status.
        Some(None) => Slice::new(page, 0, Vec::new()),
        known => slice(&call, Family { name, status: known.flatten() }, page).await?,
    };
    let filters = [("FriendlyName", name), ("Status", status)];
    let list = List { name: "Accounts", columns: COLUMNS, filters: &filters, slice, ends: None };
    Ok(represent::list(&call.asked, list).await)
}

async fn slice(call: &Call, wanted: Family<'_>, page: Page<NumberSid>) -> Result<Slice<Account, NumberSid>, Refusal> {
    let page = match page.cursor {
        Cursor::Last => page.last_of(families::family(&call.db, call.caller.account, wanted, 0, 0).await?.1),
        _ => page,
    };
    // One more tells whether the list goes on.
    let size = i64::from(page.size) + 1;
    let (items, total) = families::family(&call.db, call.caller.account, wanted, page.start(), size).await?;
    Ok(Slice::new(page, total, items))
}

/// `POST /Accounts`: creates a sub-account. Its token is shown this once.
pub async fn create(call: Call) -> Result<HttpResponse, Refusal> {
    refuse_standard_key(&call)?;
    call.check_names(&KNOWN)?;
    let now = call.state.clock.now();
    let name = match friendly_name(&call)?.filter(|text| !text.is_empty()) {
        Some(text) => read_name(text)?,
        None => read_name(&now.format("SubAccount Created at %Y-%m-%d %I:%M %p").to_string())?,
    };
    if call.caller.account != call.payer {
        return Err(Unfit::OwnerOnly.into());
    }
    let made = families::create(&call.db, &call.state.clock, call.payer, &name).await?;
    let account = WithToken { account: &made.account, token: made.auth_token.reveal() };
    Ok(represent::one(&call.asked, StatusCode::CREATED, &account))
}

/// `GET /Accounts/{AccountSid}`
pub async fn show(call: Call) -> Result<HttpResponse, Refusal> {
    refuse_standard_key(&call)?;
    let account = accounts::find(&call.db, call.account).await?;
    Ok(represent::one(&call.asked, StatusCode::OK, &account))
}

/// `POST` or `PUT /Accounts/{AccountSid}`: changes the FriendlyName, or the status of a sub-account, if they are sent.
pub async fn update(call: Call) -> Result<HttpResponse, Refusal> {
    refuse_standard_key(&call)?;
    call.check_names(&KNOWN)?;
    let name = friendly_name(&call)?.map(read_name).transpose()?;
    let status = call.input.filled(&["Status"])?.map(|text| status_of(text).ok_or(Unfit::Status)).transpose()?;
    match (status, call.account == call.payer, call.account == call.caller.account) {
        (Some(_), true, _) => return Err(Unfit::OwnStatus.into()),
        (Some(_), false, true) => return Err(Unfit::OwnerOnly.into()),
        _ => {}
    }
    // An account that is to be active is so before its name changes, and another one after that. One that cannot be closed
    // keeps its name.
    match status {
        Some(Status::Active) => drop(set_status(&call, Status::Active).await?),
        Some(Status::Closed) if name.is_some() => releases::before_closing_by_owner(&call.db, call.holder()).await?,
        _ => {}
    }
    let mut account = match name {
        Some(name) if status.is_some() => {
            accounts::rename_once(&call.db, &call.state.clock, call.account, &name).await?
        }
        Some(name) => accounts::rename(&call.db, &call.state.clock, call.account, &name).await?,
        None if status.is_some() => accounts::find(&call.db, call.account).await?,
        None => accounts::find_active(&call.db, call.account).await?,
    };
    if let Some(status) = status.filter(|status| *status != Status::Active) {
        account = set_status(&call, status).await?;
    }
    Ok(represent::one(&call.asked, StatusCode::OK, &account))
}

/// Changes the status of a sub-account for its owner.
async fn set_status(call: &Call, status: Status) -> Result<Account, Refusal> {
    let (db, clock, holder) = (&call.db, &call.state.clock, call.holder());
    if status != Status::Closed {
        return Ok(families::set_by_owner(db, clock, holder, status == Status::Suspended).await?);
    }
    let closed = releases::close_by_owner(db, clock, holder).await?;
    // Its keys, and other instances, notice it within half a second.
    call.state.gate.forget(call.account.into());
    Ok(closed)
}

/// `GET /Accounts/{AccountSid}/Balance`: a sub-account has none.
pub async fn balance(call: Call) -> Result<HttpResponse, Refusal> {
    if call.account != call.payer {
        return Err(Refused::NotFound.into());
    }
    let account = accounts::find(&call.db, call.account).await?;
    Ok(represent::one(&call.asked, StatusCode::OK, &Balance(&account)))
}

const KNOWN: KnownParameters<'static> = KnownParameters { names: &["FriendlyName", "Status"], elsewhere: &[] };

fn friendly_name(call: &Call) -> Result<Option<&str>, Refused> {
    call.input.get("FriendlyName")
}

fn read_name(text: &str) -> Result<FriendlyName, Refusal> {
    Ok(text.parse().map_err(refused::Unfit::FriendlyName)?)
}

fn status_of(text: &str) -> Option<Status> {
    let all = [Status::Active, Status::Suspended, Status::Closed];
    all.into_iter().find(|status| status_name(*status).eq_ignore_ascii_case(text))
}

const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Suspended => "suspended",
        Status::Closed => "closed",
    }
}

const COLUMNS: &[&str] = &[
    "Sid",
    "FriendlyName",
    "Type",
    "Status",
    "DateCreated",
    "DateUpdated",
    "AuthToken",
    "OwnerAccountSid",
    "Uri",
    "SubresourceUris",
];

impl Record for Account {
    const NAME: &'static str = "Account";

    fn columns(&self) -> &'static [&'static str] {
        COLUMNS
    }

    fn write(&self, to: &mut impl Typed) {
        // A token is shown when it is made. Only its hash is kept.
        write(self, None, to);
    }
}

/// An account that was created just now.
struct WithToken<'a> {
    account: &'a Account,
    token: &'a str,
}

impl Record for WithToken<'_> {
    const NAME: &'static str = Account::NAME;

    fn columns(&self) -> &'static [&'static str] {
        COLUMNS
    }

    fn write(&self, to: &mut impl Typed) {
        write(self.account, Some(self.token), to);
    }
}

fn write(account: &Account, token: Option<&str>, to: &mut impl Typed) {
    let path = format!("{TREE}/Accounts/{}", account.sid);
    to.plain("Sid", &account.sid);
    to.text("FriendlyName", &account.name);
    to.plain("Type", &"Full");
    to.plain("Status", &status_name(account.status));
    to.plain("DateCreated", &Rfc2822(account.created_at));
    to.plain("DateUpdated", &Rfc2822(account.updated_at));
    match token {
        Some(token) => to.text("AuthToken", token),
        None => to.fixed("AuthToken", "null", Some("")),
    }
    to.plain("OwnerAccountSid", &account.owner_sid.unwrap_or(account.sid));
    to.uri("Uri", &path);
    // Only a main account has a balance.
    let below = ["AvailablePhoneNumbers", "IncomingPhoneNumbers", "Keys", "Balance"];
    represent::subresources(to, &path, if account.owner_sid.is_none() { &below } else { &below[..3] });
}

struct Balance<'a>(&'a Account);

impl Record for Balance<'_> {
    const NAME: &'static str = "Balance";

    fn columns(&self) -> &'static [&'static str] {
        &["AccountSid", "Balance", "Currency"]
    }

    fn write(&self, to: &mut impl Typed) {
        to.plain("AccountSid", &self.0.sid);
        to.text("Balance", &self.0.balance.to_string());
        to.plain("Currency", &CURRENCY);
    }
}
