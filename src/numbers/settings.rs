//! The settings of a number: name and callbacks.

use crate::error::{Code, Error, Result};
use crate::values::phone::Kind;
use crate::values::text::{CallbackUrl, FriendlyName, Method};

/// The settings of a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `None`: the number itself, formatted.
    pub friendly_name: Option<FriendlyName>,
    pub voice: Option<Callback>,
    pub voice_fallback: Option<Callback>,
    pub sms: Option<Callback>,
    pub sms_fallback: Option<Callback>,
    pub voice_caller_id_lookup: bool,
}

/// A callback's URL and method. There is no method without a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    pub url: String,
    pub method: Method,
}

/// A change of one setting. What was not sent stays; an empty value clears.
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

/// A change of a callback. A method alone changes the method of the URL that stays.
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
    pub sms: CallbackChange,
    pub sms_fallback: CallbackChange,
    pub voice_caller_id_lookup: Option<bool>,
}

impl Changes {
    /// Whether an SmsFallbackUrl is set without an SmsUrl, which a number without SmsUrl cannot have.
    pub const fn lone_sms_fallback(&self) -> bool {
        self.sms_fallback.url.value().is_some() && self.sms.url.value().is_none()
    }
}

impl CallbackChange {
    /// The callback of a number that had none before.
    fn first(&self) -> Option<Callback> {
        let method = self.method.unwrap_or(Method::Post);
        self.url.value().map(|url| Callback { url: url.as_str().to_owned(), method })
    }
}

impl Settings {
    /// The settings of a number of this kind at its purchase. On a toll-free number the SMS settings are checked too,
    /// and then dropped: programs of 2010 send them.
    ///
    /// # Errors
    /// 21405 and 21406 for a fallback without its URL.
    pub fn first(kind: Kind, given: &Changes) -> Result<Self> {
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
            _ if kind == Kind::TollFree => Ok(Self { sms: None, sms_fallback: None, ..settings }),
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
