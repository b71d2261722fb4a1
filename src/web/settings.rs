//! The settings of a number as parameters of a form. The versions of the API call some of them differently.

use super::params::Params;
use super::refused::{Refused, Unfit};
use crate::numbers::settings::{CallbackChange, Change, Changes};
use crate::values::text::{CallbackUrl, FriendlyName};

/// What a version calls the callbacks: the parameters of each one's URL and method.
pub struct Callbacks {
    pub voice: [&'static str; 2],
    pub voice_fallback: [&'static str; 2],
    pub sms: [&'static str; 2],
    pub sms_fallback: [&'static str; 2],
}

/// Reads the settings that all versions have.
///
/// # Errors
/// [`Refused::Unfit`] with the first parameter that has a wrong value, and [`Refused::Repeated`].
pub fn read(form: &Params, names: &Callbacks) -> Result<Changes, Refused> {
    Ok(Changes {
        friendly_name: change(form.get("FriendlyName")?, |text| FriendlyName::new(text).map_err(Unfit::FriendlyName))?,
        voice: callback(form, names.voice)?,
        voice_fallback: callback(form, names.voice_fallback)?,
        sms: callback(form, names.sms)?,
        sms_fallback: callback(form, names.sms_fallback)?,
        voice_caller_id_lookup: flag(form, "VoiceCallerIdLookup")?,
        ..Changes::default()
    })
}

/// A callback's URL and method, by these names.
///
/// # Errors
/// As [`read`].
pub fn callback(form: &Params, [url, method]: [&'static str; 2]) -> Result<CallbackChange, Refused> {
    let read = |text| CallbackUrl::new(text).map_err(|must| Unfit::Url(url, must));
    let changed = change(form.get(url)?, read)?;
    // A client that sends back what it has read sends an empty method with an empty URL.
    let sent = form.get(method)?.filter(|text| !text.is_empty()).map(str::parse).transpose();
    let sent = sent.map_err(|must| Unfit::Method(method, must))?;
    Ok(CallbackChange { url: changed, method: sent })
}

/// An empty text clears the setting.
///
/// # Errors
/// If `read` refuses the text.
pub fn change<T, E>(given: Option<&str>, read: impl FnOnce(String) -> Result<T, E>) -> Result<Change<T>, E> {
    Ok(match given {
        None => Change::Keep,
        Some("") => Change::Set(None),
        Some(text) => Change::Set(Some(read(text.to_owned())?)),
    })
}

/// Reads a parameter that is true or false.
///
/// # Errors
/// [`Refused::Unfit`] for another value, and [`Refused::Repeated`].
pub fn flag(form: &Params, name: &'static str) -> Result<Option<bool>, Refused> {
    let Some(text) = form.get(name)? else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(Some(true)),
        // An empty value clears, as for all other parameters.
        "false" | "0" | "" => Ok(Some(false)),
        _ => Err(Unfit::Flag(name).into()),
    }
}
