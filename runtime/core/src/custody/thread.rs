//! The custodian as a thread: the root key and every private key live in it alone, from the unlock to the end.
//!
//! In scope: starting, asking over a channel, ending. Out of scope: what a request does ([`super::keyring`]). The
//! thread ends, and erases what it held, when the last [`ThreadCustodian`] of it is dropped.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use super::error::CustodyError;
use super::keyring::Keyring;
use super::request::{Answer, Custodian, Request};
use super::root::RootKey;
use crate::clock::Clock;
use crate::home::Home;

/// A custodian in a thread of its own. Share it as `Arc<dyn Custodian>`.
pub struct ThreadCustodian {
    requests: Option<Sender<Call>>,
    thread: Option<JoinHandle<()>>,
}

/// A request and where its answer goes.
type Call = (Request, Sender<Result<Answer, CustodyError>>);

impl ThreadCustodian {
    /// Starts the thread, which first obtains the root key itself.
    pub(super) fn start(
        home: &Home,
        clock: Arc<dyn Clock>,
        root: impl FnOnce() -> Result<RootKey, CustodyError> + Send + 'static,
    ) -> Result<Self, CustodyError> {
        let (requests, incoming) = mpsc::channel();
        let (ready, unlocked) = mpsc::channel();
        let home = home.clone();
        let serving = move || match root() {
            Ok(root) => {
                let keyring = Keyring::new(home, root, clock);
                if ready.send(Ok(())).is_ok() {
                    serve(keyring, &incoming);
                }
            }
            // Whoever started the thread waits for this; if it is gone, nobody needs to know.
            Err(error) => drop(ready.send(Err(error))),
        };
        let thread = thread::Builder::new()
            .name("custodian".to_owned())
            .spawn(serving)
            .map_err(|error| CustodyError::Storage { cause: format!("cannot start a thread: {error}") })?;
        let custodian = Self { requests: Some(requests), thread: Some(thread) };
        unlocked.recv().map_err(|_| CustodyError::Gone)??;
        Ok(custodian)
    }
}

impl Custodian for ThreadCustodian {
    fn ask(&self, request: Request) -> Result<Answer, CustodyError> {
        let (answer, answered) = mpsc::channel();
        let requests = self.requests.as_ref().ok_or(CustodyError::Gone)?;
        requests.send((request, answer)).map_err(|_| CustodyError::Gone)?;
        answered.recv().map_err(|_| CustodyError::Gone)?
    }
}

impl Drop for ThreadCustodian {
    /// Waits until the thread has ended and its keys are erased.
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported there; here only the end counts.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for ThreadCustodian {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ThreadCustodian")
    }
}

/// Answers until nobody is left to ask, or the keys are destroyed.
fn serve(mut keyring: Keyring, incoming: &Receiver<Call>) {
    while let Ok((request, answer)) = incoming.recv() {
        let is_end = matches!(request, Request::Destroy);
        let given = answer_to(&mut keyring, request);
        let is_end = is_end && given.is_ok();
        if is_end {
            drop(keyring);
            let _ = answer.send(given);
            return;
        }
        // Whoever asked may have gone in the meantime.
        let _ = answer.send(given);
    }
}

fn answer_to(keyring: &mut Keyring, request: Request) -> Result<Answer, CustodyError> {
    match request {
        Request::Create { key } => keyring.create(&key).map(|public| Answer::Public { public }),
        Request::Public { key } => keyring.public(&key).map(|public| Answer::Public { public }),
        Request::List => keyring.list().map(|keys| Answer::List { keys }),
        Request::Sign { key, did, message } => {
            keyring.sign(&key, &did, &message).map(|signature| Answer::Signature { signature })
        }
        Request::SignMany { key, did, messages } => {
            keyring.sign_many(&key, &did, &messages).map(|signatures| Answer::Signatures { signatures })
        }
        Request::Open { key, did, info, associated, sealed } => keyring
            .open(&key, &did, &info, &associated, &sealed)
            .map(|plaintext| Answer::Opened { plaintext }),
        Request::Mac { purpose, message } => Ok(Answer::Mac { tag: keyring.mac(purpose, &message) }),
        Request::Export { key, passphrase } => {
            keyring.export(&key, &passphrase).map(|document| Answer::Exported { document })
        }
        Request::Import { key, passphrase, document } => {
            keyring.import(&key, &passphrase, &document).map(|public| Answer::Public { public })
        }
        Request::Rotate { key } => {
            keyring.rotate(&key).map(|(public, statement)| Answer::Rotated { public, statement })
        }
        Request::Remove { key } => keyring.remove(&key).map(|()| Answer::Done),
        Request::Vault { environment, noted, not_before, request } => {
            keyring.vault(&environment, noted, not_before, &request).map(|answer| Answer::Vault { answer })
        }
        Request::Lock | Request::Unlock { .. } => Err(CustodyError::Answer),
        Request::Destroy => keyring.destroy().map(|()| Answer::Done),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::testing::{empty_home, key, open_home};
    use super::super::{KeyHandle, slot};
    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::crypto::Signer as _;

    #[test]
    fn a_custodian_is_shared_by_threads() {
        fn is_shared(_: &(impl Send + Sync + 'static)) {}
        let (_test, custodian) = open_home();
        is_shared(&custodian);
        custodian.create(&key("agent/alice")).unwrap();
        let custodian: Arc<dyn Custodian> = custodian;
        thread::scope(|scope| {
            for _ in 0..4 {
                let handle = KeyHandle::new(custodian.clone(), key("agent/alice")).unwrap();
                scope.spawn(move || {
                    for number in 0..50_u32 {
                        let message = number.to_le_bytes();
                        assert!(handle.did().verify(&message, &handle.sign(&message).unwrap()));
                    }
                });
            }
        });
    }

    #[test]
    fn what_the_thread_held_is_gone_once_its_last_owner_has_dropped_it() {
        let test = empty_home();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1)));
        let (home, held) = (test.home.clone(), clock.clone());
        let specs = [super::super::testing::secret_slot([1; 32])];
        let custodian =
            ThreadCustodian::start(&test.home, held, move || slot::initialise(&home, &specs)).unwrap();
        assert_eq!(custodian.create(&key("author/alice")).unwrap().created, Timestamp::from_millis(1));
        assert_eq!(Arc::strong_count(&clock), 2, "the keyring holds the clock, as it holds the root key");
        drop(custodian);
        assert_eq!(Arc::strong_count(&clock), 1);
    }

    #[test]
    fn a_custodian_that_cannot_unlock_says_why_and_leaves_no_thread() {
        let test = empty_home();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1)));
        let refused = ThreadCustodian::start(&test.home, clock.clone(), || Err(CustodyError::NotInitialised));
        assert_eq!(refused.unwrap_err(), CustodyError::NotInitialised);
        assert_eq!(Arc::strong_count(&clock), 1);
    }
}
