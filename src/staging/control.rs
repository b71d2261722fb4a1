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
use crate::error::Error;
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
}

impl FromRequest for Control {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        async move {
            let world = world(&request)?;
            if !is_control(&request, &world) {
                return Err(NotDone::NoToken.into());
            }
            Visit::read(&request, payload, world).await.map(Self)
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
            if !is_control(&request, &world) {
                let state = WorkerState::of(&request)?;
                // An API key is for the API only.
                let account = credentials(&request).filter(|(who, _)| matches!(who, Principal::Account(_)));
                let (account, token) = account.ok_or(NotDone::NoToken)?;
                let address = address(&request, state.clients.trust_proxy);
                let _turn = world.turn().await;
                let admitted = state.gate.admit(&state.db, account, &token, address).await;
                admitted.map_err(|denied| denied.map(Refused::from))?;
            }
            Self::read(&request, payload, world).await
        }
        .boxed_local()
    }
}

impl Visit {
    async fn read(request: &HttpRequest, mut payload: Payload, world: Arc<World>) -> Result<Self, Refusal> {
        let (state, Framed { deadline, query, .. }) = (WorkerState::of(request)?, Framed::of(request)?);
        let body = body(request, &mut payload, &deadline, state.clients.body_timeout).await?;
        Ok(Self { world, state, deadline, query, body })
    }
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
