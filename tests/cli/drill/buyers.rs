//! Buyers: each order has a key, and is sent again, to the other instance, until there is an answer. Sub-accounts let some
//! of their numbers go, in the same way.

use std::time::{Duration, Instant};

use numberbank::values::phone::AreaCode;
use reqwest::{Client, RequestBuilder, Response};

use super::Scene;
use super::market::Account;
use super::random::Random;

pub const NO_MONEY: &str = "refused with 29001, too little money";
pub const NONE_LEFT: &str = "refused with 21452, no number left";
pub const REPLAYED: &str = "the first answer again, Idempotent-Replayed";
pub const INTERNAL: &str = "try answered 500";
pub const OWNED: &str = "purchase of a sub-account, which its owner pays";
pub const LET_GO: &str = "release by a sub-account";
const HUNG_UP: &str = "try on which the buyer hung up at once";

/// The service always answers within five seconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any outage of the drill.
const LONGEST: Duration = Duration::from_mins(3);

/// An order, and its outcome.
#[derive(Clone, Debug)]
pub struct Order {
    pub key: String,
    /// The index of the buyer's account in the market.
    pub account: usize,
    pub outcome: Outcome,
    /// Whether what was bought was released.
    pub let_go: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Bought { sid: String, phone_number: String },
    Refused(&'static str),
}

/// The request that is sent again and again.
struct Request<'a> {
    key: &'a str,
    account: &'a Account,
    area_code: Option<AreaCode>,
}

/// Buys until enough are sold.
pub async fn buy(scene: &Scene, buyer: u64) -> Vec<Order> {
    let (client, mut random) = (Client::new(), scene.random(buyer));
    let mut orders = Vec::new();
    // The number of orders is limited, so that the drill ends.
    while scene.wants_more() && scene.asked.get() < 2 * scene.purchases {
        scene.asked.update(|asked| asked + 1);
        let key = format!("drill-{buyer}-{}", orders.len());
        let account = random.below(scene.market.accounts.len() as u64) as usize;
        let area_code = area_code(scene, &mut random);
        let request = Request { key: &key, account: &scene.market.accounts[account], area_code };
        let outcome = insist(scene, &client, &mut random, &request).await;
        let mut let_go = false;
        match &outcome {
            Outcome::Bought { sid, .. } => {
                scene.one_more();
                if request.account.payer != account {
                    scene.count(OWNED);
                    let_go = random.below(3) == 0;
                }
                if let_go {
                    release(scene, &client, &mut random, &request, sid).await;
                }
            }
            Outcome::Refused(why) => scene.count(why),
        }
        orders.push(Order { key, account, outcome, let_go });
        scene.rest(&mut random).await;
    }
    orders
}

fn area_code(scene: &Scene, random: &mut Random) -> Option<AreaCode> {
    match random.below(10) {
        0 => None,
        1 => Some(*random.one_of(&scene.market.scarce)),
        _ => Some(*random.one_of(&scene.market.plenty)),
    }
}

impl Scene {
    fn one_more(&self) {
        self.sold.update(|sold| sold + 1);
        self.sales.borrow_mut().push(Instant::now());
        if self.sold.get().is_multiple_of(10_000) {
            println!("drill: {} sold", self.sold.get());
        }
    }
}

/// Sends a request to one door after the other until it is bought or refused.
async fn insist(scene: &Scene, client: &Client, random: &mut Random, request: &Request<'_>) -> Outcome {
    let begun = Instant::now();
    let mut at = random.below(scene.doors.len() as u64) as usize;
    loop {
        // Now and then the buyer hangs up: the next try may meet the first one.
        let patience = if random.below(20) == 0 { Duration::from_millis(1 + random.below(15)) } else { PATIENCE };
        let url = format!(
            "http://{}/2008-08-01/Accounts/{}/IncomingPhoneNumbers/Local",
            scene.doors[at], request.account.sid
        );
        let failed = match attempt(scene, request.of(client.post(url)).timeout(patience)).await {
            Ok(outcome) => return outcome,
            Err(failed) if failed == LATE && patience < PATIENCE => HUNG_UP,
            Err(failed) => failed,
        };
        scene.count(failed);
        let key = request.key;
        assert!(begun.elapsed() < LONGEST, "{key} got no answer for {LONGEST:?}, last: {failed}; seed {}", scene.seed);
        if failed != HUNG_UP {
            tokio::time::sleep(Duration::from_millis(random.below(100))).await;
        }
        at = (at + 1) % scene.doors.len();
    }
}

/// Releases what a request has bought, by one door after the other until it is done.
async fn release(
    scene: &Scene,
    client: &Client,
    random: &mut Random,
    Request { key, account, .. }: &Request<'_>,
    sid: &str,
) {
    let (begun, mut at, mut tries) = (Instant::now(), random.below(scene.doors.len() as u64) as usize, 0);
    loop {
        let path = format!("/2008-08-01/Accounts/{}/IncomingPhoneNumbers/{sid}", account.sid);
        let call = client.delete(format!("http://{}{path}", scene.doors[at])).timeout(PATIENCE);
        let status =
            call.basic_auth(&account.sid, Some(&account.token)).send().await.map(|answer| answer.status().as_u16());
        match status {
            Ok(204) => break,
            // An earlier try did it, and its answer was lost.
            Ok(404) if tries > 0 => break,
            Ok(429 | 503) | Err(_) => scene.count("try of a release without success"),
            Ok(500) => scene.count(INTERNAL),
            Ok(status) => panic!("nobody expects {status} of a release, {key}; seed {}", scene.seed),
        }
        assert!(begun.elapsed() < LONGEST, "{key} could not be released for {LONGEST:?}; seed {}", scene.seed);
        tokio::time::sleep(Duration::from_millis(random.below(100))).await;
        (at, tries) = ((at + 1) % scene.doors.len(), tries + 1);
    }
    scene.count(LET_GO);
}

const LATE: &str = "try without an answer in time";

/// One try. After an error, the caller tries again.
async fn attempt(scene: &Scene, request: RequestBuilder) -> Result<Outcome, &'static str> {
    let failed = |error: reqwest::Error| if error.is_timeout() { LATE } else { "try that was cut off" };
    let response = request.send().await.map_err(failed)?;
    let (status, replayed) = (response.status().as_u16(), is_replayed(&response));
    let body = response.text().await.map_err(failed)?;
    if replayed {
        scene.count(REPLAYED);
    }
    match (status, element(&body, "Code")) {
        (201, None) => Ok(bought(&body)),
        (400, Some("21452")) => Ok(Outcome::Refused(NONE_LEFT)),
        (402, Some("29001")) => Ok(Outcome::Refused(NO_MONEY)),
        (429, Some("20429")) => Err("try answered 429"),
        (500, Some("20500")) => Err(INTERNAL),
        (503, Some("20503")) => Err("try answered 503"),
        _ => panic!("nobody expects {status}: {body}; seed {}", scene.seed),
    }
}

impl Request<'_> {
    fn of(&self, call: RequestBuilder) -> RequestBuilder {
        let form = self.area_code.map_or_else(String::new, |code| format!("AreaCode={code}"));
        let call = call.basic_auth(&self.account.sid, Some(&self.account.token)).header("Idempotency-Key", self.key);
        call.header("Content-Type", "application/x-www-form-urlencoded").body(form)
    }
}

fn is_replayed(response: &Response) -> bool {
    response.headers().get("Idempotent-Replayed").is_some_and(|value| value == "true")
}

fn bought(body: &str) -> Outcome {
    let text = |name| element(body, name).unwrap_or_else(|| panic!("no {name} in {body}")).to_owned();
    Outcome::Bought { sid: text("Sid"), phone_number: text("PhoneNumber") }
}

/// The text of the first XML element of this name.
fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}
