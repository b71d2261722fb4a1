//! Requests that cannot be read or are refused, and the pages that explain why.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use numberbank::web::codes::Code;
use reqwest::RequestBuilder;

use crate::support::{Account, Answer, PARAMETERS, World, test};

const FORM: &str = "application/x-www-form-urlencoded";
const LOCAL: &str = "/IncomingPhoneNumbers/Local";

/// An account that could buy, and the path below it of a number that it holds.
async fn holder(world: &World) -> (Account, String) {
    world.stock(4_158_670_000, 50).await;
    let account = world.account("50.00").await;
    let number = world.server.buy(&account, &[("Url", "http://example.com/old")]).await;
    let path = format!("/IncomingPhoneNumbers/{}", number.assert_status(201).element("Sid"));
    (account, path)
}

/// Every request that takes a form, with this one.
fn writes(world: &World, account: &Account, number: &str, form: &str) -> Vec<RequestBuilder> {
    let writes = [("POST", ""), ("PUT", ""), ("POST", LOCAL), ("POST", number), ("PUT", number)];
    let request =
        |(method, below)| world.server.call(account, method, below).header("Content-Type", FORM).body(form.to_owned());
    writes.into_iter().map(request).collect()
}

// Parameters

#[test]
fn the_same_parameter_twice_is_error_29003() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let before = world.fingerprint().await;
        for name in PARAMETERS {
            let updated = if name == "AreaCode" { LOCAL } else { &number };
            for below in [LOCAL, updated] {
                // Even with the same value twice, or with empty ones.
                for form in [
                    format!("{name}=1&{name}=2"),
                    format!("{name}=&{name}="),
                    format!("{name}&%{:x}{}", name.as_bytes()[0], &name[1..]),
                ] {
                    let request = world.server.call(&account, "POST", below).header("Content-Type", FORM).body(form);
                    let answer = Answer::of(request).await;
                    answer.assert_refused(400, 29003);
                    assert!(answer.element("Message").contains(name), "{}", answer.body);
                }
            }
        }
        let account_twice = world.server.post(&account, "", &[("FriendlyName", "a"), ("FriendlyName", "a")]).await;
        account_twice.assert_refused(400, 29003);
        assert_eq!(world.fingerprint().await, before);
    });
}

/// Texts that are not a form: broken percent-encoding, text that is not UTF-8, a NUL.
const UNREADABLE: [&str; 12] = [
    "Url=%",
    "Url=%4",
    "Url=%zz",
    "Url=%+1",
    "Url=100%",
    "Url=%ff",
    "Url=%c3%28",
    "Url=%ed%a0%80",
    "Url=%00",
    "a%00b=1",
    "%=1",
    "x=1&y=%f",
];

#[test]
fn an_unreadable_form_is_error_29004() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let before = world.fingerprint().await;
        for form in UNREADABLE {
            for request in writes(world, &account, &number, form) {
                Answer::of(request).await.assert_refused(400, 29004);
            }
        }
        for bytes in [&b"Url=\xff"[..], b"\0", b"Url=http://example.com/\0", b"FriendlyName=\xc3\x28"] {
            let request = world.server.call(&account, "POST", LOCAL).header("Content-Type", FORM).body(bytes.to_vec());
            Answer::of(request).await.assert_refused(400, 29004);
        }
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn an_unreadable_query_is_error_29004() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let authorization = account.authorization();
        let headers = [("Authorization", authorization.as_str())];
        let before = world.fingerprint().await;
        for query in UNREADABLE {
            for (method, below) in
                [("GET", "/IncomingPhoneNumbers"), ("GET", &number), ("POST", LOCAL), ("DELETE", &number)]
            {
                let line = format!("{method} {}{below}?{query}", account.path());
                world.server.raw(&line, &headers, b"").await.assert_refused(400, 29004);
            }
        }
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn odd_forms_that_can_be_read_are() {
    test(async |world| {
        let (account, number) = holder(world).await;
        for (form, name) in [
            ("Url=&FriendlyName=a+b%20c", "a b c"),
            ("&&Url=&&FriendlyName=a=b&", "a=b"),
            ("Url&FriendlyName=%C3%A9%c3%a9", "éé"),
            ("=&=x&Url=&FriendlyName=x", "x"),
            ("%55rl=&Friendly%4Eame=y", "y"),
            ("Unknown=1&Unknown=2&Url=&FriendlyName=z", "z"),
        ] {
            let request = world.server.call(&account, "POST", &number).header("Content-Type", FORM).body(form);
            assert_eq!(Answer::of(request).await.assert_status(200).text("FriendlyName"), name, "{form}");
        }
    });
}

// Bodies

/// A form of `size` bytes that gives the account this name.
fn form_of(name: &str, length: usize) -> String {
    let start = format!("FriendlyName={name}&Padding=");
    format!("{start}{}", "a".repeat(length - start.len()))
}

#[test]
fn a_body_of_16_kib_is_read_and_one_of_a_byte_more_is_413() {
    test(async |world| {
        let (account, number) = holder(world).await;
        for request in writes(world, &account, &number, &format!("{}&Url=", form_of("Large", 16384 - 5))) {
            assert_eq!(Answer::of(request).await.text("FriendlyName"), "Large");
        }
        let before = world.fingerprint().await;
        for length in [16385, 100_000, 1_000_000, 1_048_576] {
            for request in writes(world, &account, &number, &form_of("Larger", length)) {
                Answer::of(request).await.assert_refused(413, 29006);
            }
        }
        assert_eq!(world.fingerprint().await, before);
    });
}

/// A body in chunks of at most 1,000 bytes.
fn chunked(body: &str) -> Vec<u8> {
    let mut chunks = Vec::new();
    for chunk in body.as_bytes().chunks(1000) {
        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    chunks
}

#[test]
fn a_body_in_chunks_counts_as_a_whole() {
    test(async |world| {
        let account = world.account("1.00").await;
        let authorization = account.authorization();
        let headers =
            [("Authorization", authorization.as_str()), ("Content-Type", FORM), ("Transfer-Encoding", "chunked")];
        let line = format!("POST {}", account.path());
        let answer = world.server.raw(&line, &headers, &chunked(&form_of("Chunked", 16384))).await;
        assert_eq!(answer.assert_status(200).text("FriendlyName"), "Chunked");
        for length in [16385, 200_000] {
            let answer = world.server.raw(&line, &headers, &chunked(&form_of("Larger", length))).await;
            answer.assert_refused(413, 29006);
        }
        assert_eq!(world.server.get(&account, "").await.text("FriendlyName"), "Chunked");
    });
}

#[test]
fn a_body_that_is_announced_as_huge_is_413_before_it_comes() {
    test(async |world| {
        let account = world.account("1.00").await;
        let authorization = account.authorization();
        let headers =
            [("Authorization", authorization.as_str()), ("Content-Type", FORM), ("Content-Length", "5000000000")];
        let answer = world.server.raw(&format!("POST {}", account.path()), &headers, b"FriendlyName=x").await;
        answer.assert_refused(413, 29006);
    });
}

#[test]
fn another_content_type_is_415() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let before = world.fingerprint().await;
        for content_type in [
            "application/json",
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/xml",
            "application/x-www-form-urlencoded-not",
            "x",
            "",
        ] {
            for (method, below) in [("POST", ""), ("POST", LOCAL), ("POST", &number), ("PUT", &number)] {
                let request = world.server.call(&account, method, below).header("Content-Type", content_type);
                Answer::of(request.body("Url=&FriendlyName=x")).await.assert_refused(415, 29007);
            }
        }
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn a_form_goes_by_its_type_in_any_case_or_by_none() {
    test(async |world| {
        let (account, number) = holder(world).await;
        for (name, content_type) in [
            ("a", Some("application/x-www-form-urlencoded; charset=UTF-8")),
            ("b", Some("Application/X-WWW-Form-URLEncoded")),
            ("c", Some(" application/x-www-form-urlencoded ;x=y")),
            ("d", None),
        ] {
            let request = world.server.call(&account, "POST", &number).body(format!("Url=&FriendlyName={name}"));
            let request =
                content_type.into_iter().fold(request, |request, value| request.header("Content-Type", value));
            assert_eq!(Answer::of(request).await.assert_status(200).text("FriendlyName"), name);
        }
    });
}

#[test]
fn json_is_not_taken_for_a_form() {
    test(async |world| {
        let account = world.account("9.00").await;
        world.stock(4_158_670_000, 9).await;
        for body in ["{\"AreaCode\":\"415\"}", "[1]"] {
            let call = world.server.call(&account, "POST", "/IncomingPhoneNumbers/Local");
            let call = call.header("Content-Type", "application/x-www-form-urlencoded").body(body);
            Answer::of(call).await.assert_refused(400, 29004);
        }
        assert_eq!(world.server.balance(&account).await, "9.00");
    });
}

#[test]
fn a_content_encoding_is_415() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let before = world.fingerprint().await;
        for encoding in ["gzip", "deflate", "br", "x", "identity, gzip", "gzip, identity"] {
            for body in ["Url=&FriendlyName=x", ""] {
                for request in writes(world, &account, &number, body) {
                    let answer = Answer::of(request.header("Content-Encoding", encoding)).await;
                    answer.assert_refused(415, 29007);
                    assert!(answer.element("Message").contains("Content-Encoding"), "{}", answer.body);
                }
            }
        }
        assert_eq!(world.fingerprint().await, before);
        for encoding in ["identity", "Identity", "", "identity, identity"] {
            for request in writes(world, &account, &number, "FriendlyName=x") {
                let answer = Answer::of(request.header("Content-Encoding", encoding)).await;
                assert_eq!(answer.text("FriendlyName"), "x", "{encoding}");
            }
        }
    });
}

#[test]
fn a_line_feed_in_a_form_is_named_as_the_fault() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let before = world.fingerprint().await;
        for form in [
            "AreaCode=415\n",
            "AreaCode=415\r\n",
            "FriendlyName=x\n",
            "Unknown=1\n",
            "AreaCode=\n",
            "\n",
            "\r\n\r\n",
            "Unknown=1\nAreaCode=415",
            "AreaCode=415&\nFriendlyName=x",
        ] {
            for request in writes(world, &account, &number, form) {
                let answer = Answer::of(request).await;
                answer.assert_refused(400, 29004);
                assert!(answer.element("Message").contains("line feed"), "{}", answer.body);
            }
        }
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn an_empty_body_is_an_empty_form_of_whichever_type() {
    test(async |world| {
        let (account, number) = holder(world).await;
        for content_type in [FORM, "application/json", "text/plain"] {
            let bought = world.server.call(&account, "POST", LOCAL).header("Content-Type", content_type);
            Answer::of(bought).await.assert_status(201);
            let updated = world.server.call(&account, "POST", &number).header("Content-Type", content_type);
            Answer::of(updated).await.assert_status(200);
        }
        Answer::of(world.server.call(&account, "POST", LOCAL)).await.assert_status(201);
        Answer::of(world.server.call(&account, "POST", LOCAL).body("")).await.assert_status(201);
    });
}

#[test]
fn the_body_of_a_get_or_delete_does_not_matter() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let junk = "%zz".repeat(10);
        let get = world.server.call(&account, "GET", &number).header("Content-Type", "text/plain").body(junk.clone());
        Answer::of(get).await.assert_status(200);
        let delete = world.server.call(&account, "DELETE", &number).body(junk);
        assert_eq!(Answer::of(delete).await.status, 204);
    });
}

// Credentials

async fn with_authorization(world: &World, account: &Account, value: &[u8]) -> Answer {
    let value = reqwest::header::HeaderValue::from_bytes(value).expect("a header's value");
    Answer::of(world.server.request("GET", &account.path()).header("Authorization", value)).await
}

#[test]
fn basic_credentials_are_read_in_any_case_of_the_scheme() {
    test(async |world| {
        let account = world.account("1.00").await;
        let encoded = STANDARD.encode(format!("{}:{}", account.sid, account.token));
        for scheme in ["Basic", "basic", "BASIC", "bAsIc"] {
            let answer = with_authorization(world, &account, format!("{scheme} {encoded}").as_bytes()).await;
            answer.assert_status(200);
        }
        with_authorization(world, &account, format!("Basic  {encoded}").as_bytes()).await.assert_status(200);
    });
}

#[test]
fn anything_but_basic_credentials_is_401() {
    test(async |world| {
        let (account, other) = (world.account("1.00").await, world.account("1.00").await);
        let (sid, token) = (&account.sid, &account.token);
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text)).into_bytes();
        let encoded = STANDARD.encode(format!("{sid}:{token}"));
        for value in [
            b"".to_vec(),
            b"Basic".to_vec(),
            b"Basic ".to_vec(),
            b"Basic !!!".to_vec(),
            b"Basic \xff\xfe".to_vec(),
            format!("Basic {encoded}x").into_bytes(),
            format!("Basic {encoded} {encoded}").into_bytes(),
            format!("Basic{encoded}").into_bytes(),
            format!("Bearer {encoded}").into_bytes(),
            format!("Bearer {token}").into_bytes(),
            encoded.clone().into_bytes(),
            format!("Basic {sid}:{token}").into_bytes(),
            format!("Basic {}", STANDARD.encode(b"\xff\xfe:\xff")).into_bytes(),
            basic(&format!("{sid}{token}")),
            basic(sid),
            basic(":"),
            basic(&format!(":{token}")),
            basic(&format!("{sid}:")),
            basic(&format!("{sid}: {token}")),
            basic(&format!("{sid}:{token} ")),
            basic(&format!("{sid}:{token}\0")),
            basic(&format!("{sid}:{token}:")),
            basic(&format!(" {sid}:{token}")),
            basic(&format!("{}:{token}", sid.to_lowercase())),
            basic(&format!("{}:{token}", sid.to_uppercase())),
            basic(&format!("{sid}:{}", token.to_uppercase())),
            basic(&format!("{sid}:{}", &token[1..])),
            basic(&format!("{sid}:{}", other.token)),
            basic(&format!("{}:{token}", other.sid)),
            basic(&format!("{token}:{sid}")),
            basic(&format!("{sid}:{}", "x".repeat(5000))),
        ] {
            let answer = with_authorization(world, &account, &value).await;
            println!("{:?}", String::from_utf8_lossy(&value));
            answer.assert_refused(401, 20003);
            assert_eq!(answer.header("WWW-Authenticate"), "Basic realm=\"numberbank\"");
        }
    });
}

#[test]
fn a_base64_of_another_kind_is_not_guessed_at() {
    test(async |world| {
        let account = world.account("1.00").await;
        let credentials = format!("{}:{}", account.sid, account.token);
        for encoded in [STANDARD_NO_PAD.encode(&credentials), URL_SAFE.encode(&credentials)] {
            let answer = with_authorization(world, &account, format!("Basic {encoded}").as_bytes()).await;
            // Some credentials are the same either way.
            let expected = if encoded == STANDARD.encode(&credentials) { 200 } else { 401 };
            assert_eq!(answer.status, expected, "{encoded}");
        }
    });
}

#[test]
fn credentials_anywhere_else_do_not_count() {
    test(async |world| {
        let account = world.account("1.00").await;
        let (sid, token) = (&account.sid, &account.token);
        for path in [
            format!("/2008-08-01/Accounts/{sid}?AccountSid={sid}&AuthToken={token}"),
            format!("/2008-08-01/Accounts/{sid}?{sid}:{token}"),
        ] {
            Answer::of(world.server.request("GET", &path)).await.assert_refused(401, 20003);
        }
    });
}

// The pages of errors

#[test]
fn the_front_page_says_what_this_is_and_leads_to_every_error() {
    test(async |world| {
        let answer = Answer::of(world.server.request("GET", "/")).await;
        answer.assert_status(200);
        assert_eq!(answer.header("Content-Type"), "text/html; charset=utf-8");
        assert!(
            answer.body.contains("phone number registry") && answer.body.contains("/2008-08-01/Accounts/{AccountSid}")
        );
        for code in Code::ALL {
            let link = format!("<a href=\"/docs/errors/{0}\">{0}: {1}</a>", code.number(), code.title());
            assert!(answer.body.contains(&link), "{link} in {}", answer.body);
        }
        assert_eq!(Answer::of(world.server.request("POST", "/")).await.status, 405);
    });
}

#[test]
fn every_code_has_a_page_with_cause_and_remedy() {
    test(async |world| {
        for code in Code::ALL {
            let answer = Answer::of(world.server.request("GET", &format!("/docs/errors/{}", code.number()))).await;
            answer.assert_status(200);
            assert_eq!(answer.header("Content-Type"), "text/html; charset=utf-8");
            let texts =
                [&code.number().to_string(), &code.status().to_string(), code.title(), &code.cause(), &code.remedy()];
            for text in texts {
                assert!(answer.body.contains(text), "{text} in {}", answer.body);
            }
            let head = Answer::of(world.server.request("HEAD", &format!("/docs/errors/{}", code.number()))).await;
            assert_eq!((head.status, head.timeless_headers()), (200, answer.timeless_headers()));
        }
    });
}

#[test]
fn there_is_no_page_for_any_other_code() {
    test(async |world| {
        for code in [
            "0", "1", "404", "20000", "99999", "65536", "-1", "+21452", "021452", "x", "21452.5", "21452x", "%00",
            "21452/1", "%ff",
        ] {
            let answer = Answer::of(world.server.request("GET", &format!("/docs/errors/{code}"))).await;
            println!("{code}");
            answer.assert_refused(404, 20404);
        }
    });
}

#[test]
fn a_page_can_only_be_read() {
    test(async |world| {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let answer = Answer::of(world.server.request(method, "/docs/errors/21452")).await;
            answer.assert_refused(405, 20004);
            assert_eq!(answer.header("Allow"), "GET, HEAD, OPTIONS");
        }
    });
}

#[test]
fn more_info_leads_to_the_page_of_the_refusal() {
    test(async |world| {
        let account = world.account("1.00").await;
        for (code, answer) in [
            (20003, Answer::of(world.server.request("GET", &account.path())).await),
            (20404, world.server.get(&account, "/Nothing").await),
            (21452, world.server.buy(&account, &[]).await),
        ] {
            assert_eq!(answer.text("Code"), code.to_string());
            let page = Answer::of(world.server.client.get(answer.text("MoreInfo"))).await;
            assert!(page.assert_status(200).body.contains(&format!("Error {code}")), "{}", page.body);
        }
    });
}

#[test]
fn more_info_is_where_the_client_reached_the_server() {
    test(async |world| {
        let trusting = world.limited_server(&["--trust-proxy"]);
        for (server, proxied) in [(&world.server, false), (&trusting, true)] {
            let own = format!("{}/docs/errors/20003", server.site);
            let told = async |headers: &[(&str, &str)]| {
                let request = server.request("GET", "/2008-08-01/Accounts");
                let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
                let answer = Answer::of(request).await;
                answer.assert_refused(401, 20003);
                answer.text("MoreInfo")
            };
            let both = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "numbers.example")];
            let followed = if proxied { "https://numbers.example/docs/errors/20003" } else { &own };
            assert_eq!(told(&both).await, followed);
            // An invalid scheme or host is not used in a link.
            assert_eq!(told(&[("X-Forwarded-Proto", "javascript")]).await, own);
            assert_eq!(told(&[("X-Forwarded-Host", "a\"<b>&'c")]).await, own);
            assert_eq!(told(&[("X-Forwarded-Host", &"a".repeat(300))]).await, own);
            assert_eq!(told(&[("Forwarded", "proto=https;host=numbers.example")]).await, own);
            assert_eq!(told(&[("Host", "named.example:81")]).await, "http://named.example:81/docs/errors/20003");
            assert_eq!(told(&[("Host", "a/b?c#d")]).await, "/docs/errors/20003");
        }
        trusting.stop().await;
    });
}
