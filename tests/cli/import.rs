//! `inventory import`

use serde_json::json;

use crate::home::{Home, Ran};

#[test]
fn a_file_is_stored_whole_or_with_its_bad_rows_named_not_at_all() {
    let home = Home::new();
    let file = "phone_number,provider,monthly_cost,note\n4158675309,Acme,0.85,\"a, b\"\n8005550100,,,\n";
    let good = home.file("good.csv", file);
    let bad = home.file("bad.csv", "phone_number,monthly_cost\n4158675310,0.85\n415,1\n2128675311,x\n9998675309,1\n");

    let first = home.json(&["inventory", "import", &good]);
    assert_eq!((&first["added"], &first["already_known"], &first["rejected"]), (&json!(2), &json!(0), &json!(0)));
    let again = home.json(&["inventory", "import", &good]);
    assert_eq!((&again["added"], &again["already_known"], &again["rejected"]), (&json!(0), &json!(2), &json!(0)));
    let stock = home.json(&["inventory", "list"]);
    assert_eq!(stock.as_array().map(Vec::len), Some(2));
    assert_eq!((&stock[0]["phone_number"], &stock[0]["provider"]), (&json!("4158675309"), &json!("Acme")));
    assert_eq!((&stock[0]["monthly_cost"], &stock[0]["note"]), (&json!("0.85"), &json!("a, b")));
    assert_eq!((&stock[1]["kind"], &stock[1]["provider"]), (&json!("tollfree"), &json!(null)));

    let refused = home.run(&["inventory", "import", &bad]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    let lines: Vec<_> = refused.err.lines().collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    for (line, named) in lines.iter().zip(["line 3: phone_number '415'", "line 4: monthly_cost 'x'", "line 5: "]) {
        assert!(line.starts_with(named) && line.len() > named.len(), "{line}");
    }
    assert!(lines[3].starts_with("numberbank: ") && lines[3].contains("3 bad rows"), "{lines:?}");
    assert_eq!(home.json(&["inventory", "list"]).as_array().map(Vec::len), Some(2));

    let skipped = home.json(&["inventory", "import", &bad, "--skip-bad"]);
    assert_eq!((&skipped["added"], &skipped["rejected"]), (&json!(1), &json!(3)));
    assert_eq!(skipped["bad_rows"].as_array().map(Vec::len), Some(3));
    assert_eq!(skipped["bad_rows"][0]["line"], 3);
    assert_eq!(home.json(&["inventory", "list"]).as_array().map(Vec::len), Some(3));

    let command = home.command(&["inventory", "import", "-", "--output", "json"]);
    let piped = Ran::with_input(command, "note,phone_number\r\nfrom a pipe,2128675309\r\n,4158675309\r\n").done_json();
    assert_eq!((&piped["added"], &piped["already_known"]), (&json!(1), &json!(1)));
    let table = home.table(&["inventory", "import", &good]);
    assert!(table.contains("already_known  2"), "{table}");

    home.run(&["inventory", "import", "/no/such/file.csv"]).assert_refused("/no/such/file.csv");
    let header = home.file("header.csv", "number\n4158675309\n");
    home.run(&["inventory", "import", &header]).assert_refused("column 'number' is unknown");
    assert_eq!(home.json(&["inventory", "list"]).as_array().map(Vec::len), Some(4));
}
