//! Forms as `multipart/form-data`, as older SDKs send them: text fields only.

use actix_multipart::{Field, Multipart};
use actix_web::error::PayloadError;
use actix_web::http::header::HeaderMap;
use actix_web::web::Bytes;
use futures_util::{StreamExt, stream};

use super::params::{Params, text};
use super::refused::{Fault, Refused};

/// Reads a body whose boundary is in the headers of its request.
///
/// # Errors
/// [`Refused::Unreadable`] if the parts cannot be told apart, or one of them is not text in UTF-8.
pub async fn parse(headers: &HeaderMap, body: Vec<u8>) -> Result<Params, Refused> {
    let longest = body.len();
    let mut parts = Multipart::new(headers, stream::iter([Ok::<_, PayloadError>(Bytes::from(body))]));
    let mut pairs = Vec::new();
    while let Some(part) = parts.next().await {
        let mut part = part.map_err(|_| Fault::Parts)?;
        let name = part.name().ok_or(Fault::Parts)?.to_owned();
        if !is_text(&part) {
            return Err(Fault::NotText.into());
        }
        let value = part.bytes(longest).await.map_err(|_| Fault::Parts)?.map_err(|_| Fault::Parts)?;
        pairs.push((name, text(value.into())?));
    }
    Ok(pairs.into_iter().collect())
}

/// Whether a part is a field of text, sent as it is.
fn is_text(part: &Field) -> bool {
    let is_file = part
        .content_disposition()
        .is_some_and(|disposition| disposition.get_filename().is_some() || disposition.get_filename_ext().is_some());
    let is_plain = part.content_type().is_none_or(|kind| kind.essence_str() == "text/plain");
    let encodings = part.headers().get_all("Content-Transfer-Encoding").map(|value| value.as_bytes());
    let is_bare =
        |encoding: &[u8]| ["7bit", "8bit", "binary"].iter().any(|bare| encoding.eq_ignore_ascii_case(bare.as_bytes()));
    !is_file && is_plain && encodings.into_iter().all(is_bare)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
    use futures_util::FutureExt;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// Bodies made of pieces of forms whose boundary is `b`.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let known = vec![
            "--b\r\n",
            "--b--\r\n",
            "\r\n--b",
            "--",
            "\r\n",
            "\r\n\r\n",
            "Content-Disposition: form-data; name=\"Url\"",
            "; filename=\"a\"",
            "Content-Type: multipart/mixed; boundary=b\r\n",
            "Content-Length: 3\r\n",
            "x",
        ];
        let known = select(known).prop_map(|piece| piece.as_bytes().to_vec());
        vec(prop_oneof![9 => known, 1 => vec(any::<u8>(), 0..9)], 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused_at_once(body in hostile()) {
            let kind = HeaderValue::from_static("multipart/form-data; boundary=b");
            let headers: HeaderMap = [(CONTENT_TYPE, kind)].into_iter().collect();
            let read = parse(&headers, body).now_or_never();
            let fits = matches!(read, Some(Ok(_) | Err(Refused::Unreadable(_))));
            prop_assert!(fits, "{read:?}");
        }
    }
}
