//! The page at `/`: what this server is, and the error codes of its API.

use std::fmt::Write;

use actix_web::HttpResponse;

use crate::api::{v2008, v2010};
use crate::web::codes::Code;
use crate::web::pages::{of_error, page};

/// `GET /`
pub async fn front() -> HttpResponse {
    let mut body = format!(
        "<p>numberbank {} is a phone number registry. It speaks Twilio's API for IncomingPhoneNumbers in the versions \
        2008-08-01 and 2010-04-01, below <code>{v2008}/Accounts/{{AccountSid}}</code> and \
        <code>{v2010}/Accounts/{{AccountSid}}</code>, with the AccountSid as user name and the AuthToken as \
        password.</p>\n<h2>Errors</h2>\n<ul>\n",
        env!("CARGO_PKG_VERSION"),
        v2008 = v2008::TREE,
        v2010 = v2010::TREE
    );
    for code in Code::ALL {
        let (path, number, title) = (of_error(code.number().into()), code.number(), code.title());
        let _ = writeln!(body, "<li><a href=\"{path}\">{number}: {title}</a></li>");
    }
    body.push_str("</ul>\n");
    page("numberbank", &body)
}
