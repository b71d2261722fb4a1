//! Numbers that an operator sells by name.

use chrono::TimeDelta;
use futures_util::future::join;
use numberbank::accounts::Holder;
use numberbank::error::Denied;
use numberbank::inventory::{self, Retirement, State};
use numberbank::numbers::{self, Settings};
use numberbank::purchases::{self, Assigned, IdempotencyKey, Order, Purchase, PurchaseQueues, Refused, Wanted};
use numberbank::releases;
use numberbank::values::chance::Chance;
use numberbank::values::money::Money;
use numberbank::values::phone::{Kind, PhoneNumber};
use numberbank::values::sid::AccountSid;

use crate::support::{Account, World, test};

const NUMBER: i64 = 4_158_670_007;

fn number(digits: i64) -> PhoneNumber {
    PhoneNumber::new(digits).expect("a number")
}

async fn assign(
    world: &World,
    to: &Account,
    digits: i64,
    cents: Option<i64>,
    settings: Settings,
) -> Result<Assigned, Denied<Refused>> {
    let (sid, price) = (to.sid.parse().expect("a Sid"), cents.map(Money::from_cents));
    purchases::assign(&world.db, &world.clock, &Chance::System, sid, number(digits), price, settings).await
}

async fn assign_plain(world: &World, to: &Account, digits: i64) -> Result<Assigned, Denied<Refused>> {
    assign(world, to, digits, None, Settings::default()).await
}

#[track_caller]
fn assert_refused(done: Result<Assigned, Denied<Refused>>, expected: &Refused) {
    let refused = done.expect_err("a refusal");
    assert!(matches!(&refused, Denied::Refused(reason) if reason == expected), "{refused:?}");
}

#[test]
fn this_very_number_is_sold_as_any_other() {
    test(async |world| {
        world.stock(4_158_670_000, 20).await;
        world.stock(8_005_550_100, 5).await;
        let (account, other) = (world.account("5.00").await, world.account("5.00").await);
        let name = "Desk".parse().expect("a name");
        let settings = Settings { friendly_name: Some(name), ..Settings::default() };
        let sold = assign(world, &account, NUMBER, Some(50), settings).await.expect("it is sold");
        assert_eq!((sold.phone_number, sold.price.cents(), sold.balance.cents()), (number(NUMBER), 50, 450));
        assert_eq!((sold.account_sid.to_string(), sold.started_at), (account.sid.clone(), world.clock.now()));
        let shown = world.server.get(&account, &format!("/IncomingPhoneNumbers/{}", sold.sid)).await;
        let shown = shown.assert_status(200);
        assert_eq!((shown.element("PhoneNumber"), shown.element("FriendlyName")), (NUMBER.to_string(), "Desk".into()));

        // At the account's price unless another is said; free is a price too.
        let sid = Some(other.sid.parse().expect("a Sid"));
        world.set_price(Kind::TollFree, sid, Money::from_cents(175)).await;
        let sold = assign_plain(world, &other, 8_005_550_103).await.expect("it is sold");
        assert_eq!((sold.price.cents(), sold.balance.cents()), (175, 325));
        let free = assign(world, &other, 8_005_550_104, Some(0), Settings::default()).await.expect("it is sold");
        assert_eq!((free.price.cents(), free.balance.cents()), (0, 325));
        assert_eq!(world.server.balance(&account).await, "4.50");
        world.clock.advance(TimeDelta::days(31));
        assert_eq!(world.bill().await.charged, 3);
        assert_eq!(
            (world.server.balance(&account).await, world.server.balance(&other).await),
            ("4.00".into(), "1.50".into())
        );
    });
}

/// As later versions of the API will buy.
#[test]
fn a_number_that_is_named_is_bought_once_with_a_key() {
    test(async |world| {
        world.stock(4_158_670_000, 10).await;
        let (account, queues) = (world.account("5.00").await, PurchaseQueues::new(1, 8));
        let sid: AccountSid = account.sid.parse().expect("a Sid");
        let buy = async |digits: i64, request: u8| {
            let key = Some(IdempotencyKey { text: "once".to_owned(), request: vec![request] });
            let wanted = Wanted::This { number: number(digits), price: None };
            let order = Order { wanted, settings: Settings::default(), key };
            purchases::buy(&queues, &world.db, &world.clock, &Chance::System, Holder::main(sid), order.into()).await
        };
        let (one, two) = join(buy(NUMBER, 1), buy(NUMBER, 1)).await;
        let (one, two) = (one.expect("a purchase"), two.expect("a purchase"));
        let made = |purchase: &Purchase| matches!(purchase, Purchase::Made(_));
        assert_eq!([made(&one), made(&two)].iter().filter(|made| **made).count(), 1, "{one:?} {two:?}");
        let sid = |purchase: Purchase| match purchase {
            Purchase::Made(number) | Purchase::Replayed(number) => number.sid,
        };
        assert_eq!(sid(one), sid(two));
        let other = buy(NUMBER + 1, 2).await;
        assert!(matches!(other, Err(Denied::Refused(Refused::KeyReused))), "{other:?}");
        assert_eq!(world.server.balance(&account).await, "4.00");
    });
}

#[test]
fn what_is_not_on_sale_is_refused_with_its_state() {
    test(async |world| {
        world.stock(4_158_670_000, 10).await;
        let account = world.account("5.00").await;
        let not_on_sale = |state| Refused::NotOnSale(numbers::Refused::NotOnSale(number(NUMBER), state));
        assign_plain(world, &account, NUMBER).await.expect("it is sold");
        assert_refused(assign_plain(world, &account, NUMBER).await, &not_on_sale(State::InUse));
        releases::release_by_operator(&world.db, &world.clock, number(NUMBER), None, None).await.expect("a release");
        assert_refused(assign_plain(world, &account, NUMBER).await, &not_on_sale(State::Quarantined));
        let one = [number(NUMBER)];
        inventory::withdraw(&world.db, &world.clock, &one, None).await.expect("a withdrawal");
        assert_refused(assign_plain(world, &account, NUMBER).await, &not_on_sale(State::Withdrawn));
        inventory::retire(&world.db, &world.clock, &one, Retirement::Mistake, None).await.expect("a retirement");
        assert_refused(assign_plain(world, &account, NUMBER).await, &not_on_sale(State::Retired));
        let unknown = Refused::NotOnSale(numbers::Refused::NotInStock(number(2_128_670_000)));
        assert_refused(assign_plain(world, &account, 2_128_670_000).await, &unknown);
        assert_eq!(world.server.balance(&account).await, "4.00");
    });
}

#[test]
fn an_account_that_cannot_buy_gets_no_number_from_the_operator_either() {
    test(async |world| {
        world.stock(4_158_670_000, 10).await;
        let account = world.account("0.99").await;
        let (balance, price) = (Money::from_cents(99), Money::from_cents(100));
        assert_refused(
            assign_plain(world, &account, NUMBER).await,
            &Refused::Insufficient { balance, price, is_owners: false },
        );
        let price = Money::from_cents(500);
        let dear = assign(world, &account, NUMBER, Some(500), Settings::default()).await;
        assert_refused(dear, &Refused::Insufficient { balance, price, is_owners: false });
        world.suspend(&account).await;
        assert_refused(assign_plain(world, &account, NUMBER).await, &Refused::Suspended);
        world.close(&account).await;
        assert_refused(assign_plain(world, &account, NUMBER).await, &Refused::AccountGone);
        assert_eq!(world.value::<i64>("select count(*) from stock where state <> 'available'").await, 0);
    });
}
