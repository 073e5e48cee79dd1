//! Memory for secrets: never swapped out, in no core dump, not in a forked child, and erased when given up.
//!
//! Source: `mlock(2)`, `madvise(2)` (`MADV_DONTDUMP`, `MADV_WIPEONFORK`), Linux. In scope: pages shared by small secrets, as
//! the system lets a process lock few of them. Out of scope: copies that a computation makes on its stack, but for
//! [`erase_stack`]. Where no more may be locked, a secret lies in a page that is not, and a warning says so.
#![expect(
    unsafe_code,
    reason = "pages of our own can be had, locked and reached in no safe way; all of it is in this file"
)]

use std::alloc::{Layout, handle_alloc_error};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};

use rustix::mm::{Advice, MapFlags, ProtFlags};
use rustix::param::page_size;
use zeroize::Zeroize as _;

/// Secrets begin at multiples of this: a pair of private keys fits exactly, a page holds 64 of them.
const SLOT: usize = 64;

/// The pages that hold something; each is given back with its last secret.
static PAGES: Mutex<Vec<Weak<Page>>> = Mutex::new(Vec::new());
static UNLOCKED: Once = Once::new();

/// Secret bytes in a place of their own. Not printable, not copied, erased when dropped.
pub(crate) struct LockedBytes {
    page: Arc<Page>,
    slots: Range<usize>,
    length: usize,
}

impl LockedBytes {
    /// Copies the bytes; whoever holds the original erases it.
    pub(crate) fn copied(bytes: &[u8]) -> Self {
        let mut place = Self::placed(bytes.len());
        place.bytes_mut().copy_from_slice(bytes);
        place
    }

    /// The bytes.
    pub(crate) fn expose(&self) -> &[u8] {
        // SAFETY: `placed` found room for `length` bytes from there, which are mapped and zeroed or written as long as
        // `page` lives, and whose slots are nobody else's until `self` is dropped.
        unsafe { std::slice::from_raw_parts(self.start().as_ptr(), self.length) }
    }

    /// Whether the system keeps them in memory.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "what is done does not depend on it; the warning has said it")
    )]
    pub(crate) fn is_locked(&self) -> bool {
        self.page.is_locked
    }

    fn placed(length: usize) -> Self {
        let count = length.div_ceil(SLOT).max(1);
        let mut pages = unpoisoned(&PAGES);
        pages.retain(|page| page.strong_count() > 0);
        for page in pages.iter().filter_map(Weak::upgrade) {
            if let Some(slots) = page.take(count) {
                return Self { page, slots, length };
            }
        }
        let page = Arc::new(Page::map(count));
        pages.push(Arc::downgrade(&page));
        Self { page, slots: 0..count, length }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `expose`; the exclusive reference to the one owner of the slots makes it the only one to them.
        unsafe { std::slice::from_raw_parts_mut(self.start().as_ptr(), self.length) }
    }

    fn start(&self) -> NonNull<u8> {
        // SAFETY: the slots lie within the page.
        unsafe { self.page.start.add(self.slots.start * SLOT) }
    }
}

impl Drop for LockedBytes {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        self.page.give_back(self.slots.clone());
    }
}

/// A secret of a fixed length, as [`LockedBytes`].
pub(crate) struct LockedKey<const N: usize>(LockedBytes);

impl<const N: usize> LockedKey<N> {
    /// Copies the bytes; whoever holds the original erases it.
    pub(crate) fn copied(bytes: &[u8; N]) -> Self {
        Self(LockedBytes::copied(bytes))
    }

    /// The bytes.
    pub(crate) fn expose(&self) -> &[u8; N] {
        // SAFETY: `copied` has made them N bytes, and bytes need no alignment.
        unsafe { self.0.start().cast::<[u8; N]>().as_ref() }
    }
}

/// Overwrites what finished computations have left below the caller's frame of the stack, so many bytes of it.
#[inline(never)]
pub(crate) fn erase_stack<const BYTES: usize>() {
    // A variable: a reference to the array itself would be to a constant of the program.
    let mut blank = [0_u8; BYTES];
    std::hint::black_box(&mut blank);
}

/// Pages from the system, in slots.
struct Page {
    start: NonNull<u8>,
    length: usize,
    is_locked: bool,
    taken: Mutex<Vec<bool>>,
}

// SAFETY: the pointer is to a mapping that belongs to the page alone, and is shared out in slots with one owner each.
unsafe impl Send for Page {}
// SAFETY: as above; which slots are taken is behind a mutex.
unsafe impl Sync for Page {}

impl Page {
    /// As many whole pages as hold so many slots, all zero. The first so many are taken.
    fn map(taken: usize) -> Self {
        let length = (taken * SLOT).next_multiple_of(page_size());
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a new mapping at an address of the system's choice takes no memory from anybody.
        let mapped = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), length, protection, flags) };
        let Some(start) = mapped.ok().and_then(NonNull::new) else {
            handle_alloc_error(Layout::array::<u8>(length).unwrap_or(Layout::new::<u8>()))
        };
        let address = start.as_ptr();
        // SAFETY: the range is exactly the new mapping. Locking it and keeping it out of dumps changes none of its
        // bytes; wiping it in a child that is forked makes them zero there, which are bytes too.
        let (locked, undumped) = unsafe {
            // Kernels before 4.14 cannot wipe; this program starts others only to execute something else.
            let _ = rustix::mm::madvise(address, length, Advice::LinuxWipeOnFork);
            let undumped = rustix::mm::madvise(address, length, Advice::LinuxDontDump);
            (rustix::mm::mlock(address, length), undumped)
        };
        if let Err(error) = locked.and(undumped) {
            UNLOCKED.call_once(|| {
                tracing::warn!(%error, "not all secrets are locked in memory: they may be swapped out (see RLIMIT_MEMLOCK)");
            });
        }
        let taken = Mutex::new((0..length / SLOT).map(|slot| slot < taken).collect());
        Self { start: start.cast(), length, is_locked: locked.is_ok(), taken }
    }

    fn take(&self, count: usize) -> Option<Range<usize>> {
        let mut taken = unpoisoned(&self.taken);
        let first = taken.windows(count).position(|slots| !slots.contains(&true))?;
        let slots = first..first + count;
        taken.get_mut(slots.clone())?.fill(true);
        Some(slots)
    }

    fn give_back(&self, slots: Range<usize>) {
        if let Some(taken) = unpoisoned(&self.taken).get_mut(slots) {
            taken.fill(false);
        }
    }
}

impl Drop for Page {
    /// The system unlocks what it takes back.
    fn drop(&mut self) {
        // SAFETY: exactly what `map` has mapped, and no secret is left that lies in it.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
        debug_assert!(unmapped.is_ok(), "a mapping of our own can be given back");
    }
}

/// The data behind a lock. Nothing under these locks panics half-way through a change.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use rustix::thread::CapabilitySet;

    use super::*;

    #[test]
    fn small_secrets_share_pages_and_never_bytes() {
        let secrets: Vec<_> = (0..200_u8).map(|number| LockedBytes::copied(&[number; 40])).collect();
        for (number, secret) in (0..).zip(&secrets) {
            assert_eq!(secret.expose(), [number; 40]);
        }
        let mut starts: Vec<_> = secrets.iter().map(|secret| secret.start().as_ptr() as usize).collect();
        starts.sort_unstable();
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= SLOT));
        let mut pages: Vec<_> = starts.iter().map(|start| start / page_size()).collect();
        pages.dedup();
        assert!(pages.len() < 200);
    }

    #[test]
    fn any_length_has_its_place() {
        for length in [0, 1, 63, 64, 65, page_size(), page_size() + 1, 200_000] {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            assert_eq!(LockedBytes::copied(&bytes).expose(), bytes);
        }
        assert_eq!(LockedKey::copied(&[7; 64]).expose(), &[7; 64]);
    }

    /// What the kernel says of the page that a secret lies in.
    fn flags_of(secret: &LockedBytes) -> Vec<String> {
        let address = secret.start().as_ptr() as usize;
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_inside = false;
        for line in maps.lines() {
            let first = line.split_whitespace().next().unwrap();
            if let Some((start, end)) = first.split_once('-') {
                let [start, end] = [start, end].map(|text| usize::from_str_radix(text, 16).unwrap());
                is_inside = (start..end).contains(&address);
            } else if is_inside && first == "VmFlags:" {
                return line.split_whitespace().skip(1).map(str::to_owned).collect();
            }
        }
        panic!("{address:x} is mapped nowhere")
    }

    /// Without the right to lock any number of pages, which only this thread gives up.
    fn without_privilege() {
        let mut capabilities = rustix::thread::capabilities(None).unwrap();
        capabilities.effective.remove(CapabilitySet::IPC_LOCK);
        capabilities.permitted.remove(CapabilitySet::IPC_LOCK);
        rustix::thread::set_capabilities(None, capabilities).unwrap();
    }

    #[test]
    fn a_secret_is_locked_and_not_dumped_and_where_no_more_may_be_locked_it_says_so() {
        let secret = LockedBytes::copied(&[1; 32]);
        let has = |secret: &LockedBytes, flag: &str| flags_of(secret).iter().any(|known| known == flag);
        assert!(secret.is_locked() && has(&secret, "lo") && has(&secret, "dd") && has(&secret, "wf"));
        let limit = getrlimit(Resource::Memlock);
        let alone = std::thread::spawn(move || {
            without_privilege();
            setrlimit(Resource::Memlock, Rlimit { current: Some(0), maximum: limit.maximum }).unwrap();
            let page = Arc::new(Page::map(1));
            setrlimit(Resource::Memlock, limit).unwrap();
            let secret = LockedBytes { page, slots: 0..1, length: 32 };
            assert!(!secret.is_locked() && !has(&secret, "lo") && has(&secret, "dd"));
        });
        alone.join().unwrap();
    }

    #[test]
    fn a_secret_is_gone_from_its_place_once_it_is_dropped() {
        // The neighbour keeps the page, so that the place can be looked at.
        let page = Arc::new(Page::map(1));
        let placed = |bytes: &[u8]| {
            let slots = page.take(1).unwrap();
            let mut place = LockedBytes { page: page.clone(), slots, length: bytes.len() };
            place.bytes_mut().copy_from_slice(bytes);
            place
        };
        let (secret, neighbour) = (placed(&[0xa5; 64]), placed(&[0x5a; 64]));
        let slots = secret.slots.clone();
        drop(secret);
        let again = LockedBytes { page: page.clone(), slots: page.take(1).unwrap(), length: 64 };
        assert_eq!(again.slots, slots);
        assert_eq!((again.expose(), neighbour.expose()), (&[0; 64][..], &[0x5a; 64][..]));
    }
}
