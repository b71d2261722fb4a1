//! The account resources on the wire.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::page;
use super::refusals::Refusal;
use crate::accounts::{self, Account, Status};
use crate::api::v2008::represent::{self, List, Record};
use crate::values::money::CURRENCY;
use crate::values::page::{Cursor, Slice};
use crate::values::text::FriendlyName;
use crate::web::caller::Call;
use crate::web::refused::{Refused, Unfit};
use crate::web::represent::{Fields, Rfc2822};

/// `GET /Accounts`: the caller's own account, the only one there is to see.
pub async fn list(call: Call) -> Result<HttpResponse, Refusal> {
    let page = page::read(&call.input)?;
    let page = if page.cursor == Cursor::Last { page.last_of(1) } else { page };
    let own = accounts::find(&call.db, call.account).await?;
    let items = if page.number == 0 { vec![own] } else { Vec::new() };
    let slice = Slice::new(page, 1, items);
    let list = List { name: "Accounts", columns: COLUMNS, filters: &[], slice, ends: None };
    Ok(represent::list(&call.asked, list).await)
}

/// `GET /Accounts/{AccountSid}`
pub async fn show(call: Call) -> Result<HttpResponse, Refusal> {
    let account = accounts::find(&call.db, call.account).await?;
    Ok(represent::one(&call.asked, StatusCode::OK, &account))
}

/// `POST` or `PUT /Accounts/{AccountSid}`: changes the FriendlyName if it is sent.
pub async fn update(call: Call) -> Result<HttpResponse, Refusal> {
    let name = call.input.get("FriendlyName")?.map(str::parse::<FriendlyName>).transpose();
    let name = name.map_err(|must| Refused::from(Unfit::FriendlyName(must)))?;
    let account = match name {
        Some(name) => accounts::rename(&call.db, &call.state.clock, call.account, &name).await?,
        None => accounts::find_active(&call.db, call.account).await?,
    };
    Ok(represent::one(&call.asked, StatusCode::OK, &account))
}

/// `GET /Accounts/{AccountSid}/Balance`: a sub-account has none.
pub async fn balance(call: Call) -> Result<HttpResponse, Refusal> {
    if call.account != call.payer {
        return Err(Refused::NotFound.into());
    }
    let account = accounts::find(&call.db, call.account).await?;
    Ok(represent::one(&call.asked, StatusCode::OK, &Balance(&account)))
}

const COLUMNS: &[&str] = &["Sid", "FriendlyName", "Status", "StatusText", "DateCreated", "DateUpdated"];

impl Record for Account {
    const NAME: &'static str = "Account";

    fn columns(&self) -> &'static [&'static str] {
        COLUMNS
    }

    fn write(&self, to: &mut impl Fields) {
        let (status, text) = match self.status {
            Status::Active => ("2", "Active"),
            Status::Suspended => ("4", "Suspended"),
            Status::Closed => ("5", "Closed"),
        };
        to.plain("Sid", &self.sid);
        to.text("FriendlyName", &self.name);
        to.plain("Status", &status);
        to.plain("StatusText", &text);
        to.plain("DateCreated", &Rfc2822(self.created_at));
        to.plain("DateUpdated", &Rfc2822(self.updated_at));
    }
}

struct Balance<'a>(&'a Account);

impl Record for Balance<'_> {
    const NAME: &'static str = "Balance";

    fn columns(&self) -> &'static [&'static str] {
        &["AccountSid", "Balance", "Currency"]
    }

    fn write(&self, to: &mut impl Fields) {
        to.plain("AccountSid", &self.0.sid);
        to.text("Balance", &self.0.balance.to_string());
        to.plain("Currency", &CURRENCY);
    }
}
