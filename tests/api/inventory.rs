//! The stock behind the wire, as the operator moves it.

use numberbank::inventory::{self, Filter, State};
use numberbank::kernel::phone::PhoneNumber;

use crate::support::{World, test};

const FIRST: i64 = 4_158_675_309;
const SECOND: i64 = 4_158_675_310;

fn numbers(digits: &[i64]) -> Vec<PhoneNumber> {
    digits.iter().map(|digits| PhoneNumber::new(*digits).expect("a number")).collect()
}

async fn states(world: &World) -> Vec<State> {
    let stock = inventory::list(&world.db, Filter::default(), None, 10).await.expect("the stock");
    stock.iter().map(|stocked| stocked.state).collect()
}

#[test]
fn a_withdrawn_number_goes_back_to_where_it_was() {
    test(async |world| {
        world.stock(FIRST, 1).await;
        let account = world.account("5.00").await;
        let sid = world.server.buy(&account, &[]).await.element("Sid");
        world.server.delete(&account, &format!("/IncomingPhoneNumbers/{sid}")).await.assert_status(204);
        world.stock(SECOND, 1).await;

        let both = numbers(&[FIRST, SECOND]);
        assert_eq!(inventory::withdraw(&world.db, &world.clock, &both).await.expect("withdrawn"), 2);
        assert_eq!(states(world).await, [State::Withdrawn, State::Withdrawn]);
        assert_eq!(inventory::put_back(&world.db, &world.clock, &both).await.expect("put back"), 2);
        assert_eq!(states(world).await, [State::Quarantined, State::Available], "a quarantine is not cut short");
    });
}

#[test]
fn numbers_are_moved_together_or_not_at_all() {
    test(async |world| {
        world.stock(FIRST, 2).await;
        let account = world.account("5.00").await;
        let sold = world.server.buy(&account, &[]).await.element("PhoneNumber");
        let both = numbers(&[FIRST, SECOND]);
        let refused = inventory::withdraw(&world.db, &world.clock, &both).await.expect_err("one is in use");
        assert!(refused.to_string().contains(&format!("{sold} is in_use")), "{refused}");
        let unknown = numbers(&[FIRST, SECOND, 4_158_675_311]);
        inventory::withdraw(&world.db, &world.clock, &unknown).await.expect_err("one is not in stock");
        let mut now = states(world).await;
        now.sort_by_key(|state| *state != State::Available);
        assert_eq!(now, [State::Available, State::InUse], "nothing was changed");
    });
}

/// Of a stock that it found sold out, PostgreSQL would walk a million new numbers for each purchase.
#[test]
fn the_planner_knows_of_many_numbers_that_were_added() {
    test(async |world| {
        world.stock(FIRST, 30_000).await;
        let known = "select reltuples::bigint from pg_class where relname = 'stock'";
        assert_eq!(world.value::<i64>(known).await, 30_000);
    });
}
