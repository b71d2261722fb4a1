//! Authorization: every route and method with every kind of caller.

use std::collections::BTreeSet;

use numberbank::accounts::keys::Scope;
use numberbank::api::{v2008, v2010};
use reqwest::RequestBuilder;

use crate::support::{Account, Answer, ApiKey, WithForm, World, test};

/// A route without this case.
const NONE: u16 = 0;

/// The status by caller: without credentials, with unreadable ones, with a wrong token, a closed account, a suspended
/// one, an account on another's path, and one with another's number on its own path.
type Case = (&'static str, &'static str, [u16; 7]);

#[rustfmt::skip]
const OF_2008: &[Case] = &[
    ("/Accounts", "GET", [401, 401, 401, 401, 200, NONE, NONE]),
    ("/Accounts/{AccountSid}", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}", "POST", [401, 401, 401, 401, 403, 404, NONE]),
    ("/Accounts/{AccountSid}", "PUT", [401, 401, 401, 401, 403, 404, NONE]),
    ("/Accounts/{AccountSid}/Balance", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/Local", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/Local", "POST", [401, 401, 401, 401, 403, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/TollFree", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/TollFree", "POST", [401, 401, 401, 401, 403, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}", "GET", [401, 401, 401, 401, 200, 404, 404]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}", "POST", [401, 401, 401, 401, 403, 404, 404]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}", "PUT", [401, 401, 401, 401, 403, 404, 404]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}", "DELETE", [401, 401, 401, 401, 204, 404, 404]),
];

#[rustfmt::skip]
const OF_2010: &[Case] = &[
    ("/Accounts", "GET", [401, 401, 401, 401, 200, NONE, NONE]),
    ("/Accounts", "POST", [401, 401, 401, 401, 403, NONE, NONE]),
    ("/Accounts/{AccountSid}", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}", "POST", [401, 401, 401, 401, 403, 404, NONE]),
    ("/Accounts/{AccountSid}", "PUT", [401, 401, 401, 401, 403, 404, NONE]),
    ("/Accounts/{AccountSid}/Balance", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers", "POST", [401, 401, 401, 401, 403, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/Local", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/Local", "POST", [401, 401, 401, 401, 403, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/TollFree", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/TollFree", "POST", [401, 401, 401, 401, 403, 404, NONE]),
    ("/Accounts/{AccountSid}/AvailablePhoneNumbers", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}/AvailablePhoneNumbers/US", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}/AvailablePhoneNumbers/US/Local", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}/AvailablePhoneNumbers/US/TollFree", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/Mobile", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/Mobile", "POST", [401, 401, 401, 401, 400, 404, NONE]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}", "GET", [401, 401, 401, 401, 200, 404, 404]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}", "POST", [401, 401, 401, 401, 403, 404, 404]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}", "PUT", [401, 401, 401, 401, 403, 404, 404]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}", "DELETE", [401, 401, 401, 401, 204, 404, 404]),
    ("/Accounts/{AccountSid}/Keys", "GET", [401, 401, 401, 401, 200, 404, NONE]),
    ("/Accounts/{AccountSid}/Keys", "POST", [401, 401, 401, 401, 403, 404, NONE]),
    ("/Accounts/{AccountSid}/Keys/{Sid}", "GET", [401, 401, 401, 401, 200, 404, 404]),
    ("/Accounts/{AccountSid}/Keys/{Sid}", "POST", [401, 401, 401, 401, 403, 404, 404]),
    ("/Accounts/{AccountSid}/Keys/{Sid}", "PUT", [401, 401, 401, 401, 403, 404, 404]),
    ("/Accounts/{AccountSid}/Keys/{Sid}", "DELETE", [401, 401, 401, 401, 204, 404, 404]),
];

const TREES: [(&str, &[Case]); 2] = [(v2008::TREE, OF_2008), (v2010::TREE, OF_2010)];

/// The path of a resource with its tree, the method, and the statuses.
type Row = (String, &'static str, [u16; 7]);

fn rows_of((tree, cases): (&'static str, &'static [Case])) -> impl Iterator<Item = Row> {
    cases.iter().map(move |(path, method, statuses)| (format!("{tree}{path}"), *method, *statuses))
}

/// The rows of both trees.
fn rows() -> impl Iterator<Item = Row> {
    TREES.into_iter().flat_map(rows_of)
}

/// An account, a number that it holds, or held, and its API keys.
struct Tenant {
    account: Account,
    number: String,
    standard_key: ApiKey,
    main_key: ApiKey,
}

impl Tenant {
    /// What stands for `{Sid}` in a route.
    fn sid(&self, route: &str) -> &str {
        if route.contains("/Keys/") { &self.standard_key.sid } else { &self.number }
    }
}

async fn tenant(world: &World) -> Tenant {
    let account = world.account("50.00").await;
    let number = world.server.buy(&account, &[("Url", "http://example.com/old"), ("AreaCode", "415")]).await;
    Tenant {
        number: number.assert_status(201).element("Sid"),
        standard_key: world.key(&account, Scope::Standard).await,
        main_key: world.key(&account, Scope::Main).await,
        account,
    }
}

struct Cast {
    own: Tenant,
    other: Tenant,
    suspended: Tenant,
    closed: Tenant,
}

/// All callers, and enough stock that only authorization can refuse them.
async fn cast(world: &World) -> Cast {
    world.stock(4_158_675_300, 20).await;
    world.stock(8_668_675_300, 20).await;
    world.stock(2_128_675_309, 1).await;
    world.stock(8_778_675_309, 1).await;
    let (own, other, suspended) = (tenant(world).await, tenant(world).await, tenant(world).await);
    world.suspend(&suspended.account).await;
    Cast { own, other, suspended, closed: closed(world).await }
}

/// A closed account that the server has not cached.
async fn closed(world: &World) -> Tenant {
    let before = world.another_server();
    let account = world.account("50.00").await;
    let number = before.buy(&account, &[("AreaCode", "415")]).await.assert_status(201).element("Sid");
    before.stop().await;
    let (standard_key, main_key) = (world.key(&account, Scope::Standard).await, world.key(&account, Scope::Main).await);
    world.close(&account).await;
    Tenant { account, number, standard_key, main_key }
}

fn path(route: &str, account: &Account, number: &str) -> String {
    route.replace("{AccountSid}", &account.sid).replace("{Sid}", number)
}

/// What a purchase asks for. Only the right caller gets the numbers that are named.
fn wanted(path: &str) -> Option<(&'static str, &'static str)> {
    let below = path.rsplit('/').next()?;
    match (path.starts_with(v2008::TREE), below) {
        (true, "Local") | (false, "IncomingPhoneNumbers") => Some(("AreaCode", "415")),
        (true, "TollFree") => Some(("AreaCode", "866")),
        (false, "Local") => Some(("PhoneNumber", "+12128675309")),
        (false, "TollFree") => Some(("PhoneNumber", "+18778675309")),
        _ => None,
    }
}

/// A request that the right caller may send.
fn request(world: &World, method: &str, path: &str) -> RequestBuilder {
    let request = world.server.request(method, path);
    match method {
        "POST" | "PUT" => {
            let url = if path.starts_with(v2008::TREE) { "Url" } else { "VoiceUrl" };
            let mut form = vec![("FriendlyName", "New"), (url, "http://example.com/new")];
            form.extend(wanted(path));
            request.with_form(&form)
        }
        _ => request,
    }
}

fn asking(request: RequestBuilder, sid: &str, token: &str) -> RequestBuilder {
    request.basic_auth(sid, Some(token))
}

impl Cast {
    /// The requests of a row, in the order of its statuses.
    fn requests(&self, world: &World, route: &str, method: &str) -> [RequestBuilder; 7] {
        let Self { own, other, suspended, closed } = self;
        let by = |asker: &Tenant, account: &Tenant, holder: &Tenant| {
            let path = path(route, &account.account, holder.sid(route));
            asking(request(world, method, &path), &asker.account.sid, &asker.account.token)
        };
        let anonymous = || request(world, method, &path(route, &own.account, own.sid(route)));
        [
            anonymous(),
            anonymous().header("Authorization", "Basic !"),
            asking(anonymous(), &own.account.sid, &other.account.token),
            by(closed, closed, closed),
            by(suspended, suspended, suspended),
            by(own, other, other),
            by(own, own, other),
        ]
    }
}

fn assert_as_expected(answer: &Answer, status: u16) {
    match status {
        401 => {
            answer.assert_refused(401, 20003);
            assert_eq!(answer.header("WWW-Authenticate"), "Basic realm=\"numberbank\"");
        }
        403 => answer.assert_refused(403, 20005),
        404 => answer.assert_refused(404, 20404),
        granted => drop(answer.assert_status(granted)),
    }
}

#[test]
fn every_route_and_method_is_in_the_table() {
    for (routes, table) in [(v2008::ROUTES, OF_2008), (v2010::ROUTES, OF_2010)] {
        let routes = routes.iter().flat_map(|(path, methods)| methods.iter().map(move |method| (*path, *method)));
        let table = table.iter().map(|(path, method, _)| (*path, *method));
        assert_eq!(routes.collect::<BTreeSet<_>>(), table.collect::<BTreeSet<_>>());
    }
}

#[test]
fn everybody_gets_what_the_table_says_and_a_refusal_changes_nothing() {
    test(async |world| {
        for tree in TREES {
            let cast = cast(world).await;
            for (route, method, statuses) in rows_of(tree) {
                for (request, status) in cast.requests(world, &route, method).into_iter().zip(statuses) {
                    if status == NONE {
                        continue;
                    }
                    let before = world.fingerprint().await;
                    let answer = Answer::of(request).await;
                    println!("{method} {route}: {status}");
                    assert_as_expected(&answer, status);
                    assert!(status < 400 || before == world.fingerprint().await, "a refusal changed something");
                }
            }
        }
    });
}

#[test]
fn the_right_caller_is_granted_every_row() {
    test(async |world| {
        for tree in TREES {
            let Cast { own, .. } = cast(world).await;
            // There are no mobile numbers to be had.
            let granted =
                rows_of(tree).filter(|(route, method, _)| (*method, route.ends_with("/Mobile")) != ("POST", true));
            for (route, method, _) in granted {
                let request = request(world, method, &path(&route, &own.account, own.sid(&route)));
                let answer = Answer::of(asking(request, &own.account.sid, &own.account.token)).await;
                assert!((200..300).contains(&answer.status), "{method} {route}: {}", answer.body);
            }
        }
    });
}

#[test]
fn an_unknown_account_a_closed_one_and_a_wrong_token_look_the_same() {
    test(async |world| {
        let Cast { own, other, closed, .. } = cast(world).await;
        let unknown = "AC00000000000000000000000000000000";
        for (route, method, _) in rows() {
            let path = path(&route, &own.account, own.sid(&route));
            let refused = async |sid: &str, token: &str| {
                let answer = Answer::of(asking(request(world, method, &path), sid, token)).await;
                answer.assert_refused(401, 20003);
                (answer.timeless_headers(), answer.body)
            };
            let wrong_token = refused(&own.account.sid, &other.account.token).await;
            assert_eq!(refused(unknown, &own.account.token).await, wrong_token, "{method} {route}");
            assert_eq!(refused(&closed.account.sid, &closed.account.token).await, wrong_token, "{method} {route}");
        }
    });
}

#[test]
fn what_is_anothers_and_what_does_not_exist_look_the_same() {
    test(async |world| {
        let Cast { own, other, .. } = cast(world).await;
        let nobody = Account { sid: "AC00000000000000000000000000000000".to_owned(), token: String::new() };
        for (route, method, _) in rows().filter(|(route, ..)| route.contains("{AccountSid}")) {
            let nothing = format!("{}{}", &own.sid(&route)[..2], "0".repeat(32));
            let refused = async |account: &Account, sid: &str| {
                let request = request(world, method, &path(&route, account, sid));
                let answer = Answer::of(asking(request, &own.account.sid, &own.account.token)).await;
                answer.assert_refused(404, 20404);
                // In 2010-04-01 the message repeats the path.
                let body = answer.body.replace(&account.sid, "AC").replace(sid, "Sid");
                let mut headers = answer.timeless_headers();
                headers.remove("content-length");
                (headers, body)
            };
            let anothers = refused(&other.account, other.sid(&route)).await;
            assert_eq!(refused(&nobody, &nothing).await, anothers, "{method} {route}");
            if route.contains("{Sid}") {
                let anothers = refused(&own.account, other.sid(&route)).await;
                assert_eq!(refused(&own.account, &nothing).await, anothers, "{method} {route}");
            }
        }
    });
}

#[test]
fn a_list_shows_the_callers_own_numbers_only() {
    test(async |world| {
        let Cast { own, other, .. } = cast(world).await;
        for tenant in [&own, &other] {
            for below in ["", "/Local"] {
                let answer = world.server.get(&tenant.account, &format!("/IncomingPhoneNumbers{below}")).await;
                assert_eq!(answer.elements("Sid"), [tenant.number.as_str()]);
                assert_eq!(answer.elements("AccountSid"), [tenant.account.sid.as_str()]);
            }
            let answer = world.server.get(&tenant.account, "/IncomingPhoneNumbers/TollFree").await;
            assert_eq!(answer.elements("Sid"), [""; 0]);
        }
    });
}

/// Whether a route of 2010-04-01 is of accounts or keys, which a standard key does not manage.
fn is_managing(route: &str) -> bool {
    let below = route.trim_start_matches(v2010::TREE);
    ["/Accounts", "/Accounts/{AccountSid}"].contains(&below) || below.contains("/Keys")
}

#[test]
fn an_api_key_may_do_what_its_scope_says() {
    test(async |world| {
        let Cast { own, other, closed, .. } = cast(world).await;
        // There are no mobile numbers to be had.
        let rows = rows().filter(|(route, method, _)| *method != "POST" || !route.ends_with("/Mobile"));
        for (route, method, _) in rows {
            let ask = async |key: &ApiKey, of_path: &Tenant| {
                let request = request(world, method, &path(&route, &of_path.account, of_path.sid(&route)));
                Answer::of(asking(request, &key.sid, &key.secret)).await
            };
            if route.starts_with(v2008::TREE) {
                // This version does not know them.
                ask(&own.main_key, &own).await.assert_refused(401, 20003);
                continue;
            }
            ask(&closed.main_key, &closed).await.assert_refused(401, 20003);
            let before = world.fingerprint().await;
            if route.contains("{AccountSid}") {
                ask(&own.main_key, &other).await.assert_refused(404, 20404);
                ask(&own.standard_key, &other).await.assert_refused(404, 20404);
            }
            if is_managing(&route) {
                ask(&own.standard_key, &own).await.assert_refused(403, 20006);
            }
            assert_eq!(before, world.fingerprint().await, "a refusal changed something");
            let key = if is_managing(&route) { &own.main_key } else { &own.standard_key };
            let answer = ask(key, &own).await;
            assert!((200..300).contains(&answer.status), "{method} {route}: {}", answer.body);
        }
    });
}
