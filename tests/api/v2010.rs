//! Version 2010-04-01 beside 2008-08-01: the same accounts and numbers, as today's SDKs read them.

use serde_json::{Value, json};

use crate::openapi;
use crate::support::{Account, Answer, WithForm, World, test};

pub fn path(account: &Account, below: &str) -> String {
    format!("/2010-04-01/Accounts/{}{below}", account.sid)
}

pub async fn send(world: &World, account: &Account, method: &str, below: &str, form: &[(&str, &str)]) -> Answer {
    let request = world.server.request(method, &path(account, below)).basic_auth(&account.sid, Some(&account.token));
    Answer::of(if form.is_empty() { request } else { request.with_form(form) }).await
}

pub async fn get(world: &World, account: &Account, below: &str) -> Answer {
    send(world, account, "GET", below, &[]).await
}

/// The document of an answer, which is as Twilio's description of it says.
#[track_caller]
pub fn document(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.header("Content-Type"), "application/json");
    let document = serde_json::from_str(&answer.assert_status(status).body).expect("one JSON document");
    openapi::assert_described(answer, &document);
    document
}

/// Fails unless this is an error in JSON, with these four members and no other.
#[track_caller]
pub fn assert_refused(answer: &Answer, status: u16, code: u16) {
    let told = document(answer, status);
    let names: Vec<_> = told.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["code", "message", "more_info", "status"], "{told}");
    assert_eq!((&told["code"], &told["status"]), (&json!(code), &json!(status)), "{told}");
    assert!(told["more_info"].as_str().is_some_and(|link| link.ends_with(&format!("/docs/errors/{code}"))), "{told}");
}

const MAIN_LINE: [(&str, &str); 5] = [
    ("AreaCode", "415"),
    ("FriendlyName", "Main & <Line>"),
    ("Url", "http://example.com/answer"),
    ("Method", "GET"),
    ("VoiceCallerIdLookup", "true"),
];

/// An account with a local and a toll-free number; returns their Sids.
pub async fn company(world: &World) -> (Account, [String; 2]) {
    world.stock(4_158_675_309, 1).await;
    world.stock(8_005_550_000, 1).await;
    let account = world.account("97.00").await;
    let local = world.server.buy(&account, &MAIN_LINE).await.assert_status(201).element("Sid");
    world.clock.advance(chrono::TimeDelta::seconds(1));
    let tollfree =
        world.server.post(&account, "/IncomingPhoneNumbers/TollFree", &[("Url", "http://example.com/")]).await;
    let tollfree = tollfree.assert_status(201).element("Sid");
    (account, [local, tollfree])
}

/// An account that holds `count` local numbers, bought a second apart.
async fn holder(world: &World, count: i64) -> Account {
    world.stock(4_158_670_000, count).await;
    let account = world.account("500.00").await;
    for _ in 0..count {
        world.clock.advance(chrono::TimeDelta::seconds(1));
        world.server.buy(&account, &[]).await.assert_status(201);
    }
    account
}

pub fn sids(list: &Value) -> Vec<String> {
    let rows = list["incoming_phone_numbers"].as_array().expect("a list");
    rows.iter().map(|row| row["sid"].as_str().expect("a Sid").to_owned()).collect()
}

#[test]
fn a_number_has_the_keys_of_the_contract_in_their_order() {
    test(async |world| {
        let (account, [local, tollfree]) = company(world).await;
        let below = format!("/IncomingPhoneNumbers/{local}.json");
        let number = document(&get(world, &account, &below).await, 200);
        let path = path(&account, &format!("/IncomingPhoneNumbers/{local}"));
        let expected = json!({
            "sid": local, "account_sid": account.sid, "friendly_name": "Main & <Line>", "phone_number": "+14158675309",
            "voice_url": "http://example.com/answer", "voice_method": "GET",
            "voice_fallback_url": "", "voice_fallback_method": "POST", "voice_caller_id_lookup": true,
            "date_created": number["date_created"], "date_updated": number["date_updated"],
            "sms_url": "", "sms_method": "POST", "sms_fallback_url": "", "sms_fallback_method": "POST",
            "address_requirements": "none", "beta": false,
            "capabilities": {"voice": true, "sms": true, "mms": true, "fax": false, "SMS": true, "MMS": true},
            "voice_receive_mode": "voice", "status_callback": "", "status_callback_method": "POST",
            "api_version": "2008-08-01", "voice_application_sid": "", "sms_application_sid": "", "origin": "twilio",
            "trunk_sid": null, "emergency_status": "Inactive", "emergency_address_sid": null,
            "emergency_address_status": "unregistered", "address_sid": null, "identity_sid": null, "bundle_sid": null,
            "uri": format!("{path}.json"), "status": "in-use", "type": "local",
        });
        assert_eq!(serde_json::to_string(&number).unwrap(), serde_json::to_string(&expected).unwrap());
        let date = number["date_created"].as_str().expect("a date");
        assert!(chrono::DateTime::parse_from_rfc2822(date).is_ok() && date.ends_with(" +0000"), "{date}");
        assert_eq!(
            document(&get(world, &account, &format!("/IncomingPhoneNumbers/{tollfree}.json")).await, 200)["type"],
            "tollfree"
        );

        let xml = get(world, &account, &format!("/IncomingPhoneNumbers/{local}")).await;
        assert_eq!(xml.element("FriendlyName"), "Main &amp; &lt;Line&gt;");
        assert_eq!((xml.element("PhoneNumber"), xml.element("Uri")), ("+14158675309".to_owned(), path));
        assert_eq!((xml.element("VoiceCallerIdLookup"), xml.element("TrunkSid")), ("true".to_owned(), String::new()));
        assert_eq!(xml.element("Capabilities"), "<Voice>true</Voice><SMS>true</SMS><MMS>true</MMS><Fax>false</Fax>");
        let csv = get(world, &account, "/IncomingPhoneNumbers.csv").await;
        let lines: Vec<_> = csv.assert_status(200).body.lines().collect();
        assert!(
            lines.len() == 3 && lines[0].starts_with("Sid,AccountSid,FriendlyName,PhoneNumber,VoiceUrl,"),
            "{lines:?}"
        );
    });
}

#[test]
fn an_account_and_its_balance() {
    test(async |world| {
        let account = world.account("97.00").await;
        let shown = document(&get(world, &account, ".json").await, 200);
        let below = |name: &str| path(&account, &format!("/{name}.json"));
        let subresources = json!({"available_phone_numbers": below("AvailablePhoneNumbers"),
            "incoming_phone_numbers": below("IncomingPhoneNumbers"), "keys": below("Keys"), "balance": below("Balance")});
        assert_eq!(
            (&shown["status"], &shown["type"], &shown["auth_token"]),
            (&json!("active"), &json!("Full"), &Value::Null)
        );
        assert_eq!((&shown["owner_account_sid"], &shown["subresource_uris"]), (&json!(account.sid), &subresources));
        let balance = document(&get(world, &account, "/Balance.json").await, 200);
        assert_eq!(balance, json!({"account_sid": account.sid, "balance": "97.00", "currency": "USD"}));

        let update = async |form: &[(&str, &str)]| send(world, &account, "POST", ".json", form).await;
        assert_eq!(document(&update(&[("FriendlyName", "New")]).await, 200)["friendly_name"], "New");
        assert_refused(&update(&[("Status", "closed")]).await, 400, 21477);
        assert_refused(&update(&[("Status", "shut")]).await, 400, 21475);
        assert_refused(&update(&[("FriendlyName", "")]).await, 400, 20002);
        let list = async |query: &str| {
            let all = world.server.request("GET", &format!("/2010-04-01/Accounts.json{query}"));
            let all = document(&Answer::of(all.basic_auth(&account.sid, Some(&account.token))).await, 200);
            all["accounts"].as_array().map(Vec::len)
        };
        assert_eq!((list("").await, list("?Status=closed").await), (Some(1), Some(0)));
        assert_eq!(
            (list("?FriendlyName=New&Status=active").await, list("?FriendlyName=Old").await),
            (Some(1), Some(0))
        );
    });
}

#[test]
fn lists_are_walked_in_both_directions() {
    test(async |world| {
        let account = holder(world, 7).await;
        let all = document(&get(world, &account, "/IncomingPhoneNumbers.json").await, 200);
        let uri = path(&account, "/IncomingPhoneNumbers.json?PageSize=50&Page=0");
        assert_eq!(
            (&all["uri"], &all["next_page_uri"], &all["previous_page_uri"]),
            (&json!(uri), &Value::Null, &Value::Null)
        );
        let numbers = ["page", "page_size", "start", "end", "total", "num_pages"].map(|key| all[key].as_i64());
        assert_eq!(numbers, [0, 50, 0, 6, 7, 1].map(Some));
        let all = sids(&all);

        let follow =
            async |uri: &Value| document(&world.server.follow(&account, uri.as_str().expect("a URI")).await, 200);
        let mut pages = vec![document(&get(world, &account, "/IncomingPhoneNumbers.json?PageSize=3").await, 200)];
        while let Some(next) = Some(&pages[pages.len() - 1]["next_page_uri"]).filter(|next| !next.is_null()) {
            pages.push(follow(next).await);
            // Another one is bought meanwhile, and shifts nothing.
            world.stock(2_128_670_000 + pages.len() as i64, 1).await;
            world.clock.advance(chrono::TimeDelta::seconds(1));
            world.server.buy(&account, &[]).await.assert_status(201);
        }
        assert_eq!(pages.iter().flat_map(sids).collect::<Vec<_>>(), all);
        assert_eq!(sids(&follow(&pages[2]["previous_page_uri"]).await), sids(&pages[1]));
        // Nor on the way back, to the first page too.
        assert_eq!(sids(&follow(&pages[1]["previous_page_uri"]).await), sids(&pages[0]));
        let token = format!("/IncomingPhoneNumbers.json?PageSize=3&PageToken=PA{}", all[2]);
        let second = document(&get(world, &account, &token).await, 200);
        assert_eq!(sids(&follow(&second["previous_page_uri"]).await), all[..3]);
        let far = format!("/IncomingPhoneNumbers.json?PageSize=1&Page={}&PageToken=PA{}", u32::MAX, all[2]);
        let far = document(&get(world, &account, &far).await, 200);
        assert_eq!(sids(&follow(&far["next_page_uri"]).await), all[4..5]);
        let last = follow(&pages[0]["last_page_uri"]).await;
        assert_eq!(sids(&last).last(), all.last());
        // A token of a number that was released still names a place.
        send(world, &account, "DELETE", &format!("/IncomingPhoneNumbers/{}.json", all[2]), &[])
            .await
            .assert_status(204);
        assert_eq!(sids(&follow(&pages[0]["next_page_uri"]).await), all[3..6]);
        let beyond = document(&get(world, &account, "/IncomingPhoneNumbers.json?Page=9").await, 200);
        assert!(sids(&beyond).is_empty());
        for (query, code) in [("PageSize=0", 20007), ("Page=x", 29002), ("PageToken=PA1", 21481)] {
            assert_refused(&get(world, &account, &format!("/IncomingPhoneNumbers.json?{query}")).await, 400, code);
        }
        let unknown = format!("/IncomingPhoneNumbers.json?PageToken=PAPN{}", "0".repeat(32));
        assert_refused(&get(world, &account, &unknown).await, 400, 21481);
    });
}

#[test]
fn lists_are_narrowed_by_digits_name_and_origin() {
    test(async |world| {
        let account = holder(world, 12).await;
        world.stock(8_005_550_000, 2).await;
        for name in ["a b", "c"] {
            let form = [("FriendlyName", name)];
            world.server.post(&account, "/IncomingPhoneNumbers/TollFree", &form).await.assert_status(201);
        }
        let list = async |below: &str| document(&get(world, &account, below).await, 200);
        let count = async |query: &str| list(&format!("/IncomingPhoneNumbers.json?{query}")).await["total"].as_i64();
        for (query, numbers) in [
            ("PhoneNumber=415*******", 12),
            ("PhoneNumber=8670005", 1),
            ("PhoneNumber=867001*", 2),
            ("PhoneNumber=%2B1415", 12),
            ("PhoneNumber=%2B1800", 2),
            ("PhoneNumber=%2B1867", 0),
            ("PhoneNumber=4158670003", 1),
            ("PhoneNumber=(415)+867-0003", 1),
            ("PhoneNumber=%2B14158670003", 1),
            ("PhoneNumber=%2B4415", 0),
            ("PhoneNumber=415%25", 0),
            ("FriendlyName=a+b", 1),
            ("FriendlyName=a+b&PhoneNumber=800", 1),
            ("FriendlyName=a+b&PhoneNumber=415", 0),
            ("FriendlyName=%28415%29+867-0003&PhoneNumber=0003", 1),
            ("Origin=hosted", 0),
            ("Origin=twilio&Beta=true", 14),
        ] {
            assert_eq!(count(query).await, Some(numbers), "{query}");
        }
        for (below, numbers) in [("Local", 12), ("TollFree", 2), ("Mobile", 0)] {
            assert_eq!(list(&format!("/IncomingPhoneNumbers/{below}.json")).await["total"], numbers, "{below}");
        }
        // A row after a head that is longer than most.
        let number = &sids(&list("/IncomingPhoneNumbers/TollFree.json").await)[0];
        let (below, name) = (format!("/IncomingPhoneNumbers/{number}.json"), "京".repeat(64));
        send(world, &account, "POST", &below, &[("FriendlyName", &name)]).await.assert_status(200);
        let query = format!("PageSize=1&FriendlyName={}", "%E4%BA%AC".repeat(64));
        assert_eq!(count(&query).await, Some(1));
        // The pages of a pattern, there and back.
        let pattern = "/IncomingPhoneNumbers.json?PhoneNumber=41586700*&PageSize=5";
        let whole = sids(&list("/IncomingPhoneNumbers/Local.json").await);
        let follow =
            async |uri: &Value| document(&world.server.follow(&account, uri.as_str().expect("a URI")).await, 200);
        let first = list(pattern).await;
        let second = follow(&first["next_page_uri"]).await;
        let third = follow(&second["next_page_uri"]).await;
        assert_eq!([&first, &second, &third].map(sids).concat(), whole);
        assert_eq!((&third["next_page_uri"], &third["page"]), (&Value::Null, &json!(2)));
        assert_eq!(sids(&follow(&third["previous_page_uri"]).await), sids(&second));
        assert_eq!(sids(&follow(&first["last_page_uri"]).await), sids(&third));
        assert_eq!(sids(&list(&format!("{pattern}&Page=1")).await), sids(&second));
        // Where the newest are gone meanwhile, the way back ends at the first page.
        for sid in &whole[..7] {
            send(world, &account, "DELETE", &format!("/IncomingPhoneNumbers/{sid}.json"), &[]).await.assert_status(204);
        }
        let first = follow(&third["previous_page_uri"]).await;
        assert_eq!((sids(&first), &first["page"]), (whole[7..12].to_vec(), &json!(0)));
        assert_eq!(first["previous_page_uri"], Value::Null);
    });
}

#[test]
fn a_number_is_changed_and_released() {
    test(async |world| {
        let (account, [sid, _]) = company(world).await;
        let below = format!("/IncomingPhoneNumbers/{sid}.json");
        let update = async |method: &str, form: &[(&str, &str)]| send(world, &account, method, &below, form).await;
        let form = [("VoiceUrl", ""), ("FriendlyName", ""), ("SmsUrl", "http://example.com/sms"), ("SmsMethod", "get")];
        let number = document(&update("POST", &form).await, 200);
        let shown =
            ["voice_url", "voice_method", "friendly_name", "sms_url", "sms_method"].map(|key| number[key].clone());
        assert_eq!(json!(shown), json!(["", "POST", "(415) 867-5309", "http://example.com/sms", "GET"]));
        // What an infrastructure tool sends back of what it has read.
        let usual = [
            ("VoiceReceiveMode", "voice"),
            ("EmergencyStatus", "Inactive"),
            ("TrunkSid", ""),
            ("Unknown", "x"),
            ("StatusCallbackMethod", "POST"),
        ];
        assert_eq!(document(&update("PUT", &usual).await, 200)["sms_url"], "http://example.com/sms");
        assert_eq!(document(&update("PUT", &[("AccountSid", &account.sid)]).await, 200)["sid"], json!(sid));
        let nobody = format!("AC{}", "0".repeat(32));
        for (name, value, code) in [
            ("VoiceUrl", "nope", 21402),
            ("VoiceMethod", "PUT", 21403),
            ("VoiceFallbackUrl", "http://example.com/", 21405),
            ("Url", "http://example.com/", 29002),
            ("voice_url", "http://example.com/", 29002),
            ("StatusCallback", "nope", 21402),
            ("StatusCallbackMethod", "PUT", 21403),
            ("status_callback", "http://example.com/", 29002),
            ("VoiceApplicationSid", "AP1", 21420),
            ("SmsApplicationSid", &foreign("TK", 'a'), 21420),
            ("TrunkSid", &foreign("AP", 'a'), 29002),
            ("AddressSid", &foreign("AD", 'g'), 29002),
            ("BundleSid", "BU", 29002),
            ("IdentitySid", &format!("{}0", foreign("RI", 'a')), 29002),
            ("ApiVersion", "2010-04-02", 29002),
            ("EmergencyAddressSid", &foreign("AD", 'a'), 29002),
            ("TrunkSid[]", "x", 29002),
            ("VoiceReceiveMode", "fax", 29002),
            ("EmergencyStatus", "Active", 29002),
            ("AccountSid", "AC1", 21470),
            ("AccountSid", &nobody, 21473),
        ] {
            let before = world.fingerprint().await;
            assert_refused(&update("POST", &[(name, value)]).await, 400, code);
            assert_eq!(before, world.fingerprint().await, "{name}={value}");
        }
        assert_eq!(
            world.server.get(&account, &format!("/IncomingPhoneNumbers/{sid}")).await.element("SmsMethod"),
            "GET"
        );
        let released = update("DELETE", &[]).await;
        assert_eq!((released.assert_status(204).body.as_str(), released.header("Content-Type")), ("", ""));
        for method in ["DELETE", "GET"] {
            let gone = update(method, &[]).await;
            assert_refused(&gone, 404, 20404);
            let message = format!("The requested resource {} was not found", path(&account, &below));
            assert_eq!(document(&gone, 404)["message"], json!(message));
        }
    });
}

/// The Sid of something that this registry does not have.
fn foreign(prefix: &str, digit: char) -> String {
    format!("{prefix}{}", digit.to_string().repeat(32))
}

#[test]
fn what_has_no_effect_is_kept_and_given_back() {
    test(async |world| {
        let (account, numbers) = company(world).await;
        for sid in numbers {
            let below = format!("/IncomingPhoneNumbers/{sid}.json");
            let update =
                async |form: &[(&str, &str)]| document(&send(world, &account, "POST", &below, form).await, 200);
            let sids = ["VoiceApplicationSid", "SmsApplicationSid", "AddressSid", "BundleSid", "IdentitySid"];
            let keys = ["voice_application_sid", "sms_application_sid", "address_sid", "bundle_sid", "identity_sid"];
            let values = ["AP", "AP", "AD", "BU", "RI"].map(|prefix| foreign(prefix, 'B'));
            let mut form = vec![("StatusCallback", "http://example.com/status"), ("SmsUrl", "http://example.com/sms")];
            form.extend(sids.into_iter().zip(values.iter().map(String::as_str)));
            let number = update(&form).await;
            assert_eq!(json!(keys.map(|key| &number[key])), json!(values));
            let status = json!(["http://example.com/status", "POST", "http://example.com/sms"]);
            let read = |number: &Value| {
                json!(["status_callback", "status_callback_method", "sms_url"].map(|key| &number[key]))
            };
            assert_eq!(read(&number), status);
            assert_eq!(document(&get(world, &account, &below).await, 200), number);
            let xml = get(world, &account, &below.replace(".json", "")).await;
            assert_eq!(
                (xml.element("VoiceApplicationSid"), xml.element("StatusCallbackMethod")),
                (values[0].clone(), "POST".to_owned())
            );

            // A trunk ends the application for calls, and the other way round; of both, the trunk stays.
            let (application, trunk) = (foreign("AP", '1'), foreign("TK", '2'));
            let pair = |number: &Value| json!(["voice_application_sid", "trunk_sid"].map(|key| &number[key]));
            for (form, expected) in [
                (&[("TrunkSid", trunk.as_str())][..], json!(["", trunk])),
                (&[("FriendlyName", "x")], json!(["", trunk])),
                (&[("VoiceApplicationSid", "")], json!(["", trunk])),
                (&[("VoiceApplicationSid", &application), ("TrunkSid", "")], json!([application, null])),
                (&[("VoiceApplicationSid", &application), ("TrunkSid", &trunk)], json!(["", trunk])),
                (&[("VoiceApplicationSid", &application)], json!([application, null])),
                (&[("TrunkSid", "")], json!([application, null])),
            ] {
                assert_eq!(pair(&update(form).await), expected, "{form:?}");
            }

            // The other version does not show what it does not know, and keeps it.
            let old = world.server.post(&account, &format!("/IncomingPhoneNumbers/{sid}"), &[("Method", "GET")]).await;
            assert!(!old.assert_status(200).body.contains("Status"), "{}", old.body);
            let number = update(&[("ApiVersion", "2010-04-01"), ("StatusCallbackMethod", "GET")]).await;
            assert_eq!(
                (&number["api_version"], &number["status_callback_method"]),
                (&json!("2010-04-01"), &json!("GET"))
            );
            let cleared: Vec<_> =
                sids.into_iter().chain(["StatusCallback", "ApiVersion"]).map(|name| (name, "")).collect();
            let number = update(&cleared).await;
            assert_eq!(json!(keys.map(|key| &number[key])), json!(["", "", null, null, null]));
            assert_eq!(read(&number), json!(["", "POST", "http://example.com/sms"]));
        }
    });
}

#[test]
fn errors_are_told_in_the_version_that_was_asked() {
    test(async |world| {
        let account = world.account("1.00").await;
        let anonymous = Answer::of(world.server.request("GET", &path(&account, ".json"))).await;
        assert_refused(&anonymous, 401, 20003);
        assert_eq!(anonymous.header("WWW-Authenticate"), "Basic realm=\"numberbank\"");
        assert_eq!(document(&anonymous, 401)["message"], "Authenticate");
        assert_refused(&get(world, &account, "/Calls.json").await, 404, 20404);
        let deleted = send(world, &account, "DELETE", ".json", &[]).await;
        assert_refused(&deleted, 405, 20004);
        assert_eq!(deleted.header("Allow"), "GET, POST, PUT, HEAD, OPTIONS");
        assert_refused(&get(world, &account, ".json?x=%zz").await, 400, 29004);
        let xml = get(world, &account, "/Calls").await;
        xml.assert_refused(404, 20404);
        assert!(xml.body.contains("<RestException><Code>20404</Code><Message>"), "{}", xml.body);
        // A path of no version is answered by the first one.
        let nowhere = Answer::of(world.server.request("GET", "/2010-04-0/Accounts.json")).await;
        assert_eq!((nowhere.status, nowhere.element("Code")), (404, "20404".to_owned()));
    });
}
