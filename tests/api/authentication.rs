//! Which credentials are accepted, and how soon a revoked token is refused.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{join, join_all};
use numberbank::accounts::keys::Scope;
use numberbank::accounts::{self, AuthToken, Leftover, Said, Status, keys};
use sqlx::AssertSqlSafe;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Account, Answer, Server, World, eventually, test};

async fn with_authorization(server: &Server, account: &Account, authorization: &str) -> Answer {
    Answer::of(server.request("GET", &account.path()).header("Authorization", authorization)).await
}

async fn with_token(server: &Server, account: &Account, token: &str) -> Answer {
    server.get(&Account { sid: account.sid.clone(), token: token.to_owned() }, "").await
}

async fn set_status(world: &World, account: &Account, status: Status) {
    let sid = account.sid.parse().expect("a Sid");
    let changed = match status {
        Status::Suspended => accounts::suspend(&world.db, &world.clock, sid, None).await,
        _ => accounts::activate(&world.db, &world.clock, sid, None).await,
    };
    changed.expect("a status");
}

async fn close(world: &World, account: &Account) {
    let mut transaction = world.db.begin().await.expect("a transaction");
    let sid = account.sid.parse().expect("a Sid");
    accounts::close(&mut transaction, &world.clock, sid, Some(Leftover::Kept), Said::by_operator(None))
        .await
        .expect("the account is closed");
    transaction.commit().await.expect("it stays so");
}

/// How long an instance believes its cache (docs/scaling.md). A request that is sent later is refused, even on a slow
/// machine, because the time begins before the instance reads the account.
const BELIEVED: Duration = Duration::from_millis(500);

/// Changes a new account right after each instance has cached it: the worst moment.
async fn right_after_a_look<T>(
    servers: &[&Server],
    account: &Account,
    change: impl Future<Output = T>,
) -> (Instant, T) {
    for server in servers {
        server.get(account, "").await.assert_status(200);
    }
    let outcome = change.await;
    (Instant::now(), outcome)
}

/// Asks each instance until its answer changes, and fails if that takes too long.
pub async fn assert_soon(servers: &[&Server], changed: Instant, is_as_before: impl AsyncFn(&Server) -> bool) {
    join_all(servers.iter().map(async |server| {
        let mut sent = changed.elapsed();
        while is_as_before(server).await {
            assert!(sent < BELIEVED, "a request that was sent {sent:?} after the change was answered as before");
            sent = changed.elapsed();
        }
    }))
    .await;
}

#[track_caller]
fn assert_unknown(answer: &Answer) {
    answer.assert_refused(401, 20003);
    assert_eq!(answer.header("WWW-Authenticate"), "Basic realm=\"numberbank\"");
}

#[test]
fn only_basic_credentials_of_an_account_let_in() {
    test(async |world| {
        let (account, other) = (world.account("1.00").await, world.account("1.00").await);
        let encode = |text: &str| STANDARD.encode(text);
        let (sid, token) = (&account.sid, &account.token);
        let right = encode(&format!("{sid}:{token}"));
        for wrong in [
            format!("Bearer {right}"),
            format!("Basic{right}"),
            format!("Basic {right}x"),
            "Basic".to_owned(),
            "Basic !!!".to_owned(),
            format!("Basic {}", encode(sid)),
            format!("Basic {}", encode(&format!("{sid}:"))),
            format!("Basic {}", encode(&format!("{sid}:{token} "))),
            format!("Basic {}", encode(&format!("{sid}:{}", token.to_uppercase()))),
            format!("Basic {}", encode(&format!("{}:{token}", sid.to_lowercase()))),
            format!("Basic {}", encode(&format!("{sid}:{}", other.token))),
            format!("Basic {}", STANDARD.encode([0xff, b':', 0xff])),
        ] {
            assert_unknown(&with_authorization(&world.server, &account, &wrong).await);
        }
        assert_unknown(&Answer::of(world.server.request("GET", &account.path())).await);
        for right in [format!("Basic {right}"), format!("basic {right}"), format!("BASIC  {right}")] {
            with_authorization(&world.server, &account, &right).await.assert_status(200);
        }
    });
}

#[test]
fn an_unknown_account_and_a_wrong_token_are_answered_alike() {
    test(async |world| {
        let (account, closed) = (world.account("1.00").await, world.account("1.00").await);
        close(world, &closed).await;
        let unknown = Account { sid: format!("AC{}", "0".repeat(32)), token: account.token.clone() };
        let wrong = Account { sid: account.sid.clone(), token: closed.token.clone() };
        let mut answers = Vec::new();
        for caller in [&wrong, &unknown, &closed] {
            // On another account's path too, whether that exists or not.
            for path in [wrong.path(), unknown.path(), closed.path(), "/2008-08-01/Accounts".to_owned()] {
                let call = world.server.request("GET", &path).basic_auth(&caller.sid, Some(&caller.token));
                let answer = Answer::of(call).await;
                assert_unknown(&answer);
                let headers = answer.timeless_headers();
                answers.push((answer.body, headers));
            }
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    });
}

#[test]
fn a_replaced_token_stops_working_on_every_instance() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let account = &world.account("1.00").await;
        let sid = account.sid.parse().expect("a Sid");
        let rotation = accounts::replace_token(&world.db, &world.clock, sid, AuthToken::random());
        let (changed, new) = right_after_a_look(&servers, account, rotation).await;
        let new = new.expect("a new token");
        assert_soon(&servers, changed, async |server| server.get(account, "").await.status == 200).await;
        for server in servers {
            assert_unknown(&server.get(account, "").await);
            with_token(server, account, new.auth_token.reveal()).await.assert_status(200);
            // A try with the old token does not remove the new one from the cache.
            assert_unknown(&server.get(account, "").await);
            with_token(server, account, new.auth_token.reveal()).await.assert_status(200);
        }
        servers[1].stop().await;
    });
}

#[test]
fn a_suspension_takes_effect_on_every_instance_and_ends_there_too() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let accounts = world.known_accounts(&servers, 2, "5.00").await;
        let (account, other) = (&accounts[0], &accounts[1]);
        world.stock(4_158_670_000, 5).await;
        let bought = world.server.buy(account, &[]).await;
        let path = format!("/IncomingPhoneNumbers/{}", bought.assert_status(201).element("Sid"));
        let name = [("FriendlyName", "New")];
        set_status(world, account, Status::Suspended).await;
        let changed = Instant::now();
        assert_soon(&servers, changed, async |server| server.put(account, "", &name).await.status == 200).await;
        for server in servers {
            server.put(account, "", &name).await.assert_refused(403, 20005);
            server.put(account, &path, &[("Url", "")]).await.assert_refused(403, 20005);
            server.buy(account, &[]).await.assert_refused(403, 20005);
            server.get(account, &path).await.assert_status(200);
            server.buy(other, &[]).await.assert_status(201);
        }
        servers[1].delete(account, &path).await.assert_status(204);
        set_status(world, account, Status::Active).await;
        let changed = Instant::now();
        assert_soon(&servers, changed, async |server| server.put(account, "", &name).await.status == 403).await;
        for server in servers {
            server.put(account, "", &name).await.assert_status(200);
            server.buy(account, &[]).await.assert_status(201);
        }
        servers[1].stop().await;
    });
}

#[test]
fn a_closed_account_is_let_in_nowhere() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let accounts = [world.account("5.00").await, world.account("5.00").await];
        let (changed, ()) = right_after_a_look(&servers, &accounts[0], close(world, &accounts[0])).await;
        assert_soon(&servers, changed, async |server| server.get(&accounts[0], "").await.status == 200).await;
        for server in servers {
            assert_unknown(&server.get(&accounts[0], "").await);
            server.get(&accounts[1], "").await.assert_status(200);
        }
        servers[1].stop().await;
    });
}

#[test]
fn a_flood_of_wrong_tokens_does_not_keep_a_known_client_out() {
    test(async |world| {
        let accounts = world.known_accounts(&[&world.server], 2, "5.00").await;
        let (known, attacked) = (&accounts[0], &accounts[1]);
        let tokens: Vec<_> = (0..200).map(|n| format!("{n:032x}")).collect();
        let flood = join_all(tokens.iter().map(|token| with_token(&world.server, attacked, token)));
        let client = async {
            for _ in 0..30 {
                world.server.get(known, "/Balance").await.assert_status(200);
                world.server.get(attacked, "/Balance").await.assert_status(200);
            }
        };
        let (answers, ()) = join(flood, client).await;
        for answer in &answers {
            if answer.status == 429 {
                answer.assert_refused(429, 20429);
                assert!(answer.header("Retry-After").parse::<u32>().expect("Retry-After is seconds") > 0);
            } else {
                assert_unknown(answer);
            }
        }
        // Afterwards, new tokens are verified again.
        let newcomer = world.account("1.00").await;
        eventually("a newcomer is let in", async || world.server.get(&newcomer, "").await.status == 200).await;
    });
}

#[test]
fn no_token_is_in_the_database() {
    test(async |world| {
        let (account, other) = (world.account("5.00").await, world.account("5.00").await);
        world.stock(4_158_670_000, 2).await;
        world.server.buy_once(&account, "key", &[]).await.assert_status(201);
        world.server.buy(&other, &[]).await.assert_status(201);
        let sid = other.sid.parse().expect("a Sid");
        let new =
            accounts::replace_token(&world.db, &world.clock, sid, AuthToken::random()).await.expect("a new token");
        let key = world.key(&account, Scope::Main).await;
        let tables = "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'public'";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&world.db).await.expect("tables");
        assert!(tables.len() > 5);
        let mut rows = Vec::new();
        for table in tables {
            let statement = AssertSqlSafe(format!("select row::text from {table} as row"));
            rows.extend(sqlx::query_scalar::<_, String>(statement).fetch_all(&world.db).await.expect("rows"));
        }
        for token in [&account.token, &other.token, new.auth_token.reveal(), &key.secret] {
            assert_eq!(token.len(), 32);
            assert!(!rows.iter().any(|row| row.replace('-', "").contains(token)));
        }
        let hashed = "select count(*) from accounts where length(token_digest) = 32 and token_hash is null";
        assert_eq!(world.value::<i64>(hashed).await, 2);
    });
}

/// Sends a purchase whose body arrives only after something has happened. Returns the answer's first line.
async fn buys_slowly(world: &World, account: &Account, user: [&str; 2], meanwhile: impl Future<Output = ()>) -> String {
    let site = world.server.site.trim_start_matches("http://");
    let mut stream = TcpStream::connect(site).await.expect("a connection");
    let basic = STANDARD.encode(user.join(":"));
    let path = format!("/2010-04-01/Accounts/{}/IncomingPhoneNumbers", account.sid);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {site}\r\nAuthorization: Basic {basic}\r\nConnection: close\r\n\
        Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 12\r\n\r\nAreaCode"
    );
    stream.write_all(head.as_bytes()).await.expect("it listens");
    // By then it has been let in.
    tokio::time::sleep(Duration::from_millis(100)).await;
    meanwhile.await;
    tokio::time::sleep(BELIEVED).await;
    stream.write_all(b"=415").await.expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_request_whose_body_is_still_arriving_ends_with_its_token_or_key() {
    test(async |world| {
        world.stock(4_158_670_000, 3).await;
        let account = world.account("5.00").await;
        let sid = account.sid.parse().expect("a Sid");
        let key = world.key(&account, Scope::Standard).await;
        let (by_token, by_key) = ([&*account.sid, &*account.token], [&*key.sid, &*key.secret]);
        for user in [by_token, by_key] {
            assert_eq!(buys_slowly(world, &account, user, async {}).await, "HTTP/1.1 201 Created");
        }
        let key = key.sid.parse().expect("a Sid");
        let delete = async || keys::delete(&world.db, sid, key).await.expect("a key");
        let rotate = async || {
            drop(accounts::replace_token(&world.db, &world.clock, sid, AuthToken::random()).await.expect("a token"));
        };
        let refused = "HTTP/1.1 401 Unauthorized";
        assert_eq!(buys_slowly(world, &account, by_key, delete()).await, refused);
        assert_eq!(buys_slowly(world, &account, by_token, rotate()).await, refused);
        assert_eq!(world.value::<i64>("select count(*) from tenancies").await, 2);
    });
}
