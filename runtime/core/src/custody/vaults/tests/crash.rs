//! A process that dies at any step of a change: nothing that the log knows of is lost, and nothing is half done (I8).

use super::*;

/// What a vault of the tests holds before a change.
const BEFORE: [(&str, &str); 3] = [("api_key/a", "1"), ("api_key/b", "2"), ("password/c", "3")];

fn changes() -> Vec<(Change, Vec<(&'static str, &'static str)>)> {
    vec![
        (put("api_key/a", "new"), vec![("api_key/a", "new"), ("api_key/b", "2"), ("password/c", "3")]),
        (put("api_key/d", "4"), [&BEFORE[..], &[("api_key/d", "4")]].concat()),
        (Change::Remove { id: id("api_key/a") }, BEFORE[1..].to_vec()),
        (
            Change::Rename { from: id("api_key/a"), to: id("api_key/z") },
            vec![("api_key/b", "2"), ("password/c", "3"), ("api_key/z", "1")],
        ),
        (Change::RotateKey, BEFORE.to_vec()),
        (Change::KeepVersions { versions: 0 }, BEFORE.to_vec()),
        (Change::Restore { id: id("api_key/b"), version: 1 }, BEFORE.to_vec()),
    ]
}

fn filled() -> (TestHome, Asker) {
    let (test, mut asker) = opened();
    for (name, value) in BEFORE {
        asker.change(put(name, value));
    }
    (test, asker)
}

/// A process that starts now, unaided, finds exactly `expected`, and goes on.
fn finds(test: &TestHome, known: &Asker, noted: Option<Noted>, expected: &[(&str, &str)], when: &str) {
    let mut next = known.restarted(&test.home);
    next.noted = noted;
    for (name, value) in expected {
        assert_eq!(next.reveal(name).as_deref(), Ok(*value), "{name} {when}");
    }
    assert_eq!(next.count(), expected.len(), "{when}");
}

fn goes_on(test: &TestHome, known: &Asker, noted: Option<Noted>) {
    let mut next = known.restarted(&test.home);
    next.noted = noted;
    next.change(put("api_key/after", "crash"));
    assert_eq!(next.reveal("api_key/after").unwrap(), "crash");
    assert!(next_files(&test.home).is_empty(), "what was left beside the vault is cleared");
}

#[test]
fn a_process_that_dies_while_it_writes_the_next_state_leaves_the_present_one() {
    for (change, _) in changes() {
        let (test, asker) = filled();
        asker.prepare(change).unwrap();
        let known = asker.died(&test.home);
        let path = next_files(&test.home).pop().unwrap();
        let whole = fs::read(&path).unwrap();
        for length in [0, 1, whole.len() / 2, whole.len() - 1, whole.len()] {
            fs::write(&path, &whole[..length]).unwrap();
            finds(&test, &known, known.noted, &BEFORE, "before the log knows");
        }
        goes_on(&test, &known, known.noted);
    }
}

#[test]
fn a_process_that_dies_after_the_log_knows_leaves_the_next_state() {
    for (change, after) in changes() {
        let (test, asker) = filled();
        let noted = asker.prepare(change).unwrap();
        let known = asker.died(&test.home);
        assert_ne!(Digest::of(&fs::read(file(&test.home)).unwrap()), noted.digest);
        finds(&test, &known, Some(noted), &after, "after the log knows");
        assert_eq!(Digest::of(&fs::read(file(&test.home)).unwrap()), noted.digest);
        finds(&test, &known, Some(noted), &after, "after the state is in place");
        goes_on(&test, &known, Some(noted));
    }
}

#[test]
fn the_first_change_of_a_vault_survives_as_every_other() {
    let (test, asker) = opened();
    let noted = asker.prepare(put("api_key/a", "1")).unwrap();
    let known = asker.died(&test.home);
    finds(&test, &known, None, &[], "before the log knows");
    finds(&test, &known, Some(noted), &[("api_key/a", "1")], "after the log knows");
    goes_on(&test, &known, Some(noted));
}

#[test]
fn a_state_that_cannot_be_put_in_place_is_so_when_the_vault_is_opened_next() {
    let (test, mut asker) = filled();
    let noted = asker.prepare(put("api_key/a", "new")).unwrap();
    let next = next_files(&test.home).pop().unwrap();
    let aside = test.home.vault().join("aside");
    fs::rename(&next, &aside).unwrap();
    asker.noted = Some(noted);
    assert!(asker.custodian_keep_fails());
    fs::rename(&aside, &next).unwrap();
    assert_eq!(asker.reveal("api_key/a").unwrap(), "new");
    goes_on(&test, &asker, Some(noted));
}

impl Asker {
    /// The process ends here, and its locks with it; another knows the same.
    fn died(self, home: &Home) -> Self {
        self.restarted(home)
    }

    fn custodian_keep_fails(&self) -> bool {
        let (noted, not_before) = (self.noted, self.not_before);
        let environment = self.environment.parse().unwrap();
        let request = VaultRequest::Keep;
        let kept = self.custodian.ask(Request::Vault { environment, noted, not_before, request });
        matches!(kept, Err(CustodyError::Storage { .. }))
    }
}
