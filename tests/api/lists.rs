//! Lists: paging, its attributes and URIs, filters, and the order.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use crate::support::{Account, Answer, World, test};

const ALL: &str = "/IncomingPhoneNumbers";
const LOCAL: &str = "/IncomingPhoneNumbers/Local";
const TOLL_FREE: &str = "/IncomingPhoneNumbers/TollFree";

/// Buys `count` numbers of one kind; returns their Sids.
async fn buy(world: &World, account: &Account, below: &str, count: usize, form: &[(&str, &str)]) -> Vec<String> {
    let mut sids = Vec::new();
    for _ in 0..count {
        sids.push(world.server.post(account, below, form).await.assert_status(201).element("Sid"));
    }
    sids
}

/// An account that holds `count` local numbers, and another that holds two.
async fn holder(world: &World, count: usize) -> Account {
    world.stock(4_158_670_000, 200).await;
    let (other, account) = (world.account("2.00").await, world.account("500.00").await);
    buy(world, &other, LOCAL, 2, &[]).await;
    buy(world, &account, LOCAL, count, &[]).await;
    account
}

/// The numeric attributes of a page.
fn attributes(answer: &Answer) -> [i64; 6] {
    answer.assert_status(200);
    ["page", "numpages", "pagesize", "total", "start", "end"]
        .map(|name| answer.attribute(name).parse().expect("a whole number"))
}

/// The URIs of a page, without the account's path: this, first, next, previous, last.
fn uris(answer: &Answer, account: &Account) -> [String; 5] {
    ["uri", "firstpageuri", "nextpageuri", "previouspageuri", "lastpageuri"]
        .map(|name| answer.attribute(name).replace(&account.path(), ""))
}

/// The Sids of the whole list, page by page from this path on.
async fn walk(world: &World, account: &Account, first: &str) -> Vec<String> {
    let mut answer = world.server.get(account, first).await;
    let mut sids = answer.elements("Sid");
    while let Some(next) = Some(answer.attribute("nextpageuri")).filter(|next| !next.is_empty()) {
        answer = world.server.follow(account, &next).await;
        answer.assert_status(200);
        sids.extend(answer.elements("Sid"));
    }
    sids
}

#[test]
fn thirty_eight_numbers_on_one_page_end_at_37() {
    test(async |world| {
        let account = holder(world, 38).await;
        for below in [ALL, LOCAL] {
            let answer = world.server.get(&account, below).await;
            assert_eq!(attributes(&answer), [0, 1, 50, 38, 0, 37]);
            assert_eq!(answer.elements("Sid").len(), 38);
            let only = format!("{below}?Page=0&PageSize=50");
            assert_eq!(uris(&answer, &account), [&only, &only, "", "", &only]);
            assert_eq!(answer.header("Link"), "");
        }
    });
}

#[test]
fn pages_tell_where_they_lie() {
    test(async |world| {
        let account = holder(world, 38).await;
        for (page, expected, count) in [
            (0, [0, 4, 10, 38, 0, 9], 10),
            (1, [1, 4, 10, 38, 10, 19], 10),
            (3, [3, 4, 10, 38, 30, 37], 8),
            (4, [4, 4, 10, 38, 0, 0], 0),
            (9999, [9999, 4, 10, 38, 0, 0], 0),
        ] {
            let answer = world.server.get(&account, &format!("{ALL}?Page={page}&PageSize=10")).await;
            assert_eq!(attributes(&answer), expected);
            assert_eq!(answer.elements("Sid").len(), count);
        }
    });
}

#[test]
fn the_largest_page_number_is_a_page_past_the_end() {
    test(async |world| {
        let account = holder(world, 1).await;
        let answer = world.server.get(&account, &format!("{ALL}?Page=4294967295&PageSize=1000")).await;
        assert_eq!(attributes(&answer), [4_294_967_295, 1, 1000, 1, 0, 0]);
        assert_eq!(answer.attribute("nextpageuri"), "");
    });
}

#[test]
fn nothing_to_list_is_an_empty_list() {
    test(async |world| {
        holder(world, 2).await;
        let account = world.account("1.00").await;
        for below in [ALL, LOCAL, TOLL_FREE] {
            let answer = world.server.get(&account, below).await;
            assert_eq!(attributes(&answer), [0, 0, 50, 0, 0, 0]);
            assert_eq!(uris(&answer, &account)[2..4], ["", ""]);
            assert_eq!(answer.leaves(), [("TwilioResponse/IncomingPhoneNumbers".to_owned(), String::new())]);
            let json = world.server.get(&account, &format!("{below}.json")).await;
            assert_eq!(json.body.trim_end(), r#"{"TwilioResponse":{"IncomingPhoneNumbers":[]}}"#);
            let csv = world.server.get(&account, &format!("{below}.csv")).await;
            assert_eq!((csv.body.lines().count(), csv.body.starts_with("Sid,AccountSid,")), (1, true));
        }
    });
}

#[test]
fn a_later_page_of_nothing_is_page_0_without_neighbours() {
    test(async |world| {
        let account = world.account("1.00").await;
        let answer = world.server.get(&account, &format!("{ALL}?Page=3")).await;
        assert_eq!(attributes(&answer), [0, 0, 50, 0, 0, 0]);
        assert_eq!(uris(&answer, &account)[2..4], ["", ""]);
        assert_eq!(answer.header("Link"), "");
    });
}

#[test]
fn both_spellings_of_page_and_size_are_read() {
    test(async |world| {
        let account = holder(world, 5).await;
        let whole = world.server.get(&account, ALL).await.elements("Sid");
        for query in ["Page=1&PageSize=2", "page=1&num=2", "Page=1&num=2", "page=1&PageSize=2"] {
            let answer = world.server.get(&account, &format!("{ALL}?{query}")).await;
            assert_eq!(attributes(&answer), [1, 3, 2, 5, 2, 3], "{query}");
            assert_eq!(answer.elements("Sid"), whole[2..4], "{query}");
        }
        let ignored =
            world.server.get(&account, &format!("{ALL}?PAGE=1&pagesize=2&Num=x&pageSize=0&Foo=bar&Foo=")).await;
        assert_eq!(attributes(&ignored), [0, 1, 50, 5, 0, 4]);
    });
}

#[test]
fn a_page_size_is_1_to_1000() {
    test(async |world| {
        let account = holder(world, 3).await;
        for name in ["num", "PageSize"] {
            for size in [1, 2, 1000] {
                let answer = world.server.get(&account, &format!("{ALL}?{name}={size}")).await;
                assert_eq!(attributes(&answer)[2], size);
                assert_eq!(answer.elements("Sid").len(), usize::try_from(size).expect("a size").min(3));
            }
            for size in ["0", "1001", "-1", "1.5", "ten", "%20", "+5", "99999999999999999999", "0x10", "%D9%A1"] {
                let answer = world.server.get(&account, &format!("{ALL}?{name}={size}")).await;
                answer.assert_refused(400, 20007);
                assert!(answer.element("Message").contains(name), "{}", answer.body);
            }
        }
    });
}

#[test]
fn a_page_is_a_whole_number() {
    test(async |world| {
        let account = holder(world, 3).await;
        for name in ["Page", "page"] {
            for page in ["-1", "1.5", "one", "", "%20", "+1", "4294967296", "99999999999999999999"] {
                let answer = world.server.get(&account, &format!("{ALL}?{name}={page}")).await;
                answer.assert_refused(400, 29002);
                assert!(answer.element("Message").contains("Page"), "{}", answer.body);
            }
        }
        for twice in ["Page=0&Page=0", "Page=0&page=0", "num=5&PageSize=5", "num=5&num=5"] {
            world.server.get(&account, &format!("{ALL}?{twice}")).await.assert_refused(400, 29003);
        }
    });
}

#[test]
fn a_place_to_go_on_from_is_the_callers_own() {
    test(async |world| {
        let account = holder(world, 2).await;
        let other = world.account("1.00").await;
        let [others] = buy(world, &other, LOCAL, 1, &[]).await.try_into().expect("one Sid");
        for cursor in ["", "PN1", "PN00000000000000000000000000000000", &others, &account.sid] {
            for filter in ["", "&FriendlyName=Home"] {
                let answer = world.server.get(&account, &format!("{ALL}?Page=1&AfterSid={cursor}{filter}")).await;
                answer.assert_refused(400, 29002);
                assert!(answer.element("Message").contains("AfterSid"), "{}", answer.body);
            }
        }
    });
}

#[test]
fn the_uris_lead_from_page_to_page_and_back() {
    test(async |world| {
        let account = holder(world, 5).await;
        let whole = world.server.get(&account, ALL).await.elements("Sid");
        let page = |number: i32| format!("{ALL}?Page={number}&PageSize=2");
        let mut answer = world.server.get(&account, &page(0)).await;
        for number in 0..3 {
            let [this, first, next, previous, last] = uris(&answer, &account);
            assert_eq!(first, page(0));
            let last = world.server.get(&account, &last).await;
            assert_eq!((attributes(&last), last.elements("Sid")), ([2, 3, 2, 5, 4, 4], whole[4..].to_vec()));
            assert_eq!((previous.is_empty(), next.is_empty()), (number == 0, number == 2));
            if number > 0 {
                let previous = world.server.get(&account, &previous).await;
                assert_eq!(previous.attribute("page"), (number - 1).to_string());
                let before = usize::try_from(number - 1).expect("a place") * 2;
                assert_eq!(previous.elements("Sid"), whole[before..before + 2]);
            }
            assert_eq!(links(&answer, &account), [("next", next.clone()), ("prev", previous.clone())]);
            let again = world.server.get(&account, &this).await;
            assert_eq!(again.body, answer.body, "uri leads to the page itself");
            let place = usize::try_from(number).expect("a place") * 2;
            assert_eq!(answer.elements("Sid"), whole[place..(place + 2).min(5)]);
            if number < 2 {
                answer = world.server.get(&account, &next).await;
            }
        }
        let back = world.server.get(&account, &page(1)).await;
        assert_eq!(back.elements("Sid"), whole[2..4]);
    });
}

/// The next and the previous page in the Link headers; empty if there is none.
fn links(answer: &Answer, account: &Account) -> [(&'static str, String); 2] {
    ["next", "prev"].map(|rel| {
        let end = format!(">; rel=\"{rel}\"");
        let values = answer.headers.get_all("Link").iter().filter_map(|value| value.to_str().ok());
        let mut uris = values.filter_map(|value| value.strip_prefix('<')?.strip_suffix(end.as_str()));
        (rel, uris.next().unwrap_or_default().replace(&account.path(), ""))
    })
}

#[test]
fn the_last_page_may_be_full() {
    test(async |world| {
        let account = holder(world, 4).await;
        let answer = world.server.get(&account, &format!("{ALL}?Page=1&PageSize=2")).await;
        assert_eq!(attributes(&answer), [1, 2, 2, 4, 2, 3]);
        assert_eq!(answer.attribute("nextpageuri"), "");
    });
}

#[test]
fn the_newest_number_comes_first_and_the_sid_decides_between_equals() {
    test(async |world| {
        world.stock(4_158_670_000, 30).await;
        world.stock(8_008_670_000, 10).await;
        let account = world.account("100.00").await;
        let mut expected = Vec::new();
        for _ in 0..3 {
            let mut equals = buy(world, &account, LOCAL, 3, &[]).await;
            equals.extend(buy(world, &account, TOLL_FREE, 2, &[]).await);
            equals.sort_unstable_by(|one, other| other.cmp(one));
            expected.splice(0..0, equals);
            world.clock.advance(TimeDelta::microseconds(1));
        }
        for size in [1, 4, 50] {
            assert_eq!(walk(world, &account, &format!("{ALL}?PageSize={size}")).await, expected, "{size}");
        }
        for page in 0..4 {
            let answer = world.server.get(&account, &format!("{ALL}?Page={page}&PageSize=4")).await;
            assert_eq!(answer.elements("Sid"), expected[page * 4..(page * 4 + 4).min(15)], "by page number");
        }
    });
}

#[test]
fn kinds_and_tenants_stay_apart() {
    test(async |world| {
        world.stock(4_158_670_000, 10).await;
        world.stock(8_008_670_000, 10).await;
        let (one, two) = (world.account("50.00").await, world.account("50.00").await);
        for (account, local, toll_free) in [(&one, 3, 2), (&two, 1, 4)] {
            let locals = buy(world, account, LOCAL, local, &[]).await;
            let toll_frees = buy(world, account, TOLL_FREE, toll_free, &[]).await;
            for (below, sids) in
                [(LOCAL, &locals), (TOLL_FREE, &toll_frees), (ALL, &[&locals[..], &toll_frees].concat())]
            {
                let listed = walk(world, account, &format!("{below}?PageSize=2")).await;
                assert_eq!(listed.len(), sids.len());
                assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), sids.iter().cloned().collect());
                let answer = world.server.get(account, below).await;
                assert_eq!(answer.attribute("total"), sids.len().to_string());
                assert!(answer.elements("AccountSid").iter().all(|sid| *sid == account.sid));
            }
        }
    });
}

#[test]
fn what_is_asked_for_at_once_is_answered_to_each_as_if_alone() {
    test(async |world| {
        world.stock(4_158_670_000, 70).await;
        world.stock(8_008_670_000, 10).await;
        let accounts = world.known_accounts(&[&world.server], 3, "90.00").await;
        let [one, two, nobody] = &accounts[..] else { panic!("three accounts") };
        let (held, others) = (buy(world, one, LOCAL, 55, &[]).await, buy(world, two, LOCAL, 2, &[]).await);
        buy(world, two, TOLL_FREE, 3, &[("Url", "http://example.com/")]).await;
        let after = |sid: &str| format!("{ALL}?Page=1&PageSize=2&AfterSid={sid}");
        let lists = [ALL, LOCAL, TOLL_FREE, "/IncomingPhoneNumbers?PageSize=3", "/IncomingPhoneNumbers/Local?Page=1"];
        let lists = lists.map(str::to_owned).into_iter().chain([&held[9], &others[0]].map(|sid| after(sid)));
        let numbers = [&held[0], &held[54], &others[1]].map(|sid| format!("{ALL}/{sid}"));
        let paths: Vec<_> = lists.chain(numbers).chain([format!("{ALL}?PageSize=60")]).collect();
        let requests: Vec<_> =
            paths.iter().flat_map(|path| [one, two, nobody].map(|account| (account, path))).collect();
        let ask = || async {
            let answers = requests.iter().map(|(account, path)| world.server.get(account, path));
            futures_util::future::join_all(answers).await
        };
        let mut alone = Vec::new();
        for (account, path) in &requests {
            alone.push(world.server.get(account, path).await);
        }
        // Requests that come while reads are blocked go in one batch.
        let mut lock = world.db.begin().await.expect("a transaction");
        sqlx::query("lock table tenancies in access exclusive mode").execute(&mut *lock).await.expect("a lock");
        let unlock = async {
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            lock.rollback().await.expect("the table is free");
        };
        let (together, ()) = futures_util::future::join(ask(), unlock).await;
        for ((alone, together), (_, path)) in alone.iter().zip(together).zip(&requests) {
            assert_eq!((alone.status, &alone.body), (together.status, &together.body), "{path}");
        }
        let statuses: BTreeSet<_> = alone.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200, 400, 404].into());
    });
}

#[test]
fn a_list_of_both_kinds_shows_sms_on_local_numbers_only() {
    test(async |world| {
        world.stock(4_158_670_000, 1).await;
        world.stock(8_008_670_000, 1).await;
        let account = world.account("50.00").await;
        buy(world, &account, LOCAL, 1, &[("SmsUrl", "http://example.com/sms")]).await;
        world.clock.advance(TimeDelta::seconds(1));
        buy(world, &account, TOLL_FREE, 1, &[("Url", "http://example.com/voice")]).await;
        let answer = world.server.get(&account, ALL).await;
        assert_eq!(answer.elements("PhoneNumber"), ["8008670000", "4158670000"]);
        assert_eq!(answer.elements("SmsUrl"), ["http://example.com/sms"]);
        let csv = world.server.get(&account, &format!("{ALL}.csv")).await;
        let mut rows = csv::Reader::from_reader(csv.body.as_bytes());
        let sms = rows.headers().expect("a head").iter().position(|name| name == "SmsUrl").expect("a column");
        let cells: Vec<_> = rows.records().map(|row| row.expect("a row")[sms].to_owned()).collect();
        assert_eq!(cells, ["", "http://example.com/sms"]);
    });
}

/// Walks a list while a number is bought and three are released: one that was shown, one that was not shown yet, and
/// the one after which the next page begins.
async fn walk_amid_changes(world: &World, account: &Account, first: &str, form: &[(&str, &str)]) {
    let held = walk(world, account, first).await;
    let (mut shown, mut gone) = (Vec::new(), BTreeSet::new());
    let mut path = format!("{}{first}", account.path());
    while !path.is_empty() {
        let answer = world.server.follow(account, &path).await;
        shown.extend(answer.assert_status(200).elements("Sid"));
        path = answer.attribute("nextpageuri");
        world.clock.advance(TimeDelta::seconds(1));
        buy(world, account, LOCAL, 1, form).await;
        let unseen = held.iter().rfind(|sid| !shown.contains(sid) && !gone.contains(*sid)).cloned();
        let seen = shown.iter().find(|sid| !gone.contains(*sid)).cloned();
        for sid in [unseen, seen, shown.last().cloned()].into_iter().flatten() {
            if gone.insert(sid.clone()) {
                assert_eq!(world.server.delete(account, &format!("{ALL}/{sid}")).await.status, 204);
            }
        }
    }
    let kept: Vec<_> = held.iter().filter(|sid| shown.contains(sid) || !gone.contains(*sid)).cloned().collect();
    assert_eq!(shown, kept, "every number that was there all the time, once, and in order");
    assert!(shown.len() >= held.len() / 2, "the walk goes on to the end");
}

#[test]
fn following_the_next_page_neither_skips_nor_repeats_amid_changes() {
    test(async |world| {
        let account = holder(world, 14).await;
        walk_amid_changes(world, &account, &format!("{ALL}?PageSize=3"), &[]).await;
    });
}

#[test]
fn following_the_next_page_of_one_kind_neither_skips_nor_repeats_amid_changes() {
    test(async |world| {
        let account = holder(world, 14).await;
        walk_amid_changes(world, &account, &format!("{LOCAL}?num=3"), &[]).await;
    });
}

#[test]
fn following_the_next_page_of_one_name_neither_skips_nor_repeats_amid_changes() {
    test(async |world| {
        let account = holder(world, 2).await;
        let named = [("FriendlyName", "A & B")];
        buy(world, &account, LOCAL, 14, &named).await;
        walk_amid_changes(world, &account, &format!("{ALL}?PageSize=3&FriendlyName=A+%26+B"), &named).await;
    });
}

#[test]
fn a_phone_number_is_found_in_every_decoration() {
    test(async |world| {
        world.stock(4_158_675_309, 2).await;
        let (account, other) = (world.account("2.00").await, world.account("2.00").await);
        buy(world, &account, LOCAL, 1, &[]).await;
        buy(world, &other, LOCAL, 1, &[]).await;
        let own = world.server.get(&account, ALL).await.element("PhoneNumber");
        let others = world.server.get(&other, ALL).await.element("PhoneNumber");
        let (area, exchange, line) = (&own[..3], &own[3..6], &own[6..]);
        for text in [
            own.clone(),
            format!("1{own}"),
            format!("+1{own}"),
            format!("%2B1{own}"),
            format!("({area}) {exchange}-{line}"),
            format!("{area}-{exchange}-{line}"),
            format!("{area}.{exchange}.{line}"),
            format!("%2B1 ({area}) {exchange}-{line}"),
            format!("1-{area}-{exchange}-{line}"),
            format!(" {own} "),
        ] {
            let answer = world.server.get(&account, &format!("{ALL}?PhoneNumber={}", text.replace(' ', "%20"))).await;
            assert_eq!(answer.assert_status(200).elements("PhoneNumber"), [own.as_str()], "{text}");
            assert_eq!(answer.attribute("total"), "1");
        }
        for text in
            [&others, "415", "41586753091", "%2B4158675309", "%2B2", "x", "415867530O", "%25", "*", "415867530*"]
        {
            let answer = world.server.get(&account, &format!("{ALL}?PhoneNumber={text}")).await;
            assert_eq!(attributes(&answer), [0, 0, 50, 0, 0, 0], "{text}");
        }
        let twice = world.server.get(&account, &format!("{ALL}?PhoneNumber={own}&PhoneNumber={own}")).await;
        twice.assert_refused(400, 29003);
        let other_case = world.server.get(&account, &format!("{ALL}?phonenumber={others}")).await;
        assert_eq!(attributes(&other_case)[3], 1, "parameters are case-sensitive, unknown ones ignored");
    });
}

#[test]
fn an_empty_filter_is_no_filter() {
    test(async |world| {
        let account = holder(world, 3).await;
        let whole = world.server.get(&account, ALL).await;
        for query in ["PhoneNumber=", "FriendlyName=", "num=", "PageSize=", "PhoneNumber=&FriendlyName=&num=&PageSize="]
        {
            let answer = world.server.get(&account, &format!("{ALL}?{query}")).await;
            assert_eq!((answer.status, &answer.body), (200, &whole.body), "{query}");
        }
        let sized = world.server.get(&account, &format!("{ALL}?PageSize=&num=2&FriendlyName=")).await;
        assert_eq!(attributes(&sized), [0, 2, 2, 3, 0, 1]);
        for query in ["FriendlyName=&FriendlyName=", "num=&num=", "num=1&PageSize=1"] {
            world.server.get(&account, &format!("{ALL}?{query}")).await.assert_refused(400, 29003);
        }
    });
}

#[test]
fn a_phone_number_is_found_in_the_list_of_its_kind() {
    test(async |world| {
        world.stock(4_158_675_309, 1).await;
        world.stock(8_668_675_309, 1).await;
        let account = world.account("3.00").await;
        buy(world, &account, LOCAL, 1, &[]).await;
        buy(world, &account, TOLL_FREE, 1, &[]).await;
        for (below, number, found) in [
            (ALL, "4158675309", 1),
            (ALL, "8668675309", 1),
            (LOCAL, "4158675309", 1),
            (LOCAL, "8668675309", 0),
            (TOLL_FREE, "4158675309", 0),
            (TOLL_FREE, "8668675309", 1),
        ] {
            let answer = world.server.get(&account, &format!("{below}?PhoneNumber={number}")).await;
            assert_eq!(attributes(&answer)[3], found, "{below} {number}");
        }
        let past = world.server.get(&account, &format!("{ALL}?PhoneNumber=4158675309&Page=1")).await;
        assert_eq!(attributes(&past), [1, 1, 50, 1, 0, 0]);
        assert_eq!(past.elements("Sid"), [""; 0]);
    });
}

#[test]
fn a_name_is_found_when_it_is_equal_given_or_by_default() {
    test(async |world| {
        world.stock(4_158_675_309, 1).await;
        let (account, other) = (world.account("9.00").await, world.account("9.00").await);
        let by_default = buy(world, &account, LOCAL, 1, &[]).await;
        world.stock(4_158_675_310, 5).await;
        let (home, named_like) = ([("FriendlyName", "Home")], [("FriendlyName", "(415) 867-5309")]);
        world.clock.advance(TimeDelta::seconds(1));
        let named_like = buy(world, &account, LOCAL, 1, &named_like).await;
        let home_sids = buy(world, &account, LOCAL, 1, &home).await;
        buy(world, &other, LOCAL, 2, &home).await;
        for (name, sids) in [
            ("Home", home_sids),
            ("(415) 867-5309", [named_like, by_default].concat()),
            ("home", vec![]),
            ("Hom", vec![]),
            ("Home ", vec![]),
            ("%", vec![]),
            ("4158675309", vec![]),
            ("(415)867-5309", vec![]),
        ] {
            let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("FriendlyName", name).finish();
            let answer = world.server.get(&account, &format!("{ALL}?{query}")).await;
            assert_eq!(answer.assert_status(200).elements("Sid"), sids, "{name}");
            assert_eq!(answer.attribute("total"), sids.len().to_string());
            let answer = world.server.get(&account, &format!("{TOLL_FREE}?{query}")).await;
            assert_eq!(attributes(&answer)[3], 0, "{name}");
        }
    });
}

#[test]
fn a_name_that_was_changed_is_found_by_the_new_one() {
    test(async |world| {
        world.stock(4_158_675_309, 1).await;
        let account = world.account("9.00").await;
        let [sid] = buy(world, &account, LOCAL, 1, &[("FriendlyName", "Old")]).await.try_into().expect("one Sid");
        for (name, old, by_default) in [("New", 0, 0), ("", 0, 1), ("Old", 1, 0)] {
            let form = [("Url", ""), ("FriendlyName", name)];
            world.server.post(&account, &format!("{ALL}/{sid}"), &form).await.assert_status(200);
            let count = async |name: &str| {
                attributes(&world.server.get(&account, &format!("{ALL}?FriendlyName={name}")).await)[3]
            };
            assert_eq!((count("Old").await, count("(415)+867-5309").await), (old, by_default), "{name}");
        }
    });
}

#[test]
fn paging_uris_keep_both_filters_encoded() {
    test(async |world| {
        world.stock(4_158_675_309, 1).await;
        let account = world.account("9.00").await;
        let name = "A & B <é>/?#+%=\"';";
        buy(world, &account, LOCAL, 1, &[("FriendlyName", name)]).await;
        let encoded = "A+%26+B+%3C%C3%A9%3E%2F%3F%23%2B%25%3D%22%27%3B";
        let below = format!("{ALL}?PhoneNumber=%2B1+%28415%29+867-5309&FriendlyName={encoded}");
        let answer = world.server.get(&account, &below).await;
        assert_eq!(answer.text("FriendlyName"), name);
        let only = format!("{ALL}?Page=0&PageSize=50&PhoneNumber=%2B1+%28415%29+867-5309&FriendlyName={encoded}");
        assert_eq!(uris(&answer, &account), [&only, &only, "", "", &only]);
        assert_eq!(world.server.get(&account, &only).await.body, answer.body);
        let past = world.server.get(&account, &only.replace("Page=0", "Page=1")).await;
        assert_eq!(uris(&past, &account)[3], only, "previouspageuri");
        let neither = world.server.get(&account, &below.replace("5309", "5310")).await;
        assert_eq!(attributes(&neither)[3], 0, "both filters count");
        let neither = world.server.get(&account, &format!("{below}x")).await;
        assert_eq!(attributes(&neither)[3], 0, "both filters count");
    });
}

#[test]
fn the_pages_of_one_name_tell_where_they_lie() {
    test(async |world| {
        let account = holder(world, 3).await;
        let mut named = buy(world, &account, LOCAL, 5, &[("FriendlyName", "A & B")]).await;
        named.sort_unstable_by(|one, other| other.cmp(one));
        let first = format!("{ALL}?PageSize=2&FriendlyName=A+%26+B");
        assert_eq!(walk(world, &account, &first).await, named);
        for (page, expected) in [(0, [0, 3, 2, 5, 0, 1]), (2, [2, 3, 2, 5, 4, 4]), (3, [3, 3, 2, 5, 0, 0])] {
            let answer = world.server.get(&account, &format!("{first}&Page={page}")).await;
            assert_eq!(attributes(&answer), expected);
        }
    });
}

#[test]
fn the_list_of_accounts_pages_like_others() {
    test(async |world| {
        let (account, _other) = (world.account("1.00").await, world.account("1.00").await);
        let accounts = async |query: &str| world.server.follow(&account, &format!("/2008-08-01/Accounts{query}")).await;
        let answer = accounts("").await;
        assert_eq!(attributes(&answer), [0, 1, 50, 1, 0, 0]);
        assert_eq!(answer.elements("Sid"), [account.sid.as_str()]);
        let past = accounts("?Page=1&num=10").await;
        assert_eq!(attributes(&past), [1, 1, 10, 1, 0, 0]);
        assert_eq!(past.elements("Sid"), [""; 0]);
        assert_eq!(past.attribute("previouspageuri"), "/2008-08-01/Accounts?Page=0&PageSize=10");
        accounts("?num=1001").await.assert_refused(400, 20007);
        accounts("?Page=x").await.assert_refused(400, 29002);
    });
}
