//! The extractor that authenticates: a handler that takes a [`Call`] runs only for an authenticated caller, on a path
//! that the caller reaches, with a body that could be read.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::accounts::gate::CONFIRM_AFTER;
use crate::accounts::{Caller, Holder, Principal};
use crate::db::Db;
use crate::db::replica::{Replica, Source};
use crate::error::{Denied, Error};
use crate::values::phone::Kind;
use crate::values::sid::{AccountSid, NumberSid};
use crate::web::answer_memory::Reservation;
use crate::web::asked::Asked;
use crate::web::form::form;
use crate::web::frame::{Face, Framed};
use crate::web::params::{KnownParameters, Params};
use crate::web::refused::Refused;
use crate::web::routes::Progress;
use crate::web::state::{WorkerState, incomplete};

type Result<T, E = Denied<Refused>> = std::result::Result<T, E>;

/// How clients are treated.
#[derive(Clone, Copy, Debug)]
pub struct Clients {
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// Whether a proxy is trusted: the last address in `X-Forwarded-For` is the client's, and `X-Forwarded-Proto` and
    /// `X-Forwarded-Host` are what the client asked for.
    pub trust_proxy: bool,
}

/// A request of an authenticated caller.
pub struct Call {
    /// Who sent it: an account, or an API key for it.
    pub caller: Caller,
    /// The account of the path: the caller itself, or a sub-account of the caller, as which it acts.
    pub account: AccountSid,
    /// Who pays for that account. The caller and all its sub-accounts have one share of everything.
    pub payer: AccountSid,
    /// The database, with the payer's share of the connections.
    pub db: Db,
    pub state: Rc<WorkerState>,
    pub asked: Asked,
    /// The form of a POST or PUT; the query of any other method.
    pub input: Params,
    /// The query of a POST or PUT, principal parameters are never used; empty for any other method.
    query: Params,
    replica: Option<Replica>,
    request: HttpRequest,
}

impl Call {
    /// A part of the path.
    pub fn path(&self, name: &str) -> &str {
        self.request.match_info().get(name).unwrap_or_default()
    }

    /// The Sid in the path.
    ///
    /// # Errors
    /// [`Refused::NotFound`] for a text that is not a Sid.
    pub fn number(&self) -> Result<NumberSid, Refused> {
        self.path("Sid").parse().map_err(|_| Refused::NotFound)
    }

    /// The account of the path, as one that buys.
    pub const fn holder(&self) -> Holder {
        Holder { account: self.account, payer: self.payer }
    }

    /// Refuses misspelt and misplaced parameters.
    ///
    /// # Errors
    /// Those of [`KnownParameters::check`].
    pub fn check_names(&self, known: &KnownParameters<'_>) -> Result<(), Refused> {
        known.check(&self.input, &self.query)
    }

    /// Reads numbers, from the replica if there is one and it is fresh.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn read<T, E>(&self, read: impl AsyncFn(Source<'_>) -> Result<T, E>) -> Result<T, E> {
        match &self.replica {
            Some(replica) => replica.read(&self.db, read).await,
            None => read(Source::Primary(&self.db)).await,
        }
    }

    /// Reserves memory for an answer that is a page of `rows` rows, until the client has taken it: see [`WorkerState::memory`].
    ///
    /// # Errors
    /// [`Error::TooMany`] if the account has its share of the memory, [`Error::Unavailable`] if there is none left.
    pub async fn reserve_page(&self, rows: u32) -> Result<(), Error> {
        let room = self.state.memory.for_page(self.payer, rows).await?;
        self.request.extensions_mut().insert(room);
        Ok(())
    }

    /// Changes the reservation to the size of the answer's rows, in bytes.
    ///
    /// # Errors
    /// As [`Call::reserve_page`], if they are more than was reserved.
    pub fn resize_reservation(&self, bytes: usize) -> Result<(), Error> {
        self.request.extensions_mut().get_mut::<Reservation>().map_or(Ok(()), |room| room.grow(bytes))
    }

    /// Notes that the request is a purchase, whatever its outcome.
    ///
    /// # Errors
    /// If the request did not come through `observe`.
    pub fn buys(&self, kind: Kind) -> Result<(), Error> {
        let progress = self.request.extensions().get::<Progress>().cloned();
        progress.map(|progress| progress.set_buys(kind)).ok_or_else(incomplete)
    }

    /// All values of a header.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.request.headers().get_all(name).map(|value| value.as_bytes())
    }
}

impl FromRequest for Call {
    type Error = Denied<Refused>;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        async move {
            let state = WorkerState::of(&request)?;
            // Removed, because nothing reads it after this.
            let framed = request.extensions_mut().remove::<Framed>();
            let Framed { asked, face, query, deadline } = framed.ok_or_else(incomplete)?;
            let (principal, token) = credentials(&request).ok_or(Refused::NotAuthenticated)?;
            if matches!(principal, Principal::Key(_)) && !face.has_keys {
                return Err(Refused::NotAuthenticated.into());
            }
            let address = address(&request, state.clients.trust_proxy);
            let admit = async || {
                let admitted = state.gate.admit(&state.db, principal, &token, address).await;
                admitted.map_err(|denied| denied.map(Refused::from))
            };
            let (caller, admitted) = (admit().await?, Instant::now());
            let of_path = request.match_info().get("AccountSid").map(str::parse).transpose();
            let account = of_path.map_err(|_| Refused::NotFound)?.unwrap_or(caller.account);
            let holder = holder(&state, caller, account, face).await?;
            let (input, query) = match *request.method() {
                Method::POST | Method::PUT => {
                    (form(&request, payload, face, &deadline, state.clients.body_timeout).await?, query)
                }
                _ => (query, Params::default()),
            };
            // The token may have been replaced, or the key deleted, while the body arrived.
            if admitted.elapsed() >= CONFIRM_AFTER {
                admit().await?;
            }
            // Only after the body has arrived: a slow sender does not count as a request under way.
            let payer = holder.payer;
            let replica = state.replica.as_ref().map(|replica| replica.of(payer)).transpose()?;
            if let Some(progress) = request.extensions().get::<Progress>() {
                progress.set_input([input.clone(), query.clone()]);
            }
            let db = state.db.of(payer, !request.method().is_safe())?;
            Ok(Self { caller, account, payer, db, state, asked, input, query, replica, request })
        }
        .boxed_local()
    }
}

/// The account of the path and its payer, if the caller reaches it.
async fn holder(state: &WorkerState, caller: Caller, account: AccountSid, face: &Face) -> Result<Holder> {
    if account == caller.account {
        return Ok(Holder { account, payer: caller.payer });
    }
    if !face.has_sub_accounts || !caller.reaches_family() {
        return Err(Refused::NotFound.into());
    }
    // Who guesses Sids does it with the caller's share of the connections.
    let db = state.db.of(caller.account, false)?;
    Ok(state.gate.families.holder(&db, account, caller.account).await?.ok_or(Refused::NotFound)?)
}

/// The user name and password of HTTP Basic.
pub fn credentials(request: &HttpRequest) -> Option<(Principal, String)> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    let decoded = Some(encoded.trim()).filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let decoded = String::from_utf8(STANDARD.decode(decoded).ok()?).ok()?;
    let (user, token) = decoded.split_once(':')?;
    Some((user.parse().ok()?, token.to_owned()))
}

/// The client's address: the peer's address or, with a trusted proxy, the one that the proxy has appended last. What
/// the client claims does not count.
pub fn address(request: &HttpRequest, trust_proxy: bool) -> IpAddr {
    let forwarded = || {
        let last = request.headers().get_all("X-Forwarded-For").last()?.to_str().ok()?;
        let last = last.rsplit(',').next().unwrap_or_default().trim();
        last.parse().ok().or_else(|| last.parse::<SocketAddr>().ok().map(|address| address.ip()))
    };
    let forwarded = if trust_proxy { forwarded() } else { None };
    let peer = || request.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip());
    forwarded.unwrap_or_else(peer)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use actix_web::test::TestRequest;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const SID: &str = "ACe4c13564edc11e8e3cbbc2ba66880340";

    /// Base64 by its definition, bit by bit.
    fn decoded(text: &str) -> Option<Vec<u8>> {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits = text.trim_end_matches('=');
        let padding = text.len() - digits.len();
        let values = digits.bytes().map(|byte| ALPHABET.iter().position(|known| *known == byte));
        let bits: Vec<bool> = values
            .collect::<Option<Vec<_>>>()?
            .iter()
            .flat_map(|value| (0..6).rev().map(move |bit| value >> bit & 1 == 1))
            .collect();
        let (whole, rest) = bits.split_at(bits.len() / 8 * 8);
        let exact = text.len().is_multiple_of(4) && padding < 3 && rest.len() < 6 && !rest.contains(&true);
        let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
        exact.then(|| whole.chunks(8).map(byte).collect())
    }

    /// A simple model of [`credentials`].
    fn plainly(header: &[u8]) -> Option<(String, String)> {
        let header = std::str::from_utf8(header).ok().filter(|header| header.is_ascii())?;
        let encoded = header.get(..6).filter(|scheme| scheme.to_lowercase() == "basic ").map(|_| header[6..].trim())?;
        let text = String::from_utf8(decoded(encoded)?).ok()?;
        let colon = text.find(':')?;
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let sid = colon == 34 && (text.starts_with("AC") || text.starts_with("SK")) && text[2..34].chars().all(hex);
        sid.then(|| (text[..colon].to_owned(), text[colon + 1..].to_owned()))
    }

    /// Credentials that are right, almost right, and of another scheme.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let user = prop_oneof![4 => Just(SID.to_owned()), 1 => Just(SID.replace("AC", "SK")), 1 => "(AC|SK)[0-9a-fA-F]{31,33}", 1 => "\\PC{0,40}"];
        let text = prop_oneof![
            (user, select(vec![":", "::", "", ": ", "\0:"]), "\\PC{0,40}|[0-9a-f]{32}|:{0,9}")
                .prop_map(|(user, colon, token)| format!("{user}{colon}{token}").into_bytes()),
            vec(any::<u8>(), 0..100),
            (0..20_000_usize).prop_map(|count| format!("{SID}:{}", "x".repeat(count)).into_bytes()),
        ];
        let encoded = prop_oneof![4 => text.prop_map(|text| STANDARD.encode(text)), 1 => "[A-Za-z0-9+/_=-]{0,90}"];
        let cut = any::<proptest::sample::Index>();
        let scheme = select(vec!["Basic ", "basic  ", "BASIC ", "Basic\t", "Basic", "Bearer ", " Basic ", ""]);
        let end = select(vec!["", "", "", " ", "=", "==", ",", "\t", "\u{e9}"]);
        (prop_oneof![3 => Just("Basic "), 1 => scheme], encoded, proptest::option::weighted(0.2, cut), end).prop_map(
            |(scheme, encoded, cut, end)| {
                let kept = cut.map_or(encoded.len(), |cut| cut.index(encoded.len() + 1));
                format!("{scheme}{}{end}", &encoded[..kept]).into_bytes()
            },
        )
    }

    proptest! {
        #[test]
        fn credentials_are_read_by_the_letter_or_not_at_all(header in prop_oneof![9 => hostile(), 1 => vec(any::<u8>(), 0..100)]) {
            // Invalid headers never get here.
            if let Ok(value) = HeaderValue::from_bytes(&header) {
                let request = TestRequest::default().insert_header((AUTHORIZATION, value)).to_http_request();
                let read = credentials(&request).map(|(sid, token)| (sid.to_string(), token));
                prop_assert_eq!(read, plainly(&header));
            }
        }
    }
}
