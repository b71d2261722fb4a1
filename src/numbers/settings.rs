//! What a holder sets on a number: names and callbacks, at a purchase and afterwards.

use crate::kernel::error::{Code, Error, Result};
use crate::kernel::params::Params;
use crate::kernel::text::{CallbackUrl, FriendlyName, Method};

/// The settings of a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where there is none, the number nicely formatted.
    pub friendly_name: Option<FriendlyName>,
    pub voice: Option<Callback>,
    pub voice_fallback: Option<Callback>,
    pub sms: Option<Callback>,
    pub sms_fallback: Option<Callback>,
    pub voice_caller_id_lookup: bool,
}

/// Where something is reported, and how. A method without an address does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    pub url: String,
    pub method: Method,
}

/// A change of one setting: what is not given stays, what is given empty is cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T> {
    Keep,
    Set(Option<T>),
}

impl<T> Change<T> {
    pub const fn is_set(&self) -> bool {
        matches!(self, Self::Set(_))
    }

    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => value.as_ref(),
            Self::Keep => None,
        }
    }
}

/// A change of a callback. A method alone changes how the address that stays is used.
#[derive(Clone, Debug)]
pub struct CallbackChange {
    pub url: Change<CallbackUrl>,
    pub method: Option<Method>,
}

/// Changes of a number's settings.
#[derive(Clone, Debug)]
pub struct Changes {
    pub friendly_name: Change<FriendlyName>,
    pub voice: CallbackChange,
    pub voice_fallback: CallbackChange,
    /// Whether anything about SMS is given at all, which a toll-free number refuses.
    pub any_sms: bool,
    pub sms: CallbackChange,
    pub sms_fallback: CallbackChange,
    pub voice_caller_id_lookup: Option<bool>,
}

const SMS_PARAMETERS: [&str; 4] = ["SmsUrl", "SmsMethod", "SmsFallbackUrl", "SmsFallbackMethod"];

impl Changes {
    /// Reads every setting that a form may hold.
    ///
    /// # Errors
    /// The refusal that names the first parameter which cannot be.
    pub fn read(form: &Params) -> Result<Self> {
        Ok(Self {
            friendly_name: friendly_name(form)?,
            voice: CallbackChange::read(form, "Url", "Method")?,
            voice_fallback: CallbackChange::read(form, "VoiceFallbackUrl", "VoiceFallbackMethod")?,
            any_sms: any_sms(form)?,
            sms: CallbackChange::read(form, "SmsUrl", "SmsMethod")?,
            sms_fallback: CallbackChange::read(form, "SmsFallbackUrl", "SmsFallbackMethod")?,
            voice_caller_id_lookup: flag(form, "VoiceCallerIdLookup")?,
        })
    }
}

/// Whether a form says anything about SMS.
///
/// # Errors
/// 29003 for a parameter that was sent twice.
pub fn any_sms(form: &Params) -> Result<bool> {
    let mut any = false;
    for name in SMS_PARAMETERS {
        any |= form.get(name)?.is_some_and(|value| !value.is_empty());
    }
    Ok(any)
}

impl CallbackChange {
    fn read(form: &Params, url_name: &str, method_name: &str) -> Result<Self> {
        let url = change(form.get(url_name)?, |text| {
            CallbackUrl::new(text).map_err(|must| Code::Url.because(format!("{url_name} {must}")))
        })?;
        // Clients that send back what they read send an empty method along with an empty address.
        let method = form.get(method_name)?.filter(|text| !text.is_empty()).map(str::parse).transpose();
        let method = method
            .map_err(|must: crate::kernel::text::NotAMethod| Code::Method.because(format!("{method_name} {must}")))?;
        Ok(Self { url, method })
    }

    /// The callback of a number that had none before.
    fn first(&self) -> Option<Callback> {
        let method = self.method.unwrap_or(Method::Post);
        self.url.value().map(|url| Callback { url: url.as_str().to_owned(), method })
    }
}

impl Settings {
    /// The settings of a number that is bought with them.
    ///
    /// # Errors
    /// 21405 and 21406 for what does not fit together.
    pub fn first(given: &Changes) -> Result<Self> {
        let settings = Self {
            friendly_name: given.friendly_name.value().cloned(),
            voice: given.voice.first(),
            voice_fallback: given.voice_fallback.first(),
            sms: given.sms.first(),
            sms_fallback: given.sms_fallback.first(),
            voice_caller_id_lookup: given.voice_caller_id_lookup.unwrap_or(false),
        };
        match &settings {
            Self { voice: None, voice_fallback: Some(_), .. } => Err(voice_fallback_without_url()),
            Self { sms: None, sms_fallback: Some(_), .. } => Err(sms_fallback_without_url()),
            _ => Ok(settings),
        }
    }
}

pub fn voice_fallback_without_url() -> Error {
    Code::VoiceFallback.because("VoiceFallbackUrl needs a Url: set Url too, or clear VoiceFallbackUrl")
}

pub fn sms_fallback_without_url() -> Error {
    Code::SmsFallback.because("SmsFallbackUrl needs an SmsUrl: set SmsUrl too, or clear SmsFallbackUrl")
}

pub fn sms_on_tollfree() -> Error {
    Code::SmsOnTollFree.because("A toll-free number takes no SMS: leave out SmsUrl, SmsMethod, SmsFallbackUrl and SmsFallbackMethod, or send them empty")
}

fn change<T>(given: Option<&str>, read: impl FnOnce(String) -> Result<T>) -> Result<Change<T>> {
    Ok(match given {
        None => Change::Keep,
        Some("") => Change::Set(None),
        Some(text) => Change::Set(Some(read(text.to_owned())?)),
    })
}

fn friendly_name(form: &Params) -> Result<Change<FriendlyName>> {
    change(form.get("FriendlyName")?, |text| {
        FriendlyName::new(text).map_err(|must| Code::FriendlyName.because(format!("FriendlyName {must}")))
    })
}

fn flag(form: &Params, name: &str) -> Result<Option<bool>> {
    let Some(text) = form.get(name)? else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(Some(true)),
        "false" | "0" => Ok(Some(false)),
        _ => Err(Code::InvalidParameter.because(format!("{name} must be true, false, 1 or 0"))),
    }
}
