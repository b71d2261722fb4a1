//! The pages that `MoreInfo` leads to: one for each error code, with cause and remedy.

use actix_web::{HttpResponse, web};

use crate::error::{Code, Result, not_found};

/// `GET /docs/errors/{code}`
///
/// # Errors
/// 20404 for a number that is no code.
pub async fn show(number: web::Path<String>) -> Result<HttpResponse> {
    let code = number.parse().ok().and_then(Code::from_number);
    // One page a code, under one name: `+21452` is not another.
    let code = code.filter(|code| code.number().to_string() == *number).ok_or_else(not_found)?;
    let (number, status, title) = (code.number(), code.status(), code.title());
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Error {number}: {title}</title>\n\
        <h1>Error {number}: {title}</h1>\n<p>HTTP status {status}</p>\n\
        <h2>Cause</h2>\n<p>{}</p>\n<h2>Remedy</h2>\n<p>{}</p>\n</html>\n",
        code.cause(),
        code.remedy()
    );
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(page))
}
