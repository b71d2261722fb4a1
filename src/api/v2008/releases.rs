//! Releasing on the wire.

use actix_web::HttpResponse;

use crate::error::Result;
use crate::releases::Releases;
use crate::web::caller::Call;

/// `DELETE …/IncomingPhoneNumbers/{Sid}`
pub async fn release(call: Call) -> Result<HttpResponse> {
    let releases: Releases = call.shared()?;
    releases.release(&call.db, &call.clock, call.account, call.number()?).await?;
    Ok(HttpResponse::NoContent().finish())
}
