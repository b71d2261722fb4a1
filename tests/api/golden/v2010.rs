//! Version 2010-04-01. Each exchange is shown with its status, the type of its body, and the headers that SDKs act on.

use super::{post, shown, somebody_else, without_sids};
use crate::support::{Account, Answer, World, test};
use crate::v2010::{document, get, path, send};

const NUMBERS: &str = "/IncomingPhoneNumbers.json";

/// Every parameter of a purchase that has an effect here, and some that are only kept.
const MAIN_LINE: &str = "PhoneNumber=%2B14158675309&FriendlyName=Main+%26+%3CLine%3E&VoiceUrl=http://example.com/voice\
    &VoiceMethod=GET&VoiceFallbackUrl=http://example.com/voice-error&VoiceCallerIdLookup=true&SmsUrl=http://example.com/sms\
    &SmsFallbackUrl=http://example.com/sms-error&SmsFallbackMethod=GET&StatusCallback=http://example.com/status\
    &VoiceApplicationSid=AP11111111111111111111111111111111&AddressSid=AD22222222222222222222222222222222";

/// Sends a form to a path below the account.
async fn post_below(world: &World, account: &Account, below: &str, form: &str) -> Answer {
    post(world, account, &path(account, below), form).await
}

/// Buys a number, and returns its Sid.
async fn buy(world: &World, account: &Account, form: &str) -> String {
    let bought = document(&post_below(world, account, NUMBERS, form).await, 201);
    bought["sid"].as_str().expect("a Sid").to_owned()
}

/// An account with two numbers, beside somebody else's. Returns the path of the first one bought, below the account.
async fn company(world: &World) -> (Account, String) {
    let company = world.account("97.00").await;
    world.stock(4_158_675_309, 2).await;
    let main_line = buy(world, &company, MAIN_LINE).await;
    world.clock.advance(chrono::TimeDelta::seconds(1));
    buy(world, &company, "PhoneNumber=4158675310").await;
    somebody_else(world).await;
    (company, format!("/IncomingPhoneNumbers/{main_line}.json"))
}

/// An exchange's answer, without what is random. One in JSON is also as Twilio's description says.
fn told(world: &World, answer: &Answer, account: &Account) -> String {
    let (mut body, mut head) = (answer.body.clone(), format!("{} {}", answer.status, answer.header("Content-Type")));
    if answer.header("Content-Type") == "application/json" {
        let told = document(answer, answer.status);
        for secret in ["auth_token", "secret"].into_iter().filter_map(|key| told[key].as_str()) {
            body = body.replace(secret, "[secret]");
        }
    }
    for name in ["Location", "WWW-Authenticate"].into_iter().filter(|name| answer.headers.contains_key(*name)) {
        head = format!("{head}\n{name}: {}", answer.header(name));
    }
    without_sids(&format!("{head}\n{body}"), account).replace(&world.server.site, "[site]")
}

#[test]
fn an_account_and_its_balance() {
    test(async |world| {
        let (company, _) = company(world).await;
        let answer = get(world, &company, ".json").await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        200 application/json
        {"sid":"[account]","friendly_name":"Test","type":"Full","status":"active","date_created":"Tue, 01 Apr 2008 18:26:32 +0000","date_updated":"Tue, 01 Apr 2008 18:26:32 +0000","auth_token":null,"owner_account_sid":"[account]","uri":"/2010-04-01/Accounts/[account].json","subresource_uris":{"available_phone_numbers":"/2010-04-01/Accounts/[account]/AvailablePhoneNumbers.json","incoming_phone_numbers":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers.json","keys":"/2010-04-01/Accounts/[account]/Keys.json","balance":"/2010-04-01/Accounts/[account]/Balance.json"}}
        "#);
        let answer = get(world, &company, "/Balance.json").await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        200 application/json
        {"account_sid":"[account]","balance":"95.00","currency":"USD"}
        "#);
    });
}

#[test]
fn a_list_in_every_representation() {
    test(async |world| {
        let (company, _) = company(world).await;
        let answer = get(world, &company, NUMBERS).await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        200 application/json
        {"uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers.json?PageSize=50&Page=0","first_page_uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers.json?PageSize=50&Page=0","next_page_uri":null,"previous_page_uri":null,"last_page_uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers.json?PageSize=50&Page=0","page":0,"page_size":50,"start":0,"end":1,"total":2,"num_pages":1,"incoming_phone_numbers":[{"sid":"[sid]","account_sid":"[account]","friendly_name":"(415) 867-5310","phone_number":"+14158675310","voice_url":"","voice_method":"POST","voice_fallback_url":"","voice_fallback_method":"POST","voice_caller_id_lookup":false,"date_created":"Tue, 01 Apr 2008 18:26:33 +0000","date_updated":"Tue, 01 Apr 2008 18:26:33 +0000","sms_url":"","sms_method":"POST","sms_fallback_url":"","sms_fallback_method":"POST","address_requirements":"none","beta":false,"capabilities":{"voice":true,"sms":true,"mms":true,"fax":false,"SMS":true,"MMS":true},"voice_receive_mode":"voice","status_callback":"","status_callback_method":"POST","api_version":"2010-04-01","voice_application_sid":"","sms_application_sid":"","origin":"twilio","trunk_sid":null,"emergency_status":"Inactive","emergency_address_sid":null,"emergency_address_status":"unregistered","address_sid":null,"identity_sid":null,"bundle_sid":null,"uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers/[sid].json","status":"in-use","type":"local"},{"sid":"[sid]","account_sid":"[account]","friendly_name":"Main & <Line>","phone_number":"+14158675309","voice_url":"http://example.com/voice","voice_method":"GET","voice_fallback_url":"http://example.com/voice-error","voice_fallback_method":"POST","voice_caller_id_lookup":true,"date_created":"Tue, 01 Apr 2008 18:26:32 +0000","date_updated":"Tue, 01 Apr 2008 18:26:32 +0000","sms_url":"http://example.com/sms","sms_method":"POST","sms_fallback_url":"http://example.com/sms-error","sms_fallback_method":"GET","address_requirements":"none","beta":false,"capabilities":{"voice":true,"sms":true,"mms":true,"fax":false,"SMS":true,"MMS":true},"voice_receive_mode":"voice","status_callback":"http://example.com/status","status_callback_method":"POST","api_version":"2010-04-01","voice_application_sid":"AP11111111111111111111111111111111","sms_application_sid":"","origin":"twilio","trunk_sid":null,"emergency_status":"Inactive","emergency_address_sid":null,"emergency_address_status":"unregistered","address_sid":"AD22222222222222222222222222222222","identity_sid":null,"bundle_sid":null,"uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers/[sid].json","status":"in-use","type":"local"}]}
        "#);
        let answer = get(world, &company, "/IncomingPhoneNumbers").await;
        assert_eq!((answer.status, answer.header("Content-Type")), (200, "application/xml; charset=utf-8"));
        insta::assert_snapshot!(shown(&answer, &company), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <TwilioResponse>
        <IncomingPhoneNumbers page="0" numpages="1" pagesize="50" total="2" start="0" end="1" uri="/2010-04-01/Accounts/[account]/IncomingPhoneNumbers?PageSize=50&amp;Page=0" firstpageuri="/2010-04-01/Accounts/[account]/IncomingPhoneNumbers?PageSize=50&amp;Page=0" nextpageuri="" previouspageuri="" lastpageuri="/2010-04-01/Accounts/[account]/IncomingPhoneNumbers?PageSize=50&amp;Page=0">
        <IncomingPhoneNumber>
        <Sid>[sid]</Sid>
        <AccountSid>[account]</AccountSid>
        <FriendlyName>(415) 867-5310</FriendlyName>
        <PhoneNumber>+14158675310</PhoneNumber>
        <VoiceUrl></VoiceUrl>
        <VoiceMethod>POST</VoiceMethod>
        <VoiceFallbackUrl></VoiceFallbackUrl>
        <VoiceFallbackMethod>POST</VoiceFallbackMethod>
        <VoiceCallerIdLookup>false</VoiceCallerIdLookup>
        <DateCreated>Tue, 01 Apr 2008 18:26:33 +0000</DateCreated>
        <DateUpdated>Tue, 01 Apr 2008 18:26:33 +0000</DateUpdated>
        <SmsUrl></SmsUrl>
        <SmsMethod>POST</SmsMethod>
        <SmsFallbackUrl></SmsFallbackUrl>
        <SmsFallbackMethod>POST</SmsFallbackMethod>
        <AddressRequirements>none</AddressRequirements>
        <Beta>false</Beta>
        <Capabilities>
        <Voice>true</Voice>
        <SMS>true</SMS>
        <MMS>true</MMS>
        <Fax>false</Fax>
        </Capabilities>
        <VoiceReceiveMode>voice</VoiceReceiveMode>
        <StatusCallback></StatusCallback>
        <StatusCallbackMethod>POST</StatusCallbackMethod>
        <ApiVersion>2010-04-01</ApiVersion>
        <VoiceApplicationSid></VoiceApplicationSid>
        <SmsApplicationSid></SmsApplicationSid>
        <Origin>twilio</Origin>
        <TrunkSid></TrunkSid>
        <EmergencyStatus>Inactive</EmergencyStatus>
        <EmergencyAddressSid></EmergencyAddressSid>
        <EmergencyAddressStatus>unregistered</EmergencyAddressStatus>
        <Uri>/2010-04-01/Accounts/[account]/IncomingPhoneNumbers/[sid]</Uri>
        </IncomingPhoneNumber>
        <IncomingPhoneNumber>
        <Sid>[sid]</Sid>
        <AccountSid>[account]</AccountSid>
        <FriendlyName>Main &amp; &lt;Line&gt;</FriendlyName>
        <PhoneNumber>+14158675309</PhoneNumber>
        <VoiceUrl>http://example.com/voice</VoiceUrl>
        <VoiceMethod>GET</VoiceMethod>
        <VoiceFallbackUrl>http://example.com/voice-error</VoiceFallbackUrl>
        <VoiceFallbackMethod>POST</VoiceFallbackMethod>
        <VoiceCallerIdLookup>true</VoiceCallerIdLookup>
        <DateCreated>Tue, 01 Apr 2008 18:26:32 +0000</DateCreated>
        <DateUpdated>Tue, 01 Apr 2008 18:26:32 +0000</DateUpdated>
        <SmsUrl>http://example.com/sms</SmsUrl>
        <SmsMethod>POST</SmsMethod>
        <SmsFallbackUrl>http://example.com/sms-error</SmsFallbackUrl>
        <SmsFallbackMethod>GET</SmsFallbackMethod>
        <AddressRequirements>none</AddressRequirements>
        <Beta>false</Beta>
        <Capabilities>
        <Voice>true</Voice>
        <SMS>true</SMS>
        <MMS>true</MMS>
        <Fax>false</Fax>
        </Capabilities>
        <VoiceReceiveMode>voice</VoiceReceiveMode>
        <StatusCallback>http://example.com/status</StatusCallback>
        <StatusCallbackMethod>POST</StatusCallbackMethod>
        <ApiVersion>2010-04-01</ApiVersion>
        <VoiceApplicationSid>AP11111111111111111111111111111111</VoiceApplicationSid>
        <SmsApplicationSid></SmsApplicationSid>
        <Origin>twilio</Origin>
        <TrunkSid></TrunkSid>
        <EmergencyStatus>Inactive</EmergencyStatus>
        <EmergencyAddressSid></EmergencyAddressSid>
        <EmergencyAddressStatus>unregistered</EmergencyAddressStatus>
        <Uri>/2010-04-01/Accounts/[account]/IncomingPhoneNumbers/[sid]</Uri>
        </IncomingPhoneNumber>
        </IncomingPhoneNumbers>
        </TwilioResponse>
        "#);
        let answer = get(world, &company, "/IncomingPhoneNumbers.csv").await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        200 text/csv; charset=utf-8
        Sid,AccountSid,FriendlyName,PhoneNumber,VoiceUrl,VoiceMethod,VoiceFallbackUrl,VoiceFallbackMethod,VoiceCallerIdLookup,DateCreated,DateUpdated,SmsUrl,SmsMethod,SmsFallbackUrl,SmsFallbackMethod,AddressRequirements,Beta,Capabilities,VoiceReceiveMode,StatusCallback,StatusCallbackMethod,ApiVersion,VoiceApplicationSid,SmsApplicationSid,Origin,TrunkSid,EmergencyStatus,EmergencyAddressSid,EmergencyAddressStatus,Uri
        [sid],[account],(415) 867-5310,+14158675310,,POST,,POST,false,"Tue, 01 Apr 2008 18:26:33 +0000","Tue, 01 Apr 2008 18:26:33 +0000",,POST,,POST,none,false,"{""voice"":true,""sms"":true,""mms"":true,""fax"":false,""SMS"":true,""MMS"":true}",voice,,POST,2010-04-01,,,twilio,,Inactive,,unregistered,/2010-04-01/Accounts/[account]/IncomingPhoneNumbers/[sid]
        [sid],[account],Main & <Line>,+14158675309,http://example.com/voice,GET,http://example.com/voice-error,POST,true,"Tue, 01 Apr 2008 18:26:32 +0000","Tue, 01 Apr 2008 18:26:32 +0000",http://example.com/sms,POST,http://example.com/sms-error,GET,none,false,"{""voice"":true,""sms"":true,""mms"":true,""fax"":false,""SMS"":true,""MMS"":true}",voice,http://example.com/status,POST,2010-04-01,AP11111111111111111111111111111111,,twilio,,Inactive,,unregistered,/2010-04-01/Accounts/[account]/IncomingPhoneNumbers/[sid]
        "#);
    });
}

/// The same without the numbers of a list.
fn paging(world: &World, answer: &Answer, account: &Account) -> String {
    let text = told(world, answer, account);
    let (before, after) = (text.find(r#"[{"sid""#).expect("a list"), text.rfind("}]").expect("its end"));
    format!("{}[…{}", &text[..before], &text[after + 1..])
}

#[test]
fn a_list_of_several_pages() {
    test(async |world| {
        let (company, _) = company(world).await;
        let first = get(world, &company, "/IncomingPhoneNumbers.json?PageSize=1&PhoneNumber=415*").await;
        insta::assert_snapshot!(paging(world, &first, &company), @r#"
        200 application/json
        {"uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers.json?PageSize=1&Page=0&PhoneNumber=415*","first_page_uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers.json?PageSize=1&Page=0&PhoneNumber=415*","next_page_uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers.json?PageSize=1&Page=1&PageToken=PA[sid]&PhoneNumber=415*","previous_page_uri":null,"last_page_uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers.json?PageSize=1&Page=1&PageToken=PL&PhoneNumber=415*","page":0,"page_size":1,"start":0,"end":0,"total":2,"num_pages":2,"incoming_phone_numbers":[…]}
        "#);
        let next = document(&first, 200)["next_page_uri"].as_str().expect("a URI").to_owned();
        let second = world.server.follow(&company, &next).await;
        insta::assert_snapshot!(paging(world, &second, &company), @r#"
        200 application/json
        {"uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers.json?PageSize=1&Page=1&PageToken=PA[sid]&PhoneNumber=415*","first_page_uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers.json?PageSize=1&Page=0&PhoneNumber=415*","next_page_uri":null,"previous_page_uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers.json?PageSize=1&Page=0&PageToken=PB[sid]&PhoneNumber=415*","last_page_uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers.json?PageSize=1&Page=1&PageToken=PL&PhoneNumber=415*","page":1,"page_size":1,"start":1,"end":1,"total":2,"num_pages":2,"incoming_phone_numbers":[…]}
        "#);
    });
}

#[test]
fn one_number_is_read_updated_and_released() {
    test(async |world| {
        let (company, main_line) = company(world).await;
        let answer = get(world, &company, &main_line).await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        200 application/json
        {"sid":"[sid]","account_sid":"[account]","friendly_name":"Main & <Line>","phone_number":"+14158675309","voice_url":"http://example.com/voice","voice_method":"GET","voice_fallback_url":"http://example.com/voice-error","voice_fallback_method":"POST","voice_caller_id_lookup":true,"date_created":"Tue, 01 Apr 2008 18:26:32 +0000","date_updated":"Tue, 01 Apr 2008 18:26:32 +0000","sms_url":"http://example.com/sms","sms_method":"POST","sms_fallback_url":"http://example.com/sms-error","sms_fallback_method":"GET","address_requirements":"none","beta":false,"capabilities":{"voice":true,"sms":true,"mms":true,"fax":false,"SMS":true,"MMS":true},"voice_receive_mode":"voice","status_callback":"http://example.com/status","status_callback_method":"POST","api_version":"2010-04-01","voice_application_sid":"AP11111111111111111111111111111111","sms_application_sid":"","origin":"twilio","trunk_sid":null,"emergency_status":"Inactive","emergency_address_sid":null,"emergency_address_status":"unregistered","address_sid":"AD22222222222222222222222222222222","identity_sid":null,"bundle_sid":null,"uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers/[sid].json","status":"in-use","type":"local"}
        "#);
        let form = "FriendlyName=&VoiceUrl=&VoiceFallbackUrl=&SmsMethod=GET&StatusCallback=http://example.com/new\
            &TrunkSid=TK33333333333333333333333333333333";
        world.clock.advance(chrono::TimeDelta::seconds(1));
        let answer = post_below(world, &company, &main_line, form).await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        200 application/json
        {"sid":"[sid]","account_sid":"[account]","friendly_name":"(415) 867-5309","phone_number":"+14158675309","voice_url":"","voice_method":"POST","voice_fallback_url":"","voice_fallback_method":"POST","voice_caller_id_lookup":true,"date_created":"Tue, 01 Apr 2008 18:26:32 +0000","date_updated":"Tue, 01 Apr 2008 18:26:34 +0000","sms_url":"http://example.com/sms","sms_method":"GET","sms_fallback_url":"http://example.com/sms-error","sms_fallback_method":"GET","address_requirements":"none","beta":false,"capabilities":{"voice":true,"sms":true,"mms":true,"fax":false,"SMS":true,"MMS":true},"voice_receive_mode":"voice","status_callback":"http://example.com/new","status_callback_method":"POST","api_version":"2010-04-01","voice_application_sid":"","sms_application_sid":"","origin":"twilio","trunk_sid":"TK33333333333333333333333333333333","emergency_status":"Inactive","emergency_address_sid":null,"emergency_address_status":"unregistered","address_sid":"AD22222222222222222222222222222222","identity_sid":null,"bundle_sid":null,"uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers/[sid].json","status":"in-use","type":"local"}
        "#);
        let answer = send(world, &company, "DELETE", &main_line, &[]).await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"204"#);
        let answer = get(world, &company, &main_line).await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        404 application/json
        {"code":20404,"message":"The requested resource /2010-04-01/Accounts/[account]/IncomingPhoneNumbers/[sid].json was not found","more_info":"[site]/docs/errors/20404","status":404}
        "#);
        let answer = get(world, &company, main_line.trim_end_matches(".json")).await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        404 application/xml; charset=utf-8
        <?xml version="1.0" encoding="UTF-8"?><TwilioResponse><RestException><Code>20404</Code><Message>The requested resource /2010-04-01/Accounts/[account]/IncomingPhoneNumbers/[sid] was not found</Message><MoreInfo>[site]/docs/errors/20404</MoreInfo><Status>404</Status></RestException></TwilioResponse>
        "#);
    });
}

#[test]
fn a_purchase_by_number_and_one_by_area_code() {
    test(async |world| {
        let company = world.account("2.00").await;
        somebody_else(world).await;
        world.stock(4_158_675_309, 1).await;
        let answer = post_below(world, &company, NUMBERS, MAIN_LINE).await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        201 application/json
        Location: /2010-04-01/Accounts/[account]/IncomingPhoneNumbers/[sid]
        {"sid":"[sid]","account_sid":"[account]","friendly_name":"Main & <Line>","phone_number":"+14158675309","voice_url":"http://example.com/voice","voice_method":"GET","voice_fallback_url":"http://example.com/voice-error","voice_fallback_method":"POST","voice_caller_id_lookup":true,"date_created":"Tue, 01 Apr 2008 18:26:32 +0000","date_updated":"Tue, 01 Apr 2008 18:26:32 +0000","sms_url":"http://example.com/sms","sms_method":"POST","sms_fallback_url":"http://example.com/sms-error","sms_fallback_method":"GET","address_requirements":"none","beta":false,"capabilities":{"voice":true,"sms":true,"mms":true,"fax":false,"SMS":true,"MMS":true},"voice_receive_mode":"voice","status_callback":"http://example.com/status","status_callback_method":"POST","api_version":"2010-04-01","voice_application_sid":"AP11111111111111111111111111111111","sms_application_sid":"","origin":"twilio","trunk_sid":null,"emergency_status":"Inactive","emergency_address_sid":null,"emergency_address_status":"unregistered","address_sid":"AD22222222222222222222222222222222","identity_sid":null,"bundle_sid":null,"uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers/[sid].json","status":"in-use","type":"local"}
        "#);
        let answer = post_below(world, &company, NUMBERS, MAIN_LINE).await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        400 application/json
        {"code":21422,"message":"This PhoneNumber is not on sale; AvailablePhoneNumbers lists some that are","more_info":"[site]/docs/errors/21422","status":400}
        "#);
        world.stock(4_158_675_310, 1).await;
        let answer = post_below(world, &company, NUMBERS, "AreaCode=415").await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        201 application/json
        Location: /2010-04-01/Accounts/[account]/IncomingPhoneNumbers/[sid]
        {"sid":"[sid]","account_sid":"[account]","friendly_name":"(415) 867-5310","phone_number":"+14158675310","voice_url":"","voice_method":"POST","voice_fallback_url":"","voice_fallback_method":"POST","voice_caller_id_lookup":false,"date_created":"Tue, 01 Apr 2008 18:26:32 +0000","date_updated":"Tue, 01 Apr 2008 18:26:32 +0000","sms_url":"","sms_method":"POST","sms_fallback_url":"","sms_fallback_method":"POST","address_requirements":"none","beta":false,"capabilities":{"voice":true,"sms":true,"mms":true,"fax":false,"SMS":true,"MMS":true},"voice_receive_mode":"voice","status_callback":"","status_callback_method":"POST","api_version":"2010-04-01","voice_application_sid":"","sms_application_sid":"","origin":"twilio","trunk_sid":null,"emergency_status":"Inactive","emergency_address_sid":null,"emergency_address_status":"unregistered","address_sid":null,"identity_sid":null,"bundle_sid":null,"uri":"/2010-04-01/Accounts/[account]/IncomingPhoneNumbers/[sid].json","status":"in-use","type":"local"}
        "#);
        // The place is that of every representation.
        let place = format!("{}.json", answer.header("Location"));
        assert_eq!(world.server.follow(&company, &place).await.body, answer.body, "what was said is what is kept");
        world.stock(4_158_675_311, 1).await;
        let answer = post_below(world, &company, NUMBERS, "AreaCode=415").await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        402 application/json
        {"code":29001,"message":"The balance of 0.00 does not cover the first month's price of 1.00","more_info":"[site]/docs/errors/29001","status":402}
        "#);
    });
}

#[test]
fn a_search() {
    test(async |world| {
        let company = world.account("0.00").await;
        somebody_else(world).await;
        world.stock(4_158_675_309, 1).await;
        let answer = get(world, &company, "/AvailablePhoneNumbers/US/Local.json?AreaCode=415&PageSize=5").await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        200 application/json
        {"uri":"/2010-04-01/Accounts/[account]/AvailablePhoneNumbers/US/Local.json?AreaCode=415&PageSize=5","available_phone_numbers":[{"friendly_name":"(415) 867-5309","phone_number":"+14158675309","lata":null,"locality":null,"rate_center":null,"latitude":null,"longitude":null,"region":"CA","postal_code":null,"iso_country":"US","address_requirements":"none","beta":false,"capabilities":{"voice":true,"sms":true,"mms":true,"fax":false,"SMS":true,"MMS":true}}]}
        "#);
    });
}

#[test]
fn a_sub_account_and_a_transfer_to_it() {
    test(async |world| {
        let (company, main_line) = company(world).await;
        let made = post(world, &company, "/2010-04-01/Accounts.json", "FriendlyName=Shop+7").await;
        insta::assert_snapshot!(told(world, &made, &company), @r#"
        201 application/json
        {"sid":"[child]","friendly_name":"Shop 7","type":"Full","status":"active","date_created":"Tue, 01 Apr 2008 18:26:33 +0000","date_updated":"Tue, 01 Apr 2008 18:26:33 +0000","auth_token":"[secret]","owner_account_sid":"[account]","uri":"/2010-04-01/Accounts/[child].json","subresource_uris":{"available_phone_numbers":"/2010-04-01/Accounts/[child]/AvailablePhoneNumbers.json","incoming_phone_numbers":"/2010-04-01/Accounts/[child]/IncomingPhoneNumbers.json","keys":"/2010-04-01/Accounts/[child]/Keys.json"}}
        "#);
        let child = document(&made, 201)["sid"].as_str().expect("a Sid").to_owned();
        let answer = post_below(world, &company, &main_line, &format!("AccountSid={child}&FriendlyName=Shop")).await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        200 application/json
        {"sid":"[sid]","account_sid":"[child]","friendly_name":"Shop","phone_number":"+14158675309","voice_url":"http://example.com/voice","voice_method":"GET","voice_fallback_url":"http://example.com/voice-error","voice_fallback_method":"POST","voice_caller_id_lookup":true,"date_created":"Tue, 01 Apr 2008 18:26:32 +0000","date_updated":"Tue, 01 Apr 2008 18:26:33 +0000","sms_url":"http://example.com/sms","sms_method":"POST","sms_fallback_url":"http://example.com/sms-error","sms_fallback_method":"GET","address_requirements":"none","beta":false,"capabilities":{"voice":true,"sms":true,"mms":true,"fax":false,"SMS":true,"MMS":true},"voice_receive_mode":"voice","status_callback":"http://example.com/status","status_callback_method":"POST","api_version":"2010-04-01","voice_application_sid":"AP11111111111111111111111111111111","sms_application_sid":"","origin":"twilio","trunk_sid":null,"emergency_status":"Inactive","emergency_address_sid":null,"emergency_address_status":"unregistered","address_sid":"AD22222222222222222222222222222222","identity_sid":null,"bundle_sid":null,"uri":"/2010-04-01/Accounts/[child]/IncomingPhoneNumbers/[sid].json","status":"in-use","type":"local"}
        "#);
    });
}

#[test]
fn keys_and_what_a_key_may_not_do() {
    test(async |world| {
        let (company, _) = company(world).await;
        let made = post_below(world, &company, "/Keys.json", "FriendlyName=shop").await;
        insta::assert_snapshot!(told(world, &made, &company), @r#"
        201 application/json
        {"sid":"[key]","friendly_name":"shop","date_created":"Tue, 01 Apr 2008 18:26:33 +0000","date_updated":"Tue, 01 Apr 2008 18:26:33 +0000","secret":"[secret]"}
        "#);
        let answer = get(world, &company, "/Keys.json").await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        200 application/json
        {"uri":"/2010-04-01/Accounts/[account]/Keys.json?PageSize=50&Page=0","first_page_uri":"/2010-04-01/Accounts/[account]/Keys.json?PageSize=50&Page=0","next_page_uri":null,"previous_page_uri":null,"last_page_uri":"/2010-04-01/Accounts/[account]/Keys.json?PageSize=50&Page=0","page":0,"page_size":50,"start":0,"end":0,"total":1,"num_pages":1,"keys":[{"sid":"[key]","friendly_name":"shop","date_created":"Tue, 01 Apr 2008 18:26:33 +0000","date_updated":"Tue, 01 Apr 2008 18:26:33 +0000"}]}
        "#);
        let made = document(&made, 201);
        let keys = world.server.request("GET", &path(&company, "/Keys.json"));
        let keys = keys.basic_auth(made["sid"].as_str().expect("a Sid"), made["secret"].as_str());
        insta::assert_snapshot!(told(world, &Answer::of(keys).await, &company), @r#"
        403 application/json
        {"code":20006,"message":"A standard API key cannot manage accounts or keys; send the AccountSid and its AuthToken","more_info":"[site]/docs/errors/20006","status":403}
        "#);
    });
}

#[test]
fn a_wrong_token() {
    test(async |world| {
        let company = world.account("0.00").await;
        let stranger = Account { token: "x".repeat(32), ..company.clone() };
        let answer = get(world, &stranger, ".json").await;
        insta::assert_snapshot!(told(world, &answer, &company), @r#"
        401 application/json
        WWW-Authenticate: Basic realm="numberbank"
        {"code":20003,"message":"Authenticate","more_info":"[site]/docs/errors/20003","status":401}
        "#);
    });
}
