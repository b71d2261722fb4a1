//! What is taken on at once, and what happens beyond it.

use std::time::Duration;

use futures_util::future::{join, join_all};
use numberbank::app;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::support::slow::in_time;
use crate::support::{Account, Answer, Server, World, eventually, test};

/// Refused for now: the answer says for how many seconds.
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
        let first = in_time(server.drip(head, "x")).await;
        assert!(first.starts_with("HTTP/1.1 408 "), "{first}");
        // Nor does a second one keep it open, or what is left of a body after its answer.
        let second = in_time(server.drip(&format!("{head}\r\n{head}"), "x")).await;
        assert!(second.starts_with("HTTP/1.1 200 ") && second.matches("HTTP/1.1 ").count() == 1, "{second}");
        let upload = "POST /2008-08-01/Accounts HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        let refused = in_time(server.drip(upload, "1\r\nx\r\n")).await;
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
        let answer = in_time(server.raw(&format!("POST {}", account.path()), &headers, b"FriendlyName=x")).await;
        answer.assert_refused(400, 29004);
        assert!(answer.element("Message").contains("1s"), "{}", answer.body);
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
        // Longer than any request may take otherwise.
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

/// While the only connection to the database waits for a row: what the rename that waits gets, and a
/// read meanwhile.
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
            world.server_with(&["--max-waiting", "0"], |settings: &mut app::Settings| settings.connections = 1);
        let account = world.account("1.00").await;
        server.get(&account, "").await.assert_status(200);
        // The database gives the rename up after two seconds: had the read waited, it would have been too long.
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

/// A request with a token, from an address as a proxy tells it.
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
        // Whatever address a client gives itself, and however it goes on.
        for (account, token) in [(&unknown, "x"), (known, "y"), (&newcomer, "z")] {
            let seconds = assert_later(&from(&server, account, token, "192.0.2.2").await, 429, 20429);
            assert!(seconds <= 20, "{seconds}");
        }
        for _ in 0..10 {
            server.get(known, "").await.assert_status(200);
        }
        from(&server, &newcomer, &newcomer.token, "192.0.2.1").await.assert_status(200);
        // Who says nothing about who they are has not been wrong.
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
