//! The journal's bytes: what is durable before it is in tiles.
//!
//! ```text
//! journal = header batch* zeroes
//! header  = "kos-journal/1\n" length:u32 json signature:64
//! batch   = salt:16 first:u64 synced:u64 count:u32 length:u32 check:16 body
//! body    = (length:u16 entry)*
//! ```
//!
//! The header makes the journal sufficient by itself: it holds the edge of the tree at its base, a multiple of 256, and the
//! open runs, the states of the vaults and an engagement of the kill switch there, signed by the host. A batch is written by one call and counts whole or not at all. `synced` is the offset before which its
//! writer knew all to be durable: a bad batch is a torn write unless a later good batch says that it had been durable.
//! Keeps I8. In scope: encoding and scanning. Out of scope: files ([`super::writer`]).

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::entry::EntryError;
use super::in_memory;
use super::noted_vaults::NotedVault;
use super::open_runs::OpenRun;
use super::tile::{self, Edge, WIDTH};
use super::tree::Hash;
use crate::canonical::{self, base64_decode, base64_encode};
use crate::clock::Timestamp;
use crate::crypto::{Signer, pae};
use crate::id::Did;

const MAGIC: &[u8] = b"kos-journal/1\n";

/// The payload type under which a header is signed.
const HEADER_TYPE: &str = "application/vnd.kos.journal.v1+json";

/// Random bytes of one journal, which begin each of its batches.
pub type Salt = [u8; 16];

/// Bytes of a batch before its body.
pub const BATCH_HEADER: usize = 56;

/// The longest header: the open runs of 100,000 agents.
const MAX_HEADER: usize = 32 * 1024 * 1024;

/// The longest journal that is read. The writer moves entries into tiles long before; a journal grows beyond that only
/// while tiles cannot be written, and then appends are refused at half of this.
pub const MAX_JOURNAL: u64 = 512 * 1024 * 1024;

/// Why journal bytes cannot be relied on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {flaw}")]
pub struct JournalError {
    /// Where the flaw begins.
    pub offset: u64,
    /// What is wrong there.
    pub flaw: &'static str,
}

/// The state of the log at the journal's base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name of the log.
    pub origin: String,
    /// The tree at the base; its size is the index of the first entry in this journal.
    pub edge: Edge,
    /// Time of the last entry before the base.
    pub last_timestamp: Timestamp,
    /// Runs open at the base.
    pub open_runs: Vec<OpenRun>,
    /// The state of each vault at the base, in the order of their names.
    pub noted_vaults: Vec<NotedVault>,
    /// The newest entry before the base by which everything was stopped, unless it was released.
    pub engaged: Option<u64>,
    /// What begins each batch.
    pub salt: Salt,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawHeader {
    base: u64,
    edge: Vec<String>,
    /// Not written when nothing is stopped, as by journals from before there was a kill switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    engaged: Option<u64>,
    last_timestamp: Timestamp,
    /// Not written when empty, as by journals from before there were vaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    noted_vaults: Vec<NotedVault>,
    open_runs: Vec<OpenRun>,
    origin: String,
    #[serde(with = "canonical::base64_bytes")]
    salt: Salt,
}

impl Header {
    /// Index of the first entry in this journal.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.edge.size()
    }

    /// The header as bytes, signed.
    ///
    /// # Errors
    /// [`EntryError::Form`] cannot happen for a header that was read or made by the writer; [`EntryError::Sign`].
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, EntryError> {
        let raw = RawHeader {
            base: self.base(),
            edge: self.edge.levels().iter().map(|hashes| base64_encode(&hashes.concat())).collect(),
            engaged: self.engaged,
            last_timestamp: self.last_timestamp,
            noted_vaults: self.noted_vaults.clone(),
            open_runs: self.open_runs.clone(),
            origin: self.origin.clone(),
            salt: self.salt,
        };
        let json = canonical::to_canonical(&raw)?;
        let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&json);
        bytes.extend_from_slice(&signer.sign(&pae(HEADER_TYPE, &json))?);
        Ok(bytes)
    }

    /// Reads a header that `host` signed; also gives its length.
    ///
    /// # Errors
    /// [`JournalError`] for anything that [`Header::sign`] does not write for this host.
    pub fn open(bytes: &[u8], host: &Did) -> Result<(Self, u64), JournalError> {
        let (json, signature) = split(bytes)?;
        if !host.verify(&pae(HEADER_TYPE, json), signature) {
            return Err(JournalError { offset: 0, flaw: "the header is not signed by this host" });
        }
        Self::read_unverified(bytes)
    }

    /// Reads a header, whoever signed it: to show, never to rely on.
    ///
    /// # Errors
    /// [`JournalError`] for a malformed header.
    pub fn read_unverified(bytes: &[u8]) -> Result<(Self, u64), JournalError> {
        let error = |flaw| JournalError { offset: 0, flaw };
        let (json, _) = split(bytes)?;
        let raw: RawHeader =
            canonical::from_canonical(json, MAX_HEADER).map_err(|_| error("the header is malformed"))?;
        let levels: Option<Vec<Vec<Hash>>> = raw.edge.iter().map(|text| hashes(text)).collect();
        let edge = levels.and_then(|levels| Edge::from_parts(raw.base, levels));
        let edge = edge
            .filter(|edge| edge.size().is_multiple_of(WIDTH))
            .ok_or_else(|| error("the tree in the header is malformed"))?;
        let header = Self {
            origin: raw.origin,
            edge,
            last_timestamp: raw.last_timestamp,
            open_runs: raw.open_runs,
            noted_vaults: raw.noted_vaults,
            engaged: raw.engaged,
            salt: raw.salt,
        };
        Ok((header, (MAGIC.len() + 4 + json.len() + 64) as u64))
    }
}

/// The JSON of a header and its signature.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8; 64]), JournalError> {
    let error = |flaw| JournalError { offset: 0, flaw };
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| error("not a journal of this version"))?;
    let cut = || error("the header is cut off");
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
    let (json, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(cut)?;
    let (signature, _) = rest.split_first_chunk::<64>().ok_or_else(cut)?;
    Ok((json, signature))
}

fn hashes(text: &str) -> Option<Vec<Hash>> {
    let bytes = base64_decode(text).ok()?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.to_vec())
}

/// Appends to `bytes` the batch of the entries whose bundle bytes are `body`.
pub fn push_batch(bytes: &mut Vec<u8>, salt: &Salt, first: u64, synced: u64, body: &[u8]) {
    let start = bytes.len();
    bytes.extend_from_slice(salt);
    bytes.extend_from_slice(&first.to_be_bytes());
    bytes.extend_from_slice(&synced.to_be_bytes());
    let count = tile::entries(body).count();
    bytes.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    let check = check(bytes.get(start..).unwrap_or_default(), body);
    bytes.extend_from_slice(&check);
    bytes.extend_from_slice(body);
}

fn check(header: &[u8], body: &[u8]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(b"kos-journal-batch");
    hasher.update(header);
    hasher.update(body);
    let hash: Hash = hasher.finalize().into();
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = hash;
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// A batch that was found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Offset of the batch in the journal.
    pub start: u64,
    /// Offset behind it.
    pub end: u64,
    /// Index of its first entry.
    pub first: u64,
    /// Offset before which its writer knew all to be durable.
    pub synced: u64,
    /// Its entries, as in a bundle.
    pub body: &'a [u8],
}

/// What was found from some offset of a journal to its end.
#[derive(Debug)]
pub struct Scan<'a> {
    /// The batches, in order.
    pub batches: Vec<Batch<'a>>,
    /// Offset behind the last batch.
    pub end: u64,
    /// Whether anything but zeroes follows: the remains of a torn write.
    pub torn: bool,
}

/// Finds the batches in `bytes`, which begin at `offset` of the journal; the first one is to hold entry `next`.
///
/// # Errors
/// [`JournalError`] where a batch is bad that, by the word of a later one, had been durable.
pub fn scan<'a>(bytes: &'a [u8], offset: u64, salt: &Salt, mut next: u64) -> Result<Scan<'a>, JournalError> {
    let mut batches = Vec::new();
    let mut rest = bytes;
    let mut end = offset;
    while let Some(batch) =
        batch_at(rest, end, salt).filter(|batch| batch.first == next && batch.synced <= end)
    {
        next += tile::entries(batch.body).count() as u64;
        rest = rest.get(in_memory(batch.end - end)..).unwrap_or_default();
        end = batch.end;
        batches.push(batch);
    }
    let torn = rest.iter().any(|byte| *byte != 0);
    if torn && later_batches(rest, end, salt).any(|later| later.synced > end) {
        return Err(JournalError { offset: end, flaw: "a batch is damaged that had been durable" });
    }
    Ok(Scan { batches, end, torn })
}

fn later_batches<'a>(rest: &'a [u8], end: u64, salt: &'a Salt) -> impl Iterator<Item = Batch<'a>> {
    let starts = rest.windows(salt.len()).enumerate().skip(1).filter(move |(_, window)| window == salt);
    starts.filter_map(move |(start, _)| batch_at(rest.get(start..)?, end + start as u64, salt))
}

fn batch_at<'a>(bytes: &'a [u8], start: u64, salt: &Salt) -> Option<Batch<'a>> {
    let (header, rest) = bytes.split_at_checked(BATCH_HEADER - 16)?;
    let (found, numbers) = header.split_first_chunk::<16>()?;
    if found != salt {
        return None;
    }
    let (first, numbers) = numbers.split_first_chunk::<8>()?;
    let (synced, numbers) = numbers.split_first_chunk::<8>()?;
    let (count, numbers) = numbers.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(numbers.try_into().ok()?) as usize;
    let (expected, rest) = rest.split_first_chunk::<16>()?;
    let (body, _) = rest.split_at_checked(length)?;
    if check(header, body) != *expected {
        return None;
    }
    let mut entries = 0_u32;
    for entry in tile::entries(body) {
        entry?;
        entries += 1;
    }
    (entries == u32::from_be_bytes(*count) && entries > 0).then_some(Batch {
        start,
        end: start + (BATCH_HEADER + length) as u64,
        first: u64::from_be_bytes(*first),
        synced: u64::from_be_bytes(*synced),
        body,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::tree::leaf_hash;
    use super::*;
    use crate::crypto::SecretKey;

    const SALT: Salt = [9; 16];

    fn journal() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        for number in 0..3_u64 {
            starts.push(bytes.len());
            let mut body = Vec::new();
            for entry in 0..2 {
                assert!(tile::push_entry(&mut body, format!("entry {number} {entry}").as_bytes()));
            }
            let synced = bytes.len() as u64;
            push_batch(&mut bytes, &SALT, 10 + number * 2, synced, &body);
        }
        starts.push(bytes.len());
        (bytes, starts)
    }

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        let mut edge = Edge::default();
        for index in 0..512_u64 {
            edge.push(leaf_hash(&index.to_be_bytes()), |_| {});
        }
        let header = Header {
            origin: "example.com/log".to_owned(),
            edge,
            last_timestamp: Timestamp::from_millis(7),
            open_runs: vec![OpenRun { run: "r".into(), host: "h".into(), agent: "a".into(), index: 3 }],
            noted_vaults: vec![NotedVault {
                environment: "default".parse().unwrap(),
                generation: 2,
                digest: crate::id::Digest::of(b"vault"),
            }],
            engaged: Some(4),
            salt: SALT,
        };
        let host = SecretKey::from_seed(&[1; 32]);
        let mut bytes = header.sign(&host).unwrap();
        let length = bytes.len() as u64;
        bytes.extend_from_slice(&[0; 8]);
        assert_eq!(Header::open(&bytes, &host.did()).unwrap(), (header, length));
        assert!(Header::open(&bytes, &SecretKey::from_seed(&[2; 32]).did()).is_err());
        for place in 0..in_memory(length) {
            let mut altered = bytes.clone();
            altered[place] ^= 1;
            assert!(Header::open(&altered, &host.did()).is_err(), "byte {place}");
            assert!(Header::open(&bytes[..place], &host.did()).is_err());
        }
    }

    #[test]
    fn a_journal_cut_anywhere_keeps_its_whole_batches() {
        let (bytes, starts) = journal();
        for cut in 0..=bytes.len() {
            let scan = scan(&bytes[..cut], 0, &SALT, 10).unwrap();
            let whole = starts.iter().filter(|start| **start <= cut).count() - 1;
            assert_eq!((scan.batches.len(), scan.end), (whole, starts[whole] as u64));
            assert_eq!(scan.torn, cut > starts[whole]);
        }
    }

    #[test]
    fn a_damaged_batch_is_torn_at_the_end_and_damage_before_it() {
        let (bytes, starts) = journal();
        for place in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[place] ^= 1;
            let scan = scan(&altered, 0, &SALT, 10);
            // Batch 2 knows batches 0 and 1 to be durable, batch 1 knows batch 0.
            if place < starts[2] {
                let batch = starts.iter().rfind(|start| **start <= place).unwrap();
                assert_eq!(scan.unwrap_err().offset, *batch as u64);
            } else {
                assert_eq!(scan.unwrap().batches.len(), 2);
            }
        }
    }

    #[test]
    fn a_bad_batch_whose_successor_did_not_know_it_durable_is_torn() {
        let mut bytes = Vec::new();
        let mut body = Vec::new();
        assert!(tile::push_entry(&mut body, b"entry"));
        push_batch(&mut bytes, &SALT, 0, 0, &body);
        push_batch(&mut bytes, &SALT, 1, 0, &body);
        bytes[20] ^= 1;
        let scan = scan(&bytes, 0, &SALT, 0).unwrap();
        assert!(scan.batches.is_empty() && scan.torn);
    }
}
