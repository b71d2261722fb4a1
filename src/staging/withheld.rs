//! Numbers that a world keeps from sale, or puts on sale, for tests.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::faults::{Rule, Shown};
use super::{Refused, World, store};
use crate::error::{Denied, Error};
use crate::inventory::{self, MOST_MOVED};
use crate::values::phone::{AreaCode, PhoneNumber, Plan};
use crate::web::params::Params;

/// The note of numbers that a fault has withdrawn, before its id. It is in the database, so in snapshots too.
const SOLD_OUT: &str = "sold out by the fault ";

impl World {
    /// Adds a fault. What it takes out of sale is withdrawn at once.
    pub(super) async fn add_fault(&self, rule: Rule) -> Result<Shown, Denied<Refused>> {
        rule.check(&self.routes).map_err(Refused::from)?;
        let _alone = self.turns.write().await;
        self.arm(rule).await
    }

    /// As [`World::add_fault`], by whom no request is under way.
    pub(super) async fn arm(&self, rule: Rule) -> Result<Shown, Denied<Refused>> {
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
    pub(super) async fn clear_faults(&self, id: Option<&str>) -> Result<Vec<String>, Denied<Refused>> {
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
        let numbers = store::for_sale(&self.db, code).await?;
        for some in numbers.chunks(MOST_MOVED) {
            let note = format!("{SOLD_OUT}{id}");
            inventory::withdraw(&self.db, &self.clock, some, Some(&note)).await.map_err(unexpected)?;
        }
        Ok(())
    }

    /// Puts back what a fault has withdrawn, or any.
    pub(super) async fn fill_up(&self, id: Option<&str>) -> Result<(), Error> {
        let numbers = store::withdrawn(&self.db, &format!("{SOLD_OUT}{}", id.unwrap_or("%"))).await?;
        for some in numbers.chunks(MOST_MOVED) {
            inventory::put_back(&self.db, &self.clock, some, false).await.map_err(unexpected)?;
        }
        Ok(())
    }

    /// Puts the first of these test numbers on sale that can be, for one purchase: nobody else finds test numbers among
    /// those for sale. Its turn comes after this.
    pub(super) async fn offer(&self, numbers: &[PhoneNumber]) -> Result<Offered, Error> {
        let offered = Offered { _one_at_a_time: Arc::clone(&self.offering).lock_owned().await };
        let _turn = self.turn().await;
        let withdrawn = store::withdrawn(&self.db, TEST).await?;
        match withdrawn.into_iter().filter(|number| numbers.contains(number)).min() {
            Some(number) => {
                inventory::put_back(&self.db, &self.clock, &[number], false).await.map_err(unexpected)?;
            }
            None => store::add_one(&self.db, numbers, self.clock.now()).await?,
        }
        Ok(offered)
    }

    /// Withdraws the test numbers that were offered and not bought.
    pub(super) async fn withdraw_test_numbers(&self, _: Offered) -> Result<(), Error> {
        let left = store::for_sale(&self.db, Plan::TEST_CODE).await?;
        if !left.is_empty() {
            inventory::withdraw(&self.db, &self.clock, &left, Some(TEST)).await.map_err(unexpected)?;
        }
        Ok(())
    }

    /// The test numbers that a form asks for.
    pub(super) fn test_numbers(&self, form: &Params) -> Vec<PhoneNumber> {
        let asked = |(name, value): &(String, String)| match name.as_str() {
            _ if self.plan == Plan::Us => Vec::new(),
            "AreaCode" if *value == Plan::TEST_CODE.to_string() => Plan::for_sale().collect(),
            "PhoneNumber" => {
                let number = self.plan.number(value).ok();
                Plan::for_sale().filter(|test| Some(*test) == number).collect()
            }
            _ => Vec::new(),
        };
        form.pairs().iter().flat_map(asked).collect()
    }
}

/// The note of test numbers that are not on sale.
const TEST: &str = "a test number";

/// A test number is on sale for one purchase.
pub struct Offered {
    _one_at_a_time: OwnedMutexGuard<()>,
}

/// Nothing moves meanwhile, so nothing is refused.
fn unexpected(denied: Denied<inventory::Refused>) -> Error {
    match denied {
        Denied::Refused(refused) => Error::Internal(format!("numbers of a world could not be moved: {refused:?}")),
        Denied::Failed(error) => error,
    }
}
