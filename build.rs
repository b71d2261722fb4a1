//! refinery embeds the migrations when the crate is compiled, but does not watch for new ones.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
