//! The judgement, case by case.

use super::*;

const SIGN: Capability = Capability::CryptoSign;

#[test]
fn without_a_grant_nothing_is_allowed() {
    let effective = effective(&[]);
    for capability in Capability::ALL {
        let scope = if capability.has_scope() { "receipt" } else { "" };
        let decision = super::evaluate(&effective, capability, scope, &facts(2_000));
        assert_eq!(decision, Decision::Denied(Reason::NotGranted), "{capability}");
    }
    assert!(matches!(effective.check_launch(at(2_000)), Err(LaunchRefusal::NoGrant { .. })));
}

#[test]
fn a_scope_is_covered_exactly_or_by_a_prefix() {
    let effective = effective(&[grant(&[(SIGN, allow(&["receipt", "api*"]))])]);
    for (scope, expected) in [
        ("receipt", "allowed"),
        ("receipt-2", "scope-not-covered"),
        ("receip", "scope-not-covered"),
        ("Receipt", "scope-not-covered"),
        ("api", "allowed"),
        ("apix", "allowed"),
        ("ap", "scope-not-covered"),
        ("xapi", "scope-not-covered"),
        ("*", "scope-not-covered"),
        ("api*", "allowed"),
        ("!receipt", "scope-not-covered"),
    ] {
        assert_eq!(answer(&effective, scope, 2_000), expected, "{scope}");
    }
}

#[test]
fn a_scope_that_is_no_name_is_refused_even_where_everything_is_granted() {
    let effective = effective(&[grant(&[(SIGN, allow(&["*"])), (Capability::CryptoOpen, allow(&[]))])]);
    let long = "a".repeat(257);
    for scope in ["", " ", "a b", "a\0", "\0", "a\n", "é", "ａpi", "re\u{301}ceipt", "\u{202e}x", &long] {
        assert_eq!(answer(&effective, scope, 2_000), "malformed-scope", "{scope:?}");
    }
    assert_eq!(answer(&effective, &"a".repeat(256), 2_000), "allowed");
    let open = |scope| super::evaluate(&effective, Capability::CryptoOpen, scope, &facts(2_000));
    assert!(open("").is_allowed());
    assert_eq!(open("x"), Decision::Denied(Reason::MalformedScope));
}

#[test]
fn an_empty_scope_list_covers_nothing() {
    assert_eq!(answer(&effective(&[grant(&[(SIGN, allow(&[]))])]), "receipt", 2_000), "scope-not-covered");
    let mut nothing_declared = declaration();
    nothing_declared.capabilities.insert(SIGN, Vec::new());
    let effective = effective_of(&nothing_declared, &ceiling(), &[grant(&[(SIGN, allow(&["*"]))])]);
    assert_eq!(answer(&effective, "receipt", 2_000), "outside-declaration");
}

#[test]
fn all_three_must_reach_the_scope() {
    let all = [grant(&[(SIGN, allow(&["*"]))])];
    let mut narrow = declaration();
    narrow.capabilities.insert(SIGN, vec!["receipt".parse().unwrap()]);
    let effective = effective_of(&narrow, &ceiling(), &all);
    assert_eq!(answer(&effective, "receipt", 2_000), "allowed");
    assert_eq!(answer(&effective, "invoice", 2_000), "outside-declaration");
    narrow.capabilities.remove(&SIGN);
    assert_eq!(answer(&effective_of(&narrow, &ceiling(), &all), "receipt", 2_000), "not-declared");
    let mut low = ceiling();
    low.capabilities.remove(&SIGN);
    assert_eq!(answer(&effective_of(&declaration(), &low, &all), "receipt", 2_000), "above-ceiling");
}

#[test]
fn a_denial_beats_every_allowance_of_every_grant() {
    let open = grant(&[(SIGN, allow(&["*"]))]);
    let mut item = grant(&[(SIGN, allow(&["other", "!receipt-*"]))]);
    item.timestamp = at(1_001);
    let whole = grant(&[(SIGN, CapabilityRule::denial())]);
    let by_item = effective(&[open.clone(), item]);
    assert_eq!(answer(&by_item, "receipt-internal", 2_000), "denied-by-rule");
    assert_eq!(answer(&by_item, "receipt", 2_000), "allowed");
    assert_eq!(answer(&effective(&[open.clone(), whole.clone()]), "receipt", 2_000), "denied-by-rule");
    assert_eq!(answer(&effective(&[whole, open]), "receipt", 2_000), "denied-by-rule");
}

#[test]
fn a_denial_outlasts_its_grant_and_precedes_it() {
    let mut open = grant(&[(SIGN, allow(&["*"]))]);
    open.expires = Expiry::Never;
    let mut denial = grant(&[(SIGN, CapabilityRule::denial())]);
    denial.not_before = at(5_000);
    denial.expires = Expiry::At(at(6_000));
    let effective = effective(&[open, denial]);
    for now in [2_000, 5_500, 9_000] {
        assert_eq!(answer(&effective, "receipt", now), "denied-by-rule", "{now}");
    }
}

#[test]
fn a_grant_counts_from_its_first_instant_to_before_its_last() {
    let mut rule = allow(&["receipt"]);
    rule.expiry = Some(at(9_000));
    let short = effective(&[grant(&[(SIGN, rule)])]);
    for (now, expected) in [
        (0, "not-yet-valid"),
        (999, "not-yet-valid"),
        (1_000, "allowed"),
        (8_999, "allowed"),
        (9_000, "expired"),
    ] {
        assert_eq!(answer(&short, "receipt", now), expected, "{now}");
    }
    let mut endless = grant(&[(SIGN, allow(&["receipt"]))]);
    endless.expires = Expiry::Never;
    assert_eq!(answer(&effective(&[endless]), "receipt", 200_000_000_000_000), "allowed");
}

#[test]
fn a_component_that_ends_in_the_middle_of_a_run_ends_there() {
    let mut short = declaration();
    short.expires = Some(at(5_000));
    let effective = effective_of(&short, &ceiling(), &[grant(&[(SIGN, allow(&["receipt"]))])]);
    assert_eq!(answer(&effective, "receipt", 4_999), "allowed");
    assert_eq!(answer(&effective, "receipt", 5_000), "component-expired");
    assert!(effective.check_launch(at(4_999)).is_ok());
    let refused = effective.check_launch(at(5_000));
    assert!(matches!(refused, Err(LaunchRefusal::ComponentExpired { .. })));
    assert!(effective.held(at(5_000)).is_empty() && !effective.has_interface("crypto", at(5_000)));
    assert_eq!(effective.resources(at(5_000)), ResourceAccess::NONE);
}

#[test]
fn grants_add_up_and_the_reason_is_that_of_the_nearest() {
    let mut ended = grant(&[(SIGN, allow(&["receipt"]))]);
    ended.expires = Expiry::At(at(1_500));
    let on_fridays = grant(&[(SIGN, on_condition(&["receipt"], &["days:fri"]))]);
    let elsewhere = grant(&[(SIGN, allow(&["invoice"]))]);
    // 1970-01-01 was a Thursday.
    let effective = effective(&[ended, on_fridays, elsewhere]);
    assert_eq!(answer(&effective, "receipt", 1_200), "allowed");
    assert_eq!(answer(&effective, "receipt", 2_000), "condition");
    assert_eq!(answer(&effective, "invoice", 2_000), "allowed");
    assert_eq!(answer(&effective, "letter", 2_000), "scope-not-covered");
}

#[test]
fn conditions_must_all_hold() {
    let effective = effective(&[grant(&[(
        SIGN,
        on_condition(&["receipt"], &["time:00:00-00:01", "environment=production", "trust>=partner"]),
    )])]);
    let (production, test) = ("production".parse().unwrap(), "test".parse().unwrap());
    let judge = |now, environment| {
        let facts = Facts { now: at(now), environment, usage: Usage::NONE, is_locked: false };
        super::evaluate(&effective, SIGN, "receipt", &facts).is_allowed()
    };
    assert!(judge(59_999, Some(&production)));
    assert!(!judge(60_000, Some(&production)));
    assert!(!judge(59_999, Some(&test)));
    assert!(!judge(59_999, None));
}

#[test]
fn a_spent_budget_is_told_and_an_uncounted_rule_comes_first() {
    let counted = grant(&[(SIGN, on_condition(&["receipt"], &["uses<=2", "rate<=1/1m"]))]);
    let id = identified(std::slice::from_ref(&counted))[0].0;
    let judge = |effective: &Effective, used| {
        let mut usage = Usage::default();
        usage.set(id, SIGN, used);
        let facts = Facts { now: at(2_000), environment: None, usage: &usage, is_locked: false };
        super::evaluate(effective, SIGN, "receipt", &facts)
    };
    let alone = effective(std::slice::from_ref(&counted));
    assert_eq!(judge(&alone, Used { uses: 1, recent: 0 }), Decision::Allowed { grant: id });
    for (used, condition) in
        [(Used { uses: 2, recent: 0 }, "uses<=2"), (Used { uses: 1, recent: 1 }, "rate<=1/1m")]
    {
        let expected = Reason::Exhausted { grant: id, condition: condition.parse().unwrap() };
        assert_eq!(judge(&alone, used), Decision::Denied(expected));
    }
    let free = grant(&[(SIGN, allow(&["receipt"]))]);
    let free_id = identified(std::slice::from_ref(&free))[0].0;
    let both = effective(&[counted, free]);
    assert_eq!(judge(&both, Used::default()), Decision::Allowed { grant: free_id });
}

#[test]
fn resources_are_what_grants_in_force_open_and_no_more_than_declared_and_allowed() {
    let mut persistent = grant(&[]);
    persistent.resource_access.storage = StorageAccess::Persistent;
    persistent.resource_access.network = NetworkAccess::Restricted;
    persistent.network_hosts = vec!["api.example.org:443".parse().unwrap()];
    persistent.expires = Expiry::At(at(3_000));
    let mut still = grant(&[]);
    still.resource_access.memory = MemoryAccess::Read;
    let grants = [persistent, still];
    let access = effective(&grants).resources(at(2_000));
    assert_eq!(
        (access.memory, access.storage, access.network),
        (MemoryAccess::Write, StorageAccess::Persistent, NetworkAccess::Restricted)
    );
    assert_eq!(effective(&grants).network_hosts(at(2_000)).count(), 1);
    let later = effective(&grants).resources(at(3_000));
    assert_eq!((later.memory, later.storage), (MemoryAccess::Read, StorageAccess::None));
    assert_eq!(effective(&grants).network_hosts(at(3_000)).count(), 0);
    let mut low = ceiling();
    low.storage = StorageAccess::Temporary;
    let mut modest = declaration();
    modest.network = NetworkAccess::None;
    let narrowed = effective_of(&modest, &low, &grants);
    let access = narrowed.resources(at(2_000));
    assert_eq!((access.storage, access.network), (StorageAccess::Temporary, NetworkAccess::None));
    assert_eq!(narrowed.network_hosts(at(2_000)).count(), 0);
}

#[test]
fn limits_are_the_least_of_declaration_grants_and_ceiling() {
    let mut generous = grant(&[]);
    generous.limits = Limits::parse_overrides("memory=1GiB,cpu=20G,duration=1h").unwrap();
    let mut low = ceiling();
    (low.memory, low.cpu, low.duration) = (512 << 20, 30_000_000_000, 60_000);
    let mut modest = declaration();
    modest.memory = Some(128 << 20);
    let limits = effective_of(&modest, &low, &[generous]).limits(at(2_000));
    assert_eq!((limits.memory, limits.cpu, limits.duration), (128 << 20, 20_000_000_000, 60_000));
    assert_eq!(limits.handles, standard::HANDLES);
    assert_eq!(effective(&[]).limits(at(2_000)), Limits::STANDARD);
}

#[test]
fn a_limit_is_raised_only_by_a_grant_in_force_and_lowered_by_any() {
    let saying = |limits: &str, not_before, expires| AgentPermissions {
        limits: Limits::parse_overrides(limits).unwrap(),
        not_before: at(not_before),
        expires: Expiry::At(at(expires)),
        ..grant(&[])
    };
    let effective = effective(&[
        grant(&[]),
        saying("memory=1GiB,files=1", 1_000, 3_000),
        saying("output=1GiB", 5_000, 9_000),
    ]);
    let at = |millis| {
        let limits = effective.limits(at(millis));
        (limits.memory, limits.output, limits.files)
    };
    assert_eq!(at(2_000), (1 << 30, standard::OUTPUT, 1));
    assert_eq!(at(3_000), (standard::MEMORY, standard::OUTPUT, 1));
    assert_eq!(at(6_000), (standard::MEMORY, 1 << 30, 1));
}

#[test]
fn a_component_without_memory_is_not_started() {
    let mut none = grant(&[]);
    none.resource_access.memory = MemoryAccess::None;
    assert!(matches!(effective(&[none]).check_launch(at(2_000)), Err(LaunchRefusal::NoMemory { .. })));
    let usual = effective(&[grant(&[])]);
    assert!(usual.check_launch(at(2_000)).is_ok());
    assert!(matches!(usual.check_launch(at(1)), Err(LaunchRefusal::NotYet { .. })));
    assert!(matches!(usual.check_launch(at(1_000_000)), Err(LaunchRefusal::Expired { .. })));
}

#[test]
fn an_interface_without_an_effective_capability_is_missing_with_the_command_that_gives_it() {
    let mut needs = declaration();
    needs.capabilities.retain(|capability, _| capability.interface() != "audit");
    needs.capabilities.insert(SIGN, vec!["invoice*".parse().unwrap(), "receipt".parse().unwrap()]);
    needs.capabilities.remove(&Capability::CryptoHash);
    let bare = effective_of(&needs, &ceiling(), &[grant(&[(Capability::IdentitySelf, allow(&[]))])]);
    assert!(bare.has_interface("identity", at(2_000)));
    let missing =
        bare.missing(&["kos:agent/identity@0.1.0", "kos:agent/crypto@0.1.0", "audit"], "n.wasm", at(2_000));
    let of = |capability| missing.iter().find(|missing| missing.capability == capability);
    let sign = of(SIGN).unwrap();
    assert_eq!(sign.reason, Reason::NotGranted);
    let command = "kos grant n.wasm --allow 'crypto.sign:invoice*' --allow crypto.sign:receipt --for 30d";
    assert_eq!(sign.change, command);
    assert_eq!(of(Capability::CryptoOpen).unwrap().change, "kos grant n.wasm --allow crypto.open --for 30d");
    assert!(of(Capability::CryptoHash).is_none(), "what is not declared is not asked for");
    let note = of(Capability::AuditNote).unwrap();
    assert!(note.reason == Reason::NotDeclared && note.change.contains("agent.toml"), "{}", note.change);
    assert!(of(Capability::IdentitySelf).is_none());
}

#[test]
fn an_interface_counts_only_where_some_rule_could_allow() {
    let sign = |rule: CapabilityRule| effective(&[grant(&[(SIGN, rule)])]);
    assert!(sign(allow(&["receipt"])).has_interface("crypto", at(2_000)));
    assert!(sign(allow(&["receipt"])).has_interface("crypto", at(0)), "it will begin");
    assert!(sign(on_condition(&["receipt"], &["days:fri"])).has_interface("crypto", at(2_000)));
    assert!(!sign(allow(&["receipt"])).has_interface("crypto", at(1_000_000)), "it has ended");
    assert!(!sign(allow(&["receipt", "!rec*"])).has_interface("crypto", at(2_000)));
    assert!(!sign(CapabilityRule::denial()).has_interface("crypto", at(2_000)));
    assert!(!sign(allow(&["*"])).has_interface("vault", at(2_000)));
    let mut elsewhere = declaration();
    elsewhere.capabilities.retain(|capability, _| *capability == SIGN);
    elsewhere.capabilities.insert(SIGN, vec!["invoice".parse().unwrap()]);
    let disjoint = effective_of(&elsewhere, &ceiling(), &[grant(&[(SIGN, allow(&["receipt"]))])]);
    assert!(!disjoint.has_interface("crypto", at(2_000)));
    assert_eq!(disjoint.missing(&["crypto"], "a", at(2_000))[0].reason, Reason::ScopeNotCovered);
}

#[test]
fn what_an_agent_is_told_it_holds_is_what_it_can_use() {
    let mut needs = declaration();
    needs.capabilities.insert(SIGN, vec!["receipt*".parse().unwrap()]);
    let grants = [grant(&[(SIGN, allow(&["*", "!receipt-x*"])), (Capability::CryptoOpen, allow(&[]))])];
    let held = effective_of(&needs, &ceiling(), &grants).held(at(2_000));
    let names: Vec<_> = held.iter().map(|held| held.capability.as_str()).collect();
    assert_eq!(names, ["crypto.open", "crypto.sign"]);
    assert_eq!(held[1].scope, ["receipt*"]);
    assert_eq!(held[1].expires, Some(at(1_000_000)));
    assert!(effective(&grants).held(at(1_000_000)).is_empty());
}

#[test]
fn an_explanation_names_the_rule_that_decided_and_what_would_alter_it() {
    let denial = grant(&[(SIGN, allow(&["*", "!receipt-internal"]))]);
    let id = identified(std::slice::from_ref(&denial))[0].0;
    let effective = effective(&[denial]);
    let explanation = explain(&effective, SIGN, "receipt-internal", &facts(2_000));
    assert_eq!(explanation.rule.as_ref().map(|rule| (rule.grant, rule.capability)), Some((id, SIGN)));
    assert_eq!(explanation.because, format!("the grant {id} denies it by `!receipt-internal`"));
    assert!(explanation.change.contains(&format!("kos grants revoke {id}")), "{}", explanation.change);
    let allowed = explain(&effective, SIGN, "receipt", &facts(2_000));
    assert!(allowed.decision.is_allowed() && allowed.rule.is_some());
    assert_eq!(allowed.considered.len(), 2);
    let late = explain(&effective, SIGN, "receipt", &facts(1_000_000));
    assert_eq!(late.change, "kos grant AGENT.wasm --allow crypto.sign:receipt --for 30d");
    let json = serde_json::to_value(&late).unwrap();
    assert_eq!(json["decision"]["denied"]["kind"], "expired");
    assert_eq!(json["decision"]["denied"]["grant"], id.to_string());
}

#[test]
fn every_reason_has_a_sentence_and_a_change() {
    let id = GrantId::of(b"x");
    let condition: Condition = "uses<=1".parse().unwrap();
    let reasons = [
        Reason::Revoked,
        Reason::MalformedScope,
        Reason::ComponentExpired { at: at(1) },
        Reason::NotDeclared,
        Reason::OutsideDeclaration,
        Reason::AboveCeiling { level: TrustLevel::External },
        Reason::DeniedByRule { grant: id, pattern: None },
        Reason::NotGranted,
        Reason::ScopeNotCovered,
        Reason::Expired { grant: id, at: at(1) },
        Reason::NotYetValid { grant: id, from: at(1) },
        Reason::Condition { grant: id, condition: condition.clone() },
        Reason::Exhausted { grant: id, condition },
        Reason::Locked,
    ];
    let mut names: Vec<_> = reasons.iter().map(Reason::name).collect();
    assert!(reasons.iter().all(|reason| !reason.to_string().is_empty()));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), reasons.len());
}
