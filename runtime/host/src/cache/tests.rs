#![expect(clippy::unwrap_used, reason = "a test that cannot set up its cache has failed")]

use std::sync::atomic::AtomicBool;

use std::fs;

use super::*;
use crate::compile::Compiler;
use crate::engine::{self, Capacity};

fn keyed(key: u8) -> impl Fn(&[u8]) -> Result<[u8; 32], CacheError> {
    move |message| Ok(*blake3::keyed_hash(&[key; 32], message).as_bytes())
}

struct Fixture {
    cache: Cache,
    digest: Digest,
    _directory: tempfile::TempDir,
}

impl Fixture {
    fn with_stored_artifact() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let engine = engine::for_running(Capacity::ONE).unwrap();
        let cache = Cache::new(directory.path().into(), engine);
        let component = wat::parse_str("(component)").unwrap();
        let digest = Digest::of(&component);
        let artifact = Compiler::Here.compile(&component, None, &AtomicBool::new(false)).unwrap();
        cache.store(&digest, &artifact, &keyed(1)).unwrap();
        Self { cache, digest, _directory: directory }
    }

    fn load(&self) -> Cached {
        let (cached, component) = self.cache.load(&self.digest, &keyed(1));
        assert_eq!(component.is_some(), cached == Cached::Loaded);
        cached
    }
}

#[test]
fn what_was_stored_is_loaded() {
    assert_eq!(Fixture::with_stored_artifact().load(), Cached::Loaded);
}

#[test]
fn an_absent_artifact_is_absent() {
    let fixture = Fixture::with_stored_artifact();
    fs::remove_file(fixture.cache.file_of(&fixture.digest)).unwrap();
    assert_eq!(fixture.load(), Cached::Absent);
}

#[test]
fn every_altered_byte_is_seen() {
    let fixture = Fixture::with_stored_artifact();
    let path = fixture.cache.file_of(&fixture.digest);
    let file = fs::read(&path).unwrap();
    for at in (0..400).chain((400..file.len()).step_by(97)) {
        let mut altered = file.clone();
        *altered.get_mut(at).unwrap() ^= 1;
        fs::write(&path, &altered).unwrap();
        assert_eq!(fixture.load(), Cached::Altered, "byte {at}");
    }
}

#[test]
fn a_truncated_or_extended_artifact_is_altered() {
    let fixture = Fixture::with_stored_artifact();
    let path = fixture.cache.file_of(&fixture.digest);
    let file = fs::read(&path).unwrap();
    for length in [0, 1, 16, 47, 48, 51, 52, 90, file.len() - 1] {
        fs::write(&path, file.get(..length).unwrap()).unwrap();
        assert_eq!(fixture.load(), Cached::Altered, "length {length}");
    }
    fs::write(&path, [file.as_slice(), b"x"].concat()).unwrap();
    assert_eq!(fixture.load(), Cached::Altered);
}

#[test]
fn an_artifact_under_another_key_is_altered() {
    let fixture = Fixture::with_stored_artifact();
    assert_eq!(fixture.cache.load(&fixture.digest, &keyed(2)).0, Cached::Altered);
}

#[test]
fn an_artifact_of_another_component_is_foreign() {
    let fixture = Fixture::with_stored_artifact();
    let other = Digest::of(b"another component");
    fs::copy(fixture.cache.file_of(&fixture.digest), fixture.cache.file_of(&other)).unwrap();
    assert_eq!(fixture.cache.load(&other, &keyed(1)).0, Cached::Foreign);
}

#[test]
fn an_artifact_for_another_processor_is_foreign() {
    let mut fixture = Fixture::with_stored_artifact();
    fixture.cache.platform.push_str("and a vector unit\n");
    assert_eq!(fixture.load(), Cached::Foreign);
}
