//! What is to be simulated, as a form or JSON says it.

use serde_json::{Map, Value};

use crate::staging::Refused;
use crate::twiml::{Kind, Script, Version};
use crate::values::phone::PhoneNumber;
use crate::web::params::Params;

/// Who calls if nothing is said.
const CALLER: &str = "4155550100";

/// The longest name of a caller, of a place, and of a caller's number, in characters.
const LONGEST: usize = 64;

/// The parameters of both; a call has `Script` and `CallerName` too, and a message `Body`.
const PARAMETERS: [&str; 9] =
    ["To", "From", "FromCity", "FromState", "FromZip", "FromCountry", "ApiVersion", "Strict", "Wait"];

/// A call or message to be simulated.
#[derive(Clone, Debug)]
pub struct Asked {
    pub kind: Kind,
    pub to: String,
    pub from: String,
    pub body: String,
    pub script: Script,
    pub caller_name: Option<String>,
    /// City, state, zip and country of the caller, where they are said.
    pub region: [Option<String>; 4],
    /// The number's, unless it is said.
    pub version: Option<Version>,
    /// Whether warnings count as errors.
    pub strict: bool,
    /// Whether the answer comes when it has ended.
    pub wait: bool,
}

impl Asked {
    /// # Errors
    /// [`Refused::Parameter`]
    pub fn of_form(kind: Kind, form: &Params) -> Result<Self, Refused> {
        let mut all = Map::new();
        for (name, value) in form.pairs() {
            if all.insert(name.clone(), Value::from(value.as_str())).is_some() {
                return Err(refused(name, "one value"));
            }
        }
        Self::of_json(kind, all)
    }

    /// # Errors
    /// [`Refused::Parameter`]
    pub fn of_json(kind: Kind, mut all: Map<String, Value>) -> Result<Self, Refused> {
        let mut take = |name: &'static str, longest: usize| match all.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag.to_string())),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if text.chars().count() <= longest => Ok(Some(text)),
            Some(_) => Err(refused(name, &format!("a text of at most {longest} characters"))),
        };
        let to = take("To", LONGEST)?.ok_or_else(|| refused("To", "a number that the account holds"))?;
        let from = take("From", LONGEST)?.unwrap_or_else(|| CALLER.to_owned());
        let region = [
            take("FromCity", LONGEST)?,
            take("FromState", LONGEST)?,
            take("FromZip", LONGEST)?,
            take("FromCountry", LONGEST)?,
        ];
        let version = take("ApiVersion", LONGEST)?
            .map(|name| Version::named(&name).ok_or_else(|| refused("ApiVersion", "2008-08-01 or 2010-04-01")))
            .transpose()?;
        let (strict, wait) = (take("Strict", LONGEST)?, take("Wait", LONGEST)?);
        let (mut script, mut caller_name, mut body) = (Script::default(), None, String::new());
        match kind {
            Kind::Call => {
                let text = take("Script", crate::twiml::LONGEST_SCRIPT)?.unwrap_or_default();
                script = text.parse().map_err(|error: crate::twiml::NotAScript| Refused::Script(error.to_string()))?;
                caller_name = take("CallerName", LONGEST)?;
            }
            Kind::Message => body = take("Body", 2000)?.unwrap_or_default(),
        }
        if let Some(unknown) = all.keys().next() {
            let own = match kind {
                Kind::Call => "Script, CallerName",
                Kind::Message => "Body",
            };
            return Err(refused(unknown, &format!("one of {}, {own}", PARAMETERS.join(", "))));
        }
        Ok(Self {
            kind,
            to,
            from,
            body,
            script,
            caller_name,
            region,
            version,
            strict: flag("Strict", strict, false)?,
            wait: flag("Wait", wait, true)?,
        })
    }

    /// The caller's number, if it is one of the US.
    pub fn caller(&self) -> Option<PhoneNumber> {
        self.from.parse().ok()
    }

    /// The caller's number as ten digits, or as it was written.
    pub fn caller_digits(&self) -> String {
        self.caller().map_or_else(|| self.from.clone(), |number| number.to_string())
    }
}

fn flag(name: &str, text: Option<String>, default: bool) -> Result<bool, Refused> {
    match text.as_deref() {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(refused(name, "true or false")),
    }
}

fn refused(name: &str, expected: &str) -> Refused {
    Refused::Parameter { name: name.chars().take(LONGEST).collect(), expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: Kind, form: &str) -> Result<Asked, String> {
        let form = Params::parse(form.as_bytes()).expect("a form");
        Asked::of_form(kind, &form).map_err(|refused| refused.to_string())
    }

    #[test]
    fn a_call_has_defaults() {
        let call = asked(Kind::Call, "To=4158671531").expect("a call");
        assert_eq!((call.from.as_str(), call.wait, call.strict, call.version), ("4155550100", true, false, None));
        let call = asked(Kind::Call, "To=1&Wait=false&Strict=true&ApiVersion=2010-04-01&From=%2B14155551212&FromCity=");
        let call = call.expect("a call");
        assert_eq!((call.caller_digits().as_str(), call.wait, call.strict), ("4155551212", false, true));
        assert_eq!((call.version, &call.region[0]), (Some(Version::V2010), &None));
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_name() {
        for (kind, form, name) in [
            (Kind::Call, "", "To: "),
            (Kind::Call, "To=1&To=2", "To: "),
            (Kind::Call, "To=1&Body=x", "Body: "),
            (Kind::Message, "To=1&Script=press+1", "Script: "),
            (Kind::Call, "To=1&Wait=no", "Wait: "),
            (Kind::Call, "To=1&ApiVersion=2009", "ApiVersion: "),
            (Kind::Call, "To=1&Sript=x", "Sript: one of To, From"),
            (Kind::Call, "To=1&Script=press+x", "Script: "),
        ] {
            let refused = asked(kind, form).expect_err(form);
            assert!(refused.starts_with(name), "{form}: {refused}");
        }
        let long = format!("To=1&Body={}", "x".repeat(2001));
        assert!(asked(Kind::Message, &long).expect_err("too long").starts_with("Body: "));
        let json = serde_json::from_str(r#"{"To":"1","Wait":false}"#).expect("JSON");
        assert!(!Asked::of_json(Kind::Call, json).expect("a call").wait);
    }
}
