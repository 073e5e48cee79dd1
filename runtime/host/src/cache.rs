//! Compiled components, kept on disk between launches.
//!
//! An artifact is machine code: whoever can change one runs code in the host. So each file carries a MAC under a key that only
//! custody has, over the artifact and over what it was made from and for. A file is read once, and the very bytes that were
//! authenticated are the bytes that are loaded.
//!
//! In scope: the file format, its authentication, loading. Out of scope: making artifacts (`compile`).
//!
//! Keeps I1: an altered, foreign or outdated file is never loaded; it is compiled again, and the fact is reported.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::PathBuf;

use kos_core::durable::{self, DurableError};
use kos_core::id::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::compile::ARTIFACT_BYTES;

/// First bytes of every artifact file; the digit is the version of this format.
const MAGIC: &[u8; 16] = b"kos artifact 1\n\0";

/// Bytes of the MAC, which follows the magic.
const MAC_BYTES: usize = 32;

/// Largest file that is read: the artifact, and a header that fits a page.
const FILE_BYTES: u64 = ARTIFACT_BYTES + 4096;

/// What an artifact file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cached {
    /// It was loaded.
    Loaded,
    /// There was none.
    Absent,
    /// Its MAC is wrong, or it is no artifact file at all: someone else wrote it, or a disk lost it.
    Altered,
    /// It is ours, but for another engine, processor or component.
    Foreign,
}

impl Cached {
    /// Its name in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Loaded => "cached",
            Self::Absent => "compiled",
            Self::Altered => "altered",
            Self::Foreign => "foreign",
        }
    }
}

/// Why the cache could not do its work. Each means only that compiling is needed again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    #[error("the keys are not available")]
    Keys,
    #[error(transparent)]
    Durable(#[from] DurableError),
}

/// Computes the MAC of a message under custody's artifact key.
pub(crate) type Mac<'a> = &'a dyn Fn(&[u8]) -> Result<[u8; MAC_BYTES], CacheError>;

/// The artifacts of one home, for one engine on this processor.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    engine: Engine,
    platform: String,
    platform_hash: u64,
}

impl Cache {
    pub(crate) fn new(directory: PathBuf, engine: Engine) -> Self {
        let platform = platform(&engine);
        let platform_hash = hash_of(&platform);
        Self { directory, engine, platform, platform_hash }
    }

    /// The component from its artifact, if there is one that can be trusted.
    pub(crate) fn load(&self, digest: &Digest, mac: Mac<'_>) -> (Cached, Option<Component>) {
        let Ok(file) = durable::read_capped(&self.path(digest), FILE_BYTES) else {
            return (Cached::Absent, None);
        };
        let Some(parts) = Parts::of(&file) else {
            return (Cached::Altered, None);
        };
        match mac(&message(parts.binding, parts.artifact)) {
            // `blake3::Hash` compares in constant time.
            Ok(expected) if blake3::Hash::from_bytes(expected) == blake3::Hash::from_bytes(*parts.mac) => {}
            Ok(_) => return (Cached::Altered, None),
            Err(_) => return (Cached::Absent, None),
        }
        if parts.binding != self.binding(digest) {
            return (Cached::Foreign, None);
        }
        match self.component(parts.artifact) {
            Ok(component) => (Cached::Loaded, Some(component)),
            Err(_) => (Cached::Foreign, None),
        }
    }

    /// Keeps an artifact that the compiler just made.
    pub(crate) fn store(&self, digest: &Digest, artifact: &[u8], mac: Mac<'_>) -> Result<(), CacheError> {
        let binding = self.binding(digest);
        let tag = mac(&message(&binding, artifact))?;
        let length = u32::try_from(binding.len()).unwrap_or(u32::MAX).to_le_bytes();
        let file = [MAGIC.as_slice(), &tag, &length, &binding, artifact].concat();
        Ok(durable::replace(&self.path(digest), &file)?)
    }

    /// The component from an artifact that the compiler just made, or that was authenticated.
    #[expect(
        unsafe_code,
        reason = "loading machine code cannot be checked by the compiler; every caller has the artifact from our own compiling \
                  child or has verified its MAC, over these very bytes"
    )]
    pub(crate) fn component(&self, artifact: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: `artifact` is what `precompile_component` of this version of wasmtime gave: it came over the pipe from our
        // child, or a MAC under custody's key says that it did. Nobody else can have made it.
        unsafe { Component::deserialize(&self.engine, artifact) }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{}-{:016x}.artifact", digest.to_hex(), self.platform_hash))
    }

    /// What the MAC ties an artifact to.
    fn binding(&self, digest: &Digest) -> Vec<u8> {
        [digest.as_bytes().as_slice(), self.platform.as_bytes()].concat()
    }

    #[cfg(test)]
    pub(crate) fn file_of(&self, digest: &Digest) -> PathBuf {
        self.path(digest)
    }
}

/// The parts of an artifact file, before anything is known about them.
struct Parts<'a> {
    mac: &'a [u8; MAC_BYTES],
    binding: &'a [u8],
    artifact: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(file: &'a [u8]) -> Option<Self> {
        let (mac, rest) = file.strip_prefix(MAGIC)?.split_first_chunk::<MAC_BYTES>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (binding, artifact) = rest.split_at_checked(length)?;
        Some(Self { mac, binding, artifact })
    }
}

/// What is authenticated: the hash of the artifact, so that custody need not be handed megabytes, then the binding.
fn message(binding: &[u8], artifact: &[u8]) -> Vec<u8> {
    [blake3::hash(artifact).as_bytes().as_slice(), binding].concat()
}

/// Engine settings and version (wasmtime's hash has both), target, and processor features. wasmtime checks most of it when it loads; it does not check the
/// vector extension of riscv64.
fn platform(engine: &Engine) -> String {
    format!(
        "\nengine {:016x}\ntarget {}-{}\nprocessor {}\n",
        hash_of(&engine.precompile_compatibility_hash()),
        std::env::consts::ARCH,
        std::env::consts::OS,
        processor(),
    )
}

fn hash_of(value: &impl std::hash::Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

/// The instruction sets that generated code may use here.
fn processor() -> String {
    let (first, second) = rustix::param::linux_hwcap();
    format!("{first:x}.{second:x}.{}", extensions())
}

/// On x86-64 the kernel's capability words leave out what Cranelift asks the processor itself.
#[cfg(target_arch = "x86_64")]
fn extensions() -> String {
    macro_rules! detected {
        ($($name:tt)*) => { [$(if std::is_x86_feature_detected!($name) { $name } else { "-" }),*].join(",") };
    }
    detected!("sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "bmi1" "bmi2" "lzcnt" "avx512bitalg"
        "avx512dq" "avx512f" "avx512vl" "avx512vbmi" "cmpxchg16b")
}

#[cfg(not(target_arch = "x86_64"))]
fn extensions() -> String {
    String::new()
}

#[cfg(test)]
mod tests;
