//! The three steps, time, and several environments.

use super::super::super::testing::{SECRET, secret};
use super::*;

#[test]
fn a_change_is_seen_once_it_is_kept() {
    let (test, mut asker) = opened();
    assert_eq!(asker.count(), 0);
    let noted = asker.prepare(put("api_key/a", "1")).unwrap();
    assert_eq!(noted.generation, 1);
    assert_eq!(asker.count(), 0, "the log knows of nothing yet");
    assert!(!file(&test.home).exists());
    asker.keep(noted).unwrap();
    assert_eq!(asker.reveal("api_key/a").unwrap(), "1");
    assert_eq!(Digest::of(&fs::read(file(&test.home)).unwrap()), noted.digest);
    assert!(next_files(&test.home).is_empty());
    asker.keep(noted).unwrap();
}

#[test]
fn a_change_that_is_dropped_never_was() {
    let (_test, mut asker) = opened();
    asker.change(put("api_key/a", "1"));
    let dropped = asker.prepare(put("api_key/a", "2")).unwrap();
    asker.ask(VaultRequest::Drop).unwrap();
    assert_eq!(asker.reveal("api_key/a").unwrap(), "1");
    asker.change(put("api_key/b", "3"));
    let kept = asker.noted;
    assert_eq!((asker.count(), asker.reveal("api_key/a").unwrap().as_str()), (2, "1"));
    assert_eq!(asker.keep(dropped), Err(VaultError::NotPrepared));
    asker.noted = kept;
    assert_eq!(asker.reveal("api_key/b").unwrap(), "3");
}

#[test]
fn a_dropped_change_that_the_log_turns_out_to_know_of_is_in_force() {
    let (test, mut asker) = opened();
    asker.change(put("api_key/a", "1"));
    let ghost = asker.prepare(put("api_key/a", "2")).unwrap();
    asker.ask(VaultRequest::Drop).unwrap();
    // Another change was prepared in the meantime, and its process died before the log knew of it.
    asker.prepare(put("api_key/a", "3")).unwrap();
    let mut next = asker.restarted(&test.home);
    drop(asker);
    next.noted = Some(ghost);
    assert_eq!(next.reveal("api_key/a").unwrap(), "2");
}

#[test]
fn one_change_is_under_way_at_a_time_among_all_processes() {
    let (test, mut one) = opened();
    one.change(put("api_key/a", "1"));
    let mut other = one.restarted(&test.home);
    let noted = one.prepare(put("api_key/a", "2")).unwrap();
    assert_eq!(one.prepare(put("api_key/a", "3")), Err(VaultError::Busy));
    assert_eq!(other.prepare(put("api_key/a", "3")), Err(VaultError::Busy));
    assert_eq!(other.reveal("api_key/a").unwrap(), "1", "reading goes on");
    // The log knows, and the file is not in place yet.
    other.noted = Some(noted);
    assert_eq!(other.reveal("api_key/a"), Err(VaultError::Busy));
    one.keep(noted).unwrap();
    assert_eq!(other.reveal("api_key/a").unwrap(), "2");
    other.change(put("api_key/a", "3"));
    one.noted = other.noted;
    assert_eq!(one.reveal("api_key/a").unwrap(), "3");
}

#[test]
fn a_state_that_the_log_knows_of_is_put_in_place_by_whoever_asks_first() {
    let (test, mut asker) = opened();
    let noted = asker.prepare(put("api_key/a", "1")).unwrap();
    asker.noted = Some(noted);
    assert_eq!(asker.reveal("api_key/a").unwrap(), "1");
    assert!(file(&test.home).exists());
    asker.keep(noted).unwrap();
}

#[test]
fn nothing_is_kept_that_was_not_prepared() {
    let (_test, mut asker) = opened();
    assert_eq!(asker.ask(VaultRequest::Keep), Err(VaultError::NotPrepared));
    let noted = Noted { generation: 1, digest: Digest::of(b"") };
    assert_eq!(asker.keep(noted), Err(VaultError::NotPrepared));
    asker.noted = None;
    assert_eq!(asker.ask(VaultRequest::Drop), Ok(VaultAnswer::Done));
}

#[test]
fn a_change_that_is_refused_leaves_no_lock_and_no_file() {
    let (test, mut asker) = opened();
    asker.change(put("api_key/a", "1"));
    assert!(asker.prepare(put("password/p", "two\nlines")).is_err());
    assert!(next_files(&test.home).is_empty());
    asker.restarted(&test.home).change(put("api_key/a", "2"));
}

#[test]
fn a_secret_ends_by_the_later_of_the_own_clock_and_the_logs() {
    let (_test, mut asker) = opened();
    let end = Timestamp::parse("9000-01-01").unwrap();
    let ending = Change::Put { id: id("api_key/e"), value: Secret::new(vec![b'x']), expires_at: Some(end) };
    asker.change(ending.clone());
    assert_eq!(asker.reveal("api_key/e").unwrap(), "x");
    asker.not_before = end;
    let expired = VaultError::Expired { id: id("api_key/e"), at: end };
    assert_eq!(asker.reveal("api_key/e"), Err(expired.clone()));
    assert_eq!(asker.prepare(ending), Err(expired.clone()));
    asker.change(put("api_key/e", "y"));
    assert_eq!(asker.prepare(Change::Restore { id: id("api_key/e"), version: 1 }), Err(expired));
    assert_eq!(asker.reveal("api_key/e").unwrap(), "y");
}

#[test]
fn an_access_is_told_at_once_and_written_with_the_next_change() {
    let (test, mut asker) = opened();
    asker.change(put("api_key/a", "1"));
    asker.change(put("api_key/b", "2"));
    asker.not_before = Timestamp::parse("9000-01-01").unwrap();
    asker.reveal("api_key/a").unwrap();
    let accessed = |asker: &Asker| match asker.ask(VaultRequest::List).unwrap() {
        VaultAnswer::List { secrets } => secrets.iter().map(|known| known.last_accessed).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let expected = [Some(asker.not_before), None];
    assert_eq!(accessed(&asker), expected);
    assert_eq!(accessed(&asker.restarted(&test.home)), [None, None]);
    asker.change(put("api_key/b", "3"));
    assert_eq!(accessed(&asker.restarted(&test.home)), expected);
}

#[test]
fn environments_hold_their_own_secrets() {
    let (_test, mut asker) = opened();
    asker.change(put("api_key/a", "1"));
    let mut staging =
        Asker { environment: "staging", noted: None, ..Asker::of(Arc::clone(&asker.custodian)) };
    assert_eq!(staging.count(), 0);
    staging.change(put("api_key/a", "2"));
    assert_eq!(asker.reveal("api_key/a").unwrap(), "1");
    assert_eq!(staging.reveal("api_key/a").unwrap(), "2");
}

#[test]
fn requests_answers_and_errors_never_print_a_secret() {
    let (_test, mut asker) = opened();
    let marker = "marker-that-is-secret";
    let change = put("api_key/a", marker);
    let mut shown = format!("{change:?} {:?}", VaultRequest::Prepare { change: change.clone() });
    asker.change(change);
    for name in ["api_key/a", "api_key/none"] {
        let answer = asker.ask(VaultRequest::Reveal { id: id(name) });
        shown.push_str(&format!("{answer:?}"));
    }
    for kind in ["jwt", "certificate"] {
        let refused = asker.prepare(put(&format!("{kind}/x"), marker)).unwrap_err();
        shown.push_str(&format!("{refused:?} {refused}"));
    }
    let hex = hex::encode(marker);
    let numbers = format!("{:?}", marker.as_bytes());
    for secret in [marker, &hex, numbers.trim_matches(['[', ']'])] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_lock_that_meets_a_change_lets_it_end_and_nobody_come_between() {
    for is_unlocked_again in [false, true] {
        let (test, mut asker) = opened();
        asker.change(put("api_key/a", "1"));
        let mut other = asker.restarted(&test.home);
        let noted = asker.prepare(put("api_key/a", "2")).unwrap();
        asker.custodian.ask(Request::Lock).unwrap();
        assert_eq!(other.prepare(put("api_key/a", "3")), Err(VaultError::Busy), "the log may know by now");
        let custodian = Arc::clone(&asker.custodian);
        let unlock = || custodian.ask(Request::Unlock { with: secret(SECRET) }).unwrap();
        if is_unlocked_again {
            unlock();
        }
        asker.keep(noted).unwrap();
        if !is_unlocked_again {
            assert_eq!(custodian.list(), Err(CustodyError::Locked));
            unlock();
        }
        assert_eq!(asker.reveal("api_key/a").unwrap(), "2");
        assert!(next_files(&test.home).is_empty());
        other.noted = Some(noted);
        other.change(put("api_key/a", "3"));
    }
}

#[test]
fn a_change_that_is_dropped_after_a_lock_frees_the_vault() {
    let (test, mut asker) = opened();
    asker.change(put("api_key/a", "1"));
    asker.prepare(put("api_key/a", "2")).unwrap();
    asker.custodian.ask(Request::Lock).unwrap();
    asker.ask(VaultRequest::Drop).unwrap();
    asker.restarted(&test.home).change(put("api_key/a", "3"));
}

#[test]
fn what_was_known_of_a_removed_secret_is_not_told_of_the_next_of_its_name() {
    let (_test, mut asker) = opened();
    asker.change(put("api_key/a", "1"));
    asker.reveal("api_key/a").unwrap();
    asker.change(Change::Remove { id: id("api_key/a") });
    asker.change(put("api_key/a", "2"));
    asker.change(put("api_key/b", "3"));
    let VaultAnswer::List { secrets } = asker.ask(VaultRequest::List).unwrap() else {
        panic!("no list");
    };
    assert_eq!(secrets[0].last_accessed, None);
}

#[test]
fn nothing_waits_for_a_fifo_in_place_of_a_file() {
    let (test, mut asker) = opened();
    asker.change(put("api_key/a", "1"));
    let kept = fs::read(file(&test.home)).unwrap();
    let fifo = |path: &PathBuf| {
        fs::remove_file(path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    };
    fifo(&file(&test.home));
    let refused = asker.custodian.ask(Request::Vault {
        environment: "default".parse().unwrap(),
        noted: asker.noted,
        not_before: asker.not_before,
        request: VaultRequest::List,
    });
    assert!(matches!(refused, Err(CustodyError::Storage { .. })), "{refused:?}");
    fs::remove_file(file(&test.home)).unwrap();
    fs::write(file(&test.home), kept).unwrap();
    assert_eq!(asker.reveal("api_key/a").unwrap(), "1");
    fifo(&test.home.vault().join(".default.lock"));
    let refused = asker.custodian.ask(Request::Vault {
        environment: "default".parse().unwrap(),
        noted: asker.noted,
        not_before: asker.not_before,
        request: VaultRequest::Prepare { change: put("api_key/b", "2") },
    });
    assert!(matches!(refused, Err(CustodyError::Storage { .. })), "{refused:?}");
}
