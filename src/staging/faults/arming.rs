//! How faults are armed and cleared, with the numbers that they take out of sale.

use super::{Rule, Shown};
use crate::error::{Denied, Error};
use crate::inventory::{self, MOST_MOVED};
use crate::staging::{Refused, World, store};
use crate::values::phone::AreaCode;

/// The note of numbers that a fault has withdrawn, before its id. It is in the database, so in snapshots too.
const SOLD_OUT: &str = "sold out by the fault ";

impl World {
    /// Adds a fault. What it takes out of sale is withdrawn at once.
    pub(in crate::staging) async fn add_fault(&self, rule: Rule) -> Result<Shown, Denied<Refused>> {
        rule.check(&self.routes).map_err(Refused::from)?;
        let _alone = self.turns.write().await;
        self.arm(rule).await
    }

    /// As [`World::add_fault`], by whom no request is under way.
    pub(in crate::staging) async fn arm(&self, rule: Rule) -> Result<Shown, Denied<Refused>> {
        let seed = self.chance.draws().map_or(0, |draws| draws.seed);
        let fault = self.faults.add(rule, seed)?;
        if let Some(code) = fault.emptied()
            && let Err(error) = self.sell_out(code, &fault.id).await
        {
            self.faults.clear(Some(&fault.id));
            self.fill_up(Some(&fault.id)).await?;
            return Err(error.into());
        }
        Ok(fault)
    }

    /// Clears a fault, or all. What they took out of sale is for sale again.
    pub(in crate::staging) async fn clear_faults(&self, id: Option<&str>) -> Result<Vec<String>, Denied<Refused>> {
        let _alone = self.turns.write().await;
        let cleared = self.faults.clear(id);
        if let Some(id) = id.filter(|_| cleared.is_empty()) {
            return Err(Refused::NoFault(id.escape_debug().to_string()).into());
        }
        for id in &cleared {
            self.fill_up(Some(id)).await?;
        }
        Ok(cleared)
    }

    /// Withdraws all numbers of an area code that are for sale.
    async fn sell_out(&self, code: AreaCode, id: &str) -> Result<(), Error> {
        Ok(store::withdraw(&self.db, code, &format!("{SOLD_OUT}{id}"), self.clock.now()).await?)
    }

    /// Puts back what a fault has withdrawn, or any.
    pub(in crate::staging) async fn fill_up(&self, id: Option<&str>) -> Result<(), Error> {
        let numbers = store::withdrawn(&self.db, &format!("{SOLD_OUT}{}", id.unwrap_or("%"))).await?;
        for some in numbers.chunks(MOST_MOVED) {
            inventory::put_back(&self.db, &self.clock, some, false).await.map_err(unexpected)?;
        }
        Ok(())
    }
}

/// The failure if numbers are not moved: nothing else moves them meanwhile, so nothing is refused.
pub fn unexpected(denied: Denied<inventory::Refused>) -> Error {
    match denied {
        Denied::Refused(refused) => Error::Internal(format!("numbers of a world could not be moved: {refused:?}")),
        Denied::Failed(error) => error,
    }
}
