//! {{name}}: an agent of kOS.

use kos_sdk::{Error, identity};

fn main() -> Result<(), Error> {
    let me = identity::me()?;
    println!("I am {} {}, signed by {}: {}", me.name, me.version, me.author, me.did);
    Ok(())
}
