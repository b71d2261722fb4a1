//! Programs of 2009 to 2012: requests exactly as they send them, and what they expect of the answers. Recorded from the
//! programs, or written from their sources.

use crate::support::{Account, Answer, Connection, Reply, Server, World, test};

/// An account that can buy, and another that must not notice.
async fn buyer(world: &World) -> Account {
    world.stock(4_158_670_000, 20).await;
    world.stock(8_668_670_000, 5).await;
    let other = world.account("1.00").await;
    world.server.buy(&other, &[("FriendlyName", "Other")]).await.assert_status(201);
    world.account("20.00").await
}

async fn total(world: &World, account: &Account) -> String {
    world.server.get(account, "/IncomingPhoneNumbers").await.attribute("total")
}

/// A request with these lines, and the headers of its body if there is one.
fn request(line: &str, lines: &[&str], body: Option<&str>) -> String {
    let length = body.map(|body| format!("Content-Length: {}", body.len()));
    let lines: Vec<_> = [line].into_iter().chain(lines.iter().copied()).chain(length.as_deref()).collect();
    format!("{}\r\n\r\n{}", lines.join("\r\n"), body.unwrap_or_default())
}

// Services_Twilio for PHP, 3.2 to 3.5: curl, JSON, names of headers in Title-Case

/// What the client makes of an answer: the status and the whole JSON, or its error.
fn services_twilio(reply: &Reply) -> Result<(u16, serde_json::Value), String> {
    if reply.answer.status == 204 {
        return Ok((204, serde_json::Value::Bool(true)));
    }
    match reply.exactly("Content-Type") {
        Some("application/json") => serde_json::from_str(&reply.answer.body).map_err(|error| error.to_string()),
        Some(other) => Err(format!("Unexpected content type: {other}")),
        None => Err("Response header is missing Content-Type".to_owned()),
    }
    .map(|json: serde_json::Value| (reply.answer.status, json))
}

struct ServicesTwilio<'a> {
    connection: Connection,
    server: &'a Server,
    account: &'a Account,
}

impl<'a> ServicesTwilio<'a> {
    async fn new(server: &'a Server, account: &'a Account) -> Self {
        Self { connection: server.open().await, server, account }
    }

    async fn call(&mut self, method: &str, below: &str, form: Option<&str>) -> (u16, serde_json::Value) {
        let path = below.split('?').next().unwrap_or_default();
        let query = &below[path.len()..];
        let line = format!("{method} {}{path}.json{query} HTTP/1.1", self.account.path());
        let (authorization, host) = (self.account.authorization(), self.server.address());
        let (authorization, host) = (format!("Authorization: {authorization}"), format!("Host: {host}"));
        let lines = [
            &authorization,
            "User-Agent: twilio-php/3.5.0",
            &host,
            "Accept: */*",
            "Accept-Charset: utf-8",
            "Content-Type: application/x-www-form-urlencoded",
        ];
        let lines = if form.is_some() { &lines[..] } else { &lines[..5] };
        let reply = self.connection.exchange(&request(&line, lines, form)).await;
        services_twilio(&reply).unwrap_or_else(|why| panic!("{why}: {}", reply.head))
    }
}

#[test]
fn services_twilio_lists_buys_changes_and_releases() {
    test(async |world| {
        let account = buyer(world).await;
        let mut php = ServicesTwilio::new(&world.server, &account).await;
        let form = "AreaCode=415&FriendlyName=My+Line&Url=http%3A%2F%2Fexample.com%2F";
        let (status, bought) = php.call("POST", "/IncomingPhoneNumbers/Local", Some(form)).await;
        let bought = &bought["TwilioResponse"]["IncomingPhoneNumber"];
        assert_eq!((status, &bought["FriendlyName"]), (201, &"My Line".into()));
        let number = format!("/IncomingPhoneNumbers/{}", bought["Sid"].as_str().expect("a Sid"));
        let (status, listed) = php.call("GET", "/IncomingPhoneNumbers?Page=0&PageSize=50", None).await;
        assert_eq!(
            (status, &listed["TwilioResponse"]["IncomingPhoneNumbers"][0]["IncomingPhoneNumber"]),
            (200, bought)
        );
        let (status, updated) = php.call("POST", &number, Some("FriendlyName=New")).await;
        let updated = &updated["TwilioResponse"]["IncomingPhoneNumber"];
        assert_eq!((status, &updated["FriendlyName"], &updated["Url"]), (200, &"New".into(), &bought["Url"]));
        assert_eq!(php.call("DELETE", &number, None).await.0, 204);
        assert_eq!(php.call("GET", &number, None).await.0, 404);
        assert_eq!(total(world, &account).await, "0");
    });
}

#[test]
fn services_twilio_finds_the_code_of_an_error() {
    test(async |world| {
        let account = buyer(world).await;
        let poor = world.account("0.00").await;
        for (account, method, below, form, status, code) in [
            (&account, "POST", "/IncomingPhoneNumbers/Local", Some("AreaCode=416"), 400, 21451),
            (&account, "POST", "/IncomingPhoneNumbers/Local", Some("VoiceUrl=http%3A%2F%2Fe.com"), 400, 29002),
            (&poor, "POST", "/IncomingPhoneNumbers/Local", Some(""), 402, 29001),
            (&account, "POST", "/IncomingPhoneNumbers", Some("AreaCode=415"), 405, 20004),
            (&account, "GET", "/Calls?Page=0&PageSize=50", None, 404, 20404),
            (&account, "GET", "/IncomingPhoneNumbers?PageSize=2000", None, 400, 20007),
        ] {
            let mut php = ServicesTwilio::new(&world.server, account).await;
            let (answered, error) = php.call(method, below, form).await;
            assert_eq!((answered, &error["status"], &error["code"]), (status, &status.into(), &code.into()), "{error}");
            let told = &error["TwilioResponse"]["RestException"];
            assert_eq!((&error["message"], &error["more_info"]), (&told["Message"], &told["MoreInfo"]));
            assert!(error["more_info"].as_str().is_some_and(|info| info.ends_with(&format!("/docs/errors/{code}"))));
        }
        assert_eq!(total(world, &account).await, "0");
    });
}

#[test]
fn every_header_of_every_answer_is_in_title_case() {
    test(async |world| {
        let account = buyer(world).await;
        let (host, authorization) = (world.server.address(), account.authorization());
        let own = account.path();
        let known = format!("Authorization: {authorization}");
        let mut seen = Vec::new();
        for (line, known) in [
            (format!("GET {own}/IncomingPhoneNumbers?PageSize=1"), true),
            (format!("GET {own}/IncomingPhoneNumbers.csv"), true),
            (format!("GET {own}.json"), false),
            (format!("GET {own}/Nothing"), true),
            (format!("POST {own}/IncomingPhoneNumbers/Local"), true),
            (format!("POST {own}/IncomingPhoneNumbers/Local"), true),
            (format!("DELETE {own}"), true),
            (format!("OPTIONS {own}"), false),
            (format!("GET {own}?a=%zz"), true),
            (format!("DELETE {own}/IncomingPhoneNumbers/PN1"), true),
            ("GET /docs/errors/20003".to_owned(), false),
            ("GET /".to_owned(), false),
        ]
        .map(|(line, has)| (line, if has { known.as_str() } else { "X: y" }))
        {
            let lines = [&format!("Host: {host}"), known, "Idempotency-Key: order-1"];
            let reply = world.server.open().await.exchange(&request(&format!("{line} HTTP/1.1"), &lines, None)).await;
            seen.extend(reply.names().into_iter().map(str::to_owned));
            for name in reply.names() {
                let words = name.split('-').all(|word| {
                    let (first, rest) = word.split_at(1);
                    first == first.to_uppercase() && rest == rest.to_lowercase()
                });
                assert!(words, "{line}: {name}");
            }
        }
        for name in ["Content-Type", "Content-Length", "Date", "X-Request-Id", "Www-Authenticate", "Allow", "Location"]
        {
            assert!(seen.iter().any(|seen| seen == name), "{name} in {seen:?}");
        }
    });
}

// Twilio's own application of 2010 and its TwilioRestClient for PHP: doubled slashes, a bare `?`, SmsUrl everywhere

/// What its curl sends. A path without parameters ends in `?` on a GET.
async fn rest_client(server: &Server, account: &Account, method: &str, below: &str, form: Option<&str>) -> Answer {
    let bare = if method == "GET" && !below.contains('?') { "?" } else { "" };
    let line = format!("{method} /{}{below}{bare} HTTP/1.1", account.path());
    let (authorization, host) = (account.authorization(), server.address());
    let (authorization, host) = (format!("Authorization: {authorization}"), format!("Host: {host}"));
    let lines = [&authorization, &host, "Accept: */*"];
    let with_type = [&lines[..], &["Content-Type: application/x-www-form-urlencoded"]].concat();
    let lines = if form.is_some() { &with_type[..] } else { &lines[..] };
    server.open().await.exchange(&request(&line, lines, form)).await.answer
}

#[test]
fn the_application_of_2010_buys_and_configures_toll_free_too() {
    test(async |world| {
        let account = buyer(world).await;
        let server = &world.server;
        for (below, area) in [("/IncomingPhoneNumbers/Local", "&AreaCode=415"), ("/IncomingPhoneNumbers/TollFree", "")]
        {
            let form = format!(
                "Url=http%3A%2F%2Fexample.com%2Ftwiml%2Fstart%2Fvoice%2F0&SmsUrl=http%3A%2F%2Fexample.com%2Fsms%2F0{area}"
            );
            let bought = rest_client(server, &account, "POST", below, Some(&form)).await;
            assert_eq!(bought.assert_status(201).text("Url"), "http://example.com/twiml/start/voice/0");
            let number = format!("/IncomingPhoneNumbers/{}", bought.element("Sid"));
            let flow = "Url=http%3A%2F%2Fexample.com%2Fvoice%2F1&SmsUrl=http%3A%2F%2Fexample.com%2Fsms%2F1\
                &VoiceFallbackUrl=http%3A%2F%2Fexample.com%2Ffallback&SmsFallbackUrl=http%3A%2F%2Fexample.com%2Ffallback\
                &VoiceFallbackMethod=GET&SmsFallbackMethod=GET&SmsMethod=POST";
            let assigned = rest_client(server, &account, "PUT", &number, Some(flow)).await;
            assert_eq!(assigned.assert_status(200).text("VoiceFallbackMethod"), "GET");
            assert_eq!(assigned.elements("SmsUrl").len(), usize::from(below.ends_with("Local")));
            let list = rest_client(server, &account, "GET", "/IncomingPhoneNumbers", None).await;
            assert_eq!(list.assert_status(200).elements("Sid"), [bought.element("Sid")]);
            let gone = rest_client(server, &account, "DELETE", &number, None).await;
            assert_eq!(gone.status, 204);
        }
        let sandbox = rest_client(server, &account, "GET", "/Sandbox", None).await;
        sandbox.assert_refused(404, 20404);
        assert!(sandbox.text("Message").ends_with("it has no Sandbox"));
    });
}

#[test]
fn a_list_is_followed_with_a_mark_at_its_end() {
    test(async |world| {
        let account = buyer(world).await;
        for _ in 0..5 {
            world.server.buy(&account, &[]).await.assert_status(201);
        }
        let all = world.server.get(&account, "/IncomingPhoneNumbers").await.elements("Sid");
        let (mut next, mut found) = ("/IncomingPhoneNumbers?num=2".to_owned(), Vec::new());
        while !next.is_empty() {
            // `$url .= strpos($path, '?') ? '&' : '?'`, and nothing after it.
            let page = rest_client(&world.server, &account, "GET", &format!("{next}&"), None).await;
            found.extend(page.assert_status(200).elements("Sid"));
            next = page.attribute("nextpageuri").replace(&account.path(), "");
        }
        assert_eq!(found, all);
    });
}

// twilio-python 3: no credentials before a 401, and the body with the first request already

#[test]
fn a_client_that_waits_for_the_401_buys_once_and_on_one_connection() {
    test(async |world| {
        let account = buyer(world).await;
        let line = format!("POST {}/IncomingPhoneNumbers/Local HTTP/1.1", account.path());
        let (host, authorization) = (world.server.address(), account.authorization());
        let host = format!("Host: {host}");
        for (at, body) in
            ["AreaCode=415", "", "FriendlyName=a+b&Url=http%3A%2F%2Fexample.com%2F"].into_iter().enumerate()
        {
            let mut connection = world.server.open().await;
            let length = format!("Content-Length: {}", body.len());
            let before = [&line, &host, &length, "accept-encoding: gzip, deflate"].join("\r\n");
            let refused = connection.exchange(&format!("{before}\r\nuser-agent: twilio-python\r\n\r\n{body}")).await;
            refused.answer.assert_refused(401, 20003);
            assert_eq!(refused.exactly("Www-Authenticate"), Some("Basic realm=\"numberbank\""));
            assert_eq!(refused.exactly("Connection"), None, "the connection goes on");
            assert_eq!(total(world, &account).await, at.to_string());
            let known =
                format!("{before}\r\nauthorization: {authorization}\r\nuser-agent: twilio-python\r\n\r\n{body}");
            connection.exchange(&known).await.answer.assert_status(201);
            assert_eq!(total(world, &account).await, (at + 1).to_string());
        }
    });
}

#[test]
fn a_refusal_before_the_body_was_read_leaves_the_connection_open() {
    test(async |world| {
        let account = buyer(world).await;
        let (own, host) = (account.path(), format!("Host: {}", world.server.address()));
        let (known, unknown) = (format!("Authorization: {}", account.authorization()), "X: y");
        let form = "AreaCode=415";
        let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nAreaC\r\n7\r\node=415\r\n0\r\n\r\n";
        let mut connection = world.server.open().await;
        for (line, authorization, status) in [
            (format!("POST {own}/IncomingPhoneNumbers/Local"), unknown, 401),
            (format!("POST {own}/IncomingPhoneNumbers"), &known, 405),
            (format!("POST {own}/Calls"), &known, 404),
            (format!("POST {own}/IncomingPhoneNumbers/Local?a=%zz"), &known, 400),
            (format!("GET {own}/IncomingPhoneNumbers"), &known, 200),
            (format!("DELETE {own}"), &known, 405),
            (format!("PUT {own}/IncomingPhoneNumbers/PN1"), &known, 404),
        ] {
            let head = format!("{line} HTTP/1.1\r\n{host}\r\n{authorization}\r\n");
            let sized = format!("{head}Content-Length: {}\r\n\r\n{form}", form.len());
            for request in [sized, format!("{head}{chunked}")] {
                let reply = connection.exchange(&request).await;
                assert_eq!((reply.answer.status, reply.exactly("Connection")), (status, None), "{request}");
            }
        }
        // The body may arrive after its head, and after the refusal.
        let head = format!("POST {own}/IncomingPhoneNumbers/Local HTTP/1.1\r\n{host}\r\nContent-Length: 12\r\n\r\n");
        connection.write(&head).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(connection.exchange(form).await.answer.status, 401);
        let large = "a=1&".repeat(5000);
        let head = format!("POST {own} HTTP/1.1\r\n{host}\r\n{known}\r\nContent-Length: {}\r\n\r\n", large.len());
        assert_eq!(connection.exchange(&format!("{head}{large}")).await.answer.status, 413);
        let last = connection.exchange(&format!("GET {own} HTTP/1.1\r\n{host}\r\n{known}\r\n\r\n")).await;
        last.answer.assert_status(200);
        assert_eq!(total(world, &account).await, "0");
    });
}

#[test]
fn requests_that_come_together_are_answered_one_after_the_other() {
    test(async |world| {
        let account = buyer(world).await;
        let (own, host) = (account.path(), format!("Host: {}", world.server.address()));
        let known = format!("Authorization: {}", account.authorization());
        let local = format!("POST {own}/IncomingPhoneNumbers/Local HTTP/1.1");
        let all = [
            request(&local, &[&host], Some("AreaCode=415")),
            request(&local, &[&host, &known], Some("AreaCode=415")),
            request(&local, &[&host, &known], Some("AreaCode=416")),
            request(&format!("GET {own} HTTP/1.1"), &[&host, &known, "Connection: close"], None),
        ];
        let answers = world.server.send(all.concat().as_bytes()).await;
        assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [401, 201, 400, 200]);
        assert_eq!(total(world, &account).await, "1");
    });
}

#[test]
fn a_body_that_never_comes_does_not_hold_a_refusal_back() {
    test(async |world| {
        let account = buyer(world).await;
        let own = account.path();
        let host = format!("Host: {}", world.server.address());
        for length in ["Content-Length: 12", "Content-Length: 5000000", "Transfer-Encoding: chunked"] {
            let mut connection = world.server.open().await;
            let head = format!("POST {own}/IncomingPhoneNumbers/Local HTTP/1.1\r\n{host}\r\n{length}\r\n\r\n");
            let refused = connection.exchange(&head).await;
            refused.answer.assert_refused(401, 20003);
            assert_eq!(
                refused.exactly("Connection"),
                Some("close").filter(|_| !length.ends_with("chunked")),
                "{length}"
            );
        }
        assert_eq!(total(world, &account).await, "0");
    });
}

// Clients that send as little as possible

#[test]
fn a_purchase_without_body_type_and_length_buys_anywhere() {
    test(async |world| {
        let account = buyer(world).await;
        let own = account.path();
        let known = format!("Authorization: {}", account.authorization());
        let host = format!("Host: {}", world.server.address());
        let local = format!("POST {own}/IncomingPhoneNumbers/Local HTTP/1.1");
        let toll_free = format!("POST {own}/IncomingPhoneNumbers/TollFree HTTP/1.1");
        let old = format!("POST {own}/IncomingPhoneNumbers/Local HTTP/1.0");
        for (at, (line, lines, body)) in [
            // Ruby's Net::HTTP, and rest-client on top of it
            (&local, &["Accept: */*", &known, "Connection: close", &host][..], None),
            (
                &toll_free,
                &["Accept: */*; q=0.5, application/xml", "Accept-Encoding: gzip, deflate", &known, &host],
                None,
            ),
            // curl -X POST
            (&local, &[&known, "User-Agent: curl/7.21.4 (x86_64)", &host, "Accept: */*"], None),
            // Perl's LWP
            (
                &local,
                &["TE: deflate,gzip;q=0.3", "Connection: TE, close", &known, &host, "User-Agent: libwww-perl/5.833"],
                None,
            ),
            // Python's urllib2 with an empty form
            (
                &local,
                &[
                    "Accept-Encoding: identity",
                    &host,
                    "User-Agent: Python-urllib/2.6",
                    "Connection: close",
                    "Content-Type: application/x-www-form-urlencoded",
                    &known,
                ],
                Some(""),
            ),
            // HTTP/1.0, which wants a length
            (&old, &[&known], Some("")),
        ]
        .into_iter()
        .enumerate()
        {
            let reply = world.server.open().await.exchange(&request(line, lines, body)).await;
            reply.answer.assert_status(201);
            assert_eq!(total(world, &account).await, (at + 1).to_string());
        }
    });
}

#[test]
fn a_java_client_that_sends_no_content_type_is_understood() {
    test(async |world| {
        let account = buyer(world).await;
        let line = format!("POST {}/IncomingPhoneNumbers/Local HTTP/1.1", account.path());
        let known = format!("Authorization: {}", account.authorization());
        let host = format!("Host: {}", world.server.address());
        let lines = [
            &known,
            "User-Agent: Java/1.6.0_20",
            &host,
            "Accept: text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
            "Connection: keep-alive",
        ];
        let form = "AreaCode=415&FriendlyName=My%20Line&Url=http://example.com/";
        let reply = world.server.open().await.exchange(&request(&line, &lines, Some(form))).await;
        assert_eq!(reply.answer.assert_status(201).text("FriendlyName"), "My Line");
        assert!(reply.answer.text("PhoneNumber").starts_with("415"));
    });
}

#[test]
fn http_1_0_ends_its_connection_unless_it_is_asked_not_to() {
    test(async |world| {
        let account = buyer(world).await;
        let line = format!("GET {} HTTP/1.0", account.path());
        let known = format!("Authorization: {}", account.authorization());
        let mut connection = world.server.open().await;
        for _ in 0..2 {
            let reply = connection.exchange(&request(&line, &[&known, "Connection: Keep-Alive"], None)).await;
            reply.answer.assert_status(200);
            assert!(reply.head.starts_with("HTTP/1.0 200 "), "{}", reply.head);
            assert_eq!(reply.exactly("Connection"), Some("keep-alive"));
        }
        // The request names no host, so a refusal cannot link to it.
        let refused = connection.exchange(&request(&line, &["Connection: Keep-Alive"], None)).await;
        assert_eq!(refused.answer.text("MoreInfo"), "/docs/errors/20003");
        connection.exchange(&request(&line, &[&known], None)).await.answer.assert_status(200);
        assert!(connection.is_closed().await);
        let mut connection = world.server.open().await;
        let line = format!("GET {} HTTP/1.1", account.path());
        let lines = [&known, "Host: a.example", "Connection: close"];
        let reply = connection.exchange(&request(&line, &lines, None)).await;
        assert_eq!((reply.answer.status, reply.exactly("Connection")), (200, Some("close")));
        assert!(connection.is_closed().await);
    });
}

#[test]
fn a_client_may_ask_before_it_sends_its_body() {
    test(async |world| {
        let account = buyer(world).await;
        let line = format!("POST {}/IncomingPhoneNumbers/Local HTTP/1.1", account.path());
        let host = format!("Host: {}", world.server.address());
        let known = format!("Authorization: {}", account.authorization());
        let mut connection = world.server.open().await;
        let form = "AreaCode=415";
        for (authorization, status) in [("X: y", 401), (&known, 201)] {
            let head = request(&line, &[&host, authorization, "Expect: 100-continue", "Content-Length: 12"], None);
            let go_on = connection.exchange(&head).await;
            // Services_Twilio compares this line whole.
            assert_eq!(go_on.head, "HTTP/1.1 100 Continue");
            assert_eq!(connection.exchange(form).await.answer.status, status);
        }
        assert_eq!(total(world, &account).await, "1");
    });
}

#[test]
fn what_else_old_clients_send_does_not_matter() {
    test(async |world| {
        let account = buyer(world).await;
        let (own, address) = (account.path(), world.server.address());
        let known = format!("Authorization: {}", account.authorization());
        let host = format!("Host: {address}");
        let plain = world.server.get(&account, "").await.body;
        let mut connection = world.server.open().await;
        for (target, lines) in [
            // Through a proxy: the whole URL
            (format!("http://{address}{own}"), &[&host, &known, "Proxy-Connection: Keep-Alive"][..]),
            (format!("http://{address}/{own}?"), &[&host, &known]),
            (own.clone(), &["HOST: x", &known.replace("Authorization", "AUTHORIZATION")]),
            (own.clone(), &["host: x", &known.replace("Authorization", "authorization")]),
            (own.clone(), &[&host, &known, "Accept: application/json", "Accept-Encoding: gzip, deflate, compress"]),
            (own.clone(), &[&host, &known, "Accept-Charset: iso-8859-1", "Accept-Language: de", "Pragma: no-cache"]),
            (own.clone(), &[&host, &known, "Cookie: a=b; c=\"d\"", "Cookie2: $Version=1", "Keep-Alive: 300"]),
            (own.clone(), &[&host, &known, "If-Modified-Since: Sat, 29 Oct 2094 19:43:31 GMT", "Range: bytes=0-1"]),
            (own.clone(), &[&host, &known, "Content-Type: application/json", "Content-Length: 0"]),
        ] {
            let reply = connection.exchange(&request(&format!("GET {target} HTTP/1.1"), lines, None)).await;
            assert_eq!((reply.answer.status, &reply.answer.body), (200, &plain), "{target} {lines:?}");
            assert_eq!(reply.exactly("Content-Encoding"), None);
        }
        // The form in chunks, as Python and Java stream it.
        let head = format!("POST {own}/IncomingPhoneNumbers/Local HTTP/1.1\r\n{host}\r\n{known}\r\n");
        let form = "Transfer-Encoding: chunked\r\n\r\n9\r\nAreaCode=\r\n3\r\n415\r\n0\r\n\r\n";
        connection.exchange(&format!("{head}{form}")).await.answer.assert_status(201);
    });
}
