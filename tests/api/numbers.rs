//! Buying, updating and releasing numbers.

use chrono::TimeDelta;

use crate::support::{Account, Answer, World, test};

const LOCAL: &str = "/IncomingPhoneNumbers/Local";
const TOLL_FREE: &str = "/IncomingPhoneNumbers/TollFree";

/// Twenty local and five toll-free numbers in stock, and two accounts; the second one holds one of each.
async fn shop(world: &World, balance: &str) -> Account {
    world.stock(4_158_670_000, 20).await;
    world.stock(8_668_670_000, 5).await;
    let other = world.account("3.00").await;
    for below in [LOCAL, TOLL_FREE] {
        world.server.post(&other, below, &[("Url", "http://example.com/other")]).await.assert_status(201);
    }
    world.account(balance).await
}

async fn balance(world: &World, account: &Account) -> String {
    world.server.get(account, "/Balance").await.text("Balance")
}

/// A number, and its path below the account.
async fn bought(world: &World, account: &Account, below: &str, form: &[(&str, &str)]) -> (Answer, String) {
    let answer = world.server.post(account, below, form).await;
    let path = format!("/IncomingPhoneNumbers/{}", answer.assert_status(201).element("Sid"));
    (answer, path)
}

/// All settings of a local number.
const EVERYTHING: &[(&str, &str)] = &[
    ("FriendlyName", "Company Line"),
    ("Url", "http://example.com/voice"),
    ("Method", "GET"),
    ("SmsUrl", "http://example.com/sms"),
    ("SmsMethod", "GET"),
    ("VoiceFallbackUrl", "https://example.com/voice/fallback"),
    ("VoiceFallbackMethod", "GET"),
    ("SmsFallbackUrl", "https://example.com/sms/fallback"),
    ("SmsFallbackMethod", "GET"),
    ("VoiceCallerIdLookup", "true"),
];

/// The settings of any number.
const VOICE: &[&str] =
    &["FriendlyName", "Url", "Method", "VoiceFallbackUrl", "VoiceFallbackMethod", "VoiceCallerIdLookup"];

/// The settings that an answer shows, in the order of [`EVERYTHING`].
fn settings(answer: &Answer) -> Vec<(&'static str, String)> {
    let leaves = answer.leaves();
    let text = |name: &str| leaves.iter().find(|(path, _)| path.ends_with(&format!("/{name}"))).map(|(_, text)| text);
    EVERYTHING.iter().filter_map(|(name, _)| Some((*name, text(name)?.clone()))).collect()
}

/// [`EVERYTHING`] with some values changed, as an answer shows it.
fn everything_but(changes: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let shown = |name: &str, value: &str| match (name, value) {
        ("VoiceCallerIdLookup", "true") => "1".to_owned(),
        _ => value.to_owned(),
    };
    let value =
        |name: &str| changes.iter().chain(EVERYTHING).find(|(other, _)| *other == name).map(|(_, value)| *value);
    EVERYTHING.iter().map(|(name, _)| (*name, shown(name, value(name).unwrap_or_default()))).collect()
}

/// `form` with some parameters replaced or added.
fn with<'a>(form: &[(&'a str, &'a str)], changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = form.iter().filter(|(name, _)| changes.iter().all(|(other, _)| other != name));
    kept.chain(changes).copied().collect()
}

// Buying

#[test]
fn a_purchase_answers_with_the_number_and_where_it_is() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        for (below, price, left) in [(LOCAL, "1.00", "9.00"), (TOLL_FREE, "2.00", "7.00")] {
            let (answer, path) = bought(world, &account, below, &[]).await;
            assert_eq!(answer.header("Location"), format!("{}{path}", account.path()));
            assert_eq!(answer.header("Idempotent-Replayed"), "");
            assert_eq!(world.server.get(&account, &path).await.body, answer.body);
            assert_eq!(balance(world, &account).await, left, "after {price}");
        }
    });
}

#[test]
fn a_number_is_bought_with_defaults() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (answer, _) = bought(world, &account, LOCAL, &[]).await;
        let digits = answer.text("PhoneNumber");
        let name = format!("({}) {}-{}", &digits[..3], &digits[3..6], &digits[6..]);
        let mut expected = EVERYTHING.iter().map(|(name, _)| (*name, String::new())).collect::<Vec<_>>();
        (expected[0].1, expected[9].1) = (name, "0".to_owned());
        assert_eq!(settings(&answer), expected);
        let urls: Vec<_> = EVERYTHING.iter().filter(|(name, _)| name.ends_with("Url")).copied().collect();
        let (answer, _) = bought(world, &account, LOCAL, &urls).await;
        let methods: Vec<_> = settings(&answer).into_iter().filter(|(name, _)| name.ends_with("Method")).collect();
        assert!(methods.iter().all(|(_, method)| method == "POST"), "{methods:?}");
    });
}

#[test]
fn a_number_is_bought_with_all_its_settings() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (answer, path) = bought(world, &account, LOCAL, EVERYTHING).await;
        assert_eq!(settings(&answer), everything_but(&[]));
        assert_eq!(world.server.get(&account, &path).await.body, answer.body);
        let voice: Vec<_> = EVERYTHING.iter().filter(|(name, _)| VOICE.contains(name)).copied().collect();
        let (answer, path) = bought(world, &account, TOLL_FREE, &voice).await;
        let expected: Vec<_> = everything_but(&[]).into_iter().filter(|(name, _)| VOICE.contains(name)).collect();
        assert_eq!(settings(&answer), expected);
        assert_eq!(world.server.get(&account, &path).await.body, answer.body);
    });
}

#[test]
fn empty_parameters_are_as_good_as_none() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let names = EVERYTHING.iter().map(|(name, _)| *name).filter(|name| *name != "VoiceCallerIdLookup");
        let mut form: Vec<_> = names.map(|name| (name, "")).collect();
        form.push(("AreaCode", ""));
        for below in [LOCAL, TOLL_FREE] {
            let (answer, _) = bought(world, &account, below, &form).await;
            assert!(answer.text("FriendlyName").starts_with('('));
            assert_eq!((answer.text("Url"), answer.text("Method")), (String::new(), String::new()));
        }
    });
}

#[test]
fn an_area_code_is_the_first_three_digits() {
    test(async |world| {
        world.stock(4_158_670_000, 3).await;
        world.stock(2_128_670_000, 3).await;
        world.stock(8_668_670_000, 3).await;
        world.stock(8_008_670_000, 3).await;
        let account = world.account("100.00").await;
        for (below, area_code) in [(LOCAL, "415"), (LOCAL, "212"), (TOLL_FREE, "866"), (TOLL_FREE, "800")] {
            for _ in 0..3 {
                let (answer, _) = bought(world, &account, below, &[("AreaCode", area_code)]).await;
                assert!(answer.text("PhoneNumber").starts_with(area_code), "{}", answer.body);
            }
            let none_left = world.server.post(&account, below, &[("AreaCode", area_code)]).await;
            none_left.assert_refused(400, 21452);
        }
    });
}

#[test]
fn anywhere_is_all_area_codes_of_the_kind() {
    test(async |world| {
        world.stock(4_158_670_000, 2).await;
        world.stock(2_128_670_000, 2).await;
        world.stock(8_668_670_000, 2).await;
        let account = world.account("100.00").await;
        let mut numbers = Vec::new();
        for form in [&[][..], &[("AreaCode", "")], &[], &[("areacode", ""), ("Area", "866"), ("Country", "x")]] {
            numbers.push(bought(world, &account, LOCAL, form).await.0.text("PhoneNumber"));
        }
        numbers.sort_unstable();
        assert_eq!(numbers, ["2128670000", "2128670001", "4158670000", "4158670001"]);
        world.server.post(&account, LOCAL, &[]).await.assert_refused(400, 21452);
    });
}

#[test]
fn what_is_no_us_area_code_is_error_21451() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let before = world.fingerprint().await;
        let not_three_digits = ["41", "4155", "abc", " 415", "415 ", "+415", "-41", "4.1", "0", "٤١٥", "41\u{FF15}"];
        let canadian = ["204", "416", "604", "867", "902"];
        let caribbean = ["242", "246", "441", "809", "829", "849", "876"];
        let no_place = ["000", "115", "411", "911", "900", "500", "700", "710", "999", "822"];
        for area_code in not_three_digits.into_iter().chain(canadian).chain(caribbean).chain(no_place) {
            for below in [LOCAL, TOLL_FREE] {
                let answer = world.server.post(&account, below, &[("AreaCode", area_code)]).await;
                answer.assert_refused(400, 21451);
                assert!(answer.element("Message").contains("AreaCode"), "{}", answer.body);
            }
        }
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn a_us_area_code_with_nothing_of_the_kind_is_error_21452() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let before = world.fingerprint().await;
        let territories = ["340", "670", "671", "684", "787", "939"];
        for area_code in territories.into_iter().chain(["212", "907", "808", "202"]) {
            for below in [LOCAL, TOLL_FREE] {
                world.server.post(&account, below, &[("AreaCode", area_code)]).await.assert_refused(400, 21452);
            }
        }
        for (below, area_code) in [(LOCAL, "866"), (LOCAL, "800"), (TOLL_FREE, "415"), (TOLL_FREE, "888")] {
            world.server.post(&account, below, &[("AreaCode", area_code)]).await.assert_refused(400, 21452);
        }
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn too_little_money_is_402_unless_nothing_matches_either() {
    test(async |world| {
        let account = shop(world, "0.99").await;
        let before = world.fingerprint().await;
        world.server.post(&account, LOCAL, &[]).await.assert_refused(402, 29001);
        world.server.post(&account, LOCAL, &[("AreaCode", "415")]).await.assert_refused(402, 29001);
        world.server.post(&account, TOLL_FREE, &[]).await.assert_refused(402, 29001);
        world.server.post(&account, LOCAL, &[("AreaCode", "212")]).await.assert_refused(400, 21452);
        world.server.post(&account, LOCAL, &[("AreaCode", "866")]).await.assert_refused(400, 21452);
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn the_last_cent_buys_a_number_and_no_other_account_pays() {
    test(async |world| {
        let account = shop(world, "1.00").await;
        let other = world.account("5.00").await;
        bought(world, &account, LOCAL, &[]).await;
        assert_eq!(balance(world, &account).await, "0.00");
        world.server.post(&account, LOCAL, &[]).await.assert_refused(402, 29001);
        assert_eq!(balance(world, &other).await, "5.00");
    });
}

// Refusals of purchases and updates

/// Fails unless purchases and updates both refuse a form, and name the parameter.
async fn assert_refused(world: &World, account: &Account, path: &str, form: &[(&str, &str)], code: u16, name: &str) {
    let buying = world.server.post(account, LOCAL, form).await;
    let form = with(&[("Url", "http://example.com/")], form);
    for answer in [buying, world.server.post(account, path, &form).await, world.server.put(account, path, &form).await]
    {
        println!("{form:?}");
        answer.assert_refused(400, code);
        assert!(answer.element("Message").contains(name), "{}", answer.body);
    }
}

#[test]
fn a_friendly_name_is_up_to_64_printable_characters() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (_, path) = bought(world, &account, LOCAL, &[]).await;
        let before = world.fingerprint().await;
        let long = "é".repeat(65);
        for name in [&long, "a\nb", "\t", "a\r", "\u{1}", "\u{7f}", "\u{85}", "\u{fffe}"] {
            assert_refused(world, &account, &path, &[("FriendlyName", name)], 20002, "FriendlyName").await;
        }
        assert_eq!(world.fingerprint().await, before);
        let longest = "𝄞".repeat(64);
        for name in [longest.as_str(), " ", "  spaces  ", "<&>\"']]>", "日本語", "a\u{301}", "\u{feff}", "()"] {
            let (answer, path) = bought(world, &account, LOCAL, &[("FriendlyName", name)]).await;
            assert_eq!(answer.text("FriendlyName"), name);
            assert_eq!(world.server.get(&account, &path).await.text("FriendlyName"), name);
            assert_eq!(world.server.delete(&account, &path).await.status, 204);
        }
    });
}

const URLS: [&str; 4] = ["Url", "VoiceFallbackUrl", "SmsUrl", "SmsFallbackUrl"];

#[test]
fn a_callback_is_an_absolute_http_url() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (_, path) = bought(world, &account, LOCAL, EVERYTHING).await;
        let before = world.fingerprint().await;
        let long = format!("http://example.com/{}", "a".repeat(2048 - 18));
        let wrong =
            ["/handle", "example.com", "ftp://example.com/", "http://", "http:///x", "javascript:alert(1)", " ", &long];
        for name in URLS {
            for url in wrong {
                assert_refused(world, &account, &path, &[(name, url)], 21402, name).await;
            }
        }
        assert_eq!(world.fingerprint().await, before);
        for name in URLS {
            let url = "http://exa\u{200b}mple.com/";
            assert_refused(world, &account, &path, &[(name, url)], 21402, "invisible").await;
            let url = "http://exa%E2%80%AEmple.com/";
            assert_refused(world, &account, &path, &[(name, url)], 21402, name).await;
        }
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn the_longest_callback_is_kept_as_it_was_given() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let longest = format!("http://example.com/{}", "a".repeat(2048 - 19));
        for url in
            [longest.as_str(), "HTTPS://Example.COM:443/a?b=c&d=%20#<\"'>", "http://bücher.example/ü", "http://[::1]/"]
        {
            let (answer, path) = bought(world, &account, LOCAL, &[("Url", url), ("SmsUrl", url)]).await;
            assert_eq!((answer.text("Url"), answer.text("SmsUrl")), (url.to_owned(), url.to_owned()));
            assert_eq!(world.server.get(&account, &path).await.body, answer.body);
        }
    });
}

const METHODS: [&str; 4] = ["Method", "VoiceFallbackMethod", "SmsMethod", "SmsFallbackMethod"];

#[test]
fn a_callbacks_method_is_get_or_post_in_any_case() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (_, path) = bought(world, &account, LOCAL, EVERYTHING).await;
        let before = world.fingerprint().await;
        for name in METHODS {
            for method in ["PUT", "DELETE", "GETS", " GET", "get\n", "ＧＥＴ"] {
                assert_refused(world, &account, &path, &[(name, method)], 21403, name).await;
            }
        }
        assert_eq!(world.fingerprint().await, before);
        for (given, shown) in [("get", "GET"), ("Post", "POST"), ("GET", "GET"), ("pOST", "POST")] {
            let methods = METHODS.map(|name| (name, given));
            let (bought, path) = bought(world, &account, LOCAL, &with(EVERYTHING, &methods)).await;
            let updated = world.server.post(&account, &path, &with(EVERYTHING, &methods)).await;
            for name in METHODS {
                assert_eq!((bought.text(name).as_str(), updated.text(name).as_str()), (shown, shown), "{name}");
            }
            assert_eq!(world.server.delete(&account, &path).await.status, 204);
        }
    });
}

#[test]
fn a_method_without_its_url_is_checked_and_dropped() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        for name in METHODS {
            let (answer, path) = bought(world, &account, LOCAL, &[(name, "GET")]).await;
            assert_eq!(answer.text(name), "", "{name}");
            let updated = world.server.post(&account, &path, &[("Url", ""), (name, "POST")]).await;
            assert_eq!(updated.assert_status(200).text(name), "", "{name}");
            // A method without a URL does not appear later, when there is a URL.
            let url = name.replace("Method", "Url");
            let needed = with(
                &[("Url", "http://example.com/"), ("SmsUrl", "http://example.com/")],
                &[(&url, "http://example.com/")],
            );
            let updated = world.server.post(&account, &path, &needed).await;
            assert_eq!(updated.assert_status(200).text(name), "POST", "{name}");
            assert_eq!(world.server.delete(&account, &path).await.status, 204);
        }
    });
}

#[test]
fn a_caller_id_lookup_is_true_or_false() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (_, path) = bought(world, &account, LOCAL, &[]).await;
        let name = "VoiceCallerIdLookup";
        for wrong in ["yes", "no", "2", "01", " true", "t", "wahr", "null"] {
            assert_refused(world, &account, &path, &[(name, wrong)], 29002, name).await;
        }
        for (given, shown) in [("true", "1"), ("FALSE", "0"), ("1", "1"), ("0", "0"), ("True", "1"), ("false", "0")] {
            let (answer, bought) = bought(world, &account, LOCAL, &[(name, given)]).await;
            assert_eq!(answer.text(name), shown, "{given}");
            assert_eq!(world.server.delete(&account, &bought).await.status, 204);
            let updated = world.server.post(&account, &path, &[("Url", ""), (name, given)]).await;
            assert_eq!(updated.assert_status(200).text(name), shown, "{given}");
        }
    });
}

#[test]
fn a_purchase_refuses_a_fallback_without_what_it_falls_back_from() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let before = world.fingerprint().await;
        let url = "http://example.com/";
        for (below, form, code, name) in [
            (LOCAL, &[("VoiceFallbackUrl", url)][..], 21405, "VoiceFallbackUrl"),
            (LOCAL, &[("VoiceFallbackUrl", url), ("Url", ""), ("SmsUrl", url)], 21405, "VoiceFallbackUrl"),
            (TOLL_FREE, &[("VoiceFallbackUrl", url)], 21405, "VoiceFallbackUrl"),
            (LOCAL, &[("SmsFallbackUrl", url)], 21406, "SmsFallbackUrl"),
            (LOCAL, &[("SmsFallbackUrl", url), ("SmsUrl", ""), ("Url", url)], 21406, "SmsFallbackUrl"),
        ] {
            let answer = world.server.post(&account, below, form).await;
            answer.assert_refused(400, code);
            assert!(answer.element("Message").contains(name), "{}", answer.body);
        }
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn what_a_toll_free_number_is_told_of_sms_is_checked_and_kept_and_not_shown() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (_, path) = bought(world, &account, TOLL_FREE, &[("Url", "http://example.com/")]).await;
        let before = world.fingerprint().await;
        let url = "http://example.com/";
        for (form, code, name) in [
            (&[("SmsUrl", "example.com")][..], 21402, "SmsUrl"),
            (&[("SmsUrl", url), ("SmsFallbackUrl", "/x")], 21402, "SmsFallbackUrl"),
            (&[("SmsMethod", "PUT")], 21403, "SmsMethod"),
            (&[("SmsFallbackMethod", "x")], 21403, "SmsFallbackMethod"),
            (&[("SmsFallbackUrl", url)], 21406, "SmsFallbackUrl"),
            (&[("SmsFallbackUrl", url), ("SmsUrl", "")], 21406, "SmsFallbackUrl"),
        ] {
            let form = with(&[("Url", "http://example.com/new")], form);
            for below in [TOLL_FREE, &path] {
                let answer = world.server.post(&account, below, &form).await;
                answer.assert_refused(400, code);
                assert!(answer.element("Message").contains(name), "{}", answer.body);
            }
        }
        assert_eq!(world.fingerprint().await, before);
        let given = with(EVERYTHING, &[("Url", "http://example.com/new")]);
        for form in [&given, &given.iter().map(|(name, _)| (*name, "")).collect()] {
            let (answer, other) = bought(world, &account, TOLL_FREE, form).await;
            for answer in [
                answer,
                world.server.post(&account, &path, form).await,
                world.server.put(&account, &path, form).await,
                world.server.get(&account, &other).await,
            ] {
                answer.assert_status(if answer.header("Location").is_empty() { 200 } else { 201 });
                let url = form.iter().find(|(name, _)| *name == "Url").map(|(_, url)| *url);
                assert_eq!(Some(answer.text("Url").as_str()), url);
                assert!(!answer.body.contains("Sms"), "{}", answer.body);
            }
        }
        let kept = "select count(*) from tenancies where kind = 'tollfree' and coalesce(sms_url, sms_method,
            sms_fallback_url, sms_fallback_method) is not null";
        // That which was bought with it; the other form cleared it everywhere else.
        assert_eq!(world.value::<i64>(kept).await, 1);
    });
}

// Updating

#[test]
fn what_is_not_given_stays() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (_, path) = bought(world, &account, LOCAL, EVERYTHING).await;
        let url = ("Url", "http://example.com/voice");
        let answer = world.server.post(&account, &path, &[url]).await;
        assert_eq!(settings(answer.assert_status(200)), everything_but(&[]));
        let changed = "http://example.com/changed";
        for (name, value) in [
            ("FriendlyName", "New"),
            ("Url", changed),
            ("Method", "POST"),
            ("SmsUrl", changed),
            ("SmsMethod", "POST"),
            ("VoiceFallbackUrl", changed),
            ("VoiceFallbackMethod", "POST"),
            ("SmsFallbackUrl", changed),
            ("SmsFallbackMethod", "POST"),
        ] {
            let answer = world.server.post(&account, &path, &with(&[url], &[(name, value)])).await;
            assert_eq!(settings(answer.assert_status(200)), everything_but(&[(name, value)]));
            assert_eq!(world.server.get(&account, &path).await.body, answer.body);
            world.server.post(&account, &path, EVERYTHING).await.assert_status(200);
        }
        let answer = world.server.post(&account, &path, &[url, ("VoiceCallerIdLookup", "false")]).await;
        assert_eq!(settings(&answer), everything_but(&[("VoiceCallerIdLookup", "0")]));
    });
}

#[test]
fn an_empty_value_clears() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (number, path) = bought(world, &account, LOCAL, EVERYTHING).await;
        let digits = number.text("PhoneNumber");
        let default = format!("({}) {}-{}", &digits[..3], &digits[3..6], &digits[6..]);
        let url = ("Url", "http://example.com/voice");
        for (form, changes) in [
            (&[url, ("FriendlyName", "")][..], &[("FriendlyName", default.as_str())][..]),
            (&[url, ("VoiceFallbackUrl", "")], &[("VoiceFallbackUrl", ""), ("VoiceFallbackMethod", "")]),
            (&[url, ("SmsFallbackUrl", "")], &[("SmsFallbackUrl", ""), ("SmsFallbackMethod", "")]),
            (
                &[("Url", ""), ("VoiceFallbackUrl", "")],
                &[("Url", ""), ("Method", ""), ("VoiceFallbackUrl", ""), ("VoiceFallbackMethod", "")],
            ),
            (
                &[url, ("SmsUrl", ""), ("SmsFallbackUrl", "")],
                &[("SmsUrl", ""), ("SmsMethod", ""), ("SmsFallbackUrl", ""), ("SmsFallbackMethod", "")],
            ),
        ] {
            let answer = world.server.post(&account, &path, form).await;
            assert_eq!(settings(answer.assert_status(200)), everything_but(changes));
            assert_eq!(world.server.get(&account, &path).await.body, answer.body);
            world.server.post(&account, &path, EVERYTHING).await.assert_status(200);
        }
    });
}

#[test]
fn an_update_refuses_what_would_not_fit_together_afterwards() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (_, full) = bought(world, &account, LOCAL, EVERYTHING).await;
        let (_, bare) = bought(world, &account, LOCAL, &[]).await;
        let before = world.fingerprint().await;
        let url = "http://example.com/";
        for (path, form, code, name) in [
            (&full, &[("Url", "")][..], 21405, "VoiceFallbackUrl"),
            (&full, &[("Url", url), ("SmsUrl", "")], 21406, "SmsFallbackUrl"),
            (&bare, &[("Url", ""), ("VoiceFallbackUrl", url)], 21405, "VoiceFallbackUrl"),
            (&bare, &[("Url", url), ("SmsFallbackUrl", url)], 21406, "SmsFallbackUrl"),
        ] {
            let answer = world.server.post(&account, path, form).await;
            answer.assert_refused(400, code);
            assert!(answer.element("Message").contains(name), "{}", answer.body);
        }
        assert_eq!(world.fingerprint().await, before);
        let form = [("Url", url), ("VoiceFallbackUrl", url), ("SmsUrl", url), ("SmsFallbackUrl", url)];
        world.server.post(&account, &bare, &form).await.assert_status(200);
    });
}

#[test]
fn an_update_needs_no_url() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (original, path) = bought(world, &account, LOCAL, EVERYTHING).await;
        for (form, changes) in [
            (&[][..], &[][..]),
            (&[("FriendlyName", "New")], &[("FriendlyName", "New")]),
            (&[("SmsUrl", "http://example.com/new")], &[("SmsUrl", "http://example.com/new")]),
            (&[("Method", "post")], &[("Method", "POST")]),
            (&[("VoiceCallerIdLookup", "")], &[("VoiceCallerIdLookup", "0")]),
            (&[("VoiceFallbackUrl", "")], &[("VoiceFallbackUrl", ""), ("VoiceFallbackMethod", "")]),
        ] {
            for answer in
                [world.server.post(&account, &path, form).await, world.server.put(&account, &path, form).await]
            {
                assert_eq!(settings(answer.assert_status(200)), everything_but(changes));
                let restored = world.server.post(&account, &path, EVERYTHING).await;
                assert_eq!(restored.body, original.body);
            }
        }
    });
}

#[test]
fn what_was_read_may_be_put_back() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        for (below, form) in [(LOCAL, EVERYTHING), (LOCAL, &[]), (TOLL_FREE, &[])] {
            let (read, path) = bought(world, &account, below, form).await;
            let leaves = read.leaves();
            let all = leaves.iter().map(|(path, text)| (path.rsplit('/').next().unwrap_or_default(), text.as_str()));
            let all: Vec<_> = all.collect();
            assert!(all.iter().any(|(name, _)| *name == "PhoneNumber"), "{all:?}");
            for answer in
                [world.server.post(&account, &path, &all).await, world.server.put(&account, &path, &all).await]
            {
                assert_eq!((answer.status, &answer.body), (200, &read.body));
            }
        }
    });
}

#[test]
fn put_does_what_post_does() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (original, path) = bought(world, &account, LOCAL, EVERYTHING).await;
        for form in [
            &[("Url", "http://example.com/a"), ("FriendlyName", "A")][..],
            &[("Url", ""), ("VoiceFallbackUrl", "")],
            EVERYTHING,
        ] {
            let posted = world.server.post(&account, &path, form).await;
            assert_eq!(world.server.put(&account, &path, EVERYTHING).await.body, original.body);
            let put = world.server.put(&account, &path, form).await;
            assert_eq!((put.status, put.body), (200, posted.body));
            world.server.post(&account, &path, EVERYTHING).await.assert_status(200);
        }
    });
}

#[test]
fn an_update_moves_the_date_of_its_number_only() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (_, path) = bought(world, &account, LOCAL, EVERYTHING).await;
        let (_, beside) = bought(world, &account, LOCAL, EVERYTHING).await;
        let others = world.server.get(&account, &beside).await.body;
        world.clock.advance(TimeDelta::days(9));
        let answer = world.server.post(&account, &path, &[("Url", "http://example.com/")]).await;
        assert_eq!(answer.text("DateCreated"), "Tue, 01 Apr 2008 18:26:32 +0000");
        assert_eq!(answer.text("DateUpdated"), "Thu, 10 Apr 2008 18:26:32 +0000");
        assert_eq!(world.server.get(&account, &beside).await.body, others);
        assert_eq!(balance(world, &account).await, "8.00");
    });
}

// Releasing

#[test]
fn a_released_number_is_gone_at_once_and_for_its_holder_only() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (kept, _) = bought(world, &account, LOCAL, &[]).await;
        let (number, path) = bought(world, &account, LOCAL, EVERYTHING).await;
        let answer = world.server.delete(&account, &path).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        for method in ["GET", "DELETE"] {
            Answer::of(world.server.call(&account, method, &path)).await.assert_refused(404, 20404);
        }
        world.server.post(&account, &path, EVERYTHING).await.assert_refused(404, 20404);
        for below in ["/IncomingPhoneNumbers", LOCAL] {
            let list = world.server.get(&account, below).await;
            assert_eq!((list.elements("Sid"), list.attribute("total")), (vec![kept.element("Sid")], "1".to_owned()));
            let by_number = format!("{below}?PhoneNumber={}", number.text("PhoneNumber"));
            assert_eq!(world.server.get(&account, &by_number).await.assert_status(200).attribute("total"), "0");
            let by_name = format!("{below}?FriendlyName=Company+Line");
            assert_eq!(world.server.get(&account, &by_name).await.assert_status(200).attribute("total"), "0");
        }
        assert_eq!(balance(world, &account).await, "8.00", "what was paid stays paid");
    });
}

#[test]
fn a_released_number_is_not_sold_again() {
    test(async |world| {
        for (below, first) in [(LOCAL, 4_158_670_000), (TOLL_FREE, 8_668_670_000)] {
            world.stock(first, 1).await;
            let (account, other) = (world.account("10.00").await, world.account("10.00").await);
            let (_, path) = bought(world, &account, below, &[]).await;
            assert_eq!(world.server.delete(&account, &path).await.status, 204);
            for buyer in [&account, &other] {
                world.server.post(buyer, below, &[]).await.assert_refused(400, 21452);
                let area_code = [("AreaCode", &first.to_string()[..3])];
                world.server.post(buyer, below, &area_code).await.assert_refused(400, 21452);
            }
        }
    });
}

// Suspension

#[test]
fn a_suspended_account_reads_and_releases_but_neither_buys_nor_updates() {
    test(async |world| {
        let account = shop(world, "10.00").await;
        let (number, path) = bought(world, &account, LOCAL, EVERYTHING).await;
        let (_, toll_free) = bought(world, &account, TOLL_FREE, &[]).await;
        world.suspend(&account).await;
        let before = world.fingerprint().await;
        for below in [LOCAL, TOLL_FREE] {
            world.server.post(&account, below, &[]).await.assert_refused(403, 20005);
            world.server.post(&account, below, &[("AreaCode", "212")]).await.assert_refused(403, 20005);
        }
        for path in [&path, &toll_free] {
            world.server.post(&account, path, &[("Url", "http://example.com/")]).await.assert_refused(403, 20005);
            world.server.put(&account, path, &[("Url", "")]).await.assert_refused(403, 20005);
        }
        assert_eq!(world.fingerprint().await, before);
        assert_eq!(world.server.get(&account, &path).await.body, number.body);
        assert_eq!(world.server.get(&account, "/IncomingPhoneNumbers").await.attribute("total"), "2");
        assert_eq!(balance(world, &account).await, "7.00");
        for path in [&path, &toll_free] {
            assert_eq!(world.server.delete(&account, path).await.status, 204);
        }
        assert_eq!(world.server.get(&account, "/IncomingPhoneNumbers").await.attribute("total"), "0");
    });
}
