//! What holds for every answer and every script.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use quick_xml::escape::escape;

use super::grammar::RULES;
use super::*;

const CONTENT_TYPES: [&str; 6] =
    ["text/xml", "text/html; charset=iso-8859-1", "text/plain", "audio/mpeg", "application/xml; charset=utf-16", "x"];

fn grammars() -> impl Strategy<Value = Grammar> {
    (select(vec![Kind::Call, Kind::Message]), select(Version::ALL.to_vec()))
        .prop_map(|(kind, version)| Grammar { kind, version })
}

/// Bytes made of pieces of TwiML, whole or broken.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>",
        "<Response>",
        "</Response>",
        "<Response version=\"",
        "<Say>",
        "</Say>",
        "<Say",
        "<Gather",
        "</Gather>",
        "<Dial>",
        "<Sms>",
        "/>",
        ">",
        "<",
        "&",
        ";",
        "&#x41;",
        "&lt;",
        "\"",
        "'",
        "=",
        " numDigits=\"",
        " loop='0'",
        "<!DOCTYPE a [<!ENTITY b \"c\">]>",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<?",
        "?>",
        "\n",
        "4155551212",
        "é",
        "\u{feff}",
    ];
    let known = select(pieces.to_vec()).prop_map(|piece| piece.as_bytes().to_vec());
    vec(prop_oneof![9 => known, 1 => vec(any::<u8>(), 0..9)], 0..60).prop_map(|pieces| pieces.concat())
}

fn values() -> impl Strategy<Value = String> {
    let known = [
        "",
        "1",
        "0",
        "2",
        "3",
        "#",
        "*",
        "true",
        "GET",
        "POST",
        "/a",
        "http://b/c",
        "::",
        "4155551212",
        "w1",
        "4294967295",
    ];
    prop_oneof![9 => select(known.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,6}"]
}

/// An element of any name, with attributes and children, as XML.
fn element() -> impl Strategy<Value = String> {
    let names = RULES.iter().map(|rule| rule.name).chain(["Foo"]).collect::<Vec<_>>();
    let attributes = RULES.iter().flat_map(|rule| rule.attributes).map(|attribute| attribute.name);
    let attributes = attributes.chain(["foo"]).collect::<Vec<_>>();
    let tag = (select(names), proptest::collection::btree_map(select(attributes), values(), 0..4)).boxed();
    let write = |(name, attributes): &(&str, std::collections::BTreeMap<&str, String>), inner: &str| {
        let attributes: String =
            attributes.iter().map(|(name, value)| format!(" {name}=\"{}\"", escape(value))).collect();
        format!("<{name}{attributes}>{inner}</{name}>")
    };
    let leaf = (tag.clone(), values()).prop_map(move |(tag, text)| write(&tag, &escape(&text)));
    leaf.prop_recursive(3, 20, 4, move |inner| {
        (tag.clone(), vec(inner, 0..4)).prop_map(move |(tag, inner)| write(&tag, &inner.concat()))
    })
}

/// Well-formed documents. Most have what asks something of the caller.
fn documents() -> impl Strategy<Value = String> {
    let asks = [
        "<Gather/>",
        "<Gather numDigits='2'/>",
        "<Gather finishOnKey='*' action='b'/>",
        "<Record maxLength='3'/>",
        "<Record/>",
        "<Dial action='c'>4151234567</Dial>",
    ];
    let asks = select(asks.to_vec()).prop_map(str::to_owned);
    vec(prop_oneof![1 => element(), 2 => asks], 0..6)
        .prop_map(|elements| format!("<Response>{}</Response>", elements.concat()))
}

fn scripts() -> impl Strategy<Value = String> {
    let act = prop_oneof![
        4 => "press [0-9*#]{1,6}",
        1 => Just("wait".to_owned()),
        2 => "speak [1-9]( press [0-9*#])?",
        1 => select(vec!["silence", "dial answered 7", "dial busy", "dial no-answer", "dial failed"]).prop_map(str::to_owned),
    ];
    let ends = ["", "hang up", "speak 3 hang up", "dial answered 7 hang up"];
    (vec(act, 0..12), select(ends.to_vec())).prop_map(|(mut acts, end)| {
        acts.push(end.to_owned());
        acts.join("; ")
    })
}

struct Fixed;

impl Sids for Fixed {
    fn call(&mut self) -> String {
        "CA".into()
    }

    fn message(&mut self) -> String {
        "SM".into()
    }

    fn recording(&mut self, _: u32) -> String {
        "http://world/RE".into()
    }
}

/// A verb as XML again.
fn written(verb: &Verb) -> String {
    let attributes: String =
        verb.attributes.0.iter().map(|(name, value)| format!(" {name}=\"{}\"", escape(value))).collect();
    let children: String = verb.children.iter().map(written).collect();
    format!("<{0}{attributes}>{1}{children}</{0}>", verb.name(), escape(&verb.text))
}

fn without_lines(verbs: &[Verb]) -> Vec<Verb> {
    let without = |verb: &Verb| Verb { line: 0, children: without_lines(&verb.children), ..verb.clone() };
    verbs.iter().map(without).collect()
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in hostile(), kind in select(CONTENT_TYPES.to_vec()), grammar in grammars()) {
        let once = read(&body, Some(kind), grammar);
        prop_assert_eq!(&once, &read(&body, Some(kind), grammar));
        if let Err(error) = once {
            let codes = [11770, 12100, 12101, 12102, 12300, 13750];
            prop_assert!(codes.contains(&error.code), "{error}");
        }
    }

    #[test]
    fn any_text_is_a_script_or_refused(text in "(press|wait|speak|dial|hang up|answered|[0-9#]{1,3}|;| |\\PC){0,12}") {
        match text.parse::<Script>() {
            Ok(script) => prop_assert!(script.digits().len() <= text.len()),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn what_was_read_is_read_again_from_what_it_says(text in documents(), grammar in grammars()) {
        if let Ok(document) = read(text.as_bytes(), Some("text/xml"), grammar) {
            let again: String = document.verbs.iter().map(written).collect();
            let again = read(format!("<Response>{again}</Response>").as_bytes(), Some("text/xml"), grammar).unwrap();
            prop_assert_eq!(without_lines(&again.verbs), without_lines(&document.verbs));
        }
    }

    #[test]
    fn every_walk_ends_and_loses_no_key(
        texts in vec(documents(), 1..4),
        script in scripts(),
        grammar in grammars(),
    ) {
        let documents: Vec<_> =
            texts.iter().filter_map(|text| read(text.as_bytes(), Some("text/xml"), grammar).ok()).collect();
        let script: Script = script.parse().unwrap();
        let all = script.digits();
        let ends = Ends { caller: "4155551212".into(), number: "4158675309".into() };
        let mut walk = Walk::new(grammar, ends, script);
        let (mut pressed, mut time, mut verbs, mut request, mut is_over) = (String::new(), 0, 0, 1, false);
        for document in documents.iter().cycle() {
            prop_assert!(request <= MOST_DOCUMENTS + 1, "the last run finds the limit");
            let at = Location { url: "http://app/call".into(), request };
            let Walked { steps, next, .. } = walk.run(document, &at, &mut Fixed);
            if is_over {
                prop_assert_eq!((&next, steps.len()), (&Next::Ended(Outcome::CallerHungUp), 0));
            }
            for step in &steps {
                prop_assert!(step.at >= time && step.at <= walk.duration());
                time = step.at;
                pressed += &step.pressed;
            }
            verbs += steps.len();
            prop_assert_eq!(format!("{pressed}{}", walk.digits_left()), all.clone());
            match next {
                Next::Ended(_) => break,
                Next::Error(error) => prop_assert_eq!(error.code, 11100),
                Next::Request(next) => {
                    prop_assert!(next.url.starts_with("http"));
                    is_over = next.is_last;
                    let last = steps.last().map(|step| &*step.pressed).unwrap_or_default();
                    if let (Why::Gather, Some((_, digits))) = (next.why, next.parameters.first()) {
                        let finish = last.strip_prefix(digits.as_str());
                        prop_assert!(finish.is_some_and(|finish| finish.len() <= 1), "{digits} of {last}");
                    }
                }
            }
            request += 1;
        }
        prop_assert!(verbs <= MOST_VERBS as usize);
    }
}

#[test]
fn the_largest_answers_are_read_at_once() {
    let filled = |start: &str, piece: &str, end: &str| {
        let count = (LARGEST - start.len() - end.len()) / piece.len();
        format!("{start}{}{end}", piece.repeat(count))
    };
    let grammar = Grammar { kind: Kind::Call, version: Version::V2010 };
    for text in [
        filled("<Response>", "<a/>", "</Response>"),
        filled("<Response>", "<a>", ""),
        filled("<Response><Say ", " a=''", ">a</Say></Response>"),
        filled("<Response><Say>", "&#65;", "</Say></Response>"),
        filled("<Response><Say a='", "&#65;", "'>a</Say></Response>"),
        filled("<Response>", "<Dial>1</Dial>\n", "</Response>"),
        filled("<Response><Say>", "<![CDATA[a]]>", "</Say></Response>"),
        filled("<Response>", "<", ""),
        filled("<Response><!--", "-", "--></Response>"),
        filled("<?xml ", " ", "?><Response/>"),
    ] {
        let start = Instant::now();
        let _ = read(text.as_bytes(), Some("text/xml"), grammar);
        assert!(start.elapsed() < Duration::from_secs(2), "{}… took {:?}", &text[..40], start.elapsed());
    }
}
