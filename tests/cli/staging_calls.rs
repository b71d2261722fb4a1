//! Simulated calls and messages: what a program is asked, and what comes of its answers.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::home::{Home, Ran, Running, fetch, program};
use crate::staging::{ACCOUNT, CONTROL, TOKEN, start};

/// A request that a program was sent.
#[derive(Clone, Debug)]
struct Got {
    method: String,
    /// With its query.
    path: String,
    headers: BTreeMap<String, String>,
    form: BTreeMap<String, String>,
}

/// A program whose URLs a number has: it answers what it is told to, by path.
struct Program {
    site: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Program {
    /// `answers` are paths, each with a status, a content type (and further headers), and a body.
    fn start(answers: &'static [(&'static str, u16, &'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let site = format!("http://{}", listener.local_addr().expect("its address"));
        let got = Arc::<Mutex<Vec<Got>>>::default();
        let theirs = Arc::clone(&got);
        // It ends with the tests' process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let theirs = Arc::clone(&theirs);
                std::thread::spawn(move || answer(stream, answers, &theirs));
            }
        });
        Self { site, got }
    }

    /// What it was sent since the last time.
    fn got(&self) -> Vec<Got> {
        std::mem::take(&mut *self.got.lock().expect("the requests"))
    }
}

fn answer(mut stream: TcpStream, answers: &[(&str, u16, &str, &str)], got: &Mutex<Vec<Got>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or_default() == 0 || line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let Some(first) = lines.first().cloned() else { return };
    let headers: BTreeMap<_, _> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or_default()];
    reader.read_exact(&mut body).expect("the body");
    let form = url::form_urlencoded::parse(&body).into_owned().collect();
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    got.lock().expect("the requests").push(Got { method, path: path.clone(), headers, form });
    let bare = path.split('?').next().unwrap_or_default();
    if bare == "/slow" {
        std::thread::sleep(Duration::from_secs(5));
    }
    let found = answers.iter().find(|(of, ..)| *of == bare);
    let (status, kind, text) =
        found.map_or((404, "text/plain", "nothing"), |(_, status, kind, text)| (*status, *kind, *text));
    let length = text.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} Told\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    );
}

const NUMBER: &str = "4158675309";

/// A world whose number has these settings.
fn world(home: &Home, settings: Value) -> Running {
    let mut number = json!({ "phone_number": NUMBER });
    for (name, value) in settings.as_object().expect("settings") {
        number[name] = value.clone();
    }
    let seed = json!({
        "seed": 42, "clock": { "at": "2026-01-31T12:00:00Z", "stand": true },
        "caller_names": { "(415) 555-1212": "SMITH JANE" },
        "accounts": [
            { "sid": ACCOUNT, "auth_token": TOKEN, "balance": "25.00", "numbers": [number] },
            { "sid": OTHER, "auth_token": TOKEN, "balance": "25.00" },
        ],
    });
    start(home, &["--seed", &home.file("seed.json", &seed.to_string())])
}

const OTHER: &str = "AC00000000000000000000000000000002";

fn simulate(world: &Running, what: &str, form: &str) -> (u16, Value) {
    let path = format!("/staging/Accounts/{ACCOUNT}/{what}");
    let (status, body) = world.call("POST", &path, [ACCOUNT, TOKEN], form);
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

fn call(world: &Running, script: &str) -> Value {
    let script: String = url::form_urlencoded::byte_serialize(script.as_bytes()).collect();
    let (status, answer) = simulate(world, "InboundCalls", &format!("To={NUMBER}&From=4155551212&Script={script}"));
    assert_eq!(status, 201, "{answer}");
    answer
}

fn texts<'a>(list: &'a Value, member: &str) -> Vec<&'a str> {
    list.as_array().expect("a list").iter().map(|one| one[member].as_str().unwrap_or_default()).collect()
}

fn codes(answer: &Value) -> Vec<u64> {
    let all = answer["notifications"].as_array().expect("a list");
    all.iter().map(|one| one["code"].as_u64().expect("a code")).collect()
}

const MENU: &str = r#"<Response><Gather numDigits="1" action="/menu" method="GET"><Say>Press 1</Say></Gather><Say>Bye</Say></Response>"#;

#[test]
fn a_caller_walks_through_a_menu_and_each_version_is_asked_in_its_own_words() {
    let home = Home::new();
    let program = Program::start(&[
        ("/voice", 200, "text/xml", MENU),
        ("/menu", 200, "text/xml", "<Response><Dial action=\"/dialled\">4155551234</Dial></Response>"),
        ("/dialled", 200, "text/xml", "<Response><Record action=\"/recorded\"/></Response>"),
        ("/recorded", 200, "text/plain", "Thank you"),
    ]);
    let world = world(
        &home,
        json!({
            "url": format!("{}/voice?a=b", program.site), "voice_caller_id_lookup": true, "api_version": "2008-08-01",
            "status_callback": format!("{}/status", program.site),
        }),
    );
    let answer = call(&world, "press 1; dial answered 30; speak 12");
    assert_eq!(
        (&answer["outcome"], &answer["status"], &answer["digits_left"]),
        (&json!("hangup"), &json!("completed"), &json!(""))
    );
    assert_eq!(texts(&answer["requests"], "why"), ["url", "gather", "dial", "record", "ended"], "{answer:#}");
    let got = program.got();
    let sid = answer["sid"].as_str().expect("a Sid");
    let expected: BTreeMap<String, String> = [
        ("CallSid", sid),
        ("Caller", "4155551212"),
        ("Called", NUMBER),
        ("AccountSid", ACCOUNT),
        ("CallStatus", "in-progress"),
        ("CallerName", "SMITH JANE"),
        ("CallerState", "CA"),
        ("CallerCountry", "US"),
        ("CalledState", "CA"),
        ("CalledCountry", "US"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    assert_eq!((got[0].method.as_str(), got[0].path.as_str(), &got[0].form), ("POST", "/voice?a=b", &expected));
    assert!(got[1].method == "GET" && got[1].path.contains("Digits=1") && got[1].form.is_empty(), "{:?}", got[1]);
    assert_eq!(got[2].form["DialStatus"], "answered");
    assert_eq!((got[3].form["Duration"].as_str(), got[3].form["Digits"].as_str()), ("12", ""));
    assert_eq!((got[4].path.as_str(), got[4].form["CallStatus"].as_str()), ("/voice?a=b", "completed"));
    for (got, told) in got.iter().zip(answer["requests"].as_array().expect("requests")) {
        assert_eq!(told["signature"], got.headers["x-twilio-signature"].as_str(), "{got:?}");
        assert_eq!(got.headers["user-agent"], "TwilioProxy/1.1");
    }
    // The recording is there, and silent.
    let (status, sound) = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let answer = reqwest::get(&got[3].form["RecordingUrl"]).await.expect("an answer");
            (answer.status().as_u16(), answer.bytes().await.expect("a body"))
        })
    };
    assert_eq!((status, sound.len(), &sound[..4], &sound[8..12]), (200, 44 + 12 * 8000, &b"RIFF"[..], &b"WAVE"[..]));

    let (status, answer) = simulate(
        &world,
        "InboundCalls",
        &format!("To={NUMBER}&ApiVersion=2010-04-01&FromCity=OAKLAND&From=%2B14155550199"),
    );
    assert_eq!(status, 201, "{answer}");
    let got = program.got();
    let first = &got[0].form;
    for (name, value) in [
        ("From", "+14155550199"),
        ("To", "+14158675309"),
        ("Caller", "+14155550199"),
        ("Called", "+14158675309"),
        ("CallStatus", "ringing"),
        ("ApiVersion", "2010-04-01"),
        ("Direction", "inbound"),
        ("FromCity", "OAKLAND"),
        ("CallerCity", "OAKLAND"),
    ] {
        assert_eq!(first[name], value, "{name}");
    }
    assert!(!first.contains_key("CallerName"), "nobody knows this one");
    assert_eq!((first["ToCity"].as_str(), first["CalledZip"].as_str()), ("", ""));
    // Nobody pressed anything, so the caller heard the rest.
    let last = got.last().expect("requests");
    assert_eq!((last.path.as_str(), last.form["CallStatus"].as_str()), ("/status", "completed"));
    assert_eq!(last.form["CallDuration"], answer["duration"].to_string());
    assert_eq!(answer["outcome"], "end", "{answer:#}");

    // Who hangs up amid a recording leaves it, and nothing is executed any more.
    let script = "Script=press+1%3B+dial+busy%3B+speak+5+hang+up";
    let (status, answer) = simulate(&world, "InboundCalls", &format!("To={NUMBER}&ApiVersion=2010-04-01&{script}"));
    assert_eq!((status, &answer["outcome"]), (201, &json!("caller-hung-up")), "{answer:#}");
    let recorded = program.got().into_iter().find(|got| got.path == "/recorded").expect("its recording").form;
    assert_eq!((recorded["CallStatus"].as_str(), recorded["Digits"].as_str()), ("completed", "hangup"));
    assert!(recorded["RecordingUrl"].ends_with(&recorded["RecordingSid"]));
}

#[test]
fn a_message_is_answered_and_a_conversation_keeps_its_cookies() {
    let home = Home::new();
    let program = Program::start(&[
        (
            "/sms",
            200,
            "text/xml\r\nSet-Cookie: step=1; Path=/",
            "<Response><Message>Thanks</Message><Redirect>/more</Redirect></Response>",
        ),
        ("/more", 200, "text/xml", "<Response><Message action=\"/sent\">And more</Message></Response>"),
        ("/sent", 204, "text/plain", ""),
    ]);
    let world = world(&home, json!({ "sms_url": format!("{}/sms", program.site), "sms_method": "GET" }));
    let (status, answer) = simulate(&world, "InboundMessages", &format!("To={NUMBER}&Body=Hi%20there"));
    assert_eq!((status, &answer["outcome"], &answer["status"]), (201, &json!("end"), &json!("received")), "{answer:#}");
    assert_eq!(texts(&answer["messages"], "body"), ["Thanks", "And more"]);
    assert_eq!(
        (&answer["messages"][0]["to"], &answer["messages"][0]["from"]),
        (&json!("+14155550100"), &json!("+14158675309"))
    );
    let got = program.got();
    assert!(got[0].path.contains("Body=Hi+there") && got[0].path.contains("NumSegments=1"), "{:?}", got[0]);
    assert!(!got[0].headers.contains_key("cookie"));
    assert_eq!(got[1].headers["cookie"], "step=1");
    let sent: Vec<_> = url::form_urlencoded::parse(got[2].path.as_bytes()).into_owned().collect();
    assert!(sent.is_empty() || got[2].method == "POST", "{sent:?}");
    assert_eq!(got[2].form["SmsSid"], answer["messages"][1]["sid"].as_str().expect("a Sid"), "a name comes once");
    let again = |form: &str| {
        assert_eq!(simulate(&world, "InboundMessages", &format!("To={NUMBER}{form}")).0, 201);
        program.got()[0].headers.get("cookie").cloned()
    };
    assert_eq!(again(""), Some("step=1".to_owned()), "of the conversation");
    assert_eq!(again("&From=4155550177"), None, "of another one");
    assert_eq!(world.control("POST", "/clock", "control", r#"{"advance":"PT5H"}"#).0, 200);
    assert_eq!(again(""), None, "four hours later");
    let (status, refused) =
        simulate(&world, "InboundMessages", &format!("To={NUMBER}&ApiVersion=2008-08-01&Body={}", "x".repeat(161)));
    assert!(status == 400 && refused["message"].as_str().is_some_and(|text| text.starts_with("Body: ")), "{refused}");
}

#[test]
fn what_fails_goes_to_the_fallback_once_and_is_notified() {
    let home = Home::new();
    let program = Program::start(&[
        ("/broken", 200, "text/xml", "<Response><Say>"),
        ("/fallback", 200, "text/xml", "<Response><Say>Sorry</Say><Redirect>/gone</Redirect></Response>"),
        ("/warned", 200, "text/xml", "<Response><Shout/><Hangup/></Response>"),
        ("/busy", 200, "text/xml", "<Response><Reject reason=\"busy\"/></Response>"),
        ("/rejected", 200, "text/xml", "<Response><Redirect>/reject</Redirect></Response>"),
        ("/reject", 200, "text/xml", "<Response><Reject/></Response>"),
    ]);
    let site = &program.site;
    let world = world(
        &home,
        json!({
            "url": format!("{site}/broken"), "voice_fallback_url": format!("{site}/fallback"), "sms_url": format!("{site}/warned"),
        }),
    );
    let answer = call(&world, "");
    assert_eq!((&answer["outcome"], &answer["status"]), (&json!("error"), &json!("failed")), "{answer:#}");
    assert_eq!(texts(&answer["requests"], "why"), ["url", "fallback", "redirect"]);
    assert_eq!(codes(&answer), [12100, 11200]);
    let got = program.got();
    assert_eq!(got[1].form["ErrorCode"], "12100");
    assert_eq!(got[1].form["ErrorUrl"], format!("{site}/broken"));
    let (sid, path) = (answer["sid"].as_str().expect("a Sid"), format!("/2008-08-01/Accounts/{ACCOUNT}"));
    let read = |path: &str| world.call("GET", path, [ACCOUNT, TOKEN], "");
    let (status, of_call) = read(&format!("{path}/Calls/{sid}/Notifications"));
    assert_eq!((status, of_call.matches("<Notification>").count()), (200, 2), "{of_call}");
    assert!(of_call.contains("<ErrorCode>12100</ErrorCode>") && of_call.contains("<Log>0</Log>"), "{of_call}");
    let notification = answer["notifications"][0]["sid"].as_str().expect("a Sid");
    let (status, one) = read(&format!("{path}/Notifications/{notification}"));
    assert!(status == 200 && one.contains("<ResponseBody>&lt;Response&gt;&lt;Say&gt;</ResponseBody>"), "{one}");
    assert_eq!(read(&format!("{path}/Notifications")).0, 200);
    assert_eq!(read(&format!("{path}/Notifications/NO{:032}", 0)).0, 404);
    let theirs = format!("/2008-08-01/Accounts/{OTHER}/Calls/{sid}/Notifications");
    assert_eq!(world.call("GET", &theirs, [OTHER, TOKEN], "").0, 404, "another account has none of it");

    // Again, with an answer that says nothing.
    let (_, warned) = simulate(&world, "InboundMessages", &format!("To={NUMBER}"));
    assert_eq!((&warned["outcome"], warned["notifications"][0]["log"].as_u64()), (&json!("end"), Some(1)), "{warned}");
    let (_, strict) = simulate(&world, "InboundMessages", &format!("To={NUMBER}&Strict=true"));
    assert_eq!((&strict["outcome"], codes(&strict)), (&json!("error"), vec![12200]), "{strict}");

    let numbers = format!("/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers");
    let list: Value = serde_json::from_str(&read(&format!("{numbers}.json")).1).expect("JSON");
    let number = list["incoming_phone_numbers"][0]["sid"].as_str().expect("a Sid");
    for (url, status) in [("busy", "busy"), ("rejected", "no-answer"), ("broken", "failed")] {
        let form = format!("VoiceUrl={site}/{url}");
        assert_eq!(world.call("POST", &format!("{numbers}/{number}.json"), [ACCOUNT, TOKEN], &form).0, 200);
        assert_eq!(call(&world, "")["status"], status, "{url}");
    }
    // A fault answers in the program's place.
    let fault = r#"{"on":{"callback":"http://127.0.0.1"},"do":{"callback":{"timeout":true}}}"#;
    assert_eq!(world.control("POST", "/faults", "control", fault).0, 201);
    program.got();
    let answer = call(&world, "");
    assert_eq!((codes(&answer)[0], &answer["requests"][0]["fault"]), (11203, &json!("F1")), "{answer:#}");
    assert_eq!(program.got()[0].path, "/fallback");
}

#[test]
fn only_the_account_itself_simulates_and_only_what_it_holds() {
    let home = Home::new();
    let program = Program::start(&[("/voice", 200, "text/xml", "<Response><Hangup/></Response>")]);
    let world = world(&home, json!({ "url": format!("{}/voice", program.site) }));
    let path = format!("/staging/Accounts/{ACCOUNT}/InboundCalls");
    let form = format!("To={NUMBER}");
    let code = |(status, body): (u16, String)| {
        let refused: Value = serde_json::from_str(&body).expect("JSON");
        (status, refused["code"].as_u64().unwrap_or_default())
    };
    assert_eq!(code(world.control("POST", path.trim_start_matches("/staging"), "control", &form)), (400, 29010));
    assert_eq!(code(world.call("POST", &path, [ACCOUNT, "wrong"], &form)), (401, 20003));
    assert_eq!(code(world.call("POST", &path, [OTHER, TOKEN], &form)), (404, 20404));
    let child = world.call("POST", "/2010-04-01/Accounts.json", [ACCOUNT, TOKEN], "FriendlyName=Child").1;
    let child: Value = serde_json::from_str(&child).expect("JSON");
    let of_child = format!("/staging/Accounts/{}/InboundCalls", child["sid"].as_str().expect("a Sid"));
    assert_eq!(code(world.call("POST", &of_child, [ACCOUNT, TOKEN], &form)), (400, 29010), "a parent");
    let key = world.call("POST", &format!("/2010-04-01/Accounts/{ACCOUNT}/Keys.json"), [ACCOUNT, TOKEN], "").1;
    let key: Value = serde_json::from_str(&key).expect("JSON");
    let by_key = [key["sid"].as_str().expect("a Sid"), key["secret"].as_str().expect("a secret")];
    assert_eq!(code(world.call("POST", &path, by_key, &form)), (400, 29010), "an API key");
    for wrong in ["To=4158675308", "To=x", "To=%2B15005550006"] {
        assert_eq!(code(world.call("POST", &path, [ACCOUNT, TOKEN], wrong)), (404, 20404), "{wrong}");
    }
    for wrong in ["", "To=4158675309&Script=shout", "To=4158675309&Boddy=x", "{\"To\":1}", "[]"] {
        let (status, code) = code(world.call("POST", &path, [ACCOUNT, TOKEN], wrong));
        assert!(status == 400 && code == 29002, "{wrong}: {code}");
    }
    assert!(program.got().is_empty());

    let (_, answer) = simulate(&world, "InboundCalls", &json!({ "To": NUMBER, "Wait": false }).to_string());
    let sid = answer["sid"].as_str().expect("a Sid");
    assert_eq!((&answer["status"], &answer["outcome"]), (&json!("in-progress"), &Value::Null));
    crate::home::eventually("it has ended", || {
        let (status, body) = world.call("GET", &format!("{path}/{sid}"), [ACCOUNT, TOKEN], "");
        status == 200 && body.contains("\"outcome\":\"hangup\"")
    });
    assert_eq!(world.call("GET", &format!("{path}/{sid}"), [OTHER, TOKEN], "").0, 404);
    let all: Value = serde_json::from_str(&world.control("GET", path.trim_start_matches("/staging"), "control", "").1)
        .expect("JSON");
    assert_eq!(texts(&all["calls"], "sid"), [sid]);
    // The token is nowhere but in the signature.
    let log = world.control("GET", "/log", "control", "").1;
    assert!(log.contains("\"kind\":\"call\"") && log.contains("\"kind\":\"callback\""), "{log}");

    assert_eq!(world.control("POST", "/reset", "control", "").0, 200);
    assert_eq!(world.call("GET", &format!("{path}/{sid}"), [ACCOUNT, TOKEN], "").0, 404, "a reset forgets calls");
    let first = call(&world, "")["sid"].clone();
    assert_eq!(world.control("POST", "/reset", "control", "").0, 200);
    assert_eq!(call(&world, "")["sid"], first, "and draws the same Sids again");
}

#[test]
fn what_may_not_be_requested_is_not_and_looks_like_an_unknown_name() {
    let home = Home::new();
    let program = Program::start(&[
        ("/metadata", 302, "text/plain\r\nLocation: http://169.254.169.254/latest/meta-data/", ""),
        ("/decimal", 302, "text/plain\r\nLocation: http://2852039166/", ""),
        ("/mapped", 302, "text/plain\r\nLocation: http://[::ffff:169.254.169.254]/", ""),
        ("/nat64", 302, "text/plain\r\nLocation: http://[64:ff9b::a9fe:a9fe]/", ""),
        ("/private", 302, "text/plain\r\nLocation: http://10.0.0.1/", ""),
    ]);
    let world = world(&home, json!({ "url": format!("{}/metadata", program.site) }));
    let numbers = format!("/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers");
    let list: Value =
        serde_json::from_str(&world.call("GET", &format!("{numbers}.json"), [ACCOUNT, TOKEN], "").1).expect("JSON");
    let sid = list["incoming_phone_numbers"][0]["sid"].as_str().expect("a Sid");
    let set = |url: &str| {
        let url: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
        let changed =
            world.call("POST", &format!("{numbers}/{sid}.json"), [ACCOUNT, TOKEN], &format!("VoiceUrl={url}"));
        assert_eq!(changed.0, 200, "{}", changed.1);
    };
    let port = world.site().rsplit(':').next().expect("a port").to_owned();
    let own = ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"].map(|host| format!("http://{host}:{port}/"));
    let redirected =
        ["metadata", "decimal", "mapped", "nat64", "private"].map(|path| format!("{}/{path}", program.site));
    let direct =
        ["http://169.254.169.254/", "http://0xa9fea9fe/", "http://100.100.100.200/", "http://no.such.name.invalid/"];
    for url in own.iter().chain(&redirected).map(String::as_str).chain(direct) {
        set(url);
        let answer = call(&world, "");
        assert_eq!((&answer["outcome"], codes(&answer)), (&json!("error"), vec![11210]), "{url}: {answer:#}");
        assert_eq!(answer["requests"][0]["error"]["message"], "the name of its host is not known", "{url}");
    }
    assert!(world.err().contains("169.254.169.254"), "the log names the address: {}", world.err());
}

#[test]
fn a_program_may_use_the_api_while_it_is_called_and_a_reset_waits_for_no_call() {
    let home = Home::new();
    let program = Program::start(&[("/slow", 200, "text/xml", "<Response><Hangup/></Response>")]);
    let world = world(&home, json!({ "url": format!("{}/slow", program.site) }));
    let begun = Instant::now();
    let sids: Vec<_> = (0..4)
        .map(|_| simulate(&world, "InboundCalls", &format!("To={NUMBER}&Wait=false")))
        .inspect(|(status, answer)| assert_eq!(*status, 202, "{answer}"))
        .map(|(_, answer)| answer["sid"].as_str().expect("a Sid").to_owned())
        .collect();
    let (status, refused) = simulate(&world, "InboundCalls", &format!("To={NUMBER}&Wait=false"));
    assert_eq!((status, &refused["code"]), (429, &json!(29011)));
    assert_eq!(world.call("GET", &format!("/2008-08-01/Accounts/{ACCOUNT}"), [ACCOUNT, TOKEN], "").0, 200);
    assert_eq!(world.control("POST", "/reset", "control", "").0, 200);
    assert!(begun.elapsed() < Duration::from_secs(4), "nobody waits for the calls");
    // What began before the reset has ended.
    assert_eq!(simulate(&world, "InboundCalls", &format!("To={NUMBER}&Wait=false")).0, 202, "there is room again");
    for sid in &sids[1..] {
        let path = format!("/staging/Accounts/{ACCOUNT}/InboundCalls/{sid}");
        assert_eq!(world.call("GET", &path, [ACCOUNT, TOKEN], "").0, 404);
    }
    let path = format!("/staging/Accounts/{ACCOUNT}/InboundCalls/{}", sids[0]);
    assert_eq!(world.call("GET", &path, [ACCOUNT, TOKEN], "").0, 200, "the new one was drawn the same Sid");
    let callbacks = world.control("GET", "/log?kind=callback", "control", "").1;
    assert!(callbacks.starts_with("{\"entries\":[]"), "none of those before: {callbacks}");
}

#[test]
fn credentials_of_a_url_are_shown_nowhere_and_lead_on_after_a_redirect() {
    let home = Home::new();
    let told = Program::start(&[
        ("/moved", 302, "text/plain\r\nLocation: /menu/first", ""),
        ("/menu/first", 200, "text/xml", "<Response><Redirect>second</Redirect></Response>"),
        ("/menu/second", 200, "text/xml", "<Response><Say>"),
        ("/fallback", 200, "text/xml", "<Response><Hangup/></Response>"),
    ]);
    let authority = told.site.trim_start_matches("http://");
    let world = world(
        &home,
        json!({
            "url": format!("http://me:pa55word@{authority}/moved"), "voice_fallback_url": format!("{}/fallback", told.site),
        }),
    );
    let answer = call(&world, "");
    assert_eq!((texts(&answer["requests"], "why"), codes(&answer)), (vec!["url", "redirect", "fallback"], vec![12100]));
    let got = told.got();
    assert_eq!(got.last().expect("requests").form["ErrorUrl"], format!("{}/menu/second", told.site));
    let fault =
        json!({ "on": { "callback": format!("{}/moved", told.site) }, "do": { "callback": { "status": 500 } } });
    assert_eq!(world.control("POST", "/faults", "control", &fault.to_string()).0, 201);
    let answer = call(&world, "");
    assert_eq!(answer["requests"][0]["fault"], "F1");
    assert!(answer["requests"][0]["signature"].as_str().is_some_and(|text| text.len() == 28), "as it would be");
    let notifications = format!("/2008-08-01/Accounts/{ACCOUNT}/Notifications");
    for text in [
        world.control("GET", "/log", "control", "").1,
        world.call("GET", &notifications, [ACCOUNT, TOKEN], "").1,
        world.err(),
        format!("{got:?}{:?}", told.got()),
    ] {
        assert!(!text.contains("pa55word"), "{text}");
    }
}

#[test]
fn a_large_answer_leaves_what_was_before_it() {
    static LARGE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let unknown: String = (0..100).map(|count| format!("<X{count}/>")).collect();
        format!("<Response>{unknown}<Say>{}</Say><Redirect/></Response>", "\"".repeat(60_000))
    });
    static CHATTY: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let message = format!("<Message>{}</Message>", "\"".repeat(1500));
        format!("<Response>{}<Redirect/></Response>", message.repeat(19))
    });
    let home = Home::new();
    let told = Program::start(Box::leak(Box::new([
        ("/large", 200, "text/xml", LARGE.as_str()),
        ("/small", 200, "text/xml", "<Response/>"),
        ("/chatty", 200, "text/xml", CHATTY.as_str()),
    ])));
    let world =
        world(&home, json!({ "url": format!("{}/large", told.site), "sms_url": format!("{}/small", told.site) }));
    let (_, message) = simulate(&world, "InboundMessages", &format!("To={NUMBER}"));
    let answer = call(&world, "");
    assert_eq!((&answer["outcome"], answer["requests"].as_array().map(Vec::len)), (&json!("limit"), Some(50)));
    assert!(answer.to_string().len() < 2 * 1024 * 1024, "{}", answer.to_string().len());
    let one = |what: &str, answer: &Value| {
        let path = format!("/staging/Accounts/{ACCOUNT}/{what}/{}", answer["sid"].as_str().expect("a Sid"));
        world.call("GET", &path, [ACCOUNT, TOKEN], "").0
    };
    assert_eq!([one("InboundMessages", &message), one("InboundCalls", &answer)], [200, 200]);
    let log: Value = serde_json::from_str(&world.control("GET", "/log", "control", "").1).expect("JSON");
    assert!(log["entries"].as_array().is_some_and(|entries| entries.len() > 50));

    // Nor by messages.
    let fault = json!({ "on": { "callback": format!("{}/small", told.site) }, "do": { "callback": { "status": 500 } }, "times": 0 });
    assert_eq!(world.control("POST", "/faults", "control", &fault.to_string()).0, 201);
    let numbers = format!("/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers");
    let list: Value =
        serde_json::from_str(&world.call("GET", &format!("{numbers}.json"), [ACCOUNT, TOKEN], "").1).expect("JSON");
    let number = list["incoming_phone_numbers"][0]["sid"].as_str().expect("a Sid");
    let form = format!("SmsUrl={}/chatty", told.site);
    assert_eq!(world.call("POST", &format!("{numbers}/{number}.json"), [ACCOUNT, TOKEN], &form).0, 200);
    let (_, chatty) = simulate(&world, "InboundMessages", &format!("To={NUMBER}"));
    assert_eq!(chatty["messages"].as_array().map(Vec::len), Some(1000 - 50), "{}", chatty["outcome"]);
    assert!(chatty.to_string().len() < 2 * 1024 * 1024, "{}", chatty.to_string().len());
    assert_eq!(one("InboundMessages", &message), 200);
}

#[test]
fn a_stop_waits_for_no_call_and_for_nobody_who_waits_for_the_log() {
    let home = Home::new();
    let told = Program::start(&[("/slow", 200, "text/xml", "<Response/>")]);
    let mut world = world(&home, json!({ "url": format!("{}/slow", told.site) }));
    assert_eq!(simulate(&world, "InboundCalls", &format!("To={NUMBER}&Wait=false")).0, 202);
    let (ended, begun) = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| world.control("GET", "/log?kind=money&count=9&wait=60s", "control", "").0);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(world.control("POST", "/faults", "control", r#"{"do":{"delay_ms":60000}}"#).0, 201);
        let delayed = scope.spawn(|| world.call("GET", "/2010-04-01/Accounts.json", [ACCOUNT, TOKEN], "").0);
        std::thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        world.signal(Signal::SIGTERM);
        assert_eq!(delayed.join().expect("an answer"), 200);
        (waiting.join().expect("an answer"), begun)
    });
    assert_eq!((ended, world.ended()), (200, Some(0)));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn nothing_is_requested_without_a_url_or_for_a_suspended_account() {
    let home = Home::new();
    let program = Program::start(&[]);
    let seed = json!({
        "accounts": [{ "sid": ACCOUNT, "auth_token": TOKEN, "balance": "9.00",
            "numbers": [{ "phone_number": NUMBER, "sms_url": format!("{}/sms", program.site) }] }],
    });
    let mut world = start(&home, &["--name", "quiet", "--seed", &home.file("seed.json", &seed.to_string())]);
    assert_eq!(call(&world, "")["outcome"], "no-url");
    home.run(&["account", "suspend", ACCOUNT, "--world", "quiet"]).done();
    let (status, answer) = simulate(&world, "InboundMessages", &format!("To={NUMBER}"));
    assert_eq!((status, &answer["outcome"], codes(&answer)), (201, &json!("error"), vec![10003]), "{answer}");
    assert!(program.got().is_empty());
    world.signal(Signal::SIGTERM);
    assert_eq!(world.ended(), Some(0));
}

#[test]
fn commands_call_and_write_as_the_account() {
    let home = Home::new();
    let told = Program::start(&[
        ("/voice", 200, "text/xml", MENU),
        ("/menu", 200, "text/plain", "Sales"),
        ("/sms", 200, "text/plain", "Pong"),
    ]);
    let world = world(&home, json!({ "url": format!("{}/voice", told.site), "sms_url": format!("{}/sms", told.site) }));
    let run = |arguments: &[&str]| {
        let mut command = program(&[&["staging"], arguments, &["--url", &world.site(), "--output", "json"]].concat());
        command.env("TWILIO_ACCOUNT_SID", ACCOUNT).env("TWILIO_AUTH_TOKEN", TOKEN);
        Ran::of(command.output())
    };
    let answer = run(&["call", "--to", NUMBER, "--script", "press 1", "--caller-name", "X"]).done_json();
    assert_eq!((&answer["outcome"], &answer["steps"][1]["pressed"]), (&json!("hangup"), &json!("1")));
    assert_eq!(run(&["message", "--to", NUMBER, "--body", "Ping"]).done_json()["messages"][0]["body"], "Pong");
    assert_eq!(run(&["call", "--to", NUMBER, "--no-wait"]).done_json()["status"], "in-progress");
    run(&["call", "--to", NUMBER, "--script", "shout"]).assert_refused("Script: ");
    let mut control = program(&["staging", "call", "--account", ACCOUNT, "--to", NUMBER, "--url", &world.site()]);
    Ran::of(control.envs(CONTROL).env_remove("TWILIO_AUTH_TOKEN").output()).assert_refused("TWILIO_AUTH_TOKEN");
    let (status, _) =
        fetch(reqwest::Client::new().get(format!("{}/staging/recordings/3601/RE{:032}", world.site(), 0)));
    assert_eq!(status, 404);
}
