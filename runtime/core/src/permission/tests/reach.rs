//! What could be allowed of scopes of which the beginning alone is known.

use std::sync::Arc;

use super::*;
use crate::clock::ManualClock;
use crate::custody::LockState;
use crate::permission::marker::MessagingReceive;

const HEAR: Capability = Capability::MessagingReceive;
const STEMS: [&str; 3] = ["did:key:z6Mk/", "name:notary/", "level:partner/"];

fn hearing(rules: &[CapabilityRule]) -> Gate {
    let grants: Vec<_> = (0..)
        .zip(rules)
        .map(|(number, rule)| AgentPermissions { timestamp: at(number), ..grant(&[(HEAR, rule.clone())]) })
        .collect();
    Gate::new(effective(&grants), Arc::new(ManualClock::at(at(2_000))), Arc::new(|_| {}))
}

fn could(gate: &Gate) -> &'static str {
    gate.could_allow::<MessagingReceive>(&STEMS).map_or_else(|reason| reason.name(), |()| "could")
}

#[test]
fn a_peer_could_be_heard_where_any_topic_of_any_of_its_forms_is_granted() {
    for scope in ["*", "did:*", "did:key:z6Mk/*", "name:notary/receipts", "name:notary/r*", "level:partner/a"]
    {
        assert_eq!(could(&hearing(&[allow(&[scope])])), "could", "{scope}");
    }
    for scope in ["did:key:z6M/*", "name:notary", "name:notary2/*", "level:partne", "notary/receipts"] {
        assert_eq!(could(&hearing(&[allow(&[scope])])), "scope-not-covered", "{scope}");
    }
    assert_eq!(could(&hearing(&[])), "scope-not-covered");
}

#[test]
fn a_denial_of_all_topics_in_one_form_counts_and_one_of_some_topics_leaves_the_others() {
    let denied = |denial: &str| could(&hearing(&[allow(&["*"]), allow(&[denial])]));
    for denial in ["!*", "!name:*", "!name:notary/*", "!level:partner/*"] {
        assert_eq!(denied(denial), "scope-not-covered", "{denial}");
    }
    for denial in ["!name:notary/receipts", "!level:trusted/*", "!did:key:z6Mk/a*"] {
        assert_eq!(denied(denial), "could", "{denial}");
    }
    assert_eq!(could(&hearing(&[allow(&["*"]), CapabilityRule::denial()])), "scope-not-covered");
    let both = hearing(&[allow(&["name:notary/receipts"]), allow(&["!name:notary/receipts"])]);
    assert_eq!(could(&both), "scope-not-covered");
}

#[test]
fn what_is_used_up_locked_or_revoked_could_not_be_heard_and_looking_spends_nothing() {
    let lock = LockState::default();
    let gate = hearing(&[on_condition(&["name:notary/*"], &["uses<=1"])]).locked_by(lock.clone());
    lock.set(true);
    assert_eq!(could(&gate), "locked");
    lock.set(false);
    assert_eq!([could(&gate), could(&gate)], ["could"; 2]);
    assert!(gate.authorize::<MessagingReceive>("name:notary/receipts").is_ok());
    assert_eq!(could(&gate), "scope-not-covered");
    gate.revoke_all();
    assert_eq!(could(&gate), "revoked");
}

#[test]
fn whoever_may_be_heard_of_something_could_be_heard() {
    let topics = ["receipts", "r", "other"];
    for scopes in [&["*"][..], &["name:notary/r*"], &["level:*", "!level:partner/r"], &["did:key:z6Mk/other"]]
    {
        let gate = hearing(&[allow(scopes)]);
        for topic in topics {
            let forms = STEMS.map(|stem| format!("{stem}{topic}"));
            let forms: Vec<&str> = forms.iter().map(String::as_str).collect();
            let is_heard = gate.authorize_any::<MessagingReceive>(&forms).is_ok();
            assert!(!is_heard || could(&gate) == "could", "{scopes:?} {topic}");
        }
    }
}
