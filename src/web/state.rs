//! The state of a worker.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpRequest;

use super::answer_memory::AnswerMemory;
use super::caller::Clients;
use super::frame::Face;
use super::traffic::Traffic;
use crate::accounts::gate::Gate;
use crate::db::Db;
use crate::db::replica::Replica;
use crate::error::{Error, Result};
use crate::numbers::lists::Lists;
use crate::numbers::{Lookups, Updates};
use crate::purchases::Counter;
use crate::releases::Releases;
use crate::values::clock::Clock;

/// One for each thread that serves, but for what is shared by all of them.
pub struct State {
    /// The versions of the API. The first one answers where a path belongs to none.
    pub faces: &'static [Face],
    pub db: Db,
    pub replica: Option<Replica>,
    /// Shared by all threads.
    pub clock: Clock,
    /// Shared by all threads.
    pub gate: Arc<Gate>,
    /// Shared by all threads.
    pub memory: Arc<AnswerMemory>,
    pub clients: Clients,
    pub traffic: Arc<Traffic>,
    pub lookups: Lookups,
    pub lists: Lists,
    pub updates: Updates,
    pub releases: Releases,
    /// Shared by all threads.
    pub counter: Counter,
}

impl State {
    /// The state of the thread that serves a request.
    ///
    /// # Errors
    /// Where the server was made without one.
    pub fn of(request: &HttpRequest) -> Result<Rc<Self>> {
        request.app_data::<Rc<Self>>().cloned().ok_or_else(incomplete)
    }
}

/// A part of the server does not hand on what the next one needs.
pub fn incomplete() -> Error {
    Error::Internal("a part of the server's state is missing".to_owned())
}
