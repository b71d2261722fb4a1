//! The settings of a number: name and callbacks.

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgHasArrayType, PgTypeInfo};
use sqlx::{Postgres, Type};

use crate::numbers::Refused;
use crate::values::phone::PhoneNumber;
use crate::values::sid::NumberSid;
use crate::values::text::{CallbackUrl, FriendlyName, Method};

/// The settings of a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `None` means the default: the number's digits, formatted.
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
    pub url: CallbackUrl,
    pub method: Method,
}

/// A change of one setting. A parameter that was not sent changes nothing; an empty value clears the setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T> {
    Keep,
    Set(Option<T>),
}

impl<T> Change<T> {
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => value.as_ref(),
            Self::Keep => None,
        }
    }

    /// `None` if the setting is kept, an empty text if it is cleared.
    fn text<'a>(&'a self, text: impl FnOnce(&'a T) -> &'a str) -> Option<&'a str> {
        match self {
            Self::Set(value) => Some(value.as_ref().map_or("", text)),
            Self::Keep => None,
        }
    }
}

/// A change of a callback. If only the method is sent, the URL is kept.
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

impl CallbackChange {
    /// The callback of a number that had none before.
    fn first(&self) -> Option<Callback> {
        let method = self.method.unwrap_or_default();
        self.url.value().map(|url| Callback { url: url.clone(), method })
    }
}

impl Settings {
    /// The settings of a new number. For a toll-free number the SMS settings are checked, but not stored (`drop_sms`
    /// in V15): programs of 2010 sent them for every number.
    ///
    /// # Errors
    /// A lone fallback.
    pub fn first(given: &Changes) -> Result<Self, Refused> {
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
            _ => Ok(settings),
        }
    }

    /// How much memory their texts take.
    pub fn bytes(&self) -> usize {
        let Self { friendly_name, voice, voice_fallback, sms, sms_fallback, voice_caller_id_lookup: _ } = self;
        let callbacks = [voice, voice_fallback, sms, sms_fallback].into_iter().flatten();
        let name = friendly_name.as_ref().map_or(0, |name| name.as_str().len());
        name + callbacks.map(|callback| callback.url.as_str().len()).sum::<usize>()
    }
}

/// The settings of a number as columns of `tenancies`: one list for all statements. Calls another macro with three
/// literals before its own arguments: the type of an array of [`Given`], the names of the columns, and the names as
/// [`Row`] reads them.
macro_rules! columns {
    ($macro:ident! { $($said:tt)* }) => {
        $macro! {
            "number_settings[]",
            "friendly_name, url, method, sms_url, sms_method, voice_fallback_url, voice_fallback_method,
                sms_fallback_url, sms_fallback_method, voice_caller_id_lookup",
            "friendly_name as \"friendly_name: _\", url as \"url: _\", method as \"method: _\",
                sms_url as \"sms_url: _\", sms_method as \"sms_method: _\",
                voice_fallback_url as \"voice_fallback_url: _\", voice_fallback_method as \"voice_fallback_method: _\",
                sms_fallback_url as \"sms_fallback_url: _\", sms_fallback_method as \"sms_fallback_method: _\",
                voice_caller_id_lookup as \"voice_caller_id_lookup!\"",
            $($said)*
        }
    };
}

pub(crate) use columns;

/// A row of `tenancies`: the columns that a number shows.
pub struct Row {
    pub sid: NumberSid,
    pub phone_number: PhoneNumber,
    pub started_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub friendly_name: Option<FriendlyName>,
    pub url: Option<CallbackUrl>,
    pub method: Option<Method>,
    pub sms_url: Option<CallbackUrl>,
    pub sms_method: Option<Method>,
    pub voice_fallback_url: Option<CallbackUrl>,
    pub voice_fallback_method: Option<Method>,
    pub sms_fallback_url: Option<CallbackUrl>,
    pub sms_fallback_method: Option<Method>,
    pub voice_caller_id_lookup: bool,
    /// Which of the numbers that were asked for this is, counted from 1; `None` if one was asked for.
    pub ordinal: Option<i64>,
    /// The number of items in the whole list, for a page of a list.
    pub total: Option<i64>,
}

impl Row {
    pub fn settings(self) -> Settings {
        let callback = |url: Option<CallbackUrl>, method| url.zip(method).map(|(url, method)| Callback { url, method });
        Settings {
            friendly_name: self.friendly_name,
            voice: callback(self.url, self.method),
            voice_fallback: callback(self.voice_fallback_url, self.voice_fallback_method),
            sms: callback(self.sms_url, self.sms_method),
            sms_fallback: callback(self.sms_fallback_url, self.sms_fallback_method),
            voice_caller_id_lookup: self.voice_caller_id_lookup,
        }
    }
}

/// PostgreSQL's type `number_settings`, with its fields in the same order: the settings of a new number, or changes.
/// In changes, `None` keeps a setting, and an empty text clears it.
#[derive(sqlx::Encode)]
pub struct Given<'a> {
    friendly_name: Option<&'a str>,
    url: Option<&'a str>,
    method: Option<&'static str>,
    sms_url: Option<&'a str>,
    sms_method: Option<&'static str>,
    voice_fallback_url: Option<&'a str>,
    voice_fallback_method: Option<&'static str>,
    sms_fallback_url: Option<&'a str>,
    sms_fallback_method: Option<&'static str>,
    voice_caller_id_lookup: Option<bool>,
}

/// The type of [`Given`] in PostgreSQL.
const GIVEN: &str = "number_settings";

impl Type<Postgres> for Given<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name(GIVEN)
    }
}

impl PgHasArrayType for Given<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of(GIVEN)
    }
}

impl<'a> Given<'a> {
    /// All settings of a new number.
    pub fn of(settings: &'a Settings) -> Self {
        let Settings { friendly_name, voice, voice_fallback, sms, sms_fallback, voice_caller_id_lookup } = settings;
        let url = |callback: &'a Option<Callback>| callback.as_ref().map(|callback| callback.url.as_str());
        let method = |callback: &Option<Callback>| callback.as_ref().map(|callback| callback.method.as_str());
        Self {
            friendly_name: friendly_name.as_ref().map(FriendlyName::as_str),
            url: url(voice),
            method: method(voice),
            sms_url: url(sms),
            sms_method: method(sms),
            voice_fallback_url: url(voice_fallback),
            voice_fallback_method: method(voice_fallback),
            sms_fallback_url: url(sms_fallback),
            sms_fallback_method: method(sms_fallback),
            voice_caller_id_lookup: Some(*voice_caller_id_lookup),
        }
    }

    /// Changes of settings.
    pub fn by(changes: &'a Changes) -> Self {
        let Changes { friendly_name, voice, voice_fallback, sms, sms_fallback, voice_caller_id_lookup } = changes;
        let url = |callback: &'a CallbackChange| callback.url.text(CallbackUrl::as_str);
        let method = |callback: &CallbackChange| callback.method.map(Method::as_str);
        Self {
            friendly_name: friendly_name.text(FriendlyName::as_str),
            url: url(voice),
            method: method(voice),
            sms_url: url(sms),
            sms_method: method(sms),
            voice_fallback_url: url(voice_fallback),
            voice_fallback_method: method(voice_fallback),
            sms_fallback_url: url(sms_fallback),
            sms_fallback_method: method(sms_fallback),
            voice_caller_id_lookup: *voice_caller_id_lookup,
        }
    }
}
