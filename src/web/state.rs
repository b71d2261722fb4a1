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
use crate::purchases::PurchaseQueues;
use crate::releases::Releases;
use crate::values::chance::Chance;
use crate::values::clock::Clock;
use crate::values::phone::Plan;

/// What a worker works with. Each thread that serves has one; some parts are shared by all threads.
pub struct WorkerState {
    /// The versions of the API. The first one answers requests for paths of no version.
    pub faces: &'static [Face],
    pub db: Db,
    pub replica: Option<Replica>,
    /// Shared by all threads.
    pub clock: Clock,
    /// Shared by all threads.
    pub chance: Chance,
    pub plan: Plan,
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
    pub purchases: PurchaseQueues,
}

impl WorkerState {
    /// The state of the thread that serves a request.
    ///
    /// # Errors
    /// If the server was made without one.
    pub fn of(request: &HttpRequest) -> Result<Rc<Self>> {
        request.app_data::<Rc<Self>>().cloned().ok_or_else(incomplete)
    }
}

/// The error if a part of the server did not pass on what a later part needs.
pub fn incomplete() -> Error {
    Error::Internal("a part of the server's state is missing".to_owned())
}
