//! Says who it is.
#![expect(clippy::print_stdout, reason = "what it prints is its answer")]

fn main() -> Result<(), kos_sdk::Error> {
    let me = kos_sdk::identity::me()?;
    println!("I am {} {}, signed by {}: {}", me.name, me.version, me.author, me.did);
    Ok(())
}
