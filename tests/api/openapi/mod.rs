//! Twilio's own description of version 2010-04-01. Every JSON answer that a test reads is held against it,
//! and [`fates`] tells what becomes of each of its parameters and properties.
//!
//! `twilio-2010.json` is an excerpt of what Twilio publishes under the Apache License 2.0. At its top it says where it
//! comes from, and what was left out.

mod fates;

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, test};
use crate::v2010::{company, document, get};

static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("twilio-2010.json")).expect("a JSON document"));

/// Where the contract differs from the description of an answer.
struct Exception {
    /// Names of schemas: the last part of a component's name, the title of a list, or the key of an object.
    schemas: &'static [&'static str],
    /// What the paper calls them.
    place: &'static str,
    change: Change,
    why: &'static str,
}

#[derive(Debug)]
enum Change {
    /// A key that the description does not know, and the type of its value.
    More(&'static str, &'static str),
    /// A key that is left out.
    Less(&'static str),
    /// A text that may also have another form.
    Also(&'static str, &'static str),
}

const LISTS: &[&str] = &[
    "ListAccountResponse",
    "ListKeyResponse",
    "ListIncomingPhoneNumberResponse",
    "ListIncomingPhoneNumberLocalResponse",
    "ListIncomingPhoneNumberTollFreeResponse",
    "ListIncomingPhoneNumberMobileResponse",
];
const SEARCHES: &[&str] = &["ListAvailablePhoneNumberLocalResponse", "ListAvailablePhoneNumberTollFreeResponse"];
const FOUND: &[&str] = &["available_phone_number_local", "available_phone_number_toll_free"];
const NUMBERS: &[&str] = &["incoming_phone_number", "incoming_phone_number_local", "incoming_phone_number_toll_free"];

const OLDER: &str = "SDKs of 2011 to 2015 read it";
const CAPITALS: &str = "some SDKs read only this spelling, and a missing key is false to them";
const EMPTY: &str = "empty where nothing is set, as in Twilio's own answers";
const NO_PAGES: &str = "a search has no further pages";

const EXCEPTIONS: &[Exception] = &[
    Exception { schemas: LISTS, place: "list", change: Change::More("total", "integer"), why: OLDER },
    Exception { schemas: LISTS, place: "list", change: Change::More("num_pages", "integer"), why: OLDER },
    Exception { schemas: LISTS, place: "list", change: Change::More("last_page_uri", "string"), why: OLDER },
    Exception {
        schemas: &["capabilities"],
        place: "capabilities",
        change: Change::More("SMS", "boolean"),
        why: CAPITALS,
    },
    Exception {
        schemas: &["capabilities"],
        place: "capabilities",
        change: Change::More("MMS", "boolean"),
        why: CAPITALS,
    },
    Exception {
        schemas: &["incoming_phone_number_local", "incoming_phone_number_toll_free"],
        place: "number in a list of `Local` or `TollFree`",
        change: Change::More("type", "string"),
        why: "a number looks the same in every list",
    },
    Exception { schemas: NUMBERS, place: "number", change: Change::Also("voice_application_sid", "^$"), why: EMPTY },
    Exception { schemas: NUMBERS, place: "number", change: Change::Also("sms_application_sid", "^$"), why: EMPTY },
    Exception {
        schemas: FOUND,
        place: "found number",
        change: Change::Also("friendly_name", r"^\([0-9]{3}\) [0-9]{3}-[0-9]{4}$"),
        why: "`(415) 867-5309`, as Twilio's own answers have it",
    },
    Exception { schemas: SEARCHES, place: "search", change: Change::Less("page"), why: NO_PAGES },
    Exception { schemas: SEARCHES, place: "search", change: Change::Less("page_size"), why: NO_PAGES },
    Exception { schemas: SEARCHES, place: "search", change: Change::Less("start"), why: NO_PAGES },
    Exception { schemas: SEARCHES, place: "search", change: Change::Less("end"), why: NO_PAGES },
    Exception { schemas: SEARCHES, place: "search", change: Change::Less("first_page_uri"), why: NO_PAGES },
    Exception { schemas: SEARCHES, place: "search", change: Change::Less("next_page_uri"), why: NO_PAGES },
    Exception { schemas: SEARCHES, place: "search", change: Change::Less("previous_page_uri"), why: NO_PAGES },
];

impl Change {
    fn key(&self) -> &'static str {
        match self {
            Self::More(key, _) | Self::Less(key) | Self::Also(key, _) => key,
        }
    }
}

impl Exception {
    fn is_of_a_search(&self) -> bool {
        self.schemas == SEARCHES || self.schemas == FOUND
    }

    /// Changes a JSON Schema of an object.
    fn apply(&self, schema: &mut Value) {
        let required = schema["required"].as_array_mut().expect("names");
        match self.change {
            Change::More(key, kind) => {
                required.push(json!(key));
                schema["properties"][key] = json!({"type": kind});
            }
            Change::Less(key) => {
                required.retain(|required| required != key);
                schema["properties"][key] = json!(false);
            }
            Change::Also(key, pattern) => {
                let described = schema["properties"][key].take();
                schema["properties"][key] = json!({"anyOf": [described, {"type": "string", "pattern": pattern}]});
            }
        }
    }
}

/// Fails unless an answer is as the description says, but for the exceptions.
#[track_caller]
pub fn assert_described(answer: &Answer, document: &Value) {
    let faults = faults(answer, document, &EXCEPTIONS.iter().collect::<Vec<_>>());
    let (method, path) = answer.asked.as_ref().expect("a request that is known");
    assert!(faults.is_empty(), "{method} {path} is not as Twilio describes it:\n{}", faults.join("\n"));
}

/// What is wrong with an answer.
fn faults(answer: &Answer, document: &Value, exceptions: &[&Exception]) -> Vec<String> {
    let schema = if answer.status < 400 { json_schema(described(answer), exceptions) } else { error(answer.status) };
    let validator = validator(&schema);
    let errors = validator.iter_errors(document);
    errors.map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// The schema of an answer by method, path and status. PUT is what old SDKs send for POST.
#[track_caller]
fn described(answer: &Answer) -> &'static Value {
    let (method, path) = answer.asked.as_ref().expect("a request that is known");
    let method = if *method == Method::PUT { "post" } else { &method.as_str().to_lowercase() };
    let paths = DESCRIPTION["paths"].as_object().expect("paths").iter();
    // `…/Local` is also a `…/{Sid}`: the one with fewer names is meant.
    let found =
        paths.filter(|(template, _)| fits(template, path)).min_by_key(|(template, _)| template.matches('{').count());
    let (_, found) = found.unwrap_or_else(|| panic!("{path} is not described"));
    let schema = &found[method]["responses"][answer.status.to_string()]["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{method} {path} with {} is not described", answer.status);
    schema
}

/// Whether a path is one of this template, such as `/2010-04-01/Accounts/{Sid}.json`.
fn fits(template: &str, path: &str) -> bool {
    let parts = |path: &str| path.trim_end_matches(".json").split('/').map(str::to_owned).collect::<Vec<_>>();
    let (template, path) = (parts(template), parts(path));
    template.len() == path.len() && template.iter().zip(&path).all(|(a, b)| a == b || a.starts_with('{'))
}

/// What this version says of a request that was refused: these four members and no other.
fn error(status: u16) -> Value {
    json!({
        "type": "object",
        "properties": {
            "code": {"type": "integer"},
            "message": {"type": "string", "minLength": 1},
            "more_info": {"type": "string", "format": "uri-reference"},
            "status": {"const": status},
        },
        "required": ["code", "message", "more_info", "status"],
        "additionalProperties": false,
    })
}

/// Turns a schema of OpenAPI 3.0 into JSON Schema. An object must have every key that is described, and no other: the SDKs
/// find the rows of a list by leaving out all keys that they know.
fn json_schema(schema: &Value, exceptions: &[&Exception]) -> Value {
    let (name, schema) = resolve(schema);
    named_schema(name, schema, exceptions)
}

/// A schema, and its name: that of the component to which it leads, or its title.
fn resolve(schema: &Value) -> (&str, &Value) {
    match schema["$ref"].as_str() {
        Some(link) => {
            let name = link.rsplit(['.', '/']).next().unwrap_or_default();
            (name, DESCRIPTION.pointer(link.trim_start_matches('#')).expect("a component"))
        }
        None => (schema["title"].as_str().unwrap_or_default(), schema),
    }
}

fn named_schema(name: &str, schema: &Value, exceptions: &[&Exception]) -> Value {
    let mut made = schema.clone();
    if schema["nullable"] == true {
        made["type"] = json!([schema["type"], "null"]);
        if let Some(values) = made.get_mut("enum").and_then(Value::as_array_mut) {
            values.push(Value::Null);
        }
    }
    // Twilio's own examples have paths and empty texts there.
    if schema["format"] == "uri" {
        made["format"] = json!("uri-reference");
    }
    if let Some(items) = schema.get("items") {
        made["items"] = json_schema(items, exceptions);
    }
    if let Some(properties) = schema["properties"].as_object() {
        let property = |(key, schema): (&String, &Value)| {
            let (name, schema) = resolve(schema);
            (key.clone(), named_schema(if name.is_empty() { key } else { name }, schema, exceptions))
        };
        made["properties"] = properties.iter().map(property).collect::<serde_json::Map<_, _>>().into();
        made["required"] = properties.keys().cloned().collect();
        made["additionalProperties"] = json!(false);
        exceptions.iter().filter(|it| it.schemas.contains(&name)).for_each(|it| it.apply(&mut made));
    }
    made
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options()
        .should_validate_formats(true)
        .with_format("date-time-rfc-2822", is_date)
        .with_format("phone-number", is_e164)
        .with_format("iso-country-code", |text| text == "US")
        .build(schema)
        .expect("a JSON Schema")
}

/// `Tue, 01 Apr 2008 18:26:32 +0000`: SDKs read a day of one digit and another offset wrongly.
fn is_date(text: &str) -> bool {
    let date = DateTime::parse_from_rfc2822(text).map(|date| date.with_timezone(&Utc));
    date.is_ok_and(|date| date.format("%a, %d %b %Y %H:%M:%S +0000").to_string() == text)
}

fn is_e164(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (8..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Fails unless each of these exceptions is needed by one of the answers.
fn assert_needed(paths: &[&str], is_meant: impl Fn(&Exception) -> bool) {
    test(async |world| {
        let (account, [number, _]) = company(world).await;
        world.stock(4_158_670_000, 1).await;
        let mut answers = Vec::new();
        for path in paths {
            let answer = get(world, &account, &path.replace("{Sid}", &number)).await;
            let document = document(&answer, 200);
            answers.push((answer, document));
        }
        for left_out in EXCEPTIONS.iter().filter(|exception| is_meant(exception)) {
            let others: Vec<_> = EXCEPTIONS.iter().filter(|exception| !std::ptr::eq(*exception, left_out)).collect();
            let is_needed = answers.iter().any(|(answer, document)| !faults(answer, document, &others).is_empty());
            assert!(
                is_needed,
                "no answer needs {:?} of {:?} to differ: {}",
                left_out.schemas, left_out.change, left_out.why
            );
        }
    });
}

#[test]
fn every_exception_is_needed() {
    let lists = ["", "/Local", "/TollFree"].map(|kind| format!("/IncomingPhoneNumbers{kind}.json"));
    let paths = [&lists[0], &lists[1], &lists[2], "/IncomingPhoneNumbers/{Sid}.json"];
    assert_needed(&paths, |exception| !exception.is_of_a_search());
}

#[test]
fn every_exception_of_a_search_is_needed() {
    assert_needed(&["/AvailablePhoneNumbers/US/Local.json"], Exception::is_of_a_search);
}

#[test]
fn what_is_not_described_is_seen() {
    test(async |world| {
        let (account, [number, _]) = company(world).await;
        let answer = get(world, &account, &format!("/IncomingPhoneNumbers/{number}.json")).await;
        let number = document(&answer, 200);
        let is_seen = |document: &Value| !faults(&answer, document, &EXCEPTIONS.iter().collect::<Vec<_>>()).is_empty();
        for (key, value) in [
            ("sid", json!("PN1")),
            ("phone_number", json!("4158675309")),
            ("date_created", json!("Tue, 1 Apr 2008 18:26:32 +0000")),
            ("date_updated", json!("Tue, 01 Apr 2008 19:26:32 +0100")),
            ("beta", json!("false")),
            ("voice_method", json!("PUT")),
            ("voice_receive_mode", Value::Null),
            ("url", json!("http://example.com/")),
        ] {
            let mut other = number.clone();
            other[key] = value;
            assert!(is_seen(&other), "{key}");
        }
        let mut other = number;
        other.as_object_mut().expect("an object").remove("trunk_sid");
        assert!(is_seen(&other));
    });
}
