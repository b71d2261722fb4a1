//! The settings of a number: name and callbacks.

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgHasArrayType, PgTypeInfo};
use sqlx::{Postgres, Type};

use crate::numbers::Refused;
use crate::values::phone::PhoneNumber;
use crate::values::sid::{ForeignSid, NumberSid};
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
    pub status: Option<Callback>,
    /// `None` for nearly all numbers, which then take less memory.
    pub references: Option<Box<References>>,
    pub api_version: ApiVersion,
}

/// Sids of resources that Twilio has and this registry does not. They are kept and given back, without effect. There is no
/// application for calls beside a trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    pub voice_application: Option<ForeignSid>,
    pub sms_application: Option<ForeignSid>,
    pub trunk: Option<ForeignSid>,
    pub address: Option<ForeignSid>,
    pub bundle: Option<ForeignSid>,
    pub identity: Option<ForeignSid>,
}

/// The version of the API that a number's callbacks are to be requested by: that in which it was bought, until another
/// is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text")]
pub enum ApiVersion {
    #[sqlx(rename = "2008-08-01")]
    V2008,
    #[default]
    #[sqlx(rename = "2010-04-01")]
    V2010,
}

impl ApiVersion {
    pub const ALL: [Self; 2] = [Self::V2008, Self::V2010];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2008 => "2008-08-01",
            Self::V2010 => "2010-04-01",
        }
    }
}

/// A callback's URL and method. There is no method without a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    pub url: CallbackUrl,
    pub method: Method,
}

/// A change of one setting. A parameter that was not sent changes nothing; an empty value clears the setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    #[default]
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallbackChange {
    pub url: Change<CallbackUrl>,
    pub method: Option<Method>,
}

/// Changes of a number's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub friendly_name: Change<FriendlyName>,
    pub voice: CallbackChange,
    pub voice_fallback: CallbackChange,
    pub sms: CallbackChange,
    pub sms_fallback: CallbackChange,
    pub voice_caller_id_lookup: Option<bool>,
    pub status: CallbackChange,
    pub references: ReferenceChanges,
    pub api_version: Option<ApiVersion>,
}

/// Changes of [`References`]. A new trunk clears the application of calls, and the other way round; of both, the trunk
/// stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceChanges {
    pub voice_application: Change<ForeignSid>,
    pub sms_application: Change<ForeignSid>,
    pub trunk: Change<ForeignSid>,
    pub address: Change<ForeignSid>,
    pub bundle: Change<ForeignSid>,
    pub identity: Change<ForeignSid>,
}

impl ReferenceChanges {
    /// The references of a new number.
    fn first(&self) -> References {
        let trunk = self.trunk.value().cloned();
        References {
            voice_application: self.voice_application.value().filter(|_| trunk.is_none()).cloned(),
            sms_application: self.sms_application.value().cloned(),
            trunk,
            address: self.address.value().cloned(),
            bundle: self.bundle.value().cloned(),
            identity: self.identity.value().cloned(),
        }
    }
}

impl References {
    /// `None` if there is none.
    fn kept(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

impl CallbackChange {
    /// The callback of a number that had none before.
    fn first(&self) -> Option<Callback> {
        let method = self.method.unwrap_or_default();
        self.url.value().map(|url| Callback { url: url.clone(), method })
    }
}

impl Settings {
    /// The settings of a new number.
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
            status: given.status.first(),
            references: given.references.first().kept(),
            api_version: given.api_version.unwrap_or_default(),
        };
        match &settings {
            Self { voice: None, voice_fallback: Some(_), .. } => Err(Refused::LoneVoiceFallback),
            Self { sms: None, sms_fallback: Some(_), .. } => Err(Refused::LoneSmsFallback),
            _ => Ok(settings),
        }
    }

    /// How much memory their texts take.
    pub fn bytes(&self) -> usize {
        let Self {
            friendly_name,
            voice,
            voice_fallback,
            sms,
            sms_fallback,
            voice_caller_id_lookup: _,
            status,
            references,
            api_version: _,
        } = self;
        let callbacks = [voice, voice_fallback, sms, sms_fallback, status].into_iter().flatten();
        let name = friendly_name.as_ref().map_or(0, |name| name.as_str().len());
        let references = references.as_ref().map_or(0, |_| size_of::<References>() + 6 * ForeignSid::LENGTH);
        name + callbacks.map(|callback| callback.url.as_str().len()).sum::<usize>() + references
    }
}

/// The settings of a number as columns of `tenancies`: one list for all statements. Calls another macro with three
/// literals before its own arguments: the type of an array of [`Given`], the names of the columns, and the names as
/// [`Row`] reads them.
macro_rules! columns {
    ($macro:ident! { $($said:tt)* }) => {
        $macro! {
            "number_settings_2[]",
            "friendly_name, url, method, sms_url, sms_method, voice_fallback_url, voice_fallback_method,
                sms_fallback_url, sms_fallback_method, voice_caller_id_lookup, status_callback, status_callback_method,
                voice_application_sid, sms_application_sid, trunk_sid, address_sid, bundle_sid, identity_sid,
                api_version",
            "friendly_name as \"friendly_name: _\", url as \"url: _\", method as \"method: _\",
                sms_url as \"sms_url: _\", sms_method as \"sms_method: _\",
                voice_fallback_url as \"voice_fallback_url: _\", voice_fallback_method as \"voice_fallback_method: _\",
                sms_fallback_url as \"sms_fallback_url: _\", sms_fallback_method as \"sms_fallback_method: _\",
                voice_caller_id_lookup as \"voice_caller_id_lookup!\",
                status_callback as \"status_callback: _\", status_callback_method as \"status_callback_method: _\",
                voice_application_sid as \"voice_application_sid: _\", sms_application_sid as \"sms_application_sid: _\",
                trunk_sid as \"trunk_sid: _\", address_sid as \"address_sid: _\", bundle_sid as \"bundle_sid: _\",
                identity_sid as \"identity_sid: _\", api_version as \"api_version!: _\"",
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
    pub status_callback: Option<CallbackUrl>,
    pub status_callback_method: Option<Method>,
    pub voice_application_sid: Option<ForeignSid>,
    pub sms_application_sid: Option<ForeignSid>,
    pub trunk_sid: Option<ForeignSid>,
    pub address_sid: Option<ForeignSid>,
    pub bundle_sid: Option<ForeignSid>,
    pub identity_sid: Option<ForeignSid>,
    pub api_version: ApiVersion,
    /// Which of the numbers that were asked for this is, counted from 1; `None` if one was asked for.
    pub ordinal: Option<i64>,
    /// The number of items in the whole list, for a page of a list.
    pub total: Option<i64>,
}

impl Row {
    pub fn settings(self) -> Settings {
        let callback = |url: Option<CallbackUrl>, method| url.zip(method).map(|(url, method)| Callback { url, method });
        let references = References {
            voice_application: self.voice_application_sid,
            sms_application: self.sms_application_sid,
            trunk: self.trunk_sid,
            address: self.address_sid,
            bundle: self.bundle_sid,
            identity: self.identity_sid,
        };
        Settings {
            friendly_name: self.friendly_name,
            voice: callback(self.url, self.method),
            voice_fallback: callback(self.voice_fallback_url, self.voice_fallback_method),
            sms: callback(self.sms_url, self.sms_method),
            sms_fallback: callback(self.sms_fallback_url, self.sms_fallback_method),
            voice_caller_id_lookup: self.voice_caller_id_lookup,
            status: callback(self.status_callback, self.status_callback_method),
            references: references.kept(),
            api_version: self.api_version,
        }
    }
}

/// PostgreSQL's type `number_settings_2`, with its fields in the same order: the settings of a new number, or changes.
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
    status_callback: Option<&'a str>,
    status_callback_method: Option<&'static str>,
    voice_application_sid: Option<&'a str>,
    sms_application_sid: Option<&'a str>,
    trunk_sid: Option<&'a str>,
    address_sid: Option<&'a str>,
    bundle_sid: Option<&'a str>,
    identity_sid: Option<&'a str>,
    api_version: Option<&'static str>,
}

/// The type of [`Given`] in PostgreSQL.
const GIVEN: &str = "number_settings_2";

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
        let Settings {
            friendly_name,
            voice,
            voice_fallback,
            sms,
            sms_fallback,
            voice_caller_id_lookup,
            status,
            references,
            api_version,
        } = settings;
        let url = |callback: &'a Option<Callback>| callback.as_ref().map(|callback| callback.url.as_str());
        let method = |callback: &Option<Callback>| callback.as_ref().map(|callback| callback.method.as_str());
        let sid = |of: fn(&References) -> &Option<ForeignSid>| {
            references.as_deref().and_then(|references| of(references).as_ref()).map(ForeignSid::as_str)
        };
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
            status_callback: url(status),
            status_callback_method: method(status),
            voice_application_sid: sid(|of| &of.voice_application),
            sms_application_sid: sid(|of| &of.sms_application),
            trunk_sid: sid(|of| &of.trunk),
            address_sid: sid(|of| &of.address),
            bundle_sid: sid(|of| &of.bundle),
            identity_sid: sid(|of| &of.identity),
            api_version: Some(api_version.as_str()),
        }
    }

    /// Changes of settings.
    pub fn by(changes: &'a Changes) -> Self {
        let Changes {
            friendly_name,
            voice,
            voice_fallback,
            sms,
            sms_fallback,
            voice_caller_id_lookup,
            status,
            references,
            api_version,
        } = changes;
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
            status_callback: url(status),
            status_callback_method: method(status),
            voice_application_sid: references.voice_application.text(ForeignSid::as_str),
            sms_application_sid: references.sms_application.text(ForeignSid::as_str),
            trunk_sid: references.trunk.text(ForeignSid::as_str),
            address_sid: references.address.text(ForeignSid::as_str),
            bundle_sid: references.bundle.text(ForeignSid::as_str),
            identity_sid: references.identity.text(ForeignSid::as_str),
            api_version: api_version.map(ApiVersion::as_str),
        }
    }
}
