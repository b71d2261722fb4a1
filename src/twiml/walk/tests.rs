use serde_json::json;

use super::super::grammar::{Place, RULES};
use super::super::{Kind, Version, read};
use super::*;

/// Sids that are counted.
#[derive(Default)]
pub struct Counted(u32);

impl Counted {
    fn next(&mut self, prefix: &str) -> String {
        self.0 += 1;
        format!("{prefix}{}", self.0)
    }
}

impl Sids for Counted {
    fn call(&mut self) -> String {
        self.next("CA")
    }

    fn message(&mut self) -> String {
        self.next("SM")
    }

    fn recording(&mut self, seconds: u32) -> String {
        format!("http://world/{seconds}/{}", self.next("RE"))
    }
}

/// What became of a call or a message.
struct Story {
    requests: Vec<Request>,
    steps: Vec<Step>,
    messages: Vec<Message>,
    last: Next,
    walk: Walk,
}

impl Story {
    fn outcome(&self) -> Outcome {
        match self.last {
            Next::Ended(outcome) => outcome,
            ref next => panic!("{next:?}"),
        }
    }

    /// Verbs and the seconds at which they were executed.
    fn times(&self) -> Vec<(&str, u64)> {
        self.steps.iter().map(|step| (step.verb, step.at)).collect()
    }
}

const START: &str = "http://app/call";

/// Goes through pages, each of a URL without its query, from [`START`] on. What is at no page ends with the request.
fn go(kind: Kind, version: Version, script: &str, pages: &[(&str, &str)]) -> Story {
    let grammar = Grammar { kind, version };
    let ends = Ends { caller: "4155551212".into(), number: "4158675309".into() };
    let mut walk = Walk::new(grammar, ends, script.parse().unwrap());
    let (mut steps, mut messages, mut requests) = (Vec::new(), Vec::new(), Vec::new());
    let (mut sids, mut at) = (Counted::default(), Location { url: START.into(), request: 1 });
    let last = loop {
        let path = at.url.split('?').next().unwrap();
        let Some((_, page)) = pages.iter().find(|(url, _)| *url == path) else {
            break Next::Request(requests.last().cloned().unwrap());
        };
        let document = read(format!("<Response>{page}</Response>").as_bytes(), Some("text/xml"), grammar).unwrap();
        let walked = walk.run(&document, &at, &mut sids);
        steps.extend(walked.steps);
        messages.extend(walked.messages);
        let Next::Request(request) = walked.next else { break walked.next };
        at = Location { url: request.url.clone(), request: at.request + 1 };
        requests.push(request);
    };
    Story { requests, steps, messages, last, walk }
}

fn call(script: &str, pages: &[(&str, &str)]) -> Story {
    go(Kind::Call, Version::V2008, script, pages)
}

/// A call with one document, whose requests lead nowhere.
fn one(script: &str, page: &str) -> Story {
    call(script, &[(START, page)])
}

#[track_caller]
fn parameters(story: &Story) -> Vec<(&str, &str)> {
    let [request] = &*story.requests else { panic!("{:?}", story.requests) };
    request.parameters.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[test]
fn a_menu_leads_to_what_was_pressed() {
    let menu = "<Gather action='/menu?from=start' numDigits='1'><Say>For sales press 1</Say>\
                <Play>http://app/or.mp3</Play></Gather><Say>We heard nothing</Say><Redirect>/call</Redirect>";
    let pages = [
        (START, menu),
        ("http://app/menu", "<Gather action='sales?a=b' method='GET'><Say>Your order</Say></Gather>"),
        ("http://app/sales", "<Say>Thank you for calling</Say><Hangup/><Say>Never</Say>"),
    ];
    let story = call("wait; press 1; press 1234#", &pages);
    assert_eq!(story.outcome(), Outcome::Hangup);
    let requests: Vec<_> = story
        .requests
        .iter()
        .map(|request| (request.why, request.method, &*request.url, request.parameters.clone()))
        .collect();
    let digits = |digits: &str| vec![("Digits", digits.to_owned())];
    let expected = [
        (Why::Redirect, "POST", "http://app/call", vec![]),
        (Why::Gather, "POST", "http://app/menu?from=start", digits("1")),
        (Why::Gather, "GET", "http://app/sales?a=b", digits("1234")),
    ];
    assert_eq!(requests, expected);
    // Four words take 2 s, the file 5 s, the time out 5 s, three words 2 s.
    let times = [
        ("Say", 0),
        ("Play", 2),
        ("Gather", 7),
        ("Say", 12),
        ("Redirect", 14),
        ("Say", 14),
        ("Play", 16),
        ("Gather", 21),
        ("Say", 22),
        ("Gather", 23),
        ("Say", 28),
        ("Hangup", 30),
    ];
    assert_eq!(story.times(), times);
    assert_eq!((story.walk.duration(), story.walk.digits_left()), (30, String::new()));
    let steps = serde_json::to_value(&story.steps[7..10]).unwrap();
    let expected = json!([
        {"at": 21, "request": 2, "verb": "Gather", "attributes": {"action": "/menu?from=start", "numDigits": "1"}, "pressed": "1"},
        {"at": 22, "request": 3, "verb": "Say", "attributes": {}, "text": "Your order"},
        {"at": 23, "request": 3, "verb": "Gather", "attributes": {"action": "sales?a=b", "method": "GET"}, "pressed": "1234#"},
    ]);
    assert_eq!(steps, expected);
}

/// What 2010-04-01 tells of a recording with this URL.
fn recorded<'a>(url: &'a str, digits: &'a str) -> Vec<(&'static str, &'a str)> {
    let (before, sid) = url.rsplit_once('/').unwrap();
    let seconds = before.rsplit('/').next().unwrap();
    vec![("RecordingUrl", url), ("RecordingSid", sid), ("RecordingDuration", seconds), ("Digits", digits)]
}

#[test]
fn voicemail_is_recorded_and_sent_to_its_action() {
    let page = "<Say>Leave a message</Say><Record action='/done' maxLength='30'/><Say>Nothing</Say>";
    let done = ("http://app/done", "<Say>Goodbye</Say>");
    let story = call("speak 12 press #", &[(START, page), done]);
    assert_eq!(story.outcome(), Outcome::End);
    assert_eq!(parameters(&story), [("RecordingUrl", "http://world/12/RE1"), ("Duration", "12"), ("Digits", "#")]);
    assert_eq!(story.times(), [("Say", 0), ("Record", 2), ("Say", 14)]);
    let record = serde_json::to_value(&story.steps[1]).unwrap();
    let attributes = json!({"action": "/done", "maxLength": "30"});
    assert_eq!(
        record,
        json!({"at": 2, "request": 1, "verb": "Record", "attributes": attributes, "pressed": "#", "recorded": 12})
    );

    let of_2010 = go(Kind::Call, Version::V2010, "speak 12", &[(START, page), done]);
    assert_eq!(parameters(&of_2010), recorded("http://world/12/RE1", ""));
    assert_eq!(of_2010.times(), [("Say", 0), ("Record", 2), ("Say", 19)], "12 s, and 5 s of silence");

    let silent = call("silence", &[(START, page), done]);
    assert_eq!((silent.requests.len(), silent.outcome()), (0, Outcome::End));
    assert_eq!(silent.times(), [("Say", 0), ("Record", 2), ("Say", 7)]);
}

#[test]
fn a_recording_ends_at_its_longest_or_at_a_key() {
    for (script, attributes, duration, digits, took, left) in [
        ("speak 12", "", "12", "", 17, ""),
        ("speak 12", "timeout='2'", "12", "", 14, ""),
        ("speak 12 press 1", "", "12", "1", 12, ""),
        ("speak 12 press 1", "finishOnKey='#*'", "12", "", 17, ""),
        ("speak 12 press 1", "maxLength='10'", "10", "", 10, "1"),
        ("speak 12; press 1", "maxLength='12'", "12", "", 12, "1"),
    ] {
        let story = one(script, &format!("<Record action='/done' {attributes}/>"));
        let (got, duration) = (parameters(&story), ("Duration", duration));
        assert_eq!(got[1..], [duration, ("Digits", digits)], "{script} {attributes}");
        assert_eq!((story.walk.duration(), &*story.walk.digits_left()), (took, left), "{script} {attributes}");
    }
}

#[test]
fn a_dial_that_is_not_answered_has_a_fallback() {
    let page = "<Dial action='/dialled' timeout='20'>415-123-4567</Dial><Say>Never</Say>";
    let voicemail = ("http://app/dialled", "<Record/>");
    for (script, status, took) in [
        ("dial answered 60", "answered", 60),
        ("dial busy", "busy", 1),
        ("dial no-answer", "no-answer", 20),
        ("dial failed", "failed", 1),
        ("", "no-answer", 20),
        ("press 1", "no-answer", 20),
    ] {
        let story = one(script, page);
        assert_eq!(parameters(&story), [("DialStatus", status)], "{script}");
        assert_eq!(story.walk.duration(), took, "{script}");
        assert_eq!((&*story.steps[0].dialled, story.steps[0].status), (&["415-123-4567".to_owned()][..], Some(status)));
    }
    let story = call("dial busy; speak 3", &[(START, page), voicemail]);
    assert_eq!(story.requests.iter().map(|request| request.why).take(2).collect::<Vec<_>>(), [Why::Dial, Why::Record]);

    let falls = one("dial answered 100", "<Dial timeLimit='60'>4151234567</Dial><Say>Over</Say>");
    assert_eq!((falls.times(), falls.outcome()), (vec![("Dial", 0), ("Say", 60)], Outcome::End));
    let of_2010 = |script| go(Kind::Call, Version::V2010, script, &[(START, page)]);
    assert_eq!(parameters(&of_2010("dial answered 60")), dialled("completed", "60", "true"));
    assert_eq!(parameters(&of_2010("dial busy")), dialled("busy", "0", "false"));
}

/// What 2010-04-01 tells of the first Dial.
fn dialled<'a>(status: &'a str, seconds: &'a str, bridged: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![("DialCallStatus", status), ("DialCallSid", "CA1"), ("DialCallDuration", seconds), ("DialBridged", bridged)]
}

#[test]
fn an_answered_dial_of_2010_may_be_recorded() {
    for (script, record, is_recorded) in [
        ("dial answered 12", "record='record-from-answer'", true),
        ("dial answered 12", "record='record-from-ringing-dual'", true),
        ("dial answered 12 hang up", "record='true'", true),
        ("dial answered 12", "record='do-not-record'", false),
        ("dial answered 12", "record='false'", false),
        ("dial answered 12", "record='x'", false),
        ("dial answered 12", "", false),
        ("dial busy", "record='true'", false),
        ("hang up", "record='true'", false),
    ] {
        let page = format!("<Dial action='/a' {record}>4151234567</Dial>");
        let story = go(Kind::Call, Version::V2010, script, &[(START, &page)]);
        let told = &parameters(&story)[4..];
        let recording = if is_recorded { recorded("http://world/12/RE2", "")[..3].to_vec() } else { vec![] };
        assert_eq!(told, recording, "{script} {record}");
    }
}

/// The only request, if any, with whether it is the last one, and the outcome.
#[track_caller]
fn told_last(story: &mut Story) -> Vec<(&'static str, String)> {
    assert_eq!(story.requests.len(), 1);
    assert!(story.requests[0].is_last);
    assert!(story.steps.last().unwrap().hung_up);
    let grammar = Grammar { kind: Kind::Call, version: Version::V2010 };
    let never = read(b"<Response><Say>never</Say></Response>", Some("text/xml"), grammar).unwrap();
    let at = Location { url: START.into(), request: 2 };
    let after = story.walk.run(&never, &at, &mut Counted::default());
    assert_eq!((after.next, after.steps), (Next::Ended(Outcome::CallerHungUp), vec![]), "the answer is not executed");
    story.requests[0].parameters.clone()
}

fn owned(parameters: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

#[test]
fn the_action_of_a_dial_hears_of_a_caller_who_hangs_up() {
    let page = "<Dial action='/a' timeLimit='60'>4151234567</Dial><Say>never</Say>";
    let of = |version, script| go(Kind::Call, version, script, &[(START, page)]);
    let mut before = of(Version::V2010, "hang up");
    assert_eq!(told_last(&mut before), owned(&dialled("canceled", "0", "false")));
    assert_eq!((before.steps[0].status, before.walk.duration()), (Some("canceled"), 0));
    let mut after = of(Version::V2010, "dial answered 30 hang up");
    assert_eq!(told_last(&mut after), owned(&dialled("completed", "30", "true")));
    assert_eq!(after.walk.duration(), 30);
    assert_eq!(after.steps[0].dialled, ["4151234567"]);

    let cut = of(Version::V2010, "dial answered 60 hang up");
    assert!(!cut.requests[0].is_last && !cut.steps[0].hung_up, "the time was over before");
    let next = ("http://app/a", "<Gather/><Say>never</Say>");
    let cut = go(Kind::Call, Version::V2010, "dial answered 60 hang up", &[(START, page), next]);
    assert_eq!((cut.outcome(), cut.steps.len()), (Outcome::CallerHungUp, 2), "and hangs up at the next chance");

    for (script, status, took) in [("hang up", "canceled", 0), ("dial answered 30 hang up", "answered", 30)] {
        let story = of(Version::V2008, script);
        assert_eq!((story.requests.len(), story.outcome()), (0, Outcome::CallerHungUp), "{script}");
        assert_eq!((story.steps[0].status, story.steps[0].hung_up), (Some(status), true), "{script}");
        assert_eq!((story.steps.len(), story.walk.duration()), (1, took), "{script}");
    }
    for script in ["hang up", "dial answered 30 hang up"] {
        let page = "<Dial>4151234567</Dial><Say>never</Say>";
        let story = go(Kind::Call, Version::V2010, script, &[(START, page)]);
        assert_eq!((story.outcome(), story.steps.len()), (Outcome::CallerHungUp, 1), "{script}");
    }
}

#[test]
fn the_action_of_a_record_hears_of_a_caller_who_hangs_up() {
    let page = "<Record action='/a' maxLength='20'/><Say>never</Say>";
    let of = |version, script| go(Kind::Call, version, script, &[(START, page)]);
    let mut story = of(Version::V2010, "speak 12 hang up");
    assert_eq!(told_last(&mut story), owned(&recorded("http://world/12/RE1", "hangup")));
    assert_eq!((story.steps[0].recorded, story.walk.duration()), (Some(12), 12), "no silence follows");
    let mut story = of(Version::V2008, "speak 12 hang up");
    let expected = [("RecordingUrl", "http://world/12/RE1"), ("Duration", "12"), ("Digits", "hangup")];
    assert_eq!(told_last(&mut story), owned(&expected));

    let cut = of(Version::V2010, "speak 20 hang up");
    assert!(!cut.requests[0].is_last && cut.requests[0].parameters[3].1.is_empty());
    let next = ("http://app/a", "<Gather/><Say>never</Say>");
    let cut = go(Kind::Call, Version::V2010, "speak 20 hang up", &[(START, page), next]);
    assert_eq!((cut.outcome(), cut.steps.len()), (Outcome::CallerHungUp, 2));
}

#[test]
fn the_last_request_is_made_after_the_most_documents_too() {
    let pages = [(START, "<Redirect/>"), ("http://app/end", "<Record action='/a'/>")];
    let grammar = Grammar { kind: Kind::Call, version: Version::V2010 };
    let document =
        |page: &str| read(format!("<Response>{page}</Response>").as_bytes(), Some("text/xml"), grammar).unwrap();
    let ends = Ends { caller: String::new(), number: String::new() };
    let mut walk = Walk::new(grammar, ends, "speak 3 hang up".parse().unwrap());
    let at = Location { url: START.into(), request: 1 };
    for _ in 1..MOST_DOCUMENTS {
        walk.run(&document(pages[0].1), &at, &mut Counted::default());
    }
    let last = walk.run(&document(pages[1].1), &at, &mut Counted::default()).next;
    assert!(matches!(last, Next::Request(Request { is_last: true, .. })), "{last:?}");
}

#[test]
fn an_action_that_is_no_url_does_not_bring_the_caller_back() {
    let page = "<Record action='http://'/>";
    let mut story = go(Kind::Call, Version::V2010, "speak 3 hang up", &[(START, page)]);
    assert!(matches!(story.last, Next::Error(Error { code: 11100, .. })));
    let at = Location { url: START.into(), request: 2 };
    let after = story.walk.run(&Document::default(), &at, &mut Counted::default());
    assert_eq!(after.next, Next::Ended(Outcome::CallerHungUp));
}

#[test]
fn a_recording_of_2010_may_have_no_end_by_silence() {
    for (script, attributes, took) in
        [("speak 12", "", 12), ("speak 12 press 1", "finishOnKey='#'", 12), ("speak 12", "maxLength='10'", 10)]
    {
        let page = format!("<Record action='/a' timeout='0' {attributes}/>");
        let story = go(Kind::Call, Version::V2010, script, &[(START, &page)]);
        assert_eq!((story.requests.len(), story.walk.duration()), (1, took), "{script} {attributes}");
    }
    let page = "<Record timeout='0' maxLength='60'/><Say>on</Say>";
    let silent = go(Kind::Call, Version::V2010, "silence", &[(START, page)]);
    assert_eq!((silent.requests.len(), silent.times()), (0, vec![("Record", 0), ("Say", 60)]));
}

#[test]
fn clients_and_others_are_dialled_by_their_names() {
    for (noun, name) in [
        ("<Client>bob</Client>", "client:bob"),
        ("<Client><Identity>bob</Identity><Parameter name='a' value='b'/></Client>", "client:bob"),
        ("<Sip>a@b.c</Sip>", "sip:a@b.c"),
        ("<Sip username='u'>sip:a@b.c</Sip>", "sip:a@b.c"),
        ("<Sip>SIP:a@b.c;x=1</Sip>", "SIP:a@b.c;x=1"),
        ("<Queue>support</Queue>", "queue:support"),
        ("<Sim>DE1</Sim>", "sim:DE1"),
        ("<WhatsApp>+14155551212</WhatsApp>", "whatsapp:+14155551212"),
        ("<Application><ApplicationSid>AP1</ApplicationSid></Application>", "application:AP1"),
    ] {
        let page = format!("<Dial>{noun}</Dial>");
        let story = go(Kind::Call, Version::V2010, "dial busy", &[(START, &page)]);
        assert_eq!(story.steps[0].dialled, [name], "{noun}");
    }
}

#[test]
fn a_dial_without_a_number_fails_and_takes_no_answer_of_the_script() {
    let nobody = "<Dial action='/a'>help</Dial>";
    assert_eq!(parameters(&one("dial answered 5", nobody)), [("DialStatus", "failed")]);
    let page = "<Dial><Number>help</Number></Dial><Dial action='/a'><Number>5</Number><Number>4151234567</Number>\
                <Conference>Room</Conference></Dial>";
    let story = one("dial answered 5", page);
    assert_eq!(parameters(&story), [("DialStatus", "answered")]);
    assert_eq!(story.steps[0].dialled, [""; 0]);
    assert_eq!(story.steps[1].dialled, ["4151234567", "conference:Room"]);
}

#[test]
fn digits_are_cut_and_the_rest_goes_to_the_next_gather() {
    for (attributes, script, digits, pressed, left, took) in [
        ("", "press 12", Some("12"), "12", "", 2 + 5),
        ("", "press 12#", Some("12"), "12#", "", 3),
        ("", "press 12#34", Some("12"), "12#", "34", 3),
        ("numDigits='1'", "press 12#", Some("1"), "1", "2#", 1),
        ("numDigits='4'", "press 1234#", Some("1234"), "1234", "#", 4),
        ("numDigits='4'", "press 12", Some("12"), "12", "", 2 + 5),
        ("numDigits='4'", "press 12#", Some("12"), "12#", "", 3),
        ("finishOnKey='*'", "press 1#*2", Some("1#"), "1#*", "2", 4 - 1),
        ("finishOnKey=''", "press 1#*", Some("1#*"), "1#*", "", 3 + 5),
        ("timeout='9'", "press 12", Some("12"), "12", "", 2 + 9),
        ("", "press #5", None, "#", "5", 1),
        ("", "wait", None, "", "", 5),
        ("", "speak 3 press 1", None, "", "1", 5),
        ("", "press 1; press 2", Some("1"), "1", "2", 1 + 5),
    ] {
        let story = one(script, &format!("<Gather action='/a' {attributes}/>"));
        let what = format!("{attributes} {script}");
        let sent = story.requests.first().map(|request| &*request.parameters[0].1);
        assert_eq!((sent, &*story.steps[0].pressed), (digits, pressed), "{what}");
        assert_eq!((&*story.walk.digits_left(), story.walk.duration()), (left, took), "{what}");
    }
    let both = one("press 1234#", "<Gather numDigits='2' action='/call'/>");
    assert_eq!(both.outcome(), Outcome::End);
    assert_eq!(both.requests.iter().map(|request| &*request.parameters[0].1).collect::<Vec<_>>(), ["12", "34"]);
}

#[test]
fn a_gather_of_2010_may_send_no_digits_and_may_listen_to_speech_alone() {
    let gather = |attributes: &str, script| {
        go(Kind::Call, Version::V2010, script, &[(START, &format!("<Gather action='/a' {attributes}/>"))])
    };
    let told = |digits, key| [("Digits", digits), ("FinishedOnKey", key), ("msg", "Gather End")];
    assert_eq!(parameters(&gather("actionOnEmptyResult='true'", "wait")), told("", ""));
    assert_eq!(parameters(&gather("actionOnEmptyResult='true'", "press #")), told("", "#"));
    assert_eq!(parameters(&gather("", "press 12#3")), told("12", "#"));
    assert_eq!(parameters(&gather("finishOnKey='*'", "press 12*")), told("12", "*"));
    assert_eq!(parameters(&gather("numDigits='2'", "press 12#")), told("12", ""));
    assert!(gather("", "wait").requests.is_empty());
    let speech = gather("input='speech'", "press 1");
    assert_eq!((speech.requests.len(), &*speech.walk.digits_left()), (0, "1"));
    assert_eq!(parameters(&gather("input='dtmf speech'", "press 1")), told("1", ""));
}

#[test]
fn a_caller_waits_once_after_the_script_and_then_hangs_up() {
    let story = one("", "<Gather/><Say>a</Say><Gather><Say>b</Say></Gather><Say>never</Say>");
    assert_eq!(story.outcome(), Outcome::CallerHungUp);
    assert_eq!(story.times(), [("Gather", 0), ("Say", 5), ("Say", 6), ("Gather", 7)]);
    assert_eq!(story.steps.iter().map(|step| step.hung_up).collect::<Vec<_>>(), [false, false, false, true]);
    for verb in ["<Gather/>", "<Record/>", "<Dial>4151234567</Dial>"] {
        let story = one("hang up", &format!("<Say>a</Say>{verb}"));
        assert_eq!((story.outcome(), story.walk.duration()), (Outcome::CallerHungUp, 1), "{verb}");
    }
    assert_eq!(one("hang up", "<Say>a</Say>").outcome(), Outcome::End, "nothing was asked of the caller");
}

#[test]
fn time_is_reckoned() {
    for (verb, seconds) in [
        ("<Say>one</Say>", 1),
        ("<Say>one two</Say>", 1),
        ("<Say>one two three</Say>", 2),
        ("<Say loop='3'>one two three</Say>", 6),
        ("<Say/>", 0),
        ("<Play>a.mp3</Play>", 5),
        ("<Play loop='2'>a.mp3</Play>", 10),
        ("<Pause/>", 1),
        ("<Pause length='60'/>", 60),
        ("<Sms>hi</Sms>", 0),
    ] {
        assert_eq!(one("", verb).walk.duration(), seconds, "{verb}");
    }
    let marked = "<Say><emphasis>one two</emphasis> three<break/>four <sub alias='x'>five</sub></Say>";
    assert_eq!(go(Kind::Call, Version::V2010, "", &[(START, marked)]).walk.duration(), 3, "five words");
}

#[test]
fn what_never_ends_is_heard_once() {
    let story = one("press 1", "<Say loop='0'>one two three</Say><Say>never</Say>");
    assert_eq!((story.outcome(), story.walk.duration()), (Outcome::CallerHungUp, 2));
    assert!(story.steps[0].hung_up);
    let menu = "<Gather numDigits='1' action='/a'><Play loop='0'>a</Play><Say>never</Say></Gather>";
    let pressed = one("press 1", menu);
    assert_eq!((parameters(&pressed), pressed.walk.duration()), (vec![("Digits", "1")], 6));
    assert_eq!(one("wait", menu).outcome(), Outcome::CallerHungUp);
}

#[test]
fn urls_are_resolved_against_the_document() {
    let walk = |at: &str, page: &str| {
        let grammar = Grammar { kind: Kind::Call, version: Version::V2008 };
        let document = read(format!("<Response>{page}</Response>").as_bytes(), Some("text/xml"), grammar).unwrap();
        let ends = Ends { caller: String::new(), number: String::new() };
        let mut walk = Walk::new(grammar, ends, "press 1; press 1".parse().unwrap());
        walk.run(&document, &Location { url: at.into(), request: 1 }, &mut Counted::default()).next
    };
    let at = "https://user:pass@app:8443/a/b?c=d#rt=5";
    for (reference, url) in [
        ("", at),
        ("c", "https://user:pass@app:8443/a/c"),
        ("/c?d=e", "https://user:pass@app:8443/c?d=e"),
        ("?d=e", "https://user:pass@app:8443/a/b?d=e"),
        ("../c", "https://user:pass@app:8443/c"),
        ("//Other/c", "https://other/c"),
        ("c#ct=2", "https://user:pass@app:8443/a/c#ct=2"),
        (" http://Other:80/%7e a ", "http://other/%7e%20a"),
        ("http://Other:80/%7e?a=b+c#rt=1", "http://Other:80/%7e?a=b+c#rt=1"),
        ("http://other", "http://other"),
    ] {
        for page in [format!("<Redirect>{reference}</Redirect>"), format!("<Gather action='{reference}'/>")] {
            let Next::Request(request) = walk(at, &page) else { panic!("{page}") };
            assert_eq!((&*request.url, request.method), (url, "POST"), "{page}");
        }
    }
    assert!(matches!(walk(at, "<Gather/>"), Next::Request(request) if request.url == at), "the document itself");
    for reference in ["http://", "ftp://app/", "javascript:alert(1)", "http://a b/", "tel:4155551212", "https://[::1"] {
        let Next::Error(error) = walk(at, &format!("\n<Redirect>{reference}</Redirect>")) else {
            panic!("{reference}")
        };
        assert_eq!((error.code, error.line), (11100, Some(2)), "{reference}");
        assert_eq!(error.message, format!("Invalid URL format: '{reference}'"));
    }
    let long = "a".repeat(3000);
    assert!(matches!(walk(at, &format!("<Redirect>{long}</Redirect>")), Next::Error(Error { code: 11100, .. })));
}

#[test]
fn a_walk_goes_on_after_an_error() {
    let grammar = Grammar { kind: Kind::Call, version: Version::V2008 };
    let document = |page: &str| read(page.as_bytes(), Some("text/xml"), grammar).unwrap();
    let ends = Ends { caller: String::new(), number: String::new() };
    let mut walk = Walk::new(grammar, ends, Script::default());
    let at = |request| Location { url: START.into(), request };
    let failed = walk.run(
        &document("<Response><Pause/><Redirect>http://</Redirect></Response>"),
        &at(1),
        &mut Counted::default(),
    );
    assert!(matches!(failed.next, Next::Error(_)));
    let fallback = document("<Response><Say>Sorry</Say></Response>");
    let walked = walk.run(&fallback, &at(2), &mut Counted::default());
    assert_eq!(walked.next, Next::Ended(Outcome::End));
    assert_eq!((walked.steps[0].at, walked.steps[0].request), (1, 2));
    let after = walk.run(&fallback, &at(3), &mut Counted::default());
    assert_eq!((after.next, after.steps.len()), (Next::Ended(Outcome::End), 0), "nothing follows the end");
}

#[test]
fn messages_are_sent_with_defaults_and_told_to_an_action() {
    let page = "<Sms>hello\nthere</Sms><Sms to='+1 (415) 555-0000' from='415-555-0001' action='/sent'>hi</Sms><Say>never</Say>";
    let story = one("", page);
    let message = |sid: &str, to: &str, from: &str, body: &str| Message {
        sid: sid.into(),
        to: to.into(),
        from: from.into(),
        body: body.into(),
        media: vec![],
    };
    let expected =
        [message("SM1", "4155551212", "4158675309", "hello\nthere"), message("SM2", "4155550000", "4155550001", "hi")];
    assert_eq!(story.messages, expected);
    assert_eq!(parameters(&story), [("SmsSid", "SM2"), ("SmsStatus", "sending")]);
    for bad in ["<Sms to='help' action='/a'>hi</Sms>", "<Sms from='' action='/a'>hi</Sms>", "<Sms action='/a'/>"] {
        let story = one("", bad);
        assert_eq!(parameters(&story), [("SmsSid", "SM1"), ("SmsStatus", "invalid")], "{bad}");
        assert!(story.messages.is_empty() && story.steps[0].sid.is_none(), "{bad}");
    }
    let reply =
        "<Message to='4155550000'><Body>hi</Body></Message><Sms>and</Sms><Redirect>/more</Redirect><Sms>never</Sms>";
    let more = ("http://app/more", "<Message>bye</Message>");
    let story = go(Kind::Message, Version::V2010, "", &[(START, reply), more]);
    let bodies: Vec<_> = story.messages.iter().map(|message| (&*message.to, &*message.body)).collect();
    assert_eq!(bodies, [("+14155550000", "hi"), ("4155551212", "and"), ("4155551212", "bye")]);
    assert_eq!((story.outcome(), story.walk.duration()), (Outcome::End, 0));
    assert_eq!(story.steps[0].text, "hi", "what was sent, also from a Body");
}

#[test]
fn a_message_of_2010_may_show_media_and_has_an_action() {
    let reply =
        "<Message action='/sent'><Body>hi</Body><Media>http://a/1.png</Media><Media> /2.png </Media><Media/></Message>";
    let story = go(Kind::Message, Version::V2010, "", &[(START, reply)]);
    assert_eq!(story.messages[0].media, ["http://a/1.png", "/2.png"]);
    let expected = [("SmsSid", "SM1"), ("SmsStatus", "sending"), ("MessageSid", "SM1"), ("MessageStatus", "sending")];
    assert_eq!(parameters(&story), expected);
    let sms = go(Kind::Message, Version::V2010, "", &[(START, "<Sms action='/sent'>hi</Sms>")]);
    assert_eq!(parameters(&sms), expected[..2]);
    let only = go(Kind::Message, Version::V2010, "", &[(START, "<Message><Media>http://a/1.png</Media></Message>")]);
    let shown = |story: &Story| serde_json::to_value(&story.messages[0]).unwrap();
    let ends = json!({"sid": "SM1", "to": "4155551212", "from": "4158675309", "body": "", "media": ["http://a/1.png"]});
    assert_eq!(shown(&only), ends);
    assert_eq!(shown(&sms).get("media"), None);
}

#[test]
fn a_call_is_answered_by_what_is_more_than_a_redirect() {
    let is_answered = |pages: &[(&str, &str)]| go(Kind::Call, Version::V2010, "", pages).walk.is_answered();
    assert!(!is_answered(&[(START, "")]));
    assert!(!is_answered(&[(START, "<Redirect>/a</Redirect>"), ("http://app/a", "<Redirect>/b</Redirect>")]));
    assert!(!is_answered(&[(START, "<Reject/>")]));
    assert!(is_answered(&[(START, "<Redirect>/a</Redirect>"), ("http://app/a", "<Say>a</Say>")]));
    assert!(is_answered(&[(START, "<Hangup/>")]));
}

#[test]
fn a_call_is_rejected_by_its_first_verb_only() {
    let outcome = |pages: &[(&str, &str)]| go(Kind::Call, Version::V2010, "", pages).outcome();
    assert_eq!(outcome(&[(START, "<Reject reason='busy'/><Say>never</Say>")]), Outcome::Rejected);
    assert_eq!(outcome(&[(START, "<Say>a</Say><Reject/><Say>never</Say>")]), Outcome::Hangup);
    let redirect = (START, "<Redirect>/reject</Redirect>");
    assert_eq!(outcome(&[redirect, ("http://app/reject", "<Reject/>")]), Outcome::Rejected);
}

#[test]
fn what_is_known_by_name_is_skipped_and_says_so() {
    let story = go(Kind::Call, Version::V2010, "", &[(START, "<Enqueue a='b'>support</Enqueue><Leave/><Say>on</Say>")]);
    let steps: Vec<_> = story.steps.iter().map(|step| (step.verb, step.skipped, step.at)).collect();
    assert_eq!(steps, [("Enqueue", true, 0), ("Leave", true, 0), ("Say", false, 0)]);
    for verb in ["Start", "Stop", "Pay", "Refer", "Echo"] {
        let page = format!("<{verb} a='b'><Foo>c</Foo></{verb}><Say>on</Say>");
        let story = go(Kind::Call, Version::V2010, "", &[(START, &page)]);
        assert_eq!((story.steps[0].skipped, story.steps.len(), story.outcome()), (true, 2, Outcome::End), "{verb}");
    }
    let connect = "<Connect action='/a'><Stream url='wss://a'/></Connect><Say>never</Say>";
    let story = go(Kind::Call, Version::V2010, "", &[(START, connect)]);
    assert_eq!((story.steps.len(), story.steps[0].skipped, story.outcome()), (1, true, Outcome::End));
    let checked = RULES.iter().filter(|rule| !rule.is_only_known);
    for rule in checked.filter(|rule| rule.places.contains(&Place::Call)) {
        let story = go(Kind::Call, Version::V2010, "", &[(START, &format!("<{}/>", rule.name))]);
        assert!(!story.steps[0].skipped, "{} is executed", rule.name);
    }
}

#[test]
fn documents_and_verbs_have_a_limit() {
    let round = call("", &[(START, "<Redirect/>")]);
    assert_eq!((round.outcome(), round.requests.len(), round.steps.len()), (Outcome::Limit, 49, 50));
    let verbs = |count: usize| one("", &"<Pause/>".repeat(count));
    assert_eq!((verbs(1000).outcome(), verbs(1000).steps.len()), (Outcome::End, 1000));
    assert_eq!((verbs(1001).outcome(), verbs(1001).steps.len()), (Outcome::Limit, 1000));
    let prompts = format!("<Gather action='/a'>{}</Gather>", "<Pause/>".repeat(1000));
    let story = one("press 1", &prompts);
    assert_eq!((story.outcome(), story.steps.len(), &*story.walk.digits_left()), (Outcome::Limit, 1000, "1"));
}
