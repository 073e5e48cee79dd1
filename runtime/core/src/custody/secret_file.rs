//! Secrets that lie in files or come through descriptors: key files, and what a service manager hands over.
//!
//! In scope: whose file it is, its mode, its size. Out of scope: what the bytes unlock ([`super::slot`]).

use std::fs::{File, OpenOptions};
use std::io::{Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::error::CustodyError;
use crate::crypto;
use crate::durable;

/// A key file is a key, not a text to be hashed into one.
const KEY_FILE_BYTES: usize = 32;
/// 256 bits; less could be guessed, as nothing slows the guessing of such a secret.
pub(super) const SECRET_MIN: usize = 32;
/// A secret longer than this is no secret but a file given by mistake.
pub(super) const SECRET_MAX: usize = 4096;
/// The bits that would let others read or change it.
const OTHERS: u32 = 0o077;

/// The kind of secret, in the words of an error.
pub(super) const KEY_FILE: &str = "key file";

/// Reads a key file, which must be a regular file of 32 bytes, our own, and closed to everybody else.
pub(super) fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
    let failed = |action| move |error: std::io::Error| unusable(path, &format!("cannot {action}: {error}"));
    // A FIFO in its place must not make us wait for a writer.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(failed("open it"))?;
    let metadata = file.metadata().map_err(failed("look at it"))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if !metadata.is_file() {
        return Err(unusable(path, "it is not a regular file"));
    }
    if mode & OTHERS != 0 {
        return Err(unusable(path, &format!("its mode is {mode:03o}; it must be 0600 or 0400")));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(unusable(path, &format!("it belongs to user {}, not to you", metadata.uid())));
    }
    let secret = read_secret(file).map_err(failed("read it"))?;
    if secret.len() != KEY_FILE_BYTES {
        return Err(unusable(path, &format!("it has not exactly {KEY_FILE_BYTES} bytes")));
    }
    Ok(secret)
}

/// Reads a key file, made now of random bytes if there is none.
pub(super) fn read_or_create_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match created {
        Ok(mut file) => {
            let secret = Zeroizing::new(crypto::random::<KEY_FILE_BYTES>()?);
            file.write_all(secret.as_ref())
                .and_then(|()| file.sync_all())
                .map_err(|error| unusable(path, &format!("cannot write it: {error}")))?;
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            durable::sync_directory(directory.unwrap_or(Path::new(".")))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unusable(path, &format!("cannot create it: {error}"))),
    }
    read_key_file(path)
}

/// Reads a secret from a descriptor or a credential's file, to its end.
///
/// # Errors
/// The reader's, and [`std::io::ErrorKind::FileTooLarge`] for more than 4,096 bytes.
pub fn read_secret(reader: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // One byte more than is accepted, in a buffer that never moves.
    let mut buffer = Zeroizing::new(Vec::with_capacity(SECRET_MAX + 1));
    reader.take(SECRET_MAX as u64 + 1).read_to_end(&mut buffer)?;
    if buffer.len() > SECRET_MAX {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    Ok(buffer)
}

/// Reads the secret that a service manager passed as a credential: the file `kos-root` of its directory.
///
/// # Errors
/// Those of the file system, and of [`read_secret`].
pub fn read_credential(directory: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    read_secret(File::open(directory.join("kos-root"))?)
}

fn unusable(path: &Path, cause: &str) -> CustodyError {
    CustodyError::UnusableSecret { kind: format!("{KEY_FILE} {}", path.display()), cause: cause.to_owned() }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn a_key_file_is_made_once_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        let made = read_or_create_key_file(&path).unwrap();
        assert_eq!(*read_or_create_key_file(&path).unwrap(), *made);
        assert_eq!(made.len(), 32);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        assert_eq!(*read_key_file(&path).unwrap(), *made);
    }

    #[test]
    fn a_key_file_that_others_could_read_or_change_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        read_or_create_key_file(&path).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o644, 0o601, 0o777] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read_key_file(&path).unwrap_err();
            assert!(error.to_string().contains(&format!("{mode:03o}")), "{error}");
        }
    }

    #[test]
    fn a_key_file_of_another_size_or_kind_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for size in [0, 1, 31, 33, 64, 5_000] {
            let path = folder.path().join(format!("{size}.key"));
            durable::replace(&path, &vec![7; size]).unwrap();
            assert!(matches!(read_key_file(&path), Err(CustodyError::UnusableSecret { .. })), "{size}");
        }
        assert!(read_key_file(folder.path()).is_err(), "a directory");
        assert!(read_key_file(&folder.path().join("none")).is_err(), "nothing");
        assert!(read_key_file(Path::new("/dev/zero")).is_err(), "an endless device");
    }

    #[test]
    fn a_secret_from_a_descriptor_is_capped() {
        assert_eq!(read_secret(&[7; 4096][..]).unwrap().len(), 4096);
        assert!(read_secret(&[7; 4097][..]).is_err());
        assert!(read_secret(std::io::repeat(0)).is_err());
    }
}
