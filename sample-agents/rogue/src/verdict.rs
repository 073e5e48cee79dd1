//! How an attack ended, seen from inside.

use std::fmt;
use std::io;

use kos_sdk::Error;

/// How an attack ended, where the agent lived to tell.
pub(crate) enum Verdict {
    /// The host said no.
    Denied,
    /// The host found an argument malformed.
    Invalid,
    /// The host said: not so fast.
    Limited,
    /// Nothing to be refused, and nothing gained.
    Ok,
    /// The attack worked, or the host did not stop it.
    Succeeded(String),
    /// The host answered something that it should not have.
    Unexpected(String),
}

impl Verdict {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Limited => "limited",
            Self::Ok => "ok",
            Self::Succeeded(_) => "succeeded",
            Self::Unexpected(_) => "unexpected",
        }
    }

    /// The one answer to several calls; that they differ is unexpected.
    pub(crate) fn agreed(verdicts: impl IntoIterator<Item = Self>) -> Self {
        let differ = |first: Self, next: Self| {
            if first.name() == next.name() { Ok(first) } else { Err(format!("{first}, then {next}")) }
        };
        let mut verdicts = verdicts.into_iter();
        let Some(first) = verdicts.next() else { return Self::Unexpected("nothing was tried".to_owned()) };
        verdicts.try_fold(first, differ).unwrap_or_else(Self::Unexpected)
    }

    /// A refusal by the operating system that the standard library believes to be on. That something is absent is no
    /// refusal: it would mean that the host had looked.
    pub(crate) fn of_io<T>(result: io::Result<T>) -> Self {
        match result {
            Ok(_) => Self::Succeeded("the host let it happen".to_owned()),
            Err(error) => match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported => Self::Denied,
                _ => Self::Unexpected(error.to_string()),
            },
        }
    }

    /// For a file: without a directory to start from, the standard library itself refuses, with an error of no kind or
    /// "not found".
    pub(crate) fn of_file<T>(result: io::Result<T>) -> Self {
        match result {
            Ok(_) => Self::Succeeded("there is a file system".to_owned()),
            Err(_) => Self::Denied,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded(what) | Self::Unexpected(what) => write!(formatter, "{}: {what}", self.name()),
            _ => formatter.write_str(self.name()),
        }
    }
}

/// A capability call that should have been refused.
impl<T> From<Result<T, Error>> for Verdict {
    fn from(result: Result<T, Error>) -> Self {
        match result {
            Ok(_) => Self::Succeeded("the call was allowed".to_owned()),
            Err(Error::Denied) => Self::Denied,
            Err(Error::Invalid(_)) => Self::Invalid,
            Err(Error::Limited) => Self::Limited,
            Err(error) => Self::Unexpected(error.to_string()),
        }
    }
}
