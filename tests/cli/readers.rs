//! Clients that ask for long answers and do not read them: their cost for the process and for others.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use futures_util::stream::iter;
use reqwest::Client;

use crate::home::{Home, MONITORED, Running, eventually, fetch};
use crate::monitoring::samples;

/// An account with numbers whose page is very long.
pub struct Account {
    pub sid: String,
    pub token: String,
}

impl Account {
    pub fn new(home: &Home, balance: &str) -> Self {
        let account = home.json(&["account", "create", "--name", "Acme", "--balance", balance]);
        let [sid, token] = ["sid", "auth_token"].map(|name| account[name].as_str().expect(name).to_owned());
        Self { sid, token }
    }

    fn numbers(&self) -> String {
        format!("/2008-08-01/Accounts/{}/IncomingPhoneNumbers", self.sid)
    }

    /// A request for a page of 1,000.
    pub fn request(&self) -> String {
        let (path, credentials) = (self.numbers(), STANDARD.encode(format!("{}:{}", self.sid, self.token)));
        format!(
            "GET {path}?PageSize=1000 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Basic {credentials}\r\n\r\n"
        )
    }

    fn get(&self, server: &Running, path: &str) -> (u16, String) {
        fetch(Client::new().get(format!("{}{path}", server.site())).basic_auth(&self.sid, Some(&self.token)))
    }
}

/// An account that holds `count` numbers, each with four URLs of the greatest length, all of this character.
pub fn account_with_long_page(home: &Home, server: &Running, numbers: usize, character: char) -> Account {
    let account = Account::new(home, "2000.00");
    home.json(&["inventory", "add", &format!("4158670000-{}", 4_158_670_000 + numbers - 1)]);
    let (client, url) = (Client::new(), format!("{}{}/Local", server.site(), account.numbers()));
    let buy = async |_| {
        let purchase = client.post(&url).basic_auth(&account.sid, Some(&account.token)).send().await;
        assert_eq!(purchase.expect("an answer").status(), 201);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { iter(0..numbers).map(buy).buffered(8).for_each(async |()| ()).await });
    let start = "http://example.com/?";
    let url = start.to_owned() + &character.to_string().repeat(2048 - start.len());
    home.sql(&format!(
        "update tenancies set url = '{url}', sms_url = '{url}', voice_fallback_url = '{url}', sms_fallback_url = '{url}',
        method = 'GET', sms_method = 'GET', voice_fallback_method = 'GET', sms_fallback_method = 'GET'"
    ))
    .expect("it is done");
    account
}

/// One account's share of the memory for pages, in bytes: a third of three quarters of 128 MiB.
const SHARE: f64 = 32.0 * 1024.0 * 1024.0;

/// The peak of the server's memory, in MiB.
fn peak(server: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

/// The second slowest of a hundred requests.
fn p99(server: &Running, account: &Account) -> Duration {
    let path = format!("/2008-08-01/Accounts/{}/Balance", account.sid);
    let ask = |_| {
        let begun = Instant::now();
        assert_eq!(account.get(server, &path).0, 200);
        begun.elapsed()
    };
    let mut times: Vec<_> = (0..100).map(ask).collect();
    times.sort();
    times[98]
}

fn attribute<'a>(page: &'a str, name: &str) -> &'a str {
    let start = format!(" {name}=\"");
    page.split(&start).nth(1).and_then(|rest| rest.split('"').next()).expect("an attribute")
}

#[test]
#[cfg(target_os = "linux")]
fn who_does_not_read_costs_the_process_little_and_the_others_nothing() {
    let home = Home::new();
    let server = home.start_as(&MONITORED, &[]);
    let (account, other) = (account_with_long_page(&home, &server, 1000, '"'), Account::new(&home, "1.00"));
    let alone = p99(&server, &other);
    let ask = |_| {
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        stream.write_all(account.request().as_bytes()).expect("it is sent");
        stream
    };
    let path = format!("{}?PageSize=1000", account.numbers());
    let taken = || samples(&server)["numberbank_answer_bytes"];
    let mut beside = Vec::new();
    // A busy machine is slow at times, so the quickest try counts.
    for _ in 0..3 {
        let mut unread: Vec<_> = (0..40).map(ask).collect();
        beside.push(p99(&server, &other));
        eventually("the account has its share", || {
            unread.extend((0..3).map(ask));
            // Three unread pages take 0.79 of the share, and a fourth does not fit.
            taken() > SHARE * 0.7 && account.get(&server, &path).0 == 429
        });
        assert!(taken() <= SHARE, "{}", taken());
        drop(unread);
        eventually("its room is free again", || taken() == 0.0);
    }
    assert!(
        beside.iter().any(|time| *time < alone * 5 + Duration::from_millis(300)),
        "{beside:?} instead of {alone:?}"
    );
    let peak = peak(&server);
    assert!(peak < 256, "{peak} MiB");
    // The answer can be read, whole and by pages.
    let mut seen = Vec::new();
    let mut next = format!("{}?PageSize=150", account.numbers());
    for number in 0..7 {
        let mut page = String::new();
        eventually("the page is there", || {
            let (status, text) = account.get(&server, &next);
            page = text;
            status == 200
        });
        let count = if number < 6 { 150 } else { 100 };
        let places = ["page", "numpages", "total", "start", "end"].map(|name| attribute(&page, name).to_owned());
        assert_eq!(places, [number, 7, 1000, number * 150, number * 150 + count - 1].map(|place| place.to_string()));
        seen.extend(page.split("<Sid>").skip(1).map(|rest| rest[..34].to_owned()));
        next = attribute(&page, "nextpageuri").replace("&amp;", "&");
    }
    assert_eq!(next, "");
    let mut whole = String::new();
    eventually("the whole list is there", || {
        let (status, text) = account.get(&server, &path);
        whole = text;
        status == 200
    });
    assert_eq!((attribute(&whole, "numpages"), attribute(&whole, "end")), ("1", "999"));
    let all: Vec<_> = whole.split("<Sid>").skip(1).map(|rest| rest[..34].to_owned()).collect();
    assert!(all == seen && seen.len() == 1000, "{} and {}", all.len(), seen.len());
    let peak = self::peak(&server);
    assert!(peak < 256, "{peak} MiB");
    println!("{peak} MiB; {beside:?} instead of {alone:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn who_sends_many_requests_at_once_costs_the_process_little() {
    let home = Home::new();
    let server = home.start("serve", &[]);
    let other = Account::new(&home, "1.00");
    // Without credentials: as many heads as actix-http reads at once, and more behind them.
    for request in ["GET / HTTP/1.1\r\nHost:x\r\n\r\n", "GET /docs/errors/21452 HTTP/1.1\r\nHost:x\r\n\r\n"] {
        let crowd = request.repeat(9400);
        let send = |_| {
            let mut stream = TcpStream::connect(server.address()).expect("a connection");
            stream.set_nonblocking(true).expect("a socket");
            // As much as the system buffers at once is enough.
            let _ = stream.write(crowd.as_bytes()).expect("some of it is sent");
            stream
        };
        let unread: Vec<_> = (0..40).map(send).collect();
        p99(&server, &other);
        drop(unread);
    }
    let peak = peak(&server);
    assert!(peak < 64, "{peak} MiB");
}
