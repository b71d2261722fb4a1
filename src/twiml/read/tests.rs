use super::super::{Version, Warning};
use super::*;

const XML: Option<&str> = Some("text/xml");

fn grammar(kind: Kind, version: Version) -> Grammar {
    Grammar { kind, version }
}

fn of_calls(version: Version, text: &str) -> Result<Document, Error> {
    read(text.as_bytes(), XML, grammar(Kind::Call, version))
}

fn of_2008(text: &str) -> Document {
    of_calls(Version::V2008, text).unwrap()
}

fn in_messages(version: Version, text: &str) -> Result<Document, Error> {
    read(text.as_bytes(), XML, grammar(Kind::Message, version))
}

#[track_caller]
fn refused(read: Result<Document, Error>) -> (u16, Option<u32>) {
    let error = read.unwrap_err();
    (error.code, error.line)
}

fn codes(document: &Document) -> Vec<(u16, &str, u32)> {
    document.warnings.iter().map(|Warning { code, verb, line, .. }| (*code, &**verb, *line)).collect()
}

/// Names, texts and children, as one text.
fn outline(verbs: &[Verb]) -> String {
    let outlined = verbs.iter().map(|verb| format!("{}[{}]({})", verb.name(), verb.text, outline(&verb.children)));
    outlined.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_document_becomes_a_tree() {
    let document = of_2008(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- menu -->\n<Response>\n  <Gather numDigits='1' action=\"/menu?a=1&amp;b=2\">\n\
         <Say voice='woman'>Press 1\n  for <![CDATA[<sales>]]> &#38; more</Say><Pause/></Gather>\n <Dial><Number>4155551212</Number>\
         </Dial>\n<Hangup/></Response>\n",
    );
    assert_eq!(
        outline(&document.verbs),
        "Gather[](Say[Press 1 for <sales> & more]() Pause[]()) Dial[](Number[4155551212]()) Hangup[]()"
    );
    assert!(document.warnings.is_empty(), "{:?}", document.warnings);
    let gather = &document.verbs[0];
    assert_eq!(gather.attributes.0, [("numDigits".into(), "1".into()), ("action".into(), "/menu?a=1&b=2".into())]);
    assert_eq!((gather.line, gather.children[0].line, document.verbs[2].line), (4, 5, 8));
}

#[test]
fn what_is_not_well_formed_is_refused_with_its_line() {
    for (text, line) in [
        ("<Response>", 1),
        ("<Response>\n<Say>\n</Response>", 3),
        ("<Response></Response><Response/>", 1),
        ("<Response/>text", 1),
        ("text<Response/>", 1),
        ("<Response/>&amp;", 1),
        ("<Response/><![CDATA[ ]]>", 1),
        ("\n<?xml version=\"1.0\"?><Response/>", 2),
        ("<Response><?xml version=\"1.0\"?></Response>", 1),
        ("<!DOCTYPE Response><Response/>", 1),
        ("<!DOCTYPE html>\n<html><body/></html>", 1),
        ("<!DOCTYPE r [<!ENTITY a \"b\">]><Response><Say>&a;</Say></Response>", 1),
        ("<Response>\n<Say>&nbsp;</Say></Response>", 2),
        ("<Response><Say>&</Say></Response>", 1),
        ("<Response><Say>&#0;</Say></Response>", 1),
        ("<Response><Say>&#x1F;</Say></Response>", 1),
        ("<Response><Say>]]></Say></Response>", 1),
        ("<Response><Say loop=1>a</Say></Response>", 1),
        ("<Response><Say loop>a</Say></Response>", 1),
        ("<Response><Say loop='1'voice='man'>a</Say></Response>", 1),
        ("<Response><Say loop='1' loop='1'>a</Say></Response>", 1),
        ("<Response><Say a='<'>a</Say></Response>", 1),
        ("<Response><Say a='&b;'>a</Say></Response>", 1),
        ("<Response><Say a='&#2;'>a</Say></Response>", 1),
        ("<Response><Say 1='2'>a</Say></Response>", 1),
        ("<Response><1/></Response>", 1),
        ("<Response><a&b/></Response>", 1),
        ("<Response>< /></Response>", 1),
        ("<Response><!-- -- --></Response>", 1),
        ("<Response><Say>a</say></Response>", 1),
        ("<Response></Response></Response>", 1),
        ("<Response><Say", 1),
        ("<!-- nothing -->", 1),
    ] {
        assert_eq!(refused(of_calls(Version::V2008, text)), (12100, Some(line)), "{text}");
    }
    let control = refused(of_calls(Version::V2008, "<Response><Say>\u{1}</Say></Response>"));
    assert_eq!(control, (12100, None));
}

#[test]
fn depth_attributes_and_size_have_a_bound() {
    let nested = |depth| format!("<Response>{}{}</Response>", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(of_calls(Version::V2008, &nested(99)).is_ok());
    assert_eq!(refused(of_calls(Version::V2008, &nested(100))).0, 12100);
    let attributes = |count| {
        let attributes: String = (0..count).map(|number| format!(" a{number}=''")).collect();
        format!("<Response><Say{attributes}>a</Say></Response>")
    };
    assert!(of_calls(Version::V2008, &attributes(100)).is_ok());
    assert_eq!(refused(of_calls(Version::V2008, &attributes(101))).0, 12100);
    let sized = |size: usize| format!("<Response><!--{}--></Response>", "a".repeat(size - 28));
    assert!(of_calls(Version::V2008, &sized(LARGEST)).is_ok());
    assert_eq!(refused(of_calls(Version::V2008, &sized(LARGEST + 1))), (11750, None));
}

#[test]
fn warnings_beyond_the_most_are_counted() {
    let document = of_2008(&format!("<Response>{}</Response>", "<a/>".repeat(MOST_WARNINGS + 7)));
    assert_eq!((document.warnings.len(), document.further_warnings), (MOST_WARNINGS, 7));
}

#[test]
fn the_root_and_its_version_are_checked_after_the_whole_is_well_formed() {
    for (text, code) in [
        ("<html/>", 12102),
        ("<response/>", 12102),
        ("<a:Response/>", 12102),
        ("<Response version='2009-01-01'/>", 12101),
        ("<Response version=''/>", 12101),
        ("<html><p></html>", 12100),
        ("<Response version='1'><Say></Response>", 12100),
    ] {
        assert_eq!(refused(of_calls(Version::V2008, text)).0, code, "{text}");
    }
    for text in
        ["<Response/>", "<Response version='2008-08-01'/>", "<Response version='2010-04-01' xmlns='a' xml:lang='en'/>"]
    {
        assert_eq!(of_2008(text), Document::default());
    }
    assert_eq!(
        codes(&of_2008("<Response Version='1'>text</Response>")),
        [(12200, "Response", 1), (12200, "Response", 1)]
    );
}

#[test]
fn a_verb_of_a_later_version_is_an_error_wherever_it_stands() {
    for text in ["<Reject/>", "<Say>a</Say>\n<Enqueue/>", "<Dial><Client>a</Client></Dial>", "<Message>a</Message>"] {
        let text = format!("<Response>{text}</Response>");
        assert_eq!(refused(of_calls(Version::V2008, &text)).0, 13750, "{text}");
    }
    assert_eq!(refused(in_messages(Version::V2008, "<Response><Message>a</Message></Response>")), (13750, Some(1)));
    for text in ["<Reject/>", "<Enqueue a='b'>c<d/></Enqueue>", "<Dial><Client>a</Client></Dial>", "<Leave/>"] {
        let document = of_calls(Version::V2010, &format!("<Response>{text}</Response>")).unwrap();
        assert!(document.warnings.is_empty() && document.verbs.len() == 1, "{text}: {:?}", document.warnings);
    }
}

#[test]
fn what_is_unknown_or_misplaced_is_warned_of_and_skipped() {
    let document = of_2008(
        "<Response><say>a</say>\n<Record><Say>a</Say></Record>\n<Gather><Dial>1</Dial><Foo/><Say>a</Say></Gather>\n\
         <Dial><Say>a</Say><Number>4155551212</Number></Dial>\n<Number>4155551212</Number><Say><Foo x='1'>b</Foo>a</Say></Response>",
    );
    assert_eq!(outline(&document.verbs), "Record[]() Gather[](Say[a]()) Dial[](Number[4155551212]()) Say[a]()");
    let expected = [
        (12200, "say", 1),
        (12200, "Say", 2),
        (13320, "Dial", 3),
        (12200, "Foo", 3),
        (13215, "Say", 4),
        (12200, "Number", 5),
        (12200, "Foo", 5),
    ];
    assert_eq!(codes(&document), expected);
    let reply = in_messages(Version::V2008, "<Response><Say>a</Say><Sms>b</Sms><Hangup/></Response>").unwrap();
    assert_eq!(outline(&reply.verbs), "Sms[b]()");
    assert_eq!(codes(&reply), [(14110, "Say", 1), (14110, "Hangup", 1)]);
    let document = of_2008("<Response><Pause lenght='3'/></Response>");
    assert_eq!(codes(&document), [(12200, "Pause", 1)]);
    assert_eq!(document.warnings[0].message, "Schema validation warning: there is no attribute lenght");
}

#[test]
fn markup_is_a_part_of_what_is_said() {
    for (say, text) in [
        ("Hello <emphasis level='strong'>big</emphasis> world", "Hello big world"),
        ("one<break strength='x-weak' time='100ms'/>two", "one two"),
        ("<p>one</p><p><s>two</s><s>three</s></p>four", "one two three four"),
        ("<prosody rate='slow'>a <lang xml:lang='fr'>b</lang> c</prosody> d", "a b c d"),
        ("<phoneme alphabet='ipa' ph='x'>tomato</phoneme>, <say-as interpret-as='date'>1/2</say-as>", "tomato, 1/2"),
        ("<sub alias='x'>W3C</sub>s <w role='y'>read</w>", "W3Cs read"),
        ("a <![CDATA[b]]><emphasis>&amp;<Foo>x</Foo></emphasis> c", "a b& c"),
    ] {
        for (start, end) in [("<Say>", "</Say>"), ("<Gather><Say>", "</Say></Gather>")] {
            let document = of_calls(Version::V2010, &format!("<Response>{start}{say}{end}</Response>")).unwrap();
            let (verb, unknown) = (&document.verbs[0], usize::from(say.contains("Foo")));
            let said = verb.children.first().unwrap_or(verb);
            assert_eq!((&*said.text, said.children.len()), (text, 0), "{say}");
            assert_eq!(document.warnings.len(), unknown, "{say}: {:?}", document.warnings);
        }
    }
    // It is unknown in 2008-08-01, and elsewhere it may not stand.
    let document = of_2008("<Response><Say>a<break/>b</Say><p/></Response>");
    assert_eq!(codes(&document), [(12200, "break", 1), (12200, "p", 1)]);
    let document = of_calls(Version::V2010, "<Response><p>a</p><Gather><break/></Gather></Response>").unwrap();
    assert_eq!(codes(&document), [(12200, "p", 1), (13320, "break", 1)]);
}

#[test]
fn what_2010_knows_by_name_is_not_warned_of() {
    for text in [
        "<Connect action='/a'><ConversationRelay url='wss://a'><Parameter name='b'/></ConversationRelay></Connect>",
        "<Start><Stream url='wss://a'><Parameter/></Stream><Siprec/><Transcription/></Start><Stop><Stream/></Stop>",
        "<Pay><Prompt for='expiration-date'><Say>a</Say></Prompt></Pay><Echo/><Refer><Sip>sip:a@b.c</Sip></Refer>",
        "<Dial><Application copyParentTo='true'><ApplicationSid>AP1</ApplicationSid></Application></Dial>",
        "<Dial><Sim>DE1</Sim><WhatsApp>+14155551212</WhatsApp></Dial>",
        "<Dial><Client url='/a'><Identity>bob</Identity><Parameter name='a' value='b'/></Client></Dial>",
        "<Hangup><Parameter name='a'/></Hangup>",
        "<Reject><Parameter name='a'/></Reject>",
        "<Enqueue workflowSid='WW1'><Task priority='5'>{}</Task></Enqueue>",
        "<Dial recordingConfigurationId='a' events='b' passports='c'>4155551212</Dial>",
        "<Record recordingConfigurationId='a' timeout='0'/>",
    ] {
        let document = of_calls(Version::V2010, &format!("<Response>{text}</Response>")).unwrap();
        assert!(document.warnings.is_empty(), "{text}: {:?}", document.warnings);
    }
    for verb in ["Connect", "Start", "Stop", "Pay", "Refer", "Echo"] {
        let refusal = refused(of_calls(Version::V2008, &format!("<Response><{verb}/></Response>")));
        assert_eq!(refusal.0, 13750, "{verb}");
    }
    assert_eq!(codes(&of_2008("<Response><Record timeout='0'/></Response>")), [(13611, "Record", 1)]);
}

#[test]
fn a_caller_may_have_a_name_where_no_phone_is_called() {
    for (caller, dial, warned) in [
        ("jenny", "<Client>bob</Client>", false),
        ("jenny", "<Sip>sip:a@b.c</Sip>", false),
        ("client:jenny", "<Number>4155551212</Number>", false),
        ("jenny", "<Number>4155551212</Number>", true),
        ("jenny", "4155551212", true),
        ("", "<Client>bob</Client>", true),
    ] {
        let text = format!("<Response><Dial callerId='{caller}'>{dial}</Dial></Response>");
        let document = of_calls(Version::V2010, &text).unwrap();
        let expected = if warned { vec![(13214, "Dial", 1)] } else { vec![] };
        assert_eq!(codes(&document), expected, "{caller} {dial}");
    }
}

#[test]
fn texts_are_checked() {
    for (text, warned) in [
        ("<Say> </Say>", Some(13520)),
        (&format!("<Say>{}</Say>", "a".repeat(4096)), None),
        (&format!("<Say>{}</Say>", "a".repeat(4097)), Some(13520)),
        ("<Hangup>now</Hangup>", Some(12200)),
        ("<Gather>a</Gather>", Some(12200)),
        ("<Dial>415-123-4567</Dial>", None),
        ("<Dial>+442071838750</Dial>", None),
        ("<Dial>5551212</Dial>", Some(13223)),
        ("<Dial/>", Some(13223)),
        ("<Dial><Number>help</Number></Dial>", Some(13223)),
        ("<Dial><Conference>room</Conference></Dial>", None),
        ("<Sms>hi</Sms>", None),
        ("<Sms/>", Some(14103)),
        (&format!("<Sms>{}</Sms>", "é".repeat(160)), None),
        (&format!("<Sms>{}</Sms>", "é".repeat(161)), Some(14103)),
    ] {
        let document = of_2008(&format!("<Response>{text}</Response>"));
        assert_eq!(codes(&document).first().map(|warning| warning.0), warned, "{text}");
        assert_eq!(document.verbs.len(), 1, "{text}");
    }
    for (text, warned) in [
        ("<Message>hi</Message>", None),
        ("<Message><Body>hi</Body></Message>", None),
        ("<Message><Media>http://a/b.png</Media></Message>", None),
        ("<Message><Body/></Message>", Some(14103)),
        ("<Message><Media/></Message>", Some(14103)),
        (&format!("<Message><Body>{}</Body></Message>", "a".repeat(1601)), Some(14103)),
    ] {
        let document = in_messages(Version::V2010, &format!("<Response>{text}</Response>")).unwrap();
        assert_eq!(codes(&document).first().map(|warning| warning.0), warned, "{text}");
    }
}

#[test]
fn the_content_type_says_how_an_answer_is_read() {
    let read_as = |body: &str, kind, content_type| read(body.as_bytes(), content_type, grammar(kind, Version::V2008));
    for content_type in ["text/xml", "application/xml", "text/html", "TEXT/XML; charset=\"utf-8\"", " text/html ;x"] {
        assert!(read_as("<Response/>", Kind::Call, Some(content_type)).is_ok(), "{content_type}");
    }
    let missing = read_as("<Response/>", Kind::Call, None).unwrap_err();
    assert_eq!((missing.code, &*missing.message), (11200, "HTTP retrieval failure: there is no Content-Type header"));
    for content_type in [Some(""), Some("application/json"), Some("xml"), Some("image/png")] {
        let refusal = refused(read_as("<Response/>", Kind::Call, content_type));
        assert_eq!(refusal, (12300, None), "{content_type:?}");
    }
    for body in ["", " \r\n\t"] {
        assert_eq!(refused(read_as(body, Kind::Call, Some("image/png"))), (11770, None), "an empty body goes first");
        assert_eq!(refused(read_as(body, Kind::Message, Some("text/plain"))), (11770, None));
    }
    let said = read_as("Hello  <world> &\n", Kind::Call, Some("text/plain")).unwrap();
    assert_eq!(outline(&said.verbs), "Say[Hello <world> &]() Hangup[]()");
    let reply = read_as(" two\nlines ", Kind::Message, Some("text/plain; charset=us-ascii")).unwrap();
    assert_eq!(outline(&reply.verbs), "Sms[two\nlines]()");
    assert_eq!(codes(&read_as(&"a".repeat(161), Kind::Message, Some("text/plain")).unwrap()), [(14103, "Sms", 1)]);
    let played = read(&[0xFF, 0xFB, 0], Some("audio/mpeg"), grammar(Kind::Call, Version::V2008)).unwrap();
    assert_eq!(outline(&played.verbs), "Play[]() Hangup[]()");
    assert_eq!(refused(read_as("RIFF", Kind::Message, Some("audio/wav"))).0, 12300);
}

#[test]
fn the_encoding_is_that_of_the_mark_the_content_type_or_the_declaration() {
    let said = |body: &[u8], content_type| {
        let document = read(body, Some(content_type), grammar(Kind::Call, Version::V2008));
        document.map(|document| document.verbs[0].text.clone()).map_err(|error| error.code)
    };
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><Response><Say>caf\xE9</Say></Response>";
    let bare = b"<Response><Say>caf\xE9</Say></Response>";
    let utf_8 = "<Response><Say>café</Say></Response>".as_bytes();
    assert_eq!(said(latin, "text/xml"), Ok("café".to_owned()));
    assert_eq!(said(bare, "text/xml; charset=iso-8859-1"), Ok("café".to_owned()));
    assert_eq!(said(utf_8, "text/xml"), Ok("café".to_owned()));
    assert_eq!(said(b"caf\xE9", "text/plain; charset=ISO-8859-1"), Ok("café".to_owned()));
    let marked = |mark: &[u8], text: &[u8]| [mark, text].concat();
    assert_eq!(said(&marked(b"\xEF\xBB\xBF", utf_8), "text/xml; charset=iso-8859-1"), Ok("café".to_owned()));
    let utf_16 = "<Response><Say>café</Say></Response>".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
    assert_eq!(said(&marked(b"\xFE\xFF", &utf_16), "text/xml"), Ok("café".to_owned()));
    let utf_8_says_latin = "<?xml version='1.0' encoding='ISO-8859-1'?><Response><Say>café</Say></Response>".as_bytes();
    assert_eq!(said(utf_8_says_latin, "text/xml; charset=utf-8"), Ok("café".to_owned()), "the Content-Type goes first");
    assert_eq!(said(bare, "text/xml"), Err(12100), "no UTF-8");
    assert_eq!(said(latin, "text/xml; charset=utf-8"), Err(12100));
    assert_eq!(said(utf_8, "text/xml; charset=klingon"), Err(12100));
    assert_eq!(said(b"<?xml version='1.0' encoding='klingon'?><Response/>", "text/xml"), Err(12100));
    assert_eq!(said(b"<?xml version='1.0' encoding='UTF-16'?><Response/>", "text/xml"), Err(12100));
}
