//! Connections of clients: their slots, how slowly a client may read, and how much memory one account's answers may
//! take.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::iter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

use crate::support::slow::in_time;
use crate::support::{Account, Answer, Server, World, eventually, test};

const PATIENT: [&str; 4] = ["--header-timeout", "3600", "--keep-alive", "3600"];

/// A page that needs no account.
const REQUEST: &str = "GET /docs/errors/20404 HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A connection from an address of this machine, with a receive buffer of this size.
async fn connect_from(server: &Server, address: &str, buffer: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(buffer).expect("a buffer");
    socket.bind(SocketAddr::new(address.parse::<IpAddr>().expect("an address"), 0)).expect("an address of our own");
    socket.connect(server.site.trim_start_matches("http://").parse().expect("an address")).await.expect("a connection")
}

/// Sends the request, and reads the status of its answer; `None` if the server hangs up.
async fn ask(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 4096];
    if stream.write_all(REQUEST.as_bytes()).await.is_err() {
        return String::new();
    }
    let length = stream.read(&mut answer).await.unwrap_or_default();
    String::from_utf8_lossy(&answer[..length.min(12)]).into_owned()
}

/// Whether the server has closed the connection.
fn is_cut_off(stream: &mut TcpStream) -> bool {
    let mut some = [0; 64];
    match stream.try_read(&mut some) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

// Slots

#[test]
fn half_sent_heads_of_one_address_keep_nobody_out() {
    test(async |world| {
        let server = world.limited_server(&[&PATIENT[..], &["--max-connections", "64"]].concat());
        let mut resting = connect_from(&server, "127.0.0.2", 4096).await;
        assert_eq!(in_time(ask(&mut resting)).await, "HTTP/1.1 200");
        let mut half = Vec::new();
        for _ in 0..200 {
            let mut stream = connect_from(&server, "127.0.0.1", 4096).await;
            stream.write_all(&REQUEST.as_bytes()[..30]).await.expect("it is sent");
            half.push(stream);
        }
        // It took no slot from another address.
        for address in ["127.0.0.2", "127.0.0.3", "127.0.0.1"] {
            let begun = Instant::now();
            let mut newcomer = connect_from(&server, address, 4096).await;
            assert_eq!(in_time(ask(&mut newcomer)).await, "HTTP/1.1 200", "{address}");
            assert!(begun.elapsed() < Duration::from_secs(10), "{address} waited {:?}", begun.elapsed());
        }
        assert_eq!(in_time(ask(&mut resting)).await, "HTTP/1.1 200");
        // The oldest was closed first. The address has half of the slots, less the newcomer's.
        eventually("the oldest are cut off", async || is_cut_off(&mut half[0])).await;
        let mut left = 0;
        for stream in &mut half {
            left += usize::from(!is_cut_off(stream));
        }
        assert!((20..=32).contains(&left) && !is_cut_off(&mut half[199]), "{left} are left");
        server.stop().await;
    });
}

#[test]
fn half_sent_heads_of_many_addresses_keep_nobody_out() {
    test(async |world| {
        let server = world.limited_server(&[&PATIENT[..], &["--max-connections", "8"]].concat());
        let mut half = Vec::new();
        for address in 1..=60 {
            let mut stream = connect_from(&server, &format!("127.0.1.{address}"), 4096).await;
            stream.write_all(b"GET").await.expect("it is sent");
            half.push(stream);
        }
        for _ in 0..20 {
            let mut newcomer = connect_from(&server, "127.0.0.1", 4096).await;
            assert_eq!(in_time(ask(&mut newcomer)).await, "HTTP/1.1 200");
        }
        server.stop().await;
    });
}

/// Whether a newcomer is served when idle connections have all slots, and more of them come right after it.
async fn is_served_among_resting(server: &Server) -> bool {
    let mut resting = Vec::new();
    for place in 0..8 {
        let mut stream = connect_from(server, &format!("127.0.0.{}", place / 4 + 2), 4096).await;
        assert_eq!(in_time(ask(&mut stream)).await, "HTTP/1.1 200");
        resting.push(stream);
    }
    let mut newcomer = connect_from(server, "127.0.0.1", 4096).await;
    let _others = [connect_from(server, "127.0.0.2", 4096).await, connect_from(server, "127.0.0.2", 4096).await];
    // The server has accepted all of them by now.
    sleep(Duration::from_millis(100)).await;
    in_time(ask(&mut newcomer)).await == "HTTP/1.1 200"
}

#[test]
fn a_newcomer_has_time_to_speak_when_all_slots_are_idle() {
    test(async |world| {
        // Several tries, because a busy machine may take longer.
        eventually("a newcomer is served", async || {
            let server = world.limited_server(&[&PATIENT[..], &["--max-connections", "8"]].concat());
            let is_served = is_served_among_resting(&server).await;
            server.stop().await;
            is_served
        })
        .await;
    });
}

#[test]
fn a_connection_with_a_request_under_way_keeps_its_slot() {
    test(async |world| {
        let server =
            world.limited_server(&[&PATIENT[..], &["--max-connections", "4", "--body-timeout", "100"]].concat());
        let account = world.account("1.00").await;
        let mut stream = connect_from(&server, "127.0.0.1", 4096).await;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nAuthorization: {}\r\n\
             Content-Length: 16\r\n\r\n",
            account.path(),
            account.authorization()
        );
        stream.write_all(head.as_bytes()).await.expect("it is sent");
        in_time(stream.read_exact(&mut [0; 25])).await.expect("the server has read the head");
        let mut others = Vec::new();
        for _ in 0..40 {
            let mut other = connect_from(&server, "127.0.0.1", 4096).await;
            assert_eq!(in_time(ask(&mut other)).await, "HTTP/1.1 200");
            others.push(other);
        }
        stream.write_all(b"FriendlyName=new").await.expect("the server goes on reading");
        let mut answer = String::new();
        in_time(stream.read_to_string(&mut answer)).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        server.stop().await;
    });
}

#[test]
fn an_address_with_a_request_under_way_in_each_of_its_slots_gets_no_more() {
    test(async |world| {
        let server =
            world.limited_server(&[&PATIENT[..], &["--max-connections", "8", "--body-timeout", "100"]].concat());
        let account = world.account("1.00").await;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nAuthorization: {}\r\n\
             Content-Length: 16\r\n\r\n",
            account.path(),
            account.authorization()
        );
        let mut busy = Vec::new();
        for _ in 0..4 {
            let mut stream = connect_from(&server, "127.0.0.1", 4096).await;
            stream.write_all(head.as_bytes()).await.expect("it is sent");
            in_time(stream.read_exact(&mut [0; 25])).await.expect("the server has read the head");
            busy.push(stream);
        }
        let mut another = connect_from(&server, "127.0.0.1", 4096).await;
        assert_eq!(in_time(ask(&mut another)).await, "");
        for _ in 0..20 {
            let mut other = connect_from(&server, "127.0.0.2", 4096).await;
            assert_eq!(in_time(ask(&mut other)).await, "HTTP/1.1 200");
        }
        for stream in &mut busy {
            stream.write_all(b"FriendlyName=new").await.expect("the server goes on reading");
            let mut answer = [0; 12];
            in_time(stream.read_exact(&mut answer)).await.expect("an answer");
            assert_eq!(&answer, b"HTTP/1.1 200");
        }
        server.stop().await;
    });
}

#[test]
fn behind_a_trusted_proxy_one_address_has_all_slots() {
    test(async |world| {
        let options = [&PATIENT[..], &["--max-connections", "8", "--trust-proxy"]].concat();
        let server = world.limited_server(&options);
        let mut streams = Vec::new();
        for _ in 0..8 {
            let mut stream = connect_from(&server, "127.0.0.1", 4096).await;
            assert_eq!(in_time(ask(&mut stream)).await, "HTTP/1.1 200");
            streams.push(stream);
        }
        for stream in &mut streams {
            assert_eq!(in_time(ask(stream)).await, "HTTP/1.1 200");
        }
        server.stop().await;
    });
}

#[test]
fn a_request_to_upgrade_is_answered_at_once_as_a_plain_one() {
    test(async |world| {
        let account = world.account("1.00").await;
        let authorization = account.authorization();
        for (protocol, length) in
            [("websocket", Some(16)), ("websocket", None), ("h2c", Some(16)), ("WebSocket", Some(16))]
        {
            let begun = Instant::now();
            let mut stream = world.server.connect().await;
            let length = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
            let request = format!(
                "POST {} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\
                 Authorization: {authorization}\r\n{length}\r\nFriendlyName=new",
                account.path()
            );
            stream.write_all(request.as_bytes()).await.expect("it is sent");
            let mut answer = vec![0; 4096];
            let read = in_time(stream.read(&mut answer)).await.expect("an answer");
            let answer = String::from_utf8_lossy(&answer[..read]);
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert_eq!(
                answer.contains("<FriendlyName>new<"),
                !length.is_empty() || answer.contains(">new<"),
                "{answer}"
            );
            assert!(begun.elapsed() < Duration::from_secs(5), "{protocol} took {:?}", begun.elapsed());
        }
    });
}

// How slowly a client may read

/// An account with numbers whose page is very long.
async fn account_with_long_page(world: &World, numbers: i64, url: &str) -> Account {
    let account = world.account("2000.00").await;
    world.stock(4_158_670_000, numbers).await;
    let purchases = iter(0..numbers).map(|_| world.server.buy(&account, &[])).buffered(8);
    purchases.for_each(async |answer| assert_eq!(answer.status, 201)).await;
    set_urls(world, &account, url).await;
    account
}

/// Sets all URLs of an account's numbers; by requests it would take too long.
async fn set_urls(world: &World, account: &Account, url: &str) {
    let set =
        "update tenancies set url = $1, sms_url = $1, voice_fallback_url = $1, sms_fallback_url = $1, method = 'GET',
        sms_method = 'GET', voice_fallback_method = 'GET', sms_fallback_method = 'GET' where account_sid = $2";
    let sid: numberbank::values::sid::AccountSid = account.sid.parse().expect("a Sid");
    sqlx::query(set).bind(url).bind(sid).execute(&world.db).await.expect("it is done");
}

/// The longest possible URL, of this character.
fn long_url(of: char) -> String {
    let start = "http://example.com/?";
    let rest = 2048 - start.chars().count();
    start.to_owned() + &of.to_string().repeat(rest)
}

/// Asks for a page of 1,000, and does not read it yet.
async fn ask_for_page(server: &Server, account: &Account, ending: &str, buffer: u32) -> TcpStream {
    let mut stream = connect_from(server, "127.0.0.1", buffer).await;
    let request = format!(
        "GET {}/IncomingPhoneNumbers{ending}?PageSize=1000 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: {}\r\n\r\n",
        account.path(),
        account.authorization()
    );
    stream.write_all(request.as_bytes()).await.expect("it is sent");
    stream
}

/// Reads `rate` bytes a second for a while, and then the rest at full speed. Returns the head, and the length of the
/// body.
async fn read_slowly(mut stream: TcpStream, rate: u64, time: Duration) -> (String, usize) {
    let (mut answer, mut some, begun) = (Vec::new(), vec![0; 64 * 1024], Instant::now());
    let due = |length: usize| Duration::from_micros(length as u64 * 1_000_000 / rate);
    loop {
        let slow = begun.elapsed() < time;
        let room = if slow { 1024 } else { some.len() };
        // A reset counts as the end.
        let Ok(length @ 1..) = stream.read(&mut some[..room]).await else { break };
        answer.extend_from_slice(&some[..length]);
        if slow {
            sleep(due(answer.len()).saturating_sub(begun.elapsed())).await;
        }
    }
    let answer = String::from_utf8(answer).expect("UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_lowercase(), body.len())
}

#[test]
fn a_client_that_reads_slowly_gets_the_whole_answer() {
    test(async |world| {
        // Promised is 64 KiB in two seconds, which is 33 KB/s. The system's buffers alone would last for more than
        // eight seconds.
        let server = world.limited_server(&["--header-timeout", "1", "--keep-alive", "1"]);
        let account = account_with_long_page(world, 1000, &long_url('x')).await;
        let readers = [16 * 1024, 128 * 1024].map(async |buffer| {
            let stream = ask_for_page(&server, &account, "", buffer).await;
            let (head, length) = in_time(read_slowly(stream, 66_000, Duration::from_secs(20))).await;
            let whole = length > 8_000_000 && head.contains(&format!("content-length: {length}\r\n"));
            assert!(whole, "{length} bytes of {head}");
        });
        join_all(readers).await;
        server.stop().await;
    });
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    test(async |world| {
        let server = world.limited_server(&["--header-timeout", "1", "--keep-alive", "1"]);
        let account = account_with_long_page(world, 300, &long_url('x')).await;
        let stream = ask_for_page(&server, &account, "", 16 * 1024).await;
        eventually("the server hangs up", async || stream.try_write(b"x").is_err()).await;
        server.stop().await;
    });
}

#[test]
fn a_request_that_comes_while_the_answer_before_it_waits_is_answered() {
    test(async |world| {
        let server = world.limited_server(&PATIENT);
        let account = account_with_long_page(world, 60, &long_url('x')).await;
        let request = |path: &str, connection: &str| {
            format!(
                "GET {}{path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\nAuthorization: {}\r\n\r\n",
                account.path(),
                account.authorization()
            )
        };
        let mut stream = connect_from(&server, "127.0.0.1", 4096).await;
        let page = request("/IncomingPhoneNumbers?PageSize=60", "keep-alive");
        stream.write_all(page.as_bytes()).await.expect("it is sent");
        in_time(stream.readable()).await.expect("the answer begins");
        // By now the system's buffers are full.
        sleep(Duration::from_millis(500)).await;
        stream.write_all(request("", "close").as_bytes()).await.expect("it is sent");
        sleep(Duration::from_millis(500)).await;
        let mut answers = String::new();
        in_time(stream.read_to_string(&mut answers)).await.expect("both answers");
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 2);
        assert!(answers.ends_with("</Account></TwilioResponse>\n"), "{}", &answers[answers.len() - 99..]);
        server.stop().await;
    });
}

// Memory of heads

#[test]
fn heads_that_do_not_end_take_16_mib_of_a_thread_at_most() {
    test(async |world| {
        let server = world.limited_server(&PATIENT);
        let mut short = connect_from(&server, "127.0.0.1", 4096).await;
        short.write_all(&REQUEST.as_bytes()[..30]).await.expect("it is sent");
        let head = format!("{}X: {}", &REQUEST[..REQUEST.len() - 2], "x".repeat(20 * 1024));
        let mut long = Vec::new();
        for _ in 0..900 {
            let mut stream = connect_from(&server, "127.0.0.1", 4096).await;
            // It may be cut off meanwhile.
            let _ = stream.write_all(head.as_bytes()).await;
            long.push(stream);
        }
        // Some 815 of them have room.
        let mut cut_off = 0;
        eventually("the longest are cut off", async || {
            cut_off = long.iter_mut().filter_map(|stream| is_cut_off(stream).then_some(())).count();
            cut_off >= 75
        })
        .await;
        assert!(cut_off < 100 && !is_cut_off(&mut short), "{cut_off} are cut off");
        server.stop().await;
    });
}

// Memory of one account's answers

/// All URLs of all numbers as a page shows them, in each representation.
fn urls(ending: &str, page: &str) -> Vec<String> {
    let names = ["Url", "SmsUrl", "VoiceFallbackUrl", "SmsFallbackUrl"];
    match ending {
        ".json" => {
            let page: serde_json::Value = serde_json::from_str(page).expect("JSON");
            let numbers = page["TwilioResponse"]["IncomingPhoneNumbers"].as_array().expect("a list");
            let urls = |number: &serde_json::Value| {
                names.map(|name| number["IncomingPhoneNumber"][name].as_str().expect("a text").to_owned())
            };
            numbers.iter().flat_map(urls).collect()
        }
        ".csv" => {
            let mut reader = csv::Reader::from_reader(page.as_bytes());
            let head = reader.headers().expect("a head").clone();
            let rows = reader.records().map(|row| row.expect("a row"));
            rows.flat_map(|row| {
                names.map(|name| row[head.iter().position(|column| column == name).expect("a column")].to_owned())
            })
            .collect()
        }
        _ => {
            let texts = |name: &str| {
                let start = format!("<{name}>");
                let texts = page.split(&start).skip(1).map(|rest| rest.split('<').next().expect("a text"));
                texts.map(|text| text.replace("&amp;", "&")).collect::<Vec<_>>()
            };
            assert!(page.ends_with("</IncomingPhoneNumbers></TwilioResponse>\n"), "{}", &page[page.len() - 99..]);
            names.iter().flat_map(|name| texts(name)).collect()
        }
    }
}

#[test]
fn a_long_page_is_whole_in_each_representation() {
    test(async |world| {
        let account = account_with_long_page(world, 60, "http://example.com/").await;
        for character in ['"', '&', 'x', '\u{10348}'] {
            let url = long_url(character);
            set_urls(world, &account, &url).await;
            for ending in ["", ".json", ".csv"] {
                let path = format!("/IncomingPhoneNumbers{ending}?PageSize=59");
                let page = world.server.get(&account, &path).await;
                assert_eq!(page.header("Content-Length"), page.body.len().to_string());
                let urls = urls(ending, &page.body);
                assert!(urls.len() == 4 * 59 && urls.iter().all(|other| *other == url), "{character} in {ending}");
                let head = Answer::of(world.server.call(&account, "HEAD", &path)).await;
                assert_eq!(head.header("Content-Length"), page.header("Content-Length"));
            }
        }
    });
}

#[test]
fn answers_that_an_account_does_not_read_take_its_share_and_no_more() {
    test(async |world| {
        let patient = ["--header-timeout", "3600", "--keep-alive", "3600", "--answer-memory", "64"];
        let server = world.limited_server(&patient);
        let account = account_with_long_page(world, 1000, &long_url('"')).await;
        let other = world.account("5.00").await;
        world.stock(4_158_680_000, 2).await;
        let mut unread = Vec::new();
        for _ in 0..5 {
            unread.push(ask_for_page(&server, &account, "", 4096).await);
        }
        let page = "/IncomingPhoneNumbers?PageSize=1000";
        eventually("its share is taken", async || server.get(&account, page).await.status == 429).await;
        let refused = server.get(&account, page).await;
        refused.assert_refused(429, 20429);
        assert!(refused.header("Retry-After").parse::<u64>().is_ok_and(|seconds| seconds > 0));
        // A small page and a purchase take little, and other accounts have their own share.
        server.get(&account, "/IncomingPhoneNumbers?PageSize=1").await.assert_status(200);
        server.buy(&account, &[]).await.assert_status(201);
        server.buy(&other, &[]).await.assert_status(201);
        server.get(&other, page).await.assert_status(200);
        drop(unread);
        eventually("it is free again", async || server.get(&account, page).await.status == 200).await;
        server.stop().await;
    });
}
