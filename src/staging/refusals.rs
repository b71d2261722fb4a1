//! Refusals as answers of this face, which are always JSON.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use serde_json::json;

use super::Refused;
use crate::web::asked::Asked;
use crate::web::codes::Code;
use crate::web::exception::Exception;
use crate::web::refusal::refusal;
use crate::web::site::Site;

refusal! {}

impl Worded for Refused {
    fn words(self) -> (Code, String) {
        let code = match self {
            Self::NoCredentials | Self::ControlOnly => Code::Authenticate,
            Self::NoSnapshot(_) | Self::NoFault(_) | Self::NotHeld => Code::NotFound,
            Self::AsAccount => Code::AsAccount,
            Self::TooManyRuns => Code::TooManyRuns,
            Self::HalfWay(_) | Self::Interrupted => Code::Unavailable,
            Self::NotRead(_)
            | Self::Part(_)
            | Self::NoName
            | Self::TooManySnapshots
            | Self::NoChange
            | Self::NotForward { .. }
            | Self::TooFar
            | Self::TooManyFaults
            | Self::Parameter { .. }
            | Self::Script(_)
            | Self::OtherSchema(_) => Code::InvalidParameter,
        };
        (code, self.to_string())
    }
}

/// The answer to a request that was refused or failed.
pub fn answer(_: &Asked, site: &Site, error: &actix_web::Error) -> HttpResponse {
    let told = Exception::of(error, |Refusal(told)| told.clone());
    let (status, code) = (told.status, told.number);
    let body = json!({
        "status": status.as_u16(), "code": code, "message": told.message, "more_info": told.more_info(site)
    });
    let mut response = HttpResponse::build(status).content_type(ContentType::json()).body(format!("{body}\n"));
    told.tell(&mut response);
    response
}
