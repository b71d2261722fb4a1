//! The account resources on the wire.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::page;
use super::refusals::{Refusal, Unfit};
use super::represent::{self, List, Record, TREE, Typed};
use crate::accounts::{self, Account, Status};
use crate::values::money::CURRENCY;
use crate::values::page::{Cursor, Slice};
use crate::values::text::FriendlyName;
use crate::web::caller::Call;
use crate::web::refused::{self, Refused};
use crate::web::represent::Rfc2822;

/// `GET /Accounts`: the caller's own account, the only one there is to see.
pub async fn list(call: Call) -> Result<HttpResponse, Refusal> {
    let page = page::read(&call.input)?;
    let (name, status) = (call.input.filled(&["FriendlyName"])?, call.input.filled(&["Status"])?);
    let own = accounts::find(&call.db, call.account).await?;
    let fits = name.is_none_or(|name| name == own.name)
        && status.is_none_or(|status| status.eq_ignore_ascii_case(status_name(own.status)));
    let page = if page.cursor == Cursor::Last { page.last_of(1) } else { page };
    let items = if fits && page.number == 0 { vec![own] } else { Vec::new() };
    let slice = Slice::new(page, i64::from(fits), items);
    let filters = [("FriendlyName", name), ("Status", status)];
    let list = List { name: "Accounts", columns: COLUMNS, filters: &filters, slice, ends: None };
    Ok(represent::list(&call.asked, list).await)
}

/// `GET /Accounts/{AccountSid}`
pub async fn show(call: Call) -> Result<HttpResponse, Refusal> {
    let account = accounts::find(&call.db, call.account).await?;
    Ok(represent::one(&call.asked, StatusCode::OK, &account))
}

/// `POST` or `PUT /Accounts/{AccountSid}`: changes the FriendlyName if it is sent. An account cannot change its own
/// status.
pub async fn update(call: Call) -> Result<HttpResponse, Refusal> {
    let name = call.input.get("FriendlyName")?.map(str::parse::<FriendlyName>).transpose();
    let name = name.map_err(|must| Refused::from(refused::Unfit::FriendlyName(must)))?;
    if let Some(status) = call.input.filled(&["Status"])? {
        let all = [Status::Active, Status::Suspended, Status::Closed];
        let is_status = all.into_iter().any(|known| status_name(known) == status);
        return Err(if is_status { Unfit::OwnStatus } else { Unfit::Status }.into());
    }
    let account = match name {
        Some(name) => accounts::rename(&call.db, &call.state.clock, call.account, &name).await?,
        None => accounts::find_active(&call.db, call.account).await?,
    };
    Ok(represent::one(&call.asked, StatusCode::OK, &account))
}

/// `GET /Accounts/{AccountSid}/Balance`
pub async fn balance(call: Call) -> Result<HttpResponse, Refusal> {
    let account = accounts::find(&call.db, call.account).await?;
    Ok(represent::one(&call.asked, StatusCode::OK, &Balance(&account)))
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
        let path = format!("{TREE}/Accounts/{}", self.sid);
        to.plain("Sid", &self.sid);
        to.text("FriendlyName", &self.name);
        to.plain("Type", &"Full");
        to.plain("Status", &status_name(self.status));
        to.plain("DateCreated", &Rfc2822(self.created_at));
        to.plain("DateUpdated", &Rfc2822(self.updated_at));
        // It was shown once, when it was made; only its hash is kept.
        to.fixed("AuthToken", "null", Some(""));
        to.plain("OwnerAccountSid", &self.sid);
        to.uri("Uri", &path);
        represent::subresources(to, &path, &["AvailablePhoneNumbers", "IncomingPhoneNumbers", "Balance"]);
    }
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
