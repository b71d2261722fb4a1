//! The extractors that check who controls a world: a handler that takes a [`Control`] runs only for requests with the
//! world's control token, one that takes a [`Visit`] also for those with the credentials of an account of the world.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::refusals::Refusal;
use super::{Refused as NotDone, World, seed};
use crate::accounts::Principal;
use crate::error::{Denied, Error};
use crate::values::sid::AccountSid;
use crate::web::caller::{address, credentials};
use crate::web::deadline::Deadline;
use crate::web::form::body;
use crate::web::frame::Framed;
use crate::web::params::Params;
use crate::web::refused::Refused;
use crate::web::state::{WorkerState, incomplete};

/// A request with the world's control token.
pub struct Control(pub Visit);

/// A request with the control token, or with the credentials of an account of the world.
pub struct Visit {
    pub world: Arc<World>,
    pub state: Rc<WorkerState>,
    pub deadline: Deadline,
    /// The account that authenticated; `None` is the control.
    caller: Option<AccountSid>,
    pub query: Params,
    body: Vec<u8>,
}

impl Visit {
    /// The body, as JSON. An empty one is an object without members.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, NotDone> {
        seed::read(if self.body.is_empty() { b"{}" } else { &self.body })
    }

    /// The body, as a form. `None` if it is JSON.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn form(&self) -> Result<Option<Params>, Refused> {
        let is_json = self.body.trim_ascii_start().starts_with(b"{");
        if is_json { Ok(None) } else { Params::parse(&self.body).map(Some) }
    }

    /// The account of a path, if the visitor may look at it.
    ///
    /// # Errors
    /// [`Refused::NotFound`]
    pub fn of_account(&self, text: &str) -> Result<AccountSid, Refused> {
        let account = text.parse().map_err(|_| Refused::NotFound)?;
        let may = self.caller.is_none_or(|caller| caller == account);
        may.then_some(account).ok_or(Refused::NotFound)
    }
}

/// A request of the account of its path, by its own token.
pub struct Own {
    pub visit: Visit,
    pub account: AccountSid,
    pub token: String,
}

impl FromRequest for Own {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        async move {
            let world = world(&request)?;
            if is_control(&request, &world) {
                return Err(NotDone::AsAccount.into());
            }
            let (who, token) = credentials(&request).ok_or(NotDone::NoCredentials)?;
            let state = WorkerState::of(&request)?;
            let caller = admitted(&request, &world, &state, who, &token).await?;
            let account = request.match_info().get("AccountSid").and_then(|sid| sid.parse().ok());
            let account: AccountSid = account.ok_or(Refused::NotFound)?;
            if matches!(who, Principal::Key(_)) {
                return Err(NotDone::AsAccount.into());
            }
            if caller != account {
                let is_family = state.gate.families.holder(&state.db, account, caller).await?.is_some();
                return Err(if is_family { NotDone::AsAccount.into() } else { Refused::NotFound.into() });
            }
            let visit = Visit::read(&request, payload, world, Some(caller)).await?;
            Ok(Self { visit, account, token })
        }
        .boxed_local()
    }
}

impl FromRequest for Control {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        async move {
            let world = world(&request)?;
            if !is_control(&request, &world) {
                return Err(NotDone::ControlOnly.into());
            }
            Visit::read(&request, payload, world, None).await.map(Self)
        }
        .boxed_local()
    }
}

impl FromRequest for Visit {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        async move {
            let world = world(&request)?;
            let mut caller = None;
            if !is_control(&request, &world) {
                let state = WorkerState::of(&request)?;
                // An API key is for the API only.
                let account = credentials(&request).filter(|(who, _)| matches!(who, Principal::Account(_)));
                let (account, token) = account.ok_or(NotDone::NoCredentials)?;
                caller = Some(admitted(&request, &world, &state, account, &token).await?);
            }
            Self::read(&request, payload, world, caller).await
        }
        .boxed_local()
    }
}

impl Visit {
    async fn read(
        request: &HttpRequest,
        mut payload: Payload,
        world: Arc<World>,
        caller: Option<AccountSid>,
    ) -> Result<Self, Refusal> {
        let (state, Framed { deadline, query, .. }) = (WorkerState::of(request)?, Framed::of(request)?);
        let body = body(request, &mut payload, &deadline, state.clients.body_timeout).await?;
        Ok(Self { world, state, deadline, caller, query, body })
    }
}

/// The account of these credentials, if they are right.
pub async fn admitted(
    request: &HttpRequest,
    world: &World,
    state: &WorkerState,
    who: Principal,
    token: &str,
) -> Result<AccountSid, Denied<Refused>> {
    let address = address(request, state.clients.trust_proxy);
    let _turn = world.turn().await;
    let admitted = state.gate.admit(&state.db, who, token, address).await;
    Ok(admitted.map_err(|denied| denied.map(Refused::from))?.account)
}

/// The world that is served.
pub fn world(request: &HttpRequest) -> Result<Arc<World>, Error> {
    request.app_data::<Arc<World>>().cloned().ok_or_else(incomplete)
}

fn is_control(request: &HttpRequest, world: &World) -> bool {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        header.and_then(|header| header.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.is_some_and(|(_, token)| world.token.is(token.trim()))
}
