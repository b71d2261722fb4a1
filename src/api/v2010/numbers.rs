//! The IncomingPhoneNumber resources on the wire.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::refusals::{Refusal, Unfit};
use super::represent::{self, E164, List, Record, Same, TREE, Typed};
use super::{page, settings};
use crate::accounts::{self, Status};
use crate::numbers::lists::{Digits, Filter};
use crate::numbers::settings::{Callback, Changes, References};
use crate::numbers::{self, Number};
use crate::releases::{self, Moving};
use crate::values::page::Slice;
use crate::values::phone::Kind;
use crate::values::sid::{AccountSid, ForeignSid, NumberSid};
use crate::web::caller::Call;
use crate::web::represent::{Plain, Rfc2822};

/// `GET …/IncomingPhoneNumbers`
pub async fn list(call: Call) -> Result<HttpResponse, Refusal> {
    list_of(&call, Wanted::All).await
}

/// `GET …/IncomingPhoneNumbers/Local`
pub async fn list_local(call: Call) -> Result<HttpResponse, Refusal> {
    list_of(&call, Wanted::Kind(Kind::Local)).await
}

/// `GET …/IncomingPhoneNumbers/TollFree`
pub async fn list_tollfree(call: Call) -> Result<HttpResponse, Refusal> {
    list_of(&call, Wanted::Kind(Kind::TollFree)).await
}

/// `GET …/IncomingPhoneNumbers/Mobile`: there are none in the United States.
pub async fn list_mobile(call: Call) -> Result<HttpResponse, Refusal> {
    list_of(&call, Wanted::None).await
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
    call.check_names(&settings::OF_UPDATE)?;
    let changes = settings::read(&call.input)?;
    let number = match taker(&call).await? {
        None => call.state.updates.update(&call.db, call.account, sid, changes).await?,
        Some(to) => transfer(&call, sid, to, changes).await?,
    };
    Ok(represent::one(&call.asked, StatusCode::OK, &number))
}

/// The account to which the number is to go: another one of the caller's.
async fn taker(call: &Call) -> Result<Option<AccountSid>, Refusal> {
    let Some(to) = call.input.filled(&["AccountSid"])? else { return Ok(None) };
    let to: AccountSid = to.parse().map_err(|_| Unfit::AccountSid)?;
    if to == call.account {
        return Ok(None);
    }
    if call.caller.account != call.payer {
        return Err(Unfit::Giver.into());
    }
    if !call.caller.reaches_family() {
        return Err(Unfit::KeyGivesNone.into());
    }
    // Whether another account exists is nobody's business.
    let holder = call.state.gate.families.holder(&call.db, to, call.payer).await?;
    Ok(Some(holder.ok_or(Unfit::NoTaker)?.account))
}

/// Gives a number to another account of the same payer. Its other settings change first: so a refusal leaves it where it is.
async fn transfer(call: &Call, sid: NumberSid, to: AccountSid, changes: Changes) -> Result<Number, Refusal> {
    let (db, clock) = (&call.db, &call.state.clock);
    let number = numbers::find(db, call.account, sid).await?.phone_number;
    if accounts::find(db, to).await?.status != Status::Active {
        return Err(releases::Refused::TakerSuspended(to).into());
    }
    if changes != Changes::default() {
        call.state.updates.update(db, call.account, sid, changes).await?;
    }
    let moving = Moving { number, sid: Some(sid), holder: Some(call.account), to, note: None };
    releases::transfer(db, clock, moving).await?;
    Ok(numbers::find(db, to, sid).await?)
}

/// `DELETE …/IncomingPhoneNumbers/{Sid}`
pub async fn release(call: Call) -> Result<HttpResponse, Refusal> {
    call.state.releases.release(&call.db, call.account, call.number()?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Which numbers a path lists.
#[derive(Clone, Copy)]
enum Wanted {
    All,
    Kind(Kind),
    None,
}

async fn list_of(call: &Call, wanted: Wanted) -> Result<HttpResponse, Refusal> {
    let page = page::read(&call.input)?;
    let given = |name| call.input.filled(&[name]);
    let (number, name) = (given("PhoneNumber")?, given("FriendlyName")?);
    // No number is hosted, that is, another carrier's. Other values, and `Beta`, narrow nothing.
    let origin = given("Origin")?.filter(|origin| origin.eq_ignore_ascii_case("hosted"));
    let kind = if let Wanted::Kind(kind) = wanted { Some(kind) } else { None };
    let filter = Filter { kind, number: number.map(Digits::of_pattern), name: name.map(str::to_owned) };
    call.reserve_page(page.size + 1).await?;
    let slice = match (wanted, origin) {
        (Wanted::None, _) | (_, Some(_)) => Slice::new(page, 0, Vec::new()),
        _ => call.read(async |source| call.state.lists.page(source, call.account, &filter, page).await).await?,
    };
    call.resize_reservation(slice.items.iter().map(Number::bytes).sum())?;
    let filters = [("PhoneNumber", number), ("FriendlyName", name), ("Origin", origin)];
    let ends = slice.items.first().zip(slice.items.last()).map(|(first, last)| [first.sid, last.sid]);
    let list = List { name: "IncomingPhoneNumbers", columns: COLUMNS, filters: &filters, slice, ends };
    Ok(represent::list(&call.asked, list).await)
}

const COLUMNS: &[&str] = &[
    "Sid",
    "AccountSid",
    "FriendlyName",
    "PhoneNumber",
    "VoiceUrl",
    "VoiceMethod",
    "VoiceFallbackUrl",
    "VoiceFallbackMethod",
    "VoiceCallerIdLookup",
    "DateCreated",
    "DateUpdated",
    "SmsUrl",
    "SmsMethod",
    "SmsFallbackUrl",
    "SmsFallbackMethod",
    "AddressRequirements",
    "Beta",
    "Capabilities",
    "VoiceReceiveMode",
    "StatusCallback",
    "StatusCallbackMethod",
    "ApiVersion",
    "VoiceApplicationSid",
    "SmsApplicationSid",
    "Origin",
    "TrunkSid",
    "EmergencyStatus",
    "EmergencyAddressSid",
    "EmergencyAddressStatus",
    "Uri",
];

static UNVARYING: Same = Same::new();
static NO_REFERENCES: Same = Same::new();

/// What every number can do. JSON has both spellings: some SDKs read only the one, some only the other, and a missing one
/// would be false to them.
pub fn capabilities(to: &mut impl Typed) {
    let json = r#"{"voice":true,"sms":true,"mms":true,"fax":false,"SMS":true,"MMS":true}"#;
    let xml = "<Voice>true</Voice><SMS>true</SMS><MMS>true</MMS><Fax>false</Fax>";
    to.fixed("Capabilities", json, Some(xml));
}

/// What is the same of every number.
fn unvarying(to: &mut impl Typed) {
    to.text("AddressRequirements", "none");
    to.fixed("Beta", "false", Some("false"));
    capabilities(to);
    to.text("VoiceReceiveMode", "voice");
}

/// Sids of what this registry does not have, and what stands between them. An application that is not set is an empty
/// text, and another Sid null, as Twilio has it.
fn references(to: &mut impl Typed, all: &References) {
    let text = |sid: &Option<ForeignSid>| sid.as_ref().map_or_else(String::new, |sid| sid.as_str().to_owned());
    to.text("VoiceApplicationSid", &text(&all.voice_application));
    to.text("SmsApplicationSid", &text(&all.sms_application));
    to.text("Origin", "twilio");
    to.fixed("TrunkSid", &or_null(all.trunk.as_ref()), Some(&text(&all.trunk)));
    to.text("EmergencyStatus", "Inactive");
    to.fixed("EmergencyAddressSid", "null", Some(""));
    to.text("EmergencyAddressStatus", "unregistered");
    to.fixed("AddressSid", &or_null(all.address.as_ref()), None);
    to.fixed("IdentitySid", &or_null(all.identity.as_ref()), None);
    to.fixed("BundleSid", &or_null(all.bundle.as_ref()), None);
}

fn or_null(sid: Option<&ForeignSid>) -> String {
    sid.map_or_else(|| "null".to_owned(), |sid| format!("\"{}\"", sid.as_str()))
}

impl Record for Number {
    const NAME: &'static str = "IncomingPhoneNumber";

    fn columns(&self) -> &'static [&'static str] {
        COLUMNS
    }

    fn write(&self, to: &mut impl Typed) {
        let settings = &self.settings;
        to.plain("Sid", &self.sid);
        to.plain("AccountSid", &self.account_sid);
        to.text("FriendlyName", &self.friendly_name());
        to.plain("PhoneNumber", &E164(self.phone_number));
        callback(to, &VOICE, settings.voice.as_ref());
        callback(to, &VOICE_FALLBACK, settings.voice_fallback.as_ref());
        let lookup = if settings.voice_caller_id_lookup { "true" } else { "false" };
        to.fixed("VoiceCallerIdLookup", lookup, Some(lookup));
        to.plain("DateCreated", &Rfc2822(self.started_at));
        to.plain("DateUpdated", &Rfc2822(self.updated_at));
        callback(to, &SMS, settings.sms.as_ref());
        callback(to, &SMS_FALLBACK, settings.sms_fallback.as_ref());
        to.same(&UNVARYING, |to| unvarying(to));
        callback(to, &STATUS, settings.status.as_ref());
        to.plain("ApiVersion", &settings.api_version.as_str());
        match settings.references.as_deref() {
            None => to.same(&NO_REFERENCES, |to| references(to, &References::default())),
            Some(all) => references(to, all),
        }
        to.uri("Uri", &Path(self));
        to.fixed("Status", "\"in-use\"", None);
        let kind = match self.phone_number.kind() {
            Kind::Local => "\"local\"",
            Kind::TollFree => "\"tollfree\"",
        };
        to.fixed("Type", kind, None);
    }
}

/// The names of a callback's URL and method, and what they look like where there is none.
struct CallbackNames([&'static str; 2], Same);

static VOICE: CallbackNames = CallbackNames(["VoiceUrl", "VoiceMethod"], Same::new());
static VOICE_FALLBACK: CallbackNames = CallbackNames(["VoiceFallbackUrl", "VoiceFallbackMethod"], Same::new());
static SMS: CallbackNames = CallbackNames(["SmsUrl", "SmsMethod"], Same::new());
static SMS_FALLBACK: CallbackNames = CallbackNames(["SmsFallbackUrl", "SmsFallbackMethod"], Same::new());
static STATUS: CallbackNames = CallbackNames(["StatusCallback", "StatusCallbackMethod"], Same::new());

/// A method is POST where there is no URL, as Twilio tells it.
fn callback(
    to: &mut impl Typed,
    CallbackNames([url, method], none): &'static CallbackNames,
    callback: Option<&Callback>,
) {
    match callback {
        None => to.same(none, |to| {
            to.text(url, "");
            to.plain(method, &"POST");
        }),
        Some(callback) => {
            to.text(url, callback.url.as_str());
            to.plain(method, &callback.method.as_str());
        }
    }
}

/// The path of a number.
struct Path<'a>(&'a Number);

impl Plain for Path<'_> {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(TREE.as_bytes());
        to.extend_from_slice(b"/Accounts/");
        self.0.account_sid.write(to);
        to.extend_from_slice(b"/IncomingPhoneNumbers/");
        self.0.sid.write(to);
    }
}
