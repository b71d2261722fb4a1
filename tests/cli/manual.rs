//! Help, completions and manual pages: none of them needs a database.

use crate::home::Home;

#[test]
fn help_has_own_options_first_and_an_example() {
    let home = Home::new();
    let help = home.table(&["account", "close", "--help"]);
    let places =
        ["\nArguments:\n", "\nOptions:\n", "--release-numbers", "\nGlobal options:\n", "--database-url", "\nExample: "];
    let places = places.map(|part| help.find(part).unwrap_or_else(|| panic!("{part} in {help}")));
    assert!(places.is_sorted(), "{places:?}: {help}");
    assert!(home.table(&["account", "credit", "-h"]).contains("<ACCOUNT> <DOLLARS>"), "values say what they are");
}

#[test]
fn completions_and_pages_are_printed_without_a_database() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.table(&["completions", shell]);
        assert!(script.contains("rotate-token") && script.contains("release-numbers"), "{shell}");
    }
    home.run(&["completions", "cmd"]).assert_bad_usage();
    let page = home.table(&["man", "account", "close"]);
    assert!(page.contains(".TH numberbank-account-close 1") && page.contains("release\\-numbers"), "{page}");
    assert!(home.table(&["man"]).contains(".TH numberbank 1"));
    home.run(&["man", "account", "shut"]).assert_unreadable("there is no command 'account shut'");
    let folder = home.file("pages", "");
    std::fs::remove_file(&folder).and_then(|()| std::fs::create_dir(&folder)).expect("a folder");
    home.table(&["man", "--to", &folder]);
    let pages = std::fs::read_dir(&folder).expect("pages").count();
    assert!(pages > 30, "{pages}");
    assert!(!home.data_dir().exists());
}
