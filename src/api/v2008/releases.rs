//! Releasing on the wire.

use actix_web::HttpResponse;

use super::Releases;
use crate::accounts::caller::Call;
use crate::kernel::error::Result;

/// `DELETE …/IncomingPhoneNumbers/{Sid}`
pub async fn release(call: Call) -> Result<HttpResponse> {
    let releases: Releases = call.shared()?;
    releases.release(&call.db, &call.clock, call.account, call.number()?).await?;
    Ok(HttpResponse::NoContent().finish())
}
