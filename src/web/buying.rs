//! Purchases, as all API versions make them: idempotency keys, and the headers of the answer.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue, LOCATION};
use blake2::{Blake2s256, Digest};

use super::caller::Call;
use super::observe::Replayed;
use super::params::Params;
use super::refused::Unfit;
use crate::error::Denied;
use crate::numbers::Number;
use crate::purchases::{self, IdempotencyKey, Order, Purchase};

/// Buys a number. `tree` is the root of the version's resource tree, and `show` makes its answer.
///
/// # Errors
/// As [`purchases::buy`].
///
/// # Panics
/// Never: a path of Sids is a header value.
pub async fn buy(
    call: &Call,
    order: Order,
    tree: &str,
    show: impl FnOnce(&Number) -> HttpResponse,
) -> Result<HttpResponse, Denied<purchases::Refused>> {
    let state = &call.state;
    let purchase =
        purchases::buy(&state.purchases, &call.db, &state.clock, &state.chance, call.holder(), Arc::new(order)).await?;
    let (number, is_replay) = match purchase {
        Purchase::Made(number) => (number, false),
        Purchase::Replayed(number) => (number, true),
    };
    let mut response = show(&number);
    let location = format!("{tree}/Accounts/{}/IncomingPhoneNumbers/{}", number.account_sid, number.sid);
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::try_from(location).expect("a path of Sids is a header value"));
    if is_replay {
        headers.insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
        response.extensions_mut().insert(Replayed);
    }
    Ok(response)
}

/// The idempotency key of a request, if it has one. `digest` is that of its parameters.
///
/// # Errors
/// [`Unfit::IdempotencyKey`], [`Unfit::IdempotencyKeys`]
pub fn key(call: &Call, digest: impl FnOnce() -> Vec<u8>) -> Result<Option<IdempotencyKey>, Unfit> {
    let names = ["Idempotency-Key", "I-Twilio-Idempotency-Token"];
    let mut given = names.iter().flat_map(|name| call.headers(name));
    let Some(key) = given.next() else { return Ok(None) };
    if given.any(|other| other != key) {
        return Err(Unfit::IdempotencyKeys(names));
    }
    if !(1..=IdempotencyKey::LONGEST).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
        return Err(Unfit::IdempotencyKey);
    }
    Ok(String::from_utf8(key.to_vec()).ok().map(|text| IdempotencyKey { text, request: digest() }))
}

/// A digest of these parameters of a form, in this order, and of what the path asks for. The order in which they were sent
/// does not matter.
pub fn digest(path: &str, names: impl Iterator<Item = &'static str>, form: &Params) -> Vec<u8> {
    let mut digest = Blake2s256::new_with_prefix(path);
    for name in names {
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
