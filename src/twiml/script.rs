//! What the caller of a simulated call does: a script such as `press 1; speak 12 press #; dial busy; hang up`.

use std::collections::VecDeque;
use std::str::FromStr;

use super::grammar::is_key;

/// The most characters of a script, and its most acts.
pub const LONGEST_SCRIPT: usize = 2000;
const MOST_ACTS: usize = 200;

/// The most seconds of one act.
const LONGEST: u32 = 86_400;

/// What a caller does, in order. It is used up as the call goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    acts: VecDeque<Act>,
    /// Whether the caller has waited once since the script ran out.
    has_waited: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Press(String),
    Wait,
    /// Speaks for this number of seconds.
    Speak(u32, Then),
    Silence,
    Dial(Dialled),
    HangUp,
}

/// What the caller does once they have spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Nothing,
    Press(char),
    HangUp,
}

/// What becomes of a Dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// They talk for so long; then the other one hangs up, or the caller.
    Answered {
        seconds: u32,
        hangs_up: bool,
    },
    Busy,
    NoAnswer,
    Failed,
    /// The caller hung up before.
    Canceled,
}

/// What the caller does when something is asked of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Acts(Act),
    Nothing,
    HangsUp,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAScript {
    #[error("a script has at most {LONGEST_SCRIPT} characters and {MOST_ACTS} parts")]
    TooLong,
    #[error("part {number} of the script, '{part}': {expected}")]
    Part { number: usize, part: String, expected: &'static str },
}

const ACTS: &str = "press DIGITS, wait, speak SECONDS, speak SECONDS press KEY, speak SECONDS hang up, silence, \
                    dial answered SECONDS, dial answered SECONDS hang up, dial busy, dial no-answer, dial failed or \
                    hang up is expected";
const DIGITS: &str = "digits, * and # are expected after press";
const ONE_KEY: &str = "one digit, * or # is expected after press";
const SECONDS: &str = "a whole number of seconds from 1 to 86400 is expected";
const THE_END: &str = "nothing follows hang up";

impl FromStr for Script {
    type Err = NotAScript;

    /// Reads acts that `;` separates. Empty parts do not count.
    fn from_str(text: &str) -> Result<Self, NotAScript> {
        if text.chars().count() > LONGEST_SCRIPT {
            return Err(NotAScript::TooLong);
        }
        let mut acts = VecDeque::new();
        let parts = text.split(';').map(str::trim).enumerate().filter(|(_, part)| !part.is_empty());
        for (index, part) in parts {
            let act = if acts.back().is_some_and(Act::is_the_end) { Err(THE_END) } else { act(part) };
            let part = part.chars().take(40).collect();
            acts.push_back(act.map_err(|expected| NotAScript::Part { number: index + 1, part, expected })?);
        }
        if acts.len() > MOST_ACTS { Err(NotAScript::TooLong) } else { Ok(Self { acts, has_waited: false }) }
    }
}

fn act(part: &str) -> Result<Act, &'static str> {
    let words: Vec<_> = part.split_whitespace().collect();
    match *words {
        ["press", digits] if digits.chars().all(is_key) => Ok(Act::Press(digits.to_owned())),
        ["press", ..] => Err(DIGITS),
        ["wait"] => Ok(Act::Wait),
        ["silence"] => Ok(Act::Silence),
        ["speak", time] => Ok(Act::Speak(seconds(time)?, Then::Nothing)),
        ["speak", time, "press", key] => Ok(Act::Speak(seconds(time)?, Then::Press(one_key(key)?))),
        ["speak", time, "hang", "up"] => Ok(Act::Speak(seconds(time)?, Then::HangUp)),
        ["dial", "answered", time] => answered(time, false),
        ["dial", "answered", time, "hang", "up"] => answered(time, true),
        ["dial", "answered"] | ["speak"] => Err(SECONDS),
        ["dial", "busy"] => Ok(Act::Dial(Dialled::Busy)),
        ["dial", "no-answer"] => Ok(Act::Dial(Dialled::NoAnswer)),
        ["dial", "failed"] => Ok(Act::Dial(Dialled::Failed)),
        ["hang", "up"] => Ok(Act::HangUp),
        _ => Err(ACTS),
    }
}

fn answered(time: &str, hangs_up: bool) -> Result<Act, &'static str> {
    Ok(Act::Dial(Dialled::Answered { seconds: seconds(time)?, hangs_up }))
}

fn seconds(text: &str) -> Result<u32, &'static str> {
    let seconds = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).map(str::parse);
    seconds.and_then(Result::ok).filter(|seconds| (1..=LONGEST).contains(seconds)).ok_or(SECONDS)
}

fn one_key(text: &str) -> Result<char, &'static str> {
    let mut keys = text.chars();
    let key = keys.next().filter(|key| is_key(*key) && keys.next().is_none());
    key.ok_or(ONE_KEY)
}

impl Act {
    /// Whether the caller hangs up in it, or at its end.
    const fn is_the_end(&self) -> bool {
        matches!(
            self,
            Self::HangUp | Self::Speak(_, Then::HangUp) | Self::Dial(Dialled::Answered { hangs_up: true, .. })
        )
    }
}

impl Then {
    /// The same as an act of its own, for what did not come about.
    pub fn act(self) -> Option<Act> {
        match self {
            Self::Nothing => None,
            Self::Press(key) => Some(Act::Press(key.into())),
            Self::HangUp => Some(Act::HangUp),
        }
    }
}

impl Script {
    /// What the caller does where an act that `suits` is asked for. Another act waits for its own verb. Once the script
    /// has run out, the caller does nothing the first time, and then hangs up.
    pub fn reply(&mut self, suits: impl Fn(&Act) -> bool) -> Reply {
        match self.acts.front() {
            None if self.has_waited => Reply::HangsUp,
            None => {
                self.has_waited = true;
                Reply::Nothing
            }
            Some(Act::HangUp) => Reply::HangsUp,
            Some(act) if suits(act) => self.acts.pop_front().map_or(Reply::Nothing, Reply::Acts),
            Some(_) => Reply::Nothing,
        }
    }

    /// Gives back what has not come about.
    pub fn give_back(&mut self, act: Option<Act>) {
        if let Some(act) = act {
            self.acts.push_front(act);
        }
    }

    /// All keys that are still to be pressed.
    pub fn digits(&self) -> String {
        let keys = |act: &Act| match act {
            Act::Press(digits) => digits.clone(),
            Act::Speak(_, Then::Press(key)) => key.to_string(),
            _ => String::new(),
        };
        self.acts.iter().map(keys).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_is_read() {
        let script: Script =
            " press 1;wait ; press 1234#; speak 12;speak 3 press *; silence; dial answered 60; dial busy;\
                              dial no-answer; dial failed; ; hang up;"
                .parse()
                .unwrap();
        let acts = [
            Act::Press("1".to_owned()),
            Act::Wait,
            Act::Press("1234#".to_owned()),
            Act::Speak(12, Then::Nothing),
            Act::Speak(3, Then::Press('*')),
            Act::Silence,
            Act::Dial(Dialled::Answered { seconds: 60, hangs_up: false }),
            Act::Dial(Dialled::Busy),
            Act::Dial(Dialled::NoAnswer),
            Act::Dial(Dialled::Failed),
            Act::HangUp,
        ];
        assert_eq!(script.acts, acts);
        assert_eq!(script.digits(), "11234#*");
        assert_eq!("".parse::<Script>().unwrap(), Script::default());
        for (script, act) in [
            ("speak 12 hang up", Act::Speak(12, Then::HangUp)),
            ("dial answered 30  hang up", Act::Dial(Dialled::Answered { seconds: 30, hangs_up: true })),
        ] {
            assert_eq!(script.parse::<Script>().unwrap().acts, [act]);
        }
    }

    #[test]
    fn an_error_names_the_part_and_what_is_expected() {
        for (script, number, part, expected) in [
            ("pres 1", 1, "pres 1", ACTS),
            ("press 1; press", 2, "press", DIGITS),
            ("press 1;; press a1", 3, "press a1", DIGITS),
            ("press 1 2", 1, "press 1 2", DIGITS),
            ("press \u{661}", 1, "press \u{661}", DIGITS),
            ("speak", 1, "speak", SECONDS),
            ("speak 0", 1, "speak 0", SECONDS),
            ("speak +1", 1, "speak +1", SECONDS),
            ("speak 86401", 1, "speak 86401", SECONDS),
            ("speak 99999999999", 1, "speak 99999999999", SECONDS),
            ("speak 1 press 12", 1, "speak 1 press 12", ONE_KEY),
            ("speak 1 press", 1, "speak 1 press", ACTS),
            ("dial answered", 1, "dial answered", SECONDS),
            ("dial answered 1s", 1, "dial answered 1s", SECONDS),
            ("dial", 1, "dial", ACTS),
            ("dial engaged", 1, "dial engaged", ACTS),
            ("Press 1", 1, "Press 1", ACTS),
            ("hang up; press 1", 2, "press 1", THE_END),
            ("speak 1 hang up; press 1", 2, "press 1", THE_END),
            ("dial answered 1 hang up; hang up", 2, "hang up", THE_END),
            ("speak 0 hang up", 1, "speak 0 hang up", SECONDS),
            ("dial answered 0 hang up", 1, "dial answered 0 hang up", SECONDS),
            ("dial busy hang up", 1, "dial busy hang up", ACTS),
        ] {
            let error = NotAScript::Part { number, part: part.to_owned(), expected };
            assert_eq!(script.parse::<Script>(), Err(error), "{script}");
        }
        let error = "wait; pres 1".parse::<Script>().unwrap_err().to_string();
        assert!(error.starts_with("part 2 of the script, 'pres 1': press DIGITS, wait,"), "{error}");
    }

    #[test]
    fn a_script_has_an_end() {
        let longest = format!("press {}", "1".repeat(LONGEST_SCRIPT - "press ".len()));
        assert_eq!(longest.parse::<Script>().unwrap().digits().len(), LONGEST_SCRIPT - 6);
        assert_eq!(format!("{longest}1").parse::<Script>(), Err(NotAScript::TooLong));
        assert!("wait;".repeat(MOST_ACTS).parse::<Script>().is_ok());
        assert_eq!("wait;".repeat(MOST_ACTS + 1).parse::<Script>(), Err(NotAScript::TooLong));
    }
}
