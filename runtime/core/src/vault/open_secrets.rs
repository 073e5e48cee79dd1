//! Secrets that stay open between uses.
//!
//! In scope: how many, and until when. Out of scope: who opens them ([`crate::custody`]), and the memory that they lie in
//! ([`crate::custody::locked`]).

use std::collections::HashMap;

use zeroize::Zeroizing;

use super::secret::SecretId;
use crate::custody::locked::LockedBytes;
use crate::id::Name;

/// Enough for the secrets that one host's agents use again and again; each may have 64 KiB.
const OPEN_MAX: usize = 256;

/// Secrets that were opened and stay so until they change, end, or make room for others.
#[derive(Default)]
pub(crate) struct OpenSecrets {
    open: HashMap<(Name, SecretId), OpenSecret>,
    uses: u64,
}

struct OpenSecret {
    /// The number of the vault's state that wrote it.
    generation: u64,
    /// When it was used last, counted in uses.
    used: u64,
    secret: LockedBytes,
}

impl OpenSecrets {
    /// The secret as the state `generation` wrote it, opened now by `open` if it is not.
    pub(crate) fn opened<E>(
        &mut self,
        environment: &Name,
        id: &SecretId,
        generation: u64,
        open: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<&[u8], E> {
        self.uses += 1;
        let key = (environment.clone(), id.clone());
        if self.open.get(&key).is_none_or(|secret| secret.generation != generation) {
            self.open.remove(&key);
            let secret = LockedBytes::copied(&open()?);
            self.make_room();
            self.open.insert(key.clone(), OpenSecret { generation, used: 0, secret });
        }
        Ok(self.open.get_mut(&key).map_or(&[], |open| {
            open.used = self.uses;
            open.secret.expose()
        }))
    }

    /// Erases one secret, if it is open.
    pub(crate) fn close(&mut self, environment: &Name, id: &SecretId) {
        self.open.remove(&(environment.clone(), id.clone()));
    }

    /// Erases the secrets of an environment, but those that it still holds as they were written.
    pub(crate) fn keep(&mut self, environment: &Name, is_held: impl Fn(&SecretId, u64) -> bool) {
        self.open.retain(|(of, id), secret| of != environment || is_held(id, secret.generation));
    }

    fn make_room(&mut self) {
        if self.open.len() >= OPEN_MAX {
            let oldest = self.open.iter().min_by_key(|(_, secret)| secret.used).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.open.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn id(number: usize) -> SecretId {
        format!("api_key/k{number}").parse().unwrap()
    }

    fn opened(secrets: &mut OpenSecrets, number: usize, generation: u64) -> bool {
        let mut was_opened = false;
        let environment = "default".parse().unwrap();
        let open = || {
            was_opened = true;
            Ok::<_, ()>(Zeroizing::new(vec![7]))
        };
        assert_eq!(secrets.opened(&environment, &id(number), generation, open).unwrap(), [7]);
        was_opened
    }

    #[test]
    fn a_secret_is_opened_once_until_it_changes() {
        let mut secrets = OpenSecrets::default();
        assert!(opened(&mut secrets, 1, 5));
        assert!(!opened(&mut secrets, 1, 5));
        assert!(opened(&mut secrets, 1, 6));
        secrets.keep(&"other".parse().unwrap(), |_, _| false);
        assert!(!opened(&mut secrets, 1, 6));
        secrets.keep(&"default".parse().unwrap(), |_, generation| generation != 6);
        assert!(opened(&mut secrets, 1, 6));
        secrets.close(&"default".parse().unwrap(), &id(1));
        assert!(opened(&mut secrets, 1, 6));
    }

    #[test]
    fn no_more_stay_open_than_are_allowed_and_the_longest_unused_goes_first() {
        let mut secrets = OpenSecrets::default();
        for number in 0..OPEN_MAX {
            assert!(opened(&mut secrets, number, 1));
        }
        assert!(!opened(&mut secrets, 0, 1));
        assert!(opened(&mut secrets, OPEN_MAX, 1));
        assert_eq!(secrets.open.len(), OPEN_MAX);
        assert!(!opened(&mut secrets, 0, 1));
        assert!(opened(&mut secrets, 1, 1));
    }
}
