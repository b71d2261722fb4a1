//! One call or message: its ends and URLs, and the parameters that each of its requests has.

use super::asked::Asked;
use crate::numbers::Number;
use crate::numbers::settings::{ApiVersion, Callback};
use crate::twiml::{Ends, Grammar, Kind, Version};
use crate::values::phone::PhoneNumber;
use crate::values::sid::AccountSid;

/// The names of the parts of a place, after those of an end.
const REGION: [&str; 4] = ["City", "State", "Zip", "Country"];

/// Who calls whom, and which URLs that leads to.
#[derive(Clone, Debug)]
pub struct Scene {
    pub sid: String,
    pub account: AccountSid,
    pub kind: Kind,
    pub version: Version,
    /// In the version's spelling.
    caller: String,
    number: String,
    /// City, state, zip and country of both, where they are known.
    regions: [[Option<String>; 4]; 2],
    /// Only where the number looks callers up.
    caller_name: Option<String>,
    body: String,
    pub first: Option<Callback>,
    pub fallback: Option<Callback>,
    pub status: Option<Callback>,
    /// Whether the account is active.
    pub is_active: bool,
}

impl Scene {
    pub fn new(sid: String, number: &Number, asked: &Asked, is_active: bool, looked_up: Option<String>) -> Self {
        let settings = &number.settings;
        let of_number = match settings.api_version {
            ApiVersion::V2008 => Version::V2008,
            ApiVersion::V2010 => Version::V2010,
        };
        let version = asked.version.unwrap_or(of_number);
        let (first, fallback) = match asked.kind {
            Kind::Call => (settings.voice.clone(), settings.voice_fallback.clone()),
            Kind::Message => (settings.sms.clone(), settings.sms_fallback.clone()),
        };
        let spelt = |number: PhoneNumber| match version {
            Version::V2008 => number.to_string(),
            Version::V2010 => format!("+1{number}"),
        };
        let mut of_caller = asked.caller().map_or([const { None }; 4], region);
        for (known, said) in of_caller.iter_mut().zip(&asked.region) {
            *known = said.clone().or(known.take());
        }
        let caller_name = asked.caller_name.clone().or(looked_up).filter(|_| settings.voice_caller_id_lookup);
        Self {
            sid,
            account: number.account_sid,
            kind: asked.kind,
            version,
            caller: asked.caller().map_or_else(|| asked.from.clone(), spelt),
            number: spelt(number.phone_number),
            regions: [of_caller, region(number.phone_number)],
            caller_name,
            body: asked.body.clone(),
            first,
            fallback,
            status: settings.status.clone(),
            is_active,
        }
    }

    /// By which rules its documents are checked.
    pub const fn grammar(&self) -> Grammar {
        Grammar { kind: self.kind, version: self.version }
    }

    /// How long the text of a message may be, if it is longer.
    pub fn longest_body(&self) -> Option<usize> {
        let longest = self.grammar().longest_body();
        (self.body.chars().count() > longest).then_some(longest)
    }

    pub fn ends(&self) -> Ends {
        Ends { caller: self.caller.clone(), number: self.number.clone() }
    }

    /// The parameters of each request of the call or message. `status` is that of the call.
    pub fn parameters(&self, status: &str) -> Vec<(String, String)> {
        let mut all: Vec<(&str, String)> = match (self.kind, self.version) {
            (Kind::Call, Version::V2008) => vec![
                ("CallSid", self.sid.clone()),
                ("Caller", self.caller.clone()),
                ("Called", self.number.clone()),
                ("AccountSid", self.account.to_string()),
                ("CallStatus", status.to_owned()),
            ],
            (Kind::Call, Version::V2010) => vec![
                ("CallSid", self.sid.clone()),
                ("AccountSid", self.account.to_string()),
                ("From", self.caller.clone()),
                ("To", self.number.clone()),
                ("CallStatus", status.to_owned()),
                ("ApiVersion", self.version.name().to_owned()),
                ("Direction", "inbound".to_owned()),
                ("Caller", self.caller.clone()),
                ("Called", self.number.clone()),
            ],
            (Kind::Message, Version::V2008) => vec![
                ("SmsSid", self.sid.clone()),
                ("AccountSid", self.account.to_string()),
                ("From", self.caller.clone()),
                ("To", self.number.clone()),
                ("Body", self.body.clone()),
            ],
            (Kind::Message, Version::V2010) => vec![
                ("MessageSid", self.sid.clone()),
                ("SmsSid", self.sid.clone()),
                ("SmsMessageSid", self.sid.clone()),
                ("AccountSid", self.account.to_string()),
                ("From", self.caller.clone()),
                ("To", self.number.clone()),
                ("Body", self.body.clone()),
                ("NumMedia", "0".to_owned()),
                ("NumSegments", segments(&self.body).to_string()),
                ("SmsStatus", "received".to_owned()),
                ("ApiVersion", self.version.name().to_owned()),
            ],
        };
        all.extend(self.caller_name.clone().filter(|_| self.kind == Kind::Call).map(|name| ("CallerName", name)));
        let mut all: Vec<_> = all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let ends: &[[&str; 2]] = match (self.kind, self.version) {
            (Kind::Call, Version::V2008) => &[["Caller", "Called"]],
            (Kind::Call, Version::V2010) => &[["From", "To"], ["Caller", "Called"]],
            (Kind::Message, _) => &[["From", "To"]],
        };
        for (end, region) in ends.iter().flat_map(|ends| ends.iter().zip(&self.regions)) {
            // Today's requests have all parts, empty where they are not known.
            let unknown = (self.version == Version::V2010).then(String::new);
            let known =
                REGION.iter().zip(region).filter_map(|(part, value)| Some((part, value.clone().or(unknown.clone())?)));
            all.extend(known.map(|(part, value)| (format!("{end}{part}"), value)));
        }
        all
    }
}

/// What is known of a number by itself.
fn region(number: PhoneNumber) -> [Option<String>; 4] {
    [None, number.area_code().state().map(str::to_owned), None, Some("US".to_owned())]
}

/// The characters of the GSM alphabet (3GPP TS 23.038), and those that take two of it.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
    abcdefghijklmnopqrstuvwxyzäöñüà";
const TWICE: &str = "\u{c}^{}\\[~]|€";

/// How many messages a text is sent as: of 160 characters of GSM, or 70 of UCS-2; in several parts, of 153 or 67.
fn segments(body: &str) -> usize {
    let width = |c: char| if GSM.contains(c) { Some(1) } else { TWICE.contains(c).then_some(2) };
    let widths: Option<Vec<_>> = body.chars().map(width).collect();
    let (length, whole, part) =
        widths.map_or_else(|| (body.encode_utf16().count(), 70, 67), |widths| (widths.iter().sum(), 160, 153));
    if length <= whole { 1 } else { length.div_ceil(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_sent_in_segments() {
        for (body, count) in [
            (String::new(), 1),
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(307), 3),
            ("€".repeat(80), 1),
            ("€".repeat(81), 2),
            ("ж".repeat(70), 1),
            ("ж".repeat(71), 2),
            ("😀".repeat(36), 2),
        ] {
            assert_eq!(segments(&body), count, "{body}");
        }
    }
}
