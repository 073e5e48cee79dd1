//! Documents that must not be accepted, one by one.

use super::*;

fn text() -> String {
    let mut whole = grant(&[
        (Capability::CryptoSign, on_condition(&["receipt", "!receipt-x"], &["rate<=5/1m"])),
        (Capability::CryptoOpen, CapabilityRule::denial()),
    ]);
    whole.limits = Limits::parse_overrides("memory=16MiB").unwrap();
    String::from_utf8(whole.to_bytes().unwrap()).unwrap()
}

fn refusal(altered: &str) -> String {
    AgentPermissions::parse(altered.as_bytes()).unwrap_err().to_string()
}

#[test]
fn the_canonical_form_is_that_of_the_specification_and_is_read_back() {
    let operator = key(9).did();
    let expected = format!(
        r#"{{"agentId":"{}","capabilities":{{"crypto.open":{{"granted":false,"scope":[]}},"crypto.sign":{{"conditions":["rate<=5/1m"],"granted":true,"scope":["receipt","!receipt-x"]}}}},"expires":1000000,"limits":{{"memory":16777216}},"notBefore":1000,"pin":{{"component":"{}"}},"resourceAccess":{{"memory":"write","network":"none","storage":"none"}},"signedBy":"{operator}","timestamp":1000}}"#,
        agent(),
        component()
    );
    assert_eq!(text(), expected);
    let read = AgentPermissions::parse(expected.as_bytes()).unwrap();
    assert_eq!(read.to_bytes().unwrap(), expected.as_bytes());
}

#[test]
fn hostile_documents_are_refused_one_by_one() {
    let original = text();
    for (flaw, from, to, expected) in [
        ("an unknown field", r#"{"agentId""#, r#"{"admin":true,"agentId""#, "unknown field `admin`"),
        ("an unknown capability", r#""crypto.open""#, r#""crypto.forge""#, "is not a capability"),
        (
            "an unknown field of a rule",
            r#"{"granted":false,"#,
            r#"{"force":1,"granted":false,"#,
            "unknown field",
        ),
        ("an unknown access", r#""storage":"none""#, r#""storage":"all""#, "storage access"),
        ("an unknown resource", r#""storage":"none""#, r#""gpu":"full","storage":"none""#, "unknown field"),
        ("an unknown condition", "rate<=5/1m", "weather=fine", "is not a condition"),
        ("a condition in another form", "rate<=5/1m", "rate<=5/60s", "is not a condition"),
        ("an unknown limit", r#""memory":16777216"#, r#""disk":16777216"#, "is not a limit"),
        ("a limit of nothing", r#""memory":16777216"#, r#""memory":0"#, "must lie between"),
        ("a scope that is none", r#""receipt","#, r#""rec*ipt","#, "is not a scope"),
        ("a scope with an escape", r#""receipt","#, r#""\u0000","#, "is not a scope"),
        ("a double denial", r#""!receipt-x""#, r#""!!receipt-x""#, "is not a scope"),
        ("a scope twice", r#""receipt","#, r#""receipt","receipt","#, "twice"),
        ("a kind of condition twice", r#""rate<=5/1m""#, r#""rate<=5/1m","rate<=6/1m""#, "twice"),
        (
            "a scope where there is none",
            r#""crypto.open":{"granted":false,"scope":[]}"#,
            r#""crypto.open":{"granted":true,"scope":["*"]}"#,
            "has no scope",
        ),
        (
            "a denial that looks partial",
            r#""crypto.open":{"granted":false,"scope":[]}"#,
            r#""crypto.open":{"expiry":5,"granted":false,"scope":[]}"#,
            "denied wholly",
        ),
        ("no end", r#""expires":1000000,"#, "", "`expires`"),
        ("an end that is a null", "1000000", "null", "`expires`"),
        ("an end that is a word", "1000000", "\"Never\"", "`expires`"),
        ("an end before the beginning", "1000000", "1000", "ends"),
        ("a time with a fraction", "1000000", "1000000.5", "`expires`"),
        ("no scope list", r#","scope":["receipt","!receipt-x"]"#, "", "missing field `scope`"),
        ("no grant word", r#""granted":true,"#, "", "missing field `granted`"),
        ("a null for conditions", r#"["rate<=5/1m"]"#, "null", "invalid type"),
        ("no pin", r#""pin":{"component":"#, r#""pin":{"digest":"#, "variant"),
        ("an empty list that is left out", r#"["rate<=5/1m"]"#, "[]", "canonical"),
        (
            "a field that is left out when false",
            r#"{"agentId""#,
            r#"{"allowRollback":false,"agentId""#,
            "canonical",
        ),
        ("other white space", r#""limits":"#, r#""limits": "#, "canonical"),
        ("another order", r#""notBefore":1000,"pin""#, r#""pin""#, "missing field"),
        ("a duplicate key", r#""limits":{"#, r#""limits":{"memory":1,"#, "stands twice"),
        (
            "a duplicate capability",
            r#""crypto.open":{"#,
            r#""crypto.sign":{"granted":true,"scope":["*"]},"crypto.open":{"#,
            "stands twice",
        ),
        (
            "addresses without access",
            r#""notBefore""#,
            r#""networkHosts":["a.b:1"],"notBefore""#,
            "go together",
        ),
        ("access without addresses", r#""network":"none""#, r#""network":"restricted""#, "go together"),
        ("an agent that is none", r#"{"agentId":"did:key:"#, r#"{"agentId":"did:web:"#, "did:key"),
    ] {
        let altered = original.replacen(from, to, 1);
        assert_ne!(altered, original, "{flaw}");
        let refusal = refusal(&altered);
        assert!(refusal.contains(expected), "{flaw}: {refusal}");
    }
    assert!(refusal(&format!("{original} ")).contains("canonical"));
    assert!(refusal(&format!("{original}x")).contains("malformed"));
    assert!(refusal(&original[..original.len() - 1]).contains("malformed"));
    assert!(refusal("").contains("malformed"));
    assert!(refusal(&" ".repeat(300_000)).contains("at most"));
}

#[test]
fn a_pin_to_another_agent_is_refused() {
    let mut elsewhere = grant(&[]);
    elsewhere.pin = Pin::Author { author: key(2).did(), name: "notary".parse().unwrap() };
    assert!(matches!(elsewhere.to_bytes(), Err(DocumentError::Pin { .. })));
    elsewhere.pin = Pin::Author { author: key(1).did(), name: "other".parse().unwrap() };
    assert!(matches!(elsewhere.to_bytes(), Err(DocumentError::Pin { .. })));
    elsewhere.pin = Pin::Author { author: key(1).did(), name: "notary".parse().unwrap() };
    let bytes = elsewhere.to_bytes().unwrap();
    assert_eq!(AgentPermissions::parse(&bytes).unwrap(), elsewhere);
    assert!(elsewhere.is_about(&agent(), &Digest::of(b"any version")));
    let both = String::from_utf8(bytes)
        .unwrap()
        .replace(r#""pin":{"author""#, &format!(r#""pin":{{"component":"{}","author""#, component()));
    assert!(refusal(&both).contains("variant"), "{}", refusal(&both));
}

#[test]
fn lists_without_end_are_refused() {
    let many: Vec<String> = (0..65).map(|number| format!("s{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = grant(&[(Capability::CryptoSign, allow(&many))]).to_bytes();
    assert!(matches!(refused, Err(DocumentError::List { most: 64, .. })));
    assert!(grant(&[(Capability::CryptoSign, allow(&many[1..]))]).to_bytes().is_ok());
}

#[test]
fn addresses_are_names_and_ports_alone() {
    for text in ["api.example.org:443", "127.0.0.1:80", "a:1"] {
        assert_eq!(text.parse::<NetworkHost>().unwrap().to_string(), text);
    }
    for text in [
        "",
        ":443",
        "a",
        "a:",
        "a:0",
        "a:65536",
        "a:0443",
        "a:+1",
        "A:1",
        "a b:1",
        "*.a:1",
        "a..b:1",
        "-a:1",
        "a-:1",
        "[::1]:80",
        "a:1:2",
        "http://a:1",
        "a/b:1",
        "é:1",
    ] {
        assert!(text.parse::<NetworkHost>().is_err(), "{text}");
    }
}

#[test]
fn identifiers_of_grants_have_one_form() {
    let id = GrantId::of(b"payload");
    assert_eq!(id.to_string(), &Digest::of(b"payload").to_hex()[..16]);
    assert_eq!(id.to_string().parse::<GrantId>().unwrap(), id);
    for text in ["", "0", &id.to_string().to_uppercase(), &format!("{id}0"), "../../../etc/x"] {
        assert!(text.parse::<GrantId>().is_err() || *text == *id.to_string(), "{text}");
    }
}

#[test]
fn a_source_is_about_the_rules_of_its_own_manifest_or_refused() {
    let text =
        "[capabilities]\n\"crypto.sign\" = { scope = [\n\"receipt\", \"!pay\"] }\n\"crypto.open\" = \"deny\"";
    let rules = [
        (Capability::CryptoSign, allow(&["receipt", "!pay"])),
        (Capability::CryptoOpen, CapabilityRule::denial()),
    ];
    let mut document = grant(&rules);
    let source = Source::of_file("permissions.toml", text, &document);
    assert!(source.is_some());
    document.source = source;
    let bytes = document.to_bytes().unwrap();
    assert_eq!(AgentPermissions::parse(&bytes).unwrap(), document);
    let other = AgentPermissions { capabilities: grant(&rules[..1]).capabilities, ..document.clone() };
    assert_eq!(other.to_bytes(), Err(DocumentError::Source));
    for (from, to) in
        [("permissions.toml", "../x.toml"), ("receipt\":", "recipe\":"), ("\"rule\"", "\"ruel\"")]
    {
        let forged = String::from_utf8(bytes.clone()).unwrap().replace(from, to);
        assert!(AgentPermissions::parse(forged.as_bytes()).is_err(), "{to}");
    }
    for name in ["", "a/b", "a\nb", &"x".repeat(256)] {
        assert_eq!(Source::of_file(name, text, &grant(&rules)), None, "{name}");
    }
}
