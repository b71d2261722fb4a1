//! `/Accounts` and the resources right below it.

use chrono::TimeDelta;

use crate::support::{Answer, test};

#[test]
fn an_account_sees_itself() {
    test(async |world| {
        let (own, _other) = (world.account("97.00").await, world.account("1.00").await);
        let answer =
            Answer::of(world.server.request("GET", "/2008-08-01/Accounts").basic_auth(&own.sid, Some(&own.token)))
                .await;
        answer.assert_status(200);
        assert_eq!(answer.elements("Sid"), [own.sid.as_str()]);
        let answer = world.server.get(&own, "").await;
        insta::assert_snapshot!(answer.body.replace(&own.sid, "[sid]"), @r#"<?xml version="1.0" encoding="UTF-8"?><TwilioResponse><Account><Sid>[sid]</Sid><FriendlyName>Test</FriendlyName><Status>2</Status><StatusText>Active</StatusText><DateCreated>Tue, 01 Apr 2008 18:26:32 +0000</DateCreated><DateUpdated>Tue, 01 Apr 2008 18:26:32 +0000</DateUpdated></Account></TwilioResponse>"#);
        let answer = world.server.get(&own, "/Balance").await;
        insta::assert_snapshot!(answer.body.replace(&own.sid, "[sid]"), @r#"<?xml version="1.0" encoding="UTF-8"?><TwilioResponse><Balance><AccountSid>[sid]</AccountSid><Balance>97.00</Balance><Currency>USD</Currency></Balance></TwilioResponse>"#);
    });
}

#[test]
fn an_account_is_renamed_by_post_and_put() {
    test(async |world| {
        let (own, other) = (world.account("1.00").await, world.account("1.00").await);
        let others = world.server.get(&other, "").await.body;
        for name in ["Müller & <Sons>", "A", "  "] {
            world.clock.advance(TimeDelta::days(1));
            let posted = world.server.post(&own, "", &[("FriendlyName", name)]).await;
            assert_eq!(posted.assert_status(200).text("FriendlyName"), name);
            assert_eq!(world.server.get(&own, "").await.body, posted.body);
            let put = world.server.put(&own, "", &[("FriendlyName", name)]).await;
            assert_eq!((put.status, put.body), (200, posted.body));
        }
        let own = world.server.get(&own, "").await;
        assert_eq!(own.text("DateCreated"), "Tue, 01 Apr 2008 18:26:32 +0000");
        assert_eq!(own.text("DateUpdated"), "Fri, 04 Apr 2008 18:26:32 +0000");
        assert_eq!(world.server.get(&other, "").await.body, others);
    });
}

#[test]
fn nothing_but_the_name_of_an_account_can_be_changed() {
    test(async |world| {
        let own = world.account("1.00").await;
        let before = world.fingerprint().await;
        let shown = world.server.get(&own, "").await.body;
        for form in [&[][..], &[("Status", "closed"), ("Balance", "9.00"), ("Sid", "AC1"), ("friendlyname", "x")]] {
            for answer in [world.server.post(&own, "", form).await, world.server.put(&own, "", form).await] {
                assert_eq!((answer.status, &answer.body), (200, &shown));
            }
        }
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn a_name_that_cannot_be_is_error_20002() {
    test(async |world| {
        let own = world.account("1.00").await;
        let before = world.fingerprint().await;
        let long = "é".repeat(65);
        for name in [&long, "a\nb", "\u{1}", "\u{85}", "\u{ffff}"] {
            let answer = world.server.post(&own, "", &[("FriendlyName", name)]).await;
            answer.assert_refused(400, 20002);
            assert!(answer.element("Message").contains("FriendlyName"), "{}", answer.body);
        }
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn a_suspended_account_shows_it_and_cannot_be_changed() {
    test(async |world| {
        let own = world.account("1.00").await;
        world.suspend(&own).await;
        let answer = world.server.get(&own, "").await;
        assert_eq!((answer.text("Status"), answer.text("StatusText")), ("4".to_owned(), "Suspended".to_owned()));
        for form in [&[("FriendlyName", "New")][..], &[]] {
            world.server.post(&own, "", form).await.assert_refused(403, 20005);
            world.server.put(&own, "", form).await.assert_refused(403, 20005);
        }
        assert_eq!(world.server.get(&own, "").await.body, answer.body);
    });
}

#[test]
fn accounts_and_balances_come_in_json_and_csv() {
    test(async |world| {
        let own = world.account("97.00").await;
        for (below, expected) in [
            (
                ".json",
                r#"{"TwilioResponse":{"Account":{"Sid":"[sid]","FriendlyName":"Test","Status":"2","StatusText":"Active","DateCreated":"Tue, 01 Apr 2008 18:26:32 +0000","DateUpdated":"Tue, 01 Apr 2008 18:26:32 +0000"}}}"#,
            ),
            (
                "/Balance.json",
                r#"{"TwilioResponse":{"Balance":{"AccountSid":"[sid]","Balance":"97.00","Currency":"USD"}}}"#,
            ),
            ("/Balance.csv", "AccountSid,Balance,Currency\n[sid],97.00,USD"),
        ] {
            let answer = world.server.get(&own, below).await;
            assert_eq!(answer.body.replace(&own.sid, "[sid]").trim_end(), expected);
        }
    });
}
