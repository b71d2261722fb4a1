//! What an operator does to money: once, undone once, moved between accounts; also by several operators at once.

use chrono::TimeDelta;
use futures_util::future::{join, join_all};
use numberbank::accounts::Status;
use numberbank::error::Denied;
use numberbank::ledger::{self, Direction, Irreversible, Key, Order, Refused, Repeated};
use numberbank::values::money::Money;
use numberbank::values::sid::AccountSid;
use numberbank::{accounts, billing, releases};

use crate::support::{Account, CLOSING, World, breaches, order, test};

fn sid(account: &Account) -> AccountSid {
    account.sid.parse().expect("a Sid")
}

fn cents(cents: i64) -> Money {
    Money::from_cents(cents)
}

fn key(text: &str) -> Key {
    text.parse().expect("a key")
}

async fn credit(world: &World, order: Order<'_>) -> Result<billing::Credited, Refused> {
    refusal(billing::credit(&world.db, &world.clock, order).await)
}

async fn debit(world: &World, order: Order<'_>) -> Result<ledger::Debited, Refused> {
    refusal(ledger::debit(&world.db, &world.clock, order).await)
}

async fn reverse(world: &World, entry: i64) -> Result<billing::Reversed, Refused> {
    refusal(billing::reverse(&world.db, &world.clock, entry, None).await)
}

async fn transfer(world: &World, order: Order<'_>, to: &Account) -> Result<billing::Transferred, Refused> {
    refusal(billing::transfer(&world.db, &world.clock, order, sid(to)).await)
}

fn refusal<T>(done: Result<T, Denied<Refused>>) -> Result<T, Refused> {
    done.map_err(|denied| match denied {
        Denied::Refused(refused) => refused,
        Denied::Failed(error) => panic!("{error}"),
    })
}

async fn balance(world: &World, account: &Account) -> i64 {
    accounts::find(&world.db, sid(account)).await.expect("an account").balance.cents()
}

/// An account with a number at a dollar a month, which it could not pay: it owes a dollar.
async fn unpaid(world: &World, number: i64) -> Account {
    world.stock(number, 1).await;
    let account = world.account("1.00").await;
    world.server.buy(&account, &[]).await.assert_status(201);
    world.clock.advance(TimeDelta::days(31));
    assert_eq!(world.bill().await.suspended, 1);
    account
}

#[test]
fn a_key_happens_once_and_answers_the_same_again() {
    test(async |world| {
        let (account, other) = (world.account("0.00").await, world.account("0.00").await);
        let (first, second) = (key("invoice-1"), key("invoice-2"));
        let asked = |account, dollars, key| Order { repeated: Repeated::Answers(key), ..order(account, dollars) };
        let credited = credit(world, asked(&account, "25.00", &first)).await.expect("a credit");
        assert_eq!((credited.balance, credited.charged, credited.status), (cents(2500), 0, Status::Active));
        let debited = debit(world, asked(&account, "5.00", &second)).await.expect("a debit");
        world.credit(&account, "100.00").await;
        // For ever, and whatever became of the account.
        world.clock.advance(TimeDelta::days(4000));
        world.close(&account).await;
        assert_eq!(credit(world, asked(&account, "25.00", &first)).await, Ok(credited));
        assert_eq!(debit(world, asked(&account, "5.00", &second)).await, Ok(debited));
        assert_eq!(balance(world, &account).await, 12000);

        // Another sum, note or direction is another order; another account has keys of its own.
        let reused = Refused::KeyReused { account: sid(&account), key: first.clone() };
        assert_eq!(credit(world, asked(&account, "25.01", &first)).await, Err(reused.clone()));
        let noted = Order { note: Some("why"), ..asked(&account, "25.00", &first) };
        assert_eq!(credit(world, noted).await, Err(reused.clone()));
        assert_eq!(debit(world, asked(&account, "25.00", &first)).await, Err(reused.clone()));
        assert_eq!(transfer(world, asked(&account, "25.00", &first), &other).await, Err(reused));
        assert_eq!(credit(world, asked(&other, "25.00", &first)).await.expect("a credit").balance, cents(2500));
        // A refusal uses no key up.
        let third = key("invoice-3");
        assert!(matches!(debit(world, asked(&other, "25.01", &third)).await, Err(Refused::Insufficient { .. })));
        assert_eq!(debit(world, asked(&other, "25.00", &third)).await.expect("a debit").balance, cents(0));
    });
}

#[test]
fn a_balance_above_what_can_be_entered_is_answered_again() {
    test(async |world| {
        let (account, key) = (world.account("1000000000.00").await, key("large"));
        let asked = Order { repeated: Repeated::Answers(&key), ..order(&account, "1000000000.00") };
        let credited = credit(world, asked).await.expect("a credit");
        assert_eq!((credited.balance, credit(world, asked).await), (cents(200_000_000_000), Ok(credited)));
    });
}

#[test]
fn the_same_sum_with_the_same_note_is_refused_for_a_day() {
    test(async |world| {
        let (account, other) = (world.account("100.00").await, world.account("100.00").await);
        let plain = |account| Order { repeated: Repeated::Refused, ..order(account, "25.00") };
        let (at, credited) = (world.clock.now(), credit(world, plain(&account)).await.expect("a credit"));
        world.clock.advance(TimeDelta::hours(23));
        let twin = |direction, entry| {
            Refused::Twin(ledger::Twin { account: sid(&account), direction, amount: cents(2500), to: None, entry, at })
        };
        let refused = twin(Direction::Credit, credited.entry);
        assert_eq!(credit(world, plain(&account)).await, Err(refused.clone()));
        // One with a key was entered too, but what differs in anything is another.
        let key = key("invoice-1");
        let keyed = Order { repeated: Repeated::Answers(&key), note: Some("b"), ..order(&account, "25.00") };
        credit(world, keyed).await.expect("a credit");
        let again = Order { repeated: Repeated::Refused, ..keyed };
        assert!(matches!(credit(world, again).await, Err(Refused::Twin(_))));
        debit(world, plain(&account)).await.expect("a debit");
        credit(world, plain(&other)).await.expect("a credit");
        credit(world, Order { note: Some("a"), ..plain(&account) }).await.expect("a credit");
        credit(world, Order { amount: cents(2501), ..plain(&account) }).await.expect("a credit");
        assert_eq!(credit(world, plain(&account)).await, Err(refused));
        world.clock.advance(TimeDelta::hours(1));
        credit(world, plain(&account)).await.expect("a credit of the next day");
        credit(world, order(&account, "25.00")).await.expect("a credit that may be repeated");
    });
}

#[test]
fn the_same_sum_to_the_same_account_is_refused_for_a_day() {
    test(async |world| {
        let (account, one) = (world.account("100.00").await, world.account("0.00").await);
        let other = world.account("0.00").await;
        let plain = || Order { repeated: Repeated::Refused, ..order(&account, "25.00") };
        debit(world, plain()).await.expect("a debit, which is no transfer");
        let (at, moved) = (world.clock.now(), transfer(world, plain(), &one).await.expect("a transfer"));
        world.clock.advance(TimeDelta::hours(23));
        let refused = Refused::Twin(ledger::Twin {
            account: sid(&account),
            direction: Direction::Debit,
            amount: cents(2500),
            to: Some(sid(&one)),
            entry: moved.from_entry,
            at,
        });
        assert_eq!(transfer(world, plain(), &one).await, Err(refused));
        transfer(world, plain(), &other).await.expect("a transfer to another account");
        world.clock.advance(TimeDelta::hours(1));
        transfer(world, plain(), &one).await.expect("a transfer of the next day");
    });
}

#[test]
fn a_reversal_or_transfer_is_no_twin_and_what_was_undone_is_none() {
    test(async |world| {
        let (account, other) = (world.account("100.00").await, world.account("100.00").await);
        let plain = Order { repeated: Repeated::Refused, ..order(&account, "25.00") };
        let credited = credit(world, plain).await.expect("a credit");
        reverse(world, credited.entry).await.expect("a reversal");
        transfer(world, order(&account, "25.00"), &other).await.expect("a transfer");
        debit(world, plain).await.expect("a debit, whose twins are a reversal and half of a transfer");
        transfer(world, order(&other, "25.00"), &account).await.expect("a transfer");
        credit(world, plain).await.expect("a credit, whose twins were undone or transferred");
        assert!(matches!(credit(world, plain).await, Err(Refused::Twin(_))));
    });
}

#[test]
fn an_entry_is_reversed_once_and_linked() {
    test(async |world| {
        let (account, other) = (world.account("0.00").await, world.account("0.00").await);
        world.credit(&other, "25.00").await;
        let credited = world.credit(&account, "25.00").await;
        let debited = debit(world, order(&account, "5.00")).await.expect("a debit");
        let back = reverse(world, debited.entry).await.expect("a reversal");
        assert_eq!((back.reverses, back.kind, back.amount), (debited.entry, Direction::Credit, cents(500)));
        assert_eq!(back.account.balance, cents(2500));
        let at = world.clock.now();
        world.clock.advance(TimeDelta::days(1));
        let again = Refused::Reversed { entry: debited.entry, by: back.account.entry, at };
        assert_eq!(reverse(world, debited.entry).await, Err(again));
        let undone = reverse(world, credited.entry).await.expect("a reversal");
        assert_eq!((undone.kind, undone.account.balance), (Direction::Debit, cents(0)));
        let links = "select array_agg(reverses order by id) from ledger_entries where reverses is not null";
        assert_eq!(world.value::<Vec<i64>>(links).await, [debited.entry, credited.entry]);
        assert_eq!((balance(world, &account).await, balance(world, &other).await), (0, 2500));
    });
}

#[test]
fn what_no_operator_entered_is_not_reversed() {
    test(async |world| {
        let account = unpaid(world, 4_158_670_000).await;
        world.credit(&account, "5.00").await;
        let other = world.account("0.00").await;
        let moved = transfer(world, order(&account, "1.00"), &other).await.expect("a transfer");
        let credited = world.credit(&account, "1.00").await;
        let back = reverse(world, credited.entry).await.expect("a reversal").account.entry;
        let charged = "select array_agg(id order by id) from ledger_entries where tenancy_sid is not null";
        let charged: Vec<i64> = world.value(charged).await;
        for (entry, what) in [
            (charged[0], Irreversible::Purchase),
            (charged[1], Irreversible::Fee),
            (moved.from_entry, Irreversible::HalfOfTransfer),
            (moved.to_entry, Irreversible::HalfOfTransfer),
            (back, Irreversible::Reversal),
        ] {
            assert_eq!(reverse(world, entry).await, Err(Refused::NotReversible(entry, what)));
        }
        assert_eq!(reverse(world, i64::MAX).await, Err(Refused::NoEntry(i64::MAX)));
    });
}

#[test]
fn what_the_money_paid_for_is_told_where_it_is_gone() {
    test(async |world| {
        world.stock(4_158_670_000, 30).await;
        let (account, other) = (world.account("3.00").await, world.account("50.00").await);
        world.server.buy(&account, &[]).await.assert_status(201);
        world.server.buy(&other, &[]).await.assert_status(201);
        let credited = world.credit(&account, "25.00").await;
        for _ in 0..20 {
            world.server.buy(&account, &[]).await.assert_status(201);
        }
        let undone = debit(world, order(&account, "0.50")).await.expect("a debit");
        reverse(world, undone.entry).await.expect("a reversal");
        let Err(Refused::Spent { entry, missing, charges, more, .. }) = reverse(world, credited.entry).await else {
            panic!("the money is gone")
        };
        // 27.00 less 20.00 are left of the 25.00.
        assert_eq!((entry, missing, charges.len(), more), (credited.entry, cents(1800), 20, 1));
        assert!(charges.iter().all(|charge| charge.amount == cents(100) && charge.phone_number.is_some()));
        world.credit(&account, "18.00").await;
        assert_eq!(reverse(world, credited.entry).await.expect("a reversal").account.balance, cents(0));
    });
}

#[test]
fn money_that_comes_back_or_over_pays_what_is_owed() {
    test(async |world| {
        let (account, other) = (unpaid(world, 4_158_670_000).await, world.account("10.00").await);
        let few = transfer(world, order(&other, "0.40"), &account).await.expect("a transfer");
        assert_eq!((few.owed, few.charged, few.activated), (cents(100), 0, false));
        let moved = transfer(world, order(&other, "1.00"), &account).await.expect("a transfer");
        assert_eq!((moved.charged, moved.paid, moved.to_balance, moved.activated), (1, cents(100), cents(40), true));
        assert_eq!((moved.from_balance, moved.status, moved.owed), (cents(860), Status::Active, cents(0)));
        // All that it has is taken by mistake, it cannot pay, and gets it back.
        world.credit(&account, "1.60").await;
        let taken = debit(world, order(&account, "2.00")).await.expect("a debit");
        world.clock.advance(TimeDelta::days(31));
        assert_eq!(world.bill().await.suspended, 1);
        let back = reverse(world, taken.entry).await.expect("a reversal").account;
        assert_eq!((back.charged, back.paid, back.balance, back.activated), (1, cents(100), cents(100), true));
        let links = "select count(distinct transfer) from ledger_entries where transfer is not null";
        assert_eq!(world.value::<i64>(links).await, 2);
    });
}

#[test]
fn a_transfer_needs_two_accounts_and_the_money() {
    test(async |world| {
        let (account, other) = (world.account("10.00").await, world.account("0.00").await);
        let short = Refused::Insufficient { account: sid(&account), amount: cents(1001) };
        assert_eq!(transfer(world, order(&account, "10.01"), &other).await, Err(short));
        assert_eq!(transfer(world, order(&account, "0.00"), &other).await, Err(Refused::Nothing));
        assert_eq!(transfer(world, order(&account, "1.00"), &account).await, Err(Refused::ToItself(sid(&account))));
        world.close(&other).await;
        assert_eq!(transfer(world, order(&account, "1.00"), &other).await, Err(Refused::NoOpenAccount(sid(&other))));
        assert_eq!((balance(world, &account).await, balance(world, &other).await), (1000, 0));
        let (third, key) = (world.account("0.00").await, key("move"));
        let asked = Order { repeated: Repeated::Answers(&key), ..order(&account, "4.00") };
        let moved = transfer(world, asked, &third).await.expect("a transfer");
        assert_eq!(transfer(world, asked, &third).await, Ok(moved));
        assert!(matches!(transfer(world, asked, &other).await, Err(Refused::KeyReused { .. })));
        assert_eq!((balance(world, &account).await, balance(world, &third).await), (600, 400));
    });
}

// --- Several at once ---

#[test]
fn sixteen_with_one_key_make_one_entry() {
    test(async |world| {
        for round in 0..10 {
            let (account, key) = (world.account("0.00").await, key(&format!("round-{round}")));
            let asked = Order { repeated: Repeated::Answers(&key), ..order(&account, "5.00") };
            let answers = join_all((0..16).map(|_| credit(world, asked))).await;
            assert!(answers.iter().all(|answer| answer.is_ok() && *answer == answers[0]), "{answers:?}");
            assert_eq!(balance(world, &account).await, 500);
        }
    });
}

#[test]
fn sixteen_without_a_key_make_one_entry_too() {
    test(async |world| {
        for _ in 0..10 {
            let account = world.account("0.00").await;
            let asked = Order { repeated: Repeated::Refused, ..order(&account, "5.00") };
            let answers = join_all((0..16).map(|_| credit(world, asked))).await;
            assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
            assert_eq!(balance(world, &account).await, 500);
        }
    });
}

#[test]
fn an_entry_that_several_reverse_at_once_is_reversed_once() {
    test(async |world| {
        let account = world.account("100.00").await;
        for _ in 0..10 {
            let credited = world.credit(&account, "5.00").await;
            let answers = join_all((0..8).map(|_| reverse(world, credited.entry))).await;
            assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
            assert_eq!(balance(world, &account).await, 10000);
        }
    });
}

#[test]
fn money_is_reversed_or_spent_and_never_both() {
    test(async |world| {
        world.stock(4_158_670_000, 40).await;
        let accounts = world.known_accounts(&[&world.server], 20, "0.00").await;
        let (mut spent, mut reversed) = (0, 0);
        for account in &accounts {
            let credited = world.credit(account, "1.00").await;
            let buy = world.server.buy(account, &[]);
            let (bought, undone) = join(buy, reverse(world, credited.entry)).await;
            match undone {
                Ok(_) => bought.assert_refused(402, 29001),
                Err(refused) => {
                    bought.assert_status(201);
                    assert!(matches!(refused, Refused::Spent { missing, more: 0, .. } if missing == cents(100)));
                    spent += 1;
                }
            }
            reversed += i32::from(bought.status == 402);
            assert_eq!(balance(world, account).await, 0);
        }
        assert_eq!(spent + reversed, 20);
    });
}

#[test]
fn transfers_in_both_directions_wait_for_one_another_in_one_order() {
    test(async |world| {
        let (one, two) = (world.account("50.00").await, world.account("50.00").await);
        for _ in 0..10 {
            let there = (0..4).map(|_| transfer(world, order(&one, "1.00"), &two));
            let back = (0..4).map(|_| transfer(world, order(&two, "1.00"), &one));
            let (there, back) = join(join_all(there), join_all(back)).await;
            assert!(there.iter().chain(&back).all(Result::is_ok), "{there:?} {back:?}");
        }
        assert_eq!((balance(world, &one).await, balance(world, &two).await), (5000, 5000));
        // None of them had to be done again.
        let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
        assert_eq!(world.value::<i64>(deadlocks).await, 0);
    });
}

#[test]
fn everything_at_once_adds_up() {
    test(async |world| {
        world.stock(4_158_670_000, 60).await;
        let accounts = world.known_accounts(&[&world.server], 3, "20.00").await;
        for round in 0..8 {
            let entries: Vec<_> =
                futures_util::future::join_all(accounts.iter().map(|it| world.credit(it, "2.00"))).await;
            let work = (0..3).map(|index| {
                let (account, next, entry) = (&accounts[index], &accounts[(index + 1) % 3], entries[index].entry);
                async move {
                    let reversals = join_all((0..2).map(|_| reverse(world, entry)));
                    let transfers = join_all((0..3).map(|_| transfer(world, order(account, "3.00"), next)));
                    let buys = join_all((0..2).map(|_| world.server.buy(account, &[])));
                    let ((reversals, _), _) = join(join(reversals, transfers), buys).await;
                    assert!(reversals.iter().filter(|done| done.is_ok()).count() <= 1);
                }
            });
            let bill = async {
                world.clock.advance(TimeDelta::days(if round % 2 == 0 { 20 } else { 0 }));
                world.bill().await;
            };
            join(join_all(work), bill).await;
            assert_eq!(breaches(&world.db).await, []);
        }
        let sids = accounts.iter().map(sid);
        let closings = sids.map(|sid| releases::close_account(&world.db, &world.clock, sid, CLOSING));
        assert!(join_all(closings).await.iter().all(Result::is_ok));
    });
}
