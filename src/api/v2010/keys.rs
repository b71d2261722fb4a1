//! The API key resources on the wire.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::page;
use super::refusals::{Refusal, Unfit, refuse_standard_key};
use super::represent::{self, List, Record, Typed};
use crate::accounts::keys::{self, Key, Scope};
use crate::values::page::{Cursor, Slice};
use crate::values::sid::KeySid;
use crate::values::text::FriendlyName;
use crate::web::caller::Call;
use crate::web::params::KnownParameters;
use crate::web::refused::{self, Refused};
use crate::web::represent::Rfc2822;

/// `GET …/Keys`
pub async fn list(call: Call) -> Result<HttpResponse, Refusal> {
    refuse_standard_key(&call)?;
    let page = page::read(&call.input)?;
    // All are read: an account has at most `MOST_KEYS`.
    let all = keys::list(&call.db, call.account).await?;
    let total = all.len() as i64;
    let page = match page.cursor {
        Cursor::ByNumber => page,
        Cursor::Last => page.last_of(total),
        Cursor::After(_) | Cursor::Before(_) => return Err(Unfit::PageToken.into()),
    };
    let start = usize::try_from(page.start()).unwrap_or(usize::MAX);
    let slice = Slice::new(page, total, all.into_iter().skip(start).take(page.size as usize + 1).collect());
    let list = List { name: "Keys", columns: COLUMNS, filters: &[], slice, ends: None };
    Ok(represent::list(&call.asked, list).await)
}

/// `POST …/Keys`: creates a standard key. Its secret is shown this once.
pub async fn create(call: Call) -> Result<HttpResponse, Refusal> {
    refuse_standard_key(&call)?;
    call.check_names(&KNOWN)?;
    let name = name(&call)?;
    let made = keys::create(&call.db, &call.state.clock, call.account, name.as_ref(), Scope::Standard).await?;
    Ok(represent::one(&call.asked, StatusCode::CREATED, &WithSecret { key: &made.key, secret: made.secret.reveal() }))
}

/// `GET …/Keys/{Sid}`
pub async fn show(call: Call) -> Result<HttpResponse, Refusal> {
    refuse_standard_key(&call)?;
    let key = keys::find(&call.db, call.account, sid(&call)?).await?;
    Ok(represent::one(&call.asked, StatusCode::OK, &key))
}

/// `POST` or `PUT …/Keys/{Sid}`: changes the FriendlyName, if it is sent.
pub async fn update(call: Call) -> Result<HttpResponse, Refusal> {
    refuse_standard_key(&call)?;
    let sid = sid(&call)?;
    call.check_names(&KNOWN)?;
    let key = match call.input.get("FriendlyName")? {
        Some(_) => keys::rename(&call.db, &call.state.clock, call.account, sid, name(&call)?.as_ref()).await?,
        None => keys::find(&call.db, call.account, sid).await?,
    };
    Ok(represent::one(&call.asked, StatusCode::OK, &key))
}

/// `DELETE …/Keys/{Sid}`: revokes it.
pub async fn delete(call: Call) -> Result<HttpResponse, Refusal> {
    refuse_standard_key(&call)?;
    let sid = sid(&call)?;
    keys::delete(&call.db, call.account, sid).await?;
    // Other instances notice it within half a second.
    call.state.gate.forget(sid.into());
    Ok(HttpResponse::NoContent().finish())
}

const KNOWN: KnownParameters<'static> = KnownParameters { names: &["FriendlyName"], elsewhere: &[] };

fn sid(call: &Call) -> Result<KeySid, Refused> {
    call.path("Sid").parse().map_err(|_| Refused::NotFound)
}

/// An empty name is none.
fn name(call: &Call) -> Result<Option<FriendlyName>, Refusal> {
    let text = call.input.filled(&["FriendlyName"])?;
    Ok(text.map(str::parse).transpose().map_err(refused::Unfit::FriendlyName)?)
}

const COLUMNS: &[&str] = &["Sid", "FriendlyName", "DateCreated", "DateUpdated"];

impl Record for Key {
    const NAME: &'static str = "Key";

    fn columns(&self) -> &'static [&'static str] {
        COLUMNS
    }

    fn write(&self, to: &mut impl Typed) {
        to.plain("Sid", &self.sid);
        to.text("FriendlyName", self.name.as_deref().unwrap_or_default());
        to.plain("DateCreated", &Rfc2822(self.created_at));
        to.plain("DateUpdated", &Rfc2822(self.updated_at));
    }
}

/// A key that was created just now.
struct WithSecret<'a> {
    key: &'a Key,
    secret: &'a str,
}

impl Record for WithSecret<'_> {
    const NAME: &'static str = Key::NAME;

    fn columns(&self) -> &'static [&'static str] {
        &["Sid", "FriendlyName", "DateCreated", "DateUpdated", "Secret"]
    }

    fn write(&self, to: &mut impl Typed) {
        self.key.write(to);
        to.text("Secret", self.secret);
    }
}
