//! How tokens are stored and verified, and how wrong tokens affect other clients.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use futures_util::StreamExt;
use futures_util::future::{join, join_all};
use futures_util::stream::iter;
use numberbank::accounts::{self, AuthToken, New};
use numberbank::app;
use sqlx::{AssertSqlSafe, Executor};

use crate::support::{Account, Answer, Server, World, eventually, test, timed, within};

/// An account with a token that a person chose.
async fn choosy(world: &World, token: &str) -> Account {
    let (name, balance) = ("Test".parse().expect("a name"), "1.00".parse().expect("an amount"));
    let token: AuthToken = token.parse().expect("a token");
    let created = accounts::create_with(&world.db, &world.clock, New { name: &name, reference: None, balance }, token)
        .await
        .expect("an account");
    Account { sid: created.sid.to_string(), token: created.auth_token.reveal().to_owned() }
}

async fn replace(world: &World, account: &Account, token: AuthToken) -> Account {
    let sid = account.sid.parse().expect("a Sid");
    let created = accounts::replace_token(&world.db, &world.clock, sid, token).await.expect("a new token");
    Account { sid: account.sid.clone(), token: created.auth_token.reveal().to_owned() }
}

fn digits(account: &Account) -> &str {
    account.sid.trim_start_matches("AC")
}

async fn execute(world: &World, statement: &str) -> sqlx::Result<()> {
    world.db.execute(AssertSqlSafe(statement.to_owned())).await.map(drop)
}

/// Stores an argon2 hash of the account's token, and no fast hash.
async fn store_hash(world: &World, account: &Account, argon2: Argon2<'_>, chosen: bool) {
    let hash = argon2.hash_password(account.token.as_bytes()).expect("a hash");
    let statement = format!(
        "update accounts set token_hash = '{hash}', token_digest = null, token_chosen = {chosen} where sid = '{}'",
        digits(account)
    );
    execute(world, &statement).await.expect("another row");
}

/// An account as it was before there were fast hashes.
async fn old(world: &World) -> Account {
    let account = world.account("1.00").await;
    store_hash(world, &account, Argon2::default(), false).await;
    account
}

/// An account with a cheap argon2 hash and no fast hash, with a chosen token or one that numberbank made. Even a slow
/// machine verifies it quickly.
async fn quick(world: &World, chosen: bool) -> Account {
    let account = world.account("1.00").await;
    let params = Params::new(1024, 1, 1, None).expect("parameters");
    store_hash(world, &account, Argon2::new(Algorithm::Argon2id, Version::V0x13, params), chosen).await;
    account
}

/// What is stored of the account's token: chosen, digest, hash.
async fn stored(world: &World, account: &Account) -> (bool, Option<Vec<u8>>, Option<String>) {
    let statement = "select token_chosen, token_digest, token_hash from accounts where sid = $1::uuid";
    sqlx::query_as(statement).bind(digits(account)).fetch_one(&world.db).await.expect("a row")
}

fn wrong(account: &Account, token: &str) -> Account {
    Account { sid: account.sid.clone(), token: token.to_owned() }
}

fn nobody() -> Account {
    Account { sid: format!("AC{}", "0".repeat(32)), token: String::new() }
}

/// A request from an address that a proxy names.
async fn from(server: &Server, account: &Account, address: &str) -> Answer {
    Answer::of(server.call(account, "GET", "").header("X-Forwarded-For", address)).await
}

/// The `n`th guess: a possible token, each different.
fn guess(n: usize) -> String {
    format!("{n:032x}")
}

// What is stored

#[test]
fn a_token_that_is_made_here_has_a_fast_hash_and_a_chosen_one_argon2() {
    test(async |world| {
        let (made, chosen) = (world.account("1.00").await, choosy(world, "correct:horse").await);
        for (mut account, mut is_chosen) in [(made, false), (chosen, true)] {
            for _ in 0..3 {
                let (chosen, digest, hash) = stored(world, &account).await;
                assert_eq!((chosen, digest.map(|digest| digest.len())), (is_chosen, (!is_chosen).then_some(32)));
                let argon2id = hash.map(|hash| hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
                assert_eq!(argon2id, is_chosen.then_some(true));
                world.server.get(&account, "").await.assert_status(200);
                is_chosen = !is_chosen;
                // A chosen token may look like one that numberbank made.
                let next = if is_chosen { guess(7).parse().expect("a token") } else { AuthToken::random() };
                account = replace(world, &account, next).await;
            }
        }
    });
}

#[test]
fn an_old_token_gets_its_fast_hash_when_it_is_known_to_be_right() {
    test(async |world| {
        let (account, chosen) = (old(world).await, choosy(world, &guess(1)).await);
        let state = "select string_agg(credential || ' ' || updated_at, ' ' order by sid) from accounts";
        let before: String = world.value(state).await;
        world.server.get(&wrong(&account, &guess(2)), "").await.assert_refused(401, 20003);
        world.server.get(&chosen, "").await.assert_status(200);
        assert_eq!(stored(world, &account).await.1, None);
        world.server.get(&account, "").await.assert_status(200);
        eventually("it is written", async || stored(world, &account).await.1.is_some()).await;
        assert!(stored(world, &account).await.2.is_some(), "beside the old one");
        assert_eq!(world.value::<String>(state).await, before, "nobody changed the account");
        assert_eq!(stored(world, &chosen).await.1, None, "argon2id stays for what people choose");
        // From now on only the fast hash is used.
        execute(world, "update accounts set token_hash = '' where not token_chosen").await.expect("no old hash");
        let other = world.another_server();
        other.get(&account, "").await.assert_status(200);
        other.get(&wrong(&account, &guess(2)), "").await.assert_refused(401, 20003);
        other.stop().await;
    });
}

#[test]
fn an_older_program_replaces_a_token_and_its_fast_hash_too() {
    test(async |world| {
        let leaked = world.account("1.00").await;
        world.server.get(&leaked, "").await.assert_status(200);
        let token = "0123456789abcdef0123456789abcdef";
        let hash = Argon2::default().hash_password(token.as_bytes()).expect("a hash");
        let statement = format!(
            "update accounts set credential = gen_random_uuid(), token_hash = '{hash}' where sid = '{}'",
            digits(&leaked)
        );
        execute(world, &statement).await.expect("as it was written before there were fast hashes");
        let replaced = Account { sid: leaked.sid.clone(), token: token.to_owned() };
        world.server.get(&replaced, "").await.assert_status(200);
        let refused = async || world.server.get(&leaked, "").await.status == 401;
        eventually("the old token is refused", refused).await;
    });
}

#[test]
fn a_token_that_is_replaced_meanwhile_gets_no_fast_hash() {
    test(async |world| {
        let account = old(world).await;
        let mut holder = world.db.begin().await.expect("a transaction");
        let replace = format!("update accounts set credential = gen_random_uuid() where sid = '{}'", digits(&account));
        holder.execute(AssertSqlSafe(replace)).await.expect("another credential");
        // The request is answered before the row is free: it does not wait for the hash to be stored.
        world.server.get(&account, "").await.assert_status(200);
        eventually("the fast hash is about to be written", async || world.waiting().await == 1).await;
        holder.commit().await.expect("a commit");
        eventually("it is not", async || world.waiting().await == 0).await;
        assert_eq!(stored(world, &account).await.1, None);
    });
}

// Right tokens

/// Sends the first requests of all accounts at once. Returns the time until the last one was accepted.
async fn all_come_in(server: &Server, accounts: &[Account]) -> Duration {
    let begun = Instant::now();
    for answer in join_all(accounts.iter().map(|account| server.get(account, ""))).await {
        answer.assert_status(200);
    }
    begun.elapsed()
}

#[test]
fn two_hundred_clients_come_in_at_once_after_a_restart() {
    test(async |world| {
        let accounts: Vec<_> = iter(0..200).then(|_| world.account("1.00")).collect().await;
        within(Duration::from_secs(2), "all are in", async || {
            let restarted = world.limited_server(&["--failed-logins", "60"]);
            let took = all_come_in(&restarted, &accounts).await;
            restarted.stop().await;
            took
        })
        .await;
    });
}

#[test]
fn those_who_wait_for_argon2_are_not_refused() {
    test(async |world| {
        // More than the limit of wrong tokens, and more than an instance verifies at once.
        let accounts: Vec<_> = iter(0..200).then(|n| quick(world, n % 2 == 0)).collect().await;
        let restarted = world.limited_server(&["--failed-logins", "3"]);
        all_come_in(&restarted, &accounts).await;
        restarted.stop().await;
    });
}

#[test]
fn a_full_line_is_told_as_what_it_is() {
    test(async |world| {
        let accounts: Vec<_> = iter(0..30).then(async |n| choosy(world, &guess(n)).await).collect().await;
        let server = world.server_with(&["--max-unverified", "0"], |settings: &mut app::ServerOptions| {
            settings.verifications = 1;
        });
        let answers = join_all(accounts.iter().map(|account| server.get(account, ""))).await;
        let (granted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert!(!granted.is_empty() && !refused.is_empty(), "{} were granted", granted.len());
        for answer in &refused {
            answer.assert_refused(429, 20429);
            assert!(answer.element("Message").contains("wait to be verified"), "{}", answer.body);
            assert_eq!(answer.header("Retry-After"), "1");
        }
        server.stop().await;
    });
}

#[test]
fn argon2_is_waited_for_four_seconds() {
    test(async |world| {
        let server = world.server_with(&[], |settings: &mut app::ServerOptions| settings.verifications = 1);
        let attacked = world.account("1.00").await;
        let slow = Params::new(65536, 6, 1, None).expect("parameters");
        store_hash(world, &attacked, Argon2::new(Algorithm::Argon2id, Version::V0x13, slow), true).await;
        let mut n = 0;
        within(Duration::from_secs(5), "the slowest answer", async || {
            n += 100;
            let guesses = (n..n + 100).map(async |n| {
                let (took, answer) = timed(server.get(&wrong(&attacked, &guess(n)), "")).await;
                (took, answer.status)
            });
            let answers = join_all(guesses).await;
            let refused = answers.iter().filter(|(_, status)| *status == 429).count();
            assert!(refused > 0, "one thread cannot verify all in that time");
            // On a slow machine a few reach their deadline.
            assert!(answers.iter().all(|(_, status)| [401, 429, 503].contains(status)), "{answers:?}");
            answers.into_iter().map(|(took, _)| took).max().expect("some")
        })
        .await;
        server.stop().await;
    });
}

#[test]
fn a_token_that_was_refused_is_right_soon_after_it_is_given() {
    test(async |world| {
        let server = world.limited_server(&["--failed-logins", "3"]);
        let account = wrong(&world.account("1.00").await, "correct:horse");
        server.get(&account, "").await.assert_refused(401, 20003);
        replace(world, &account, account.token.parse().expect("a token")).await;
        eventually("it is right", async || server.get(&account, "").await.status == 200).await;
        server.stop().await;
    });
}

// Wrong tokens

#[test]
fn nobody_learns_by_the_time_what_a_wrong_token_was_tried_on() {
    test(async |world| {
        let [closed, made] = [world.account("0.00").await, world.account("1.00").await];
        world.close(&closed).await;
        let accounts = [nobody(), closed, made, quick(world, false).await, quick(world, true).await];
        let mut least = [Duration::MAX; 5];
        for n in 0..8 {
            for (account, least) in accounts.iter().zip(&mut least) {
                let begun = Instant::now();
                world.server.get(&wrong(account, &guess(n)), "").await.assert_refused(401, 20003);
                *least = (*least).min(begun.elapsed());
            }
        }
        let (shortest, longest) = (least.iter().min().expect("five"), least.iter().max().expect("five"));
        assert!(*shortest >= Duration::from_millis(100), "{least:?}");
        assert!(*longest - *shortest < Duration::from_millis(100), "{least:?}");
    });
}

#[test]
fn only_tokens_that_were_wrong_count_and_each_counts_once() {
    test(async |world| {
        let server = world.limited_server(&["--failed-logins", "5"]);
        let chosen = choosy(world, "correct:horse").await;
        let tried = [nobody(), world.account("1.00").await, old(world).await, chosen.clone()];
        for account in &tried {
            for _ in 0..9 {
                server.get(&wrong(account, &guess(1)), "").await.assert_refused(401, 20003);
            }
        }
        // Right tokens do not count, neither before nor after.
        for account in &tried[1..3] {
            server.get(account, "").await.assert_status(200);
        }
        server.get(&wrong(&nobody(), &guess(2)), "").await.assert_refused(401, 20003);
        // From now on all wrong tokens get the same answer, which does not tell whether the account exists.
        let mut bodies = Vec::new();
        for account in &tried {
            for token in [guess(1), guess(3)] {
                let answer = server.get(&wrong(account, &token), "").await;
                answer.assert_refused(429, 20429);
                assert!(answer.element("Message").contains("wrong credentials came from your address"));
                bodies.push(answer.element("Message").replace(|c: char| c.is_ascii_digit(), ""));
            }
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
        // A right token is refused only if it needs argon2.
        server.get(&chosen, "").await.assert_refused(429, 20429);
        for account in [&tried[1], &tried[2], &world.account("1.00").await] {
            server.get(account, "").await.assert_status(200);
        }
        server.stop().await;
    });
}

#[test]
fn who_rotates_a_token_is_not_locked_out_by_workers_with_the_old_one() {
    test(async |world| {
        let server = &world.limited_server(&["--failed-logins", "3"]);
        for (account, new) in [
            (world.account("1.00").await, AuthToken::random()),
            (choosy(world, "correct:horse").await, "battery:staple".parse().expect("a token")),
        ] {
            server.get(&account, "").await.assert_status(200);
            let workers = join_all((0..8).map(|_| async {
                let mut refused = 0;
                while refused < 30 {
                    match server.get(&account, "").await.status {
                        200 => {}
                        status => {
                            assert_eq!(status, 401);
                            refused += 1;
                        }
                    }
                }
            }));
            let rotation = async {
                let account = replace(world, &account, new).await;
                for _ in 0..100 {
                    server.get(&account, "").await.assert_status(200);
                }
            };
            join(workers, rotation).await;
        }
        server.stop().await;
    });
}

/// Does the work while a stranger guesses the tokens of all these accounts, `at_once` at a time.
async fn beside_guesses<T>(
    server: &Server,
    accounts: &[Account],
    at_once: usize,
    address: &str,
    work: impl Future<Output = T>,
) -> T {
    let done = &AtomicBool::new(false);
    let stranger = join_all((0..at_once).map(|lane| async move {
        for n in 0.. {
            if done.load(Ordering::Relaxed) {
                break;
            }
            let account = &accounts[n % accounts.len()];
            let answer = from(server, &wrong(account, &guess(lane * 1_000_000 + n)), address).await;
            // 503 if many guesses reach their deadline on a slow machine.
            assert!(matches!(answer.status, 401 | 429 | 503), "{}", answer.body);
        }
    }));
    let work = async {
        let outcome = work.await;
        done.store(true, Ordering::Relaxed);
        outcome
    };
    join(stranger, work).await.1
}

/// The median wait of newcomers, who come from one address one after another. A refusal counts as an endless wait.
async fn usual_wait(server: &Server, newcomers: &[Account], address: &str) -> Duration {
    // By then the stranger has begun.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut waits = Vec::new();
    for account in newcomers {
        let begun = Instant::now();
        let answer = from(server, account, address).await;
        waits.push(if answer.status == 200 { begun.elapsed() } else { Duration::MAX });
    }
    waits.sort_unstable();
    waits[waits.len() / 2]
}

#[test]
fn newcomers_come_in_beside_a_stranger_who_guesses_at_their_own_address() {
    test(async |world| {
        let server = world.limited_server(&["--failed-logins", "60"]);
        let attacked = [nobody(), world.account("1.00").await, old(world).await, choosy(world, "correct:horse").await];
        let newcomers: Vec<_> = iter(0..20).then(|_| world.account("1.00")).collect().await;
        let old_ones: Vec<_> = iter(0..5).then(|_| old(world)).collect().await;
        let waits = join_all([&newcomers, &old_ones].map(|accounts| usual_wait(&server, accounts, "192.0.2.1")));
        for usual in beside_guesses(&server, &attacked, 50, "192.0.2.1", waits).await {
            assert!(usual < Duration::from_secs(3), "{usual:?}");
        }
        server.stop().await;
    });
}

#[test]
fn newcomers_with_chosen_tokens_take_turns_with_a_stranger_elsewhere() {
    test(async |world| {
        // It is so without the limit of wrong tokens too. The stranger's guesses in the queue take far longer than
        // newcomers wait.
        let server =
            world.server_with(&["--failed-logins", "off", "--trust-proxy"], |settings: &mut app::ServerOptions| {
                settings.verifications = 1;
            });
        let attacked = world.account("1.00").await;
        let slow =
            Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(65536, 3, 1, None).expect("parameters"));
        store_hash(world, &attacked, slow, true).await;
        let newcomers: Vec<_> = iter(0..5).then(|_| quick(world, true)).collect().await;
        let waits = usual_wait(&server, &newcomers, "192.0.2.2");
        let usual = beside_guesses(&server, &[attacked], 100, "192.0.2.1", waits).await;
        assert!(usual < Duration::from_secs(3), "{usual:?}");
        server.stop().await;
    });
}
