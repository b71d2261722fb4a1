//! What becomes of each parameter and property of the description. docs/twilio-differences.md tells it in tables that are
//! made here, and requests prove it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

use serde_json::{Value, json};

use super::{Change, DESCRIPTION, EXCEPTIONS, resolve};
use crate::support::{Account, Answer, WithForm, World, test};
use crate::v2010::{assert_refused, company, document};

/// Names of parameters or properties, where they stand, and what becomes of them.
type Line = (&'static str, &'static str, Fate);

/// Each has room for a note.
enum Fate {
    /// It does what Twilio says.
    Served(&'static str),
    /// It is given back as it was sent, and does nothing else.
    Kept(&'static str),
    /// Any value is accepted, and changes nothing.
    Idle(&'static str),
    /// Every answer has this value, written as in JSON.
    Always(&'static str),
    /// No answer has it.
    LeftOut(&'static str),
    /// This value, for one, is refused with this status and code.
    Refused(&'static str, u16, u16, &'static str),
}

use Fate::{Always, Idle, Kept, LeftOut, Refused, Served};

const TABLE: [(&str, &[Line]); 5] = [
    ("Accounts", ACCOUNTS),
    ("Balance", BALANCE),
    ("Keys", KEYS),
    ("IncomingPhoneNumbers", INCOMING),
    ("AvailablePhoneNumbers", AVAILABLE),
];

const OWN: &str = "the caller's own, or a sub-account of the caller; any other is 404, error 20404";
const CUT: &str = "more than 1000 means 1000";
const NONE_IS_NEW: &str = "no number is new to the network";
const NO_PLACES: &str = "only area code and state of a number are known";

const ACCOUNTS: &[Line] = &[
    ("Sid", "path", Served(OWN)),
    ("FriendlyName Status Page PageToken", "list", Served("")),
    ("PageSize", "list", Served(CUT)),
    ("FriendlyName", "creation", Served("")),
    ("FriendlyName", "update", Served("")),
    ("Status", "update", Served("of a sub-account; that of a main account is 400, error 21477")),
    ("accounts uri first_page_uri next_page_uri previous_page_uri page page_size start end", "list", Served("")),
    ("sid friendly_name status date_created date_updated uri", "account", Served("")),
    ("owner_account_sid", "account", Served("")),
    ("subresource_uris", "account", Served("only what there is here")),
    ("type", "account", Always("\"Full\"")),
    ("auth_token", "account", Served("when a sub-account is created; later `null`, for only its hash is kept")),
];

const BALANCE: &[Line] = &[
    ("AccountSid", "path", Served(OWN)),
    ("account_sid balance", "balance", Served("")),
    ("currency", "balance", Always("\"USD\"")),
];

const KEYS: &[Line] = &[
    ("AccountSid Sid", "path", Served(OWN)),
    ("Page PageToken", "list", Served("")),
    ("PageSize", "list", Served(CUT)),
    ("FriendlyName", "creation, update", Served("")),
    ("keys uri first_page_uri next_page_uri previous_page_uri page page_size start end", "list", Served("")),
    ("sid friendly_name date_created date_updated", "key, new key", Served("")),
    ("secret", "new key", Served("this once: only its hash is kept")),
];

const INCOMING: &[Line] = &[
    ("AccountSid Sid", "path", Served(OWN)),
    ("PhoneNumber FriendlyName Page PageToken", "list", Served("")),
    ("PageSize", "list", Served(CUT)),
    ("Origin", "list", Served("`hosted` finds nothing")),
    ("Beta", "list", Idle(NONE_IS_NEW)),
    ("PhoneNumber", "purchase", Served("on `Mobile` every purchase is 400, error 21458")),
    ("AreaCode", "purchase", Served("on `Local` and `TollFree` it is 400, error 21457")),
    (
        "FriendlyName VoiceUrl VoiceMethod VoiceFallbackUrl VoiceFallbackMethod VoiceCallerIdLookup \
         SmsUrl SmsMethod SmsFallbackUrl SmsFallbackMethod",
        "purchase, update",
        Served(""),
    ),
    ("StatusCallback StatusCallbackMethod ApiVersion", "purchase, update", Kept("")),
    ("VoiceApplicationSid", "purchase, update", Kept("clears `TrunkSid`; what is no such Sid is 400, error 21420")),
    ("TrunkSid", "purchase, update", Kept("clears `VoiceApplicationSid`; what is no such Sid is 400, error 29002")),
    ("SmsApplicationSid", "purchase, update", Kept("what is no such Sid is 400, error 21420")),
    ("AddressSid BundleSid IdentitySid", "purchase, update", Kept("what is no such Sid is 400, error 29002")),
    ("VoiceReceiveMode", "purchase, update", Refused("fax", 400, 29002, "only `voice` is accepted")),
    (
        "EmergencyStatus",
        "purchase, update",
        Refused("Active", 400, 29002, "only `Inactive` is accepted: nobody looks after emergency calls here"),
    ),
    (
        "EmergencyAddressSid",
        "purchase, update",
        Refused("AD0123456789abcdef0123456789abcdef", 400, 29002, "only an empty one is accepted"),
    ),
    (
        "AccountSid",
        "update",
        Refused("AC0123456789abcdef0123456789abcdef", 400, 21473, "only another account of the same owner is accepted"),
    ),
    (
        "incoming_phone_numbers uri first_page_uri next_page_uri previous_page_uri page page_size start end",
        "list",
        Served(""),
    ),
    (
        "sid account_sid friendly_name phone_number voice_url voice_method voice_fallback_url voice_fallback_method \
         voice_caller_id_lookup sms_url sms_method sms_fallback_url sms_fallback_method date_created date_updated \
         capabilities type uri",
        "number",
        Served(""),
    ),
    (
        "status_callback status_callback_method api_version voice_application_sid sms_application_sid trunk_sid \
         address_sid bundle_sid identity_sid",
        "number",
        Kept(""),
    ),
    ("capabilities.voice capabilities.sms capabilities.mms", "number", Always("true")),
    ("capabilities.fax beta", "number", Always("false")),
    ("address_requirements", "number", Always("\"none\"")),
    ("voice_receive_mode", "number", Always("\"voice\"")),
    ("origin", "number", Always("\"twilio\"")),
    ("status", "number", Always("\"in-use\"")),
    ("emergency_status", "number", Always("\"Inactive\"")),
    ("emergency_address_status", "number", Always("\"unregistered\"")),
    ("emergency_address_sid", "number", Always("null")),
];

const AVAILABLE: &[Line] = &[
    ("AccountSid", "path", Served(OWN)),
    ("CountryCode", "path", Served("`US`; any other is 404, error 20404")),
    ("PageSize Page PageToken", "countries", Idle("there is one country")),
    ("AreaCode Contains InRegion", "search", Served("")),
    ("VoiceEnabled SmsEnabled MmsEnabled FaxEnabled", "search", Served("compared with `capabilities`")),
    (
        "ExcludeAllAddressRequired ExcludeLocalAddressRequired ExcludeForeignAddressRequired",
        "search",
        Idle("no number needs an address"),
    ),
    ("Beta", "search", Idle(NONE_IS_NEW)),
    (
        "NearNumber NearLatLong Distance InPostalCode InRateCenter InLata InLocality",
        "search",
        Refused("94105", 400, 29002, NO_PLACES),
    ),
    ("PageSize", "search", Served("30 numbers at most are found")),
    ("Page PageToken", "search", Idle("each search begins at a random number")),
    ("countries uri", "countries", Served("")),
    ("country uri", "country", Served("")),
    ("country_code", "country", Always("\"US\"")),
    ("subresource_uris", "country", Served("`local` and `toll_free`")),
    ("beta", "country, found number", Always("false")),
    ("available_phone_numbers uri", "search", Served("")),
    (
        "first_page_uri next_page_uri previous_page_uri page page_size start end",
        "search",
        LeftOut("a search has no further pages"),
    ),
    ("friendly_name phone_number capabilities", "found number", Served("")),
    ("region", "found number", Served("the state of the area code; null of a toll-free number")),
    ("capabilities.voice capabilities.sms capabilities.mms", "found number", Always("true")),
    ("capabilities.fax", "found number", Always("false")),
    ("iso_country", "found number", Always("\"US\"")),
    ("address_requirements", "found number", Always("\"none\"")),
    ("lata rate_center locality postal_code latitude longitude", "found number", Always("null")),
];

impl Fate {
    fn words(&self) -> String {
        let (words, mark, note) = match self {
            Served(note) => ("served".to_owned(), ":", *note),
            Kept(note) => ("kept without effect".to_owned(), ";", *note),
            Idle(note) => ("accepted without effect".to_owned(), ":", *note),
            Always(value) => (format!("always `{value}`"), "", ""),
            LeftOut(note) => ("left out".to_owned(), ":", *note),
            Refused(_, status, code, note) => (format!("refused: {status}, error {code}"), ";", *note),
        };
        if note.is_empty() { words } else { format!("{words}{mark} {note}") }
    }
}

/// A resource, a place of it, and a name.
type Key = (&'static str, &'static str, String);

/// Every name of the table, with its fate.
fn told() -> Vec<(Key, &'static Fate)> {
    let mut all = Vec::new();
    for (resource, lines) in &TABLE {
        for (names, places, fate) in *lines {
            let places = places.split(", ");
            let keys = places.flat_map(|place| names.split(' ').map(move |name| (*resource, place, name.to_owned())));
            all.extend(keys.map(|key| (key, fate)));
        }
    }
    all
}

/// Every parameter and property of the description, with its schema.
fn described() -> BTreeMap<Key, &'static Value> {
    let mut all = BTreeMap::new();
    for (path, operations) in DESCRIPTION["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("methods") {
            let (resource, place) = (resource(path), place(path, method));
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let place = if parameter["in"] == "path" { "path" } else { place };
                let name = parameter["name"].as_str().expect("a name").to_owned();
                all.insert((resource, place, name), &parameter["schema"]);
            }
            let form = &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
            add(&mut all, resource, place, form);
            for answer in operation["responses"].as_object().expect("answers").values() {
                add(&mut all, resource, place, &answer["content"]["application/json"]["schema"]);
            }
        }
    }
    all
}

/// Every path has `Accounts` in it.
fn resource(path: &str) -> &'static str {
    let names = TABLE.map(|(name, _)| name);
    names.into_iter().rev().find(|name| path.contains(name)).expect("a resource")
}

/// What the tables call the parameters of an operation, and the keys of its list.
fn place(path: &str, method: &str) -> &'static str {
    match (resource(path), method) {
        (_, "post") if path.ends_with("{Sid}.json") => "update",
        ("IncomingPhoneNumbers", "post") => "purchase",
        (_, "post") => "creation",
        ("AvailablePhoneNumbers", _) if path.ends_with("AvailablePhoneNumbers.json") => "countries",
        ("AvailablePhoneNumbers", _) => "search",
        _ => "list",
    }
}

/// Adds the properties of a schema, and of those in it.
fn add(all: &mut BTreeMap<Key, &'static Value>, resource: &'static str, place: &'static str, schema: &'static Value) {
    let (name, schema) = resolve(schema);
    let place = match name {
        "account" => "account",
        "balance" => "balance",
        "key" => "key",
        "new_key" => "new key",
        "available_phone_number_country" => "country",
        name if name.starts_with("available_phone_number_") => "found number",
        name if name.starts_with("incoming_phone_number") => "number",
        _ => place,
    };
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        all.insert((resource, place, key.clone()), property);
        for (inner, property) in property["properties"].as_object().into_iter().flatten() {
            all.insert((resource, place, format!("{key}.{inner}")), property);
        }
        if let Some(rows) = property.get("items") {
            add(all, resource, place, rows);
        }
    }
}

#[test]
fn every_parameter_and_property_has_a_fate() {
    let described = described();
    let told: Vec<_> = told().into_iter().map(|(key, _)| key).collect();
    let forgotten: Vec<_> = described.keys().filter(|key| !told.contains(key)).collect();
    let unknown: Vec<_> = told.iter().filter(|key| !described.contains_key(key)).collect();
    assert!(forgotten.is_empty() && unknown.is_empty(), "forgotten: {forgotten:#?}, not described: {unknown:#?}");
    assert_eq!(told.len(), described.len(), "no name has two fates");
    // Every other property must be in an answer: see `json_schema`.
    let left_out = self::told().into_iter().filter(|(_, fate)| matches!(fate, LeftOut(_))).map(|(key, _)| key.2);
    let less = EXCEPTIONS.iter().filter(|exception| matches!(exception.change, Change::Less(_)));
    let less = less.map(|exception| exception.change.key().to_owned());
    assert_eq!(left_out.collect::<BTreeSet<_>>(), less.collect());
}

const PAPER: &str = "docs/twilio-differences.md";
const BEGIN: &str = "<!-- Made by a test: see CONTRIBUTING.md. -->\n";
const END: &str = "<!-- The end of what is made. -->\n";

/// The tables of the paper.
fn tables() -> String {
    let mut text = String::new();
    for (resource, lines) in &TABLE {
        text += &format!("\n### {resource}\n\n| Name | Where | What becomes of it |\n|---|---|---|\n");
        for (names, places, fate) in *lines {
            text += &format!("| `{}` | {places} | {} |\n", names.replace(' ', "`, `"), fate.words());
        }
    }
    text += "\n### Answers beside the description\n\n| Name | Where | What becomes of it |\n|---|---|---|\n";
    let added = EXCEPTIONS.iter().filter(|exception| !matches!(exception.change, Change::Less(_)));
    for alike in added.collect::<Vec<_>>().chunk_by(|one, other| (one.place, one.why) == (other.place, other.why)) {
        let names: Vec<_> = alike.iter().map(|exception| exception.change.key()).collect();
        let word = if let Change::More(..) = alike[0].change { "added" } else { "of another form too" };
        text += &format!("| `{}` | {} | {word}: {} |\n", names.join("`, `"), alike[0].place, alike[0].why);
    }
    text + "\n"
}

#[test]
fn the_paper_tells_what_becomes_of_each() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAPER);
    let paper = fs::read_to_string(&path).expect("a paper");
    let (before, rest) = paper.split_once(BEGIN).expect("where the tables begin");
    let (written, after) = rest.split_once(END).expect("where the tables end");
    let tables = tables();
    if env::var_os("UPDATE_DOCS").is_some() {
        return fs::write(path, [before, BEGIN, &tables, END, after].concat()).expect("a paper");
    }
    let only_in = |one: &str, other: &str, mark: &str| {
        let lines = one.lines().filter(|line| !other.lines().any(|other| other == *line));
        lines.map(|line| format!("{mark} {line}\n")).collect::<String>()
    };
    let difference = only_in(written, &tables, "-") + &only_in(&tables, written, "+");
    assert!(written == tables, "UPDATE_DOCS=1 brings {PAPER} up to date:\n{difference}");
}

/// A value for a parameter that no number has by itself.
fn sample(name: &str, schema: &Value) -> String {
    let (_, schema) = resolve(schema);
    match (schema["pattern"].as_str(), schema["enum"][0].as_str()) {
        (Some(pattern), _) => format!("{}{}", &pattern[1..3], "0a".repeat(16)),
        (_, Some(value)) => value.to_owned(),
        _ if schema["format"] == "uri" => format!("http://example.com/{name}"),
        _ if schema["type"] == "boolean" => "true".to_owned(),
        _ if name == "ApiVersion" => "2010-04-01".to_owned(),
        _ => name.to_owned(),
    }
}

/// The parameters of a place with this fate, and a value for each.
fn samples(resource: &str, place: &str, is_meant: impl Fn(&Fate) -> bool) -> Vec<(String, String)> {
    let described = described();
    let lines = told().into_iter().filter(|(key, fate)| (key.0, key.1) == (resource, place) && is_meant(fate));
    let with_value = |(key, _): (Key, _)| {
        let value = sample(&key.2, described[&key]);
        (key.2, value)
    };
    // A list has properties too.
    lines.map(with_value).filter(|(name, _)| name.starts_with(char::is_uppercase)).collect()
}

/// Sends a form, or a query with GET, to a path of this version.
async fn ask(world: &World, account: &Account, method: &str, path: &str, sent: &[(&str, &str)]) -> Answer {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(sent).finish();
    let path = format!("/2010-04-01{path}?{}", if method == "GET" { &query } else { "" });
    let request = world.server.request(method, &path).basic_auth(&account.sid, Some(&account.token));
    Answer::of(if method == "GET" { request } else { request.with_form(sent) }).await
}

/// Fails unless every parameter that is refused at a place is refused there, with its status and code.
async fn assert_all_refused(world: &World, account: &Account, at: [&str; 2], method: &str, path: &str) {
    let mut count = 0;
    for ((resource, place, name), fate) in told() {
        let Refused(value, status, code, _) = fate else { continue };
        if [resource, place] == at {
            // A purchase names what it buys.
            let form = [("AreaCode", "415"), (&name, value)];
            let sent = if place == "purchase" { &form[..] } else { &form[1..] };
            assert_refused(&ask(world, account, method, path, sent).await, *status, *code);
            count += 1;
        }
    }
    assert!(count > 0, "nothing of {at:?} is refused");
}

/// Fails unless an answer has the values that every answer has.
fn assert_always(resource: &str, place: &str, shown: &Value) {
    let mut count = 0;
    for (key, fate) in told() {
        if let (Always(value), true) = (fate, (key.0, key.1) == (resource, place)) {
            let value: Value = serde_json::from_str(value).expect("a value");
            assert_eq!(shown.pointer(&format!("/{}", key.2.replace('.', "/"))), Some(&value), "{}", key.2);
            count += 1;
        }
    }
    assert!(count > 0, "{resource} has nothing that is always the same at {place}");
}

/// Fails unless an answer holds these values of parameters.
fn assert_holds(shown: &Value, sent: &[(String, String)]) {
    for (name, value) in sent {
        let key = name.chars().map(|c| if c.is_uppercase() { format!("_{}", c.to_lowercase()) } else { c.to_string() });
        let key = key.collect::<String>().split_off(1);
        let value = if value == "true" { json!(true) } else { json!(value) };
        assert_eq!(shown[&key], value, "{name}");
    }
}

fn borrowed(sent: &[(String, String)]) -> Vec<(&str, &str)> {
    sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn what_is_refused_is_refused() {
    test(async |world| {
        let (account, [number, _]) = company(world).await;
        let own = format!("/Accounts/{}", account.sid);
        let path = format!("{own}/IncomingPhoneNumbers/{number}.json");
        assert_all_refused(world, &account, ["IncomingPhoneNumbers", "update"], "POST", &path).await;
    });
}

#[test]
fn what_is_served_of_an_update_comes_back() {
    test(async |world| {
        let (account, [number, _]) = company(world).await;
        let path = format!("/Accounts/{}/IncomingPhoneNumbers/{number}.json", account.sid);
        let sent = samples("IncomingPhoneNumbers", "update", |fate| matches!(fate, Served(_)));
        assert_eq!(sent.len(), 10);
        assert_holds(&document(&ask(world, &account, "POST", &path, &borrowed(&sent)).await, 200), &sent);
    });
}

#[test]
fn what_is_always_the_same_is_so() {
    test(async |world| {
        let (account, numbers) = company(world).await;
        let own = format!("/Accounts/{}", account.sid);
        let shown = async |path: String| document(&ask(world, &account, "GET", &path, &[]).await, 200);
        assert_always("Accounts", "account", &shown(format!("{own}.json")).await);
        assert_always("Balance", "balance", &shown(format!("{own}/Balance.json")).await);
        for number in numbers {
            let number = shown(format!("{own}/IncomingPhoneNumbers/{number}.json")).await;
            assert_always("IncomingPhoneNumbers", "number", &number);
        }
    });
}

#[test]
fn what_has_no_effect_narrows_no_list() {
    test(async |world| {
        let (account, _) = company(world).await;
        let path = format!("/Accounts/{}/IncomingPhoneNumbers.json", account.sid);
        let sent = samples("IncomingPhoneNumbers", "list", |fate| matches!(fate, Idle(_)));
        assert_eq!(sent.len(), 1);
        let list = document(&ask(world, &account, "GET", &path, &borrowed(&sent)).await, 200);
        assert_eq!(list["total"], 2);
    });
}

#[test]
fn what_is_kept_comes_back() {
    test(async |world| {
        let (account, [number, _]) = company(world).await;
        let numbers = format!("/Accounts/{}/IncomingPhoneNumbers", account.sid);
        let kept = samples("IncomingPhoneNumbers", "update", |fate| matches!(fate, Kept(_)));
        world.stock(4_158_670_000, kept.len() as i64).await;
        // One by one, because a TrunkSid and a VoiceApplicationSid clear each other.
        for setting in kept.chunks(1) {
            let path = format!("{numbers}/{number}.json");
            let updated = ask(world, &account, "POST", &path, &borrowed(setting)).await;
            assert_holds(&document(&updated, 200), setting);
        }
        // A method is kept with its URL only.
        for setting in kept.chunks(1).filter(|setting| setting[0].0 != "StatusCallbackMethod") {
            let form = [&[("AreaCode", "415")], &borrowed(setting)[..]].concat();
            let bought = ask(world, &account, "POST", &format!("{numbers}.json"), &form).await;
            assert_holds(&document(&bought, 201), setting);
        }
    });
}

#[test]
fn what_is_refused_of_a_purchase_is_refused() {
    test(async |world| {
        let (account, _) = company(world).await;
        world.stock(4_158_670_000, 1).await;
        let all = format!("/Accounts/{}/IncomingPhoneNumbers", account.sid);
        let path = format!("{all}.json");
        assert_all_refused(world, &account, ["IncomingPhoneNumbers", "purchase"], "POST", &path).await;
        for (kind, sent, code) in [
            ("Mobile", ("PhoneNumber", "+14158670000"), 21458),
            ("Local", ("AreaCode", "415"), 21457),
            ("TollFree", ("AreaCode", "800"), 21457),
        ] {
            let path = format!("{all}/{kind}.json");
            assert_refused(&ask(world, &account, "POST", &path, &[sent]).await, 400, code);
        }
    });
}

#[test]
fn a_search_does_as_the_paper_says() {
    test(async |world| {
        let (account, _) = company(world).await;
        world.stock(4_158_670_000, 3).await;
        world.stock(8_005_560_000, 3).await;
        let all = format!("/Accounts/{}/AvailablePhoneNumbers", account.sid);
        let shown = async |below: &str, sent: &[(String, String)]| {
            document(&ask(world, &account, "GET", &format!("{all}{below}.json"), &borrowed(sent)).await, 200)
        };
        let idle = |place| {
            let mut idle = samples("AvailablePhoneNumbers", place, |fate| matches!(fate, Idle(_)));
            // A number, where one is wanted.
            idle.iter_mut().filter(|(name, _)| name.starts_with("Page")).for_each(|(_, value)| *value = "1".to_owned());
            idle
        };
        assert_eq!(shown("", &idle("countries")).await, shown("", &[]).await);
        assert_always("AvailablePhoneNumbers", "country", &shown("/US", &[]).await);
        for kind in ["/US/Local", "/US/TollFree"] {
            let path = format!("{all}{kind}.json");
            assert_all_refused(world, &account, ["AvailablePhoneNumbers", "search"], "GET", &path).await;
            let found = shown(kind, &idle("search")).await;
            let found = found["available_phone_numbers"].as_array().expect("a list");
            assert_eq!(found.len(), 3, "{kind}");
            found.iter().for_each(|number| assert_always("AvailablePhoneNumbers", "found number", number));
        }
    });
}
