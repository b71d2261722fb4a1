//! Buying below 2010-04-01: by the number itself, or by its area code.

use std::collections::HashSet;

use futures_util::future::join_all;
use numberbank::values::money::Money;
use numberbank::values::phone::Kind;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{Account, Answer, Server, WithForm, World, test};
use crate::v2010::{assert_refused, document, get, path, send};

const ALL: &str = "/IncomingPhoneNumbers.json";
const LOCAL: &str = "/IncomingPhoneNumbers/Local.json";
const TOLL_FREE: &str = "/IncomingPhoneNumbers/TollFree.json";

async fn buy(world: &World, account: &Account, below: &str, form: &[(&str, &str)]) -> Answer {
    send(world, account, "POST", below, form).await
}

fn request(server: &Server, account: &Account, below: &str, form: &[(&str, &str)]) -> RequestBuilder {
    server.request("POST", &path(account, below)).basic_auth(&account.sid, Some(&account.token)).with_form(form)
}

#[test]
fn a_number_is_bought_by_its_digits() {
    test(async |world| {
        world.stock(4_158_675_300, 10).await;
        world.stock(8_005_550_000, 2).await;
        let account = world.account("97.00").await;
        let form = [
            ("PhoneNumber", "+14158675309"),
            ("AreaCode", "212"),
            ("FriendlyName", "Main"),
            ("VoiceUrl", "https://example.com/voice"),
            ("StatusCallback", "https://example.com/status"),
            ("SmsUrl", ""),
            ("Beta", "true"),
        ];
        let bought = buy(world, &account, ALL, &form).await;
        let number = document(&bought, 201);
        let shown = ["phone_number", "friendly_name", "voice_url", "status_callback", "sms_url", "api_version", "type"];
        let expected = [
            "+14158675309",
            "Main",
            "https://example.com/voice",
            "https://example.com/status",
            "",
            "2010-04-01",
            "local",
        ];
        assert_eq!(json!(shown.map(|key| &number[key])), json!(expected));
        let below = format!("/IncomingPhoneNumbers/{}", number["sid"].as_str().expect("a Sid"));
        assert_eq!(bought.header("Location"), path(&account, &below));
        assert_eq!(document(&get(world, &account, &format!("{below}.json")).await, 200), number);
        assert_eq!(world.server.balance(&account).await, "96.00");

        for text in ["4158675308", "1 (415) 867-5307", "tel:+1-415-867-5306"] {
            document(&buy(world, &account, LOCAL, &[("PhoneNumber", text)]).await, 201);
        }
        let form = [("PhoneNumber", "+18005550001"), ("SmsUrl", "https://example.com/sms")];
        let number = document(&buy(world, &account, TOLL_FREE, &form).await, 201);
        assert_eq!((&number["sms_url"], &number["type"]), (&json!("https://example.com/sms"), &json!("tollfree")));
        assert_eq!(world.server.balance(&account).await, "91.00");
        // The other version shows the same numbers.
        let old = world.server.get(&account, "/IncomingPhoneNumbers").await;
        assert_eq!((old.attribute("total"), old.elements("PhoneNumber").len()), ("5".to_owned(), 5));
    });
}

#[test]
fn a_number_is_bought_by_its_area_code() {
    test(async |world| {
        world.stock(4_158_675_300, 1).await;
        world.stock(8_005_550_000, 1).await;
        let account = world.account("10.00").await;
        for (code, number) in [("415", "+14158675300"), ("800", "+18005550000")] {
            assert_eq!(document(&buy(world, &account, ALL, &[("AreaCode", code)]).await, 201)["phone_number"], number);
            assert_refused(&buy(world, &account, ALL, &[("AreaCode", code)]).await, 400, 21452);
        }
        for code in ["416", "41", "4155", "x"] {
            assert_refused(&buy(world, &account, ALL, &[("AreaCode", code)]).await, 400, 21451);
        }
    });
}

#[test]
fn what_is_not_for_sale_is_refused_alike_for_whatever_reason() {
    test(async |world| {
        world.stock(4_158_675_300, 4).await;
        let (account, other) = (world.account("10.00").await, world.account("10.00").await);
        let by = |number: &str| format!("+1415867530{number}");
        let held = document(&buy(world, &account, ALL, &[("PhoneNumber", &by("0"))]).await, 201);
        document(&buy(world, &other, ALL, &[("PhoneNumber", &by("1"))]).await, 201);
        let resting = document(&buy(world, &account, ALL, &[("PhoneNumber", &by("2"))]).await, 201);
        let below = format!("/IncomingPhoneNumbers/{}.json", resting["sid"].as_str().expect("a Sid"));
        send(world, &account, "DELETE", &below, &[]).await.assert_status(204);
        let withdraw = "update stock set state = 'withdrawn', moved_by = 'withdraw' where phone_number = 4158675303";
        sqlx::query(withdraw).execute(&world.db).await.expect("a number is withdrawn");
        let before = world.fingerprint().await;
        let mut bodies = HashSet::new();
        let nowhere =
            ["+14158675304", "+14158110000", "+442071838750", "+14165550100", "4165550100"].map(str::to_owned);
        for number in ["0", "1", "2", "3"].map(by).into_iter().chain(nowhere) {
            let answer = buy(world, &account, ALL, &[("PhoneNumber", &number)]).await;
            assert_refused(&answer, 400, 21422);
            bodies.insert(answer.body);
        }
        assert_eq!((bodies.len(), world.fingerprint().await), (1, before), "{bodies:?}");
        assert_eq!(held["phone_number"], by("0"));
    });
}

#[test]
fn what_cannot_be_bought_is_refused_with_its_code() {
    test(async |world| {
        world.stock(4_158_675_300, 4).await;
        world.stock(8_005_550_000, 4).await;
        let account = world.account("10.00").await;
        let before = world.fingerprint().await;
        let url = ("VoiceUrl", "http://example.com/");
        for (below, form, code) in [
            (ALL, &[url][..], 21421),
            (ALL, &[("PhoneNumber", ""), ("AreaCode", "")], 21421),
            (ALL, &[("PhoneNumber", "+15005550006")], 21421),
            (ALL, &[("PhoneNumber", "415")], 21421),
            (ALL, &[("PhoneNumber", "+14151675309")], 21421),
            (ALL, &[("PhoneNumber", "+12"), ("AreaCode", "415")], 21421),
            (ALL, &[("phone_number", "+14158675300")], 29002),
            (ALL, &[("PhoneNumber", "+14158675300"), ("PhoneNumber", "+14158675301")], 29003),
            (ALL, &[("PhoneNumber", "+14158675300"), ("Url", "http://example.com/")], 29002),
            (ALL, &[("PhoneNumber", "+14158675300"), ("VoiceUrl", "nope")], 21402),
            (ALL, &[("PhoneNumber", "+14158675300"), ("AccountSid", "AC00000000000000000000000000000000")], 29002),
            (ALL, &[("PhoneNumber", "+14158675300"), ("VoiceApplicationSid", "AP1")], 21420),
            (ALL, &[("PhoneNumber", "+14158675300"), ("SmsFallbackUrl", "http://example.com/")], 21406),
            (LOCAL, &[url], 21421),
            (LOCAL, &[("AreaCode", "415")], 21457),
            (LOCAL, &[("AreaCode", "415"), ("PhoneNumber", "+14158675300")], 21457),
            (LOCAL, &[("PhoneNumber", "+18005550000")], 21458),
            (TOLL_FREE, &[("AreaCode", "800")], 21457),
            (TOLL_FREE, &[("PhoneNumber", "+14158675300")], 21458),
            ("/IncomingPhoneNumbers/Mobile.json", &[("PhoneNumber", "+14158675300")], 21458),
        ] {
            assert_refused(&buy(world, &account, below, form).await, 400, code);
            assert_eq!(before, world.fingerprint().await, "{form:?}");
        }
    });
}

#[test]
fn money_and_standing_are_judged_as_in_the_other_version() {
    test(async |world| {
        world.stock(4_158_675_300, 3).await;
        let account = world.account("1.50").await;
        let own = account.sid.parse().expect("a Sid");
        let named = |number| [("PhoneNumber", number)];
        document(&buy(world, &account, ALL, &named("+14158675300")).await, 201);
        let before = world.fingerprint().await;
        assert_refused(&buy(world, &account, ALL, &named("+14158675301")).await, 402, 29001);
        // First whether it is for sale, then the money.
        assert_refused(&buy(world, &account, ALL, &named("+14158675300")).await, 400, 21422);
        assert_eq!(before, world.fingerprint().await);
        world.set_price(Kind::Local, Some(own), Money::from_cents(50)).await;
        document(&buy(world, &account, ALL, &named("+14158675301")).await, 201);
        assert_eq!(world.server.balance(&account).await, "0.00");
        world.suspend(&account).await;
        for number in ["+14158675302", "+14158675300"] {
            assert_refused(&buy(world, &account, ALL, &named(number)).await, 403, 20005);
        }
    });
}

#[test]
fn a_purchase_with_a_key_is_made_once() {
    test(async |world| {
        world.stock(4_158_675_300, 3).await;
        let account = world.account("10.00").await;
        let once = async |below: &str, form: &[(&str, &str)]| {
            Answer::of(request(&world.server, &account, below, form).header("Idempotency-Key", "one")).await
        };
        let form = [("PhoneNumber", "+14158675300"), ("VoiceUrl", "http://example.com/")];
        let first = once(ALL, &form).await;
        let number = document(&first, 201);
        for form in [[form[0], form[1]], [form[1], form[0]]] {
            let again = once(ALL, &form).await;
            assert_eq!((document(&again, 201), again.header("Idempotent-Replayed")), (number.clone(), "true"));
        }
        assert_eq!(world.server.balance(&account).await, "9.00");
        let before = world.fingerprint().await;
        for (below, form) in [
            (ALL, &form[..1]),
            (ALL, &[form[0], form[1], ("StatusCallback", "http://example.com/")]),
            (ALL, &[("PhoneNumber", "+14158675301"), form[1]]),
            (ALL, &[("AreaCode", "415"), form[1]]),
            (LOCAL, &form),
        ] {
            assert_refused(&once(below, form).await, 409, 29005);
        }
        world.server.buy_once(&account, "one", &[("AreaCode", "415")]).await.assert_refused(409, 29005);
        assert_eq!(before, world.fingerprint().await);
    });
}

/// The numbers that were bought, and the answers that refuse.
fn sold(answers: &[Answer]) -> (Vec<Value>, Vec<&Answer>) {
    let (bought, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    (bought.into_iter().map(|answer| document(answer, 201)["phone_number"].clone()).collect(), refused)
}

#[test]
fn one_number_goes_to_one_of_sixty_four_buyers() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let accounts = world.known_accounts(&servers, 16, "5.00").await;
        world.stock(4_158_670_000, 1).await;
        let form = [("PhoneNumber", "+14158670000")];
        // Four of each account, so that some come in one batch.
        let buyers = (0..64).map(|at| Answer::of(request(servers[at % 2], &accounts[at % 16], ALL, &form)));
        let answers = join_all(buyers).await;
        let (bought, refused) = sold(&answers);
        assert_eq!((bought.len(), refused.len()), (1, 63));
        refused.iter().for_each(|answer| assert_refused(answer, 400, 21422));
        let mut left = 0;
        for account in &accounts {
            left += usize::from(world.server.balance(account).await == "5.00");
        }
        assert_eq!(left, 15);
        servers[1].stop().await;
    });
}

#[test]
fn many_numbers_go_each_to_who_names_it_as_far_as_the_money_goes() {
    test(async |world| {
        let servers = [&world.server, &world.another_server()];
        let accounts = world.known_accounts(&servers, 4, "10.00").await;
        world.stock(4_158_670_000, 64).await;
        let numbers: Vec<_> = (0..64).map(|at| format!("+14158670{at:03}")).collect();
        let forms: Vec<_> = numbers.iter().map(|number| [("PhoneNumber", number.as_str())]).collect();
        let buyers = forms.iter().enumerate();
        let buyers = buyers.map(|(at, form)| Answer::of(request(servers[at % 2], &accounts[at / 16], ALL, form)));
        let answers = join_all(buyers).await;
        let (bought, refused) = sold(&answers);
        assert_eq!((bought.len(), refused.len()), (40, 24));
        assert_eq!(bought.iter().map(Value::to_string).collect::<HashSet<_>>().len(), 40);
        refused.iter().for_each(|answer| assert_refused(answer, 402, 29001));
        for account in &accounts {
            assert_eq!(world.server.balance(account).await, "0.00");
        }
        servers[1].stop().await;
    });
}
