//! What is granted holds exactly as it is written, and no longer than until it is withdrawn (I2, I3, I4).

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{World, agent, manifest, path_text, permissions, poll_until};

/// `kos-run` refused, by signature or by permission.
const REFUSED: i32 = 126;
/// The days as conditions write them; the first of 1970 was a Thursday.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// What the probe needs to be started, and more rules.
fn rules(more: &str) -> String {
    format!("\"identity.self\" = {{}}\n\"audit.note\" = {{ scope = [\"probe\"] }}\n{more}")
}

/// What the probe answers when `crypto.hash` of blake3 is granted under a condition.
fn hashing_if(world: &World, probe: &std::path::Path, condition: &str) -> String {
    let rule = format!(
        "\"crypto.hash\" = {{ scope = [\"blake3\"], conditions = [\"{condition}\"] }}\n\"crypto.open\" = {{}}"
    );
    let grant = world.grant(probe, &permissions(&rules(&rule)));
    let answer = world.run(probe, &["repeat", "5", "hash", "blake3", "x"]).succeeded().stdout;
    world.kos(&["grants", "revoke", &grant]).succeeded();
    answer.trim_end().to_owned()
}

#[test]
fn a_denial_beats_every_allowance() {
    let world = World::trusting("trusted");
    let probe = world.probe(&rules(r#""crypto.sign" = { scope = ["*", "!pay*", "!exact"] }"#));
    let sign = |context: &str| world.run(&probe, &["sign", context, "x"]).succeeded().stdout;
    for denied in ["pay", "payment", "exact"] {
        assert_eq!(sign(denied), "denied\n", "{denied}");
    }
    for allowed in ["receipt", "exactly", "pa"] {
        assert_ne!(sign(allowed), "denied\n", "{allowed}");
    }
    // Another grant that allows it changes nothing, and one that denies wholly ends all of them.
    world.grant(&probe, &permissions("\"crypto.sign\" = { scope = [\"payment\"] }\n\"crypto.open\" = {}"));
    assert_eq!(sign("payment"), "denied\n");
    world.grant(&probe, &permissions("\"crypto.sign\" = \"deny\""));
    assert_eq!(sign("receipt"), "denied\n");
    assert!(world.denials().iter().all(|(_, reason)| reason == "denied-by-rule"));
}

#[test]
fn uses_and_rates_stop_calls_within_a_run() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    assert_eq!(hashing_if(&world, &probe, "uses<=3"), "denied 2, ok 3");
    assert_eq!(hashing_if(&world, &probe, "rate<=2/1h"), "denied 3, ok 2");
    let reasons: Vec<String> = world.denials().into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, ["exhausted", "exhausted"]);
}

#[test]
fn days_and_times_hold_within_their_window_only() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    let day = |ahead: u64| DAYS[usize::try_from((seconds / 86_400 + 3 + ahead) % 7).expect("a day")];
    let hour = |ahead: u64| (seconds / 3_600 + ahead) % 24;
    let all = DAYS.join(",");
    assert_eq!(hashing_if(&world, &probe, &format!("days:{all}")), "ok 5");
    assert_eq!(hashing_if(&world, &probe, &format!("days:{}", day(3))), "denied 5");
    let window = |from, until| format!("time:{:02}:00-{:02}:00", hour(from), hour(until));
    assert_eq!(hashing_if(&world, &probe, &window(0, 2)), "ok 5");
    assert_eq!(hashing_if(&world, &probe, &window(3, 23)), "denied 5");
    let reasons: Vec<String> = world.denials().into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, ["condition", "condition"]);
}

#[test]
fn a_trust_condition_and_an_environment_hold_where_they_are_met() {
    let world = World::trusting("partner");
    let probe = world.signed("probe");
    assert_eq!(hashing_if(&world, &probe, "trust>=partner"), "ok 5");
    assert_eq!(hashing_if(&world, &probe, "trust>=trusted"), "denied 5");
    assert_eq!(hashing_if(&world, &probe, "environment=production"), "denied 5");
}

#[test]
fn nothing_is_granted_above_the_ceiling_of_the_level() {
    let world = World::trusting("external");
    let probe = world.signed("probe");
    let file = world.write("p.toml", permissions(&rules("\"crypto.sign\" = { scope = [\"receipt\"] }")));
    world
        .kos(&["grant", path_text(&probe), path_text(&file)])
        .ended_with(1)
        .saying("crypto.sign")
        .saying("ceiling");
    assert!(world.entries_of("permission_grant").is_empty());

    // What was granted at a higher level is cut when the author is trusted less.
    world.kos(&["trust", "add", world.author(), "--level", "trusted"]).succeeded();
    world.grant(
        &probe,
        &permissions(&rules(
            "\"crypto.sign\" = { scope = [\"receipt\"] }\n\"crypto.hash\" = { scope = [\"blake3\"] }",
        )),
    );
    assert_ne!(world.run(&probe, &["sign", "receipt", "x"]).succeeded().stdout, "denied\n");
    world.kos(&["trust", "add", world.author(), "--level", "external"]).succeeded();
    assert_eq!(world.run(&probe, &["sign", "receipt", "x"]).succeeded().stdout, "denied\n");
    assert_eq!(world.denials(), [("crypto.sign".to_owned(), "above-ceiling".to_owned())]);
}

#[test]
fn a_grant_is_for_one_agent_and_one_component() {
    let world = World::trusting("trusted");
    let probe = world.granted("probe");
    // An empty custom section more: the same code, and another component.
    let other = [std::fs::read(agent("probe")).unwrap(), vec![0, 2, 1, b'x']].concat();
    let other = world.write("other.wasm", other);
    let updated = world.sign(&other, &manifest("probe"), "alice", "updated.wasm");
    let renamed = manifest("probe").replace("name = \"probe\"", "name = \"prober\"");
    let renamed = world.sign(&other, &renamed, "alice", "renamed.wasm");
    world.run(&updated, &["self"]).ended_with(REFUSED).saying("kos grant");
    world.run(&renamed, &["self"]).ended_with(REFUSED).saying("kos grant");
    world.kos(&["grant", path_text(&probe), "--declared", "--pin", "author"]).succeeded();
    world.run(&updated, &["self"]).succeeded();
    world.run(&renamed, &["self"]).ended_with(REFUSED).saying("kos grant");
}

#[test]
fn a_grant_file_that_is_not_what_an_operator_signed_refuses_the_launch() {
    let world = World::trusting("trusted");
    let hello = world.signed("hello");
    let id = world.grant(&hello, &permissions("\"identity.self\" = {}"));
    world.run(&hello, &[]).succeeded();
    let name = format!("{id}.json");
    let path = world.home().join("grants").join(&name);
    let whole = std::fs::read(&path).expect("the grant's file");
    let refused = |why: &str| {
        let ended = world.run(&hello, &[]);
        assert!(
            ended.status == REFUSED && ended.stdout.is_empty(),
            "{why}: {}\n{}",
            ended.status,
            ended.stderr
        );
        assert_ne!(world.kos(&["grants", "list"]).status, 0, "{why}");
    };
    for position in (0..whole.len()).step_by(whole.len() / 5) {
        let mut altered = whole.clone();
        altered[position] ^= 1;
        std::fs::write(&path, altered).unwrap();
        refused(&format!("byte {position}"));
    }
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refused("cut in half");
    std::fs::write(&path, whole).unwrap();
    world.run(&hello, &[]).succeeded();

    // For this very agent, and by an operator who does not count here.
    let stranger = World::trusting_nobody();
    stranger.kos(&["trust", "add", world.author(), "--level", "trusted"]).succeeded();
    let id = stranger.grant(&hello, &permissions("\"identity.self\" = {}"));
    let name = format!("{id}.json");
    std::fs::copy(stranger.home().join("grants").join(&name), world.home().join("grants").join(&name))
        .unwrap();
    refused("signed by another home's operator");
}

#[test]
fn no_call_of_a_running_agent_is_accepted_once_a_revocation_has_returned() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    world.grant(&probe, &permissions(&rules("\"crypto.hash\" = { scope = [\"blake3\"] }")));
    let rule = permissions("\"audit.note\" = { scope = [\"live\"] }");
    let limits =
        "[limits]\nnotes-per-minute = \"6k\"\nnote-bytes = \"16MiB\"\nduration = \"5m\"\ncpu = \"100G\"\n";
    let grant = world.grant(&probe, &format!("{rule}{limits}"));
    let mut agent = world.converse(&probe);
    agent.say("repeat 5900 note live x");
    let notes = || {
        world
            .kos(&["log", "show", "--json", "--all", "--type", "agent_note"])
            .succeeded()
            .stdout
            .lines()
            .count()
    };
    poll_until("the agent notes", || notes() > 0);
    world.kos(&["grants", "revoke", &grant]).succeeded();
    let noted = notes();
    let answer = agent.hear();
    agent.end().succeeded();
    assert!(answer.starts_with("denied "), "{answer}");
    // One note was perhaps allowed before and on its way to the disk.
    assert!(notes() <= noted + 1, "{noted} notes when the revocation returned, {} now", notes());
    assert_eq!(world.denials(), [("audit.note".to_owned(), "scope-not-covered".to_owned())]);
}

#[test]
fn an_explanation_names_the_rule_and_what_would_change_it() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    let grant =
        world.grant(&probe, &permissions(&rules(r#""crypto.sign" = { scope = ["receipt", "!receipt-x"] }"#)));
    let explain = |wanted: &str| {
        let ended = world.kos(&["explain", path_text(&probe), wanted, "--json"]);
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let explained = ended.json();
        (ended.status, text(&explained["because"]), text(&explained["change"]))
    };
    let (status, because, change) = explain("crypto.sign:receipt");
    assert!(
        status == 0 && because.contains(&grant) && change.contains(&format!("kos grants revoke {grant}"))
    );
    let (status, because, change) = explain("crypto.sign:payment");
    assert!(status == 1 && because.contains("other scopes"), "{because}");
    assert!(change.contains("kos grant") && change.contains("crypto.sign:payment"), "{change}");
    // The command that it names does what it says.
    let command = change.split('`').nth(1).unwrap_or(&change);
    let words: Vec<&str> = command.split_whitespace().skip(1).map(|word| word.trim_matches('\'')).collect();
    world.kos(&words).succeeded();
    assert_eq!(explain("crypto.sign:payment").0, 0);
    let (status, because, _) = explain("crypto.hash:blake3");
    assert!(status == 1 && because.contains("no grant allows it"), "{because}");
}

#[test]
fn permissions_that_are_not_understood_are_refused_with_the_place_and_a_hint() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    let cases = [
        ("expires = \"1d\"\ncapabilites = {}\n", "line 2", "did you mean `capabilities`?"),
        ("expires = \"1d\"\n[capabilities]\n\"crypto.sgin\" = {}\n", "line 3", "did you mean `crypto.sign`?"),
        (
            "expires = \"1d\"\n[capabilities]\ncrypto.sign = { scope = [\"a\"] }\n",
            "line 3",
            "`\"crypto.sign\"` in quotes",
        ),
        ("expires = \"1d\"\n[capabilities]\n\"crypto.sign\" = {}\n", "line 3", "needs a scope"),
        ("expires = \"1d\"\n[capabilities]\n\"crypto.sign\" = { scope = [\"a b\"] }\n", "line 3", "a b"),
        ("expires = \"1d\"\n[capabilities]\n\"crypto.sign\" = { scope = [\"a*b\"] }\n", "line 3", "a*b"),
        (
            "expires = \"1d\"\n[capabilities]\n\"crypto.open\" = { conditions = [\"uses<5\"] }\n",
            "line 3",
            "uses<=N",
        ),
        ("expires = \"1d\"\n[capabilities]\n\"crypto.open\" = \"alow\"\n", "line 3", "deny"),
        ("expires = \"1d\"\n[limits]\nmemroy = \"1MiB\"\n", "line 3", "did you mean `memory`?"),
        ("expires = \"1d\"\n[resources]\nnetwork = \"some\"\n", "line 3", "restricted"),
        ("expires = \"soon\"\n", "line 1", "soon"),
        ("[capabilities]\n", "`expires` is missing", "never"),
        ("expires = \"1d\"\nexpires = \"2d\"\n", "line 2", "duplicate"),
    ];
    for (text, place, hint) in cases {
        let file = world.write("permissions.toml", text);
        let ended = world.kos(&["grant", path_text(&probe), path_text(&file)]).ended_with(1);
        ended.saying("permissions.toml is not understood").saying(place).saying(hint);
    }
    world.write("permissions.toml", "expires = \"2020-01-01\"\n");
    world
        .kos(&["grant", path_text(&probe), path_text(&world.path("permissions.toml"))])
        .ended_with(1)
        .saying("it ends");
    assert!(world.entries_of("permission_grant").is_empty());
    assert_eq!(world.kos(&["grants", "list", "--json", "--all"]).succeeded().json(), serde_json::json!([]));
}
