//! Twilio's test numbers: each is on sale only for the purchase that asks for one.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::faults::unexpected;
use super::{World, store};
use crate::error::Error;
use crate::inventory;
use crate::values::phone::{PhoneNumber, Plan};

impl World {
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
    pub(super) fn test_numbers(&self, form: &[(String, String)]) -> Vec<PhoneNumber> {
        let asked = |(name, value): &(String, String)| match name.as_str() {
            _ if self.plan == Plan::Us => Vec::new(),
            "AreaCode" if *value == Plan::TEST_CODE.to_string() => Plan::for_sale().collect(),
            "PhoneNumber" => {
                let number = self.plan.number(value).ok();
                Plan::for_sale().filter(|test| Some(*test) == number).collect()
            }
            _ => Vec::new(),
        };
        form.iter().flat_map(asked).collect()
    }
}

/// The note of test numbers that are not on sale.
const TEST: &str = "a test number";

/// A test number is on sale for one purchase.
pub struct Offered {
    _one_at_a_time: OwnedMutexGuard<()>,
}
