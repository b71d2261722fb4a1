//! Buying on the wire.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, LOCATION};
use blake2::{Blake2s256, Digest};

use super::refusals::{Refusal, Unfit};
use super::settings;
use crate::api::v2008::represent::{self, TREE};
use crate::numbers::settings::{ApiVersion, Changes, Settings};
use crate::purchases::{self, IdempotencyKey, Order, Purchase, Wanted};
use crate::values::phone::{AreaCode, Kind};
use crate::web::caller::Call;
use crate::web::observe::Replayed;
use crate::web::params::{KnownParameters, Params};

/// `POST …/IncomingPhoneNumbers/Local`
pub async fn buy_local(call: Call) -> Result<HttpResponse, Refusal> {
    buy(&call, Kind::Local).await
}

/// `POST …/IncomingPhoneNumbers/TollFree`
pub async fn buy_tollfree(call: Call) -> Result<HttpResponse, Refusal> {
    buy(&call, Kind::TollFree).await
}

async fn buy(call: &Call, kind: Kind) -> Result<HttpResponse, Refusal> {
    call.buys(kind)?;
    let (state, order) = (&call.state, Arc::new(order(call, kind)?));
    let (number, is_replay) =
        match purchases::buy(&state.purchases, &call.db, &state.clock, call.account, order).await? {
            Purchase::Made(number) => (number, false),
            Purchase::Replayed(number) => (number, true),
        };
    let mut response = represent::one(&call.asked, StatusCode::CREATED, &number);
    let location = format!("{TREE}/Accounts/{}/IncomingPhoneNumbers/{}", number.account_sid, number.sid);
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::try_from(location).expect("a path of Sids is a header value"));
    if is_replay {
        headers.insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
        response.extensions_mut().insert(Replayed);
    }
    Ok(response)
}

fn order(call: &Call, kind: Kind) -> Result<Order, Refusal> {
    let names: Vec<_> = heeded().collect();
    call.check_names(&KnownParameters { names: &names, elsewhere: &ELSEWHERE })?;
    let area_code = call.input.get("AreaCode")?.filter(|text| !text.is_empty()).map(str::parse::<AreaCode>);
    let area_code = area_code.transpose().map_err(|_| Unfit::AreaCode)?;
    let changes = Changes { api_version: Some(ApiVersion::V2008), ..settings::read(&call.input)? };
    let settings = Settings::first(&changes)?;
    let key = idempotency_key(call)?.map(|text| IdempotencyKey { text, request: digest(kind, &call.input) });
    Ok(Order { wanted: Wanted::Next { kind, area_code }, settings, key })
}

fn idempotency_key(call: &Call) -> Result<Option<String>, Unfit> {
    let names = ["Idempotency-Key", "I-Twilio-Idempotency-Token"];
    let mut given = names.iter().flat_map(|name| call.headers(name));
    let Some(key) = given.next() else { return Ok(None) };
    if given.any(|other| other != key) {
        return Err(Unfit::IdempotencyKeys(names));
    }
    if !(1..=IdempotencyKey::LONGEST).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
        return Err(Unfit::IdempotencyKey);
    }
    Ok(String::from_utf8(key.to_vec()).ok())
}

/// The parameters that a purchase uses. The digest of a request covers only these, in this order: a new order would
/// change the stored digests.
fn heeded() -> impl Iterator<Item = &'static str> {
    ["AreaCode"].into_iter().chain(settings::PARAMETERS)
}

/// Names that a client might use instead of one of them.
const ELSEWHERE: [(&str, &str); 3] = [
    settings::NAMES_OF_2010[0],
    settings::NAMES_OF_2010[1],
    (
        "PhoneNumber",
        "PhoneNumber cannot be chosen: this version buys by AreaCode, so write AreaCode, or neither for a number from anywhere",
    ),
];

/// A digest of the request's parameters. The order in which they were sent does not matter.
fn digest(kind: Kind, form: &Params) -> Vec<u8> {
    let mut digest = Blake2s256::new_with_prefix(kind.to_string());
    for name in heeded() {
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
