//! The custodian as a thread: the root key and every private key live in it alone, from the unlock to a lock or the end.
//!
//! In scope: starting, asking over a channel, locking, ending. Out of scope: what a request does ([`super::keyring`]). The
//! thread ends, and erases what it held, when the last [`ThreadCustodian`] of it is dropped.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::error::CustodyError;
use super::keyring::Keyring;
use super::lock::{self, HostKeys, LockCause, LockState, Watch};
use super::locked;
use super::request::{Answer, Answered, Custodian, Request};
use super::root::RootKey;
use super::slot::{self, Unlock};
use crate::clock::Clock;
use crate::home::Home;

/// More of the stack than the building of an answer uses; its erasure takes half a microsecond.
const STACK_OF_ANSWER: usize = 16 * 1024;
/// More of the stack than anything here uses.
const STACK_OF_ALL: usize = 256 * 1024;

/// A custodian in a thread of its own. Share it as `Arc<dyn Custodian>`.
pub struct ThreadCustodian {
    requests: Option<Sender<Call>>,
    thread: Option<JoinHandle<()>>,
    lock_state: LockState,
}

/// A request and where its answer goes.
type Call = (Request, Answered);

impl ThreadCustodian {
    /// Starts the thread, which first obtains the root key itself.
    pub(super) fn start(
        home: &Home,
        clock: Arc<dyn Clock>,
        root: impl FnOnce() -> Result<RootKey, CustodyError> + Send + 'static,
    ) -> Result<Self, CustodyError> {
        let (requests, incoming) = mpsc::channel();
        let (ready, unlocked) = mpsc::channel();
        let lock_state = LockState::default();
        let (home, state) = (home.clone(), lock_state.clone());
        let serving = move || match root() {
            Ok(root) => {
                let serving = Serving::new(home, root, clock, state);
                // The frame of what comes next lies where the unlock has left its traces.
                locked::erase_stack::<STACK_OF_ALL>();
                if ready.send(Ok(())).is_ok() {
                    serving.serve(&incoming);
                }
                // The memory of the stack outlives the thread.
                locked::erase_stack::<STACK_OF_ALL>();
            }
            // Whoever started the thread waits for this; if it is gone, nobody needs to know.
            Err(error) => drop(ready.send(Err(error))),
        };
        let thread = thread::Builder::new()
            .name("custodian".to_owned())
            .spawn(serving)
            .map_err(|error| CustodyError::Storage { cause: format!("cannot start a thread: {error}") })?;
        let custodian = Self { requests: Some(requests), thread: Some(thread), lock_state };
        unlocked.recv().map_err(|_| CustodyError::Gone)??;
        Ok(custodian)
    }
}

impl Custodian for ThreadCustodian {
    fn submit(&self, request: Request, answered: Answered) {
        let refused = match &self.requests {
            Some(requests) => requests.send((request, answered)).err().map(|refused| refused.0.1),
            None => Some(answered),
        };
        if let Some(answered) = refused {
            answered(Err(CustodyError::Gone));
        }
    }

    fn lock_state(&self) -> LockState {
        self.lock_state.clone()
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

/// What the thread holds.
struct Serving {
    home: Home,
    clock: Arc<dyn Clock>,
    held: Held,
    state: LockState,
    watch: Watch,
}

enum Held {
    All(Box<Keyring>),
    HostKeys(HostKeys),
}

impl Serving {
    fn new(home: Home, root: RootKey, clock: Arc<dyn Clock>, state: LockState) -> Self {
        let watch = Watch::off(clock.uptime());
        let held = Held::All(Box::new(Keyring::new(home.clone(), root, clock.clone())));
        Self { home, clock, held, state, watch }
    }

    /// Answers until nobody is left to ask, or the keys are destroyed.
    fn serve(mut self, incoming: &Receiver<Call>) {
        while let Some(call) = self.next(incoming) {
            let Some((request, answered)) = call else {
                self.erase_stack();
                continue;
            };
            let is_end = matches!(request, Request::Destroy);
            // An answer is copied whole to whoever asked, and the places in it that it leaves blank with what the stack
            // held there before.
            locked::erase_stack::<STACK_OF_ANSWER>();
            let given = self.answer(request);
            self.erase_stack();
            if is_end && given.is_ok() {
                drop(self);
                answered(given);
                return;
            }
            answered(given);
        }
    }

    /// Waits for the next request, and locks when it is time, be there a request or not; nothing at the end.
    fn next(&mut self, incoming: &Receiver<Call>) -> Option<Option<Call>> {
        let received = match self.rest() {
            None => incoming.recv().map(Some).map_err(|_| RecvTimeoutError::Disconnected),
            Some(rest) => incoming.recv_timeout(rest).map(Some),
        };
        let call = match received {
            Ok(call) => call,
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        if let (Held::All(_), Some(cause)) = (&self.held, self.watch.due(self.clock.uptime())) {
            self.lock(cause);
        }
        Some(call)
    }

    /// What the keys of before a lock have left behind, below the frame of whoever calls this.
    fn erase_stack(&self) {
        if let Held::HostKeys(_) = self.held {
            locked::erase_stack::<STACK_OF_ALL>();
        }
    }

    /// How long to wait at most; a locked custodian has nothing to look at.
    fn rest(&self) -> Option<Duration> {
        match self.held {
            Held::All(_) => self.watch.rest(self.clock.uptime()),
            Held::HostKeys(_) => None,
        }
    }

    fn answer(&mut self, request: Request) -> Result<Answer, CustodyError> {
        if !lock::is_hosts_own(&request) {
            self.watch.note_use(self.clock.uptime());
        }
        match (request, &mut self.held) {
            (Request::Lock, _) => {
                self.lock(LockCause::Asked);
                Ok(Answer::Done)
            }
            (Request::Unlock { with }, _) => self.unlock(&with).map(|()| Answer::Done),
            (Request::Destroy, _) => slot::destroy(&self.home).map(|()| Answer::Done),
            (Request::AutoLock { after }, Held::All(_)) => {
                self.watch.set(after);
                Ok(Answer::Done)
            }
            (request, Held::All(keyring)) => answer_to(keyring, request),
            (request, Held::HostKeys(keys)) => keys.answer(&self.home, &request),
        }
    }

    /// Forgets everything but the host's keys.
    fn lock(&mut self, cause: LockCause) {
        // First, so that whoever sees the keys locked is not told otherwise by the gate.
        self.state.set(true);
        match std::mem::replace(&mut self.held, Held::HostKeys(HostKeys::default())) {
            Held::All(keyring) => {
                self.held = Held::HostKeys(keyring.into_host_keys());
                self.state.tell(cause);
            }
            locked @ Held::HostKeys(_) => self.held = locked,
        }
    }

    fn unlock(&mut self, with: &Unlock) -> Result<(), CustodyError> {
        let root = slot::unlock(&self.home, with)?;
        if let Held::HostKeys(keys) = &mut self.held {
            let vaults = std::mem::take(keys).into_vaults();
            let keyring = Keyring::new(self.home.clone(), root, self.clock.clone()).with_vaults(vaults);
            self.held = Held::All(Box::new(keyring));
            self.watch.note_use(self.clock.uptime());
            self.state.set(false);
        }
        Ok(())
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
        // Answered before, whether the keys are locked or not.
        Request::Lock | Request::AutoLock { .. } | Request::Unlock { .. } | Request::Destroy => {
            Err(CustodyError::Answer)
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::KeyHandle;
    use super::super::testing::{empty_home, key, open_home};
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
        assert!(Arc::strong_count(&clock) > 1, "the keyring holds the clock, as it holds the root key");
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
