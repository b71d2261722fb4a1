//! What a holder sets on a number: names and callbacks, at a purchase and afterwards.

use crate::numbers::Refused;
use crate::values::phone::Kind;
use crate::values::text::{CallbackUrl, FriendlyName, Method};

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
    pub sms: CallbackChange,
    pub sms_fallback: CallbackChange,
    pub voice_caller_id_lookup: Option<bool>,
}

impl Changes {
    /// Whether an SmsFallbackUrl is given without an SmsUrl: on a number that has no SmsUrl it cannot be.
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
    /// The settings of a number of this kind that is bought with them. What they say about SMS is checked on a
    /// toll-free number too, and then left out: programs of 2010 sent it along.
    ///
    /// # Errors
    /// A lone fallback.
    pub fn first(kind: Kind, given: &Changes) -> Result<Self, Refused> {
        let settings = Self {
            friendly_name: given.friendly_name.value().cloned(),
            voice: given.voice.first(),
            voice_fallback: given.voice_fallback.first(),
            sms: given.sms.first(),
            sms_fallback: given.sms_fallback.first(),
            voice_caller_id_lookup: given.voice_caller_id_lookup.unwrap_or(false),
        };
        match &settings {
            Self { voice: None, voice_fallback: Some(_), .. } => Err(Refused::LoneVoiceFallback),
            Self { sms: None, sms_fallback: Some(_), .. } => Err(Refused::LoneSmsFallback),
            _ if kind == Kind::TollFree => Ok(Self { sms: None, sms_fallback: None, ..settings }),
            _ => Ok(settings),
        }
    }
}
