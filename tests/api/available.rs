//! Searching numbers on sale: `AvailablePhoneNumbers` of version 2010-04-01.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Account, Answer, World, test};
use crate::v2010::{assert_refused, document, get, path};

const LOCAL: &str = "/AvailablePhoneNumbers/US/Local.json";
const TOLL_FREE: &str = "/AvailablePhoneNumbers/US/TollFree.json";

/// The numbers that a search finds, in its order.
async fn search(world: &World, account: &Account, below: &str) -> Vec<String> {
    let list = document(&get(world, account, below).await, 200);
    let rows = list["available_phone_numbers"].as_array().expect("a list");
    rows.iter().map(|row| row["phone_number"].as_str().expect("a number").to_owned()).collect()
}

/// The same, sorted.
async fn found(world: &World, account: &Account, below: &str) -> Vec<String> {
    let mut found = search(world, account, below).await;
    found.sort_unstable();
    found
}

/// `+1` and each of these numbers.
fn e164(numbers: &[i64]) -> Vec<String> {
    numbers.iter().map(|number| format!("+1{number}")).collect()
}

#[test]
fn a_number_on_sale_has_the_keys_of_the_contract_in_their_order() {
    test(async |world| {
        world.stock(4_158_675_309, 1).await;
        world.stock(8_005_550_000, 1).await;
        let account = world.account("0.00").await;
        let below = format!("{LOCAL}?PageSize=5&AreaCode=415&Contains=%2B1415&Beta=true");
        let list = document(&get(world, &account, &below).await, 200);
        let expected = json!({
            "uri": path(&account, &format!("{LOCAL}?AreaCode=415&Contains=%2B1415&PageSize=5")),
            "available_phone_numbers": [{
                "friendly_name": "(415) 867-5309", "phone_number": "+14158675309", "lata": null, "locality": null,
                "rate_center": null, "latitude": null, "longitude": null, "region": "CA", "postal_code": null,
                "iso_country": "US", "address_requirements": "none", "beta": false,
                "capabilities": {"voice": true, "sms": true, "mms": true, "fax": false, "SMS": true, "MMS": true},
            }],
        });
        assert_eq!(serde_json::to_string(&list).unwrap(), serde_json::to_string(&expected).unwrap());
        let tollfree = document(&get(world, &account, TOLL_FREE).await, 200);
        assert_eq!(tollfree["uri"], json!(path(&account, TOLL_FREE)));
        let row = &tollfree["available_phone_numbers"][0];
        assert_eq!((&row["phone_number"], &row["region"]), (&json!("+18005550000"), &Value::Null));

        let xml = get(world, &account, "/AvailablePhoneNumbers/US/Local?AreaCode=415&InRegion=ca").await;
        let uri = path(&account, "/AvailablePhoneNumbers/US/Local?AreaCode=415&amp;InRegion=ca");
        let head = format!("<TwilioResponse><AvailablePhoneNumbers uri=\"{uri}\"><AvailablePhoneNumber>");
        let body = "<FriendlyName>(415) 867-5309</FriendlyName><PhoneNumber>+14158675309</PhoneNumber><Lata></Lata>\
            <RateCenter></RateCenter><Latitude></Latitude><Longitude></Longitude><Region>CA</Region>\
            <PostalCode></PostalCode><IsoCountry>US</IsoCountry><AddressRequirements>none</AddressRequirements>\
            <Beta>false</Beta><Capabilities><Voice>true</Voice><SMS>true</SMS><MMS>true</MMS><Fax>false</Fax>\
            </Capabilities></AvailablePhoneNumber></AvailablePhoneNumbers></TwilioResponse>";
        assert!(xml.assert_status(200).body.contains(&(head + body)), "{}", xml.body);
        let csv = get(world, &account, "/AvailablePhoneNumbers/US/TollFree.csv").await;
        let lines = "FriendlyName,PhoneNumber,Lata,RateCenter,Latitude,Longitude,Region,PostalCode,IsoCountry,\
            AddressRequirements,Beta,Capabilities\n(800) 555-0000,+18005550000,,,,,,,US,none,false,\
            \"{\"\"voice\"\":true,\"\"sms\"\":true,\"\"mms\"\":true,\"\"fax\"\":false,\"\"SMS\"\":true,\"\"MMS\"\":true}\"\n";
        assert_eq!(csv.assert_status(200).body, lines);
    });
}

#[test]
fn the_only_country_is_the_us() {
    test(async |world| {
        let account = world.account("0.00").await;
        let below = |name: &str| path(&account, &format!("/AvailablePhoneNumbers{name}"));
        let country = json!({
            "country_code": "US", "country": "United States", "uri": below("/US.json"), "beta": false,
            "subresource_uris": {"local": below("/US/Local.json"), "toll_free": below("/US/TollFree.json")},
        });
        let one = document(&get(world, &account, "/AvailablePhoneNumbers/US.json").await, 200);
        assert_eq!(serde_json::to_string(&one).unwrap(), serde_json::to_string(&country).unwrap());
        let all = document(&get(world, &account, "/AvailablePhoneNumbers.json").await, 200);
        let expected = json!({"uri": below(".json"), "countries": [country]});
        assert_eq!(serde_json::to_string(&all).unwrap(), serde_json::to_string(&expected).unwrap());
        let xml = get(world, &account, "/AvailablePhoneNumbers").await;
        let expected = format!(
            "<Countries uri=\"{}\"><Country><CountryCode>US</CountryCode><Country>United States</Country><Uri>{us}</Uri>\
            <Beta>false</Beta><SubresourceUris><Local>{us}/Local</Local><TollFree>{us}/TollFree</TollFree>\
            </SubresourceUris></Country></Countries>",
            below(""),
            us = below("/US"),
        );
        assert!(xml.assert_status(200).body.contains(&expected), "{}", xml.body);
        let csv = get(world, &account, "/AvailablePhoneNumbers.csv").await;
        assert!(
            csv.assert_status(200).body.starts_with("CountryCode,Country,Uri,Beta,SubresourceUris\nUS,United States,")
        );
        for other in ["/CA", "/us", "/CA/Local", "/US/Mobile", "/US/National", "/US/local", "/GB/TollFree"] {
            assert_refused(&get(world, &account, &format!("/AvailablePhoneNumbers{other}.json")).await, 404, 20404);
        }
        for below in ["", "/US", "/US/Local", "/US/TollFree"] {
            let path = path(&account, &format!("/AvailablePhoneNumbers{below}.json"));
            let posted = world.server.request("POST", &path).basic_auth(&account.sid, Some(&account.token));
            assert_refused(&Answer::of(posted).await, 405, 20004);
        }
    });
}

/// Two numbers each of two codes in California and one in New York, two toll-free ones, and an account.
async fn market(world: &World) -> Account {
    for first in [4_158_670_000, 6_285_550_100, 2_128_670_000, 8_005_550_000, 8_885_550_000] {
        world.stock(first, 2).await;
    }
    world.account("10.00").await
}

#[test]
fn a_search_is_narrowed_by_each_filter() {
    test(async |world| {
        let account = market(world).await;
        let (ca, ny) = ([4_158_670_000, 4_158_670_001, 6_285_550_100, 6_285_550_101], [2_128_670_000, 2_128_670_001]);
        let all = [&ny[..], &ca].concat();
        let tollfree = [8_005_550_000, 8_005_550_001, 8_885_550_000, 8_885_550_001];
        let nothing: &[i64] = &[];
        for (query, local, of_tollfree) in [
            ("", &all[..], &tollfree[..]),
            ("AreaCode=415", &ca[..2], nothing),
            ("AreaCode=800", nothing, &tollfree[..2]),
            ("AreaCode=416", nothing, nothing),
            ("AreaCode=303", nothing, nothing),
            ("AreaCode=", &all, &tollfree),
            ("InRegion=CA", &ca, nothing),
            ("InRegion=ny", &ny, nothing),
            ("InRegion=WY", nothing, nothing),
            ("InRegion=California", nothing, nothing),
            ("InRegion=%2B12125551234", &ny, nothing),
            ("InRegion=8005551234", nothing, nothing),
            ("InRegion=CA&AreaCode=628", &ca[2..], nothing),
            ("InRegion=NY&AreaCode=628", nothing, nothing),
            // Walks along the whole kind, of area codes, and ranges.
            ("Contains=67", &[&ny[..], &ca[..2]].concat(), nothing),
            ("Contains=55", &ca[2..], &tollfree),
            ("Contains=67&InRegion=CA", &ca[..2], nothing),
            ("Contains=67&AreaCode=212", &ny, nothing),
            ("Contains=67&AreaCode=628", nothing, nothing),
            ("Contains=%2B1628", &ca[2..], nothing),
            ("Contains=%2B1416", nothing, nothing),
            ("Contains=%2B1415867", &ca[..2], nothing),
            ("Contains=%2B1415867&AreaCode=628", nothing, nothing),
            ("Contains=8670001", &[ny[1], ca[1]], nothing),
            ("Contains=8670001&InRegion=NY", &ny[1..], nothing),
            ("Contains=4158670001", &ca[1..2], nothing),
            ("Contains=%2B14158670001$", &ca[1..2], nothing),
            ("Contains=01$", &[ny[1], ca[1], ca[3]], &[tollfree[1], tollfree[3]]),
            ("Contains=888%2500$", nothing, &tollfree[2..3]),
            ("Contains=***TOP****", &[&ny[..], &ca[..2]].concat(), nothing),
            ("VoiceEnabled=true&SmsEnabled=1&MmsEnabled=TRUE&FaxEnabled=false", &all, &tollfree),
            ("VoiceEnabled=&SmsEnabled=&MmsEnabled=&FaxEnabled=", &all, &tollfree),
            ("VoiceEnabled=false", nothing, nothing),
            ("SmsEnabled=0", nothing, nothing),
            ("MmsEnabled=false", nothing, nothing),
            ("FaxEnabled=true", nothing, nothing),
            ("ExcludeAllAddressRequired=true&Beta=false&Page=7&PageToken=x&Unknown=1", &all, &tollfree),
            ("NearNumber=&Distance=&InPostalCode=&InLata=&InRateCenter=&InLocality=&NearLatLong=", &all, &tollfree),
        ] {
            assert_eq!(found(world, &account, &format!("{LOCAL}?{query}")).await, e164(local), "{query}");
            assert_eq!(found(world, &account, &format!("{TOLL_FREE}?{query}")).await, e164(of_tollfree), "{query}");
        }
    });
}

#[test]
fn what_cannot_be_searched_by_is_refused() {
    test(async |world| {
        let account = market(world).await;
        for (query, code, named) in [
            ("AreaCode=41", 21451, "AreaCode"),
            ("AreaCode=4155", 21451, "AreaCode"),
            ("AreaCode=%2B41", 21451, "AreaCode"),
            ("AreaCode=abc", 21451, "AreaCode"),
            ("Contains=1$", 29002, "Contains"),
            ("Contains=**", 29002, "Contains"),
            ("Contains=415-867", 29002, "Contains"),
            ("Contains=+1415", 29002, "Contains"),
            ("Contains=12345678901234567", 29002, "Contains"),
            ("PageSize=0", 20007, "PageSize"),
            ("PageSize=-1", 20007, "PageSize"),
            ("PageSize=ten", 20007, "PageSize"),
            ("SmsEnabled=maybe", 29002, "SmsEnabled"),
            ("FaxEnabled=2", 29002, "FaxEnabled"),
            ("NearNumber=%2B14158675309", 29002, "NearNumber"),
            ("NearLatLong=37.84,-122.42", 29002, "NearLatLong"),
            ("Distance=25", 29002, "Distance"),
            ("InPostalCode=94105", 29002, "InPostalCode"),
            ("InLata=722", 29002, "InLata"),
            ("InRateCenter=SNFC", 29002, "InRateCenter"),
            ("InLocality=San+Francisco", 29002, "InLocality"),
            // Also where another parameter lets the search find nothing.
            ("FaxEnabled=true&InLata=722", 29002, "InLata"),
            ("AreaCode=415&AreaCode=415", 29003, "AreaCode"),
            ("InRegion=CA&InRegion=", 29003, "InRegion"),
            ("AreaCode=%zz", 29004, ""),
        ] {
            for below in [LOCAL, TOLL_FREE] {
                let answer = get(world, &account, &format!("{below}?{query}")).await;
                assert_refused(&answer, 400, code);
                let message = document(&answer, 400)["message"].as_str().expect("a message").to_owned();
                assert!(message.contains(named), "{query}: {message}");
            }
        }
    });
}

#[test]
fn an_answer_has_thirty_numbers_at_most() {
    test(async |world| {
        world.stock(4_158_670_000, 50).await;
        let account = world.account("10.00").await;
        for (query, count) in [
            ("", 30),
            ("PageSize=31", 30),
            ("PageSize=5000", 30),
            ("PageSize=99999999999999999999", 30),
            ("PageSize=", 30),
            ("PageSize=7", 7),
            ("PageSize=1", 1),
            ("PageSize=20&AreaCode=415", 20),
            ("AreaCode=415", 30),
            ("InRegion=CA", 30),
            ("Contains=%2B1415867", 30),
            ("Contains=867", 30),
            ("Contains=8670", 30),
            ("Contains=67004", 10),
        ] {
            let found: BTreeSet<_> = search(world, &account, &format!("{LOCAL}?{query}")).await.into_iter().collect();
            assert_eq!(found.len(), count, "{query}");
        }
    });
}

#[test]
fn searches_begin_at_random_places_and_find_all_in_the_end() {
    test(async |world| {
        world.stock(4_158_670_000, 40).await;
        let account = world.account("10.00").await;
        let whole: BTreeSet<_> = (0..40).map(|nth| format!("+1{}", 4_158_670_000_i64 + nth)).collect();
        // The whole queue, an area code, a state, a range, and single numbers.
        for query in ["", "AreaCode=415", "InRegion=CA", "Contains=%2B1415867", "Contains=8670%25"] {
            let (mut firsts, mut seen) = (BTreeSet::new(), BTreeSet::new());
            for _ in 0..40 {
                let found = search(world, &account, &format!("{LOCAL}?{query}")).await;
                firsts.insert(found[0].clone());
                seen.extend(found);
            }
            assert_eq!(seen, whole, "{query}");
            // Of 40 random ones, about 25 differ.
            assert!(firsts.len() > 10, "{query}: {firsts:?}");
        }
    });
}

#[test]
fn only_what_can_be_bought_is_found_and_a_search_changes_nothing() {
    test(async |world| {
        let account = market(world).await;
        let queries =
            ["AreaCode=415", "InRegion=CA&Contains=67", "Contains=%2B1415867", "Contains=4158670001", "Contains=67"];
        let first = world.server.buy(&account, &[("AreaCode", "415")]).await.assert_status(201).element("Sid");
        let kept = async || {
            for query in queries {
                let found = found(world, &account, &format!("{LOCAL}?{query}")).await;
                assert!(found.iter().filter(|number| number.starts_with("+1415")).count() < 2, "{query}: {found:?}");
            }
        };
        kept().await;
        // In quarantine.
        world.server.release(&account, &first).await.assert_status(204);
        kept().await;
        // Withdrawn.
        let other = search(world, &account, &format!("{LOCAL}?AreaCode=415")).await;
        let number: i64 = other[0][2..].parse().expect("a number");
        sqlx::query("update stock set state = 'withdrawn', moved_by = 'withdraw' where phone_number = $1")
            .bind(number)
            .execute(&world.db)
            .await
            .expect("a withdrawal");
        for query in queries.iter().take(4) {
            assert_eq!(found(world, &account, &format!("{LOCAL}?{query}")).await, [""; 0], "{query}");
        }
        let before = world.fingerprint().await;
        for below in [LOCAL, TOLL_FREE, "/AvailablePhoneNumbers.json"] {
            get(world, &account, below).await.assert_status(200);
        }
        assert_eq!(world.fingerprint().await, before);
        // To read is allowed to a suspended account; what it sees is what others may buy.
        world.suspend(&account).await;
        assert_eq!(found(world, &account, &format!("{LOCAL}?InRegion=NY")).await.len(), 2);
    });
}

/// Whether the digits match from their first one on.
fn begins(pattern: &[u8], digits: &[u8]) -> bool {
    match (pattern.split_first(), digits.split_first()) {
        (None, _) => true,
        (Some((b'$', _)), _) => digits.is_empty(),
        (Some((b'%', rest)), _) => (0..=digits.len()).any(|skipped| begins(rest, &digits[skipped..])),
        (Some((wanted, rest)), Some((digit, others))) => (*wanted == b'*' || wanted == digit) && begins(rest, others),
        (Some(_), None) => false,
    }
}

#[test]
fn what_a_walk_misses_is_looked_up() {
    test(async |world| {
        world.stock(8_002_000_000, 20_000).await;
        let account = world.account("10.00").await;
        let mut hits = 0;
        for _ in 0..30 {
            let found = search(world, &account, &format!("{TOLL_FREE}?Contains=9999")).await;
            hits += i32::from(found.contains(&"+18002019999".to_owned()));
        }
        // A seventh of the stock is walked, and two thirds of the ranges are looked up: about 20 hits, where a walk alone
        // has 5.
        assert!(hits > 10, "{hits}");
    });
}

#[test]
fn patterns_find_what_a_simple_model_finds() {
    test(async |world| {
        // Fewer than an answer may have.
        let stock: [i64; 12] = [
            2_012_030_405,
            2_128_675_309,
            2_152_152_215,
            3_052_222_222,
            4_152_224_152,
            4_154_154_155,
            4_158_675_309,
            5_155_515_515,
            6_287_654_321,
            7_027_027_020,
            8_085_309_867,
            9_709_999_999,
        ];
        for number in &stock {
            world.stock(*number, 1).await;
        }
        let account = world.account("10.00").await;
        let mut patterns = Vec::new();
        for (nth, number) in stock.iter().enumerate() {
            let digits = number.to_string();
            let (head, tail) = digits.split_at(1 + nth % 8);
            patterns.extend([
                format!("+1{head}4"),
                format!("+1{}%{}", &digits[..2], &digits[9..]),
                format!("{}$", &digits[10 - 2 - nth % 6..]),
                format!("{tail}*"),
                format!("{}*{}", &digits[nth % 4..nth % 4 + 2], &digits[nth % 4 + 3..]),
                digits[nth % 7..nth % 7 + 3].to_owned(),
            ]);
        }
        for pattern in patterns.iter().filter(|pattern| pattern.bytes().filter(u8::is_ascii_digit).count() > 1) {
            let matches = |number: &&i64| {
                let digits = format!("1{number}");
                match pattern.strip_prefix('+') {
                    Some(pattern) => begins(pattern.as_bytes(), digits.as_bytes()),
                    None => (1..=10).any(|from| begins(pattern.as_bytes(), &digits.as_bytes()[from..])),
                }
            };
            let mut expected: Vec<_> = stock.iter().filter(matches).map(|number| format!("+1{number}")).collect();
            expected.sort_unstable();
            let query = pattern.replace('%', "%25").replace('+', "%2B");
            assert_eq!(found(world, &account, &format!("{LOCAL}?Contains={query}")).await, expected, "{pattern}");
        }
    });
}
