//! Real TLS: the certificate, its renewal, and the errors of wrong ones.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rcgen::CertifiedKey;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::home::{Home, Ran, Running, eventually, within};
use crate::readers;

type Pair = CertifiedKey<rcgen::KeyPair>;

fn pair() -> Pair {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate")
}

/// Puts a certificate and its key into two files.
fn files(home: &Home, name: &str, pair: &Pair) -> [String; 2] {
    let key = home.file(&format!("{name}.key"), &pair.signing_key.serialize_pem());
    [home.file(&format!("{name}.crt"), &pair.cert.pem()), key]
}

fn arguments<'a>(verb: &'a str, [certificate, key]: &'a [String; 2]) -> [&'a str; 7] {
    [verb, "--bind", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key]
}

/// A connection that trusts this certificate and no other.
fn connect(server: &Running, trusted: &Pair) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.cert.der().clone()).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions");
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, TcpStream::connect(server.address())?))
}

/// Asks over TLS, trusting this certificate and no other.
fn get(server: &Running, trusted: &Pair, path: &str) -> io::Result<String> {
    let mut stream = connect(server, trusted)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(String::from_utf8(answer).expect("UTF-8")),
    }
}

#[test]
fn a_certificate_is_read_again_when_its_files_change() {
    let home = Home::new();
    let (first, second) = (pair(), pair());
    let paths = files(&home, "site", &first);
    let server = home.start_as(&arguments("serve", &paths), &[]);
    assert!(server.site().starts_with("https://127.0.0.1:"), "{}", server.site());
    let answer = get(&server, &first, "/2008-08-01/Accounts").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("https://localhost/docs/errors/20003"), "{answer}");
    assert!(get(&server, &second, "/").is_err(), "the certificate is really checked");

    // A pair that cannot be used is logged once, and changes nothing.
    fs::write(&paths[0], second.cert.pem()).expect("a file");
    eventually("the log tells", || server.err().contains("the certificate stays as it was"));
    get(&server, &first, "/").expect("an answer");
    fs::write(&paths[1], second.signing_key.serialize_pem()).expect("a file");
    eventually("the new one is shown", || get(&server, &second, "/").is_ok());
    assert!(get(&server, &first, "/").is_err());
    assert_eq!(server.err().matches("the certificate stays as it was").count(), 1, "{}", server.err());
    assert!(!server.err().contains("in clear"), "{}", server.err());
}

#[test]
fn a_connection_that_rests_is_cut_off() {
    let (home, pair) = (Home::new(), pair());
    let paths = files(&home, "site", &pair);
    let limits = [("NUMBERBANK_HEADER_TIMEOUT", "1"), ("NUMBERBANK_KEEP_ALIVE", "1")];
    let server = home.start_as(&arguments("serve", &paths), &limits);
    let mut stream = connect(&server, &pair).expect("a connection");
    let head = "GET /docs/errors/20404 HTTP/1.1\r\nHost: localhost\r\n";
    // A whole request, and one with an unfinished head.
    write!(stream, "{head}\r\n{head}").expect("it is sent");
    stream.sock.set_read_timeout(Some(Duration::from_millis(100))).expect("a time");
    let mut answers = Vec::new();
    eventually("the server hangs up", || {
        let read = stream.read_to_end(&mut answers).map_err(|error| error.kind());
        // The reader notices that the server has closed the connection.
        let _ = stream.write_all(b"x");
        !matches!(read, Err(ErrorKind::WouldBlock))
    });
    let answers = String::from_utf8(answers).expect("UTF-8");
    assert!(answers.starts_with("HTTP/1.1 200 ") && answers.matches("HTTP/1.1 ").count() == 1, "{answers}");
}

#[test]
fn half_handshakes_keep_nobody_out() {
    let (home, pair) = (Home::new(), pair());
    let paths = files(&home, "site", &pair);
    let server = home.start_as(&arguments("serve", &paths), &[("NUMBERBANK_MAX_CONNECTIONS", "64")]);
    let connect = |_| TcpStream::connect(server.address()).expect("a connection");
    // More than actix-tls would accept at once.
    let mut half: Vec<_> = (0..700).map(connect).collect();
    // The beginning of a handshake.
    half.iter_mut().for_each(|stream| drop(stream.write_all(&[22, 3, 1, 2, 0, 1, 0])));
    let begun = Instant::now();
    let answer = get(&server, &pair, "/2008-08-01/Accounts").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(begun.elapsed() < Duration::from_millis(2900), "it waited for handshakes: {:?}", begun.elapsed());
}

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// What a machine takes besides.
const BESIDES: Duration = Duration::from_millis(900);

#[test]
fn a_handshake_that_does_not_end_is_cut_off_after_three_seconds() {
    let (home, pair) = (Home::new(), pair());
    let server = home.start_as(&arguments("serve", &files(&home, "site", &pair)), &[]);
    // Nothing, and the beginning of a handshake.
    for sent in [&[][..], &[22, 3, 1, 2, 0, 1, 0]] {
        within(HANDSHAKE + BESIDES, "the end of half a handshake", || {
            let begun = Instant::now();
            let mut half = TcpStream::connect(server.address()).expect("a connection");
            half.set_read_timeout(Some(Duration::from_mins(1))).expect("a time");
            half.write_all(sent).expect("it is sent");
            let end = half.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
            assert!(!matches!(end, Err(ErrorKind::WouldBlock)), "the server does not hang up");
            assert!(begun.elapsed() >= HANDSHAKE, "{:?} is too soon for a slow client", begun.elapsed());
            begun.elapsed()
        });
    }
}

#[test]
fn a_client_that_reads_slowly_gets_the_whole_answer() {
    let (home, pair) = (Home::new(), pair());
    let paths = files(&home, "site", &pair);
    let limits = [("NUMBERBANK_HEADER_TIMEOUT", "3"), ("NUMBERBANK_KEEP_ALIVE", "3")];
    let account = {
        let plain = home.start("serve", &[]);
        readers::account_with_long_page(&home, &plain, 1000, 'x')
    };
    let server = home.start_as(&arguments("serve", &paths), &limits);
    let mut stream = connect(&server, &pair).expect("a connection");
    stream.write_all(account.request().as_bytes()).expect("it is sent");
    let (mut answer, mut some, begun) = (Vec::new(), [0; 8192], Instant::now());
    while let Ok(length @ 1..) = stream.read(&mut some) {
        answer.extend_from_slice(&some[..length]);
        if begun.elapsed() < Duration::from_secs(15) {
            // 24 KB a second, where 11 are required.
            let due = Duration::from_micros(answer.len() as u64 * 1_000_000 / 24_000);
            thread::sleep(due.saturating_sub(begun.elapsed()));
        }
    }
    let answer = String::from_utf8(answer).expect("UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(body.len() > 8_000_000, "{head}: {} bytes", body.len());
    let length = format!("content-length: {}\r\n", body.len());
    assert!(head.to_lowercase().contains(&length), "{head}: {} bytes", body.len());
}

#[test]
fn a_certificate_that_cannot_be_used_stops_the_start() {
    let home = Home::new();
    home.json(&["migrate"]);
    let [certificate, key] = files(&home, "one", &pair());
    let [_, other] = files(&home, "other", &pair());
    let missing = home.data_dir().join("missing.pem").display().to_string();
    let rubbish = home.file("rubbish.pem", "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----x\n");
    for (pair, says) in [
        ([&certificate, &missing], "missing.pem"),
        ([&missing, &key], "missing.pem"),
        ([&certificate, &other], "cannot be used together"),
        ([&key, &certificate], "holds no certificate"),
        ([&certificate, &certificate], "holds no private key"),
        ([&certificate, &rubbish], "rubbish.pem"),
    ] {
        let ran = home.run(&arguments("serve", &pair.map(Clone::clone)));
        ran.assert_refused(says);
        assert!(!ran.err.contains("secret"), "{ran:?}");
    }
    for (flag, file) in [("--tls-cert", &certificate), ("--tls-key", &key)] {
        home.run(&["serve", flag, file]).assert_bad_usage();
    }
}

#[test]
fn a_demo_over_tls_can_be_pasted() {
    let home = Home::new();
    let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let paths = files(&home, "it's a demo", &certificate);
    let demo = home.start_as(&arguments("demo", &paths), &[]);
    eventually("the lines to paste are there", || demo.out().contains("Balance"));
    let lines = demo.out();
    let lines: Vec<_> = lines.lines().filter(|line| line.starts_with("curl")).collect();
    assert!(lines.len() >= 4 && lines.iter().all(|line| line.contains(" https://127.0.0.1:")), "{lines:?}");
    for line in lines {
        let ran = Ran::of(Command::new("sh").args(["-c", line]).output()).done();
        assert!(!ran.out.contains("RestException"), "{line}: {ran:?}");
    }
}

#[test]
fn credentials_in_clear_are_warned_of_once() {
    let home = Home::new();
    let server = home.start_as(&["serve", "--bind", "0.0.0.0:0"], &[]);
    assert_eq!(server.err().matches("travel in clear").count(), 1, "{}", server.err());
    let local = home.start("serve", &[]);
    assert!(!local.err().contains("travel in clear"), "{}", local.err());
}
