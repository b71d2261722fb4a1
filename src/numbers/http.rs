//! The IncomingPhoneNumber resources on the wire.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, LOCATION};
use blake2::{Blake2s256, Digest};

use super::settings::{Callback, Changes, Settings};
use super::{Filter, IdempotencyKey, Number, Order, Purchase};
use crate::accounts::caller::Call;
use crate::kernel::clock::rfc2822;
use crate::kernel::error::{Code, Result, not_found};
use crate::kernel::page::Page;
use crate::kernel::params::Params;
use crate::kernel::phone::{AreaCode, Kind, PhoneNumber};
use crate::kernel::represent::{self, Fields, List, Record};
use crate::kernel::sid::NumberSid;

/// `GET …/IncomingPhoneNumbers`
pub async fn list(call: Call) -> Result<HttpResponse> {
    list_of(&call, None).await
}

/// `GET …/IncomingPhoneNumbers/Local`
pub async fn list_local(call: Call) -> Result<HttpResponse> {
    list_of(&call, Some(Kind::Local)).await
}

/// `GET …/IncomingPhoneNumbers/TollFree`
pub async fn list_tollfree(call: Call) -> Result<HttpResponse> {
    list_of(&call, Some(Kind::TollFree)).await
}

/// `POST …/IncomingPhoneNumbers/Local`
pub async fn buy_local(call: Call) -> Result<HttpResponse> {
    buy(&call, Kind::Local).await
}

/// `POST …/IncomingPhoneNumbers/TollFree`
pub async fn buy_tollfree(call: Call) -> Result<HttpResponse> {
    buy(&call, Kind::TollFree).await
}

/// `GET …/IncomingPhoneNumbers/{Sid}`
pub async fn show(call: Call) -> Result<HttpResponse> {
    let number = super::find(&call.db, call.account, sid(&call)?).await?;
    Ok(represent::one(&call.asked, StatusCode::OK, &number))
}

/// `POST` or `PUT …/IncomingPhoneNumbers/{Sid}`
pub async fn update(call: Call) -> Result<HttpResponse> {
    let sid = sid(&call)?;
    let changes = Changes::read(&call.input)?;
    if !changes.voice.url.is_set() {
        super::find(&call.db, call.account, sid).await?;
        return Err(Code::Url.because(
            "Url is required: send the URL to request when the number is called, or an empty Url to clear it",
        ));
    }
    let number = super::update(&call.db, &call.clock, call.account, sid, &changes).await?;
    Ok(represent::one(&call.asked, StatusCode::OK, &number))
}

/// `DELETE …/IncomingPhoneNumbers/{Sid}`
pub async fn release(call: Call) -> Result<HttpResponse> {
    super::release(&call.db, &call.clock, call.account, sid(&call)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What is no Sid names nothing that is there.
fn sid(call: &Call) -> Result<NumberSid> {
    call.path("Sid").parse().map_err(|_| not_found())
}

async fn list_of(call: &Call, kind: Option<Kind>) -> Result<HttpResponse> {
    let page = Page::read(&call.input)?;
    let (number, name) = (call.input.get("PhoneNumber")?, call.input.get("FriendlyName")?);
    let filter = Filter { kind, number: number.map(PhoneNumber::from_decorated), name: name.map(str::to_owned) };
    let slice = super::list(&call.db, call.account, &filter, page).await?;
    let given = [("PhoneNumber", number), ("FriendlyName", name)];
    let filters: Vec<_> = given.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
    let last_sid = slice.items.last().map(|number| number.sid.to_string());
    let columns = columns(kind.unwrap_or(Kind::Local));
    let list = List { name: "IncomingPhoneNumbers", columns, filters: &filters, slice: &slice, last_sid };
    Ok(represent::list(&call.asked, &list))
}

async fn buy(call: &Call, kind: Kind) -> Result<HttpResponse> {
    let order = order(call, kind)?;
    let (number, replayed) = match super::buy(&call.db, &call.clock, call.account, &order).await? {
        Purchase::Made(number) => (number, false),
        Purchase::Replayed(number) => (number, true),
    };
    let mut response = represent::one(&call.asked, StatusCode::CREATED, &number);
    let location = format!("/2008-08-01/Accounts/{}/IncomingPhoneNumbers/{}", number.account_sid, number.sid);
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::try_from(location).expect("a path of Sids is a header value"));
    if replayed {
        headers.insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn order(call: &Call, kind: Kind) -> Result<Order> {
    let area_code = call.input.get("AreaCode")?.filter(|text| !text.is_empty()).map(str::parse::<AreaCode>);
    let area_code = area_code.transpose().map_err(|_| {
        Code::AreaCode.because(
            "AreaCode must be a US area code of three digits, such as 415; leave it out for a number from anywhere",
        )
    })?;
    let settings = Settings::first(kind, &Changes::read(&call.input)?)?;
    let key = idempotency_key(call)?.map(|text| IdempotencyKey { text, request: digest(kind, &call.input) });
    Ok(Order { kind, area_code, settings, key })
}

fn idempotency_key(call: &Call) -> Result<Option<String>> {
    let names = ["Idempotency-Key", "I-Twilio-Idempotency-Token"];
    let mut given = names.iter().filter_map(|name| call.header(name));
    let Some(key) = given.next() else { return Ok(None) };
    if given.any(|other| other != key) {
        return Err(
            Code::RepeatedParameter.because(format!("{} must not differ; send one of them", names.join(" and ")))
        );
    }
    if !(1..=255).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
        return Err(Code::InvalidParameter.because("Idempotency-Key must be 1 to 255 visible ASCII characters"));
    }
    Ok(String::from_utf8(key.to_vec()).ok())
}

/// The parameters that a purchase heeds; others do not make another request of it.
const HEEDED: [&str; 11] = [
    "AreaCode",
    "FriendlyName",
    "Url",
    "Method",
    "VoiceFallbackUrl",
    "VoiceFallbackMethod",
    "SmsUrl",
    "SmsMethod",
    "SmsFallbackUrl",
    "SmsFallbackMethod",
    "VoiceCallerIdLookup",
];

/// A digest of what is asked for, in whichever order it is sent.
fn digest(kind: Kind, form: &Params) -> Vec<u8> {
    let mut digest = Blake2s256::new_with_prefix(kind.to_string());
    for name in HEEDED {
        // No parameter holds a NUL, so the parts cannot be mistaken for one another.
        digest.update(b"\0");
        digest.update(name);
        if let Ok(Some(value)) = form.get(name) {
            digest.update(b"=");
            digest.update(value);
        }
    }
    digest.finalize().to_vec()
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
        columns(self.kind)
    }

    fn write(&self, to: &mut impl Fields) {
        let sms = self.kind == Kind::Local;
        let settings = &self.settings;
        to.field("Sid", &self.sid.to_string());
        to.field("AccountSid", &self.account_sid.to_string());
        to.field("FriendlyName", &self.friendly_name());
        to.field("PhoneNumber", &self.phone_number.to_string());
        callback(to, ["Url", "Method"], settings.voice.as_ref());
        if sms {
            callback(to, ["SmsUrl", "SmsMethod"], settings.sms.as_ref());
        }
        callback(to, ["VoiceFallbackUrl", "VoiceFallbackMethod"], settings.voice_fallback.as_ref());
        if sms {
            callback(to, ["SmsFallbackUrl", "SmsFallbackMethod"], settings.sms_fallback.as_ref());
        }
        to.field("VoiceCallerIdLookup", if settings.voice_caller_id_lookup { "1" } else { "0" });
        to.field("DateCreated", &rfc2822(self.started_at));
        to.field("DateUpdated", &rfc2822(self.updated_at));
    }
}

fn callback(to: &mut impl Fields, [url, method]: [&'static str; 2], callback: Option<&Callback>) {
    to.field(url, callback.map_or("", |callback| &callback.url));
    to.field(method, callback.map_or("", |callback| &callback.method));
}
