//! `demo`: something to look at within a minute.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde_json::json;

use super::serve::{listen, serve, site};
use super::show::show;
use super::{Context, Database, Done, Failure, write_out};
use crate::config::{Output, Serve};
use crate::kernel::db;
use crate::kernel::money::Money;
use crate::kernel::page::Page;
use crate::kernel::phone::Kind;
use crate::kernel::sid::AccountSid;
use crate::numbers::{self, Settings};
use crate::purchases::{self, Order, Purchase};
use crate::{accounts, inventory};

/// Area codes of the demo's stock: large cities from coast to coast.
const AREA_CODES: [i64; 24] = [
    202, 206, 212, 213, 214, 215, 303, 305, 312, 404, 407, 415, 503, 504, 512, 602, 612, 615, 617, 702, 713, 801, 816,
    907,
];

const TOLL_FREE_CODES: [i64; 7] = [800, 833, 844, 855, 866, 877, 888];

/// Enough for a hundred local numbers.
const BALANCE: Money = Money::from_cents(10_000);

/// The demo's own credentials.
#[derive(serde::Serialize, serde::Deserialize)]
struct Credentials {
    sid: String,
    auth_token: String,
}

pub async fn run(settings: &Serve, database: &Database, context: &Context) -> Done {
    let listener = listen(settings)?;
    db::migrate(&database.options).await?;
    let site = site(&listener)?;
    let note = note(database);
    let credentials = match fill_if_empty(context).await? {
        Some(credentials) => {
            keep(note, &credentials)?;
            Some(credentials)
        }
        None => note.and_then(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()),
    };
    let hint = hint(&site, credentials.as_ref(), context).await?;
    let output = context.output;
    serve(listener, settings, database, context, || match output {
        Output::Table => write_out(&format!("listening on {site}\n{hint}")),
        Output::Json => {
            let (sid, token) = credentials.map(|known| (known.sid, known.auth_token)).unzip();
            show(output, &json!({ "listening_on": site, "account_sid": sid, "auth_token": token }))
        }
    })
    .await
}

/// Where the demo notes its token, as a client would: the registry itself keeps a hash only.
fn note(database: &Database) -> Option<PathBuf> {
    database.private.as_ref().map(|cluster| cluster.data_dir().join("demo-credentials.json"))
}

fn keep(note: Option<PathBuf>, credentials: &Credentials) -> Done {
    let Some(path) = note else { return Ok(()) };
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(json!(credentials).to_string().as_bytes())?)
}

/// A demo account and demo stock, where there is neither. The numbers are those that are set
/// aside for fiction (555-0100 to 555-0199), so none is anybody's.
async fn fill_if_empty(context: &Context) -> Result<Option<Credentials>, Failure> {
    let Context { db, clock, .. } = context;
    let stocked = inventory::list(db, inventory::Filter::default(), None, 1).await?;
    if !stocked.is_empty() || !accounts::list(db).await?.is_empty() {
        return Ok(None);
    }
    let ranges: Vec<_> = AREA_CODES
        .iter()
        .chain(&TOLL_FREE_CODES)
        .map(|code| code * 10_000_000 + 5_550_100)
        .map(|first| first..=first + 99)
        .collect();
    inventory::add(db, clock, &ranges, |_| {}).await?;
    let name = "Demo".parse().map_err(|error| Failure::Bad(format!("name {error}")))?;
    let created = accounts::create(db, clock, &name, BALANCE).await?;
    Ok(Some(Credentials { sid: created.sid.to_string(), auth_token: created.auth_token.reveal().to_owned() }))
}

/// What to paste: lists, buys, changes and releases.
async fn hint(site: &str, credentials: Option<&Credentials>, context: &Context) -> Result<String, Failure> {
    let Some((known, sid)) = credentials.and_then(|known| Some((known, known.sid.parse().ok()?))) else {
        return Ok("this database has accounts already: 'numberbank account list' shows them,\n\
            'numberbank account rotate-token SID' makes a new token\n"
            .to_owned());
    };
    let Credentials { sid: account, auth_token } = known;
    let held = held_number(context, sid).await?;
    let numbers = format!("{site}/2008-08-01/Accounts/{account}/IncomingPhoneNumbers");
    let curl = format!("curl -sS -u {account}:{auth_token}");
    Ok(format!(
        "AccountSid {account}\nAuthToken  {auth_token}\n\n\
        {curl} {numbers}\n\
        {curl} -d AreaCode=415 -d FriendlyName=Support -d Url=http://example.com/answer {numbers}/Local\n\
        {curl} -d FriendlyName=Sales -d Url=http://example.com/sales {numbers}/{held}\n\
        {curl} -i -X DELETE {numbers}/{held}\n\
        {curl} {site}/2008-08-01/Accounts/{account}/Balance\n"
    ))
}

/// A number to change and to release: the newest that the demo account holds, else one is bought.
async fn held_number(context: &Context, account: AccountSid) -> Result<String, Failure> {
    let Context { db, clock, .. } = context;
    let newest = Page { number: 0, size: 1, after: None };
    let held = numbers::list(db, account, &numbers::Filter::default(), newest).await?;
    if let Some(number) = held.items.first() {
        return Ok(number.sid.to_string());
    }
    let order = Order { kind: Kind::Local, area_code: None, settings: Settings::default(), key: None };
    match purchases::buy(db, clock, account, &order).await {
        Ok(Purchase::Made(number) | Purchase::Replayed(number)) => Ok(number.sid.to_string()),
        Err(error) => {
            tracing::warn!("the demo account holds no number and could not buy one: {}", super::told(&error));
            Ok("PN-of-a-number-you-bought".to_owned())
        }
    }
}
