//! API keys: more credentials of an account below 2010-04-01. `tenancy.rs` says what each may do.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use numberbank::accounts::keys::{MOST_KEYS, Scope};
use numberbank::accounts::{self, AuthToken, Refused, keys};
use numberbank::error::Denied;
use numberbank::values::sid::AccountSid;
use serde_json::{Value, json};

use crate::authentication::assert_soon;
use crate::support::{Account, Answer, ApiKey, Server, WithForm, World, eventually, test, timed};
use crate::v2010::{assert_refused, document, get, path, send, sids};

const NUMBERS: &str = "/IncomingPhoneNumbers.json";

/// A request by a key on the path of an account.
async fn by(world: &World, key: &ApiKey, account: &Account, method: &str, below: &str) -> Answer {
    let request = world.server.request(method, &path(account, below)).basic_auth(&key.sid, Some(&key.secret));
    Answer::of(if method == "POST" { request.with_form(&[("AreaCode", "415")]) } else { request }).await
}

/// A new key by the API, and its document.
async fn create(world: &World, account: &Account, name: &str) -> (ApiKey, Value) {
    let made = document(&send(world, account, "POST", "/Keys.json", &[("FriendlyName", name)]).await, 201);
    let text = |key: &str| made[key].as_str().expect("a text").to_owned();
    (ApiKey { sid: text("sid"), secret: text("secret") }, made)
}

fn below(key: &ApiKey) -> String {
    format!("/Keys/{}.json", key.sid)
}

#[test]
fn a_key_is_made_shown_renamed_and_deleted() {
    test(async |world| {
        let (account, other) = (world.account("5.00").await, world.account("5.00").await);
        world.stock(4_158_675_300, 2).await;
        let (key, made) = create(world, &account, "k").await;
        assert_eq!(
            made,
            json!({"sid": key.sid, "friendly_name": "k", "date_created": "Tue, 01 Apr 2008 18:26:32 +0000",
                "date_updated": "Tue, 01 Apr 2008 18:26:32 +0000", "secret": key.secret})
        );
        assert!(key.secret.len() == 32 && key.sid.starts_with("SK"), "{made}");
        let bought = document(&by(world, &key, &account, "POST", NUMBERS).await, 201);
        assert_eq!(bought["account_sid"], json!(account.sid));
        assert_eq!(world.server.balance(&account).await, "4.00");
        assert_eq!(sids(&document(&by(world, &key, &account, "GET", NUMBERS).await, 200)).len(), 1);

        // Without the secret from now on.
        let mut shown = made.clone();
        shown.as_object_mut().expect("an object").remove("secret");
        assert_eq!(document(&get(world, &account, &below(&key)).await, 200), shown);
        world.clock.advance(chrono::TimeDelta::seconds(1));
        let renamed = send(world, &account, "POST", &below(&key), &[("FriendlyName", "ü & <k>")]).await;
        let renamed = document(&renamed, 200);
        assert_eq!(renamed["friendly_name"], json!("ü & <k>"));
        assert_eq!(renamed["date_updated"], json!("Tue, 01 Apr 2008 18:26:33 +0000"));
        assert_eq!(document(&send(world, &account, "POST", &below(&key), &[]).await, 200), renamed);
        let xml = get(world, &account, &format!("/Keys/{}", key.sid)).await;
        assert_eq!((xml.element("FriendlyName"), xml.elements("Secret").len()), ("ü &amp; &lt;k&gt;".to_owned(), 0));
        let unnamed = send(world, &account, "PUT", &below(&key), &[("FriendlyName", "")]).await;
        assert_eq!(document(&unnamed, 200)["friendly_name"], json!(""));
        let rename = async |name: &str| send(world, &account, "POST", &below(&key), &[("FriendlyName", name)]).await;
        assert_eq!(document(&rename(&"ü".repeat(64)).await, 200)["friendly_name"], json!("ü".repeat(64)));
        for name in ["x".repeat(65), "a\u{7}b".to_owned()] {
            assert_refused(&rename(&name).await, 400, 20002);
        }

        for method in ["GET", "POST", "DELETE"] {
            assert_refused(&send(world, &other, method, &below(&key), &[]).await, 404, 20404);
        }
        assert_eq!(status(&world.server, &key, &account).await, 200);
        send(world, &account, "DELETE", &below(&key), &[]).await.assert_status(204);
        // On its own instance at once.
        assert_refused(&by(world, &key, &account, "GET", NUMBERS).await, 401, 20003);
        assert_refused(&send(world, &account, "DELETE", &below(&key), &[]).await, 404, 20404);
    });
}

#[test]
fn keys_are_listed_newest_first_and_paged() {
    test(async |world| {
        let (account, other) = (world.account("5.00").await, world.account("5.00").await);
        for name in ["one", "two", "three"] {
            world.clock.advance(chrono::TimeDelta::seconds(1));
            create(world, &account, name).await;
            create(world, &other, "another's").await;
        }
        let list = async |query: &str| {
            let list = document(&get(world, &account, &format!("/Keys.json{query}")).await, 200);
            let names = list["keys"].as_array().expect("a list").iter().map(|key| key["friendly_name"].clone());
            (names.collect::<Vec<_>>(), list)
        };
        let (names, all) = list("").await;
        assert_eq!((names, &all["total"]), (vec![json!("three"), json!("two"), json!("one")], &json!(3)));
        assert!(!all.to_string().contains("secret"), "{all}");
        let (names, first) = list("?PageSize=2").await;
        assert_eq!(names, [json!("three"), json!("two")]);
        let next = first["next_page_uri"].as_str().expect("a path");
        let next = document(&world.server.follow(&account, next).await, 200);
        assert_eq!((&next["keys"][0]["friendly_name"], &next["next_page_uri"]), (&json!("one"), &Value::Null));
        assert_eq!(list("?PageSize=2&PageToken=PL").await.0, [json!("one")]);
        assert_eq!(list("?Page=9").await.0, [Value::Null; 0]);
        let token = format!("/Keys.json?PageToken=PAPN{}", "0".repeat(32));
        assert_refused(&get(world, &account, &token).await, 400, 21481);
    });
}

#[test]
fn an_account_has_fifty_keys_and_no_more_even_at_once() {
    test(async |world| {
        let account = world.account("5.00").await;
        let sid = account.sid.parse().expect("a Sid");
        let one = || keys::create(&world.db, &world.clock, sid, None, Scope::Standard);
        for made in join_all((0..MOST_KEYS - 4).map(|_| one())).await {
            made.expect("a key");
        }
        let last = join_all((0..8).map(|_| one())).await;
        let refused = last.iter().filter(|made| matches!(made, Err(Denied::Refused(Refused::TooManyKeys))));
        assert_eq!((last.iter().filter(|made| made.is_ok()).count(), refused.count()), (4, 4));
        assert_refused(&send(world, &account, "POST", "/Keys.json", &[]).await, 400, 29008);
        let first = document(&get(world, &account, "/Keys.json?PageSize=1").await, 200);
        assert_eq!(first["total"], json!(MOST_KEYS));
        let sid = first["keys"][0]["sid"].as_str().expect("a Sid");
        send(world, &account, "DELETE", &format!("/Keys/{sid}.json"), &[]).await.assert_status(204);
        create(world, &account, "in its place").await;
    });
}

#[test]
fn a_key_stays_on_its_own_account() {
    test(async |world| {
        let owner = world.account("10.00").await;
        let child = world.child(&owner).await;
        world.stock(4_158_675_300, 2).await;
        let (of_owner, of_child) = (world.key(&owner, Scope::Main).await, create(world, &child, "c").await.0);
        for (key, account) in [(&of_owner, &child), (&of_child, &owner)] {
            for below in [NUMBERS, ".json", "/Keys.json"] {
                assert_refused(&by(world, key, account, "GET", below).await, 404, 20404);
            }
            assert_refused(&by(world, key, account, "POST", NUMBERS).await, 404, 20404);
        }
        // A sub-account's key buys with its owner's money.
        let bought = document(&by(world, &of_child, &child, "POST", NUMBERS).await, 201);
        assert_eq!((&bought["account_sid"], &*world.server.balance(&owner).await), (&json!(child.sid), "9.00"));
        // No key gives a number away, not even to the same family.
        let bought = document(&by(world, &of_owner, &owner, "POST", NUMBERS).await, 201);
        let number = format!("/IncomingPhoneNumbers/{}.json", bought["sid"].as_str().expect("a Sid"));
        let request =
            world.server.request("POST", &path(&owner, &number)).with_form(&[("AccountSid", child.sid.as_str())]);
        assert_refused(&Answer::of(request.basic_auth(&of_owner.sid, Some(&of_owner.secret))).await, 403, 20006);
        // An owner makes keys of its sub-account, on that one's path.
        let request = world.server.request("POST", &path(&child, "/Keys.json")).with_form(&[("FriendlyName", "o")]);
        let made = document(&Answer::of(request.basic_auth(&owner.sid, Some(&owner.token))).await, 201);
        let text = |key: &str| made[key].as_str().expect("a text").to_owned();
        let key = ApiKey { sid: text("sid"), secret: text("secret") };
        document(&by(world, &key, &child, "GET", NUMBERS).await, 200);
        world.close(&child).await;
        for below in ["/Keys.json", &below(&key)] {
            let request = world.server.request("POST", &path(&child, below)).with_form(&[("FriendlyName", "late")]);
            assert_refused(&Answer::of(request.basic_auth(&owner.sid, Some(&owner.token))).await, 400, 21479);
        }
    });
}

#[test]
fn a_suspended_account_makes_no_key_but_can_revoke_one() {
    test(async |world| {
        let account = world.account("5.00").await;
        let (key, lost) = (create(world, &account, "k").await.0, create(world, &account, "lost").await.0);
        world.suspend(&account).await;
        assert_refused(&send(world, &account, "POST", "/Keys.json", &[]).await, 403, 20005);
        assert_refused(&send(world, &account, "POST", &below(&key), &[("FriendlyName", "n")]).await, 403, 20005);
        document(&by(world, &key, &account, "GET", NUMBERS).await, 200);
        assert_refused(&by(world, &key, &account, "POST", NUMBERS).await, 403, 20005);
        send(world, &account, "DELETE", &below(&lost), &[]).await.assert_status(204);
    });
}

/// What an instance answers to a key.
async fn status(server: &Server, key: &ApiKey, account: &Account) -> u16 {
    let request = server.request("GET", &path(account, NUMBERS)).basic_auth(&key.sid, Some(&key.secret));
    Answer::of(request).await.status
}

#[test]
fn a_deleted_key_and_a_closed_account_stop_a_key_on_every_instance_and_nothing_else_does() {
    test(async |world| {
        let (account, other) = (world.account("5.00").await, world.account("5.00").await);
        let [one, two] = [create(world, &account, "1").await.0, create(world, &account, "2").await.0];
        let others = create(world, &other, "3").await.0;
        let second = world.another_server();
        let servers = [&world.server, &second];
        let all_let_in = async || {
            for server in servers {
                assert_eq!(status(server, &one, &account).await, 200);
                assert_eq!(status(server, &two, &account).await, 200);
            }
        };
        all_let_in().await;
        accounts::replace_token(&world.db, &world.clock, sid(&account), AuthToken::random()).await.expect("a token");
        tokio::time::sleep(Duration::from_millis(600)).await;
        all_let_in().await;
        keys::delete(&world.db, sid(&account), one.sid.parse().expect("a Sid")).await.expect("a key");
        assert_soon(&servers, Instant::now(), async |server| status(server, &one, &account).await == 200).await;
        for server in servers {
            assert_eq!(status(server, &two, &account).await, 200, "another key goes on");
        }
        world.close(&account).await;
        assert_soon(&servers, Instant::now(), async |server| status(server, &two, &account).await == 200).await;
        assert_eq!(status(&second, &others, &other).await, 200);
        second.stop().await;
    });
}

fn sid(account: &Account) -> AccountSid {
    account.sid.parse().expect("a Sid")
}

#[test]
fn an_account_and_its_keys_have_one_rate_and_one_last_use() {
    test(async |world| {
        let server = world.limited_server(&["--account-rate", "5"]);
        let (account, other) = (world.account("1.00").await, world.account("1.00").await);
        let keys = [world.key(&account, Scope::Main).await, world.key(&account, Scope::Standard).await];
        let others = world.key(&other, Scope::Main).await;
        for (key, account) in [(&keys[0], &account), (&keys[1], &account), (&others, &other)] {
            assert_eq!(status(&server, key, account).await, 200);
        }
        let used = async || accounts::find(&world.db, sid(&account)).await.expect("an account").last_used_on;
        eventually("its use is noted", async || used().await == Some(world.clock.now().date_naive())).await;
        let granted = join_all((0..60).map(|n| status(&server, &keys[n % 2], &account))).await;
        let granted = granted.into_iter().filter(|status| *status == 200).count();
        let took = Instant::now();
        assert_eq!(status(&server, &others, &other).await, 200);
        // Two rates would have let in ten at once.
        assert!((5..10).contains(&granted) || took.elapsed() > Duration::from_secs(1), "{granted} of 60 were granted");
        server.stop().await;
    });
}

#[test]
fn wrong_secrets_count_against_their_address_and_right_ones_are_let_in_all_the_same() {
    test(async |world| {
        let server = world.limited_server(&["--failed-logins", "3"]);
        let account = world.account("1.00").await;
        let key = world.key(&account, Scope::Standard).await;
        let guess = |n: u8| ApiKey { secret: format!("{n:032x}"), ..key.clone() };
        // The same wrong one counts once.
        for n in [0, 0, 1, 1, 2] {
            assert_eq!(status(&server, &guess(n), &account).await, 401);
        }
        assert_eq!(status(&server, &guess(3), &account).await, 429);
        assert_eq!(status(&server, &key, &account).await, 200);
        server.stop().await;
    });
}

#[test]
fn nobody_learns_by_the_time_whether_there_is_a_key() {
    test(async |world| {
        let (account, closed) = (world.account("1.00").await, world.account("1.00").await);
        let known = [world.key(&account, Scope::Main).await, world.key(&closed, Scope::Main).await];
        world.close(&closed).await;
        let unknown = ApiKey { sid: format!("SK{}", "0".repeat(32)), secret: String::new() };
        let mut least = [Duration::MAX; 3];
        for n in 0..5 {
            for (key, least) in known.iter().chain([&unknown]).zip(&mut least) {
                let wrong = ApiKey { secret: format!("{n:032x}"), ..key.clone() };
                let (took, status) = timed(status(&world.server, &wrong, &account)).await;
                assert_eq!(status, 401);
                *least = (*least).min(took);
            }
        }
        assert!(least.iter().all(|took| (100..200).contains(&took.as_millis())), "{least:?}");
    });
}

#[test]
fn wrong_secrets_are_refused_and_look_all_the_same() {
    test(async |world| {
        let (account, other) = (world.account("5.00").await, world.account("5.00").await);
        let (key, others) = (create(world, &account, "k").await.0, create(world, &other, "o").await.0);
        let refused = async |user: &str, password: &str| {
            let request = world.server.request("GET", &path(&account, NUMBERS)).basic_auth(user, Some(password));
            let answer = Answer::of(request).await;
            assert_refused(&answer, 401, 20003);
            (answer.timeless_headers(), answer.body)
        };
        let wrong = refused(&key.sid, &others.secret).await;
        let unknown = format!("SK{}", "0".repeat(32));
        for (user, password) in [
            (&*unknown, &*key.secret),
            (&key.sid, &account.token),
            (&account.sid, &key.secret),
            // The Sids are told apart by their letters.
            (&format!("AC{}", &key.sid[2..]), &key.secret),
            (&format!("SK{}", &account.sid[2..]), &account.token),
            (&key.sid.to_uppercase(), &key.secret),
            (&key.sid, ""),
        ] {
            assert_eq!(refused(user, password).await, wrong, "{user}");
        }
        // Another account's key is right, but not on this path.
        assert_refused(&by(world, &others, &account, "GET", NUMBERS).await, 404, 20404);
        assert_eq!(document(&by(world, &key, &account, "GET", "/Balance.json").await, 200)["balance"], json!("5.00"));
    });
}
