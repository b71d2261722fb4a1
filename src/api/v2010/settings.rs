//! The settings of a number as parameters of a form.

use super::refusals::{Refusal, Unfit};
use crate::numbers::settings::{ApiVersion, Change, Changes, ReferenceChanges};
use crate::values::sid::ForeignSid;
use crate::web::params::{KnownParameters, Params};
use crate::web::settings::{self, Callbacks};

/// The parameters of these settings.
pub const PARAMETERS: [&str; 22] = [
    "FriendlyName",
    "VoiceUrl",
    "VoiceMethod",
    "VoiceFallbackUrl",
    "VoiceFallbackMethod",
    "SmsUrl",
    "SmsMethod",
    "SmsFallbackUrl",
    "SmsFallbackMethod",
    "VoiceCallerIdLookup",
    "StatusCallback",
    "StatusCallbackMethod",
    "VoiceApplicationSid",
    "SmsApplicationSid",
    "TrunkSid",
    "AddressSid",
    "BundleSid",
    "IdentitySid",
    "ApiVersion",
    "EmergencyAddressSid",
    "VoiceReceiveMode",
    "EmergencyStatus",
];

/// The parameters of an update: these settings, and where the number goes. Unknown ones are ignored.
pub const OF_UPDATE: KnownParameters<'static> = KnownParameters {
    names: &{
        let mut names = ["AccountSid"; PARAMETERS.len() + 1];
        names.split_at_mut(1).1.copy_from_slice(&PARAMETERS);
        names
    },
    elsewhere: &NAMES_OF_2008,
};

/// Names of two of them in version 2008-08-01.
pub const NAMES_OF_2008: [(&str, &str); 2] = [
    ("Url", "Url is a name of API version 2008-08-01; this version calls it VoiceUrl, so write VoiceUrl"),
    ("Method", "Method is a name of API version 2008-08-01; this version calls it VoiceMethod, so write VoiceMethod"),
];

/// What Twilio keeps of a number and this registry does not, with the values that say what is so anyway. Others are
/// refused: nobody may believe that emergency calls are looked after.
const NOT_KEPT: [(&str, &[&str]); 3] =
    [("EmergencyAddressSid", &[]), ("VoiceReceiveMode", &["voice"]), ("EmergencyStatus", &["Inactive"])];

const CALLBACKS: Callbacks = Callbacks {
    voice: ["VoiceUrl", "VoiceMethod"],
    voice_fallback: ["VoiceFallbackUrl", "VoiceFallbackMethod"],
    sms: ["SmsUrl", "SmsMethod"],
    sms_fallback: ["SmsFallbackUrl", "SmsFallbackMethod"],
};

/// Reads every setting that a form may hold.
///
/// # Errors
/// A setting that is not kept, a Sid of another form, a version that is none, and those of [`settings::read`].
pub fn read(form: &Params) -> Result<Changes, Refusal> {
    for (name, usual) in NOT_KEPT {
        if form.filled(&[name])?.is_some_and(|value| !usual.contains(&value)) {
            return Err(Unfit::NotKept(name).into());
        }
    }
    Ok(Changes {
        status: settings::callback(form, ["StatusCallback", "StatusCallbackMethod"])?,
        references: references(form)?,
        api_version: api_version(form)?,
        ..settings::read(form, &CALLBACKS)?
    })
}

fn references(form: &Params) -> Result<ReferenceChanges, Refusal> {
    Ok(ReferenceChanges {
        voice_application: reference(form, "VoiceApplicationSid", "AP")?,
        sms_application: reference(form, "SmsApplicationSid", "AP")?,
        trunk: reference(form, "TrunkSid", "TK")?,
        address: reference(form, "AddressSid", "AD")?,
        bundle: reference(form, "BundleSid", "BU")?,
        identity: reference(form, "IdentitySid", "RI")?,
    })
}

fn reference(form: &Params, name: &'static str, prefix: &'static str) -> Result<Change<ForeignSid>, Refusal> {
    let read = |text: String| ForeignSid::new(prefix, &text).ok_or(Unfit::ForeignSid { name, prefix });
    Ok(settings::change(form.get(name)?, read)?)
}

fn api_version(form: &Params) -> Result<Option<ApiVersion>, Refusal> {
    let Some(text) = form.filled(&["ApiVersion"])? else { return Ok(None) };
    let known = ApiVersion::ALL.into_iter().find(|version| version.as_str() == text);
    Ok(Some(known.ok_or(Unfit::ApiVersion)?))
}
