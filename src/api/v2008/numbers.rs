//! The IncomingPhoneNumber resources on the wire.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::refusals::Refusal;
use super::{page, settings};
use crate::api::v2008::represent::{self, List, Record};
use crate::numbers::Number;
use crate::numbers::lists::{Digits, Filter};
use crate::numbers::settings::Callback;
use crate::values::phone::Kind;
use crate::web::caller::Call;
use crate::web::params::KnownParameters;
use crate::web::represent::{Fields, Rfc2822};

/// `GET …/IncomingPhoneNumbers`
pub async fn list(call: Call) -> Result<HttpResponse, Refusal> {
    list_of(&call, None).await
}

/// `GET …/IncomingPhoneNumbers/Local`
pub async fn list_local(call: Call) -> Result<HttpResponse, Refusal> {
    list_of(&call, Some(Kind::Local)).await
}

/// `GET …/IncomingPhoneNumbers/TollFree`
pub async fn list_tollfree(call: Call) -> Result<HttpResponse, Refusal> {
    list_of(&call, Some(Kind::TollFree)).await
}

/// `GET …/IncomingPhoneNumbers/{Sid}`
pub async fn show(call: Call) -> Result<HttpResponse, Refusal> {
    let sid = call.number()?;
    let number = call.read(async |source| call.state.lookups.find(source, call.account, sid).await).await?;
    Ok(represent::one(&call.asked, StatusCode::OK, &number))
}

/// `POST` or `PUT …/IncomingPhoneNumbers/{Sid}`
pub async fn update(call: Call) -> Result<HttpResponse, Refusal> {
    let sid = call.number()?;
    call.check_names(&KnownParameters { names: &settings::PARAMETERS, elsewhere: &settings::NAMES_OF_2010 })?;
    let changes = settings::read(&call.input)?;
    let number = call.state.updates.update(&call.db, call.account, sid, changes).await?;
    Ok(represent::one(&call.asked, StatusCode::OK, &number))
}

async fn list_of(call: &Call, kind: Option<Kind>) -> Result<HttpResponse, Refusal> {
    let page = page::read(&call.input)?;
    let (number, name) = (call.input.filled(&["PhoneNumber"])?, call.input.filled(&["FriendlyName"])?);
    let filter = Filter { kind, number: number.map(Digits::of), name: name.map(str::to_owned) };
    call.reserve_page(page.size + 1).await?;
    let slice = call.read(async |source| call.state.lists.page(source, call.account, &filter, page).await).await?;
    call.resize_reservation(slice.items.iter().map(Number::bytes).sum())?;
    let given = [("PhoneNumber", number), ("FriendlyName", name)];
    let filters: Vec<_> = given.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
    let ends = slice.items.first().zip(slice.items.last()).map(|(first, last)| [first.sid, last.sid]);
    let columns = columns(kind.unwrap_or(Kind::Local));
    let list = List { name: "IncomingPhoneNumbers", columns, filters: &filters, slice, ends };
    Ok(represent::list(&call.asked, list).await)
}

/// The elements of a local number; a toll-free one has none that begins with Sms.
const fn columns(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Local => &[
            "Sid",
            "AccountSid",
            "FriendlyName",
            "PhoneNumber",
            "Url",
            "Method",
            "SmsUrl",
            "SmsMethod",
            "VoiceFallbackUrl",
            "VoiceFallbackMethod",
            "SmsFallbackUrl",
            "SmsFallbackMethod",
            "VoiceCallerIdLookup",
            "DateCreated",
            "DateUpdated",
        ],
        Kind::TollFree => &[
            "Sid",
            "AccountSid",
            "FriendlyName",
            "PhoneNumber",
            "Url",
            "Method",
            "VoiceFallbackUrl",
            "VoiceFallbackMethod",
            "VoiceCallerIdLookup",
            "DateCreated",
            "DateUpdated",
        ],
    }
}

impl Record for Number {
    const NAME: &'static str = "IncomingPhoneNumber";

    fn columns(&self) -> &'static [&'static str] {
        columns(self.phone_number.kind())
    }

    fn write(&self, to: &mut impl Fields) {
        let sms = self.phone_number.kind() == Kind::Local;
        let settings = &self.settings;
        to.plain("Sid", &self.sid);
        to.plain("AccountSid", &self.account_sid);
        to.text("FriendlyName", &self.friendly_name());
        to.plain("PhoneNumber", &self.phone_number);
        callback(to, ["Url", "Method"], settings.voice.as_ref());
        if sms {
            callback(to, ["SmsUrl", "SmsMethod"], settings.sms.as_ref());
        }
        callback(to, ["VoiceFallbackUrl", "VoiceFallbackMethod"], settings.voice_fallback.as_ref());
        if sms {
            callback(to, ["SmsFallbackUrl", "SmsFallbackMethod"], settings.sms_fallback.as_ref());
        }
        to.plain("VoiceCallerIdLookup", &if settings.voice_caller_id_lookup { "1" } else { "0" });
        to.plain("DateCreated", &Rfc2822(self.started_at));
        to.plain("DateUpdated", &Rfc2822(self.updated_at));
    }
}

fn callback(to: &mut impl Fields, [url, method]: [&'static str; 2], callback: Option<&Callback>) {
    to.text(url, callback.map_or("", |callback| callback.url.as_str()));
    to.plain(method, &callback.map_or("", |callback| callback.method.as_str()));
}
