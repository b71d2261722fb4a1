//! Whole exchanges, word for word: what a client reads of each version, but for the random Sids.

mod v2008;
mod v2010;

use crate::support::{Account, Answer, World};

/// Another tenant with a number, which must not appear anywhere.
async fn somebody_else(world: &World) {
    let other = world.account("1.00").await;
    world.stock(2_128_675_309, 1).await;
    world.server.buy(&other, &[("Url", "http://example.com/")]).await.assert_status(201);
}

/// Sends a form exactly as it is written here.
async fn post(world: &World, account: &Account, path: &str, form: &str) -> Answer {
    let request = world.server.request("POST", path).basic_auth(&account.sid, Some(&account.token));
    let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(form.to_owned());
    Answer::of(request).await
}

/// The answer in the document's layout: one tag a line, without the random Sids.
fn shown(answer: &Answer, account: &Account) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in without_sids(&answer.body, account).replace("><", ">\n<").lines() {
        match lines.last_mut() {
            // The tags of an empty element stay on one line.
            Some(last) if line.strip_prefix("</") == last.strip_prefix('<') => last.push_str(line),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

fn without_sids(text: &str, account: &Account) -> String {
    let mut text = text.replace(&account.sid, "[account]");
    for (prefix, name) in [("PN", "[sid]"), ("AC", "[child]"), ("SK", "[key]")] {
        while let Some(at) = text.match_indices(prefix).map(|(at, _)| at).find(|at| is_sid(&text[*at..])) {
            text.replace_range(at..at + 34, name);
        }
    }
    text
}

fn is_sid(text: &str) -> bool {
    text.get(2..34).is_some_and(|hex| hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}
