//! Properties: any request gets a right answer or a well-formed refusal, and what is stored is shown again.

use numberbank::web::codes::Code;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use reqwest::header::HeaderValue;

use crate::support::{Account, Answer, PARAMETERS, WithForm, World, test};

const ALL: &str = "/IncomingPhoneNumbers";
const LOCAL: &str = "/IncomingPhoneNumbers/Local";

/// Runs a case with many values against one world, and shrinks a failing one.
pub fn for_all<S: Strategy>(values: S, case: impl AsyncFn(S::Value)) {
    let config = Config { failure_persistence: None, max_shrink_iters: 256, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let run = |value| {
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(case(value)));
        Ok(())
    };
    runner.run(&values, run).unwrap_or_else(|failure| panic!("{failure}"));
}

/// An account that can buy and holds a number, and the path of that number below it.
pub async fn holder(world: &World) -> (Account, String) {
    world.stock(4_158_670_000, 1000).await;
    let account = world.account("5000.00").await;
    let number = world.server.buy(&account, &[("Url", "http://example.com/")]).await;
    let path = format!("{ALL}/{}", number.assert_status(201).element("Sid"));
    (account, path)
}

/// Fails unless this is a well-formed refusal, and not a fault of the server.
pub fn assert_a_refusal(answer: &Answer) {
    let code = Code::ALL.iter().find(|code| code.number().to_string() == answer.text("Code"));
    let code = code.unwrap_or_else(|| panic!("an unknown code in {}", answer.body));
    assert!((400..500).contains(&answer.status), "{}", answer.body);
    answer.assert_refused(code.status(), code.number());
    let names: Vec<_> = answer.leaves().into_iter().map(|(path, _)| path).collect();
    let expected = ["Status", "Message", "Code", "MoreInfo"].map(|name| format!("TwilioResponse/RestException/{name}"));
    assert_eq!(names, expected);
}

/// Texts: valid, invalid, and easily mistaken.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "\\PC{0,70}",
        "[ -~]{0,70}",
        select(vec![
            "",
            "GET",
            "post",
            "true",
            "0",
            "415",
            "416",
            "866",
            "http://example.com/a?b=c#d",
            "ftp://x",
            "http://"
        ])
        .prop_map(str::to_owned),
        "https?://[a-z.]{1,20}(:[0-9]{1,6})?/\\PC{0,20}",
    ]
}

fn parameter() -> impl Strategy<Value = String> {
    let known = select(PARAMETERS.to_vec());
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => any::<String>()]
}

/// The value that an accepted form gives a parameter, if any.
fn given<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

fn pairs(form: &[(String, String)]) -> Vec<(&str, &str)> {
    form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Fails unless an answer shows what its form says.
fn assert_shows(answer: &Answer, form: &[(String, String)]) {
    for (url, method) in [
        ("Url", "Method"),
        ("SmsUrl", "SmsMethod"),
        ("VoiceFallbackUrl", "VoiceFallbackMethod"),
        ("SmsFallbackUrl", "SmsFallbackMethod"),
    ] {
        if let Some(given) = given(form, url) {
            assert_eq!(answer.text(url), given);
        }
        let methods: &[&str] = if answer.text(url).is_empty() { &[""] } else { &["GET", "POST"] };
        assert!(methods.contains(&answer.text(method).as_str()), "{}", answer.body);
        if let Some(given) = given(form, method).filter(|given| !given.is_empty() && !answer.text(url).is_empty()) {
            assert_eq!(answer.text(method), given.to_ascii_uppercase());
        }
    }
    if let Some(name) = given(form, "FriendlyName").filter(|name| !name.is_empty()) {
        assert_eq!(answer.text("FriendlyName"), name);
    }
    if let Some(flag) = given(form, "VoiceCallerIdLookup") {
        let expected = matches!(flag.to_ascii_lowercase().as_str(), "1" | "true");
        assert_eq!(answer.text("VoiceCallerIdLookup"), if expected { "1" } else { "0" });
    }
}

#[test]
fn a_purchase_is_what_was_asked_for_or_refused() {
    test(async |world| {
        let (account, _) = holder(world).await;
        for_all(vec((parameter(), text()), 0..5), async |form| {
            let answer = world.server.buy(&account, &pairs(&form)).await;
            if answer.status != 201 {
                return assert_a_refusal(&answer);
            }
            assert_shows(&answer, &form);
            if let Some(area_code) = given(&form, "AreaCode") {
                assert!(answer.text("PhoneNumber").starts_with(area_code), "{}", answer.body);
            }
            let path = format!("{ALL}/{}", answer.text("Sid"));
            assert_eq!(world.server.get(&account, &path).await.body, answer.body);
        });
    });
}

#[test]
fn an_update_is_what_was_asked_for_or_refused() {
    test(async |world| {
        let (account, number) = holder(world).await;
        for_all(vec((parameter(), text()), 0..6), async |mut form| {
            if form.iter().all(|(name, _)| name != "Url") {
                form.push(("Url".to_owned(), "http://example.com/".to_owned()));
            }
            let before = world.server.get(&account, &number).await.body;
            let answer = world.server.post(&account, &number, &pairs(&form)).await;
            if answer.status == 200 {
                assert_shows(&answer, &form);
                assert_eq!(world.server.get(&account, &number).await.body, answer.body);
            } else {
                assert_a_refusal(&answer);
                assert_eq!(world.server.get(&account, &number).await.body, before);
            }
        });
    });
}

#[test]
fn no_bytes_as_a_form_make_anything_but_an_update_or_a_refusal() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let bytes = prop_oneof![
            vec(any::<u8>(), 0..200),
            "(Url|FriendlyName|%[0-9a-g]{2}|[=&+%]|\\PC){0,20}".prop_map(String::into_bytes),
            "Url=&FriendlyName=([ -~]|%[2-7][0-9a-f]|%c3%a9|%[0-9a-f]{2}|\\PC){0,4}".prop_map(String::into_bytes),
        ];
        for_all((select(vec![String::new(), LOCAL.to_owned(), number]), bytes), async |(below, body)| {
            let request = world.server.call(&account, "POST", &below);
            let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(body);
            let answer = Answer::of(request).await;
            match answer.status {
                200 | 201 => assert!(!answer.leaves().is_empty()),
                _ => assert_a_refusal(&answer),
            }
        });
    });
}

/// Characters that HTTP allows in a path or query; others never reach the service.
const QUERY: &str = "([!$'()*+,./:;=@A-Za-z0-9_~&?-]|%[0-9a-fA-F]{2}|%){0,40}";

#[test]
fn no_query_makes_anything_but_a_list_or_a_refusal() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let sid = number.trim_start_matches("/IncomingPhoneNumbers/").to_owned();
        let name =
            select(vec!["Page", "page", "num", "PageSize", "PhoneNumber", "FriendlyName", "AfterSid", "_method", "x"]);
        let value = prop_oneof![
            QUERY.prop_map(String::from),
            any::<u64>().prop_map(|number| number.to_string()),
            (0..2000_u32).prop_map(|number| number.to_string()),
            text().prop_map(|text| url::form_urlencoded::byte_serialize(text.as_bytes()).collect()),
            Just(sid),
        ];
        let query = vec((name, value), 0..4).prop_map(|pairs| {
            pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
        });
        let authorization = account.authorization();
        let headers = [("Authorization", authorization.as_str())];
        for_all(prop_oneof![query, QUERY.prop_map(String::from)], async |query| {
            let answer = world.server.raw(&format!("GET {}{ALL}?{query}", account.path()), &headers, b"").await;
            if answer.status != 200 {
                return assert_a_refusal(&answer);
            }
            let shown = answer.elements("Sid").len();
            let total: usize = answer.attribute("total").parse().expect("a total");
            assert!(answer.leaves().len() == shown * 15 || shown == 0 && answer.leaves().len() == 1);
            assert!(shown <= total && total <= 1, "{}", answer.body);
        });
    });
}

#[test]
fn no_path_makes_anything_but_a_resource_or_a_refusal() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let own = account.path();
        let known = vec!["", "/", "/2008-08-01", "/Accounts", ALL, LOCAL, "/docs/errors", "/Balance", ".xml", ".csv"];
        let part = prop_oneof![
            3 => select(known).prop_map(str::to_owned),
            1 => Just(number),
            1 => QUERY.prop_map(|text| text.replace('?', "")),
        ];
        let start = select(vec![own.clone(), format!("/{own}/"), String::new()]);
        let path = (start, vec(part, 1..4)).prop_map(|(start, parts)| format!("/{start}{}", parts.concat()));
        let method = select(vec!["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "TRACE", "BREW"]);
        let authorization = account.authorization();
        let headers = [("Authorization", authorization.as_str())];
        for_all((method, path), async |(method, path)| {
            let answer = world.server.raw(&format!("{method} {path}"), &headers, b"").await;
            match (answer.status, method) {
                (204, "OPTIONS") => assert!(answer.header("Allow").contains("OPTIONS")),
                (200, _) | (201, "POST") => assert!(!answer.header("Content-Type").is_empty()),
                (400..500, "HEAD") => assert_eq!(answer.body, ""),
                _ => assert_a_refusal(&answer),
            }
        });
    });
}

#[test]
fn no_authorization_header_lets_anybody_in() {
    test(async |world| {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;
        let (account, _) = holder(world).await;
        let (sid, token) = (account.sid.clone(), account.token.clone());
        let basic = |credentials: &[u8]| format!("Basic {}", STANDARD.encode(credentials)).into_bytes();
        let value = prop_oneof![
            3 => vec(any::<u8>(), 0..100),
            3 => vec(any::<u8>(), 0..100).prop_map(move |bytes| basic(&bytes)),
            2 => "(?i:basic|bearer|digest) [A-Za-z0-9+/=]{0,80}".prop_map(String::into_bytes),
            // Few of these, because each costs a verification.
            1 => any::<String>().prop_map(move |text| basic(format!("{sid}:{text}").as_bytes())),
            1 => "AC[0-9a-f]{32}".prop_map(move |sid| basic(format!("{sid}:{token}").as_bytes())),
        ];
        for_all(value, async |value| {
            // Control characters never reach the service.
            let Ok(header) = HeaderValue::from_bytes(&value) else { return };
            let request = world.server.request("GET", &account.path()).header("Authorization", header);
            let answer = Answer::of(request).await;
            answer.assert_refused(401, 20003);
            assert_a_refusal(&answer);
        });
    });
}

/// A valid FriendlyName: 1 to 64 characters without control characters.
fn name() -> impl Strategy<Value = String> {
    let printable =
        any::<char>().prop_filter("XML can carry it", |c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}'));
    let awkward = select(vec![
        '<', '>', '&', '"', '\'', ',', ';', '=', '+', '%', ' ', '\\', ']', '\u{a0}', '\u{2028}', '\u{feff}', '𝄞',
    ]);
    vec(prop_oneof![printable, awkward], 1..=64).prop_map(|characters| characters.into_iter().collect())
}

#[test]
fn a_name_comes_back_exactly_in_every_representation() {
    test(async |world| {
        let (account, number) = holder(world).await;
        for_all(name(), async |name| {
            let request = world.server.call(&account, "POST", &number);
            let updated = Answer::of(request.with_form(&[("Url", ""), ("FriendlyName", &name)])).await;
            assert_eq!(updated.assert_status(200).text("FriendlyName"), name);
            let query =
                url::form_urlencoded::Serializer::new(String::new()).append_pair("FriendlyName", &name).finish();
            for (place, list) in [(number.as_str(), false), (ALL, true)] {
                let query = if list { format!("?{query}") } else { String::new() };
                let answer = async |ending: &str| world.server.get(&account, &format!("{place}{ending}{query}")).await;
                assert_eq!(answer("").await.text("FriendlyName"), name, "XML");
                assert_eq!(in_json(&answer(".json").await, list), name, "JSON");
                assert_eq!(in_csv(&answer(".csv").await), name, "CSV");
            }
        });
    });
}

fn in_json(answer: &Answer, list: bool) -> String {
    let json: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    let place = if list { "/TwilioResponse/IncomingPhoneNumbers/0" } else { "/TwilioResponse" };
    let name = json.pointer(&format!("{place}/IncomingPhoneNumber/FriendlyName"));
    name.and_then(|name| name.as_str()).unwrap_or_else(|| panic!("no name in {}", answer.body)).to_owned()
}

fn in_csv(answer: &Answer) -> String {
    let mut reader = csv::Reader::from_reader(answer.body.as_bytes());
    let column = reader.headers().expect("a head").iter().position(|name| name == "FriendlyName").expect("a column");
    let row = reader.records().next().expect("a row").expect("a row that can be read");
    row[column].to_owned()
}
