use std::collections::BTreeSet;

use super::super::{Document, Verb, read};
use super::*;

/// Every attribute that a version checks, with its verb and a place where that stands.
fn attributes() -> Vec<(Grammar, &'static Rule, Place, &'static Attribute)> {
    let mut all = Vec::new();
    for version in Version::ALL {
        for rule in RULES.iter().filter(|rule| rule.since.includes(version)) {
            for place in rule.places {
                let kind =
                    if matches!(place, Place::Message | Place::In("Message")) { Kind::Message } else { Kind::Call };
                let known = rule.attributes.iter().filter(|attribute| attribute.since.includes(version));
                all.extend(known.map(|attribute| (Grammar { kind, version }, rule, *place, attribute)));
            }
        }
    }
    assert!(all.len() > 120, "{}", all.len());
    all
}

/// Reads a verb in its place, with these attributes.
fn read_one(grammar: Grammar, rule: &Rule, place: Place, attributes: &str) -> (Document, Verb) {
    let text = match rule.text {
        Texts::Phone => "4155551212",
        Texts::None => "",
        _ => "text",
    };
    let verb = format!("<{0} {attributes}>{text}</{0}>", rule.name);
    let inner = if let Place::In(parent) = place { format!("<{parent}>{verb}</{parent}>") } else { verb };
    let document = read(format!("<Response>{inner}</Response>").as_bytes(), Some("text/xml"), grammar).unwrap();
    let outer = document.verbs[0].clone();
    (document, if matches!(place, Place::In(_)) { outer.children[0].clone() } else { outer })
}

fn good_and_bad(value: Type) -> (Vec<String>, Vec<String>) {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    match value {
        Type::Action | Type::Any => (texts(&["", "/a", "http://a/", "::"]), vec![]),
        Type::Url => (texts(&["", "/a", "b?c=d", "http://a/"]), texts(&["ftp://a/", "http://", "javascript:a"])),
        Type::Method => (texts(&["GET", "POST", "get"]), texts(&["", "PUT", "GET ", "G"])),
        Type::Whole(least) => (
            vec![least.to_string(), "7".to_owned(), "4294967295".to_owned()],
            [
                texts(&["", "x", "-1", "+1", "1.5", " 1", "4294967296"]),
                least.checked_sub(1).iter().map(u32::to_string).collect(),
            ]
            .concat(),
        ),
        Type::Flag => (texts(&["true", "false"]), texts(&["", "yes", "1", "True"])),
        Type::OneOf(values) => (texts(values), texts(&["", "x"])),
        Type::Key => (texts(&["", "0", "9", "*", "#"]), texts(&["a", "12", " ", "\u{661}"])),
        Type::Keys => (texts(&["1", "1234567890*#"]), texts(&["", "a", "1 2"])),
        Type::Tones => (texts(&["", "ww1928#"]), texts(&["a", "1,2"])),
        Type::Phone => (texts(&["4155551212", "415-123-4567", "+442071838750"]), texts(&["", "555-1212", "client:a"])),
        Type::Caller => (texts(&["+14155551212", "client:jenny"]), texts(&["", "client:", "jenny"])),
    }
}

#[test]
fn every_attribute_takes_its_values_and_warns_of_others() {
    let mut bad_values = 0;
    for (grammar, rule, place, attribute) in attributes() {
        let name = attribute.name;
        let what = format!("{grammar:?} {} {place:?} {name}", rule.name);
        let (document, verb) = read_one(grammar, rule, place, "");
        assert!(document.warnings.is_empty(), "{what}: {:?}", document.warnings);
        assert_eq!(verb.value(name), attribute.default, "{what}");
        let (good, bad) = good_and_bad(attribute.value);
        assert_eq!(bad.is_empty(), matches!(attribute.value, Type::Action | Type::Any), "{what}");
        for value in good {
            let (document, verb) = read_one(grammar, rule, place, &format!("{name}='{value}'"));
            assert!(document.warnings.is_empty(), "{what}: {:?}", document.warnings);
            assert_eq!(verb.value(name), Some(&*value), "{what}");
        }
        for value in bad {
            bad_values += 1;
            let (document, verb) = read_one(grammar, rule, place, &format!("{name}='{value}'"));
            let warned: Vec<_> = document.warnings.iter().map(|warning| (warning.code, &*warning.verb)).collect();
            assert_eq!(warned, [(attribute.code, rule.name)], "{what} {value:?}");
            assert_eq!(verb.value(name), attribute.default, "{what} {value:?}");
            assert_eq!(verb.attributes.0, [(name.to_owned(), value)], "{what}: steps show what was written");
        }
    }
    assert!(bad_values > 300, "{bad_values}");
}

#[test]
fn an_attribute_of_another_version_is_unknown() {
    let (mut count, attributes) = (0, attributes());
    for (grammar, rule, place, attribute) in &attributes {
        let other = Version::ALL.into_iter().find(|version| *version != grammar.version).unwrap();
        if !rule.since.includes(other) || rule.attribute(attribute.name, other).is_some() {
            continue;
        }
        count += 1;
        let grammar = Grammar { version: other, ..*grammar };
        let (document, _) = read_one(grammar, rule, *place, &format!("{}='1'", attribute.name));
        assert_eq!(document.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), [UNKNOWN]);
    }
    assert!(count > 40, "{count}");
}

#[test]
fn the_table_holds_together() {
    let mut seen = BTreeSet::new();
    for (grammar, rule, place, attribute) in attributes() {
        let what = (rule.name, format!("{place:?}"), grammar.version, attribute.name);
        assert!(attribute.default.is_none_or(|default| attribute.value.allows(default)), "{what:?}");
        assert!(attribute.code != 0 || attribute.value == Type::Any, "{what:?}");
        assert!(seen.insert(what.clone()), "{what:?} is there twice");
    }
    for version in Version::ALL {
        let mut seen = BTreeSet::new();
        for rule in RULES.iter().filter(|rule| rule.since.includes(version)) {
            for place in rule.places {
                assert!(seen.insert((rule.name, format!("{place:?}"))), "{} {place:?} is there twice", rule.name);
                let is_there = |parent| RULES.iter().any(|rule| rule.name == parent && rule.since.includes(version));
                assert!(!matches!(place, Place::In(parent) if !is_there(*parent)), "{} {place:?}", rule.name);
            }
        }
    }
}

#[test]
fn every_code_has_a_title_and_every_title_is_of_a_code() {
    let of_rules =
        RULES.iter().flat_map(|rule| rule.attributes.iter().map(|attribute| attribute.code).chain([rule.nested]));
    let mut codes: BTreeSet<_> = of_rules.filter(|code| *code != 0).collect();
    // Those that the reader itself gives.
    codes.extend([11200, 11750, 11770, 12100, 12101, 12102, 12300, 13223, 13520, 13750, 14103, 14110]);
    assert_eq!(codes, TITLES.iter().map(|(code, _)| *code).collect());
    assert!(TITLES.is_sorted_by(|one, other| one.0 < other.0));
}

const fn since(since: Since) -> &'static str {
    match since {
        Since::Always => "both",
        Since::Only2008 => "2008-08-01",
        Since::From2010 => "2010-04-01",
    }
}

fn place(place: Place) -> String {
    match place {
        Place::Call => "calls".to_owned(),
        Place::Message => "messages".to_owned(),
        Place::In(parent) => format!("`{parent}`"),
    }
}

fn places(rule: &Rule) -> String {
    rule.places.iter().map(|at| place(*at)).collect::<Vec<_>>().join(", ")
}

/// The name of a rule: with its place, if the verb has another rule.
fn named(rule: &Rule) -> String {
    let first = RULES.iter().find(|other| other.name == rule.name).unwrap();
    if std::ptr::eq(first, rule) { format!("`{}`", rule.name) } else { format!("`{}` in {}", rule.name, places(rule)) }
}

const fn text(rule: &Rule) -> &'static str {
    match rule.text {
        _ if rule.is_only_known && !rule.text.is_part() => "not checked",
        Texts::None => "none",
        Texts::Speech => "what is said",
        Texts::Body => "what is sent",
        Texts::Phone => "a phone number",
        Texts::Url => "a URL",
        Texts::Any => "any",
        Texts::Part | Texts::PartApart => "a part of what it stands in",
    }
}

fn default(attribute: &Attribute) -> String {
    match attribute.default {
        None => String::new(),
        Some("") => "this document".to_owned(),
        Some(default) => format!("`{default}`"),
    }
}

fn verb_row(rule: &Rule) -> String {
    [&named(rule), since(rule.since), &places(rule), text(rule)].join(" | ")
}

fn attribute_row(rule: &Rule, attribute: &Attribute) -> String {
    let code = if attribute.code == 0 { String::new() } else { attribute.code.to_string() };
    let (value, default) = (attribute.value.expected(), default(attribute));
    [&named(rule), &format!("`{}`", attribute.name), since(attribute.since), &value, &default, &code].join(" | ")
}

/// The rows of the table of docs/twiml.md that has this header, as they are written.
fn rows_of_the_paper(header: &str) -> Vec<String> {
    let paper = include_str!("../../../docs/twiml.md");
    let (_, rest) = paper.split_once(&format!("\n{header}\n")).unwrap_or_else(|| panic!("no table {header}"));
    let rows = rest.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').trim().to_owned()).collect()
}

#[test]
fn the_paper_on_twiml_has_every_verb_attribute_and_code() {
    let verbs: Vec<_> = RULES.iter().map(|rule| verb_row(rule).trim().to_owned()).collect();
    assert_eq!(rows_of_the_paper("| Verb | Version | Stands in | Text |"), verbs, "\n| {}", verbs.join(" |\n| "));
    let rows =
        |rule: &'static Rule| rule.attributes.iter().map(|attribute| attribute_row(rule, attribute).trim().to_owned());
    let attributes: Vec<_> = RULES.iter().flat_map(rows).collect();
    let header = "| Verb | Attribute | Version | Value | Default | Code |";
    assert_eq!(rows_of_the_paper(header), attributes, "\n| {}", attributes.join(" |\n| "));
    let codes: Vec<_> = TITLES.iter().map(|(code, title)| format!("{code} | {title}")).collect();
    assert_eq!(rows_of_the_paper("| Code | Title |"), codes, "\n| {}", codes.join(" |\n| "));
}
