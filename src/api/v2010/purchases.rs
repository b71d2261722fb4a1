//! Buying on the wire.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::refusals::{Refusal, Unfit};
use super::represent::{self, TREE};
use super::settings;
use crate::numbers::settings::Settings;
use crate::purchases::{Order, Refused, Wanted};
use crate::values::phone::{Kind, PhoneNumber, Plan, may_be_foreign};
use crate::web::buying;
use crate::web::caller::Call;
use crate::web::params::KnownParameters;

/// `POST …/IncomingPhoneNumbers`
pub async fn buy_any(call: Call) -> Result<HttpResponse, Refusal> {
    buy(&call, None).await
}

/// `POST …/IncomingPhoneNumbers/Local`
pub async fn buy_local(call: Call) -> Result<HttpResponse, Refusal> {
    buy(&call, Some(Kind::Local)).await
}

/// `POST …/IncomingPhoneNumbers/TollFree`
pub async fn buy_tollfree(call: Call) -> Result<HttpResponse, Refusal> {
    buy(&call, Some(Kind::TollFree)).await
}

/// `POST …/IncomingPhoneNumbers/Mobile`: there are none in the United States.
pub async fn buy_mobile(_: Call) -> Result<HttpResponse, Refusal> {
    Err(Unfit::OtherKind.into())
}

async fn buy(call: &Call, kind: Option<Kind>) -> Result<HttpResponse, Refusal> {
    if let Some(kind) = kind {
        call.buys(kind)?;
    }
    call.check_names(&OF_PURCHASE)?;
    if call.input.filled(&["AccountSid"])?.is_some_and(|sid| sid != call.account.to_string()) {
        return Err(Unfit::OtherAccount.into());
    }
    let wanted = wanted(call, kind)?;
    call.buys(wanted.kind())?;
    let settings = Settings::first(&settings::read(&call.input)?)?;
    let key = buying::key(call, || {
        // Only what was sent, so that a later parameter changes no digest.
        let sent = |name: &&'static str| matches!(call.input.get(name), Ok(Some(_)));
        let path = format!("{TREE} {}", kind.map_or("", Kind::name));
        buying::digest(&path, OF_PURCHASE.names.iter().copied().filter(sent), &call.input)
    })?;
    let order = Order { wanted, settings, key };
    let bought =
        buying::buy(call, order, TREE, |number| represent::one(&call.asked, StatusCode::CREATED, number)).await;
    Ok(bought.map_err(|denied| {
        denied.map(|refused| match refused {
            // The caller is let in, and its sub-account is closed.
            Refused::AccountGone if call.caller.account != call.account => Refused::Suspended,
            refused => refused,
        })
    })?)
}

/// The parameters of a purchase. Unknown ones are ignored. The digest of a request has them in this order: a new one comes
/// at the end.
const OF_PURCHASE: KnownParameters<'static> = KnownParameters {
    names: &{
        let mut names = ["PhoneNumber"; settings::PARAMETERS.len() + 2];
        names[1] = "AreaCode";
        names.split_at_mut(2).1.copy_from_slice(&settings::PARAMETERS);
        names
    },
    elsewhere: &settings::NAMES_OF_2008,
};

/// Which number is to be bought, by a path of one kind or of all. Of a number and an area code, the number decides.
fn wanted(call: &Call, kind: Option<Kind>) -> Result<Wanted, Refusal> {
    let (form, plan) = (&call.input, call.state.plan);
    let (number, area_code) = (form.filled(&["PhoneNumber"])?, form.filled(&["AreaCode"])?);
    if kind.is_some() && area_code.is_some() {
        return Err(Unfit::AreaCodeOfKind.into());
    }
    let wanted = match (number, area_code) {
        (Some(text), _) => Wanted::This { number: named(plan, text)?, price: None },
        (None, Some(text)) => {
            let code = plan.area_code(text).map_err(|_| Unfit::AreaCode)?;
            Wanted::Next { kind: code.kind(), area_code: Some(code) }
        }
        (None, None) => return Err(Unfit::NothingNamed.into()),
    };
    match kind {
        Some(kind) if kind != wanted.kind() => Err(Unfit::OtherKind.into()),
        _ => Ok(wanted),
    }
}

fn named(plan: Plan, text: &str) -> Result<PhoneNumber, Unfit> {
    plan.number(text).map_err(|_| if may_be_foreign(text) { Unfit::NotOnSale } else { Unfit::NotANumber })
}
