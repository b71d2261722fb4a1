//! The settings of a number.

use clap::Args;

use crate::numbers;
use crate::numbers::settings::{CallbackChange, Change, Changes, Settings};
use crate::values::text::{CallbackUrl, FriendlyName, Method, NotACallbackUrl};

/// What a number is called, and whom to call back.
#[derive(Args, Debug)]
pub struct NumberSettings {
    /// 1 to 64 characters [default: the number itself]
    #[arg(long, value_name = "NAME")]
    friendly_name: Option<FriendlyName>,
    /// Called back at a call
    #[arg(long, value_name = "URL", value_parser = url)]
    url: Option<CallbackUrl>,
    /// GET or POST [default: POST]
    #[arg(long, value_name = "METHOD", requires = "url")]
    method: Option<Method>,
    /// Called back at a call where the other fails
    #[arg(long, value_name = "URL", value_parser = url)]
    voice_fallback_url: Option<CallbackUrl>,
    /// GET or POST [default: POST]
    #[arg(long, value_name = "METHOD", requires = "voice_fallback_url")]
    voice_fallback_method: Option<Method>,
    /// Called back at a message
    #[arg(long, value_name = "URL", value_parser = url)]
    sms_url: Option<CallbackUrl>,
    /// GET or POST [default: POST]
    #[arg(long, value_name = "METHOD", requires = "sms_url")]
    sms_method: Option<Method>,
    /// Called back at a message where the other fails
    #[arg(long, value_name = "URL", value_parser = url)]
    sms_fallback_url: Option<CallbackUrl>,
    /// GET or POST [default: POST]
    #[arg(long, value_name = "METHOD", requires = "sms_fallback_url")]
    sms_fallback_method: Option<Method>,
    /// Look up the caller's name
    #[arg(long)]
    voice_caller_id_lookup: bool,
}

fn url(text: &str) -> Result<CallbackUrl, NotACallbackUrl> {
    CallbackUrl::new(text.to_owned())
}

impl NumberSettings {
    /// The settings of a number that is sold with them.
    ///
    /// # Errors
    /// A lone fallback.
    pub fn first(self) -> Result<Settings, numbers::Refused> {
        fn change<T>(given: Option<T>) -> Change<T> {
            given.map_or(Change::Keep, |given| Change::Set(Some(given)))
        }
        let callback = |url, method| CallbackChange { url: change(url), method };
        Settings::first(&Changes {
            friendly_name: change(self.friendly_name),
            voice: callback(self.url, self.method),
            voice_fallback: callback(self.voice_fallback_url, self.voice_fallback_method),
            sms: callback(self.sms_url, self.sms_method),
            sms_fallback: callback(self.sms_fallback_url, self.sms_fallback_method),
            voice_caller_id_lookup: Some(self.voice_caller_id_lookup),
            ..Changes::default()
        })
    }
}
