//! Accounts as their operator sees and changes them: names, refs, notes, closing, and what an unpaid one stands to lose.

use chrono::{NaiveDate, TimeDelta};
use futures_util::future::{join_all, join3};
use numberbank::accounts::{self, Change, Edit, Filter, Leftover, New, Reason, Reference, Refused, Said, Status};
use numberbank::billing::{self, Standing};
use numberbank::error::Denied;
use numberbank::ledger;
use numberbank::releases::{self, Closed, Closing};
use numberbank::values::money::Money;
use numberbank::values::sid::AccountSid;

use crate::support::{Account, World, order, test};

const GRACE: TimeDelta = TimeDelta::days(14);

fn sid(account: &Account) -> AccountSid {
    account.sid.parse().expect("a Sid")
}

fn reference(text: &str) -> Reference {
    text.parse().expect("a ref")
}

fn refusal<T>(done: Result<T, Denied<Refused>>) -> Result<T, Refused> {
    done.map_err(|denied| match denied {
        Denied::Refused(refused) => refused,
        Denied::Failed(error) => panic!("{error}"),
    })
}

async fn edit(world: &World, account: AccountSid, name: Option<&str>, of: Option<Option<&str>>) -> Result<(), Refused> {
    let (name, of) = (name.map(|name| name.parse().expect("a name")), of.map(|of| of.map(reference)));
    let edit = Edit { name: name.as_ref(), reference: of.as_ref().map(Option::as_ref) };
    refusal(accounts::edit(&world.db, &world.clock, account, edit).await).map(drop)
}

async fn close(world: &World, account: &Account, leftover: Option<Leftover>) -> Result<Closed, Refused> {
    let closing = Closing { releases: true, leftover, said: Said::by_operator(Some("left us")), shown: None };
    refusal(releases::close_account(&world.db, &world.clock, sid(account), closing).await)
}

async fn standing(world: &World, account: &Account) -> Standing {
    billing::standing(&world.db, &world.clock, sid(account), GRACE).await.expect("an account")
}

// --- Names and refs ---

#[test]
fn an_account_is_renamed_and_its_ref_is_its_own() {
    test(async |world| {
        let [one, two] = [world.account("0.00").await, world.account("0.00").await].map(|it| sid(&it));
        edit(world, one, Some("Acme"), Some(Some("crm-1"))).await.expect("one");
        let shown = accounts::find(&world.db, one).await.expect("an account");
        assert_eq!((shown.name.as_str(), shown.reference), ("Acme", Some(reference("crm-1"))));
        let taken = Err(Refused::RefTaken { reference: reference("crm-1"), by: one });
        assert_eq!(edit(world, two, Some("Beta"), Some(Some("crm-1"))).await, taken);
        // What was refused changed nothing; what is not named stays; the same again is no harm.
        let shown = accounts::find(&world.db, two).await.expect("an account");
        assert_eq!((shown.name.as_str(), shown.reference), ("Test", None));
        edit(world, one, None, Some(Some("crm-1"))).await.expect("the same");
        edit(world, one, Some("Acme Inc"), None).await.expect("a name");
        assert_eq!(accounts::resolve(&world.db, "crm-1").await.expect("an account"), one);
        edit(world, one, None, Some(None)).await.expect("no ref");
        edit(world, two, None, Some(Some("crm-1"))).await.expect("it is free");
        assert_eq!(accounts::find(&world.db, one).await.expect("an account").name, "Acme Inc");

        let name = "Gamma".parse().expect("a name");
        let crm = reference("crm-1");
        let new = New { name: &name, reference: Some(&crm), balance: Money::ZERO };
        let create = || accounts::create_with(&world.db, &world.clock, new, accounts::AuthToken::random());
        assert_eq!(refusal(create().await).map(drop), Err(Refused::RefTaken { reference: crm.clone(), by: two }));
        edit(world, two, None, Some(None)).await.expect("no ref");
        let created = create().await.expect("an account");
        assert_eq!((created.namesake, accounts::resolve(&world.db, "crm-1").await.expect("one")), (None, created.sid));
        let plain = accounts::create(&world.db, &world.clock, &name, Money::ZERO).await.expect("an account");
        assert_eq!(plain.namesake, Some(created.sid));
        world.close(&Account { sid: two.to_string(), token: String::new() }).await;
        assert_eq!(edit(world, two, Some("Beta"), None).await, Err(Refused::Closed(two)));
        let nobody = AccountSid::random();
        assert_eq!(edit(world, nobody, Some("Beta"), None).await, Err(Refused::Unknown(nobody)));
    });
}

#[test]
fn a_ref_that_several_want_at_once_goes_to_one() {
    test(async |world| {
        let accounts = join_all((0..6).map(|_| world.account("0.00"))).await;
        for round in 0..5 {
            let wanted = format!("crm-{round}");
            let done = join_all(accounts.iter().map(|it| edit(world, sid(it), None, Some(Some(&wanted))))).await;
            let winner = accounts::resolve(&world.db, &wanted).await.expect("one account");
            let taken = Refused::RefTaken { reference: reference(&wanted), by: winner };
            for (account, done) in accounts.iter().zip(done) {
                assert_eq!(done, if sid(account) == winner { Ok(()) } else { Err(taken.clone()) });
            }
        }
    });
}

#[test]
fn closed_accounts_are_listed_where_they_are_asked_for() {
    test(async |world| {
        let mut sids = Vec::new();
        for _ in 0..3 {
            world.clock.advance(TimeDelta::seconds(1));
            sids.push(world.account("0.00").await);
        }
        world.close(&sids[0]).await;
        world.suspend(&sids[1]).await;
        let list = async |status, all, limit| {
            let mut listed = Vec::new();
            let take = |account: &accounts::Account| -> numberbank::error::Result<()> {
                listed.push(account.sid);
                Ok(())
            };
            accounts::list(&world.db, Filter { status, all, limit }, take).await.expect("a list");
            let place = |sid: AccountSid| sids.iter().position(|account| account.sid == sid.to_string());
            listed.iter().map(|sid| place(*sid).expect("one of them")).collect::<Vec<_>>()
        };
        assert_eq!(list(None, false, None).await, [1, 2]);
        assert_eq!(list(None, true, None).await, [0, 1, 2]);
        assert_eq!(list(None, true, Some(2)).await, [0, 1]);
        assert_eq!(list(Some(Status::Closed), false, None).await, [0]);
        assert_eq!(list(Some(Status::Suspended), false, None).await, [1]);
        assert_eq!(list(Some(Status::Active), false, None).await, [2]);
    });
}

#[test]
fn a_note_is_kept_with_its_change_or_alone_and_once() {
    test(async |world| {
        let account = world.account("5.00").await;
        let (db, clock, sid) = (&world.db, &world.clock, sid(&account));
        accounts::suspend(db, clock, sid, Some("fraud?")).await.expect("a suspension");
        for note in [Some("fraud, said the bank"), Some("fraud, said the bank"), None] {
            accounts::suspend(db, clock, sid, note).await.expect("no change");
        }
        accounts::activate(db, clock, sid, Some("cleared")).await.expect("an activation");
        accounts::activate(db, clock, sid, Some("paid")).await.expect("no change");
        accounts::suspend(db, clock, sid, None).await.expect("a suspension");
        close(world, &account, Some(Leftover::Kept)).await.expect("a closing");
        close(world, &account, Some(Leftover::Kept)).await.expect("no change");
        let events = accounts::events(db, sid).await.expect("events");
        let told: Vec<_> = events.iter().map(|event| (event.change, event.note.as_deref())).collect();
        let expected = [
            (Change::Suspended, Some("fraud?")),
            (Change::Suspended, Some("fraud, said the bank")),
            (Change::Activated, Some("cleared")),
            (Change::Activated, Some("paid")),
            (Change::Suspended, None),
            (Change::Closed, Some("left us")),
        ];
        assert_eq!(told, expected);
        // A note that told nothing is not kept for the next event.
        assert_eq!(world.value::<i64>("select count(changed_note) from accounts").await, 0);
    });
}

// --- Closing ---

#[test]
fn a_closing_says_what_becomes_of_the_money() {
    test(async |world| {
        world.stock(4_158_670_000, 2).await;
        let (account, other) = (world.account("5.00").await, world.account("7.00").await);
        for account in [&account, &other] {
            world.server.buy(account, &[]).await.assert_status(201);
        }
        let held = Refused::HoldsMoney { account: sid(&account), balance: Money::from_cents(400) };
        assert_eq!(close(world, &account, None).await.map(drop), Err(held));
        // All of it or nothing.
        let stands = accounts::find(&world.db, sid(&account)).await.expect("an account");
        assert_eq!((stands.status, stands.local_numbers), (Status::Active, 1));

        let closed = close(world, &account, Some(Leftover::Refunded)).await.expect("a closing");
        assert_eq!((closed.released, closed.refunded.cents(), closed.account.balance.cents()), (1, 400, 0));
        let entry = "select kind::text || ' ' || amount || ' ' || balance_after || ' ' || note from ledger_entries
            order by id desc limit 1";
        assert_eq!(world.value::<String>(entry).await, "debit -400 0 left us");
        let again = close(world, &account, Some(Leftover::Refunded)).await.expect("the same again");
        assert_eq!((again.refunded, again.account.status), (Money::ZERO, Status::Closed));

        let kept = close(world, &other, Some(Leftover::Kept)).await.expect("a closing");
        assert_eq!((kept.refunded, kept.account.balance.cents()), (Money::ZERO, 600));
        let late = close(world, &other, Some(Leftover::Refunded)).await.expect("a refund");
        assert_eq!((late.refunded.cents(), late.account.balance), (600, Money::ZERO));
        // An account without money needs no word of it.
        let poor = world.account("0.00").await;
        assert_eq!(close(world, &poor, None).await.expect("a closing").account.status, Status::Closed);
    });
}

#[test]
fn a_refund_beside_a_purchase_and_a_credit_leaves_nothing_behind() {
    test(async |world| {
        world.stock(4_158_670_000, 40).await;
        let accounts = world.known_accounts(&[&world.server], 20, "5.00").await;
        for account in &accounts {
            let credit = billing::credit(&world.db, &world.clock, order(account, "2.00"));
            let closing = close(world, account, Some(Leftover::Refunded));
            let (bought, credited, closed) = join3(world.server.buy(account, &[]), credit, closing).await;
            let closed = closed.expect("a closing");
            let paid = if bought.status == 201 { 100 } else { 0 };
            assert!([201, 401, 403, 404].contains(&bought.status), "{}", bought.body);
            let got = match credited {
                Ok(_) => 200,
                Err(denied) => {
                    assert!(matches!(denied, Denied::Refused(ledger::Refused::NoOpenAccount(_))), "{denied}");
                    0
                }
            };
            assert_eq!((closed.refunded.cents(), closed.released), (500 + got - paid, u64::from(paid > 0)));
            assert_eq!((closed.account.balance, closed.account.status), (Money::ZERO, Status::Closed));
        }
        assert_eq!(world.value::<i64>("select sum(balance)::bigint from account_sums").await, 0);
    });
}

// --- An account that cannot pay ---

#[test]
fn a_stuck_account_shows_what_it_owes_and_which_numbers_go_when() {
    test(async |world| {
        world.on("2008-04-10T12:00:00Z");
        world.stock(4_158_670_000, 4).await;
        let (account, other) = (world.account("3.50").await, world.account("50.00").await);
        world.server.buy(&account, &[]).await.assert_status(201);
        world.server.buy(&other, &[]).await.assert_status(201);
        world.on("2008-04-20T12:00:00Z");
        world.server.buy(&account, &[]).await.assert_status(201);
        world.server.buy(&account, &[]).await.assert_status(201);
        let fine = standing(world, &account).await;
        assert_eq!(
            (fine.owed, fine.needed, fine.overdue_numbers, fine.overdue.len()),
            (Money::ZERO, Money::ZERO, 0, 0)
        );

        // The run is late: the first fee is due since the 10th, and was found unpaid on the 12th.
        world.on("2008-05-12T06:00:00Z");
        world.bill().await;
        let stuck = standing(world, &account).await;
        assert_eq!(stuck.account.unpaid_since, Some(world.clock.now()));
        assert_eq!((stuck.owed.cents(), stuck.needed.cents(), stuck.overdue_numbers), (100, 50, 1));
        world.on("2008-05-21T06:00:00Z");
        let stuck = standing(world, &account).await;
        assert_eq!((stuck.owed.cents(), stuck.needed.cents(), stuck.overdue_numbers), (300, 250, 3));
        let day = |text: &str| text.parse::<NaiveDate>().expect("a day");
        let told: Vec<_> =
            stuck.overdue.iter().map(|it| (it.due_on, it.months, it.price.cents(), it.goes_on)).collect();
        let (early, late) =
            ((day("2008-05-10"), 1, 100, day("2008-05-26")), (day("2008-05-20"), 1, 100, day("2008-06-03")));
        assert_eq!(told, [early, late, late]);
        assert_eq!(standing(world, &other).await.overdue_numbers, 0);

        // They go just then.
        for (before, at, released) in
            [("2008-05-26T05:59:59Z", "2008-05-26T06:00:00Z", 1), ("2008-06-02T23:59:59Z", "2008-06-03T00:00:00Z", 2)]
        {
            world.on(before);
            assert_eq!(world.bill().await.released, 0, "{before}");
            world.on(at);
            assert_eq!(world.bill().await.released, released, "{at}");
        }
        let over = standing(world, &account).await;
        assert_eq!((over.account.status, over.owed, over.overdue_numbers), (Status::Active, Money::ZERO, 0));
        let lost: Vec<_> = over.lost.iter().map(|it| (it.change, it.reason, it.at.date_naive())).collect();
        let gone = |on| (Change::NumberLost, Reason::Unpaid, day(on));
        assert_eq!(lost, [gone("2008-05-26"), gone("2008-06-03"), gone("2008-06-03")]);
        assert!(over.lost.iter().all(|it| it.number_sid.is_some() && it.phone_number.is_some()));
        let events: Vec<_> = over.events.iter().map(|it| (it.change, it.reason)).collect();
        assert_eq!(events, [(Change::Suspended, Reason::Unpaid), (Change::Activated, Reason::NothingOwed)]);
    });
}

#[test]
fn what_is_needed_activates_and_a_cent_less_does_not() {
    test(async |world| {
        world.stock(4_158_670_000, 2).await;
        let account = world.account("2.30").await;
        for _ in 0..2 {
            world.server.buy(&account, &[]).await.assert_status(201);
        }
        world.clock.advance(TimeDelta::days(64));
        world.bill().await;
        let needed = standing(world, &account).await.needed.cents();
        assert_eq!(needed, 370);
        assert!(!world.credit(&account, &Money::from_cents(needed - 1).to_string()).await.activated);
        assert_eq!(standing(world, &account).await.needed.cents(), 1);
        assert!(world.credit(&account, "0.01").await.activated);
    });
}

#[test]
fn only_the_last_twenty_losses_and_events_are_shown_and_none_hides_the_other() {
    test(async |world| {
        world.stock(4_158_670_000, 25).await;
        let account = world.account("25.00").await;
        for _ in 0..25 {
            world.server.buy(&account, &[]).await.assert_status(201);
        }
        accounts::suspend(&world.db, &world.clock, sid(&account), Some("first")).await.expect("a suspension");
        accounts::activate(&world.db, &world.clock, sid(&account), None).await.expect("an activation");
        world.clock.advance(TimeDelta::days(31));
        world.bill().await;
        world.clock.advance(TimeDelta::days(15));
        let (billed, shown) = (world.bill().await, standing(world, &account).await);
        assert_eq!((billed.released, shown.lost.len(), shown.events.len()), (25, 20, 4));
        assert_eq!(shown.events[0].note.as_deref(), Some("first"));
        for _ in 0..12 {
            let (db, clock, sid) = (&world.db, &world.clock, sid(&account));
            accounts::suspend(db, clock, sid, None).await.expect("a suspension");
            accounts::activate(db, clock, sid, Some("last")).await.expect("an activation");
        }
        let shown = standing(world, &account).await;
        assert_eq!((shown.events.len(), shown.events[19].note.as_deref()), (20, Some("last")));
    });
}
