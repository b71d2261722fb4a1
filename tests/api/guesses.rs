//! Requests that cost money are not guessed at: a request that probably means something else than it would get is
//! refused.

use crate::support::{Account, Answer, PARAMETERS, World, test};

const FORM: &str = "application/x-www-form-urlencoded";
const LOCAL: &str = "/IncomingPhoneNumbers/Local";
const TOLL_FREE: &str = "/IncomingPhoneNumbers/TollFree";

/// Valid values of each parameter.
fn value(name: &str) -> &'static str {
    match name {
        "AreaCode" => "415",
        "VoiceCallerIdLookup" => "1",
        name if name.ends_with("Url") => "http%3A%2F%2Fexample.com%2F",
        name if name.ends_with("Method") => "GET",
        _ => "Name",
    }
}

/// An account that could buy, and the path below it of a number that it holds.
async fn holder(world: &World) -> (Account, String) {
    world.stock(4_158_670_000, 50).await;
    world.stock(8_668_670_000, 50).await;
    let account = world.account("50.00").await;
    let number = world.server.buy(&account, &[]).await;
    let path = format!("/IncomingPhoneNumbers/{}", number.assert_status(201).element("Sid"));
    (account, path)
}

async fn send(world: &World, account: &Account, method: &str, target: &str, form: &str) -> Answer {
    let request = world.server.call(account, method, target).header("Content-Type", FORM);
    Answer::of(request.body(form.to_owned())).await
}

/// Fails unless purchases and updates with this query and form are refused with these words, and change nothing.
async fn assert_not_guessed(world: &World, targets: &[&str], account: &Account, query: &str, form: &str, says: &str) {
    let before = world.fingerprint().await;
    for target in targets {
        for method in if target.contains("/PN") { &["POST", "PUT"][..] } else { &["POST"] } {
            let answer = send(world, account, method, &format!("{target}{query}"), form).await;
            println!("{method} {target}{query} {form}");
            answer.assert_refused(400, 29002);
            assert!(answer.element("Message").contains(says), "{}", answer.body);
        }
    }
    assert_eq!(world.fingerprint().await, before);
}

#[test]
fn a_parameter_in_the_query_must_be_in_the_body_too() {
    test(async |world| {
        let (account, number) = holder(world).await;
        for name in PARAMETERS {
            let targets = if name == "AreaCode" { vec![LOCAL, TOLL_FREE] } else { vec![LOCAL, TOLL_FREE, &number] };
            let query = format!("?{name}={}", value(name));
            for form in [String::new(), format!("{name}="), format!("{name}=other"), "Other=1".to_owned()] {
                assert_not_guessed(world, &targets, &account, &query, &form, name).await;
            }
        }
        // The parameter is in both with the same value, or in neither.
        for (query, form) in [
            ("?AreaCode=415", "AreaCode=415"),
            ("?AreaCode=&Url=&x=1", ""),
            ("?Url=http://example.com/", "Url=http%3A%2F%2Fexample.com%2F"),
        ] {
            send(world, &account, "POST", &format!("{LOCAL}{query}"), form).await.assert_status(201);
        }
        send(world, &account, "POST", &format!("{number}?FriendlyName=a+b&AreaCode=212"), "FriendlyName=a%20b")
            .await
            .assert_status(200);
        let twice = send(world, &account, "POST", &format!("{LOCAL}?AreaCode=415&AreaCode=415"), "AreaCode=415").await;
        twice.assert_refused(400, 29003);
    });
}

#[test]
fn a_bodyless_purchase_has_no_parameters_in_its_query_either() {
    test(async |world| {
        let (account, _) = holder(world).await;
        let authorization = account.authorization();
        let headers = [("Authorization", authorization.as_str())];
        let before = world.fingerprint().await;
        let line = format!("POST {}{LOCAL}?AreaCode=415", account.path());
        world.server.raw(&line, &headers, b"").await.assert_refused(400, 29002);
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn a_name_that_is_nearly_right_is_named() {
    test(async |world| {
        let (account, number) = holder(world).await;
        for name in PARAMETERS {
            let targets = if name == "AreaCode" { vec![LOCAL, TOLL_FREE] } else { vec![LOCAL, TOLL_FREE, &number] };
            let snake: String =
                name.chars().map(|c| if c.is_ascii_uppercase() { format!("_{c}") } else { c.to_string() }).collect();
            for wrong in [
                name.to_lowercase(),
                name.to_uppercase(),
                snake.trim_start_matches('_').to_lowercase(),
                snake.replace('_', "-"),
                format!("{}{}", name[..1].to_lowercase(), &name[1..]),
                format!("{name}[]"),
                format!("+{name}"),
                format!("%EF%BB%BF{name}"),
                format!("amp;{name}"),
            ] {
                let sent = format!("{wrong}={}", value(name));
                assert_not_guessed(world, &targets, &account, "", &sent, name).await;
                assert_not_guessed(world, &targets, &account, &format!("?{sent}"), "", name).await;
                // It is not ignored beside the right one either.
                let both = format!("{name}={}&{sent}", value(name));
                assert_not_guessed(world, &targets, &account, "", &both, name).await;
            }
        }
    });
}

#[test]
fn a_name_of_the_next_version_is_told_what_it_is_here() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let targets = [LOCAL, TOLL_FREE, &number];
        for (name, right) in [
            ("VoiceUrl", "write Url"),
            ("voice_url", "write Url"),
            ("VoiceMethod", "write Method"),
            ("voiceMethod", "write Method"),
        ] {
            let sent = format!("{name}={}", value("Method"));
            assert_not_guessed(world, &targets, &account, "", &sent, right).await;
            assert_not_guessed(world, &targets, &account, &format!("?{sent}"), "", right).await;
        }
    });
}

#[test]
fn a_number_cannot_be_chosen() {
    test(async |world| {
        let (account, number) = holder(world).await;
        for name in ["PhoneNumber", "phone_number", "PHONENUMBER"] {
            for form in [format!("{name}=4158670001"), format!("AreaCode=415&{name}=x")] {
                assert_not_guessed(world, &[LOCAL, TOLL_FREE], &account, "", &form, "AreaCode").await;
            }
            assert_not_guessed(world, &[LOCAL], &account, &format!("?{name}=4158670001"), "", "AreaCode").await;
            // In an update it is allowed: the client may send back what it has read.
            let answer = send(world, &account, "POST", &number, &format!("{name}=4158670001&Url=")).await;
            answer.assert_status(200);
        }
    });
}

#[test]
fn what_is_empty_or_unknown_is_harmless() {
    test(async |world| {
        let (account, number) = holder(world).await;
        for form in [
            "area_code=&VoiceUrl=&voice_method=&PhoneNumber=&url=",
            "Area=415&Country=US&StatusCallback=http://example.com/&AreaCodes=1&Voice=x&_method=PUT&ApiVersion=1",
        ] {
            for (target, status) in [(LOCAL, 201), (TOLL_FREE, 201), (&number, 200)] {
                send(world, &account, "POST", target, form).await.assert_status(status);
                send(world, &account, "POST", &format!("{target}?{}", form.replace("_method=PUT", "")), "")
                    .await
                    .assert_status(status);
            }
        }
    });
}

#[test]
fn a_key_goes_with_the_form_and_not_with_the_query() {
    test(async |world| {
        let (account, _) = holder(world).await;
        let buy = async |query: &str, form: &str| {
            let request = world.server.call(&account, "POST", &format!("{LOCAL}{query}"));
            let request = request.header("Content-Type", FORM).header("Idempotency-Key", "order-1");
            Answer::of(request.body(form.to_owned())).await
        };
        let first = buy("", "AreaCode=415").await;
        first.assert_status(201);
        for (query, form) in
            [("?AreaCode=415", "AreaCode=415"), ("?area_code=", "AreaCode=415&Unknown=1"), ("?x=1", "AreaCode=415")]
        {
            let again = buy(query, form).await;
            assert_eq!((again.status, again.header("Idempotent-Replayed")), (201, "true"), "{query} {form}");
            assert_eq!(again.body, first.body);
        }
        // A refusal before the key is read does not use up the key.
        buy("?AreaCode=415", "").await.assert_refused(400, 29002);
        buy("", "AreaCode=212").await.assert_refused(409, 29005);
    });
}
