//! The settings of a number as parameters of a form.

use super::refusals::{Refusal, Unfit};
use crate::numbers::settings::{CallbackChange, Change, Changes};
use crate::values::text::{CallbackUrl, FriendlyName};
use crate::web::params::Params;

/// The parameters of these settings.
pub const PARAMETERS: [&str; 10] = [
    "FriendlyName",
    "Url",
    "Method",
    "VoiceFallbackUrl",
    "VoiceFallbackMethod",
    "SmsUrl",
    "SmsMethod",
    "SmsFallbackUrl",
    "SmsFallbackMethod",
    "VoiceCallerIdLookup",
];

/// Names of two of them in version 2010-04-01.
pub const NAMES_OF_2010: [(&str, &str); 2] = [
    ("VoiceUrl", "VoiceUrl is a name of API version 2010-04-01; this version calls it Url, so write Url"),
    ("VoiceMethod", "VoiceMethod is a name of API version 2010-04-01; this version calls it Method, so write Method"),
];

/// Reads every setting that a form may hold.
///
/// # Errors
/// A refusal that names the first parameter with a wrong value.
pub fn read(form: &Params) -> Result<Changes, Refusal> {
    Ok(Changes {
        friendly_name: friendly_name(form)?,
        voice: callback(form, "Url", "Method")?,
        voice_fallback: callback(form, "VoiceFallbackUrl", "VoiceFallbackMethod")?,
        sms: callback(form, "SmsUrl", "SmsMethod")?,
        sms_fallback: callback(form, "SmsFallbackUrl", "SmsFallbackMethod")?,
        voice_caller_id_lookup: flag(form, "VoiceCallerIdLookup")?,
    })
}

fn callback(form: &Params, url_name: &'static str, method_name: &'static str) -> Result<CallbackChange, Refusal> {
    let url = change(form.get(url_name)?, |text| CallbackUrl::new(text).map_err(|must| Unfit::Url(url_name, must)))?;
    // A client that sends back what it has read sends an empty method with an empty URL.
    let method = form.get(method_name)?.filter(|text| !text.is_empty()).map(str::parse).transpose();
    let method = method.map_err(|must| Unfit::Method(method_name, must))?;
    Ok(CallbackChange { url, method })
}

fn change<T>(given: Option<&str>, read: impl FnOnce(String) -> Result<T, Unfit>) -> Result<Change<T>, Unfit> {
    Ok(match given {
        None => Change::Keep,
        Some("") => Change::Set(None),
        Some(text) => Change::Set(Some(read(text.to_owned())?)),
    })
}

fn friendly_name(form: &Params) -> Result<Change<FriendlyName>, Refusal> {
    Ok(change(form.get("FriendlyName")?, |text| FriendlyName::new(text).map_err(Unfit::FriendlyName))?)
}

fn flag(form: &Params, name: &'static str) -> Result<Option<bool>, Refusal> {
    let Some(text) = form.get(name)? else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(Some(true)),
        // An empty value clears, as for all other parameters.
        "false" | "0" | "" => Ok(Some(false)),
        _ => Err(Unfit::Flag(name).into()),
    }
}
