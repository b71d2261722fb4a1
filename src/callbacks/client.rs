//! One delivery, from its URL to its answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue, LOCATION, SET_COOKIE,
    USER_AGENT,
};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::overrides::{Cause, Overrides};
use super::signature::signature;
use super::target::{NotAUrl, Target, form};
use super::{Ask, Callbacks, Cookies, Delivery, Failure, Hop, tls};
use crate::values::text::Method;

/// The longest body that an answer may have, in bytes. No more is read.
pub const LONGEST_BODY: usize = 64 * 1024;

pub const MOST_REDIRECTS: usize = 10;

/// The most headers of an answer, and the bytes of its head.
const MOST_HEADERS: usize = 100;
const LONGEST_HEAD: usize = 32 * 1024;

const SIGNATURE: HeaderName = HeaderName::from_static("x-twilio-signature");

/// Fills `delivery` with what happens, so that it is there also if the delivery fails.
pub(super) async fn deliver(
    callbacks: &Callbacks,
    ask: &Ask<'_>,
    cookies: &mut Cookies,
    now: DateTime<Utc>,
    longest: Duration,
    delivery: &mut Delivery,
) -> Result<(), Failure> {
    let (mut target, mut form) = first(ask)?;
    let overrides = target.overrides();
    let (deadline, retries) = (Instant::now() + overrides.total.min(longest), overrides.retries);
    let mut run = Run { callbacks, token: ask.token, cookies, now, overrides, deadline, retries, delivery };
    while let Some(location) = run.request(&target, form).await? {
        target = target.join(&location)?;
        form = run.redirect(form)?;
    }
    Ok(())
}

/// Names and values.
type Form<'a> = &'a [(String, String)];

/// The first request of a delivery: its target and its form.
fn first<'a>(ask: &Ask<'a>) -> Result<(Target, Form<'a>), NotAUrl> {
    let mut target = Target::read(ask.url)?;
    match ask.method {
        Method::Get => {
            target.add_query(ask.parameters);
            Ok((target, &[]))
        }
        Method::Post => Ok((target, ask.parameters)),
    }
}

/// The URL that the first request of a delivery is signed for, and its signature; `None` if the URL cannot be read.
pub(super) fn signed(ask: &Ask<'_>) -> Option<(String, String)> {
    let (target, form) = first(ask).ok()?;
    let url = target.signed();
    let signature = signature(ask.token, &url, form);
    Some((url, signature))
}

/// A delivery under way.
struct Run<'a> {
    callbacks: &'a Callbacks,
    token: &'a str,
    cookies: &'a mut Cookies,
    now: DateTime<Utc>,
    overrides: Overrides,
    /// By when all is done, look-ups, redirects and retries included: "Twilio will wait for a total of 15 seconds".
    deadline: Instant,
    /// How many are left.
    retries: u64,
    delivery: &'a mut Delivery,
}

impl Run<'_> {
    /// Asks one URL, again as long as it is worth it. Returns where a redirect leads to; all else is in the delivery.
    async fn request(&mut self, target: &Target, form: &[(String, String)]) -> Result<Option<String>, Failure> {
        self.delivery.url = target.signed();
        self.delivery.signature = signature(self.token, &self.delivery.url, form);
        self.delivery.target = Some(target.clone());
        self.delivery.address = None;
        self.forget_answer();
        let looked_up = self.callbacks.resolver.addresses(target, &self.callbacks.policy);
        let addresses = timeout_at(self.deadline, looked_up).await.map_err(|_| Failure::TooSlow)??;
        let is_first = self.delivery.redirects.is_empty();
        self.delivery.tries += u64::from(is_first);
        loop {
            match self.attempt(target, form, &addresses).await {
                Err(failure) if self.is_tried_again(&failure) => self.delivery.tries += 1,
                result => return result,
            }
        }
    }

    fn forget_answer(&mut self) {
        self.delivery.status = None;
        self.delivery.headers.clear();
        self.delivery.body.clear();
    }

    fn is_tried_again(&mut self, failure: &Failure) -> bool {
        let cause = match failure {
            Failure::Refused | Failure::Unreachable | Failure::ConnectTimedOut => Cause::Connect,
            Failure::TooSlow => Cause::Read,
            Failure::Status(400..=499) => Cause::Client,
            Failure::Status(500..=599) => Cause::Server,
            _ => Cause::Other,
        };
        let again = self.retries > 0 && self.overrides.policy.contains(&cause) && Instant::now() < self.deadline;
        self.retries -= u64::from(again);
        again
    }

    /// Notes that the last answer was a redirect. Returns the form of the next request: only 307 and 308 repeat a POST.
    fn redirect<'f>(&mut self, form: &'f [(String, String)]) -> Result<&'f [(String, String)], Failure> {
        if self.delivery.redirects.len() == MOST_REDIRECTS {
            return Err(Failure::TooManyRedirects);
        }
        let (Some(address), Some(status)) = (self.delivery.address, self.delivery.status) else {
            return Err(Failure::Broken);
        };
        let Delivery { method, url, signature, .. } = &*self.delivery;
        let hop = Hop { method: *method, url: url.clone(), signature: signature.clone(), address, status };
        self.delivery.redirects.push(hop);
        if matches!(status, 307 | 308) {
            return Ok(form);
        }
        self.delivery.method = Method::Get;
        Ok(&[])
    }

    async fn attempt(
        &mut self,
        target: &Target,
        form: &[(String, String)],
        addresses: &[SocketAddr],
    ) -> Result<Option<String>, Failure> {
        let mut answer = self.exchange(target, form, addresses, None).await?;
        if answer.response.status() == 401
            && let Some(basic) = target.basic()
        {
            answer = self.exchange(target, form, addresses, Some(basic)).await?;
        }
        if let Some(location) = location(&answer.response) {
            return Ok(Some(location));
        }
        let status = answer.response.status().as_u16();
        let read = self.read(answer.response.into_body()).await;
        if (200..300).contains(&status) { read.map(|()| None) } else { Err(Failure::Status(status)) }
    }

    /// One request and the head of its answer, on a connection of its own.
    async fn exchange(
        &mut self,
        target: &Target,
        form: &[(String, String)],
        addresses: &[SocketAddr],
        basic: Option<String>,
    ) -> Result<Answer, Failure> {
        self.forget_answer();
        let request = self.head(target, form, basic)?;
        let stream = self.connect(addresses).await?;
        let (mut sender, driver) = if target.is_https() {
            let handshake = self.callbacks.tls.connect(tls::server_name(target.host())?, stream);
            let stream = timeout_at(self.patience(), handshake).await.map_err(|_| Failure::TooSlow)?;
            speak(stream.map_err(|error| tls::failure(&error))?).await?
        } else {
            speak(stream).await?
        };
        let sent = timeout_at(self.patience(), sender.send_request(request)).await;
        let response = sent.map_err(|_| Failure::TooSlow)?.map_err(|error| broken_or_cut(&error))?;
        self.note(&response, target);
        Ok(Answer { response, _driver: driver })
    }

    fn head(
        &self,
        target: &Target,
        form_of: &[(String, String)],
        basic: Option<String>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let is_post = self.delivery.method == Method::Post;
        let body = if is_post { form(form_of) } else { String::new() };
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = if is_post { hyper::Method::POST } else { hyper::Method::GET };
        let line = PathAndQuery::try_from(target.request_target()).map_err(|_| Failure::BadUrl)?;
        *request.uri_mut() = Uri::from(line);
        let headers = request.headers_mut();
        let value = |text: String| HeaderValue::try_from(text).map_err(|_| Failure::BadUrl);
        headers.insert(HOST, value(target.authority())?);
        headers.insert(USER_AGENT, HeaderValue::from_static("TwilioProxy/1.1"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(SIGNATURE, value(self.delivery.signature.clone())?);
        if is_post {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        }
        if let Some(cookies) = self.cookies.header(target, self.now) {
            headers.insert(COOKIE, value(cookies)?);
        }
        if let Some(basic) = basic {
            headers.insert(AUTHORIZATION, value(basic)?);
        }
        Ok(request)
    }

    /// Connects to the first address that takes it. Together they have the time of one try.
    async fn connect(&mut self, addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
        let each = self.overrides.connect / addresses.len() as u32;
        let mut failure = Failure::NotFound;
        for address in addresses {
            self.delivery.address = Some(*address);
            let until = Instant::now() + each;
            failure = match timeout_at(until.min(self.deadline), TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Failure::Refused,
                Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Failure::ConnectTimedOut,
                Ok(Err(_)) => Failure::Unreachable,
                Err(_) if until <= self.deadline => Failure::ConnectTimedOut,
                Err(_) => return Err(Failure::TooSlow),
            };
        }
        Err(failure)
    }

    /// By when the next part of an answer must be here.
    fn patience(&self) -> Instant {
        self.deadline.min(Instant::now() + self.overrides.read)
    }

    fn note(&mut self, response: &Response<Incoming>, target: &Target) {
        self.delivery.status = Some(response.status().as_u16());
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
        self.delivery.headers = headers.collect();
        for value in response.headers().get_all(SET_COOKIE) {
            self.cookies.set(&text(value), target, self.now);
        }
    }

    async fn read(&mut self, mut body: Incoming) -> Result<(), Failure> {
        while let Some(frame) = timeout_at(self.patience(), body.frame()).await.map_err(|_| Failure::TooSlow)? {
            let Ok(data) = frame.map_err(|error| broken_or_cut(&error))?.into_data() else { continue };
            let fits = data.len().min(LONGEST_BODY - self.delivery.body.len());
            self.delivery.body.extend_from_slice(&data[..fits]);
            if fits < data.len() {
                return Err(Failure::TooLarge);
            }
        }
        Ok(())
    }
}

/// The head of an answer, and the task that reads its body. The connection ends with it.
struct Answer {
    response: Response<Incoming>,
    _driver: JoinSet<hyper::Result<()>>,
}

/// HTTP/1.1 on a connection.
async fn speak<S>(stream: S) -> Result<(SendRequest<Full<Bytes>>, JoinSet<hyper::Result<()>>), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = Builder::new();
    http.title_case_headers(true).max_headers(MOST_HEADERS).max_header_size(LONGEST_HEAD).max_buf_size(LONGEST_HEAD);
    let (sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(|error| broken_or_cut(&error))?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    Ok((sender, driver))
}

/// Where a redirect leads to.
fn location(response: &Response<Incoming>) -> Option<String> {
    let location =
        response.headers().get(LOCATION).filter(|_| matches!(response.status().as_u16(), 301..=303 | 307 | 308));
    location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Whether what came is not HTTP, or not all of it came.
fn broken_or_cut(error: &hyper::Error) -> Failure {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    let is_broken =
        cause.is_some_and(|cause| matches!(cause.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput));
    if error.is_parse() || is_broken { Failure::Broken } else { Failure::Cut }
}
