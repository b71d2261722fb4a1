//! Long lists: walked in both directions, and how far a page number reaches.

use crate::support::{Account, Answer, World, test_without_audit};

const ALL: &str = "/IncomingPhoneNumbers";

/// More than a page number reaches.
const MANY: u32 = 120_000;

/// The number of a page, and the indexes of its first and last number.
fn position(answer: &Answer) -> [i64; 3] {
    answer.assert_status(200);
    ["page", "start", "end"].map(|name| answer.attribute(name).parse().expect("a whole number"))
}

/// Follows a link from page to page to the end. Each page must give its position, and its own URI must lead to it.
async fn follow(world: &World, account: &Account, mut page: Answer, neighbour: &str) -> Vec<(i64, Vec<String>)> {
    let mut pages = vec![(position(&page)[0], page.elements("Sid"))];
    while let Some(uri) = Some(page.attribute(neighbour)).filter(|uri| !uri.is_empty()) {
        page = world.server.follow(account, &uri).await;
        let itself = world.server.follow(account, &page.attribute("uri")).await;
        assert_eq!(itself.body, page.body);
        let ([number, start, end], sids) = (position(&page), page.elements("Sid"));
        let size: i64 = page.attribute("pagesize").parse().expect("a size");
        assert_eq!((start, end), (number * size, number * size + sids.len() as i64 - 1));
        pages.push((number, sids));
    }
    pages
}

#[test]
fn a_list_is_walked_whole_in_both_directions() {
    test_without_audit(async |world| {
        let account = world.large_account(333, "A & B").await;
        for list in [ALL, "/IncomingPhoneNumbers/Local", "/IncomingPhoneNumbers/TollFree"] {
            for (size, filter) in [(7, ""), (37, ""), (9, "&FriendlyName=A+%26+B"), (1000, "")] {
                let first = world.server.get(&account, &format!("{list}?PageSize={size}{filter}")).await;
                let last = world.server.follow(&account, &first.attribute("lastpageuri")).await;
                let (pages, total) = (first.attribute("numpages"), first.attribute("total"));
                let forth = follow(world, &account, first, "nextpageuri").await;
                let mut back = follow(world, &account, last, "previouspageuri").await;
                back.reverse();
                assert_eq!(forth, back, "{list} {size} {filter}");
                assert_eq!(pages, forth.len().to_string());
                assert_eq!(total, forth.iter().map(|(_, sids)| sids.len()).sum::<usize>().to_string());
                for (number, sids) in forth {
                    let path = format!("{list}?Page={number}&PageSize={size}{filter}");
                    assert_eq!(world.server.get(&account, &path).await.elements("Sid"), sids, "{path}");
                }
            }
        }
    });
}

#[test]
fn back_from_a_number_that_was_released_goes_on_before_it() {
    test_without_audit(async |world| {
        let account = world.large_account(60, "Home").await;
        let sids = world.server.get(&account, &format!("{ALL}?PageSize=60")).await.elements("Sid");
        let deep = world.server.get(&account, &format!("{ALL}?PageSize=10&Page=4")).await;
        for sid in [&sids[40], &sids[35]] {
            world.server.release(&account, sid).await.assert_status(204);
        }
        let before = world.server.follow(&account, &deep.attribute("previouspageuri")).await;
        assert_eq!(before.elements("Sid"), [&sids[29..35], &sids[36..40]].concat());
        // If less than a page is left before the number, this is the first page.
        let first = world.server.get(&account, &format!("{ALL}?Page=3&PageSize=10&BeforeSid={}", sids[5])).await;
        assert_eq!((position(&first), first.elements("Sid")), ([0, 0, 9], sids[..10].to_vec()));
    });
}

#[test]
fn the_number_of_a_page_reaches_the_first_100_000_numbers_and_keys_reach_all() {
    test_without_audit(async |world| {
        let account = world.large_account(MANY, "Everywhere").await;
        for (filter, total, last) in [("", 120_000, 2399), ("&FriendlyName=Everywhere", 100_000, 1999)] {
            let page = async |number: i64| world.server.get(&account, &format!("{ALL}?Page={number}{filter}")).await;
            let reached = page(1999).await;
            assert_eq!(position(&reached), [1999, 99_950, 99_999]);
            assert_eq!(reached.attribute("total"), total.to_string());
            let refused = page(2000).await;
            refused.assert_refused(400, 29002);
            let message = refused.element("Message");
            assert!(message.contains("Page") && message.contains("nextpageuri"), "{message}");

            let end = world.server.follow(&account, &reached.attribute("lastpageuri")).await;
            assert_eq!(position(&end), [last, last * 50, last * 50 + 49]);
            let beyond = world.server.follow(&account, &reached.attribute("nextpageuri")).await;
            assert_eq!(position(&beyond), [2000, 100_000, 100_049]);
            let back = world.server.follow(&account, &beyond.attribute("previouspageuri")).await;
            assert_eq!((position(&back), back.elements("Sid")), (position(&reached), reached.elements("Sid")));
            let back = world.server.follow(&account, &back.attribute("previouspageuri")).await;
            assert_eq!(position(&back), [1998, 99_900, 99_949]);
        }
        let end = world.server.get(&account, &format!("{ALL}?Page=2399&Last=true")).await;
        assert_eq!(end.attribute("nextpageuri"), "");
        let before = world.server.follow(&account, &end.attribute("previouspageuri")).await;
        assert_eq!(position(&before), [2398, 119_900, 119_949]);
        let after = world.server.follow(&account, &before.attribute("nextpageuri")).await;
        assert_eq!(after.elements("Sid"), end.elements("Sid"));

        let past = world.server.get(&account, &format!("{ALL}?Page=2400")).await;
        assert_eq!((position(&past), past.elements("Sid").len()), ([2400, 0, 0], 0));
        let last = world.server.follow(&account, &past.attribute("previouspageuri")).await;
        assert_eq!(last.elements("Sid"), end.elements("Sid"));
        let past = world.server.get(&account, "/IncomingPhoneNumbers/TollFree?Page=2000&FriendlyName=Everywhere").await;
        assert_eq!((position(&past), past.attribute("total")), ([2000, 0, 0], "12000".to_owned()));
    });
}

#[test]
fn a_page_lies_in_one_place() {
    test_without_audit(async |world| {
        let account = world.large_account(3, "Home").await;
        let sid = world.server.get(&account, ALL).await.elements("Sid").remove(0);
        for query in [format!("AfterSid={sid}&BeforeSid={sid}"), format!("Last=true&AfterSid={sid}"), "Last=no".into()]
        {
            for filter in ["", "&FriendlyName=Home"] {
                world.server.get(&account, &format!("{ALL}?{query}{filter}")).await.assert_refused(400, 29002);
            }
        }
        let foreign = world.account("1.00").await;
        for filter in ["", "&FriendlyName=Home"] {
            let answer = world.server.get(&foreign, &format!("{ALL}?BeforeSid={sid}{filter}")).await;
            answer.assert_refused(400, 29002);
            assert!(answer.element("Message").contains("BeforeSid"), "{}", answer.body);
        }
        let empty = world.server.get(&foreign, &format!("{ALL}?Last=true")).await;
        assert_eq!((position(&empty), empty.attribute("lastpageuri")), ([0, 0, 0], empty.attribute("firstpageuri")));
    });
}
