//! The AvailablePhoneNumber resources on the wire: which numbers could be bought now.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::numbers::capabilities;
use super::page;
use super::refusals::{Refusal, Unfit};
use super::represent::{self, E164, Record, Same, TREE, Typed};
use crate::inventory::searching::{self, MOST, Search};
use crate::values::phone::{Kind, PhoneNumber};
use crate::values::sid::AccountSid;
use crate::web::caller::Call;
use crate::web::params::Params;
use crate::web::refused::Refused;
use crate::web::settings::flag;

/// `GET …/AvailablePhoneNumbers`: the countries.
pub async fn countries(call: Call) -> Result<HttpResponse, Refusal> {
    let all = [Country(call.account)];
    Ok(represent::whole(&call.asked, "Countries", all[0].columns(), &[], &all))
}

/// `GET …/AvailablePhoneNumbers/US`
pub async fn country(call: Call) -> Result<HttpResponse, Refusal> {
    Ok(represent::one(&call.asked, StatusCode::OK, &Country(call.account)))
}

/// `GET …/AvailablePhoneNumbers/US/Local`
pub async fn local(call: Call) -> Result<HttpResponse, Refusal> {
    search(&call, Kind::Local).await
}

/// `GET …/AvailablePhoneNumbers/US/TollFree`
pub async fn tollfree(call: Call) -> Result<HttpResponse, Refusal> {
    search(&call, Kind::TollFree).await
}

/// The parameters that narrow a search, and the size of its answer.
const FILTERS: [&str; 8] =
    ["AreaCode", "Contains", "InRegion", "SmsEnabled", "MmsEnabled", "VoiceEnabled", "FaxEnabled", "PageSize"];

/// What every number can do, as [`capabilities`] tells it.
const CAPABILITIES: [(&str, bool); 4] =
    [("SmsEnabled", true), ("MmsEnabled", true), ("VoiceEnabled", true), ("FaxEnabled", false)];

/// Places that this registry does not know of its numbers. To ignore them would sell a number from the wrong town.
const PLACES: [&str; 7] =
    ["NearNumber", "NearLatLong", "Distance", "InPostalCode", "InLata", "InRateCenter", "InLocality"];

async fn search(call: &Call, kind: Kind) -> Result<HttpResponse, Refusal> {
    let can = can_all(&call.input)?;
    let wanted = read(&call.input, kind)?;
    let found = if can {
        call.read(async |source| searching::search(source, &call.state.chance, &wanted).await).await?
    } else {
        Vec::new()
    };
    let found: Vec<_> = found.into_iter().map(Available).collect();
    let mut given = FILTERS.map(|name| (name, None));
    for (name, value) in &mut given {
        *value = call.input.filled(&[name])?;
    }
    Ok(represent::whole(&call.asked, "AvailablePhoneNumbers", COLUMNS, &given, &found))
}

/// Reads which numbers are wanted.
fn read(query: &Params, kind: Kind) -> Result<Search<'_>, Refusal> {
    let given = |name| query.filled(&[name]);
    for name in PLACES {
        if given(name)?.is_some() {
            return Err(Unfit::Place(name).into());
        }
    }
    let pattern = given("Contains")?.map(str::parse).transpose().map_err(|_| Unfit::Contains)?;
    Ok(Search {
        kind,
        area_code: given("AreaCode")?.map(|text| three_digits(text).ok_or(Unfit::SearchedAreaCode)).transpose()?,
        state: given("InRegion")?.map(state),
        pattern,
        most: page::size(query, MOST)?.unwrap_or(MOST),
    })
}

fn three_digits(text: &str) -> Option<i16> {
    text.parse().ok().filter(|_| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A state, or that of a phone number. A toll-free number has none, and nothing is in it.
fn state(region: &str) -> &str {
    region.parse::<PhoneNumber>().map_or(region, |number| number.area_code().state().unwrap_or_default())
}

/// Whether the numbers here have all capabilities that the query asks for, such as `SmsEnabled`.
fn can_all(query: &Params) -> Result<bool, Refused> {
    let mut can_all = true;
    for (name, can) in CAPABILITIES {
        // An empty value counts as not sent.
        let wanted = if query.filled(&[name])?.is_some() { flag(query, name)? } else { None };
        can_all &= wanted.is_none_or(|wanted| wanted == can);
    }
    Ok(can_all)
}

/// A number that could be bought.
struct Available(PhoneNumber);

const COLUMNS: &[&str] = &[
    "FriendlyName",
    "PhoneNumber",
    "Lata",
    "RateCenter",
    "Latitude",
    "Longitude",
    "Region",
    "PostalCode",
    "IsoCountry",
    "AddressRequirements",
    "Beta",
    "Capabilities",
];

/// The places that this registry does not know. XML has no Locality.
fn no_places(to: &mut impl Typed) {
    to.fixed("Lata", "null", Some(""));
    to.fixed("Locality", "null", None);
    for name in ["RateCenter", "Latitude", "Longitude"] {
        to.fixed(name, "null", Some(""));
    }
}

/// What is the same of every number.
fn unvarying(to: &mut impl Typed) {
    to.fixed("PostalCode", "null", Some(""));
    to.text("IsoCountry", "US");
    to.text("AddressRequirements", "none");
    to.fixed("Beta", "false", Some("false"));
    capabilities(to);
}

static NO_PLACES: Same = Same::new();
static UNVARYING: Same = Same::new();

impl Record for Available {
    const NAME: &'static str = "AvailablePhoneNumber";

    fn columns(&self) -> &'static [&'static str] {
        COLUMNS
    }

    fn write(&self, to: &mut impl Typed) {
        to.text("FriendlyName", &self.0.formatted());
        to.plain("PhoneNumber", &E164(self.0));
        to.same(&NO_PLACES, |to| no_places(to));
        match self.0.area_code().state() {
            Some(state) => to.plain("Region", &state),
            None => to.fixed("Region", "null", Some("")),
        }
        to.same(&UNVARYING, |to| unvarying(to));
    }
}

/// The United States, as this account sees them.
struct Country(AccountSid);

impl Record for Country {
    const NAME: &'static str = "Country";

    fn columns(&self) -> &'static [&'static str] {
        &["CountryCode", "Country", "Uri", "Beta", "SubresourceUris"]
    }

    fn write(&self, to: &mut impl Typed) {
        let path = format!("{TREE}/Accounts/{}/AvailablePhoneNumbers/US", self.0);
        to.plain("CountryCode", &"US");
        to.plain("Country", &"United States");
        to.uri("Uri", &path);
        to.fixed("Beta", "false", Some("false"));
        represent::subresources(to, &path, &["Local", "TollFree"]);
    }
}
