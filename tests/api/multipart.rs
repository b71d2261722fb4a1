//! Forms as `multipart/form-data`, in version 2010-04-01: Node's SDK sent them up to 3.40.

use std::fmt::Write;

use reqwest::RequestBuilder;

use crate::support::{Account, Answer, WithForm, World, test};

const BOUNDARY: &str = "--------------------------017386";
const BUY: &str = "/IncomingPhoneNumbers.xml";

/// A form as the SDK writes it.
fn form(fields: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        let _ = write!(body, "--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n");
    }
    body + "--" + BOUNDARY + "--\r\n"
}

fn post(world: &World, account: &Account, below: &str) -> RequestBuilder {
    let call = world.server.request("POST", &format!("/2010-04-01/Accounts/{}{below}", account.sid));
    call.basic_auth(&account.sid, Some(&account.token))
}

fn multipart(call: RequestBuilder, body: impl Into<Vec<u8>>) -> RequestBuilder {
    call.header("Content-Type", format!("multipart/form-data; boundary={BOUNDARY}")).body(body.into())
}

async fn send(world: &World, account: &Account, below: &str, body: impl Into<Vec<u8>>) -> Answer {
    Answer::of(multipart(post(world, account, below), body)).await
}

/// An account that could buy, and the path of a number that it holds.
async fn holder(world: &World) -> (Account, String) {
    world.stock(4_158_670_000, 20).await;
    let account = world.account("50.00").await;
    let bought =
        send(world, &account, BUY, form(&[("AreaCode", "415"), ("FriendlyName", "Zoë + 1 & \"2\"=%41")])).await;
    assert_eq!(bought.assert_status(201).text("FriendlyName"), "Zoë + 1 & \"2\"=%41");
    (account, format!("/IncomingPhoneNumbers/{}.xml", bought.element("Sid")))
}

#[test]
fn a_multipart_form_buys_and_updates_as_any_other() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let url = "https://example.com/a?b=1&c=%20";
        let updated =
            send(world, &account, &number, form(&[("VoiceUrl", url), ("VoiceMethod", "GET"), ("x", "y")])).await;
        assert_eq!((updated.text("VoiceUrl"), updated.text("VoiceMethod")), (url.to_owned(), "GET".to_owned()));
        for body in [form(&[]), String::new()] {
            let same = send(world, &account, &number, body).await;
            assert_eq!(same.assert_status(200).text("VoiceUrl"), url);
        }
        // What a key stands for does not depend on how the form was sent.
        let keyed = || post(world, &account, BUY).header("I-Twilio-Idempotency-Token", "once");
        let first = Answer::of(multipart(keyed(), form(&[("AreaCode", "415")]))).await;
        let again = Answer::of(keyed().with_form(&[("AreaCode", "415")])).await;
        assert_eq!(first.assert_status(201).element("Sid"), again.assert_status(201).element("Sid"));
    });
}

#[test]
fn a_multipart_form_is_read_as_strictly_as_any_other() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let before = world.fingerprint().await;
        let part = |head: &str, value: &[u8]| {
            let (begin, end) = (format!("--{BOUNDARY}\r\n{head}\r\n\r\n"), format!("\r\n--{BOUNDARY}--\r\n"));
            [begin.as_bytes(), value, end.as_bytes()].concat()
        };
        let named = "Content-Disposition: form-data; name=\"FriendlyName\"";
        for (body, status, code) in [
            (form(&[("FriendlyName", "a"), ("FriendlyName", "a")]).into(), 400, 29003),
            (form(&[("friendly_name", "a")]).into(), 400, 29002),
            (part(named, b"\xff"), 400, 29004),
            (part(named, b"a\0b"), 400, 29004),
            (part(named, b"a\r\nb"), 400, 20002),
            (part(&format!("{named}; filename=\"a.txt\""), b"a"), 400, 29004),
            (part(&format!("{named}; filename*=UTF-8''a.txt"), b"a"), 400, 29004),
            (part(&format!("{named}\r\nContent-Type: application/octet-stream"), b"a"), 400, 29004),
            (part(&format!("{named}\r\nContent-Transfer-Encoding: base64"), b"YQ=="), 400, 29004),
            (
                part(&format!("{named}\r\nContent-Type: multipart/mixed; boundary=y"), b"--y\r\n\r\na\r\n--y--"),
                400,
                29004,
            ),
            (part(&format!("{named}\r\nContent-Length: 99999999999"), b"a"), 400, 29004),
            (part("Content-Disposition: form-data", b"a"), 400, 29004),
            (part("Content-Type: text/plain", b"a"), 400, 29004),
            (part("", b"a"), 400, 29004),
            (part(&format!("{named}\r\nX-Long: {}", "x".repeat(15_000)), b"\0"), 400, 29004),
            (part(&format!("{named}{}", "\r\nX: y".repeat(1000)), b"a"), 400, 29004),
            (part(&format!("{named}\r\nX-Long: {}", "x".repeat(16_384)), b"a"), 413, 29006),
            (form(&vec![("a", "b"); 10_000]).into(), 413, 29006),
            (form(&[("FriendlyName", "a")]).replace("\r\n", "\n").into(), 400, 29004),
            (b"FriendlyName=a".to_vec(), 400, 29004),
            (b"--".to_vec(), 400, 29004),
        ] {
            let answer = send(world, &account, &number, body.clone()).await;
            let body = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
            assert_eq!((answer.status, answer.element("Code")), (status, code.to_string()), "{body}\n{}", answer.body);
        }
        assert_eq!(world.fingerprint().await, before);
    });
}

#[test]
fn a_multipart_form_that_is_cut_anywhere_changes_nothing() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let before = world.fingerprint().await;
        let whole = form(&[("FriendlyName", "Shop"), ("VoiceUrl", "http://example.com/")]);
        // Without its last line feed it is whole.
        for end in 1..whole.len() - 2 {
            let answer = send(world, &account, &number, &whole[..end]).await;
            assert_eq!((answer.status, answer.element("Code").as_str()), (400, "29004"), "{}", &whole[..end]);
        }
        assert_eq!(world.fingerprint().await, before);
        let done = send(world, &account, &number, &whole[..whole.len() - 2]).await;
        assert_eq!(done.assert_status(200).text("FriendlyName"), "Shop");
    });
}

#[test]
fn a_multipart_form_needs_a_boundary_and_version_2010_04_01() {
    test(async |world| {
        let (account, number) = holder(world).await;
        let before = world.fingerprint().await;
        let whole = form(&[("FriendlyName", "Shop")]);
        let typed = |version: &str, kind: &str| {
            let call = world.server.request("POST", &format!("/{version}/Accounts/{}{number}", account.sid));
            call.basic_auth(&account.sid, Some(&account.token)).header("Content-Type", kind).body(whole.clone())
        };
        let right = format!("Multipart/Form-Data; Boundary=\"{BOUNDARY}\"");
        for kind in ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=other"] {
            Answer::of(typed("2010-04-01", kind)).await.assert_refused(400, 29004);
        }
        for kind in ["multipart/mixed", "multipart/related", "text/plain"] {
            let kind = format!("{kind}; boundary={BOUNDARY}");
            Answer::of(typed("2010-04-01", &kind)).await.assert_refused(415, 29007);
        }
        Answer::of(typed("2008-08-01", &right)).await.assert_refused(415, 29007);
        assert_eq!(world.fingerprint().await, before);
        assert_eq!(Answer::of(typed("2010-04-01", &right)).await.assert_status(200).text("FriendlyName"), "Shop");
    });
}
