//! `demo`: a server with an account, numbers and money, to try out within a minute.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::json;

use super::front::Front;
use super::options::{Output, Serve};
use super::serve::serve;
use super::show::show;
use super::{Context, Database, Done, Failure, write_out};
use crate::accounts::Holder;
use crate::api::v2008::TREE;
use crate::db::replica::Source;
use crate::db::{self, Db, Meant, ProcessLock};
use crate::numbers::Settings;
use crate::numbers::lists::{Filter, Lists};
use crate::purchases::{self, Order, Purchase, PurchaseQueues, Wanted};
use crate::values::chance::Chance;
use crate::values::money::Money;
use crate::values::page::{Cursor, Page};
use crate::values::phone::Kind;
use crate::values::sid::AccountSid;
use crate::{accounts, inventory};

/// Area codes of the demo's stock: large cities from coast to coast.
const AREA_CODES: [i64; 24] = [
    202, 206, 212, 213, 214, 215, 303, 305, 312, 404, 407, 415, 503, 504, 512, 602, 612, 615, 617, 702, 713, 801, 816,
    907,
];

const TOLL_FREE_CODES: [i64; 7] = [800, 833, 844, 855, 866, 877, 888];

/// Enough for a hundred local numbers.
const BALANCE: Money = Money::from_cents(10_000);

/// The credentials of the demo account.
#[derive(serde::Serialize, serde::Deserialize)]
struct Credentials {
    sid: AccountSid,
    auth_token: String,
}

pub async fn run(settings: &Serve, database: &Database, context: &Context) -> Done {
    let front = Front::open(settings)?;
    let prepared = async {
        db::migrate(&database.options, Meant::Registry).await?;
        context.compare_clock().await;
        let credentials = prepare(database, context).await?;
        let hint = hint(settings, &front.site, credentials.as_ref(), context).await?;
        Ok((credentials, hint))
    };
    let Some((credentials, hint)) = context.before_serving(prepared).await? else { return Ok(()) };
    let (announcement, site, monitoring) = (front.announcement(), front.site.clone(), front.monitoring_site.clone());
    let output = context.output;
    serve(front, settings, database, context, || match output {
        Output::Json => {
            let (sid, token) = credentials.map(|known| (known.sid, known.auth_token)).unzip();
            let on =
                json!({ "listening_on": site, "operations_on": monitoring, "account_sid": sid, "auth_token": token });
            show(output, &on)
        }
        _ => write_out(&format!("{announcement}{hint}")),
    })
    .await
}

/// Makes the demo's account and stock if the database is empty. Else reads the credentials that an earlier demo has
/// noted; `None` if they are not valid any more.
async fn prepare(database: &Database, context: &Context) -> Result<Option<Credentials>, Failure> {
    let _alone = db::lock(&database.options, ProcessLock::SCHEMA, db::MAX_WAIT).await?;
    let Context { db, clock, .. } = context;
    let is_bare = inventory::is_empty(db).await?;
    let note = database.private().map(|cluster| cluster.data_dir().join("demo-credentials.json"));
    let credentials = if is_bare && is_without_accounts(db).await? {
        let name = "Demo".parse().map_err(|error| Failure::Bad(format!("name {error}")))?;
        let created = accounts::create(db, clock, &name, BALANCE).await?;
        let credentials = Credentials { sid: created.sid, auth_token: created.auth_token.reveal().to_owned() };
        note.as_deref().map_or(Ok(()), |note| keep(note, &credentials))?;
        Some(credentials)
    } else {
        noted(note.as_deref(), context).await?
    };
    if is_bare && credentials.is_some() {
        stock(context).await?;
    }
    Ok(credentials)
}

async fn is_without_accounts(db: &Db) -> Result<bool, Failure> {
    let any = accounts::Filter { all: true, limit: Some(1), ..accounts::Filter::default() };
    let mut is_empty = true;
    accounts::list(db, any, |_| {
        is_empty = false;
        Ok::<_, Failure>(())
    })
    .await?;
    Ok(is_empty)
}

/// Notes the demo's token in a file, because the database holds only a hash. The file is made new and renamed, so
/// that no other user can have prepared it.
fn keep(note: &Path, credentials: &Credentials) -> Done {
    let new = note.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(json!(credentials).to_string().as_bytes())?;
    Ok(fs::rename(new, note)?)
}

async fn noted(note: Option<&Path>, Context { db, .. }: &Context) -> Result<Option<Credentials>, Failure> {
    let text = note.and_then(|note| fs::read_to_string(note).ok()).unwrap_or_default();
    let Ok(noted) = serde_json::from_str::<Credentials>(&text) else { return Ok(None) };
    Ok(accounts::is_token(db, noted.sid, &noted.auth_token).await?.then_some(noted))
}

/// Adds numbers that are set aside for fiction (555-0100 to 555-0199): nobody can own them.
async fn stock(Context { db, clock, .. }: &Context) -> Done {
    let first = AREA_CODES.iter().chain(&TOLL_FREE_CODES).map(|code| code * 10_000_000 + 5_550_100);
    let ranges: Vec<_> = first.map(|first| first..=first + 99).collect();
    inventory::add(db, clock, &ranges, |_| {}).await?;
    Ok(())
}

/// Commands to paste: they list, buy, change and release numbers.
async fn hint(
    settings: &Serve,
    site: &str,
    credentials: Option<&Credentials>,
    context: &Context,
) -> Result<String, Failure> {
    let Some(Credentials { sid: account, auth_token }) = credentials else {
        return Ok("this database has accounts already: 'numberbank account list' shows them,\n\
            'numberbank account rotate-token SID' makes a new token\n"
            .to_owned());
    };
    let held = held_number(context, *account).await?;
    let numbers = format!("{site}{TREE}/Accounts/{account}/IncomingPhoneNumbers");
    let curl = format!("curl -sS{} -u {account}:{auth_token}", trust(settings));
    Ok(format!(
        "AccountSid {account}\nAuthToken  {auth_token}\n\n\
        {curl} {numbers}\n\
        {curl} -d AreaCode=415 -d FriendlyName=Support -d Url=http://example.com/answer {numbers}/Local\n\
        {curl} -d FriendlyName=Sales -d Url=http://example.com/sales {numbers}/{held}\n\
        {curl} -i -X DELETE {numbers}/{held}\n\
        {curl} {site}{TREE}/Accounts/{account}/Balance\n"
    ))
}

/// Makes curl trust the certificate itself: a demo's certificate is mostly self-signed.
fn trust(settings: &Serve) -> String {
    let quoted = |file: &Path| file.display().to_string().replace('\'', r"'\''");
    settings.front.tls().map_or_else(String::new, |files| format!(" --cacert '{}'", quoted(&files.certificate)))
}

/// A number to change and to release: the newest of the demo account. If there is none, it buys one.
async fn held_number(context: &Context, account: AccountSid) -> Result<String, Failure> {
    let Context { db, clock, .. } = context;
    let newest = Page { number: 0, size: 1, cursor: Cursor::ByNumber };
    let held = Lists::new(1).page(Source::Primary(db), account, &Filter::default(), newest).await?;
    if let Some(number) = held.items.first() {
        return Ok(number.sid.to_string());
    }
    let wanted = Wanted::Next { kind: Kind::Local, area_code: None };
    let order = Order { wanted, settings: Settings::default(), key: None };
    match purchases::buy(&PurchaseQueues::new(1, 1), db, clock, &Chance::System, Holder::main(account), order.into())
        .await
    {
        Ok(Purchase::Made(number) | Purchase::Replayed(number)) => Ok(number.sid.to_string()),
        Err(error) => {
            tracing::warn!("the demo account holds no number and could not buy one: {}", Failure::from(error));
            Ok("PN-of-a-number-you-bought".to_owned())
        }
    }
}
