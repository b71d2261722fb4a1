//! The views, and what each can be limited by.

use super::portions::Keyed;
use super::{Column, Shape};

/// A view.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub name: &'static str,
    /// The columns that its rows are sorted by.
    pub(super) order: &'static [&'static str],
    pub(super) key: Keyed,
    /// The columns that name an account.
    pub(super) accounts: &'static [&'static str],
    /// Whether it has a column `phone_number`.
    pub(super) has_number: bool,
    pub(super) time: Time,
    /// Its most useful columns, the first one first: those that a narrow terminal shows.
    pub(super) foremost: &'static str,
}

/// What a period limits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Time {
    Never,
    /// A moment within the period.
    At(&'static str),
    /// A day or month that begins within the period.
    Begins(&'static str),
    /// A stretch that the period touches: where it begins, and where it ends, if it has ended.
    Stretch(&'static str, &'static str),
}

const NONE: View =
    View { name: "", order: &[], key: Keyed::None, accounts: &[], has_number: false, time: Time::Never, foremost: "" };
const OF_ACCOUNT: View = View { accounts: &["account_sid"], ..NONE };
const OF_BOTH: View = View { has_number: true, ..OF_ACCOUNT };

/// All views.
pub const VIEWS: [View; 18] = [
    View::INVENTORY,
    View::INVENTORY_SUMMARY,
    View::LOW_STOCK,
    View::ACCOUNTS,
    View::TENANCIES,
    View::HOLDINGS,
    View::MOVES,
    View::LEDGER,
    View::MONTHLY_REVENUE,
    View::OPERATOR_ACTIONS,
    View::IMPORTS,
    View::TRANSFERS,
    View::ACCOUNT_EVENTS,
    View::DAILY_REVENUE,
    View::MARGINS,
    View::PRICES,
    View::PRICE_HISTORY,
    View::API_KEYS,
];

impl View {
    pub const INVENTORY: Self = Self {
        name: "inventory",
        order: &["phone_number"],
        key: Keyed::Number,
        foremost: "phone_number state account_sid state_since back_on_sale provider provider_cost kind note",
        ..OF_BOTH
    };
    pub const INVENTORY_SUMMARY: Self = Self { name: "inventory_summary", order: &["kind", "area_code"], ..NONE };
    pub const LOW_STOCK: Self = Self { name: "low_stock", order: &["kind", "area_code"], ..NONE };
    pub const ACCOUNTS: Self = Self {
        name: "accounts",
        order: &["created_at", "sid"],
        key: Keyed::Account,
        accounts: &["sid"],
        time: Time::At("created_at"),
        foremost: "sid name status reason balance owed numbers_held monthly_fees ref spent_this_month",
        ..NONE
    };
    pub const TENANCIES: Self = Self {
        name: "tenancies",
        order: &["phone_number", "started_at", "ended_at"],
        key: Keyed::Number,
        time: Time::At("started_at"),
        foremost: "phone_number sid started_at ended_at price next_fee_on account_sid kind",
        ..OF_BOTH
    };
    pub const HOLDINGS: Self = Self {
        name: "holdings",
        order: &["phone_number", "held_from", "held_until"],
        key: Keyed::Number,
        time: Time::Stretch("held_from", "held_until"),
        ..OF_BOTH
    };
    pub const MOVES: Self = Self {
        name: "moves",
        order: &["phone_number", "at", "id"],
        key: Keyed::Number,
        has_number: true,
        time: Time::At("at"),
        foremost: "phone_number at from_state to_state cause note retirement number_sid",
        ..NONE
    };
    pub const LEDGER: Self = Self {
        name: "ledger",
        order: &["account_sid", "id"],
        key: Keyed::Entry,
        time: Time::At("at"),
        foremost: "id at kind amount balance_after phone_number note period_from period_to account_name account_sid",
        ..OF_BOTH
    };
    pub const MONTHLY_REVENUE: Self =
        Self { name: "monthly_revenue", order: &["month", "kind", "charge"], time: Time::Begins("month"), ..NONE };
    pub const OPERATOR_ACTIONS: Self = Self {
        name: "operator_actions",
        order: &["id"],
        key: Keyed::Action,
        time: Time::At("begun_at"),
        foremost: "id begun_at operator action outcome account_sid phone_number reason arguments counts",
        ..OF_BOTH
    };
    pub const IMPORTS: Self = Self {
        name: "imports",
        order: &["id"],
        time: Time::At("at"),
        foremost: "id at file added already_known changed rejected operator",
        ..NONE
    };
    pub const TRANSFERS: Self = Self {
        name: "transfers",
        order: &["id"],
        accounts: &["from_account_sid", "to_account_sid"],
        time: Time::At("at"),
        foremost: "phone_number at from_account_sid to_account_sid note",
        ..OF_BOTH
    };
    pub const ACCOUNT_EVENTS: Self = Self {
        name: "account_events",
        order: &["account_sid", "id"],
        key: Keyed::Event,
        time: Time::At("at"),
        foremost: "at change reason account_name account_sid phone_number note",
        ..OF_BOTH
    };
    pub const DAILY_REVENUE: Self = Self {
        name: "daily_revenue",
        order: &["day", "kind", "charge", "account_sid"],
        time: Time::Begins("day"),
        ..OF_ACCOUNT
    };
    pub const MARGINS: Self = Self {
        name: "margins",
        order: &["phone_number"],
        key: Keyed::Number,
        foremost: "phone_number price provider_cost margin provider account_sid",
        ..OF_BOTH
    };
    pub const API_KEYS: Self = Self {
        name: "api_keys",
        order: &["created_at", "sid"],
        key: Keyed::ApiKey,
        time: Time::At("created_at"),
        foremost: "sid name scope created_at account_name",
        ..OF_ACCOUNT
    };
    pub const PRICES: Self = Self { name: "prices", order: &["account_sid nulls first", "kind"], ..OF_ACCOUNT };
    pub const PRICE_HISTORY: Self = Self {
        name: "price_history",
        order: &["id"],
        time: Time::At("at"),
        foremost: "at kind price account_sid operator",
        ..OF_ACCOUNT
    };

    /// The view with this name.
    pub fn named(name: &str) -> Option<Self> {
        VIEWS.into_iter().find(|view| view.name == name)
    }

    /// The options that limit its rows.
    pub(super) fn limits(self) -> impl Iterator<Item = &'static str> {
        let may = [
            ("--account", !self.accounts.is_empty()),
            ("--number", self.has_number),
            ("--since", !matches!(self.time, Time::Never)),
            ("--until", !matches!(self.time, Time::Never)),
            ("--limit", true),
        ];
        may.into_iter().filter_map(|(option, may)| may.then_some(option))
    }

    /// The columns that a narrow terminal shows, the most useful first; all of them where none is said to be.
    pub fn foremost(self, columns: &[Column]) -> Vec<usize> {
        let place = |name: &str| columns.iter().position(|column| column.name == name);
        let first: Vec<usize> = self.foremost.split(' ').filter_map(place).collect();
        let rest = (0..columns.len()).filter(|at| !first.contains(at)).collect::<Vec<_>>();
        [first, rest].concat()
    }
}

impl Column {
    /// How a value of this column is written: money and phone numbers as texts, times and dates as RFC 3339 has them.
    pub(super) fn shape(&self) -> Shape {
        match (self.type_name.as_str(), self.name.as_str()) {
            ("timestamptz", _) => Shape::Time,
            ("date", _) => Shape::Date,
            ("numeric", _) => Shape::Money,
            ("bool", _) => Shape::Boolean,
            ("text", _) => Shape::Text,
            ("int8", "phone_number") => Shape::PhoneNumber,
            ("int2" | "int4" | "int8", _) => Shape::Integer,
            ("jsonb", _) => Shape::Document,
            _ => Shape::Word,
        }
    }
}
