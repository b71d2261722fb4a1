//! The settings of a number as parameters of a form.

use crate::numbers::settings::Changes;
use crate::web::params::Params;
use crate::web::refused::Refused;
use crate::web::settings::{self, Callbacks};

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

const CALLBACKS: Callbacks = Callbacks {
    voice: ["Url", "Method"],
    voice_fallback: ["VoiceFallbackUrl", "VoiceFallbackMethod"],
    sms: ["SmsUrl", "SmsMethod"],
    sms_fallback: ["SmsFallbackUrl", "SmsFallbackMethod"],
};

/// Reads every setting that a form may hold.
///
/// # Errors
/// As [`settings::read`].
pub fn read(form: &Params) -> Result<Changes, Refused> {
    settings::read(form, &CALLBACKS)
}
