//! Many requests at once: no number is sold twice, and no purchase is refused while a number is free.

use std::collections::HashSet;

use futures_util::future::{join, join_all, try_join_all};
use numberbank::error::Denied;
use numberbank::inventory::{self, Changed};
use numberbank::values::phone::PhoneNumber;

use crate::support::{Account, Answer, Server, World, eventually, test};

const ANYWHERE: &[(&str, &str)] = &[];
const IN_415: &[(&str, &str)] = &[("AreaCode", "415")];

/// Splits answers into the numbers that were bought and the refusals.
fn sold(answers: &[Answer]) -> (Vec<String>, Vec<&Answer>) {
    let (bought, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    (bought.iter().map(|answer| answer.element("PhoneNumber")).collect(), refused)
}

fn distinct(numbers: &[String]) -> usize {
    numbers.iter().collect::<HashSet<_>>().len()
}

async fn ten_numbers_for_sixty_four(world: &World, form: &[(&str, &str)]) {
    let servers = [&world.server, &world.another_server()];
    let accounts = world.known_accounts(&servers, 64, "5.00").await;
    world.stock(4_158_670_000, 10).await;
    let buyers = accounts.iter().zip(servers.iter().cycle()).map(|(account, server)| server.buy(account, form));
    let answers = join_all(buyers).await;
    let (numbers, refused) = sold(&answers);
    refused.iter().for_each(|answer| answer.assert_refused(400, 21452));
    assert_eq!((numbers.len(), distinct(&numbers), refused.len()), (10, 10, 54));
    for (account, answer) in accounts.iter().zip(&answers) {
        let left = if answer.status == 201 { "4.00" } else { "5.00" };
        assert_eq!(world.server.balance(account).await, left);
    }
    servers[1].stop().await;
}

#[test]
fn ten_numbers_of_an_area_code_go_to_ten_of_sixty_four_buyers() {
    test(async |world| ten_numbers_for_sixty_four(world, IN_415).await);
}

#[test]
fn ten_numbers_anywhere_go_to_ten_of_sixty_four_buyers() {
    test(async |world| ten_numbers_for_sixty_four(world, ANYWHERE).await);
}

#[test]
fn money_for_ten_numbers_buys_ten_of_them() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let account = &world.known_accounts(&servers, 1, "10.00").await[0];
        let other = world.account("10.00").await;
        world.stock(4_158_670_000, 100).await;
        let buyers = servers.iter().cycle().take(64).map(|server| server.buy(account, IN_415));
        let answers = join_all(buyers).await;
        let (numbers, refused) = sold(&answers);
        refused.iter().for_each(|answer| answer.assert_refused(402, 29001));
        assert_eq!((numbers.len(), distinct(&numbers), refused.len()), (10, 10, 54));
        assert_eq!(world.server.balance(account).await, "0.00");
        assert_eq!(world.server.balance(&other).await, "10.00");
        servers[1].stop().await;
    });
}

#[test]
fn sixteen_with_one_key_make_one_purchase() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let account = &world.known_accounts(&servers, 1, "50.00").await[0];
        world.stock(4_158_670_000, 50).await;
        let buyers = servers.iter().cycle().take(16).map(|server| server.buy_once(account, "once", IN_415));
        let answers = join_all(buyers).await;
        for answer in &answers {
            assert_eq!(answer.assert_status(201).body, answers[0].body);
        }
        let replayed = answers.iter().filter(|answer| answer.header("Idempotent-Replayed") == "true");
        assert_eq!(replayed.count(), 15);
        assert_eq!(world.server.balance(account).await, "49.00");
        servers[1].stop().await;
    });
}

#[test]
fn of_two_requests_with_one_key_one_is_made() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let account = &world.known_accounts(&servers, 1, "50.00").await[0];
        world.stock(4_158_670_000, 50).await;
        let requests = [[("FriendlyName", "First")], [("FriendlyName", "Second")]];
        let buyers = (0..16).map(|n| servers[n / 2 % 2].buy_once(account, "once", &requests[n % 2]));
        let answers = join_all(buyers).await;
        let (numbers, refused) = sold(&answers);
        refused.iter().for_each(|answer| answer.assert_refused(409, 29005));
        assert_eq!((numbers.len(), distinct(&numbers), refused.len()), (8, 1, 8));
        let replayed = answers.iter().filter(|answer| answer.header("Idempotent-Replayed") == "true");
        assert_eq!(replayed.count(), 7);
        assert_eq!(world.server.balance(account).await, "49.00");
        servers[1].stop().await;
    });
}

#[test]
fn of_two_releases_at_once_one_finds_the_number() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let account = &world.known_accounts(&servers, 1, "50.00").await[0];
        world.stock(4_158_670_000, 20).await;
        for _ in 0..10 {
            let sid = world.server.buy(account, IN_415).await.assert_status(201).element("Sid");
            world.server.buy(account, IN_415).await.assert_status(201);
            let (one, two) = join(servers[0].release(account, &sid), servers[1].release(account, &sid)).await;
            let (gone, missed) = if one.status == 204 { (one, two) } else { (two, one) };
            assert_eq!(gone.assert_status(204).body, "");
            missed.assert_refused(404, 20404);
        }
        let list = world.server.get(account, "/IncomingPhoneNumbers").await;
        assert_eq!(list.attribute("total"), "10");
        servers[1].stop().await;
    });
}

/// Buys and releases in turn; returns the number of purchases.
async fn trade(server: &Server, account: &Account, forms: [&[(&str, &str)]; 2]) -> usize {
    let mut bought = 0;
    for round in 0..12 {
        let answer = server.buy(account, forms[round % 2]).await;
        if answer.status != 201 {
            answer.assert_refused(400, 21452);
            continue;
        }
        bought += 1;
        if round % 3 == 0 {
            server.release(account, &answer.element("Sid")).await.assert_status(204);
        }
    }
    bought
}

/// Takes numbers out of sale and puts them back; those in use are refused.
async fn withdraw_and_return(world: &World, first: i64) {
    for round in 0..20 {
        let number = |at: i64| PhoneNumber::new(first + at % 20).expect("a number");
        // Not in the order of their digits: the statement has to sort them.
        let numbers = [number(round * 7 + 3), number(round * 7)];
        let Some(()) = unless_refused(inventory::withdraw(&world.db, &world.clock, &numbers, None).await) else {
            continue;
        };
        inventory::put_back(&world.db, &world.clock, &numbers, false).await.expect("withdrawn numbers can be put back");
    }
}

fn unless_refused(result: Result<Changed, Denied<inventory::Refused>>) -> Option<()> {
    match result {
        Ok(_) => Some(()),
        Err(Denied::Refused(inventory::Refused::CannotWithdraw(..))) => None,
        Err(error) => panic!("{error}"),
    }
}

async fn credit(world: &World, accounts: &[Account]) {
    for account in accounts.iter().cycle().take(40) {
        world.credit(account, "0.01").await;
    }
}

#[test]
fn buyers_releasers_and_operators_do_not_get_in_each_others_way() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let accounts = world.known_accounts(&servers, 8, "100.00").await;
        world.stock(4_158_670_000, 20).await;
        world.stock(2_128_670_000, 20).await;
        let traders = accounts.iter().enumerate().map(|(n, account)| {
            let forms = if n % 3 == 0 { [IN_415, ANYWHERE] } else { [ANYWHERE, IN_415] };
            trade(servers[n % 2], account, forms)
        });
        let operators = join(withdraw_and_return(world, 4_158_670_000), withdraw_and_return(world, 2_128_670_000));
        let ((bought, _), ()) = join(join(join_all(traders), operators), credit(world, &accounts)).await;
        // All other numbers are on sale again: no number is lost.
        let mut sold = bought.iter().sum::<usize>();
        while world.server.buy(&accounts[0], ANYWHERE).await.status == 201 {
            sold += 1;
        }
        // A released number may be on sale again through the operators, and sold again.
        assert_eq!(world.value::<i64>("select count(*) from tenancies").await, i64::try_from(sold).expect("a count"));
        let idle = "select count(*) from stock where state not in ('in_use', 'quarantined')";
        assert_eq!((world.value::<i64>(idle).await, sold >= 40), (0, true));
        servers[1].stop().await;
    });
}

/// Another transaction has locked the only number, and releases it while this one waits.
async fn let_go_while_a_buyer_waits(world: &World, form: &[(&str, &str)]) {
    let account = world.account("5.00").await;
    world.server.get(&account, "").await.assert_status(200);
    world.stock(4_158_670_000, 1).await;
    let mut holder = world.db.begin().await.expect("a transaction");
    sqlx::query("select from stock for update").execute(&mut *holder).await.expect("the number is locked");
    let let_go = async {
        eventually("the buyer waits for the number", async || world.waiting().await > 0).await;
        holder.rollback().await.expect("the number is let go");
    };
    let (answer, ()) = join(world.server.buy(&account, form), let_go).await;
    assert_eq!(answer.assert_status(201).element("PhoneNumber"), "4158670000");
}

#[test]
fn a_number_that_another_lets_go_is_sold_by_area_code() {
    test(async |world| let_go_while_a_buyer_waits(world, IN_415).await);
}

#[test]
fn a_number_that_another_lets_go_is_sold_anywhere() {
    test(async |world| let_go_while_a_buyer_waits(world, ANYWHERE).await);
}

/// Both tries, on two instances, wait for the account. The second one then finds what the first one has bought.
#[test]
fn a_retry_that_waits_for_its_own_first_try_gets_that_ones_answer() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let account = &world.known_accounts(&servers, 1, "5.00").await[0];
        world.stock(4_158_670_000, 1).await;
        let mut holder = world.db.begin().await.expect("a transaction");
        sqlx::query("select from accounts for update").execute(&mut *holder).await.expect("the account is locked");
        let let_go = async {
            eventually("both tries wait", async || world.waiting().await == 2).await;
            holder.rollback().await.expect("the account is let go");
        };
        let tries = join_all(servers.map(|server| server.buy_once(account, "once", IN_415)));
        let (answers, ()) = join(tries, let_go).await;
        assert_eq!(answers[0].assert_status(201).body, answers[1].assert_status(201).body);
        assert_eq!(world.server.balance(account).await, "4.00");
    });
}

#[test]
fn buyers_pass_over_a_number_that_another_is_about_to_take() {
    test(async |world| {
        let account = world.account("5.00").await;
        world.stock(4_158_670_000, 3).await;
        let mut holder = world.db.begin().await.expect("a transaction");
        let lock = "select from stock where phone_number = 4158670001 for update";
        sqlx::query(lock).execute(&mut *holder).await.expect("the number is locked");
        let answers = [world.server.buy(&account, IN_415).await, world.server.buy(&account, ANYWHERE).await];
        let (mut numbers, _) = sold(&answers);
        numbers.sort();
        assert_eq!(numbers, ["4158670000", "4158670002"]);
        holder.rollback().await.expect("the number is let go");
    });
}

#[test]
fn stock_that_several_add_at_once_is_added_once() {
    test(async |world| {
        let ranges = [[4_158_670_000..=4_158_670_999], [4_158_670_500..=4_158_671_499]];
        let adding = ranges.iter().cycle().take(6).map(|range| inventory::add(&world.db, &world.clock, range, |_| {}));
        let added = try_join_all(adding).await.expect("stock is added");
        assert_eq!(added.iter().map(|added| added.added).sum::<u64>(), 1500);
        assert_eq!(world.value::<i64>("select count(*) from stock").await, 1500);
    });
}

/// All purchases search the same numbers and keep each one locked until they are done. In different orders they would
/// wait for one another, and PostgreSQL would end them one by one.
#[test]
fn buyers_who_wait_for_the_same_numbers_do_not_block_each_other() {
    test(async |world| {
        // More purchases would not fit into one lane.
        let servers = [&world.server, &world.another_server()];
        let accounts = world.known_accounts(&servers, 8, "5.00").await;
        world.stock(4_158_670_000, 8).await;
        let mut holder = world.db.begin().await.expect("a transaction");
        let take = "update stock set state = 'withdrawn', moved_by = 'withdraw'";
        sqlx::query(take).execute(&mut *holder).await.expect("all are locked");
        let commit = async {
            eventually("many buyers wait", async || world.waiting().await >= 6).await;
            holder.commit().await.expect("all are withdrawn");
        };
        let sides = servers.into_iter().cycle().zip(&accounts);
        let buyers = join_all(sides.map(|(server, account)| server.buy(account, IN_415)));
        let (answers, ()) = join(buyers, commit).await;
        answers.iter().for_each(|answer| answer.assert_refused(400, 21452));
    });
}

#[test]
fn buyers_who_wait_for_a_busy_account_leave_connections_to_others() {
    test(async |world| {
        let accounts = world.known_accounts(&[&world.server], 2, "90.00").await;
        let [busy, other] = &accounts[..] else { panic!("two accounts") };
        world.stock(4_158_670_000, 100).await;
        let mut holder = world.db.begin().await.expect("a transaction");
        let lock = "select from accounts where sid = $1::text::uuid for update";
        sqlx::query(lock).bind(&busy.sid[2..]).execute(&mut *holder).await.expect("the account is locked");
        let others = async {
            eventually("buyers wait", async || world.waiting().await > 0).await;
            for _ in 0..5 {
                world.server.buy(other, IN_415).await.assert_status(201);
                world.server.get(other, "/IncomingPhoneNumbers").await.assert_status(200);
            }
            holder.rollback().await.expect("the account is let go");
        };
        let buyers = join_all((0..40).map(|_| world.server.buy(busy, IN_415)));
        let (answers, ()) = join(buyers, others).await;
        // On a slow machine some get a 503.
        assert!(answers.iter().all(|answer| [201, 503].contains(&answer.status)));
        let transactions = "select count(distinct xmin::text) from tenancies where account_sid = $1::text::uuid";
        let transactions = sqlx::query_scalar::<_, i64>(transactions).bind(&busy.sid[2..]).fetch_one(&world.db).await;
        assert!(transactions.expect("a count") < 10, "those who waited bought together");
    });
}
