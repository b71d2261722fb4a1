//! Buying on the wire.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::refusals::{Refusal, Unfit};
use super::settings;
use crate::api::v2008::represent::{self, TREE};
use crate::numbers::settings::{ApiVersion, Changes, Settings};
use crate::purchases::{Order, Wanted};
use crate::values::phone::Kind;
use crate::web::buying;
use crate::web::caller::Call;
use crate::web::params::KnownParameters;

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
    let order = order(call, kind)?;
    Ok(buying::buy(call, order, TREE, |number| represent::one(&call.asked, StatusCode::CREATED, number)).await?)
}

fn order(call: &Call, kind: Kind) -> Result<Order, Refusal> {
    let names: Vec<_> = heeded().collect();
    call.check_names(&KnownParameters { names: &names, elsewhere: &ELSEWHERE })?;
    let area_code =
        call.input.get("AreaCode")?.filter(|text| !text.is_empty()).map(|text| call.state.plan.area_code(text));
    let area_code = area_code.transpose().map_err(|_| Unfit::AreaCode)?;
    let changes = Changes { api_version: Some(ApiVersion::V2008), ..settings::read(&call.input)? };
    let settings = Settings::first(&changes)?;
    let key = buying::key(call, || buying::digest(kind.name(), heeded(), &call.input))?;
    Ok(Order { wanted: Wanted::Next { kind, area_code }, settings, key })
}

/// The parameters that a purchase uses. The digest of a request covers only these, sent or not, in this order: a new order
/// would change the stored digests.
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
