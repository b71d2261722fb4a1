//! `/Accounts` and what lies right below.

use crate::support::{Answer, test};

#[test]
fn an_account_sees_itself() {
    test(async |world| {
        let (own, _other) = (world.account("97.00").await, world.account("1.00").await);
        let answer =
            Answer::of(world.server.request("GET", "/2008-08-01/Accounts").basic_auth(&own.sid, Some(&own.token)))
                .await;
        answer.assert_status(200);
        assert_eq!(answer.elements("Sid"), [own.sid.clone()]);
        let answer = world.server.get(&own, "").await;
        insta::assert_snapshot!(answer.body.replace(&own.sid, "[sid]"), @r#"<?xml version="1.0" encoding="UTF-8"?><TwilioResponse><Account><Sid>[sid]</Sid><FriendlyName>Test</FriendlyName><Status>2</Status><StatusText>Active</StatusText><DateCreated>Tue, 01 Apr 2008 18:26:32 +0000</DateCreated><DateUpdated>Tue, 01 Apr 2008 18:26:32 +0000</DateUpdated></Account></TwilioResponse>"#);
        let answer = world.server.get(&own, "/Balance").await;
        insta::assert_snapshot!(answer.body.replace(&own.sid, "[sid]"), @r#"<?xml version="1.0" encoding="UTF-8"?><TwilioResponse><Balance><AccountSid>[sid]</AccountSid><Balance>97.00</Balance><Currency>USD</Currency></Balance></TwilioResponse>"#);
    });
}
