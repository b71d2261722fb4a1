//! Simulated calls and messages: what happens when a number of the world is called or gets a message. Its URLs are requested,
//! signed by the account's own token; what they answer is checked, and a scripted caller walks through it.

use std::sync::Arc;

use super::{Refused, World, store};
use crate::accounts::{self, Status};
use crate::callbacks::Cookies;
use crate::error::{Denied, Error};
use crate::numbers;
use crate::twiml::Kind;
use crate::values::sid::{AccountSid, CallSid, MessageSid, NumberSid};

mod answer;
mod asked;
mod codes;
pub mod face;
mod past;
mod record;
mod run;
mod scene;

pub use asked::Asked;
pub use past::Past as Simulations;
use run::{LONGEST_RUN, Run};
use scene::Scene;

/// The most simulations at a time: of an account, and of a world.
pub const MOST_OF_ACCOUNT: usize = 4;
pub const MOST_OF_WORLD: usize = 16;

/// A simulation that is about to run.
pub struct Prepared {
    world: Arc<World>,
    scene: Scene,
    asked: Asked,
    /// With what requests are signed. It is nowhere else.
    token: String,
    running: Running,
}

/// Counts as one that is under way, until it is dropped.
struct Running {
    world: Arc<World>,
    number: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.world.simulations.stop(self.number);
    }
}

impl World {
    /// Prepares a call to, or a message for, a number that the account holds.
    ///
    /// # Errors
    /// [`Refused::NotHeld`], [`Refused::TooManyRuns`]
    async fn prepare(
        self: &Arc<Self>,
        account: AccountSid,
        token: String,
        asked: Asked,
    ) -> Result<Prepared, Denied<Refused>> {
        let _turn = self.turn().await;
        let number = self.plan.number(&asked.to).map_err(|_| Refused::NotHeld)?;
        let sid: NumberSid = store::held(&self.db, account, number).await?.ok_or(Refused::NotHeld)?;
        let number = numbers::find(&self.db, account, sid).await.map_err(|denied| denied.map(|_| Refused::NotHeld))?;
        let holder = accounts::find(&self.db, account).await.map_err(|denied| denied.map(|_| Refused::NotHeld))?;
        let sid = match asked.kind {
            Kind::Call => CallSid::drawn(&self.chance).to_string(),
            Kind::Message => MessageSid::drawn(&self.chance).to_string(),
        };
        let looked_up = self.caller_names.get(&asked.caller_digits()).cloned();
        let scene = Scene::new(sid, &number, &asked, holder.status == Status::Active, looked_up);
        if let Some(longest) = scene.longest_body() {
            let expected = format!("a text of at most {longest} characters");
            return Err(Refused::Parameter { name: "Body".to_owned(), expected }.into());
        }
        let number = self.simulations.begin(&scene.sid, asked.kind, account)?;
        let running = Running { world: Arc::clone(self), number };
        Ok(Prepared { world: Arc::clone(self), scene, asked, token, running })
    }
}

impl Prepared {
    pub fn sid(&self) -> &str {
        &self.scene.sid
    }

    /// Its number among all of this process.
    pub const fn number(&self) -> u64 {
        self.running.number
    }

    /// Runs it to its end, keeps and logs what came of it, and returns that as JSON. `site` is where recordings are. A reset
    /// ends it before.
    pub async fn run(self, site: String) -> Result<Arc<str>, Error> {
        let Self { world, scene, asked, token, running: _running } = self;
        let (kind, account) = (asked.kind, scene.account);
        let cookies = match kind {
            Kind::Call => Cookies::default(),
            Kind::Message => world.simulations.cookies(account, &scene.ends(), world.clock.now()),
        };
        let ran = Run::new(&world, &scene, &asked, &token, &site, cookies).finish().await;
        let (answer, notifications, cookies) = ran;
        let now = world.clock.now();
        if kind == Kind::Message {
            world.simulations.keep_cookies(account, scene.ends(), cookies, now);
        }
        let members = serde_json::to_value(&answer).map_err(|error| Error::Internal(error.to_string()))?;
        let text: Arc<str> = format!("{members}\n").into();
        world.simulations.end(&scene.sid, kind, account, Arc::clone(&text), notifications);
        world.log.add(now, answer::log_kind(kind), Some(account), members);
        Ok(text)
    }
}
