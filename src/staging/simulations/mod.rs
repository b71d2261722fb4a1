//! Simulated calls and messages: what happens when a number of the world is called or gets a message. Its URLs are requested,
//! signed by the account's own token; what they answer is checked, and a scripted caller walks through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
mod run;
mod scene;

pub use asked::Asked;
use past::Past;
use run::{LONGEST_RUN, Run};
use scene::Scene;

/// The most simulations at a time: of an account, and of a world.
pub const MOST_OF_ACCOUNT: usize = 4;
pub const MOST_OF_WORLD: usize = 16;

/// The calls and messages of a world.
#[derive(Debug, Default)]
pub struct Simulations {
    past: Past,
    /// Counts resets: what began before one is not kept.
    age: AtomicU64,
}

impl Simulations {
    /// Forgets all. What is under way still ends, and is forgotten too.
    pub fn forget_all(&self) {
        self.age.fetch_add(1, Ordering::Relaxed);
        self.past.forget_all();
    }
}

/// A simulation that is about to run.
pub struct Prepared {
    world: Arc<World>,
    scene: Scene,
    asked: Asked,
    /// With what requests are signed. It is nowhere else.
    token: String,
    age: u64,
    _running: Running,
}

/// Counts as one that is under way, until it is dropped.
struct Running {
    world: Arc<World>,
    sid: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.world.simulations.past.stop(&self.sid);
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
        let age = self.simulations.age.load(Ordering::Relaxed);
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
        self.simulations.past.begin(&scene.sid, asked.kind, account)?;
        let world = Arc::clone(self);
        let running = Running { world: Arc::clone(self), sid: scene.sid.clone() };
        Ok(Prepared { world, scene, asked, token, age, _running: running })
    }
}

impl Prepared {
    pub fn sid(&self) -> &str {
        &self.scene.sid
    }

    /// Runs it to its end, keeps and logs what came of it, and returns that as JSON. `site` is where recordings are.
    pub async fn run(self, site: String) -> Result<Arc<str>, Error> {
        let Self { world, scene, asked, token, age, _running } = self;
        let kind = asked.kind;
        let cookies = match kind {
            Kind::Call => Cookies::default(),
            Kind::Message => world.simulations.past.cookies(&scene.ends(), world.clock.now()),
        };
        let ran = Run::new(&world, &scene, &asked, &token, &site, cookies).finish().await;
        let (answer, notifications, cookies) = ran;
        let members = serde_json::to_value(&answer).map_err(|error| Error::Internal(error.to_string()))?;
        let text: Arc<str> = format!("{members}\n").into();
        // A reset has taken back what began before it.
        if world.simulations.age.load(Ordering::Relaxed) == age {
            if kind == Kind::Message {
                world.simulations.past.keep_cookies(scene.ends(), cookies, world.clock.now());
            }
            world.simulations.past.end(&scene.sid, kind, scene.account, Arc::clone(&text), notifications);
            world.log.add(world.clock.now(), answer::log_kind(kind), Some(scene.account), members);
        }
        Ok(text)
    }
}
