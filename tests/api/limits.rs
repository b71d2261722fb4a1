//! The limits of what the service does at once, and what happens beyond them.

use std::time::Duration;

use futures_util::future::{join, join_all};
use numberbank::app;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::support::slow::in_time;
use crate::support::{Account, Answer, Server, WithForm, World, eventually, test, timed, within};

/// Fails unless the answer is a refusal that says after how many seconds to retry.
#[track_caller]
fn assert_later(answer: &Answer, status: u16, code: u16) -> u64 {
    answer.assert_refused(status, code);
    let seconds = answer.header("Retry-After").parse().expect("Retry-After is seconds");
    assert!(seconds > 0);
    seconds
}

// How long clients are waited for

#[test]
fn a_head_that_does_not_arrive_ends_the_connection() {
    test(async |world| {
        let server = world.limited_server(&["--header-timeout", "1", "--keep-alive", "1"]);
        let head = "GET /docs/errors/20404 HTTP/1.1\r\nHost: localhost\r\n";
        let dripped = async |beginning: &str, drop: &str| {
            let mut said = String::new();
            // The limit is two seconds; the rest is for a slow machine.
            within(Duration::from_secs(4), "the end of a connection", async || {
                let (took, end) = timed(server.drip(beginning, drop)).await;
                said = end;
                took
            })
            .await;
            said
        };
        let first = dripped(head, "x").await;
        assert!(first.starts_with("HTTP/1.1 408 "), "{first}");
        // Neither a second request keeps it open, nor the rest of a body after its answer.
        let second = dripped(&format!("{head}\r\n{head}"), "x").await;
        assert!(second.starts_with("HTTP/1.1 200 ") && second.matches("HTTP/1.1 ").count() == 1, "{second}");
        let upload = "POST /2008-08-01/Accounts HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        let refused = dripped(upload, "1\r\nx\r\n").await;
        assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
        server.stop().await;
    });
}

#[test]
fn a_body_that_does_not_arrive_is_error_29004() {
    test(async |world| {
        let server = world.limited_server(&["--body-timeout", "1"]);
        let account = world.account("1.00").await;
        let authorization = account.authorization();
        let headers = [("Authorization", authorization.as_str()), ("Content-Length", "100")];
        let request = format!("POST {}", account.path());
        within(Duration::from_secs(3), "an answer to a body that does not arrive", async || {
            let (took, answer) = timed(in_time(server.raw(&request, &headers, b"FriendlyName=x"))).await;
            answer.assert_refused(400, 29004);
            assert!(answer.element("Message").contains("1s"), "{}", answer.body);
            took
        })
        .await;
        server.stop().await;
    });
}

#[test]
fn a_slow_upload_has_its_time_beside_that_of_the_work() {
    test(async |world| {
        let server = world.limited_server(&["--header-timeout", "1", "--keep-alive", "1", "--body-timeout", "100"]);
        let account = world.account("1.00").await;
        let mut stream = server.connect().await;
        let (path, authorization) = (account.path(), account.authorization());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: {authorization}\r\n\
             Content-Length: 25\r\n\r\nFriendlyName="
        );
        stream.write_all(head.as_bytes()).await.expect("the server reads");
        // In all, longer than any other request may take.
        for _ in 0..12 {
            sleep(Duration::from_millis(500)).await;
            stream.write_all(b"x").await.expect("the server goes on reading");
        }
        let mut answer = String::new();
        in_time(stream.read_to_string(&mut answer)).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("xxxxxxxxxxxx"), "{answer}");
        server.stop().await;
    });
}

// How much is taken on at once

/// Sends a rename that waits for a locked row on the only connection to the database, and a read meanwhile. Returns
/// both answers.
async fn beside_a_held_row(world: &World, server: &Server, account: &Account) -> (Answer, Answer) {
    let mut holder = world.db.begin().await.expect("a transaction");
    sqlx::query("select from accounts for update").execute(&mut *holder).await.expect("a lock");
    let name = [("FriendlyName", "New")];
    let read = async {
        eventually("the rename waits", async || world.waiting().await == 1).await;
        let answer = server.get(account, "").await;
        holder.rollback().await.expect("the row is free");
        answer
    };
    join(server.put(account, "", &name), read).await
}

#[test]
fn requests_beyond_those_that_may_wait_for_a_connection_are_503_at_once() {
    test(async |world| {
        let server =
            world.server_with(&["--max-waiting", "0"], |settings: &mut app::ServerOptions| settings.connections = 1);
        let account = world.account("1.00").await;
        server.get(&account, "").await.assert_status(200);
        // The database ends the rename after two seconds. If the read had waited, it would have come later than that.
        eventually("the read is refused before the rename is", async || {
            let (renamed, read) = beside_a_held_row(world, &server, &account).await;
            assert_later(&read, 503, 20503);
            renamed.status == 200
        })
        .await;
        server.get(&account, "").await.assert_status(200);
        server.stop().await;
    });
}

// How long the database is waited for

/// How long a statement waits for a locked row, and a request for a connection.
const TWO_SECONDS: Duration = Duration::from_secs(2);

/// PostgreSQL ends a statement after this time.
const FOUR_SECONDS: Duration = Duration::from_secs(4);

/// The extra time of a slow machine.
const BESIDES: Duration = Duration::from_millis(900);

#[test]
fn a_row_that_somebody_holds_is_waited_for_two_seconds() {
    test(async |world| {
        world.stock(4_158_670_000, 10).await;
        let account = &world.account("9.00").await;
        let number = world.server.buy(account, &[]).await.assert_status(201).element("Sid");
        let (number, name) = (format!("/IncomingPhoneNumbers/{number}"), [("FriendlyName", "New")]);
        let of_account = [("PUT", ""), ("DELETE", &number), ("POST", "/IncomingPhoneNumbers/Local")];
        let of_number = [("POST", &*number), ("DELETE", &number)];
        let locks =
            [("select from accounts for update", &of_account[..]), ("select from tenancies for update", &of_number)];
        for (lock, calls) in locks {
            let mut holder = world.db.begin().await.expect("a transaction");
            sqlx::query(lock).execute(&mut *holder).await.expect("a lock");
            for &(method, below) in calls {
                within(TWO_SECONDS + BESIDES, &format!("{method} {below} beside {lock}"), async || {
                    let call = world.server.call(account, method, below);
                    let call = if method == "DELETE" { call } else { call.with_form(&name) };
                    let (took, answer) = timed(Answer::of(call)).await;
                    assert_later(&answer, 503, 20503);
                    assert!(took >= TWO_SECONDS, "{took:?} is too soon: the row may be free in a moment");
                    took
                })
                .await;
            }
            holder.rollback().await.expect("the rows are free");
        }
        world.server.delete(account, &number).await.assert_status(204);
    });
}

/// Makes each rename of an account take far too long in PostgreSQL.
async fn slow_renames(world: &World) {
    let trigger = "create function take_long() returns trigger language plpgsql as $$ begin
            perform pg_sleep(15);
            return new;
        end $$;
        create trigger slow before update of name on accounts for each row execute function take_long()";
    sqlx::raw_sql(trigger).execute(&world.db).await.expect("a trigger");
}

/// The number of renames under way in PostgreSQL.
async fn renames(world: &World) -> i64 {
    let statement = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event = 'PgSleep'";
    world.value(statement).await
}

#[test]
fn postgresql_ends_a_statement_after_four_seconds() {
    test(async |world| {
        slow_renames(world).await;
        let account = &world.account("1.00").await;
        world.server.get(account, "").await.assert_status(200);
        within(FOUR_SECONDS + BESIDES, "the end of a statement", async || {
            let ended = async {
                eventually("it begins", async || renames(world).await == 1).await;
                eventually("it ends", async || renames(world).await == 0).await;
            };
            let (answer, (took, ())) =
                join(world.server.put(account, "", &[("FriendlyName", "New")]), timed(ended)).await;
            assert_later(&answer, 503, 20503);
            took
        })
        .await;
    });
}

#[test]
fn a_connection_is_waited_for_two_seconds() {
    test(async |world| {
        slow_renames(world).await;
        let server = world.server_with(&[], |settings: &mut app::ServerOptions| settings.connections = 1);
        let account = &world.account("1.00").await;
        server.get(account, "").await.assert_status(200);
        within(TWO_SECONDS + BESIDES, "an answer without a connection", async || {
            let name = [("FriendlyName", "New")];
            let read = async {
                eventually("the only connection is taken", async || renames(world).await == 1).await;
                let (took, answer) = timed(server.get(account, "/Balance")).await;
                // If the request came so late that the connection was free again, try again.
                if answer.status == 200 {
                    return Duration::MAX;
                }
                assert_later(&answer, 503, 20503);
                took
            };
            let (renamed, took) = join(server.put(account, "", &name), read).await;
            assert_later(&renamed, 503, 20503);
            took
        })
        .await;
        server.stop().await;
    });
}

/// How long a list waits for memory.
const A_SECOND: Duration = Duration::from_secs(1);

#[test]
fn memory_for_an_answer_is_waited_for_a_second() {
    test(async |world| {
        // A page of a thousand takes all that one account may have: a third.
        let server = world.server_with(&[], |settings| settings.limits.answer_memory = 30);
        let accounts = world.known_accounts(&[&server], 4, "1.00").await;
        let page = "/IncomingPhoneNumbers?PageSize=1000";
        for (late, status, code) in [(&accounts[0], 429, 20429), (&accounts[3], 503, 20503)] {
            within(A_SECOND + BESIDES, "an answer without memory", async || {
                // Those who have the memory wait for the table, for two seconds at most.
                let mut holder = world.db.begin().await.expect("a transaction");
                let lock = "lock table tenancies in access exclusive mode";
                sqlx::query(lock).execute(&mut *holder).await.expect("a lock");
                let ask = async {
                    eventually("a list waits", async || world.waiting().await > 0).await;
                    sleep(Duration::from_millis(100)).await;
                    let (took, answer) = timed(server.get(late, page)).await;
                    holder.rollback().await.expect("the table is free");
                    // Where it came so late that there was memory, another try tells.
                    if answer.status != status {
                        return Duration::MAX;
                    }
                    assert_later(&answer, status, code);
                    assert!(took >= A_SECOND, "{took:?} is too soon: there may be memory in a moment");
                    took
                };
                join(join_all(accounts[..3].iter().map(|account| server.get(account, page))), ask).await.1
            })
            .await;
        }
        server.stop().await;
    });
}

// How often

#[test]
fn an_account_that_asks_too_often_is_429_and_no_other() {
    test(async |world| {
        let server = world.limited_server(&["--account-rate", "5"]);
        let accounts = world.known_accounts(&[&server], 2, "1.00").await;
        let answers = join_all((0..60).map(|_| server.get(&accounts[0], "/Balance"))).await;
        let (granted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert!(granted.len() >= 5 && !refused.is_empty(), "{} of 60 were granted", granted.len());
        for answer in &refused {
            assert_eq!(assert_later(answer, 429, 20429), 1);
        }
        server.get(&accounts[1], "/Balance").await.assert_status(200);
        eventually("it may ask again", async || server.get(&accounts[0], "").await.status == 200).await;
        server.stop().await;
    });
}

/// A request with a token, from an address that a proxy names.
async fn from(server: &Server, account: &Account, token: &str, address: &str) -> Answer {
    let call = server.request("GET", &account.path()).basic_auth(&account.sid, Some(token));
    Answer::of(call.header("X-Forwarded-For", address)).await
}

#[test]
fn an_address_that_is_wrong_too_often_is_429_and_who_is_known_is_not() {
    test(async |world| {
        let server = world.limited_server(&["--failed-logins", "3"]);
        let known = &world.known_accounts(&[&server], 2, "1.00").await[0];
        let newcomer = world.account("1.00").await;
        let unknown = Account { sid: format!("AC{}", "0".repeat(32)), token: String::new() };
        for (wrong, account) in [known, &newcomer, &unknown].into_iter().enumerate() {
            from(&server, account, &wrong.to_string(), "192.0.2.1").await.assert_refused(401, 20003);
        }
        // Whatever address the client claims, and whatever it tries next.
        for (account, token) in [(&unknown, "x"), (known, "y"), (&newcomer, "z")] {
            let seconds = assert_later(&from(&server, account, token, "192.0.2.2").await, 429, 20429);
            assert!(seconds <= 20, "{seconds}");
        }
        for _ in 0..10 {
            server.get(known, "").await.assert_status(200);
        }
        from(&server, &newcomer, &newcomer.token, "192.0.2.1").await.assert_status(200);
        // A request without credentials does not count as a wrong token.
        Answer::of(server.request("GET", &known.path())).await.assert_refused(401, 20003);
        server.stop().await;
    });
}

#[test]
fn behind_a_trusted_proxy_each_client_has_an_address() {
    test(async |world| {
        let server = world.limited_server(&["--failed-logins", "1", "--trust-proxy"]);
        let account = world.account("1.00").await;
        for address in ["192.0.2.1", "192.0.2.3, 192.0.2.2", "192.0.2.4:4711", "[2001:db8::1]:4711"] {
            from(&server, &account, address, address).await.assert_refused(401, 20003);
        }
        for address in ["192.0.2.1", "192.0.2.9, 192.0.2.2", "192.0.2.4", "2001:db8::2"] {
            assert_later(&from(&server, &account, "wrong", address).await, 429, 20429);
        }
        from(&server, &account, &account.token, "192.0.2.3").await.assert_status(200);
        server.stop().await;
    });
}
