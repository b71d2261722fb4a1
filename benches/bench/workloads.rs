//! The workloads and their yardsticks.

/// A kind of work and its yardstick.
pub struct Workload {
    pub name: &'static str,
    pub what: &'static str,
    pub needs: Needs,
    pub work: Side,
    pub yardstick: Side,
    pub yardstick_is: &'static str,
    /// The target: a share of the yardstick's rate.
    pub target: Option<f64>,
}

/// What a measurement needs before it.
#[derive(Clone, Copy, PartialEq)]
pub enum Needs {
    /// Nothing: it only reads.
    Nothing,
    /// Nothing, but it writes.
    Order,
    /// Numbers for sale.
    Stock,
    /// Numbers that are not released yet.
    Holdings,
}

/// One side of a pair.
#[derive(Clone, Copy)]
pub enum Side {
    /// A workload of load.lua, with 32 connections.
    Http(&'static str),
    /// The same, and each request buys the number that it names.
    Naming(&'static str),
    /// Scripts of sql/ with their weights; scripts that buy use this many accounts.
    Sql(&'static [(&'static str, u32)], u64),
    /// A workload of load.lua that buys, with 64 connections, and how many numbers there are to buy.
    Buyers(&'static str, Option<u64>),
    /// The first requests of twenty accounts, one after another.
    Strangers,
    /// The second requests of twenty others.
    Acquaintances,
}

use Needs::{Holdings, Nothing, Order, Stock};
use Side::{Acquaintances, Buyers, Http, Naming, Sql, Strangers};

const fn beside_sql(name: &'static str, what: &'static str, needs: Needs, sql: Side, target: Option<f64>) -> Workload {
    Workload { name, what, needs, work: Http(name), yardstick: sql, yardstick_is: "raw SQL", target }
}

/// The same work in both versions of the API.
const fn beside_2008(name: &'static str, what: &'static str, needs: Needs, older: &'static str) -> Workload {
    let workload = beside_sql(name, what, needs, Http(older), Some(0.90));
    Workload { yardstick_is: "2008-08-01", ..workload }
}

const MIX: Side = Sql(&[("one", 8), ("page", 1), ("buy", 1)], 20);

pub const WORKLOADS: &[Workload] = &[
    beside_sql("one", "one number", Nothing, Sql(&[("one", 1)], 20), Some(0.60)),
    beside_sql("page", "a page of 50", Nothing, Sql(&[("page", 1)], 20), Some(0.50)),
    beside_sql("buy", "buy, 20 accounts", Stock, Sql(&[("buy", 1)], 20), Some(0.70)),
    beside_sql("buy-one-account", "buy, one account", Stock, Sql(&[("buy", 1)], 1), Some(1.50)),
    beside_sql("update", "update", Order, Sql(&[("update", 1)], 20), None),
    beside_sql("release", "release", Holdings, Sql(&[("release", 1)], 20), None),
    beside_sql("mix", "80 % one number, 10 % page, 10 % buy", Stock, MIX, None),
    beside_2008("one-2010", "one number, 2010-04-01", Nothing, "one"),
    beside_2008("page-2010", "a page of 50, 2010-04-01", Nothing, "page"),
    beside_2008("update-2010", "update, 2010-04-01", Order, "update"),
    beside_2008("buy-2010", "buy by AreaCode, 2010-04-01", Stock, "buy"),
    Workload { work: Naming("buy-named"), ..beside_2008("buy-named", "buy by PhoneNumber, 2010-04-01", Stock, "buy") },
    Workload {
        yardstick_is: "the only page of 50",
        ..beside_sql("first-page", "page 1 of 1,000,000", Nothing, Http("only-page"), Some(0.90))
    },
    Workload {
        yardstick_is: "page 1",
        ..beside_sql("last-page", "the last page of 1,000,000", Nothing, Http("first-page"), Some(1.0 / 1.3))
    },
    Workload {
        work: Buyers("buy-last", Some(1000)),
        yardstick_is: "a full stock",
        ..beside_sql("buy-last", "64 buyers, the last 1,000", Stock, Buyers("buy", None), Some(0.50))
    },
    Workload {
        work: Strangers,
        yardstick_is: "its second one",
        ..beside_sql("cold", "a client's first request", Nothing, Acquaintances, None)
    },
];
