//! The value of a secret on its way in: from a prompt, a file or a descriptor.
//!
//! A password or token is a line, so one line end behind it is not part of it. Everything else is taken byte for byte.

use std::fs::File;
use std::io::{IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use kos_core::custody::Secret;
use kos_core::vault::{SECRET_MAX, SecretId, SecretType, VaultError};
use zeroize::Zeroizing;

use crate::failure::{Explain as _, Failure};
use crate::prompt;

/// How a line may end.
const LINE_END_MAX: usize = 2;

/// Where a value is read from. Without any of these it is asked for, twice, on the terminal.
#[derive(Debug, Args)]
#[command(next_help_heading = "The value")]
pub(super) struct ValueArguments {
    /// Read it from this file; `-` is standard input.
    #[arg(long, value_name = "FILE", group = "value")]
    from: Option<PathBuf>,
    /// Read it from this file descriptor.
    #[arg(long, value_name = "N", group = "value")]
    fd: Option<u32>,
}

impl ValueArguments {
    /// The value.
    pub(super) fn read(&self, id: &SecretId) -> Result<Secret, Failure> {
        let refused = || format!("cannot read the value of {id}");
        let bytes = match (&self.from, self.fd) {
            (Some(path), _) if path == Path::new("-") => {
                let input = std::io::stdin();
                if input.is_terminal() {
                    return Err(Failure::new("what is typed there would be shown")
                        .remedy("without --from it is asked for and not shown"));
                }
                read(input.lock()).doing(refused())?
            }
            (Some(path), _) => {
                let refused = || format!("{} from {}", refused(), path.display());
                read(File::open(path).doing(refused())?).doing(refused())?
            }
            (None, Some(fd)) => {
                read(File::open(format!("/dev/fd/{fd}")).doing(refused())?).doing(refused())?
            }
            (None, None) => return asked(id),
        };
        Ok(Secret::from(match id.kind {
            SecretType::Password | SecretType::Jwt => without_line_end(bytes),
            SecretType::ApiKey | SecretType::Certificate => bytes,
        }))
    }
}

fn asked(id: &SecretId) -> Result<Secret, Failure> {
    if id.kind == SecretType::Certificate {
        return Err(Failure::new("a certificate has several lines").remedy("--from FILE"));
    }
    if !prompt::is_possible() {
        return Err(Failure::new("there is no terminal to ask for the value on")
            .remedy("--from FILE, --from - for standard input, or --fd N"));
    }
    let typed = prompt::new_secret(&format!("Value of {id}"))?;
    Ok(Secret::new(typed.as_bytes().to_vec()))
}

/// Everything, in a buffer that never moves, so that no copy stays behind.
fn read(from: impl Read) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let most = SECRET_MAX + LINE_END_MAX;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    from.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.is_empty() || bytes.len() > most { Err(VaultError::Size.into()) } else { Ok(bytes) }
}

fn without_line_end(mut bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn value(id: &str, content: &[u8]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        std::fs::write(&path, content).unwrap();
        let arguments = ValueArguments { from: Some(path), fd: None };
        arguments.read(&id.parse().unwrap()).unwrap().expose().to_vec()
    }

    #[test]
    fn a_password_or_token_is_a_line_without_its_end_and_a_key_is_what_the_file_holds() {
        for id in ["password/db", "jwt/session"] {
            assert_eq!(value(id, b" open sesame \r\n"), b" open sesame ");
            assert_eq!(value(id, b"open sesame"), b"open sesame");
            assert_eq!(value(id, b"two\nlines\n"), b"two\nlines", "the vault refuses what is no line");
        }
        for id in ["api_key/weather", "certificate/site"] {
            assert_eq!(value(id, b"open sesame\n"), b"open sesame\n");
        }
    }

    #[test]
    fn an_endless_or_empty_value_is_refused() {
        assert!(read(std::io::repeat(1)).is_err());
        assert!(read(std::io::empty()).is_err());
        assert_eq!(read(&[7; SECRET_MAX][..]).unwrap().len(), SECRET_MAX);
    }
}
