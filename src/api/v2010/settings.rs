//! The settings of a number as parameters of a form.

use super::refusals::{Refusal, Unfit};
use crate::numbers::settings::Changes;
use crate::web::params::{KnownParameters, Params};
use crate::web::settings::{self, Callbacks};

/// The parameters of an update. Unknown ones are ignored.
pub const KNOWN: KnownParameters<'static> = KnownParameters {
    names: &[
        "AccountSid",
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
        "EmergencyAddressSid",
        "VoiceReceiveMode",
        "EmergencyStatus",
    ],
    elsewhere: &[
        ("Url", "Url is a name of API version 2008-08-01; this version calls it VoiceUrl, so write VoiceUrl"),
        (
            "Method",
            "Method is a name of API version 2008-08-01; this version calls it VoiceMethod, so write VoiceMethod",
        ),
    ],
};

/// What Twilio keeps of a number and this registry does not, with the values that say what is so anyway. Others are
/// refused: a client must not believe that they are kept.
const NOT_KEPT: [(&str, &[&str]); 11] = [
    ("StatusCallback", &[]),
    ("StatusCallbackMethod", &["GET", "POST"]),
    ("VoiceApplicationSid", &[]),
    ("SmsApplicationSid", &[]),
    ("TrunkSid", &[]),
    ("AddressSid", &[]),
    ("BundleSid", &[]),
    ("IdentitySid", &[]),
    ("EmergencyAddressSid", &[]),
    ("VoiceReceiveMode", &["voice"]),
    ("EmergencyStatus", &["Inactive"]),
];

const CALLBACKS: Callbacks = Callbacks {
    voice: ["VoiceUrl", "VoiceMethod"],
    voice_fallback: ["VoiceFallbackUrl", "VoiceFallbackMethod"],
    sms: ["SmsUrl", "SmsMethod"],
    sms_fallback: ["SmsFallbackUrl", "SmsFallbackMethod"],
};

/// Reads every setting that a form may hold.
///
/// # Errors
/// 29002 for a setting that is not kept, and those of [`settings::read`].
pub fn read(form: &Params) -> Result<Changes, Refusal> {
    for (name, usual) in NOT_KEPT {
        if form.filled(&[name])?.is_some_and(|value| !usual.contains(&value)) {
            return Err(Unfit::NotKept(name).into());
        }
    }
    Ok(settings::read(form, &CALLBACKS)?)
}
