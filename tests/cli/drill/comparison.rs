//! Compares the buyers' answers with the database.

use std::collections::HashMap;

use numberbank::db::{self, Db};

use super::Scene;
use super::buyers::{INTERNAL, Order, Outcome};
use super::market::PRICE;
use super::operator::{self, Deed};

/// A tenancy with its key and the entries in the ledger of who pays for it.
#[derive(sqlx::FromRow)]
struct Tenancy {
    sid: String,
    account_sid: String,
    phone_number: String,
    /// A tenancy with two keys appears twice; without a key, this is `None`.
    key: Option<String>,
    open: bool,
    /// The amounts of its ledger entries, in cents.
    paid: Vec<i64>,
}

/// All differences; empty if there are none.
pub async fn compare(scene: &Scene, orders: &[Order], deeds: &[Deed]) -> Vec<String> {
    let db = db::for_command(&db::options(&scene.desk.database).expect("a URL"));
    let mut wrong = compare_tenancies(scene, orders, tenancies(&db).await);
    wrong.extend(operator::compare(&db, deeds).await);
    wrong.extend(compare_balances(scene, orders, &balances(&db).await));
    db.close().await;
    let audit = scene.desk.run(&["audit"]);
    if audit.code != Some(0) {
        wrong.push(format!("the audit does not hold: {audit:?}"));
    }
    if scene.counted(INTERNAL) > 0 {
        wrong.push("an outage is answered with 503, not with 500".to_owned());
    }
    wrong
}

async fn tenancies(db: &Db) -> Vec<Tenancy> {
    let statement = "select 'PN' || replace(tenancies.sid::text, '-', '') as sid,
            'AC' || replace(tenancies.account_sid::text, '-', '') as account_sid, phone_number::text, key,
            ended_at is null as open, coalesce(array_agg(amount) filter (where amount is not null), '{}') as paid
        from tenancies join accounts as holder on holder.sid = tenancies.account_sid
        left join idempotency_keys on idempotency_keys.tenancy_sid = tenancies.sid
            and idempotency_keys.account_sid = tenancies.account_sid
        left join ledger_entries on ledger_entries.tenancy_sid = tenancies.sid
            and ledger_entries.account_sid = holder.payer_sid
        group by tenancies.sid, key";
    sqlx::query_as(statement).fetch_all(db).await.expect("the tenancies")
}

/// Cents, by AccountSid.
async fn balances(db: &Db) -> HashMap<String, i64> {
    let statement = "select 'AC' || replace(account_sid::text, '-', ''), balance from account_sums";
    let rows: Vec<(String, i64)> = sqlx::query_as(statement).fetch_all(db).await.expect("the balances");
    rows.into_iter().collect()
}

/// Each answered purchase is one tenancy, and each tenancy one answered purchase.
fn compare_tenancies(scene: &Scene, orders: &[Order], tenancies: Vec<Tenancy>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut ordered: HashMap<&str, &Order> = orders.iter().map(|order| (order.key.as_str(), order)).collect();
    let of_buyers = |tenancy: &&Tenancy| !scene.office.accounts.contains(&tenancy.account_sid);
    for tenancy in tenancies.iter().filter(of_buyers) {
        let order = tenancy.key.as_deref().and_then(|key| ordered.remove(key));
        let Some(order) = order else {
            wrong.push(format!("{} was sold beyond what was ordered, key {:?}", tenancy.sid, tenancy.key));
            continue;
        };
        wrong.extend(contradiction(scene, order, tenancy));
    }
    let unsold = ordered.values().filter(|order| matches!(order.outcome, Outcome::Bought { .. }));
    wrong.extend(unsold.map(|order| format!("{} was answered and is lost: {:?}", order.key, order.outcome)));
    wrong
}

/// The differences between an order and its tenancy.
fn contradiction(scene: &Scene, order: &Order, tenancy: &Tenancy) -> Option<String> {
    let found = Outcome::Bought { sid: tenancy.sid.clone(), phone_number: tenancy.phone_number.clone() };
    let account = &scene.market.accounts[order.account].sid;
    let paid = [-PRICE.cast_signed()];
    if order.outcome != found {
        Some(format!("{} was answered {:?}, but stands as {found:?}", order.key, order.outcome))
    } else if tenancy.account_sid != *account || tenancy.open == order.let_go || tenancy.paid != paid {
        let Tenancy { account_sid, open, paid, .. } = tenancy;
        Some(format!(
            "{}: bought by {account}, held by {account_sid}, open: {open}, let go: {}, paid: {paid:?}",
            order.key, order.let_go
        ))
    } else {
        None
    }
}

/// Each balance is the initial one less the purchases of those that it pays for.
fn compare_balances(scene: &Scene, orders: &[Order], balances: &HashMap<String, i64>) -> Vec<String> {
    let mut expected: Vec<_> = scene.market.accounts.iter().map(|account| account.balance.cast_signed()).collect();
    for order in orders.iter().filter(|order| matches!(order.outcome, Outcome::Bought { .. })) {
        expected[scene.market.accounts[order.account].payer] -= PRICE.cast_signed();
    }
    let accounts = scene.market.accounts.iter().zip(expected);
    let differ = accounts.filter(|(account, cents)| balances.get(&account.sid) != Some(cents));
    differ
        .map(|(account, cents)| format!("{} has not {cents} cents: {:?}", account.sid, balances.get(&account.sid)))
        .collect()
}
