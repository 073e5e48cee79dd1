//! The control socket, from another host's point of view.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use kos_core::log::{Event, EventType, PartyType};

use super::guests;
use super::world::{Agent, World, quiet};
use crate::{Outcome, control};

#[test]
fn runs_are_listed_and_stopped_by_name_from_outside() {
    let world = World::new();
    let code = guests::main(guests::LOOPS);
    let agent = Agent { name: "looping", ..Agent::of(&code) };
    world.grant(agent, "[limits]\nduration = \"1h\"\ncpu = \"1000000G\"");
    let run = world.launch(agent, quiet()).unwrap();
    let hosts = control::ps(&world.home).unwrap();
    assert_eq!(hosts.len(), 1);
    assert_eq!((hosts[0].host.as_str(), hosts[0].agents.len()), (world.host.id(), 1));
    assert_eq!((hosts[0].agents[0].name.as_str(), hosts[0].agents[0].run.as_str()), ("looping", run.id()));
    assert_eq!(control::stop(&world.home, "another").unwrap(), 0);
    assert_eq!(control::stop(&world.home, "looping").unwrap(), 1);
    assert_eq!(run.wait().outcome, Outcome::Killed);
}

#[test]
fn every_live_host_is_told_of_a_change_and_dead_ones_are_passed_over() {
    let world = World::new();
    let other = world.another_host();
    assert_eq!(control::reload(&world.home).unwrap(), 2);
    drop(other);
    std::fs::write(world.home.run().join("00ff.lock"), "").unwrap();
    assert_eq!(control::reload(&world.home).unwrap(), 1);
}

#[test]
fn what_is_no_request_is_refused_and_the_host_goes_on() {
    let world = World::new();
    let socket = world.home.run().join(format!("{}.sock", world.host.id()));
    for line in [b"\n".as_slice(), b"{}\n", b"{\"command\":\"ps\",\"x\":1}\n", b"\xff\xfe\n", &[b'x'; 8000]] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        let _ = stream.write_all(line);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.is_empty() || answer.contains("refused"), "{answer}");
    }
    assert_eq!(control::ps(&world.home).unwrap().len(), 1);
}

#[test]
fn runs_of_a_host_that_died_are_closed_by_the_next() {
    let world = World::new();
    let launch = |host: &str, run: &str| {
        Event::new(EventType::AgentLaunch, PartyType::Agent, "did:key:dead")
            .with("run", run)
            .with("host", host)
    };
    world.log.append(launch("00aa", "105f")).unwrap();
    world.log.append(launch(world.host.id(), "60e5")).unwrap();
    let left = |name: &str| world.home.storage().join(name);
    for name in ["run-105f", "run-60e5"] {
        std::fs::create_dir(left(name)).unwrap();
        std::fs::write(left(name).join("scratch"), "x").unwrap();
    }
    let _other = world.another_host();
    assert!(!left("run-105f").exists(), "the temporary directory goes with its run");
    assert!(left("run-60e5").exists());
    let open: Vec<_> = world.log.open_runs().unwrap().into_iter().map(|open| open.run).collect();
    assert_eq!(open, ["60e5"]);
    let exit = &world.entries_of("agent_exit")[0];
    assert_eq!(
        (exit["details"]["run"].as_str(), exit["details"]["outcome"].as_str()),
        (Some("105f"), Some("recovered"))
    );
}
