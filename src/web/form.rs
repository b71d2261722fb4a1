//! The body of a request that changes something: a form of limited size, read strictly.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use futures_util::StreamExt;

use super::deadline::Deadline;
use super::frame::Face;
use super::multipart;
use super::params::Params;
use super::refused::{Fault, Refused};

/// The largest body that is read.
pub const LARGEST_BODY: usize = 16 * 1024;

const URL_ENCODED: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

/// Reads the form of a request.
///
/// # Errors
/// If the body does not come in time, is too large, is not a form, or cannot be read.
pub async fn form(
    request: &HttpRequest,
    mut payload: Payload,
    face: &Face,
    deadline: &Deadline,
    longest: Duration,
) -> Result<Params, Refused> {
    let body = body(request, &mut payload, deadline, longest).await?;
    parsed(request, body, face).await
}

/// Reads a form that has arrived.
///
/// # Errors
/// If it is not a form, or cannot be read.
pub async fn parsed(request: &HttpRequest, body: Vec<u8>, face: &Face) -> Result<Params, Refused> {
    match content_type(request).as_deref() {
        _ if body.is_empty() => Ok(Params::default()),
        Some(URL_ENCODED) | None => url_encoded(&body),
        Some(MULTIPART) if face.reads_multipart => multipart::parse(request.headers(), body).await,
        Some(_) => Err(Refused::NotAForm),
    }
}

fn url_encoded(body: &[u8]) -> Result<Params, Refused> {
    has_no_line_feed(body)?;
    if matches!(body.first(), Some(b'{' | b'[')) {
        return Err(Fault::Json.into());
    }
    Params::parse(body)
}

/// Reads the body of a request, whatever it is.
///
/// # Errors
/// If it does not come in time, is too large, or is compressed.
pub async fn body(
    request: &HttpRequest,
    payload: &mut Payload,
    deadline: &Deadline,
    longest: Duration,
) -> Result<Vec<u8>, Refused> {
    if !is_unencoded(request) {
        return Err(Refused::Encoded);
    }
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > LARGEST_BODY) {
        return Err(Refused::BodyTooLarge);
    }
    deadline.wait(longest, read(payload)).await.map_err(Fault::SlowBody)?
}

/// Reads the whole body. The rest of one that is too large is not read.
async fn read(payload: &mut Payload) -> Result<Vec<u8>, Refused> {
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Fault::CutBody)?;
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(Refused::BodyTooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A form has no lines. A line feed of a file or here-document would become part of the last value, and a second line
/// part of the first one's.
fn has_no_line_feed(body: &[u8]) -> Result<(), Fault> {
    let ends_line = |byte: &u8| matches!(byte, b'\n' | b'\r');
    match body.iter().rposition(ends_line) {
        None => Ok(()),
        Some(last) if last + 1 == body.len() => Err(Fault::LineFeedAtEnd),
        Some(_) => Err(Fault::LineFeed),
    }
}

fn is_unencoded(request: &HttpRequest) -> bool {
    let encodings = request.headers().get_all(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
    encodings
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .all(|encoding| encoding.is_empty() || encoding.eq_ignore_ascii_case("identity"))
}

/// Without parameters. `None` if there is none: old clients send forms without it.
fn content_type(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(CONTENT_TYPE)?;
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}
