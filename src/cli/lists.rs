//! Lists of commands that are rows of a view: their columns and types are the view's.

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};

use super::options::{Most, rows};
use super::report::{optional, print};
use super::times::Period;
use super::{Context, Done, tell};
use crate::accounts::{self, MOST_FOUND};
use crate::inventory::State;
use crate::reporting::{Condition, Limits, Value, View};
use crate::values::phone::{AreaCode, Kind};

/// `inventory list`
#[derive(Args, Debug)]
pub struct Stock {
    /// Only numbers of this area code
    #[arg(long, value_name = "CODE")]
    area_code: Option<AreaCode>,
    /// Only numbers of this kind
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Only numbers in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only numbers that this account holds
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Only numbers from this provider, named exactly
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Only numbers of this import; 'report imports' lists all imports
    #[arg(long, value_name = "ID")]
    import: Option<i64>,
    #[command(flatten)]
    most: Most,
}

impl Stock {
    pub async fn run(self, context: &Context) -> Done {
        let account = optional(self.account.as_deref().map(|text| context.account(text))).await?;
        let all = View::INVENTORY.limited(Limits { account, rows: self.most.rows, ..Limits::default() })?;
        // An area code is a range of the primary key.
        let area_code = self.area_code.map(|code| {
            let first = i64::from(code.as_smallint()) * 10_000_000;
            Condition::Between("phone_number", first, first + 9_999_999)
        });
        let conditions = [
            area_code,
            self.kind.map(|kind| Condition::Is("kind", Value::Word(kind.name()))),
            self.state.map(|state| Condition::InState(state.name())),
            self.provider.map(|name| Condition::Is("provider", Value::Text(name))),
            self.import.map(|id| Condition::Is("import", Value::Integer(id))),
        ];
        let report = conditions.into_iter().flatten().fold(all, |report, condition| report.and(condition));
        print(context, &report).await
    }
}

/// `inventory summary`
pub async fn summary(context: &Context) -> Done {
    print(context, &View::INVENTORY_SUMMARY.all()).await
}

/// `account find`
#[derive(Args, Debug)]
pub struct Search {
    /// A part of a name or ref, the beginning of a Sid, or a number that the account holds or held
    #[arg(value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    text: String,
    #[command(flatten)]
    most: Most,
}

impl Search {
    pub async fn run(self, context: &Context) -> Done {
        let mut found = accounts::search(&context.db, &self.text).await?;
        if found.len() > MOST_FOUND {
            found.truncate(MOST_FOUND);
            tell(&format!("numberbank: warning: more than {MOST_FOUND} accounts fit; these are some of them"));
        }
        let found = Condition::IsOneOf("sid", found.into_iter().map(Value::Account).collect());
        let all = View::ACCOUNTS.limited(Limits { rows: self.most.rows, ..Limits::default() })?;
        print(context, &all.and(found)).await
    }
}

/// `account numbers`
#[derive(Args, Debug)]
pub struct Numbers {
    /// Whose: a Sid or its beginning, a ref, or a name
    #[arg(value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    most: Most,
}

impl Numbers {
    pub async fn run(self, context: &Context) -> Done {
        let account = Some(context.account(&self.account).await?);
        let held = View::TENANCIES.limited(Limits { account, rows: self.most.rows, ..Limits::default() })?;
        print(context, &held.and(Condition::IsNull("ended_at"))).await
    }
}

/// The kinds of entries, as the ledger names them.
const ENTRIES: [&str; 4] = ["credit", "debit", "purchase", "monthly_fee"];

/// `account ledger`
#[derive(Args, Debug)]
pub struct Entries {
    /// Whose: a Sid or its beginning, a ref, or a name
    #[arg(value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    period: Period,
    /// Only entries of this kind
    #[arg(long, value_parser = PossibleValuesParser::new(ENTRIES))]
    kind: Option<String>,
    /// The largest number of entries: the newest ones
    #[arg(long, value_name = "ROWS", value_parser = rows())]
    limit: Option<u32>,
}

impl Entries {
    pub async fn run(self, context: &Context) -> Done {
        let [since, until] = self.period.ends(context.clock.now())?;
        let account = Some(context.account(&self.account).await?);
        let all = View::LEDGER.limited(Limits { account, number: None, since, until, rows: self.limit })?.last();
        let kind = ENTRIES.into_iter().find(|kind| self.kind.as_deref() == Some(kind));
        let report = match kind {
            Some(kind) => all.and(Condition::Is("kind", Value::Word(kind))),
            None => all,
        };
        print(context, &report).await
    }
}
