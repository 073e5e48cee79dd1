//! The vault's functions within one process: environments, malformed names, changes of several agents.

use kos_core::custody::Request;

use super::guests::{self, IS_ERROR, PUT, REVEAL, expects_error, repeat};
use super::world::{Agent, World, eventually, quiet};
use crate::{Host, LaunchRequest, Outcome};

/// Everything that an agent of these tests may declare and be granted.
const ALL: &str = r#"
"vault.put" = { scope = ["*"] }
"vault.use" = { scope = ["*"] }
"vault.reveal" = { scope = ["*"] }
"#;

/// Launches on this host and waits.
fn outcome(world: &World, host: &Host, agent: Agent<'_>) -> Outcome {
    let component = world.signed(agent);
    host.launch(LaunchRequest { shown: "agent.wasm".into(), component, options: quiet() })
        .unwrap()
        .wait()
        .outcome
}

#[test]
fn an_environment_has_a_vault_of_its_own() {
    let world = World::new();
    let (putting, revealing) =
        (guests::vault(&format!("{PUT} {IS_ERROR}")), guests::vault(&format!("{REVEAL} {IS_ERROR}")));
    let putting = Agent { name: "putting", ..Agent::of(&putting) }.declaring(ALL);
    let revealing = Agent { name: "revealing", ..Agent::of(&revealing) }.declaring(ALL);
    for agent in [putting, revealing] {
        world.grant(agent, &format!("[capabilities]\n{ALL}"));
    }
    let staging = world.host_in("staging");
    assert_eq!(outcome(&world, &staging, putting), Outcome::Ok);
    assert_eq!(outcome(&world, &staging, revealing), Outcome::Ok);
    assert_eq!(outcome(&world, &world.host, revealing), Outcome::Error { status: 1 });
    assert_eq!(outcome(&world, &world.host_in("production"), revealing), Outcome::Error { status: 1 });
    let accesses = world.entries_of("vault_access");
    let environments: Vec<_> =
        accesses.iter().map(|entry| entry["details"]["environment"].as_str()).collect();
    assert_eq!(environments, ["staging", "staging", "default", "production"].map(Some));
    let denied = world.entries_of("permission_denied");
    assert!(denied.iter().all(|entry| entry["details"]["reason"] == "no-such-secret"), "{denied:?}");
}

#[test]
fn a_condition_on_the_environment_asks_for_the_one_whose_vault_it_is() {
    let world = World::new();
    let code = guests::vault(&format!("{PUT} {IS_ERROR}"));
    let agent = Agent::of(&code).declaring(ALL);
    world.grant(
        agent,
        "[capabilities]\n\"vault.put\" = { scope = [\"*\"], conditions = [\"environment=staging\"] }",
    );
    assert_eq!(outcome(&world, &world.host_in("staging"), agent), Outcome::Ok);
    assert_eq!(outcome(&world, &world.host_in("production"), agent), Outcome::Error { status: 1 });
    assert_eq!(world.entries_of("permission_denied")[0]["details"]["reason"], "condition");
}

#[test]
fn a_malformed_name_is_invalid_but_only_where_it_is_granted_and_is_no_access() {
    let malformed = "(call $mac (i32.const 120) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 200))";
    for (granted, expected) in [("api_key/*", 1), ("api_key/a", 0)] {
        let world = World::new();
        let code = guests::vault(&format!("{malformed} {}", expects_error(expected)));
        let agent = Agent::of(&code).declaring(ALL);
        world.grant(agent, &format!("[capabilities]\n\"vault.use\" = {{ scope = [\"{granted}\"] }}"));
        assert_eq!(world.run(agent).outcome, Outcome::Ok, "{granted}");
        assert!(world.entries_of("vault_access").is_empty());
    }
}

#[test]
fn the_changes_of_agents_that_run_at_once_are_all_kept() {
    let world = World::new();
    let code = guests::vault(&format!("{} {IS_ERROR}", repeat(5, PUT)));
    let agents = ["one", "two", "three"].map(|name| Agent { name, ..Agent::of(&code) }.declaring(ALL));
    for agent in agents {
        world.grant(agent, &format!("[capabilities]\n{ALL}"));
    }
    let runs = agents.map(|agent| world.launch(agent, quiet()).unwrap());
    for run in runs {
        assert_eq!(run.wait().outcome, Outcome::Ok);
    }
    let accesses = world.entries_of("vault_access");
    let generations: Vec<u64> =
        accesses.iter().map(|entry| entry["details"]["vault"]["generation"].as_u64().unwrap()).collect();
    assert_eq!(generations, (generations[0]..generations[0] + 15).collect::<Vec<_>>());
}

#[test]
fn an_agent_that_runs_when_the_keys_are_locked_finds_its_secrets_unavailable() {
    let world = World::new();
    // It asks again for as long as it hears anything else.
    let code = guests::vault(&format!(
        "{PUT} (loop $again {REVEAL} (br_if $again {})) (i32.const 0)",
        expects_error(3)
    ));
    let agent = Agent::of(&code).declaring(ALL);
    world.grant(agent, &format!("[capabilities]\n{ALL}"));
    let run = world.launch(agent, quiet()).unwrap();
    eventually("it reveals a secret", || world.entries_of("vault_access").len() > 1);
    world.custodian.ask(Request::Lock).unwrap();
    assert_eq!(run.wait().outcome, Outcome::Ok);
    assert_eq!(world.entries_of("permission_denied")[0]["details"]["reason"], "locked");
}
