//! The operator, for the record of actions.

use clap::Args;
use nix::unistd::{User, gethostname, getuid};

use crate::operators;
use crate::values::text::FriendlyName;

/// The operator, as the record of actions names them.
#[derive(Args, Debug)]
pub struct Operator {
    /// Your name in the record of operator actions [default: the user of the operating system]
    #[arg(long, global = true, env = "NUMBERBANK_OPERATOR", value_name = "NAME")]
    pub operator: Option<FriendlyName>,
}

impl Operator {
    /// The login is recorded too, so that `--operator` never hides it.
    pub fn who(&self) -> operators::Operator {
        let user = User::from_uid(getuid()).ok().flatten();
        let user = user.map_or_else(|| format!("uid {}", getuid()), |user| user.name);
        let host = gethostname().map(|host| host.to_string_lossy().into_owned()).unwrap_or_default();
        let login = format!("{user}@{host}");
        operators::Operator { name: self.operator.as_ref().map_or(user, |name| name.as_str().to_owned()), login }
    }
}
