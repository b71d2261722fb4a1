//! Twilio's test numbers: each is on sale only for the purchase that asks for one.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::faults::unexpected;
use super::{World, store};
use crate::error::Error;
use crate::inventory;
use crate::values::phone::{PhoneNumber, Plan};

impl World {
    /// Begins the sale of a test number: one at a time, and before the purchase has its turn.
    pub(super) async fn begin_test_sale(self: &Arc<Self>) -> TestSale {
        let alone = Arc::clone(&self.offering).lock_owned().await;
        TestSale { world: Arc::clone(self), alone: Some(alone) }
    }

    /// Withdraws test numbers that came back on sale, unless one is being sold: they are withdrawn after that.
    pub(super) async fn withdraw_returned_test_numbers(&self) -> Result<(), Error> {
        match self.offering.try_lock() {
            Ok(_alone) => self.withdraw_test_numbers().await,
            Err(_) => Ok(()),
        }
    }

    /// Withdraws all test numbers that are on sale.
    pub(super) async fn withdraw_test_numbers(&self) -> Result<(), Error> {
        Ok(store::withdraw(&self.db, Plan::TEST_CODE, TEST, self.clock.now()).await?)
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

/// While this is there, test numbers may be on sale, for one purchase.
pub struct TestSale {
    world: Arc<World>,
    alone: Option<OwnedMutexGuard<()>>,
}

impl TestSale {
    /// Puts the first of these test numbers on sale that can be. The purchase has its turn.
    pub async fn offer(&self, numbers: &[PhoneNumber]) -> Result<(), Error> {
        let World { db, clock, .. } = &*self.world;
        let withdrawn = store::withdrawn(db, TEST).await?;
        match withdrawn.into_iter().filter(|number| numbers.contains(number)).min() {
            Some(number) => inventory::put_back(db, clock, &[number], false).await.map(drop).map_err(unexpected),
            None => Ok(store::add_one(db, numbers, clock.now()).await?),
        }
    }

    /// Withdraws what was not bought. The purchase still has its turn.
    pub async fn end(mut self) -> Result<(), Error> {
        self.world.withdraw_test_numbers().await?;
        self.alone = None;
        Ok(())
    }
}

/// A purchase that was cut off has not ended the sale.
impl Drop for TestSale {
    fn drop(&mut self) {
        let Some(alone) = self.alone.take() else { return };
        let world = Arc::clone(&self.world);
        actix_web::rt::spawn(async move {
            let _turn = world.turn().await;
            if let Err(error) = world.withdraw_test_numbers().await {
                tracing::warn!("test numbers stay on sale: {error}");
            }
            drop(alone);
        });
    }
}
