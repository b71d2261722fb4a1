//! Callbacks against real sockets: what is sent, whom it may reach, and how each thing that can go wrong is told.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use numberbank::callbacks::{Allowed, Ask, Callbacks, Cookies, Delivery, Failure, LONGEST_BODY, Policy, Tls, Why};
use numberbank::values::text::Method::{self, Get, Post};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

const TOKEN: &str = "12345";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: Text/XML; charset=utf-8\r\nContent-Length: 11\r\n\r\n<Response/>";

fn now() -> DateTime<Utc> {
    "2026-01-31T12:00:00Z".parse().expect("a time")
}

/// What a program does with a request.
enum Reply {
    Say(String),
    /// And then nothing more, without an end.
    Hang(String),
    /// Again and again, with these pauses.
    Drip(&'static str, Duration),
}

fn say(text: &str) -> Reply {
    Reply::Say(text.to_owned())
}

fn redirect(status: u16, to: &str) -> Reply {
    Reply::Say(format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"))
}

/// A tenant's program.
struct Program {
    address: SocketAddr,
    /// The requests, heads and bodies together.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Program {
    async fn new(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::over(None, answer).await
    }

    async fn over(tls: Option<TlsAcceptor>, answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (noted, answer) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, answer, tls) = (Arc::clone(&noted), Arc::clone(&answer), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &noted, &*answer).await,
                        Some(tls) => serve(tls.accept(stream).await?, &noted, &*answer).await,
                    }
                });
            }
        });
        Self { address, asked }
    }

    /// A URL of it, with this after the port.
    fn url(&self, rest: &str) -> String {
        format!("http://{}{rest}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("a list"))
    }

    /// The first lines of what it was asked since the last look.
    fn lines(&self) -> Vec<String> {
        self.asked().iter().map(|asked| asked.lines().next().unwrap_or_default().to_owned()).collect()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    noted: &Mutex<Vec<String>>,
    answer: &(dyn Fn(&str) -> Reply + Send + Sync),
) -> io::Result<()> {
    let mut asked = String::new();
    let length = |head: &str| header(head, "Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while asked.split_once("\r\n\r\n").is_none_or(|(head, body)| body.len() < length(head)) {
        let mut some = [0; 4096];
        let read = stream.read(&mut some).await?;
        if read == 0 {
            return Ok(());
        }
        asked.push_str(&String::from_utf8_lossy(&some[..read]));
    }
    noted.lock().expect("a list").push(asked.clone());
    match answer(&asked) {
        Reply::Say(text) => stream.write_all(text.as_bytes()).await?,
        Reply::Hang(text) => {
            stream.write_all(text.as_bytes()).await?;
            let _ = stream.read(&mut [0]).await;
        }
        Reply::Drip(text, pause) => loop {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await?;
            sleep(pause).await;
        },
    }
    stream.shutdown().await
}

fn header<'a>(asked: &'a str, name: &str) -> Option<&'a str> {
    let lines = asked.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.split_once(": ")).find(|(found, _)| *found == name).map(|(_, value)| value)
}

fn policy(rules: &[&str], own: &[SocketAddr]) -> Policy {
    let rules = rules.iter().map(|rule| rule.parse::<Allowed>().expect("a rule")).collect();
    Policy::new(rules, own.to_vec())
}

fn callbacks() -> Callbacks {
    Callbacks::new(policy(&["loopback"], &[]), None).expect("certificates")
}

/// All names lead to the loopback address.
fn with_names() -> Callbacks {
    callbacks().with_lookup(|_: &str, port: u16| Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]))
}

fn form(parameters: &[(&str, &str)]) -> Vec<(String, String)> {
    parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn send(callbacks: &Callbacks, method: Method, url: &str) -> Delivery {
    send_with(callbacks, method, url, &mut Cookies::new(), now()).await
}

async fn send_with(
    callbacks: &Callbacks,
    method: Method,
    url: &str,
    cookies: &mut Cookies,
    now: DateTime<Utc>,
) -> Delivery {
    let parameters = form(&[("CallSid", "CA1"), ("From", "+14155551212")]);
    callbacks.send(&Ask { method, url, parameters: &parameters, token: TOKEN }, cookies, now).await
}

#[track_caller]
fn assert_fails(delivery: &Delivery, failure: &Failure) {
    assert_eq!(delivery.failure.as_ref(), Some(failure), "{delivery:?}");
}

// What is sent

#[tokio::test]
async fn a_delivery_says_what_was_sent_and_answered() {
    let program = Program::new(|_| say(OK)).await;
    let (address, callbacks) = (program.address, callbacks());
    let delivery = send(&callbacks, Post, &program.url("/voice?x=1#rt=5000")).await;
    let asked = program.asked().remove(0);
    let expected = format!(
        "POST /voice?x=1 HTTP/1.1\r\nHost: {address}\r\nUser-Agent: TwilioProxy/1.1\r\nAccept: */*\r\nConnection: close\r\n\
         X-Twilio-Signature: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 31\r\n\r\n\
         CallSid=CA1&From=%2B14155551212",
        delivery.signature
    );
    assert_eq!(asked, expected);
    assert_eq!(delivery.failure, None, "{delivery:?}");
    assert_eq!((delivery.method, delivery.url, delivery.tries), (Post, program.url("/voice?x=1"), 1));
    assert_eq!((delivery.address, delivery.status, delivery.body), (Some(address), Some(200), b"<Response/>".to_vec()));
    assert_eq!(delivery.headers[0], ("content-type".to_owned(), "Text/XML; charset=utf-8".to_owned()));

    let delivery = send(&callbacks, Get, &program.url("/voice?x=1")).await;
    let query = "/voice?x=1&CallSid=CA1&From=%2B14155551212";
    let asked = program.asked().remove(0);
    assert!(asked.starts_with(&format!("GET {query} HTTP/1.1\r\n")) && asked.ends_with("\r\n\r\n"), "{asked}");
    assert_eq!((&delivery.url, header(&asked, "Content-Type")), (&program.url(query), None));
    assert_eq!(header(&asked, "X-Twilio-Signature"), Some(&*delivery.signature));
}

#[tokio::test]
async fn redirects_are_followed_as_browsers_do_and_each_signs_its_own_url() {
    let program = Program::new(|asked| match asked.split([' ', '?']).nth(1) {
        Some(path) if path.len() == 4 => redirect(path[1..].parse().expect("a status"), "next?y=2"),
        _ => say(OK),
    });
    let (program, callbacks) = (program.await, callbacks());
    for (status, again) in [(301, false), (302, false), (303, false), (307, true), (308, true)] {
        let delivery = send(&callbacks, Post, &program.url(&format!("/{status}#x"))).await;
        assert_eq!(delivery.failure, None, "{delivery:?}");
        let asked = program.asked();
        let second = if again { "POST /next?y=2 HTTP/1.1" } else { "GET /next?y=2 HTTP/1.1" };
        assert!(asked[1].starts_with(second), "{status}: {}", asked[1]);
        assert_eq!(asked[1].ends_with("CallSid=CA1&From=%2B14155551212"), again, "{status}");
        let (hop, method) = (&delivery.redirects[0], if again { Post } else { Get });
        assert_eq!((hop.method, &hop.url, hop.status), (Post, &program.url(&format!("/{status}")), status));
        assert_eq!((delivery.method, &delivery.url), (method, &program.url("/next?y=2")));
        let signatures: Vec<_> = asked.iter().filter_map(|asked| header(asked, "X-Twilio-Signature")).collect();
        assert_eq!(signatures, [&*hop.signature, &*delivery.signature]);
        assert_ne!(hop.signature, delivery.signature);
        assert_eq!(delivery.target.expect("a URL").resolve("menu"), Ok(program.url("/menu")));
    }
    let others = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n";
    let lost =
        Program::new(move |asked| if asked.contains("/file") { redirect(302, "file:///x") } else { say(others) });
    let lost = lost.await;
    assert_fails(&send(&callbacks, Get, &lost.url("/")).await, &Failure::Status(302));
    assert_fails(&send(&callbacks, Get, &lost.url("/file")).await, &Failure::BadUrl);
}

#[tokio::test]
async fn ten_redirects_are_followed_and_no_more() {
    let program = Program::new(|asked| {
        let left = asked.split(['/', '?', ' ']).nth(2).and_then(|left| left.parse().ok()).unwrap_or(0);
        if left == 0 { say(OK) } else { redirect(307, &format!("/{}", left - 1)) }
    });
    let (program, callbacks) = (program.await, callbacks());
    let delivery = send(&callbacks, Post, &program.url("/10")).await;
    assert_eq!((&delivery.failure, delivery.redirects.len(), delivery.tries), (&None, 10, 1), "{delivery:?}");
    program.asked();
    let delivery = send(&callbacks, Post, &program.url("/11")).await;
    assert_fails(&delivery, &Failure::TooManyRedirects);
    assert_eq!((delivery.redirects.len(), program.lines().len()), (10, 11));
}

#[tokio::test]
async fn credentials_are_sent_when_asked_for_and_never_across_hosts() {
    let program = Program::new(|asked| match header(asked, "Authorization") {
        _ if asked.contains(" /away") => redirect(302, &format!("http://other.example:{}/", port_of(asked))),
        _ if asked.contains(" /same") => redirect(302, "/"),
        Some("Basic bWU6c2VAY3JldA==") => say(OK),
        _ => say("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n"),
    });
    let (program, callbacks) = (program.await, with_names());
    let port = program.address.port();
    let url = |path: &str| format!("http://me:se%40cret@app.example:{port}{path}");

    let delivery = send(&callbacks, Post, &url("/")).await;
    assert_eq!((&delivery.failure, delivery.tries), (&None, 1), "{delivery:?}");
    let asked = program.asked();
    assert_eq!(asked.iter().map(|asked| header(asked, "Authorization").is_some()).collect::<Vec<_>>(), [false, true]);
    assert!(asked[1].ends_with("CallSid=CA1&From=%2B14155551212"), "{}", asked[1]);
    assert_eq!(header(&asked[0], "Host"), Some(&*format!("app.example:{port}")));
    assert!(!format!("{delivery:?}").contains("cret"), "{delivery:?}");

    assert_eq!(send(&callbacks, Get, &url("/same")).await.failure, None);
    program.asked();
    assert_fails(&send(&callbacks, Get, &url("/away")).await, &Failure::Status(401));
    let asked = program.asked();
    assert!(asked.len() == 2 && asked.iter().all(|asked| header(asked, "Authorization").is_none()), "{asked:?}");
    assert_fails(&send(&callbacks, Get, &program.url("/")).await, &Failure::Status(401));
    let wrong = format!("http://me:other@app.example:{port}/");
    assert_fails(&send(&callbacks, Get, &wrong).await, &Failure::Status(401));
}

fn port_of(asked: &str) -> &str {
    header(asked, "Host").and_then(|host| host.rsplit(':').next()).unwrap_or_default()
}

#[tokio::test]
async fn cookies_are_kept_by_the_caller() {
    let program = Program::new(|asked| match header(asked, "Cookie") {
        None => say(
            "HTTP/1.1 302 Found\r\nLocation: /b\r\nSet-Cookie: a=1; Max-Age=60\r\nSet-Cookie: b=2; HttpOnly\r\n\r\n",
        ),
        Some(_) => say(OK),
    });
    let (program, callbacks) = (program.await, with_names());
    let url = |host: &str, path: &str| format!("http://{host}.example:{}{path}", program.address.port());
    let mut cookies = Cookies::new();
    let mut sent = async |url: &str, later| {
        send_with(&callbacks, Get, url, &mut cookies, now() + TimeDelta::seconds(later)).await;
        program.asked().iter().map(|asked| header(asked, "Cookie").map(str::to_owned)).collect::<Vec<_>>()
    };
    let both = || Some("a=1; b=2".to_owned());
    assert_eq!(sent(&url("app", "/a"), 0).await, [None, both()]);
    assert_eq!(sent(&url("app", "/c"), 59).await, [both()]);
    assert_eq!(sent(&url("app", "/c"), 60).await, [Some("b=2".to_owned())]);
    // Another host has its own.
    assert_eq!(sent(&url("other", "/c"), 60).await, [None, both()]);
    assert_eq!(sent(&url("app", "/c"), 60).await, [Some("b=2".to_owned())]);
}

// Whom it may reach

#[tokio::test]
async fn an_address_in_any_spelling_is_judged_as_the_address_it_is() {
    let program = Program::new(|_| say(OK)).await;
    let port = program.address.port();
    let metadata: SocketAddr = "169.254.169.254:80".parse().expect("an address");
    let loopback = callbacks();
    for host in
        ["169.254.169.254", "2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "169.254.43518", "169。254。169。254"]
    {
        let delivery = send(&loopback, Post, &format!("http://{host}/latest/meta-data")).await;
        assert_fails(&delivery, &Failure::NotAllowed { why: Why::Never, address: metadata });
        assert_eq!((delivery.address, delivery.tries), (None, 0));
    }
    let public = Callbacks::new(policy(&["public"], &[]), None).expect("certificates");
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "localhost",
    ] {
        let delivery = send(&public, Post, &format!("http://{host}:{port}/")).await;
        assert!(matches!(delivery.failure, Some(Failure::NotAllowed { why: Why::Network, .. })), "{delivery:?}");
    }
    assert_eq!(program.asked(), Vec::<String>::new());
    // The same is reached by who may.
    for host in ["127.1", "2130706433", "[::ffff:7f00:1]"] {
        assert_eq!(send(&loopback, Post, &format!("http://{host}:{port}/")).await.failure, None, "{host}");
    }
}

#[tokio::test]
async fn a_redirect_is_judged_like_the_first_url() {
    let program = Program::new(|asked| match asked {
        _ if asked.contains(" /metadata") => redirect(307, "http://169.254.169.254/latest/meta-data"),
        _ if asked.contains(" /port") => redirect(302, "http://127.0.0.1:22/"),
        _ if asked.contains(" /ftp") => redirect(302, "ftp://127.0.0.1/"),
        _ => redirect(302, "http://elsewhere.example/"),
    });
    let (program, callbacks) = (program.await, callbacks());
    let callbacks = callbacks.with_lookup(|_: &str, port: u16| Ok(vec![SocketAddr::from(([10, 0, 0, 1], port))]));
    for (path, address, why) in [
        ("/metadata", "169.254.169.254:80", Why::Never),
        ("/port", "127.0.0.1:22", Why::Port),
        ("/name", "10.0.0.1:80", Why::Network),
    ] {
        let delivery = send(&callbacks, Post, &program.url(path)).await;
        assert_fails(&delivery, &Failure::NotAllowed { why, address: address.parse().expect("an address") });
        assert_eq!((delivery.address, delivery.status, delivery.redirects.len()), (None, None, 1));
    }
    assert_fails(&send(&callbacks, Post, &program.url("/ftp")).await, &Failure::BadUrl);
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_its_checked_address_is_asked() {
    let program = Program::new(|asked| match asked {
        _ if asked.contains(" /again") => redirect(302, "/"),
        _ => say("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
    });
    let program = program.await;
    let lookups = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lookups);
    // From the second look-up on, the name leads to where nothing may be asked.
    let callbacks = callbacks().with_lookup(move |name: &str, port: u16| {
        assert_eq!(name, "rebinding.example");
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        Ok(vec![SocketAddr::from((if first { [127, 0, 0, 1] } else { [169, 254, 169, 254] }, port))])
    });
    let url = |rest: &str| format!("http://rebinding.example:{}{rest}", program.address.port());
    let delivery = send(&callbacks, Post, &url("/#rc=2&rp=5xx")).await;
    assert_fails(&delivery, &Failure::Status(503));
    assert_eq!((delivery.tries, delivery.address), (3, Some(program.address)));
    assert_eq!((lookups.load(Ordering::SeqCst), program.lines().len()), (1, 3));
    // A redirect is another request: it is looked up, and judged, from the start.
    lookups.store(0, Ordering::SeqCst);
    let delivery = send(&callbacks, Post, &url("/again")).await;
    assert!(matches!(delivery.failure, Some(Failure::NotAllowed { why: Why::Never, .. })), "{delivery:?}");
    assert_eq!((lookups.load(Ordering::SeqCst), program.lines().len()), (2, 1));
}

#[tokio::test]
async fn one_bad_address_refuses_the_name() {
    let program = Program::new(|_| say(OK)).await;
    let (port, bad) = (program.address.port(), "10.0.0.1");
    let lookup = move |name: &str, port: u16| match name {
        "none.example" => Ok(Vec::new()),
        "unknown.example" => Err(io::Error::other("no such name")),
        _ => {
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::new(bad.parse().expect("an address"), port)])
        }
    };
    let callbacks = callbacks().with_lookup(lookup);
    let delivery = send(&callbacks, Post, &format!("http://app.example:{port}/")).await;
    let address = SocketAddr::new(bad.parse().expect("an address"), port);
    assert_fails(&delivery, &Failure::NotAllowed { why: Why::Network, address });
    let refused = delivery;
    for name in ["none", "unknown"] {
        let delivery = send(&callbacks, Post, &format!("http://{name}.example:{port}/")).await;
        assert_fails(&delivery, &Failure::NotFound);
        // The tenant cannot tell an address that is not allowed from an unknown name.
        let told = |delivery: &Delivery| {
            (delivery.failure.as_ref().map(ToString::to_string), delivery.address, delivery.status, delivery.tries)
        };
        assert_eq!(told(&delivery), told(&refused));
    }
    assert_eq!(program.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn own_listeners_are_not_reached() {
    let program = Program::new(|_| say(OK)).await;
    let port = program.address.port();
    let all = ["loopback", "0.0.0.0/0", "::/0", "0.0.0.0/8", "::/128", "localhost:80"];
    for own in [program.address, SocketAddr::from(([0, 0, 0, 0], port))] {
        let callbacks = Callbacks::new(policy(&all, &[own]), None).expect("certificates");
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "0"] {
            let delivery = send(&callbacks, Post, &format!("http://{host}:{port}/")).await;
            assert!(
                matches!(delivery.failure, Some(Failure::NotAllowed { why: Why::Own, .. })),
                "{host}: {delivery:?}"
            );
        }
    }
    // Without that, the system would have led each of them there.
    let open = Callbacks::new(policy(&all, &[]), None).expect("certificates");
    assert_eq!(send(&open, Post, &format!("http://0.0.0.0:{port}/")).await.failure, None);
    assert_eq!(program.lines().len(), 1);
}

// What can go wrong

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    let program = Program::new(|asked| match asked {
        _ if asked.contains(" /fits") => Reply::Say(format!("HTTP/1.0 200 OK\r\n\r\n{}", "x".repeat(LONGEST_BODY))),
        _ if asked.contains(" /error") => {
            Reply::Say(format!("HTTP/1.0 500 No\r\n\r\n{}", "x".repeat(2 * LONGEST_BODY)))
        }
        // It never ends.
        _ => Reply::Drip("HTTP/1.0 200 OK\r\n\r\n", Duration::ZERO),
    });
    let (program, callbacks) = (program.await, callbacks());
    let delivery = send(&callbacks, Get, &program.url("/fits")).await;
    assert_eq!((&delivery.failure, delivery.body.len()), (&None, LONGEST_BODY));
    let delivery = send(&callbacks, Get, &program.url("/endless")).await;
    assert_fails(&delivery, &Failure::TooLarge);
    assert_eq!((delivery.body.len(), delivery.status), (LONGEST_BODY, Some(200)));
    let delivery = send(&callbacks, Get, &program.url("/error")).await;
    assert_fails(&delivery, &Failure::Status(500));
    assert_eq!(delivery.body.len(), LONGEST_BODY);
}

#[tokio::test]
async fn patience_is_what_the_url_says() {
    let program = Program::new(|asked| match asked {
        _ if asked.contains(" /head") => Reply::Hang(String::new()),
        _ if asked.contains(" /body") => Reply::Hang("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx".to_owned()),
        _ if asked.contains(" /drip") => {
            Reply::Drip("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", Duration::from_millis(50))
        }
        _ => say(OK),
    });
    let (program, callbacks) = (program.await, callbacks());
    for (rest, status, tries, shortest) in [
        ("/head#rt=150", None, 1, 150),
        ("/body#rt=150", Some(200), 1, 150),
        // Each part comes in time, but not all.
        ("/drip#rt=100&tt=400", Some(200), 1, 400),
        ("/head#rt=100&rc=1&rp=rt", None, 2, 200),
        ("/head#rt=5000&tt=300&rc=5&rp=all", None, 1, 300),
    ] {
        let begun = Instant::now();
        let delivery = send(&callbacks, Post, &program.url(rest)).await;
        assert_fails(&delivery, &Failure::TooSlow);
        assert_eq!((delivery.status, delivery.tries), (status, tries), "{rest}");
        let (took, shortest) = (begun.elapsed(), Duration::from_millis(shortest));
        assert!(took >= shortest && took < shortest + Duration::from_secs(3), "{rest}: {took:?}");
        assert!(delivery.took >= shortest && delivery.took <= took, "{rest}: {:?}", delivery.took);
    }
    // A look-up that takes long.
    let slow = callbacks.with_lookup(|_: &str, _: u16| {
        std::thread::sleep(Duration::from_millis(400));
        Ok(Vec::new())
    });
    assert_fails(&send(&slow, Post, "http://slow.example/#tt=100").await, &Failure::TooSlow);
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_tried_twice() {
    let callbacks = callbacks();
    let closed = Program::new(|_| say(OK)).await.address;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let free = socket.local_addr().expect("an address");
    assert_ne!(closed, free);
    for (rest, tries) in [("/", 2), ("/#rc=0", 1), ("/#rc=5", 6), ("/#rp=5xx", 1)] {
        let delivery = send(&callbacks, Post, &format!("http://{free}{rest}")).await;
        assert_fails(&delivery, &Failure::Refused);
        assert_eq!((delivery.tries, delivery.address), (tries, Some(free)), "{rest}");
    }
    // A queue of connections that is full: the system answers no more.
    let listener = socket.listen(0).expect("a listener");
    let _queued: Vec<TcpStream> = vec![TcpStream::connect(free).await.expect("a connection")];
    let delivery = send(&callbacks, Post, &format!("http://{free}/#ct=100")).await;
    assert_fails(&delivery, &Failure::ConnectTimedOut);
    assert_eq!(delivery.tries, 2);
    assert!(delivery.took >= Duration::from_millis(200), "{:?}", delivery.took);
    drop(listener);
}

#[tokio::test]
async fn the_next_address_is_asked_where_one_refuses() {
    let program = Program::new(|_| say(OK)).await;
    let lookup =
        |_: &str, port: u16| Ok(["::1", "127.0.0.1"].map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).to_vec());
    let delivery =
        send(&callbacks().with_lookup(lookup), Post, &format!("http://localhost:{}/", program.address.port())).await;
    assert_eq!((delivery.failure, delivery.address, delivery.tries), (None, Some(program.address), 1));
}

#[tokio::test]
async fn what_is_cut_or_broken_is_told_apart() {
    let many: String = (0..101).map(|index| format!("x{index}: y\r\n")).collect();
    let long = "y".repeat(40_000);
    let cases = [
        ("/nothing", String::new(), Failure::Cut, None),
        ("/line", "HTTP/1.1 20".to_owned(), Failure::Cut, None),
        ("/head", "HTTP/1.1 200 OK\r\nA: b\r\n".to_owned(), Failure::Cut, None),
        ("/body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx".to_owned(), Failure::Cut, Some(200)),
        ("/chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab".to_owned(), Failure::Cut, Some(200)),
        ("/ssh", "SSH-2.0-OpenSSH_9.2\r\n".to_owned(), Failure::Broken, None),
        ("/status", "HTTP/1.1 abc OK\r\n\r\n".to_owned(), Failure::Broken, None),
        ("/version", "HTTP/9.9 200 OK\r\n\r\n".to_owned(), Failure::Broken, None),
        ("/name", "HTTP/1.1 200 OK\r\na b: c\r\n\r\n".to_owned(), Failure::Broken, None),
        (
            "/size",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n".to_owned(),
            Failure::Broken,
            Some(200),
        ),
        ("/many", format!("HTTP/1.1 200 OK\r\n{many}\r\n"), Failure::Broken, None),
        ("/long", format!("HTTP/1.1 200 OK\r\nx: {long}\r\n\r\n"), Failure::Broken, None),
        ("/missing", "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno".to_owned(), Failure::Status(404), Some(404)),
        ("/half", "HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nno".to_owned(), Failure::Status(500), Some(500)),
    ];
    let answers: Vec<_> = cases.iter().map(|(path, answer, ..)| (format!(" {path} "), answer.clone())).collect();
    let program = Program::new(move |asked| {
        let answer = answers.iter().find(|(path, _)| asked.contains(path)).map(|(_, answer)| answer.clone());
        Reply::Say(answer.expect("a case"))
    });
    let (program, callbacks) = (program.await, callbacks());
    for (path, _, failure, status) in cases {
        let delivery = send(&callbacks, Post, &program.url(path)).await;
        assert_fails(&delivery, &failure);
        assert_eq!((delivery.status, delivery.tries), (status, 1), "{path}");
        assert_eq!(program.lines(), [format!("POST {path} HTTP/1.1")]);
    }
    for url in ["", "voice", "ftp://127.0.0.1/", "http://", "http://a b/"] {
        assert_fails(&send(&callbacks, Post, url).await, &Failure::BadUrl);
    }
}

#[tokio::test]
async fn what_may_be_tried_again_is_what_the_url_says() {
    let count = AtomicUsize::new(0);
    let program = Program::new(move |asked| match count.fetch_add(1, Ordering::SeqCst) % 2 {
        0 if asked.contains(" /404") => say("HTTP/1.1 404 No\r\nSet-Cookie: a=1\r\n\r\n"),
        0 if asked.contains(" /500") => say("HTTP/1.1 500 No\r\n\r\n"),
        0 => say(""),
        _ => say(OK),
    });
    let (program, callbacks) = (program.await, callbacks());
    for rest in ["/404#rp=4xx", "/500#rp=ct,5xx", "/cut#rp=all"] {
        let delivery = send(&callbacks, Post, &program.url(rest)).await;
        assert_eq!((&delivery.failure, delivery.tries, delivery.status), (&None, 2, Some(200)), "{delivery:?}");
        let asked = program.asked();
        assert!(asked.len() == 2 && asked[1].ends_with("CallSid=CA1&From=%2B14155551212"), "{asked:?}");
    }
}

// TLS

/// A certificate of `localhost` that is valid until the end of this year, and its server.
async fn secure(until: i32) -> (Program, String) {
    let mut parameters = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    parameters.not_after = date_time_ymd(until, 12, 31);
    let key = KeyPair::generate().expect("a key");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let private = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = config.with_single_cert(vec![certificate.der().clone()], private).expect("a pair");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    (Program::over(Some(acceptor), |_| say(OK)).await, certificate.pem())
}

#[tokio::test]
async fn a_certificate_must_be_trusted_current_and_of_the_name() {
    let (current, pem) = secure(2100).await;
    let (expired, old) = secure(2020).await;
    let trusting = |pem: &str| {
        let callbacks = Callbacks::new(policy(&["loopback"], &[]), Some(pem.as_bytes())).expect("a certificate");
        callbacks.with_lookup(|_: &str, port: u16| Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]))
    };
    let url = |program: &Program, name: &str| format!("https://{name}:{}/voice", program.address.port());
    let delivery = send(&trusting(&pem), Post, &url(&current, "localhost")).await;
    assert_eq!((delivery.failure, delivery.url.as_str()), (None, "https://localhost/voice"));
    let host = format!("localhost:{}", current.address.port());
    assert_eq!(header(&current.asked()[0], "Host"), Some(&*host));

    for (callbacks, program, name, tls) in [
        (with_names(), &current, "localhost", Tls::NoPath),
        (trusting(&old), &current, "localhost", Tls::NoPath),
        (trusting(&pem), &current, "other.example", Tls::Name),
        (trusting(&pem), &current, "127.0.0.1", Tls::Name),
        (trusting(&old), &expired, "localhost", Tls::Expired),
    ] {
        let delivery = send(&callbacks, Post, &url(program, name)).await;
        assert_fails(&delivery, &Failure::Tls(tls));
        assert_eq!((delivery.status, delivery.tries), (None, 1));
    }
    // Not TLS at all.
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let url = format!("https://localhost:{}/", plain.local_addr().expect("an address").port());
    let greets = async {
        let (mut stream, _) = plain.accept().await.expect("a connection");
        stream.write_all(b"220 ready\r\n").await.expect("it is sent");
        stream
    };
    let callbacks = with_names();
    let (delivery, _stream) = tokio::join!(send(&callbacks, Post, &url), greets);
    assert!(matches!(delivery.failure, Some(Failure::Tls(Tls::Other(_)))), "{delivery:?}");
    assert!(current.asked().is_empty() && expired.asked().is_empty());
}
