//! Prices of the next sale, and who changed them when.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use numberbank::error::Denied;
use numberbank::inventory::{self, Price, PriceChange, Priced, Refused};
use numberbank::values::money::Money;
use numberbank::values::phone::Kind;
use numberbank::values::sid::AccountSid;

use crate::support::{World, taken, test};

fn cents(cents: i64) -> Money {
    Money::from_cents(cents)
}

async fn unset(world: &World, kind: Kind, account: AccountSid) -> Result<Priced, Denied<Refused>> {
    inventory::unset_price(&world.db, &world.clock, "ann", kind, account).await
}

async fn latest(world: &World, account: Option<AccountSid>, limit: u32) -> Vec<PriceChange> {
    let mut changes = Vec::new();
    inventory::price_changes(&world.db, account, limit, taken(&mut changes)).await.expect("changes");
    changes
}

async fn changes(world: &World, account: Option<AccountSid>) -> Vec<PriceChange> {
    latest(world, account, 1000).await
}

/// What a change says, but for its id.
type Told = (DateTime<Utc>, Kind, Option<AccountSid>, Option<Money>, Option<String>);

fn told(change: PriceChange) -> Told {
    (change.at, change.kind, change.account_sid, change.price, change.operator)
}

#[test]
fn each_change_of_a_price_is_recorded_with_who_made_it_and_when() {
    test(async |world| {
        let [one, two] =
            [world.account("9.00").await, world.account("9.00").await].map(|it| it.sid.parse().expect("a Sid"));
        let before = changes(world, None).await.len();
        let set = async |operator: &str, kind, account, price| {
            world.clock.advance(TimeDelta::hours(1));
            let set = inventory::set_price(&world.db, &world.clock, operator, kind, account, cents(price)).await;
            set.expect("a price").changed
        };
        let begun = world.clock.now();
        assert!(set("ann", Kind::Local, None, 115).await);
        assert!(set("bob", Kind::Local, Some(one), 50).await);
        assert!(set("bob", Kind::Local, Some(two), 60).await);
        // The same again is no change.
        assert!(!set("cid", Kind::Local, None, 115).await && !set("cid", Kind::Local, Some(one), 50).await);
        assert!(set("cid", Kind::Local, Some(one), 0).await);
        world.clock.advance(TimeDelta::hours(1));
        let general = Price { kind: Kind::Local, account_sid: Some(one), price: cents(115) };
        assert_eq!(unset(world, Kind::Local, one).await.expect("unset"), Priced { price: general, changed: true });
        assert_eq!(unset(world, Kind::Local, one).await.expect("unset"), Priced { price: general, changed: false });

        let at = |hours| begun + TimeDelta::hours(hours);
        let by = |name: &str| Some(name.to_owned());
        let of_one = [
            (at(7), Kind::Local, Some(one), None, by("ann")),
            (at(6), Kind::Local, Some(one), Some(cents(0)), by("cid")),
            (at(2), Kind::Local, Some(one), Some(cents(50)), by("bob")),
        ];
        let shown: Vec<_> = changes(world, Some(one)).await.into_iter().map(told).collect();
        assert_eq!(shown, of_one);
        let all = changes(world, None).await;
        assert_eq!(all.len(), before + 5);
        assert_eq!(told(all[4].clone()), (at(1), Kind::Local, None, Some(cents(115)), by("ann")));
        let latest = latest(world, None, 1).await;
        assert_eq!(latest, all[..1]);
    });
}

#[test]
fn an_account_pays_its_own_price_until_that_is_taken_away() {
    test(async |world| {
        world.stock(4_158_670_000, 3).await;
        let (account, other) = (world.account("9.00").await, world.account("9.00").await);
        let [one, two]: [AccountSid; 2] = [&account, &other].map(|it| it.sid.parse().expect("a Sid"));
        world.set_price(Kind::Local, Some(one), cents(50)).await;
        world.set_price(Kind::Local, Some(two), cents(60)).await;
        let of = async |account| {
            let prices = world.prices(Some(account)).await;
            prices.iter().map(|price| (price.account_sid, price.price.cents())).collect::<Vec<_>>()
        };
        assert_eq!(of(one).await, [(Some(one), 50), (None, 200)]);
        assert_eq!(world.prices(None).await.len(), 4);
        world.server.buy(&account, &[]).await.assert_status(201);
        unset(world, Kind::Local, one).await.expect("unset");
        assert_eq!(
            (of(one).await, of(two).await),
            (vec![(None, 100), (None, 200)], vec![(Some(two), 60), (None, 200)])
        );
        world.server.buy(&account, &[]).await.assert_status(201);
        world.server.buy(&other, &[]).await.assert_status(201);
        assert_eq!(
            (world.server.balance(&account).await, world.server.balance(&other).await),
            ("7.50".into(), "8.40".into())
        );
        let nobody = AccountSid::random();
        let refused = unset(world, Kind::Local, nobody).await;
        assert!(matches!(refused, Err(Denied::Refused(Refused::NoAccount(sid))) if sid == nobody));
    });
}

#[test]
fn the_history_ends_in_the_price_in_force_whoever_sets_it_at_once() {
    test(async |world| {
        let account = world.account("0.00").await.sid.parse().expect("a Sid");
        for round in 0..5 {
            join_all((0..16).map(|index| async move {
                match index % 4 {
                    0 => drop(unset(world, Kind::Local, account).await.expect("unset")),
                    1 => drop(world.set_price(Kind::Local, None, cents(round + index)).await),
                    _ => drop(world.set_price(Kind::Local, Some(account), cents(round + index % 3)).await),
                }
            }))
            .await;
            for account in [None, Some(account)] {
                let all = changes(world, None).await.into_iter();
                let its: Vec<_> = all.filter(|it| it.account_sid == account && it.kind == Kind::Local).collect();
                let price = world.prices(None).await.into_iter();
                let mut price = price.filter(|it| it.account_sid == account && it.kind == Kind::Local);
                assert_eq!(its.first().and_then(|last| last.price), price.next().map(|it| it.price));
                assert!(its.windows(2).all(|pair| pair[0].price != pair[1].price), "{its:?}");
            }
        }
    });
}
