//! Releasing on the wire.

use actix_web::HttpResponse;

use super::refusals::Refusal;
use crate::web::caller::Call;

/// `DELETE …/IncomingPhoneNumbers/{Sid}`
pub async fn release(call: Call) -> Result<HttpResponse, Refusal> {
    call.state.releases.release(&call.db, call.account, call.number()?).await?;
    Ok(HttpResponse::NoContent().finish())
}
