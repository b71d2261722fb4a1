//! The pages that `MoreInfo` leads to, one for each error code.

use actix_web::{HttpResponse, web};

use super::codes::Code;
use super::refused::Refused;
use crate::error::Denied;

/// Their path.
pub const ERROR_PAGE: &str = "/docs/errors/{code}";

/// The path of a code's page.
pub fn of_error(code: u32) -> String {
    ERROR_PAGE.replace("{code}", &code.to_string())
}

/// `GET /docs/errors/{code}`
///
/// # Errors
/// [`Refused::NotFound`] for a number that is not a code.
pub async fn error(number: web::Path<String>) -> Result<HttpResponse, Denied<Refused>> {
    let code = number.parse().ok().and_then(Code::from_number);
    // One path for each page: `+21452` is not another.
    let code = code.filter(|code| code.number().to_string() == *number).ok_or(Refused::NotFound)?;
    let (number, status, title) = (code.number(), code.status(), code.title());
    let body = format!(
        "<p>HTTP status {status}</p>\n<h2>Cause</h2>\n<p>{}</p>\n<h2>Remedy</h2>\n<p>{}</p>\n",
        code.cause(),
        code.remedy()
    );
    Ok(page(&format!("Error {number}: {title}"), &body))
}

/// The answer to a path of no version.
///
/// # Errors
/// [`Refused::NotFound`], always.
pub async fn nothing() -> Result<HttpResponse, Denied<Refused>> {
    Err(Refused::NotFound.into())
}

/// An HTML page with a heading.
pub fn page(title: &str, body: &str) -> HttpResponse {
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
        <h1>{title}</h1>\n{body}</html>\n"
    );
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(page)
}
