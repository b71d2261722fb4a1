//! What the compiler has to know.

use std::env;

fn main() {
    // refinery embeds the migrations when the crate is compiled, but does not watch for new ones.
    println!("cargo:rerun-if-changed=migrations");
    // A `DATABASE_URL` that is exported is meant for the program, not for the compiler: the types of the SQL are in .sqlx.
    println!("cargo:rerun-if-env-changed=SQLX_OFFLINE");
    if env::var_os("SQLX_OFFLINE").is_none() {
        println!("cargo:rustc-env=SQLX_OFFLINE=true");
    }
}
