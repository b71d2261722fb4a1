//! Statements on the views.

use chrono::{DateTime, Days, NaiveTime, Utc};
use futures_util::stream::BoxStream;
use sqlx::{Result, query_as, query_scalar};
use tracing::instrument;

use super::portions::Portion;
use super::views::Time;
use super::{Column, Condition, Described, Form, Limits, Report, Shape, Value};
use crate::db::{Db, Transaction};

/// The views with these names, in their order.
#[instrument(name = "reporting.describe", level = "debug", skip_all)]
pub async fn describe(db: &Db, names: &[String]) -> Result<Vec<Described>> {
    query_as!(
        Described,
        r#"select relname::text as "name!", coalesce(obj_description(oid, 'pg_class'), '') as "shows!"
        from pg_class where relnamespace = 'reporting'::regnamespace and relname = any($1)
        order by array_position($1, relname::text)"#,
        names
    )
    .fetch_all(db)
    .await
}

/// The columns of a view, in their order.
#[instrument(name = "reporting.columns", level = "debug", skip_all)]
pub async fn columns(db: &Db, view: &str) -> Result<Vec<Column>> {
    query_as!(
        Column,
        r#"select attname::text as "name!", typname::text as "type_name!" from pg_attribute
        join pg_class on pg_class.oid = attrelid join pg_type on pg_type.oid = atttypid
        where relnamespace = 'reporting'::regnamespace and relname = $1 and attnum > 0 and not attisdropped
        order by attnum"#,
        view
    )
    .fetch_all(db)
    .await
}

/// For rows that indexes lead to. By its estimates alone, PostgreSQL would read some tables whole, or join by that.
#[instrument(name = "reporting.walk_indexes", level = "debug", skip_all)]
pub async fn walk_indexes(within: &mut Transaction) -> Result<()> {
    query_scalar!(
        "select set_config(name, 'off', true)
        from (values ('enable_seqscan'), ('enable_hashjoin'), ('enable_mergejoin')) as settings (name)"
    )
    .fetch_all(&mut **within)
    .await
    .map(drop)
}

/// The rows of a report or of a portion of it, written by PostgreSQL, which sends each one by itself.
#[instrument(name = "reporting.copy", level = "debug", skip_all)]
pub async fn copy<'within>(
    within: &'within mut Transaction,
    report: &Report,
    portion: Option<Portion>,
    columns: &[Column],
    form: Form,
) -> Result<BoxStream<'within, Result<impl AsRef<[u8]> + use<>>>> {
    let (rows, options) = match form {
        Form::Csv => (selected(report, portion, columns, form), "header"),
        // In JSON these two characters are always escaped, so nothing is quoted twice.
        Form::Json => (
            format!("select row_to_json(report) from ({}) as report", selected(report, portion, columns, form)),
            r"delimiter e'\x01', quote e'\x02'",
        ),
    };
    within.copy_out_raw(&format!("copy ({rows}) to stdout (format csv, {options})")).await
}

/// COPY takes no parameters: what a report is limited by becomes literals, and only of typed values.
fn selected(report: &Report, portion: Option<Portion>, columns: &[Column], form: Form) -> String {
    let Report { view, limits, conditions, is_last } = report;
    let list: Vec<_> = columns.iter().map(|column| written(column, form)).collect();
    let mut conditions: Vec<_> = limited(report).into_iter().chain(conditions.iter().map(condition)).collect();
    if portion.is_none() {
        conditions.extend(bound(report, &conditions));
    }
    let forwards = view.order.iter().map(|column| format!("report.{column}")).collect::<Vec<_>>().join(", ");
    let list = list.join(", ");
    let from = source(report, portion, &conditions);
    match (limits.rows, is_last) {
        (None, _) => format!("select {list} from {from} order by {forwards}"),
        (Some(rows), false) => format!("select {list} from {from} order by {forwards} limit {rows}"),
        (Some(rows), true) => format!(
            "select {list} from (select * from {from} order by {} limit {rows}) as report order by {forwards}",
            backwards(view.order)
        ),
    }
}

/// Where the entries or events of one account are counted off by their ids: the id to which they go. To find it costs
/// an index; to sort whole rows would cost what their joins cost, which of a large account are many.
fn bound(report: &Report, conditions: &[String]) -> Option<String> {
    let Report { view, limits: Limits { account: Some(_), rows: Some(rows), .. }, is_last, .. } = report else {
        return None;
    };
    let (relation, end, direction) = if *is_last { (">=", "min", " desc") } else { ("<=", "max", "") };
    let from = source(report, None, conditions);
    (view.order == ["account_sid", "id"]).then(|| {
        format!(
            "report.id {relation} (select {end}(id) from (
                select report.id from {from} order by report.id{direction} limit {rows}) as counted)"
        )
    })
}

fn backwards(order: &[&str]) -> String {
    let column = |column: &&str| match column.strip_suffix(" nulls first") {
        Some(column) => format!("report.{column} desc nulls last"),
        None => format!("report.{column} desc"),
    };
    order.iter().map(column).collect::<Vec<_>>().join(", ")
}

/// A column as all answers write it.
fn written(column: &Column, form: Form) -> String {
    let name = &column.name;
    let value = match (column.shape(), form) {
        (Shape::Time, _) => format!(r#"to_char(report.{name} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"#),
        (Shape::Date, _) => format!("to_char(report.{name}, 'YYYY-MM-DD')"),
        (Shape::Money, _) => format!("round(report.{name}, greatest(2, min_scale(report.{name})))::text"),
        (Shape::PhoneNumber, _) | (Shape::Boolean, Form::Csv) => format!("report.{name}::text"),
        _ => format!("report.{name}"),
    };
    format!("{value} as {name}")
}

/// The rows that a report is about. Of two accounts in a row each has its index: so they are asked for one by one, as
/// are the parts of a portion.
fn source(Report { view, limits, .. }: &Report, portion: Option<Portion>, conditions: &[String]) -> String {
    let parts = match (portion, limits.account) {
        (Some(portion), _) => parts(portion, view.order[0]),
        (None, Some(account)) => view.accounts.iter().map(|column| equal(column, &Value::Account(account))).collect(),
        (None, None) => vec![String::new()],
    };
    let rows = |part: String| {
        let all: Vec<_> = conditions.iter().cloned().chain([part]).filter(|part| !part.is_empty()).collect();
        let all = if all.is_empty() { String::new() } else { format!(" where {}", all.join(" and ")) };
        format!("reporting.{} as report{all}", view.name)
    };
    let mut rows: Vec<_> = parts.into_iter().map(rows).collect();
    match (rows.pop(), rows.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            let all = rows.into_iter().chain(last).map(|rows| format!("select * from {rows}"));
            format!("({}) as report", all.collect::<Vec<_>>().join(" union all "))
        }
    }
}

/// The conditions of a portion by this column, each of which an index answers.
fn parts(portion: Portion, column: &str) -> Vec<String> {
    let between =
        |first: String, last: String| vec![format!("report.{column} > {first} and report.{column} <= {last}")];
    match portion {
        Portion::Numbers(first, last) | Portion::Ids(first, last) => between(first.to_string(), last.to_string()),
        Portion::NumbersInUse(first, last) => vec![numbers_of(&format!(
            "tenancies where ended_at is null and phone_number > {first} and phone_number <= {last}"
        ))],
        Portion::Moments(first, last) => between(moment(first), moment(last)),
        Portion::OfAccounts((first, after), (last, until)) if first == last => {
            vec![format!("report.{column} = '{first}' and report.id > {after} and report.id <= {until}")]
        }
        Portion::OfAccounts((first, after), (last, until)) => vec![
            format!("report.{column} = '{first}' and report.id > {after}"),
            format!("report.{column} > '{first}' and report.{column} < '{last}'"),
            format!("report.{column} = '{last}' and report.id <= {until}"),
        ],
    }
}

fn limited(Report { view, limits, .. }: &Report) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(limits.number.map(|number| equal("phone_number", &Value::Number(number))));
    all.extend(limits.since.and_then(|since| match view.time {
        Time::Never => None,
        Time::At(at) => Some(format!("report.{at} >= {}", moment(since))),
        Time::Begins(day) => Some(format!("report.{day} >= {}", first_day(since))),
        Time::Stretch(_, end) => Some(format!("(report.{end} is null or report.{end} > {})", moment(since))),
    }));
    all.extend(limits.until.and_then(|until| match view.time {
        Time::Never => None,
        Time::At(at) | Time::Stretch(at, _) => Some(format!("report.{at} < {}", moment(until))),
        Time::Begins(day) => Some(format!("report.{day} < {}", first_day(until))),
    }));
    all
}

fn condition(condition: &Condition) -> String {
    match condition {
        Condition::Is(column, value) => equal(column, value),
        Condition::IsOneOf(column, values) => {
            let values: Vec<_> = values.iter().map(literal).collect();
            format!("report.{column} = any (array[{}]::text[])", values.join(", "))
        }
        Condition::IsNull(column) => format!("report.{column} is null"),
        Condition::Between(column, first, last) => format!("report.{column} between {first} and {last}"),
        // Their index is not in the order of numbers. Only this condition: with the state besides, the array might be searched
        // for each number of the state.
        Condition::InState("quarantined") => numbers_of("stock where state = 'quarantined'"),
        Condition::InState(state) => equal("state", &Value::Word(state)),
    }
}

/// Numbers that an index finds, and not the order in which they are shown: by that, the whole stock would be walked.
fn numbers_of(rows: &str) -> String {
    format!("report.phone_number = any (array(select phone_number from {rows}))")
}

fn equal(column: &str, value: &Value) -> String {
    format!("report.{column} = {}", literal(value))
}

fn literal(value: &Value) -> String {
    match value {
        Value::Account(sid) => format!("'{sid}'"),
        Value::Number(number) => number.digits().to_string(),
        Value::Integer(integer) => integer.to_string(),
        Value::Word(word) => format!("'{}'", word.replace('\'', "''")),
        // Each character by its number: nothing in it ends the literal. A function of bytes would use no index.
        Value::Text(text) => {
            let points: String = text.chars().map(|c| format!(r"\+{:06x}", u32::from(c))).collect();
            format!("u&'{points}'")
        }
    }
}

fn moment(time: DateTime<Utc>) -> String {
    format!("timestamptz '{}'", time.format("%Y-%m-%dT%H:%M:%S%.6fZ"))
}

/// The first day that begins at this moment or later.
fn first_day(time: DateTime<Utc>) -> String {
    let day = time.date_naive();
    let is_midnight = time.time() == NaiveTime::MIN;
    let day = if is_midnight { day } else { day.checked_add_days(Days::new(1)).unwrap_or(day) };
    format!("date '{}'", day.format("%Y-%m-%d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_the_numbers_of_its_characters() {
        let text = Value::Text("a'\\é😀".to_owned());
        assert_eq!(literal(&text), r"u&'\+000061\+000027\+00005c\+0000e9\+01f600'");
    }

    #[test]
    fn a_day_belongs_to_a_period_that_it_begins_in() {
        for (time, day) in
            [("2026-11-24T00:00:00Z", "date '2026-11-24'"), ("2026-11-24T00:00:00.1Z", "date '2026-11-25'")]
        {
            assert_eq!(first_day(time.parse().unwrap()), day);
        }
    }
}
