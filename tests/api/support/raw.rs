//! HTTP as bytes, for requests that a client library cannot send.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Account, Answer, Server};

impl Server {
    /// Sends a request line, headers and body as they are, and reads until the server hangs up.
    pub async fn raw(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let address = self.address();
        let mut request = format!("{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        let mut request = (request + "\r\n").into_bytes();
        request.extend_from_slice(body);
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(&request).await.expect("the server reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("the server answers");
        read(&answer)
    }

    /// Sends bytes that need not be HTTP, and reads all answers until the server hangs up.
    pub async fn send(&self, request: &[u8]) -> Vec<Answer> {
        let stream = TcpStream::connect(self.address()).await.expect("a connection");
        let (mut from, mut to) = stream.into_split();
        let mut received = Vec::new();
        // The server may close the connection before it has read all.
        let sending = async {
            let _ = to.write_all(request).await;
            let _ = to.shutdown().await;
        };
        let receiving = async { while from.read_buf(&mut received).await.is_ok_and(|count| count > 0) {} };
        tokio::time::timeout(Duration::from_mins(1), async { tokio::join!(sending, receiving) })
            .await
            .expect("the server hangs up");
        answers(&received, request.starts_with(b"HEAD "))
    }
}

/// A connection for several requests, one after the other.
pub struct Connection(TcpStream);

/// An answer, and its head as bytes.
pub struct Reply {
    pub head: String,
    pub answer: Answer,
}

impl Server {
    /// The address to connect to, which is also the value of a Host header.
    pub fn address(&self) -> &str {
        self.site.trim_start_matches("http://")
    }

    pub async fn open(&self) -> Connection {
        Connection(TcpStream::connect(self.address()).await.expect("a connection"))
    }
}

impl Connection {
    pub async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("the server reads");
    }

    /// Reads one answer, by its own length.
    pub async fn read(&mut self) -> Reply {
        let mut received = Vec::new();
        let reading = async {
            while !is_whole(&received) {
                let count = self.0.read_buf(&mut received).await.expect("the server answers");
                assert!(count > 0, "an answer breaks off: {:?}", String::from_utf8_lossy(&received));
            }
        };
        tokio::time::timeout(Duration::from_mins(1), reading).await.expect("an answer");
        let answer = read(&received);
        let text = String::from_utf8(received).expect("an answer in UTF-8");
        Reply { head: text.split("\r\n\r\n").next().unwrap_or_default().to_owned(), answer }
    }

    pub async fn exchange(&mut self, request: &str) -> Reply {
        self.write(request).await;
        self.read().await
    }

    /// Whether the server closes the connection without sending more.
    pub async fn is_closed(&mut self) -> bool {
        let end = self.0.read_u8();
        tokio::time::timeout(Duration::from_mins(1), end).await.expect("the server hangs up").is_err()
    }
}

impl Reply {
    /// The value of a header, by its exact name.
    pub fn exactly(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").skip(1).find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The exact names of all headers.
    pub fn names(&self) -> Vec<&str> {
        self.head.split("\r\n").skip(1).map(|line| line.split(": ").next().unwrap_or_default()).collect()
    }
}

/// Whether an answer is complete, by its own length.
fn is_whole(received: &[u8]) -> bool {
    let Some(head) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
    let length: usize = read(received).header("Content-Length").parse().unwrap_or(0);
    received.len() >= head + 4 + length
}

impl Account {
    /// The value of an Authorization header.
    pub fn authorization(&self) -> String {
        use base64::Engine;
        let credentials = format!("{}:{}", self.sid, self.token);
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials))
    }
}

/// Splits answers by their own lengths; those to HEAD have no body.
fn answers(mut received: &[u8], head: bool) -> Vec<Answer> {
    let mut all = Vec::new();
    while !received.is_empty() {
        let mut answer = read(received);
        let start = received.len() - answer.body.len();
        let length = answer.header("Content-Length").parse().unwrap_or(0);
        answer.body.truncate(if head { 0 } else { length });
        received = &received[start + answer.body.len()..];
        all.push(answer);
    }
    all
}

/// Reads an answer whose body ends with the connection.
fn read(answer: &[u8]) -> Answer {
    let text = std::str::from_utf8(answer).expect("an answer in UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let headers: HeaderMap = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").expect("a header");
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
            (name, HeaderValue::from_str(value).expect("a header's value"))
        })
        .collect();
    Answer { asked: None, status, headers, body: body.to_owned() }
}
