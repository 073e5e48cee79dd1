//! Why a capability call did not do what was asked.

use std::fmt;
use std::io;

use crate::bindings::kos::agent::types;

/// Why a capability call did not do what was asked.
///
/// The host tells an agent no more than this. The operator finds the whole cause in the log.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// The agent does not hold the permission for this call, no longer holds it, or a condition of it is not met now.
    /// It says nothing about whether the thing asked for exists. Asking again helps only where the grant has a condition
    /// on time or rate.
    Denied,
    /// An argument is malformed or too large; the text names it. The same call fails again.
    Invalid(String),
    /// The agent calls more often than the host allows. A later call may succeed.
    Limited,
    /// The host could not do it now, and nothing happened. A later call may succeed.
    Unavailable,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => formatter.write_str(
                "denied: no grant in force covers this call (declare the capability in agent.toml, have it granted, and \
                 ask `kos explain` which rule decided)",
            ),
            Self::Invalid(what) => write!(formatter, "invalid argument: {what}"),
            Self::Limited => formatter.write_str("limited: called more often than the host allows; try again later"),
            Self::Unavailable => {
                formatter.write_str("unavailable: the host cannot do this now and nothing happened; try again later")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Denied => Self::Denied,
            types::Error::Invalid(what) => Self::Invalid(what),
            types::Error::Limited => Self::Limited,
            types::Error::Unavailable => Self::Unavailable,
        }
    }
}

/// For the answer of a service.
impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied => Self::Denied,
            Error::Invalid(what) => Self::Invalid(what),
            Error::Limited => Self::Limited,
            Error::Unavailable => Self::Unavailable,
        }
    }
}

/// So that a capability can stand where the standard library expects a reader or writer. The error is kept inside.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Denied => io::ErrorKind::PermissionDenied,
            Error::Invalid(_) => io::ErrorKind::InvalidInput,
            Error::Limited | Error::Unavailable => io::ErrorKind::ResourceBusy,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_inside_an_io_error_can_be_had_back() {
        let error = io::Error::from(Error::Denied);
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()), Some(&Error::Denied));
    }

    #[test]
    fn the_text_of_an_invalid_argument_names_it() {
        assert_eq!(Error::Invalid("context".into()).to_string(), "invalid argument: context");
    }
}
