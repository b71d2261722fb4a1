//! Every answer carries the id of its request: the client's own, or a new one.

use crate::support::{Answer, test};

#[test]
fn the_id_of_the_client_comes_back_with_every_answer() {
    test(async |world| {
        let account = world.account("1.00").await;
        let server = &world.server;
        for (status, call) in [
            (200, server.call(&account, "GET", "")),
            (200, server.call(&account, "HEAD", ".json")),
            (400, server.call(&account, "POST", "/IncomingPhoneNumbers/Local")),
            (400, server.request("POST", "/2008-08-01/Accounts?_method=PATCH")),
            (401, server.request("GET", "/2008-08-01/Accounts")),
            (404, server.request("GET", "/nowhere")),
            (405, server.call(&account, "DELETE", "")),
            (204, server.request("OPTIONS", "/2008-08-01/Accounts")),
            (200, server.request("GET", "/docs/errors/20003")),
        ] {
            let answer = Answer::of(call.header("X-Request-Id", "order-1:2/3")).await;
            assert_eq!((answer.status, answer.header("X-Request-Id")), (status, "order-1:2/3"), "{}", answer.body);
        }
    });
}

#[test]
fn where_there_is_no_good_id_the_server_makes_one() {
    test(async |world| {
        let id = async |sent: Option<&[u8]>| {
            let mut call = world.server.request("GET", "/2008-08-01/Accounts");
            if let Some(sent) = sent {
                call = call.header("X-Request-Id", sent);
            }
            Answer::of(call).await.header("X-Request-Id").to_owned()
        };
        let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
        assert_eq!(id(Some(longest.as_bytes())).await, longest);
        let mut made = Vec::new();
        for sent in [None, None, Some(too_long.as_bytes()), Some(b""), Some(b"two words"), Some(b"caf\xe9")] {
            let id = id(sent).await;
            assert!((1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
            assert!(!made.contains(&id), "{id} came twice");
            made.push(id);
        }
    });
}
