//! The examples of Twilio's document, each as a whole exchange.
//!
//! The answers differ from the document where the contract says so: dates are in UTC, `end` is the index of the last
//! number, a list has the URIs of its neighbours, and an unset callback has no method. The document's answers to
//! purchases show callbacks that its requests do not set; here they are empty.

use super::{shown, somebody_else, without_sids};
use crate::support::{Account, Answer, World, test};

const NUMBERS: &str = "/IncomingPhoneNumbers";

/// The settings of the document's "Company Main Line".
const MAIN_LINE: &[(&str, &str)] = &[
    ("AreaCode", "415"),
    ("FriendlyName", "Company Main Line"),
    ("Url", "http://mycompany.com/handleMainLineCall.asp"),
    ("Method", "GET"),
    ("SmsUrl", "http://mycompany.com/handleIncomingSms.asp"),
    ("VoiceFallbackUrl", "http://mycompany.com/handleError.asp"),
    ("SmsFallbackUrl", "http://mycompany.com/handleSmsError.asp"),
    ("VoiceCallerIdLookup", "false"),
];

const TEST_LINE: &[(&str, &str)] = &[
    ("FriendlyName", "Voice Test Line, No SMS or Fallback configured"),
    ("Url", "http://mycompany.com/handleSupportCall.php"),
    ("VoiceCallerIdLookup", "true"),
];

/// An account with the two numbers of the document's list. Returns the first one's Sid.
async fn company(world: &World) -> (Account, String) {
    let company = world.account("97.00").await;
    world.stock(4_158_675_310, 1).await;
    world.server.buy(&company, TEST_LINE).await.assert_status(201);
    // Too short to be seen in a date, but enough to be newer and come first in a list.
    world.clock.advance(chrono::TimeDelta::microseconds(1));
    world.stock(4_158_675_309, 1).await;
    let main_line = world.server.buy(&company, MAIN_LINE).await;
    somebody_else(world).await;
    (company, main_line.assert_status(201).element("Sid"))
}

/// Sends a form exactly as in the document.
async fn post(world: &World, account: &Account, below: &str, form: &str) -> Answer {
    super::post(world, account, &format!("{}{below}", account.path()), form).await
}

#[test]
fn the_list_of_two_numbers() {
    test(async |world| {
        let (company, _) = company(world).await;
        let answer = world.server.get(&company, NUMBERS).await;
        answer.assert_status(200);
        assert_eq!(answer.header("Content-Type"), "application/xml; charset=utf-8");
        insta::assert_snapshot!(shown(&answer, &company), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <TwilioResponse>
        <IncomingPhoneNumbers page="0" numpages="1" pagesize="50" total="2" start="0" end="1" uri="/2008-08-01/Accounts/[account]/IncomingPhoneNumbers?Page=0&amp;PageSize=50" firstpageuri="/2008-08-01/Accounts/[account]/IncomingPhoneNumbers?Page=0&amp;PageSize=50" nextpageuri="" previouspageuri="" lastpageuri="/2008-08-01/Accounts/[account]/IncomingPhoneNumbers?Page=0&amp;PageSize=50">
        <IncomingPhoneNumber>
        <Sid>[sid]</Sid>
        <AccountSid>[account]</AccountSid>
        <FriendlyName>Company Main Line</FriendlyName>
        <PhoneNumber>4158675309</PhoneNumber>
        <Url>http://mycompany.com/handleMainLineCall.asp</Url>
        <Method>GET</Method>
        <SmsUrl>http://mycompany.com/handleIncomingSms.asp</SmsUrl>
        <SmsMethod>POST</SmsMethod>
        <VoiceFallbackUrl>http://mycompany.com/handleError.asp</VoiceFallbackUrl>
        <VoiceFallbackMethod>POST</VoiceFallbackMethod>
        <SmsFallbackUrl>http://mycompany.com/handleSmsError.asp</SmsFallbackUrl>
        <SmsFallbackMethod>POST</SmsFallbackMethod>
        <VoiceCallerIdLookup>0</VoiceCallerIdLookup>
        <DateCreated>Tue, 01 Apr 2008 18:26:32 +0000</DateCreated>
        <DateUpdated>Tue, 01 Apr 2008 18:26:32 +0000</DateUpdated>
        </IncomingPhoneNumber>
        <IncomingPhoneNumber>
        <Sid>[sid]</Sid>
        <AccountSid>[account]</AccountSid>
        <FriendlyName>Voice Test Line, No SMS or Fallback configured</FriendlyName>
        <PhoneNumber>4158675310</PhoneNumber>
        <Url>http://mycompany.com/handleSupportCall.php</Url>
        <Method>POST</Method>
        <SmsUrl></SmsUrl>
        <SmsMethod></SmsMethod>
        <VoiceFallbackUrl></VoiceFallbackUrl>
        <VoiceFallbackMethod></VoiceFallbackMethod>
        <SmsFallbackUrl></SmsFallbackUrl>
        <SmsFallbackMethod></SmsFallbackMethod>
        <VoiceCallerIdLookup>1</VoiceCallerIdLookup>
        <DateCreated>Tue, 01 Apr 2008 18:26:32 +0000</DateCreated>
        <DateUpdated>Tue, 01 Apr 2008 18:26:32 +0000</DateUpdated>
        </IncomingPhoneNumber>
        </IncomingPhoneNumbers>
        </TwilioResponse>
        "#);
    });
}

#[test]
fn the_list_of_two_numbers_in_json() {
    test(async |world| {
        let (company, _) = company(world).await;
        let answer = world.server.get(&company, "/IncomingPhoneNumbers.json").await;
        answer.assert_status(200);
        assert_eq!(answer.header("Content-Type"), "application/json");
        insta::assert_snapshot!(without_sids(&answer.body, &company), @r#"{"TwilioResponse":{"IncomingPhoneNumbers":[{"IncomingPhoneNumber":{"Sid":"[sid]","AccountSid":"[account]","FriendlyName":"Company Main Line","PhoneNumber":"4158675309","Url":"http://mycompany.com/handleMainLineCall.asp","Method":"GET","SmsUrl":"http://mycompany.com/handleIncomingSms.asp","SmsMethod":"POST","VoiceFallbackUrl":"http://mycompany.com/handleError.asp","VoiceFallbackMethod":"POST","SmsFallbackUrl":"http://mycompany.com/handleSmsError.asp","SmsFallbackMethod":"POST","VoiceCallerIdLookup":"0","DateCreated":"Tue, 01 Apr 2008 18:26:32 +0000","DateUpdated":"Tue, 01 Apr 2008 18:26:32 +0000"}},{"IncomingPhoneNumber":{"Sid":"[sid]","AccountSid":"[account]","FriendlyName":"Voice Test Line, No SMS or Fallback configured","PhoneNumber":"4158675310","Url":"http://mycompany.com/handleSupportCall.php","Method":"POST","SmsUrl":"","SmsMethod":"","VoiceFallbackUrl":"","VoiceFallbackMethod":"","SmsFallbackUrl":"","SmsFallbackMethod":"","VoiceCallerIdLookup":"1","DateCreated":"Tue, 01 Apr 2008 18:26:32 +0000","DateUpdated":"Tue, 01 Apr 2008 18:26:32 +0000"}}]}}"#);
    });
}

#[test]
fn the_list_of_two_numbers_in_csv() {
    test(async |world| {
        let (company, _) = company(world).await;
        let answer = world.server.get(&company, "/IncomingPhoneNumbers.csv").await;
        answer.assert_status(200);
        assert_eq!(answer.header("Content-Type"), "text/csv; charset=utf-8");
        insta::assert_snapshot!(without_sids(&answer.body, &company), @r#"
        Sid,AccountSid,FriendlyName,PhoneNumber,Url,Method,SmsUrl,SmsMethod,VoiceFallbackUrl,VoiceFallbackMethod,SmsFallbackUrl,SmsFallbackMethod,VoiceCallerIdLookup,DateCreated,DateUpdated
        [sid],[account],Company Main Line,4158675309,http://mycompany.com/handleMainLineCall.asp,GET,http://mycompany.com/handleIncomingSms.asp,POST,http://mycompany.com/handleError.asp,POST,http://mycompany.com/handleSmsError.asp,POST,0,"Tue, 01 Apr 2008 18:26:32 +0000","Tue, 01 Apr 2008 18:26:32 +0000"
        [sid],[account],"Voice Test Line, No SMS or Fallback configured",4158675310,http://mycompany.com/handleSupportCall.php,POST,,,,,,,1,"Tue, 01 Apr 2008 18:26:32 +0000","Tue, 01 Apr 2008 18:26:32 +0000"
        "#);
    });
}

#[test]
fn the_filter_shows_the_one_number() {
    test(async |world| {
        let (company, main_line) = company(world).await;
        let answer = world.server.get(&company, "/IncomingPhoneNumbers?PhoneNumber=4158675309").await;
        answer.assert_status(200);
        assert_eq!(answer.elements("Sid"), [main_line]);
        insta::assert_snapshot!(shown(&answer, &company), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <TwilioResponse>
        <IncomingPhoneNumbers page="0" numpages="1" pagesize="50" total="1" start="0" end="0" uri="/2008-08-01/Accounts/[account]/IncomingPhoneNumbers?Page=0&amp;PageSize=50&amp;PhoneNumber=4158675309" firstpageuri="/2008-08-01/Accounts/[account]/IncomingPhoneNumbers?Page=0&amp;PageSize=50&amp;PhoneNumber=4158675309" nextpageuri="" previouspageuri="" lastpageuri="/2008-08-01/Accounts/[account]/IncomingPhoneNumbers?Page=0&amp;PageSize=50&amp;PhoneNumber=4158675309">
        <IncomingPhoneNumber>
        <Sid>[sid]</Sid>
        <AccountSid>[account]</AccountSid>
        <FriendlyName>Company Main Line</FriendlyName>
        <PhoneNumber>4158675309</PhoneNumber>
        <Url>http://mycompany.com/handleMainLineCall.asp</Url>
        <Method>GET</Method>
        <SmsUrl>http://mycompany.com/handleIncomingSms.asp</SmsUrl>
        <SmsMethod>POST</SmsMethod>
        <VoiceFallbackUrl>http://mycompany.com/handleError.asp</VoiceFallbackUrl>
        <VoiceFallbackMethod>POST</VoiceFallbackMethod>
        <SmsFallbackUrl>http://mycompany.com/handleSmsError.asp</SmsFallbackUrl>
        <SmsFallbackMethod>POST</SmsFallbackMethod>
        <VoiceCallerIdLookup>0</VoiceCallerIdLookup>
        <DateCreated>Tue, 01 Apr 2008 18:26:32 +0000</DateCreated>
        <DateUpdated>Tue, 01 Apr 2008 18:26:32 +0000</DateUpdated>
        </IncomingPhoneNumber>
        </IncomingPhoneNumbers>
        </TwilioResponse>
        "#);
    });
}

const PURCHASE: &str = "Url=http://mycompany.com/handleNewCall.php&Method=GET&FriendlyName=My+Company+Line";

#[test]
fn the_purchase_of_a_local_number() {
    test(async |world| {
        somebody_else(world).await;
        let company = world.account("1.00").await;
        world.stock(4_158_675_309, 1).await;
        let answer = post(world, &company, "/IncomingPhoneNumbers/Local", &format!("AreaCode=415&{PURCHASE}")).await;
        answer.assert_status(201);
        let location = format!("{}/IncomingPhoneNumbers/{}", company.path(), answer.element("Sid"));
        assert_eq!(answer.header("Location"), location);
        insta::assert_snapshot!(shown(&answer, &company), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <TwilioResponse>
        <IncomingPhoneNumber>
        <Sid>[sid]</Sid>
        <AccountSid>[account]</AccountSid>
        <FriendlyName>My Company Line</FriendlyName>
        <PhoneNumber>4158675309</PhoneNumber>
        <Url>http://mycompany.com/handleNewCall.php</Url>
        <Method>GET</Method>
        <SmsUrl></SmsUrl>
        <SmsMethod></SmsMethod>
        <VoiceFallbackUrl></VoiceFallbackUrl>
        <VoiceFallbackMethod></VoiceFallbackMethod>
        <SmsFallbackUrl></SmsFallbackUrl>
        <SmsFallbackMethod></SmsFallbackMethod>
        <VoiceCallerIdLookup>0</VoiceCallerIdLookup>
        <DateCreated>Tue, 01 Apr 2008 18:26:32 +0000</DateCreated>
        <DateUpdated>Tue, 01 Apr 2008 18:26:32 +0000</DateUpdated>
        </IncomingPhoneNumber>
        </TwilioResponse>
        "#);
        assert_eq!(world.server.follow(&company, &location).await.body, answer.body, "what was said is what is kept");
        assert_eq!(world.server.get(&company, "/Balance").await.element("Currency"), "USD");
    });
}

#[test]
fn the_purchase_of_a_local_number_in_json_and_csv() {
    test(async |world| {
        let company = world.account("2.00").await;
        world.stock(4_158_675_309, 1).await;
        let form = format!("AreaCode=415&{PURCHASE}");
        let answer = post(world, &company, "/IncomingPhoneNumbers/Local.json", &form).await;
        answer.assert_status(201);
        insta::assert_snapshot!(without_sids(&answer.body, &company), @r#"{"TwilioResponse":{"IncomingPhoneNumber":{"Sid":"[sid]","AccountSid":"[account]","FriendlyName":"My Company Line","PhoneNumber":"4158675309","Url":"http://mycompany.com/handleNewCall.php","Method":"GET","SmsUrl":"","SmsMethod":"","VoiceFallbackUrl":"","VoiceFallbackMethod":"","SmsFallbackUrl":"","SmsFallbackMethod":"","VoiceCallerIdLookup":"0","DateCreated":"Tue, 01 Apr 2008 18:26:32 +0000","DateUpdated":"Tue, 01 Apr 2008 18:26:32 +0000"}}}"#);
        world.stock(4_158_675_310, 1).await;
        let answer = post(world, &company, "/IncomingPhoneNumbers/Local.csv", &form).await;
        answer.assert_status(201);
        insta::assert_snapshot!(without_sids(&answer.body, &company), @r#"
        Sid,AccountSid,FriendlyName,PhoneNumber,Url,Method,SmsUrl,SmsMethod,VoiceFallbackUrl,VoiceFallbackMethod,SmsFallbackUrl,SmsFallbackMethod,VoiceCallerIdLookup,DateCreated,DateUpdated
        [sid],[account],My Company Line,4158675310,http://mycompany.com/handleNewCall.php,GET,,,,,,,0,"Tue, 01 Apr 2008 18:26:32 +0000","Tue, 01 Apr 2008 18:26:32 +0000"
        "#);
    });
}

#[test]
fn the_purchase_of_a_toll_free_number() {
    test(async |world| {
        somebody_else(world).await;
        let company = world.account("2.00").await;
        world.stock(8_668_675_309, 1).await;
        let answer = post(world, &company, "/IncomingPhoneNumbers/TollFree", &format!("AreaCode=866&{PURCHASE}")).await;
        answer.assert_status(201);
        let location = format!("{}/IncomingPhoneNumbers/{}", company.path(), answer.element("Sid"));
        assert_eq!(answer.header("Location"), location);
        insta::assert_snapshot!(shown(&answer, &company), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <TwilioResponse>
        <IncomingPhoneNumber>
        <Sid>[sid]</Sid>
        <AccountSid>[account]</AccountSid>
        <FriendlyName>My Company Line</FriendlyName>
        <PhoneNumber>8668675309</PhoneNumber>
        <Url>http://mycompany.com/handleNewCall.php</Url>
        <Method>GET</Method>
        <VoiceFallbackUrl></VoiceFallbackUrl>
        <VoiceFallbackMethod></VoiceFallbackMethod>
        <VoiceCallerIdLookup>0</VoiceCallerIdLookup>
        <DateCreated>Tue, 01 Apr 2008 18:26:32 +0000</DateCreated>
        <DateUpdated>Tue, 01 Apr 2008 18:26:32 +0000</DateUpdated>
        </IncomingPhoneNumber>
        </TwilioResponse>
        "#);
        assert_eq!(world.server.follow(&company, &location).await.body, answer.body, "what was said is what is kept");
    });
}

/// A toll-free number with every property set.
const TOLL_FREE_LINE: &[(&str, &str)] = &[
    ("AreaCode", "866"),
    ("FriendlyName", "My Company Line"),
    ("Url", "http://mycompany.com/handleNewCall.php"),
    ("Method", "GET"),
    ("VoiceFallbackUrl", "http://mycompany.com/handleError.asp"),
];

#[test]
fn a_toll_free_number_has_no_sms_in_any_representation() {
    test(async |world| {
        let company = world.account("2.00").await;
        world.stock(8_668_675_309, 1).await;
        let below = "/IncomingPhoneNumbers/TollFree";
        world.server.post(&company, below, TOLL_FREE_LINE).await.assert_status(201);
        let answer = world.server.get(&company, below).await;
        insta::assert_snapshot!(shown(&answer, &company), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <TwilioResponse>
        <IncomingPhoneNumbers page="0" numpages="1" pagesize="50" total="1" start="0" end="0" uri="/2008-08-01/Accounts/[account]/IncomingPhoneNumbers/TollFree?Page=0&amp;PageSize=50" firstpageuri="/2008-08-01/Accounts/[account]/IncomingPhoneNumbers/TollFree?Page=0&amp;PageSize=50" nextpageuri="" previouspageuri="" lastpageuri="/2008-08-01/Accounts/[account]/IncomingPhoneNumbers/TollFree?Page=0&amp;PageSize=50">
        <IncomingPhoneNumber>
        <Sid>[sid]</Sid>
        <AccountSid>[account]</AccountSid>
        <FriendlyName>My Company Line</FriendlyName>
        <PhoneNumber>8668675309</PhoneNumber>
        <Url>http://mycompany.com/handleNewCall.php</Url>
        <Method>GET</Method>
        <VoiceFallbackUrl>http://mycompany.com/handleError.asp</VoiceFallbackUrl>
        <VoiceFallbackMethod>POST</VoiceFallbackMethod>
        <VoiceCallerIdLookup>0</VoiceCallerIdLookup>
        <DateCreated>Tue, 01 Apr 2008 18:26:32 +0000</DateCreated>
        <DateUpdated>Tue, 01 Apr 2008 18:26:32 +0000</DateUpdated>
        </IncomingPhoneNumber>
        </IncomingPhoneNumbers>
        </TwilioResponse>
        "#);
        let answer = world.server.get(&company, "/IncomingPhoneNumbers/TollFree.json").await;
        insta::assert_snapshot!(without_sids(&answer.body, &company), @r#"{"TwilioResponse":{"IncomingPhoneNumbers":[{"IncomingPhoneNumber":{"Sid":"[sid]","AccountSid":"[account]","FriendlyName":"My Company Line","PhoneNumber":"8668675309","Url":"http://mycompany.com/handleNewCall.php","Method":"GET","VoiceFallbackUrl":"http://mycompany.com/handleError.asp","VoiceFallbackMethod":"POST","VoiceCallerIdLookup":"0","DateCreated":"Tue, 01 Apr 2008 18:26:32 +0000","DateUpdated":"Tue, 01 Apr 2008 18:26:32 +0000"}}]}}"#);
        let answer = world.server.get(&company, "/IncomingPhoneNumbers/TollFree.csv").await;
        insta::assert_snapshot!(without_sids(&answer.body, &company), @r#"
        Sid,AccountSid,FriendlyName,PhoneNumber,Url,Method,VoiceFallbackUrl,VoiceFallbackMethod,VoiceCallerIdLookup,DateCreated,DateUpdated
        [sid],[account],My Company Line,8668675309,http://mycompany.com/handleNewCall.php,GET,http://mycompany.com/handleError.asp,POST,0,"Tue, 01 Apr 2008 18:26:32 +0000","Tue, 01 Apr 2008 18:26:32 +0000"
        "#);
    });
}

#[test]
fn the_single_number_as_it_was_updated() {
    test(async |world| {
        let (company, main_line) = company(world).await;
        let below = format!("/IncomingPhoneNumbers/{main_line}");
        let home = [("FriendlyName", "My Home Phone Number"), ("Url", "http://mycompany.com/handleMainLineCall.asp")];
        let updated = world.server.post(&company, &below, &home).await;
        let answer = world.server.get(&company, &below).await;
        answer.assert_status(200);
        assert_eq!((updated.status, &updated.body), (200, &answer.body), "an update returns the updated resource");
        insta::assert_snapshot!(shown(&answer, &company), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <TwilioResponse>
        <IncomingPhoneNumber>
        <Sid>[sid]</Sid>
        <AccountSid>[account]</AccountSid>
        <FriendlyName>My Home Phone Number</FriendlyName>
        <PhoneNumber>4158675309</PhoneNumber>
        <Url>http://mycompany.com/handleMainLineCall.asp</Url>
        <Method>GET</Method>
        <SmsUrl>http://mycompany.com/handleIncomingSms.asp</SmsUrl>
        <SmsMethod>POST</SmsMethod>
        <VoiceFallbackUrl>http://mycompany.com/handleError.asp</VoiceFallbackUrl>
        <VoiceFallbackMethod>POST</VoiceFallbackMethod>
        <SmsFallbackUrl>http://mycompany.com/handleSmsError.asp</SmsFallbackUrl>
        <SmsFallbackMethod>POST</SmsFallbackMethod>
        <VoiceCallerIdLookup>0</VoiceCallerIdLookup>
        <DateCreated>Tue, 01 Apr 2008 18:26:32 +0000</DateCreated>
        <DateUpdated>Tue, 01 Apr 2008 18:26:32 +0000</DateUpdated>
        </IncomingPhoneNumber>
        </TwilioResponse>
        "#);
        let answer = world.server.get(&company, &format!("{below}.json")).await;
        insta::assert_snapshot!(without_sids(&answer.body, &company), @r#"{"TwilioResponse":{"IncomingPhoneNumber":{"Sid":"[sid]","AccountSid":"[account]","FriendlyName":"My Home Phone Number","PhoneNumber":"4158675309","Url":"http://mycompany.com/handleMainLineCall.asp","Method":"GET","SmsUrl":"http://mycompany.com/handleIncomingSms.asp","SmsMethod":"POST","VoiceFallbackUrl":"http://mycompany.com/handleError.asp","VoiceFallbackMethod":"POST","SmsFallbackUrl":"http://mycompany.com/handleSmsError.asp","SmsFallbackMethod":"POST","VoiceCallerIdLookup":"0","DateCreated":"Tue, 01 Apr 2008 18:26:32 +0000","DateUpdated":"Tue, 01 Apr 2008 18:26:32 +0000"}}}"#);
        let answer = world.server.get(&company, &format!("{below}.csv")).await;
        insta::assert_snapshot!(without_sids(&answer.body, &company), @r#"
        Sid,AccountSid,FriendlyName,PhoneNumber,Url,Method,SmsUrl,SmsMethod,VoiceFallbackUrl,VoiceFallbackMethod,SmsFallbackUrl,SmsFallbackMethod,VoiceCallerIdLookup,DateCreated,DateUpdated
        [sid],[account],My Home Phone Number,4158675309,http://mycompany.com/handleMainLineCall.asp,GET,http://mycompany.com/handleIncomingSms.asp,POST,http://mycompany.com/handleError.asp,POST,http://mycompany.com/handleSmsError.asp,POST,0,"Tue, 01 Apr 2008 18:26:32 +0000","Tue, 01 Apr 2008 18:26:32 +0000"
        "#);
    });
}

#[test]
fn no_number_for_a_request_is_error_21452() {
    test(async |world| {
        let company = world.account("97.00").await;
        let answer = post(world, &company, "/IncomingPhoneNumbers/Local", &format!("AreaCode=415&{PURCHASE}")).await;
        answer.assert_status(400);
        insta::assert_snapshot!(answer.body.replace(&world.server.site, "[site]"), @r#"<?xml version="1.0" encoding="UTF-8"?><TwilioResponse><RestException><Status>400</Status><Message>No phone number is left that matches; try another AreaCode</Message><Code>21452</Code><MoreInfo>[site]/docs/errors/21452</MoreInfo></RestException></TwilioResponse>"#);
    });
}

#[test]
fn the_documents_paths_lead_where_it_says() {
    test(async |world| {
        let (company, main_line) = company(world).await;
        let one = format!("/IncomingPhoneNumbers/{main_line}");
        for (below, numbers) in [
            (NUMBERS, &["4158675309", "4158675310"][..]),
            ("/IncomingPhoneNumbers/Local", &["4158675309", "4158675310"]),
            ("/IncomingPhoneNumbers/TollFree", &[]),
            (&one, &["4158675309"]),
        ] {
            let answer = world.server.get(&company, below).await;
            assert_eq!(answer.assert_status(200).elements("PhoneNumber"), numbers, "{below}");
        }
        assert_eq!(world.server.delete(&company, &one).await.status, 204);
        world.server.get(&company, &one).await.assert_refused(404, 20404);
    });
}
