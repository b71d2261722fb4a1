//! Families at work at once: one balance, many who spend it, and owners and operators who change who may.

use std::cell::Cell;

use chrono::TimeDelta;
use futures_util::future::{join, join_all, join4};
use numberbank::accounts::families::MOST_SUB_ACCOUNTS;
use numberbank::accounts::{self, Refused, Status};
use numberbank::error::Denied;
use numberbank::releases::{self, Closed};
use numberbank::values::sid::AccountSid;
use numberbank::{billing, ledger};

use crate::support::{Account, Answer, CLOSING, Server, World, eventually, order, test};

const NUMBERS: i64 = 4_158_670_000;
const IN_415: &[(&str, &str)] = &[("AreaCode", "415")];
const ROUNDS: usize = 20;

fn sid(account: &Account) -> AccountSid {
    account.sid.parse().expect("a Sid")
}

/// An owner with this balance and its sub-accounts, whose tokens both servers know.
async fn family(world: &World, servers: &[&Server], balance: &str, count: usize) -> (Account, Vec<Account>) {
    let owner = world.known_accounts(servers, 1, balance).await.remove(0);
    let mut children = Vec::new();
    for _ in 0..count {
        children.push(world.child(&owner).await);
        for server in servers {
            server.get(&children[children.len() - 1], "").await.assert_status(200);
        }
    }
    (owner, children)
}

async fn buy(server: &Server, by: &Account, on: &Account) -> Answer {
    server.act(by, on, "POST", "/IncomingPhoneNumbers", IN_415).await
}

async fn set_status(server: &Server, owner: &Account, child: &Account, status: &str) -> Answer {
    server.act(owner, child, "POST", "", &[("Status", status)]).await
}

async fn close(world: &World, account: &Account) -> Result<Closed, Denied<Refused>> {
    releases::close_account(&world.db, &world.clock, sid(account), CLOSING).await
}

#[test]
fn money_for_ten_numbers_buys_a_family_ten_of_them() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let (owner, children) = family(world, &servers, "10.00", 16).await;
        let (other, _) = family(world, &servers, "10.00", 1).await;
        world.stock(NUMBERS, 100).await;
        // Each buys by its own credentials, and is bought for by its owner.
        let buyers = children.iter().enumerate().flat_map(|(at, child)| {
            [(servers[at % 2], child, child), (servers[(at + 1) % 2], &owner, child), (servers[at % 2], &owner, &owner)]
        });
        let answers = join_all(buyers.map(|(server, by, on)| buy(server, by, on))).await;
        let (bought, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
        refused.iter().for_each(|answer| answer.assert_refused(402, 29001));
        assert_eq!((bought.len(), refused.len()), (10, 38));
        assert_eq!(
            (world.server.balance(&owner).await, world.server.balance(&other).await),
            ("0.00".into(), "10.00".into())
        );
        servers[1].stop().await;
    });
}

/// What buyers and those who change their accounts have met.
#[derive(Default)]
struct Tally {
    bought: Cell<i64>,
    refused: Cell<i64>,
    over: Cell<bool>,
}

/// Buys and releases as a sub-account, in turn by its own credentials and by its owner's.
async fn trade(server: &Server, owner: &Account, child: &Account, tally: &Tally) {
    for round in 0..ROUNDS {
        let by = [child, owner][round % 2];
        let answer = buy(server, by, child).await;
        match answer.status {
            201 => tally.bought.set(tally.bought.get() + 1),
            // Suspended or closed just then; or its owner has no money left.
            401..=403 => {
                tally.refused.set(tally.refused.get() + 1);
                continue;
            }
            _ => panic!("{}", answer.body),
        }
        if round % 3 > 0 {
            let below = format!("/IncomingPhoneNumbers/{}", answer.element("Sid"));
            let released = server.act(by, child, "DELETE", &below, &[]).await;
            // It may have been closed, and its numbers released with it.
            assert!([204, 401, 404].contains(&released.status), "{}", released.body);
        }
    }
}

/// Changes who may buy, again and again, until the buyers are done.
async fn until_over(tally: &Tally, mut change: impl AsyncFnMut(usize)) {
    let mut round = 0;
    while !tally.over.get() {
        change(round).await;
        round += 1;
        tokio::task::yield_now().await;
    }
}

async fn suspend_in_turn(world: &World, account: &Account, round: usize) {
    let changed = match round % 4 {
        0 => accounts::suspend(&world.db, &world.clock, sid(account), None).await,
        1 => accounts::activate(&world.db, &world.clock, sid(account), None).await,
        _ => return tokio::time::sleep(std::time::Duration::from_millis(10)).await,
    };
    changed.expect("its status is changed");
}

#[test]
fn a_family_buys_while_its_members_are_suspended_closed_and_billed() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let (owner, children) = family(world, &servers, "300.00", 6).await;
        world.stock(NUMBERS, 300).await;
        for child in &children {
            buy(&world.server, child, child).await.assert_status(201);
        }
        let tally = Tally::default();
        let buyers = async {
            let buyers = children
                .iter()
                .enumerate()
                .flat_map(|(at, child)| [(servers[at % 2], child), (servers[1 - at % 2], child)]);
            join_all(buyers.map(|(server, child)| trade(server, &owner, child, &tally))).await;
            tally.over.set(true);
        };
        let by_operator = until_over(&tally, async |round| suspend_in_turn(world, &owner, round).await);
        let by_owner = until_over(&tally, async |round| {
            let status = ["suspended", "active"][round % 2];
            // Its owner may be suspended itself.
            let set = set_status(servers[round % 2], &owner, &children[0], status).await;
            assert!([200, 400].contains(&set.status), "{}", set.body);
        });
        let billed = until_over(&tally, async |round| {
            world.clock.advance(TimeDelta::days(3));
            world.bill().await;
            if round == 2 {
                close(world, &children[5]).await.expect("it is closed");
            }
        });
        join4(buyers, by_operator, by_owner, billed).await;
        assert!(tally.bought.get() > 0 && tally.refused.get() > 0, "{:?}", (tally.bought, tally.refused));
        assert_eq!(world.value::<i64>("select count(*) from tenancies").await, tally.bought.get() + 6);
        let closed = accounts::find(&world.db, sid(&children[5])).await.expect("an account");
        assert_eq!((closed.status, closed.local_numbers), (Status::Closed, 0));
        servers[1].stop().await;
    });
}

/// In opposite directions, and beside purchases and releases of the same accounts.
#[test]
fn numbers_that_change_places_in_a_family_do_not_block_each_other() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let (owner, children) = family(world, &servers, "300.00", 2).await;
        world.stock(NUMBERS, 200).await;
        let owner = &owner;
        let all = [owner, &children[0], &children[1]];
        let mut held = Vec::new();
        for (at, on) in all.iter().cycle().take(6).enumerate() {
            held.push((at % 3, buy(&world.server, owner, on).await.assert_status(201).element("Sid")));
        }
        for round in 0..ROUNDS {
            let moves = held.iter().map(|(at, sid)| {
                let (from, to) = (all[(at + round) % 3], all[(at + round + 1) % 3]);
                let below = format!("/IncomingPhoneNumbers/{sid}");
                async move { servers[at % 2].act(owner, from, "POST", &below, &[("AccountSid", &to.sid)]).await }
            });
            let trades = children.iter().zip(servers).map(|(child, server)| async move {
                let bought = buy(server, child, child).await.assert_status(201).element("Sid");
                let below = format!("/IncomingPhoneNumbers/{bought}");
                server.act(child, child, "DELETE", &below, &[]).await.assert_status(204);
            });
            let (moved, _) = join(join_all(moves), join_all(trades)).await;
            for answer in &moved {
                answer.assert_status(200);
            }
        }
        let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
        assert_eq!(world.value::<i64>(deadlocks).await, 0);
        servers[1].stop().await;
    });
}

#[test]
fn of_four_requests_for_the_last_sub_account_one_is_granted() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let (owner, _) = family(world, &servers, "0.00", 0).await;
        let fill = "with more as (
                insert into accounts (sid, owner_sid, name, credential, token_digest, created_at, updated_at)
                select gen_random_uuid(), sid, 'Child', gen_random_uuid(), sha256(sid::text::bytea), created_at, updated_at
                from accounts, generate_series(2, $1) where owner_sid is null
            )
            update accounts set sub_accounts = $1 - 1";
        sqlx::query(fill).bind(MOST_SUB_ACCOUNTS).execute(&world.db).await.expect("all but one");
        let create = |server: &Server| {
            let call = server.request("POST", "/2010-04-01/Accounts").basic_auth(&owner.sid, Some(&owner.token));
            Answer::of(call)
        };
        let answers = join_all(servers.iter().cycle().take(4).map(|server| create(server))).await;
        let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
        refused.iter().for_each(|answer| answer.assert_refused(400, 21480));
        assert_eq!((made.len(), refused.len()), (1, 3));
        servers[1].stop().await;
    });
}

#[test]
fn an_owner_is_closed_or_gets_one_more_sub_account() {
    test(async |world| {
        let mut closed = 0;
        for round in 0..ROUNDS {
            let owner = world.known_accounts(&[&world.server], 1, "0.00").await.remove(0);
            let call = world.server.request("POST", "/2010-04-01/Accounts").basic_auth(&owner.sid, Some(&owner.token));
            let create = async {
                // A little later each time, so that both orders are met.
                tokio::time::sleep(std::time::Duration::from_micros(150 * round as u64)).await;
                Answer::of(call).await
            };
            match join(create, close(world, &owner)).await {
                (made, Err(Denied::Refused(Refused::OwnsAccounts { sub_accounts: 1, .. }))) => {
                    made.assert_status(201);
                }
                (refused, Ok(_)) => {
                    assert!([401, 403].contains(&refused.status), "{}", refused.body);
                    closed += 1;
                }
                (made, Err(error)) => panic!("{error}; {}", made.body),
            }
        }
        let open =
            world.value::<i64>("select count(*) from accounts where closed_at is null and owner_sid is null").await;
        assert_eq!(open + closed, ROUNDS as i64);
    });
}

/// Its statement begins while the last sub-account is open, and waits until that one is closed.
#[test]
fn an_owner_is_closed_right_after_its_last_sub_account() {
    test(async |world| {
        let (owner, children) = family(world, &[&world.server], "0.00", 1).await;
        let mut first = world.db.begin().await.expect("a transaction");
        let last = accounts::close(&mut first, &world.clock, sid(&children[0]), None, CLOSING.said).await;
        last.expect("the sub-account is closed");
        let commit = async {
            eventually("the second closing waits", async || world.waiting().await == 1).await;
            first.commit().await.expect("a commit");
        };
        let (closed, ()) = join(close(world, &owner), commit).await;
        assert_eq!(closed.expect("it is closed").account.status, Status::Closed);
    });
}

/// Whichever of them has the lower Sid, an owner is locked before its sub-account.
#[test]
fn money_that_is_moved_to_a_sub_account_is_refused_and_blocks_nobody() {
    test(async |world| {
        let owner = world.account("5.00").await;
        let mut child = world.child(&owner).await;
        while child.sid > owner.sid {
            child = world.child(&owner).await;
        }
        let mut first = world.db.begin().await.expect("a transaction");
        let lock = "select from accounts where sid = $1::text::uuid for update nowait";
        sqlx::query(lock).bind(&owner.sid[2..]).execute(&mut *first).await.expect("the owner is locked");
        let then = async {
            eventually("the transfer waits", async || world.waiting().await == 1).await;
            let locked = sqlx::query(lock).bind(&child.sid[2..]).execute(&mut *first).await;
            first.rollback().await.expect("both are let go");
            locked.expect("the sub-account is free");
        };
        let transfer = billing::transfer(&world.db, &world.clock, order(&owner, "1.00"), sid(&child));
        let (moved, ()) = join(transfer, then).await;
        assert!(
            matches!(moved, Err(Denied::Refused(ledger::Refused::PaidByOwner(to))) if to == sid(&child)),
            "{moved:?}"
        );
        assert_eq!(world.server.balance(&owner).await, "5.00");
    });
}
