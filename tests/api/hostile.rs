//! Requests that no well-meaning client sends, and files that no careful operator imports.

use std::fmt;
use std::io::Cursor;

use numberbank::error::Denied;
use numberbank::inventory::import::{BadRow, Event, Origin, Reading, Wanted, import};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::properties::{assert_a_refusal, for_all, holder};
use crate::support::{Account, Answer, World, test};

/// The request, printed so that it can be pasted into a test.
struct Wire(Vec<u8>);

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// A request target of valid and invalid parts.
fn target(
    own: String,
    number: String,
    odd: impl Strategy<Value = Vec<u8>> + 'static,
) -> impl Strategy<Value = Vec<u8>> {
    let known = vec![
        "/",
        "//",
        "/IncomingPhoneNumbers",
        "/Local",
        "/TollFree",
        "/Balance",
        ".json",
        ".csv",
        ".xml",
        "/..",
        "/.",
        "%2F",
        "%2e%2e",
        "%00",
        "%ff",
        "?",
        "&",
        "Page=1",
        "num=",
        "_method=DELETE",
        "_method=PUT",
        "%",
        "+",
        ";",
    ];
    let whole = ["", "/IncomingPhoneNumbers", "/IncomingPhoneNumbers/Local", "/IncomingPhoneNumbers/Local.json"];
    let start = prop_oneof![
        6 => select(whole.map(|below| format!("{own}{below}")).to_vec()),
        2 => Just(format!("{own}{number}")),
        1 => Just(format!("http://example.com{own}")),
        1 => select(vec!["", "/2008-08-01", "/docs/errors/21452"]).prop_map(str::to_owned),
    ];
    let known = prop_oneof![4 => select(known).prop_map(str::to_owned), 1 => Just(number)];
    let part = prop_oneof![19 => known.prop_map(String::into_bytes), 1 => odd];
    let long = select(vec!["/", "a", "%41", "a=b&", "/a"]).prop_flat_map(|text| (Just(text), 0..12_000_usize));
    let long = prop_oneof![9 => Just(String::new()), 1 => long.prop_map(|(text, count)| text.repeat(count))];
    (start, prop_oneof![Just(Vec::new()), vec(part, 1..5)], long).prop_map(|(start, parts, long)| {
        [b"/".as_slice().repeat(usize::from(start.is_empty())), start.into_bytes(), parts.concat(), long.into_bytes()]
            .concat()
    })
}

/// Headers that are valid, though not always sensible.
fn headers() -> impl Strategy<Value = String> {
    let header = select(vec![
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: application/json",
        "Content-Type: ;;;",
        "Idempotency-Key: a b",
        "Idempotency-Key: ",
        "Expect: 100-continue",
        "Upgrade: h2c",
        "X-Forwarded-Host: \"<b>&'c",
        "X-Forwarded-Proto: \"",
        "Forwarded: for=;host=\"a;b\",,",
        "Accept: */*;q=x",
        "Cookie: a=\"",
        "Range: bytes=-1",
        "Accept-Encoding: gzip, br",
        "X: \té",
    ]);
    let long = (0..3000_usize).prop_map(|count| format!("X-Long: {}", "x".repeat(count)));
    vec(prop_oneof![9 => header.prop_map(str::to_owned), 1 => long], 0..4)
        .prop_map(|headers| headers.into_iter().map(|header| header + "\r\n").collect())
}

/// A form, valid or broken, empty or longer than is read.
fn form() -> impl Strategy<Value = Vec<u8>> {
    let parts =
        vec!["Url=", "http://example.com/", "&", "=", "FriendlyName=", "%c3%a9", "AreaCode=415", "a=1&", "+", ";"];
    let broken = vec![&b"%"[..], b"%4", b"%zz", b"%00", b"\0", b"\xff", b"%ed%a0%80", b"\r\n\r\n", b"AreaCode=999"];
    let part = prop_oneof![12 => select(parts).prop_map(str::as_bytes), 1 => select(broken)];
    let count = prop_oneof![9 => 0..12_usize, 1 => 0..9000_usize];
    count.prop_flat_map(move |count| vec(part.clone(), count)).prop_map(|parts| parts.concat())
}

/// Valid HTTP around any content.
fn valid(account: &Account, number: &str) -> impl Strategy<Value = Wire> {
    let own = account.path();
    let known = prop_oneof![9 => Just(account.authorization()), 1 => "(Basic|basic|Bearer|) ?[A-Za-z0-9+/=]{0,60}"];
    let known =
        prop_oneof![9 => known.prop_map(|value| format!("Authorization: {value}\r\n")), 1 => Just(String::new())];
    let odd = "[!$'()*,.:@A-Za-z0-9_~-]{0,9}".prop_map(String::into_bytes);
    let method = select(vec!["GET", "POST", "POST", "PUT", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"]);
    (method, target(own, number.to_owned(), odd), known, headers(), form()).prop_map(
        |(method, target, authorization, headers, form)| {
            let head =
                [method.as_bytes(), b" ", &target, b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"].concat();
            let rest = format!("{authorization}{headers}Content-Length: {}\r\n\r\n", form.len());
            Wire([&head[..], rest.as_bytes(), &form].concat())
        },
    )
}

const CHUNKED: &[u8] = b"Transfer-Encoding: chunked";

/// Almost HTTP: requests that only the HTTP library understands, or nobody.
fn doubtful(account: &Account, number: &str) -> impl Strategy<Value = Wire> {
    let authorization = account.authorization();
    let target = target(account.path(), number.to_owned(), vec(any::<u8>(), 0..9));
    let version = prop_oneof![
        9 => Just("HTTP/1.1"),
        1 => select(vec!["HTTP/1.0", "HTTP/2.0", "HTTP/1.2", "http/1.1", "", "HTTP/1.1 "]),
    ];
    let line = select(vec![
        &b"Content-Length: 5"[..],
        b"Content-Length: 99999999999999999999",
        b"Content-Length: -1",
        b"Content-Length: +3",
        CHUNKED,
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: identity",
        b"Host: ",
        b"Host: a\"<b>&c",
        b"Host: \xff",
        b"Host: a/b?c#d",
        b"Connection: keep-alive, upgrade",
        b"Upgrade: websocket",
        b" folded",
        b"no colon",
        b": no name",
        b"X: \x01",
        b"X: \xff",
        b"Expect: 100-continue",
        b"Authorization: Basic \xff",
    ]);
    let many = prop_oneof![
        (0..200_usize).prop_map(|count| b"X: y\r\n".repeat(count)),
        // With a longer name the library panics; another test is about that.
        (0..65_536_usize).prop_map(|count| [&b"x".repeat(count)[..], b": name\r\n"].concat()),
        (0..140_000_usize).prop_map(|count| [&b"X: "[..], &b"x".repeat(count), b"\r\n"].concat()),
    ];
    let body = prop_oneof![
        form(),
        "([0-9a-f]{1,2}|5|ffffffffffffffff1|-1|0)(;x)?\r\n(hello|Url=)?\r\n(0\r\n\r\n)?".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..50),
    ];
    let method = prop_oneof![
        9 => select(vec!["GET", "POST", "PUT", "DELETE"]),
        1 => select(vec!["CONNECT", "PRI", "G\0T", "", "get", "OPTIONS"]),
    ];
    (method, target, version, vec(line, 0..3), prop_oneof![9 => Just(Vec::new()), 1 => many], body).prop_map(
        move |(method, target, version, lines, many, body)| {
            let start =
                [method.as_bytes(), b" ", &target, b" ", version.as_bytes(), b"\r\nHost: localhost\r\n"].concat();
            let lines: Vec<_> = lines.into_iter().flat_map(|line| [line, b"\r\n"]).collect();
            let known = format!("Authorization: {authorization}\r\nConnection: close\r\n");
            Wire([&start[..], known.as_bytes(), &lines.concat(), &many, b"\r\n", &body].concat())
        },
    )
}

/// How many numbers were sold, and the cents that went for them.
async fn sold(world: &World) -> (i64, i64) {
    let statement = "select count(*) from tenancies";
    let paid = "select coalesce(-sum(amount), 0)::bigint from ledger_entries where kind = 'purchase'";
    (world.value(statement).await, world.value(paid).await)
}

/// What an answer must never hold.
const INSIDE: [&str; 8] = ["sqlx", "postgres", "panicked", "thread '", "src/", "::", "relation \"", "unwrap"];

/// Fails unless an answer is well-formed in its representation.
fn assert_whole(answer: &Answer) {
    let kind = answer.header("Content-Type").split(';').next().unwrap_or_default();
    let refused = (400..500).contains(&answer.status);
    assert!(refused || matches!(answer.status, 200 | 201 | 204), "{answer:?}");
    assert!(!refused || !INSIDE.iter().any(|word| answer.body.contains(word)), "{answer:?}");
    match kind {
        "" => assert!(answer.status == 204 && answer.body.is_empty(), "{answer:?}"),
        "application/xml" if refused => assert_a_refusal(answer),
        "application/xml" => assert!(!answer.leaves().is_empty()),
        "application/json" => {
            let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
            let status = body.pointer("/TwilioResponse/RestException/Status").map(|status| status.as_str());
            assert_eq!(status, refused.then(|| Some(answer.status.to_string())).as_ref().map(|text| text.as_deref()));
        }
        "text/csv" => assert!(csv::Reader::from_reader(answer.body.as_bytes()).records().all(|row| row.is_ok())),
        "text/html" => assert!(!refused && answer.body.contains("</html>")),
        _ => panic!("{answer:?}"),
    }
}

/// Sends the requests one after the other. Fails unless each is answered as it `must` be, and exactly the purchases
/// that were answered 201 were made.
async fn withstands(world: &World, requests: impl Strategy<Value = Wire>, must: impl Fn(&[u8], &[Answer])) {
    let (_, price) = sold(world).await;
    for_all(requests, async |Wire(request)| {
        let (numbers, cents) = sold(world).await;
        let answers = world.server.send(&request).await;
        must(&request, &answers);
        let bought = answers.iter().filter(|answer| answer.status == 201).count() as i64;
        assert_eq!(sold(world).await, (numbers + bought, cents + bought * price));
    });
}

#[test]
fn whatever_http_carries_there_is_one_whole_answer() {
    test(async |world| {
        let (account, number) = holder(world).await;
        withstands(world, valid(&account, &number), |request, answers| {
            let [.., answer] = answers else { panic!("no answer") };
            let went_on = answers.len() == 2 && answers[0].status == 100;
            assert!(answers.len() == 1 || went_on, "{answers:?}");
            match request.starts_with(b"HEAD ") {
                true => assert!(answer.body.is_empty() && answer.status < 500, "{answer:?}"),
                false => assert_whole(answer),
            }
        })
        .await;
        world.server.get(&account, "").await.assert_status(200);
    });
}

#[test]
fn what_is_hardly_http_gets_whole_answers_or_the_librarys_refusal() {
    test(async |world| {
        let (account, number) = holder(world).await;
        withstands(world, doubtful(&account, &number), |request, answers| {
            // On a broken chunk, the library closes the connection while the service still works on its answer.
            let chunked = request.windows(CHUNKED.len()).any(|text| text == CHUNKED);
            assert!(!answers.is_empty() || chunked, "no answer");
            for answer in answers.iter().filter(|answer| answer.status != 100) {
                match answer.status {
                    400 | 408 | 431 if answer.body.is_empty() => assert_eq!(answer.header("Content-Type"), ""),
                    _ => assert_whole(answer),
                }
            }
        })
        .await;
        world.server.get(&account, "").await.assert_status(200);
    });
}

#[test]
fn what_is_too_much_for_the_library_harms_nobody_else() {
    test(async |world| {
        let (account, _) = holder(world).await;
        let rest = format!(" HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n", account.authorization());
        let (long, own) = ("x".repeat(70_000), account.path());
        for (request, expected) in [
            (format!("GET {own}?{long}{rest}\r\n"), Some(400)),
            (format!("GET {own}{rest}{}\r\n", "X: y\r\n".repeat(100)), Some(431)),
            (format!("GET {own}{rest}X: {long}{long}\r\n\r\n"), Some(431)),
            (format!("GET {own}{rest}{long}: x\r\n\r\n"), None),
            (format!("POST {own}/IncomingPhoneNumbers/Local{rest}Transfer-Encoding: chunked\r\n\r\nx"), None),
        ] {
            let before = world.fingerprint().await;
            let answers = world.server.send(request.as_bytes()).await;
            match expected {
                Some(status) => {
                    assert_eq!((answers.len(), answers[0].status, answers[0].body.as_str()), (1, status, ""));
                }
                // An answer is not required.
                None => assert!(answers.iter().all(|answer| (400..500).contains(&answer.status)), "{answers:?}"),
            }
            assert_eq!(world.fingerprint().await, before);
            world.server.get(&account, "").await.assert_status(200);
        }
    });
}

/// A row of a file.
#[derive(Clone, Debug)]
enum FileRow {
    /// What should be stored of it.
    Good(Stored),
    Bad,
    /// Its quotes are wrong, so that the end of the row is unknown.
    Endless,
}

/// A number in stock: digits, provider, monthly cost in ten-thousandths of a dollar, note.
type Stored = (i64, Option<String>, Option<i64>, Option<String>);

fn row() -> impl Strategy<Value = (String, FileRow)> {
    let text = prop_oneof!["", "[!-~]([ -~\n]{0,9}[!-~])?", "[\u{a1}-\u{ac}\u{ae}-\u{ff}𝄞]{255}"];
    let cost = proptest::option::of(0..100_000_000_i64);
    let spelling = select(vec!["", "+1", "1-", "tel:+1 "]);
    let good = (0..300_i64, spelling, text.clone(), cost, text).prop_map(|(number, spelling, provider, cost, note)| {
        let number = 4_158_670_000 + number;
        let dollars = cost.map_or_else(String::new, |cost| format!("${}.{:04}", cost / 10_000, cost % 10_000));
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([&format!("{spelling}{number}"), &provider, &dollars, &note]).expect("a row");
        let row = String::from_utf8(writer.into_inner().expect("a row")).expect("UTF-8");
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        (row, FileRow::Good((number, some(provider), cost, some(note))))
    });
    let bad = select(vec![
        "415867000",
        "41586700001",
        "4161234567",
        "4151234567",
        "4152110000",
        "+4158670000",
        "4.16E+09",
        "4158670000,,1.00555",
        "4158670000,,-1",
        "4158670000,,,,",
        "4158670000,a\tb",
        "4158670000,\u{0}",
        ",Acme",
        "٤١٥٨٦٧٠٠٠٠",
        "4158670000\r4158670001",
    ]);
    let endless = select(vec!["4158670000,\"open", "4158670000,x\"y,\"", "4158670000,\"a\"b", "4158670000, \"a\n\""]);
    prop_oneof![
        300 => good,
        25 => bad.prop_map(|row| (format!("{row}\n"), FileRow::Bad)),
        1 => endless.prop_map(|row| (format!("{row}\n"), FileRow::Endless)),
    ]
}

async fn stock(world: &World) -> Vec<Stored> {
    let stock = "select phone_number, provider, provider_cost, note from stock order by phone_number";
    sqlx::query_as(stock).fetch_all(&world.db).await.expect("the stock")
}

/// The effect of an import: how many rows are new, and how many known numbers change.
fn made(stock: &mut Vec<Stored>, rows: &[(String, FileRow)], update: bool) -> [u64; 2] {
    let good = rows.iter().filter_map(|(_, row)| if let FileRow::Good(row) = row { Some(row) } else { None });
    let good: Vec<_> = good.collect();
    let before = stock.len();
    for row in &good {
        if !stock.iter().any(|other| other.0 == row.0) {
            stock.push((*row).clone());
        }
    }
    let mut changed = 0;
    for known in stock.iter_mut().filter(|_| update) {
        let Some(last) = good.iter().rev().find(|row| row.0 == known.0) else { continue };
        let said = last.to_owned().clone();
        let new = (known.0, said.1.or(known.1.clone()), said.2.or(known.2), said.3.or(known.3.clone()));
        changed += u64::from(new != *known);
        *known = new;
    }
    stock.sort();
    [(stock.len() - before) as u64, changed]
}

#[test]
fn an_import_stores_all_rows_or_the_good_ones_or_none() {
    test(async |world| {
        let wanted = (any::<bool>(), any::<bool>(), prop_oneof![3 => Just(false), 1 => Just(true)]);
        let wanted = wanted.prop_map(|(skip_bad, update, dry_run)| Wanted { skip_bad, update, dry_run });
        for_all((vec(row(), 0..80), wanted), async |(rows, wanted)| {
            let before = stock(world).await;
            let mut expected = before.clone();
            let [added, changed] = made(&mut expected, &rows, wanted.update);
            let (mut file, mut bad) = ("Phone Number,carrier,MRC,Comment\r\n".to_owned(), Vec::new());
            for (text, row) in &rows {
                if matches!(row, FileRow::Bad) {
                    bad.push(1 + file.matches('\n').count() as u64);
                }
                file += text;
            }
            let (mut named, origin) = (Vec::new(), Origin { file: "a file", operator: "Anna" });
            let heard = |event: Event<'_>| {
                if let Event::Bad(BadRow { line, .. }) = event {
                    named.push(line);
                }
                Ok::<_, Denied<_>>(())
            };
            let file = Cursor::new(file);
            let imported = import(&world.db, &world.clock, file, Reading::default(), wanted, origin, heard).await;
            let after = stock(world).await;
            if rows.iter().any(|(_, row)| matches!(row, FileRow::Endless)) {
                assert!(imported.is_err() && after == before);
                return;
            }
            assert_eq!(named, bad);
            if bad.is_empty() || wanted.skip_bad || wanted.dry_run {
                let imported = imported.expect("an import");
                let known = (rows.len() - bad.len()) as u64 - added;
                let counts = [imported.added, imported.already_known, imported.changed, imported.rejected];
                assert_eq!(counts, [added, known, changed, bad.len() as u64]);
                assert_eq!(imported.id.is_some(), !wanted.dry_run);
                assert_eq!(after, if wanted.dry_run { before } else { expected });
            } else {
                assert!(imported.is_err() && after == before);
            }
        });
    });
}
