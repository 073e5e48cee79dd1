//! Why something is refused: by what, by which line of which file, and what would change it; also after the fact.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::{World, path_text, permissions};

/// What the probe needs to be started, in lines 3 and 4 of the file.
const NEEDED: &str = "\"identity.self\" = {}\n\"audit.note\" = { scope = [\"probe\"] }";

fn explain(world: &World, probe: &Path, wanted: &str) -> Value {
    world.kos(&["explain", path_text(probe), wanted, "--json"]).json()
}

#[test]
fn the_rule_that_decides_is_named_with_its_file_and_line() {
    let world = World::trusting("trusted");
    let rule = "\"crypto.sign\" = { scope = [\n  \"receipt\",\n  \"pay*\",\n  \"!payment\",\n] }\n\"crypto.open\" = \"deny\"";
    let probe = world.probe(&format!("{NEEDED}\n{rule}"));
    for (wanted, line, refused_by) in [
        ("crypto.sign:receipt", 6, Value::Null),
        ("crypto.sign:payday", 7, Value::Null),
        ("crypto.sign:payment", 8, "granted".into()),
        ("crypto.open", 10, "granted".into()),
    ] {
        let explained = explain(&world, &probe, wanted);
        let place = &explained["rule"]["place"]["file"];
        assert_eq!((&place["name"], &place["line"]), (&"permissions.toml".into(), &line.into()), "{wanted}");
        assert_eq!(explained["refusedBy"], refused_by, "{wanted}");
    }
    let told = world.kos(&["explain", path_text(&probe), "crypto.sign:payment"]).ended_with(1).stdout;
    assert!(told.contains("permissions.toml:8") && told.contains("granted no"), "{told}");
}

#[test]
fn a_grant_by_flags_says_so_and_each_thing_that_refuses_has_its_name() {
    let world = World::trusting("external");
    let probe = world.signed("probe");
    world.kos(&["grant", path_text(&probe), "--allow", "crypto.hash:blake3"]).succeeded();
    let allowed = explain(&world, &probe, "crypto.hash:blake3");
    assert_eq!(allowed["rule"]["place"], "command-line");
    let refused_by = |wanted: &str| explain(&world, &probe, wanted)["refusedBy"].clone();
    assert_eq!(refused_by("crypto.hash:sha-512"), "granted");
    assert_eq!(refused_by("vault.use:api_key/x"), "declared");
    assert_eq!(refused_by("crypto.sign:x"), "ceiling");
    world.grant(
        &probe,
        &permissions("\"crypto.verify\" = { scope = [\"did:key:*\"], conditions = [\"trust>=trusted\"] }"),
    );
    assert_eq!(refused_by("crypto.verify:did:key:x"), "condition");
}

#[test]
fn lines_of_other_rules_than_the_grant_has_do_not_verify() {
    let world = World::trusting("trusted");
    let probe = world.signed("probe");
    let file = world.write("permissions.toml", permissions(NEEDED));
    let grant = world.path("grant.json");
    let (probe, file, grant) = (path_text(&probe), path_text(&file), path_text(&grant));
    world.kos(&["grant", probe, file, "-o", grant]).succeeded();
    let text = std::fs::read_to_string(grant).expect("the grant");
    let envelope: Value = serde_json::from_str(&text).expect("an envelope");
    let encoded = envelope["payload"].as_str().expect("its payload");
    let payload = String::from_utf8(STANDARD.decode(encoded).expect("base64")).expect("JSON");
    assert!(payload.contains("\"source\":{\"digest\":\"sha256:"), "{payload}");
    assert!(payload.contains("\"name\":\"permissions.toml\""), "{payload}");
    let forged = text.replace(encoded, &STANDARD.encode(payload.replace("\"rule\":3", "\"rule\":4")));
    assert_ne!(forged, text);
    let forged = world.write("forged.json", forged);
    world.kos(&["grant", "--install", path_text(&forged)]).ended_with(1);
    world.kos(&["grant", "--install", grant]).succeeded();
}

#[test]
fn a_refusal_of_the_log_is_explained_by_what_is_in_force_now() {
    let world = World::trusting("trusted");
    let probe = world.probe(&format!("{NEEDED}\n\"crypto.sign\" = {{ scope = [\"receipt\"] }}"));
    assert_eq!(world.run(&probe, &["sign", "payment", "x"]).succeeded().stdout, "denied\n");
    let entry = world.entries_of("permission_denied").remove(0);
    let (id, index) = (entry["id"].as_str().expect("an id"), entry["index"].to_string());
    for named in [id, &index] {
        let told = world.kos(&["explain", "--entry", named, "--json"]).ended_with(1).json();
        assert_eq!(told["then"]["reason"], "scope-not-covered");
        assert_eq!(told["differs"], false);
        assert_eq!(told["now"]["refusedBy"], "granted");
        assert!(told["now"]["change"].as_str().expect("a change").contains("--allow crypto.sign:payment"));
    }
    world.kos(&["grant", path_text(&probe), "--allow", "crypto.sign:payment"]).succeeded();
    let told = world.kos(&["explain", "--entry", id, "--json"]).succeeded().json();
    assert_eq!(told["differs"], true);
    world.kos(&["trust", "revoke", world.author()]).succeeded();
    let told = world.kos(&["explain", "--entry", id, "--json"]).ended_with(1).json();
    assert_eq!((&told["now"]["refusedBy"], &told["differs"]), (&"ceiling".into(), &true.into()));
    world.kos(&["explain", "--entry", "0"]).ended_with(1).saying("what is explained is a permission_denied");
    world.kos(&["explain", "--entry", "no-such"]).ended_with(1).saying("no entry");
}
