//! Statements that a trusted key signed, and that are refused all the same, because they are not in their one form.

use super::*;
use crate::canonical::CanonicalError;
use crate::id::Digest;
use crate::manifest::statement::ManifestStatement;

fn payload() -> String {
    let statement = ManifestStatement { digest: Digest::of(&component()), manifest: manifest_of(AUTHOR) };
    String::from_utf8(statement.to_payload().unwrap()).unwrap()
}

fn refusal(payload: &str) -> ManifestError {
    let envelope =
        Envelope::sign(STATEMENT_PAYLOAD_TYPE, payload.as_bytes().to_vec(), &[&key(AUTHOR)]).unwrap();
    match verify(&attach(&component(), &envelope).unwrap(), &trust()) {
        Err(Refusal::Manifest(error)) => error,
        other => panic!("{payload}: {other:?}"),
    }
}

#[test]
fn a_statement_has_the_published_shape() {
    let expected = format!(
        concat!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","predicate":{{"author":"{author}","capabilities":["#,
            r#"{{"capability":"identity.self","scope":[]}},"#,
            r#"{{"capability":"crypto.hash","reason":"digests","scope":["blake3","sha-512"]}},"#,
            r#"{{"capability":"crypto.sign","reason":"receipts","scope":["receipt"]}}],"#,
            r#""description":"Signs receipts","expires":1827043200000,"name":"notary","notBefore":1795507200000,"#,
            r#""resources":{{"memory":16777216,"network":"none","storage":"none"}},"version":"0.1.0"}},"#,
            r#""predicateType":"https://kos.dev/agent-manifest/v1","#,
            r#""subject":[{{"digest":{{"sha256":"{digest}"}},"name":"notary"}}]}}"#
        ),
        author = did(AUTHOR),
        digest = Digest::of(&component()).to_hex()
    );
    assert_eq!(payload(), expected);
    assert_eq!(ManifestStatement::from_payload(expected.as_bytes()).unwrap().manifest, manifest_of(AUTHOR));
}

#[test]
fn a_statement_in_another_form_is_refused() {
    let text = payload();
    let upper = Digest::of(&component()).to_hex();
    let cases = [
        ("white space", format!("{text}\n")),
        (
            "duplicate key",
            text.replace("\"version\":\"0.1.0\"", "\"version\":\"0.1.0\",\"version\":\"0.1.0\""),
        ),
        ("unknown field", text.replace("\"version\":", "\"admin\":true,\"version\":")),
        ("unknown field at the top", text.replacen('{', "{\"A\":1,", 1)),
        (
            "order",
            text.replace(
                "\"network\":\"none\",\"storage\":\"none\"",
                "\"storage\":\"none\",\"network\":\"none\"",
            ),
        ),
        ("escape", text.replace("\"notary\"", "\"\\u006eotary\"")),
        ("null", text.replace("\"expires\":1827043200000", "\"expires\":null")),
        ("float", text.replace("1795507200000", "1795507200000.0")),
        ("string for a number", text.replace("1795507200000", "\"1795507200000\"")),
        ("upper-case digest", text.replace(&upper, &upper.to_uppercase())),
        ("second digest", text.replace("{\"sha256\"", "{\"sha1\":\"00\",\"sha256\"")),
        ("unknown capability", text.replace("identity.self", "identity.root")),
        ("unknown access", text.replace("\"network\":\"none\"", "\"network\":\"all\"")),
        ("bad scope", text.replace("\"receipt\"", "\"rec*pt\"")),
        ("bad version", text.replace("\"0.1.0\"", "\"0.1\"")),
        ("build metadata", text.replace("\"0.1.0\"", "\"0.1.0+1\"")),
        ("bad name", text.replace("notary", "../etc")),
        ("missing field", text.replace("\"notBefore\":1795507200000,", "")),
        ("empty", String::new()),
    ];
    for (flaw, altered) in cases {
        assert_ne!(altered, text, "{flaw}");
        let error = refusal(&altered);
        assert!(matches!(error, ManifestError::Document(_)), "{flaw}: {error}");
    }
}

#[test]
fn a_statement_of_another_kind_is_refused() {
    let text = payload();
    for altered in [
        text.replace("in-toto.io/Statement/v1", "in-toto.io/Statement/v0.1"),
        text.replace("agent-manifest/v1", "agent-manifest/v2"),
    ] {
        assert!(matches!(refusal(&altered), ManifestError::Kind { .. }));
    }
}

#[test]
fn a_statement_about_none_two_or_another_subject_is_refused() {
    let text = payload();
    let start = text.find("\"subject\":[").unwrap() + 11;
    let one = &text[start..text.len() - 2];
    assert_eq!(refusal(&text.replace(one, "")), ManifestError::Subjects { count: 0 });
    assert_eq!(refusal(&text.replace(one, &format!("{one},{one}"))), ManifestError::Subjects { count: 2 });
    let other = one.replace("notary", "other");
    assert!(matches!(refusal(&text.replace(one, &other)), ManifestError::SubjectName { .. }));
}

/// A flaw, the statement that has it, and whether an error is the one for it.
type Case = (&'static str, String, fn(&ManifestError) -> bool);

#[test]
fn a_manifest_out_of_its_order_or_bounds_is_refused_although_it_is_signed() {
    let text = payload();
    let cases: [Case; 8] = [
        ("scopes twice", text.replace("\"blake3\",\"sha-512\"", "\"blake3\",\"blake3\""), |error| {
            matches!(error, ManifestError::ScopeOrder { .. })
        }),
        ("scopes unsorted", text.replace("\"blake3\",\"sha-512\"", "\"sha-512\",\"blake3\""), |error| {
            matches!(error, ManifestError::ScopeOrder { .. })
        }),
        ("capability twice", text.replace("crypto.sign", "crypto.hash"), |error| {
            matches!(error, ManifestError::CapabilityOrder)
        }),
        ("no scope", text.replace("[\"receipt\"]", "[]"), |error| {
            matches!(error, ManifestError::ScopeMissing { .. })
        }),
        (
            "scope of none",
            text.replace("identity.self\",\"scope\":[]", "identity.self\",\"scope\":[\"*\"]"),
            |error| matches!(error, ManifestError::ScopeUnexpected { .. }),
        ),
        ("no memory", text.replace("16777216", "0"), |error| {
            matches!(error, ManifestError::Memory { memory: 0, .. })
        }),
        ("ends at its beginning", text.replace("1827043200000", "1795507200000"), |error| {
            matches!(error, ManifestError::Interval { .. })
        }),
        ("terminal escape", text.replace("Signs receipts", "Signs\\u001b[2J"), |error| {
            matches!(error, ManifestError::Text { .. })
        }),
    ];
    for (flaw, altered, is_expected) in cases {
        assert_ne!(altered, text, "{flaw}");
        let error = refusal(&altered);
        assert!(is_expected(&error), "{flaw}: {error}");
    }
}

#[test]
fn an_oversized_statement_is_refused_before_it_is_read() {
    let altered = payload().replace("Signs receipts", &"a".repeat(70_000));
    assert!(matches!(
        refusal(&altered),
        ManifestError::Document(CanonicalError::TooLarge { max: 65_536, .. })
    ));
}
