#![expect(clippy::unwrap_used, reason = "a test that cannot set up its directory has failed")]

use super::*;

fn quota(bytes: u64, files: u64) -> (tempfile::TempDir, Quota) {
    let directory = tempfile::tempdir().unwrap();
    let quota = Quota::of(directory.path(), bytes, files).unwrap();
    (directory, quota)
}

#[test]
fn a_file_grows_only_within_the_quota() {
    let (_directory, mut quota) = quota(100, 10);
    let file = quota.opened(1, (0, 1), 0);
    assert_eq!(file.grow_to(100), Ok(()));
    assert_eq!(file.grow_to(40), Ok(()), "writing over what is there costs nothing");
    assert_eq!(file.grow_to(101), Err(Full));
    assert_eq!(file.append(1), Err(Full));
    file.shrink_to(10);
    assert_eq!(file.append(90), Ok(()));
    assert_eq!(file.grow_to(u64::MAX), Err(Full), "a sparse file costs what it claims to be");
}

#[test]
fn two_descriptors_of_one_file_share_its_size() {
    let (_directory, mut quota) = quota(100, 10);
    let one = quota.opened(1, (0, 1), 0);
    let other = quota.opened(2, (0, 1), 0);
    assert_eq!(one.grow_to(80), Ok(()));
    assert_eq!(other.grow_to(80), Ok(()));
    assert_eq!(quota.usage.bytes.load(Ordering::Relaxed), 80);
}

#[test]
fn a_file_is_open_until_its_last_descriptor_and_stream_are_gone() {
    let (_directory, mut quota) = quota(100, 10);
    let stream = quota.opened(1, (0, 1), 0);
    quota.descriptors.remove(&1);
    assert!(quota.is_open((0, 1)));
    drop(stream);
    assert!(!quota.is_open((0, 1)));
}

#[test]
fn an_emptied_directory_stays_and_holds_nothing() {
    let storage = tempfile::tempdir().unwrap();
    let directory = Directory::temporary(storage.path(), "0a").unwrap();
    fs::create_dir(directory.path().join("sub")).unwrap();
    fs::write(directory.path().join("sub/file"), [0; 7]).unwrap();
    fs::write(directory.path().join("file"), [0; 7]).unwrap();
    std::os::unix::fs::symlink(storage.path(), directory.path().join("link")).unwrap();
    directory.empty().unwrap();
    assert_eq!(measure(directory.path()).unwrap(), (0, 0));
    assert!(storage.path().is_dir());
}

#[test]
fn files_are_counted_too() {
    let (_directory, quota) = quota(100, 1);
    assert_eq!(quota.usage.take_file(), Ok(()));
    assert_eq!(quota.usage.take_file(), Err(Full));
    quota.usage.give_back_file();
    assert_eq!(quota.usage.take_file(), Ok(()));
}

#[test]
fn what_is_there_already_counts() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("sub")).unwrap();
    fs::write(directory.path().join("sub/file"), [0; 70]).unwrap();
    let mut quota = Quota::of(directory.path(), 100, 2).unwrap();
    assert_eq!(quota.usage.take_file(), Err(Full));
    assert_eq!(quota.opened(1, (0, 1), 0).append(31), Err(Full));
}

#[test]
fn a_persistent_directory_is_for_one_run_at_a_time() {
    let storage = tempfile::tempdir().unwrap();
    let first = Directory::persistent(storage.path(), "agent").unwrap();
    assert!(matches!(Directory::persistent(storage.path(), "agent"), Err(StorageError::Busy)));
    fs::write(first.path().join("kept"), "x").unwrap();
    drop(first);
    let second = Directory::persistent(storage.path(), "agent").unwrap();
    assert!(second.path().join("kept").exists());
}

#[test]
fn a_temporary_directory_goes_with_its_run() {
    let storage = tempfile::tempdir().unwrap();
    let directory = Directory::temporary(storage.path(), "1").unwrap();
    let path = directory.path().to_owned();
    fs::write(path.join("scratch"), "x").unwrap();
    drop(directory);
    assert!(!path.exists());
}
