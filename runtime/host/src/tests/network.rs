//! The network, as the grants of the moment open it.

use std::sync::Arc;
use std::time::Duration;

use super::guests;
use super::world::{Agent, World, quiet};

#[test]
fn a_name_is_looked_up_and_a_connection_kept_only_while_a_grant_in_force_lists_it() {
    let world = World::new();
    let code = guests::main(guests::LOOPS);
    let agent = Agent { network: "restricted", ..Agent::of(&code) };
    let listing = |host: &str| {
        let network = format!("network = \"restricted\"\nhosts = [\"{host}:443\"]");
        world
            .grant(agent, &format!("[resources]\n{network}\n[limits]\nduration = \"1h\"\ncpu = \"1000000G\""))
    };
    let revoked = listing("revoked.example");
    listing("ends.example");
    let run = world.launch(agent, quiet()).unwrap();
    let powers = world.host.inner.runs.table().values().next().map(|run| Arc::clone(&run.powers)).unwrap();
    let network = crate::network::Network::new(
        kos_core::resource::NetworkAccess::Restricted,
        ["revoked.example:443", "ends.example:443"].map(|host| host.parse().unwrap()),
    );
    let looked_up = || {
        ["revoked.example", "ends.example", "secret-in-a-name.example"]
            .map(|name| network.may_look_up(name, &powers.gate))
    };
    let connected = crate::network::tcp::still_granted(&network, &powers, 443);
    let elsewhere = crate::network::tcp::still_granted(&network, &powers, 80);
    assert_eq!((looked_up(), connected(), elsewhere()), ([true, true, false], true, true));
    world.revoke(revoked);
    world.host.reload();
    assert_eq!((looked_up(), connected(), elsewhere()), ([false, true, false], false, true));
    world.clock.advance(Duration::from_secs(31 * 24 * 3_600));
    assert_eq!(looked_up(), [false, false, false]);
    run.stopper().stop();
    run.wait();
}
