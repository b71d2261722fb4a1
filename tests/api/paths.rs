//! Methods, spellings of paths, and the representations that their endings ask for.

use reqwest::RequestBuilder;

use crate::support::{Account, Answer, WithForm, World, test};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

/// The methods of each resource, by the contract.
const RESOURCES: &[(&str, &[&str])] = &[
    ("/Accounts", &["GET"]),
    ("/Accounts/{AccountSid}", &["GET", "POST", "PUT"]),
    ("/Accounts/{AccountSid}/Balance", &["GET"]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers", &["GET"]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/Local", &["GET", "POST"]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/TollFree", &["GET", "POST"]),
    ("/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}", &["GET", "POST", "PUT", "DELETE"]),
];

/// An account with a number, and the number's Sid.
async fn holder(world: &World) -> (Account, String) {
    world.stock(4_158_675_300, 5).await;
    let account = world.account("10.00").await;
    let number = world.server.buy(&account, &[("Url", "http://example.com/old")]).await;
    (account, number.assert_status(201).element("Sid"))
}

fn path(resource: &str, account: &Account, number: &str) -> String {
    format!("/2008-08-01{}", resource.replace("{AccountSid}", &account.sid).replace("{Sid}", number))
}

fn call(world: &World, account: &Account, method: &str, path: &str) -> RequestBuilder {
    world.server.request(method, path).basic_auth(&account.sid, Some(&account.token))
}

/// Fails unless exactly these methods are allowed, and those of every resource.
#[track_caller]
fn assert_allows(answer: &Answer, methods: &[&str]) {
    let mut allowed: Vec<_> = answer.header("Allow").split(", ").collect();
    let mut expected = [methods, &["HEAD", "OPTIONS"]].concat();
    allowed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(allowed, expected);
}

#[test]
fn head_answers_as_get_without_the_body() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let missing = ["/Accounts/Nobody", "/Accounts/{AccountSid}/IncomingPhoneNumbers/PN1", "/Nothing"];
        for resource in RESOURCES.iter().map(|(resource, _)| *resource).chain(missing) {
            for ending in ["", ".json", ".csv"] {
                let path = path(resource, &account, &number) + ending;
                let get = Answer::of(call(world, &account, "GET", &path)).await;
                let head = Answer::of(call(world, &account, "HEAD", &path)).await;
                assert_eq!((head.status, head.timeless_headers()), (get.status, get.timeless_headers()), "{path}");
                assert_eq!(head.body, "", "{path}");
                assert_eq!(get.header("Content-Length"), get.body.len().to_string(), "{path}");
            }
        }
    });
}

#[test]
fn head_without_credentials_is_refused_as_get_is() {
    test(async |world| {
        let get = Answer::of(world.server.request("GET", "/2008-08-01/Accounts")).await;
        let head = Answer::of(world.server.request("HEAD", "/2008-08-01/Accounts")).await;
        get.assert_refused(401, 20003);
        assert_eq!((head.status, head.timeless_headers()), (401, get.timeless_headers()));
        assert_eq!(head.body, "");
    });
}

#[test]
fn options_tells_the_methods_to_anybody() {
    test(async |world| {
        let (account, number) = holder(world).await;
        for (resource, methods) in RESOURCES {
            let answer = Answer::of(world.server.request("OPTIONS", &path(resource, &account, &number))).await;
            assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{resource}");
            assert_allows(&answer, methods);
        }
    });
}

#[test]
fn every_other_method_is_405_and_told_which_there_are() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let before = world.fingerprint().await;
        for (resource, methods) in RESOURCES {
            for method in METHODS.iter().filter(|method| !methods.contains(method)) {
                let path = path(resource, &account, &number);
                let answer = Answer::of(call(world, &account, method, &path)).await;
                answer.assert_refused(405, 20004);
                assert_allows(&answer, methods);
            }
        }
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn a_post_may_act_as_put_or_delete() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let below = format!("/IncomingPhoneNumbers/{number}");
        let form = [("Url", "http://example.com/new")];
        let answer = world.server.post(&account, &format!("{below}?_method=PUT"), &form).await;
        assert_eq!(answer.assert_status(200).element("Url"), "http://example.com/new");
        let answer = world.server.post(&account, &format!("{below}?_method=DELETE"), &[]).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        world.server.get(&account, &below).await.assert_refused(404, 20404);
    });
}

#[test]
fn a_method_that_is_meant_can_be_405_too() {
    test(async |world| {
        let (account, _) = holder(world).await;
        for (below, meant, methods) in [
            ("", "DELETE", &["GET", "POST", "PUT"][..]),
            ("/IncomingPhoneNumbers", "PUT", &["GET"]),
            ("/IncomingPhoneNumbers/Local", "PUT", &["GET", "POST"]),
            ("/IncomingPhoneNumbers/TollFree", "DELETE", &["GET", "POST"]),
        ] {
            let answer = world.server.post(&account, &format!("{below}?_method={meant}"), &[]).await;
            answer.assert_refused(405, 20004);
            assert_allows(&answer, methods);
        }
    });
}

#[test]
fn any_other_use_of_the_meant_method_is_refused_and_changes_nothing() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let before = world.fingerprint().await;
        for (method, meant) in [
            ("POST", "GET"),
            ("POST", "POST"),
            ("POST", "HEAD"),
            ("POST", "delete"),
            ("POST", "PATCH"),
            ("POST", ""),
            ("GET", "DELETE"),
            ("GET", "PUT"),
            ("PUT", "DELETE"),
            ("DELETE", "PUT"),
            ("OPTIONS", "PUT"),
        ] {
            let below = format!("/IncomingPhoneNumbers/{number}?_method={meant}");
            let answer = Answer::of(world.server.call(&account, method, &below)).await;
            answer.assert_refused(400, 29002);
            assert!(answer.element("Message").contains("_method"), "{method} {meant}");
        }
        let twice = format!("/IncomingPhoneNumbers/{number}?_method=DELETE&_method=DELETE");
        world.server.post(&account, &twice, &[]).await.assert_refused(400, 29003);
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn a_method_in_the_form_is_a_parameter_like_others() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let below = format!("/IncomingPhoneNumbers/{number}");
        let form = [("Url", "http://example.com/new"), ("_method", "DELETE")];
        world.server.post(&account, &below, &form).await.assert_status(200);
        world.server.get(&account, &below).await.assert_status(200);
    });
}

#[test]
fn paths_are_case_sensitive() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let own = account.path();
        for path in [
            "/2008-08-01/accounts".to_owned(),
            "/2008-08-01/ACCOUNTS".to_owned(),
            own.replace("AC", "ac"),
            own.to_uppercase(),
            format!("{own}/balance"),
            format!("{own}/incomingphonenumbers"),
            format!("{own}/IncomingPhonenumbers"),
            format!("{own}/IncomingPhoneNumbers/local"),
            format!("{own}/IncomingPhoneNumbers/Tollfree"),
            format!("{own}/IncomingPhoneNumbers.JSON"),
            format!("{own}/IncomingPhoneNumbers/PN{}", number[2..].to_uppercase()),
            format!("{own}/IncomingPhoneNumbers/pn{}", &number[2..]),
        ] {
            let answer = world.server.follow(&account, &path).await;
            answer.assert_refused(404, 20404);
        }
    });
}

#[test]
fn trailing_and_doubled_slashes_and_an_empty_query_are_forgiven() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let own = account.path();
        for path in [format!("{own}/IncomingPhoneNumbers"), format!("{own}/IncomingPhoneNumbers/{number}")] {
            let plain = world.server.follow(&account, &path).await;
            plain.assert_status(200);
            let doubled = path.replace('/', "//");
            for spelling in [
                format!("/{path}"),
                format!("{path}/"),
                format!("{path}?"),
                format!("{path}/?"),
                format!("{path}.xml"),
                format!("{path}.xml/"),
                doubled.clone(),
                doubled + "//",
            ] {
                let headers = [("Authorization", account.authorization())];
                let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
                let answer = world.server.raw(&format!("GET {spelling}"), &headers, b"").await;
                let same = answer.body == plain.body.replace("Numbers?", "Numbers.xml?");
                assert!(same || answer.body == plain.body, "{spelling}: {}", answer.body);
            }
        }
    });
}

#[test]
fn a_write_is_forgiven_its_slashes_too() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let own = account.path();
        let bought = call(world, &account, "POST", &format!("/{own}/IncomingPhoneNumbers//Local/")).with_form(&[]);
        Answer::of(bought).await.assert_status(201);
        let released = call(world, &account, "DELETE", &format!("/{own}//IncomingPhoneNumbers/{number}/?"));
        assert_eq!(Answer::of(released).await.status, 204);
    });
}

#[test]
fn endings_choose_the_representation_of_every_resource() {
    test(async |world| {
        let (account, number) = holder(world).await;
        // The list of toll-free numbers would be empty; golden/ has one that is not.
        for (resource, _) in RESOURCES.iter().filter(|(resource, _)| !resource.ends_with("TollFree")) {
            let path = path(resource, &account, &number);
            for (ending, content_type) in [
                ("", "application/xml; charset=utf-8"),
                (".xml", "application/xml; charset=utf-8"),
                (".json", "application/json"),
                (".csv", "text/csv; charset=utf-8"),
            ] {
                let answer = world.server.follow(&account, &format!("{path}{ending}")).await;
                answer.assert_status(200);
                assert_eq!(answer.header("Content-Type"), content_type, "{path}{ending}");
                assert_holds_the_same(&answer, &world.server.follow(&account, &path).await);
            }
        }
    });
}

/// Fails unless an answer says the same as the XML one.
fn assert_holds_the_same(answer: &Answer, xml: &Answer) {
    let (names, values): (Vec<_>, Vec<_>) = xml.leaves().into_iter().unzip();
    let names: Vec<_> = names.iter().map(|path| path.rsplit('/').next().unwrap_or_default()).collect();
    match answer.header("Content-Type").split(';').next() {
        Some("application/json") => {
            let json: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
            let (keys, texts): (Vec<_>, Vec<_>) = json_leaves(&json).into_iter().unzip();
            assert_eq!(keys, names);
            assert_eq!(texts, values);
        }
        Some("text/csv") => {
            let mut reader = csv::Reader::from_reader(answer.body.as_bytes());
            assert_eq!(reader.headers().expect("a head"), names);
            let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
            assert_eq!(rows, [csv::StringRecord::from(values)]);
        }
        _ => assert_eq!(answer.leaves(), xml.leaves()),
    }
}

/// The names and texts of a JSON answer, in which every value is a string.
fn json_leaves(json: &serde_json::Value) -> Vec<(String, String)> {
    use serde_json::Value;
    match json {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(text) => vec![(name.clone(), text.clone())],
                inner => json_leaves(inner),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(json_leaves).collect(),
        other => panic!("{other} is no string"),
    }
}

#[test]
fn the_uris_of_a_list_keep_the_representation() {
    test(async |world| {
        let (account, _) = holder(world).await;
        world.server.buy(&account, &[]).await.assert_status(201);
        for ending in [".json", ".csv"] {
            let path = format!("{}/IncomingPhoneNumbers{ending}?PageSize=1", account.path());
            let first = world.server.follow(&account, &path).await;
            let link = first.header("Link");
            let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
            let next = next.unwrap_or_else(|| panic!("{link}"));
            let second = world.server.follow(&account, next).await;
            assert_eq!(second.header("Content-Type"), first.header("Content-Type"));
            assert_ne!(second.assert_status(200).body, first.body);
        }
    });
}

#[test]
fn errors_come_in_the_representation_that_was_asked_for() {
    test(async |world| {
        let account = world.account("10.00").await;
        let site = &world.server.site;
        let json = world.server.get(&account, "/IncomingPhoneNumbers/PN1.json").await;
        assert_eq!((json.status, json.header("Content-Type")), (404, "application/json"));
        insta::assert_snapshot!(json.body.replace(site, "[site]"), @r#"{"TwilioResponse":{"RestException":{"Status":"404","Message":"There is no such resource in this account","Code":"20404","MoreInfo":"[site]/docs/errors/20404"}},"status":404,"code":20404,"message":"There is no such resource in this account","more_info":"[site]/docs/errors/20404"}"#);
        for ending in ["", ".xml", ".csv"] {
            let xml = world.server.get(&account, &format!("/IncomingPhoneNumbers/PN1{ending}")).await;
            xml.assert_refused(404, 20404);
            assert_eq!(xml.header("Content-Type"), "application/xml; charset=utf-8");
            insta::allow_duplicates! {
                insta::assert_snapshot!(xml.body.replace(site, "[site]"), @r#"<?xml version="1.0" encoding="UTF-8"?><TwilioResponse><RestException><Status>404</Status><Message>There is no such resource in this account</Message><Code>20404</Code><MoreInfo>[site]/docs/errors/20404</MoreInfo></RestException></TwilioResponse>"#);
            }
        }
    });
}

#[test]
fn every_kind_of_error_comes_in_json_too() {
    test(async |world| {
        let account = world.account("10.00").await;
        let own = account.path();
        let large = "a".repeat(16 * 1024 + 1);
        for (status, request) in [
            (401, world.server.request("GET", &format!("{own}.json"))),
            (404, world.server.request("GET", "/2008-08-01/Nothing.json")),
            (405, call(world, &account, "DELETE", &format!("{own}.json"))),
            (400, call(world, &account, "GET", &format!("{own}.json?a=%zz"))),
            (400, call(world, &account, "GET", &format!("{own}.json?_method=PUT"))),
            (413, call(world, &account, "POST", &format!("{own}.json")).body(large)),
            (415, call(world, &account, "POST", &format!("{own}.json")).header("Content-Type", "text/plain").body("a")),
        ] {
            let answer = Answer::of(request).await;
            let json: serde_json::Value = serde_json::from_str(&answer.assert_status(status).body).expect("JSON");
            assert_eq!(json["TwilioResponse"]["RestException"]["Status"], status.to_string());
            assert_eq!(answer.header("Content-Type"), "application/json");
        }
    });
}

#[test]
fn unknown_paths_are_404_for_everybody() {
    test(async |world| {
        let account = world.account("10.00").await;
        let own = account.path();
        for path in [
            "/2008-08-01".to_owned(),
            "/2008-08-01.json/Accounts".to_owned(),
            "/2011-01-01/Accounts".to_owned(),
            "/Accounts".to_owned(),
            "/2008-08-01/Calls".to_owned(),
            format!("{own}/Calls"),
            format!("{own}/Balance/More"),
            format!("{own}/IncomingPhoneNumbers/Local/More"),
            "/docs".to_owned(),
            "/docs/errors".to_owned(),
        ] {
            for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
                let answer = Answer::of(call(world, &account, method, &path)).await;
                println!("{method} {path}");
                answer.assert_refused(404, 20404);
            }
            Answer::of(world.server.request("GET", &path)).await.assert_refused(404, 20404);
        }
    });
}

#[test]
fn what_a_registry_of_numbers_has_not_says_so() {
    test(async |world| {
        let account = world.account("10.00").await;
        for name in [
            "Calls",
            "SMS",
            "Recordings",
            "Notifications",
            "OutgoingCallerIds",
            "Sandbox",
            "Conferences",
            "Transcriptions",
        ] {
            for below in ["", "/", ".json", ".csv", "/CA1", "/Messages.xml", "/CA1/Recordings", "?Status=1"] {
                let path = format!("{}/{name}{below}", account.path());
                for method in ["GET", "POST", "PUT", "DELETE"] {
                    let answer = Answer::of(call(world, &account, method, &path)).await;
                    assert_eq!(answer.status, 404, "{method} {path}");
                    let says = format!("numberbank keeps numbers; it has no {name}");
                    assert!(answer.body.contains("20404") && answer.body.contains(&says), "{}", answer.body);
                }
            }
            for path in [
                format!("{}/{}", account.path(), name.to_lowercase()),
                format!("{}/{name}s", account.path()),
                format!("{}/IncomingPhoneNumbers/{name}", account.path()),
                format!("/2008-08-01/{name}"),
                format!("/2010-04-01/Accounts/{}/{name}", account.sid),
            ] {
                let answer = world.server.follow(&account, &path).await;
                answer.assert_refused(404, 20404);
                assert!(!answer.body.contains("numberbank keeps"), "{}", answer.body);
            }
        }
    });
}

#[test]
fn a_path_of_percent_encoded_junk_names_nothing() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let own = account.path();
        let before = world.fingerprint().await;
        for junk in ["%00", "%ff", "%zz", "%", "%2", "%2F", "%2E%2E", "%0d%0a", "%25", "%c3%28", ";", "'--", "{}", "~"]
        {
            for path in [
                format!("/2008-08-01/{junk}"),
                format!("/2008-08-01/Accounts/{junk}"),
                format!("{own}{junk}"),
                format!("{own}/IncomingPhoneNumbers/{junk}"),
                format!("{own}/IncomingPhoneNumbers/{number}{junk}"),
                format!("{own}/IncomingPhoneNumbers/PN{junk}.csv"),
            ] {
                let authorization = account.authorization();
                let headers = [("Authorization", authorization.as_str())];
                for method in ["GET", "DELETE"] {
                    let answer = world.server.raw(&format!("{method} {path}"), &headers, b"").await;
                    println!("{method} {path}");
                    match answer.status {
                        // Any account name may be in this path.
                        405 if method == "DELETE" => answer.assert_refused(405, 20004),
                        _ => answer.assert_refused(404, 20404),
                    }
                }
            }
        }
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn an_encoded_letter_of_a_path_is_that_letter() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let spelt = format!("{}/%49ncomingPhoneNumbers/%50{}", account.path(), &number[1..]);
        let answer = world.server.follow(&account, &spelt).await;
        assert_eq!(answer.assert_status(200).element("Sid"), number);
    });
}
