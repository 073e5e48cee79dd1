//! Host calls that no binding would make: below the SDK, by raw imports.
#![expect(unsafe_code, reason = "calls the host with arguments that are not values of their type")]

use std::hint::black_box;
use std::mem;
use std::ptr;

use wasip2::clocks::monotonic_clock;

use crate::Attack;
use crate::verdict::Verdict;

#[link(wasm_import_module = "kos:agent/crypto@0.1.0")]
unsafe extern "C" {
    #[link_name = "hash"]
    fn hash(algorithm: u32, data: usize, length: usize, result: usize);
    #[link_name = "[static]hasher.open"]
    fn hasher_open(algorithm: u32, result: usize);
    #[link_name = "[method]hasher.update"]
    fn hasher_update(hasher: u32, data: usize, length: usize, result: usize);
    #[link_name = "[resource-drop]hasher"]
    fn hasher_drop(hasher: u32);
}

#[link(wasm_import_module = "kos:agent/audit@0.1.0")]
unsafe extern "C" {
    #[link_name = "note"]
    fn note(topic: usize, topic_length: usize, text: usize, text_length: usize, result: usize);
}

/// BLAKE3, as the contract numbers it.
const BLAKE3: u32 = 1;

/// Near the upper end of a 32-bit memory, where no agent has anything.
const NOWHERE: usize = 0xffff_fff0;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::new("text-not-utf8", "trap", || text(b"rogue\xff")),
    Attack::new("text-surrogate", "trap", || text(b"rogue\xed\xa0\x80")),
    Attack::new("text-overlong", "trap", || text(b"rogue\xc0\xaf")),
    Attack::new("pointer-out-of-memory", "trap", || hash_at(BLAKE3, NOWHERE, 1)),
    Attack::new("length-out-of-memory", "trap|payload", || hash_at(BLAKE3, 0, usize::MAX)),
    Attack::new("pointer-and-length-wrap", "trap|payload", || hash_at(BLAKE3, usize::MAX, usize::MAX)),
    Attack::new("enum-out-of-range", "trap", || hash_at(7, 0, 0)),
    Attack::new("result-out-of-memory", "trap", || {
        // SAFETY: no memory of this program is read or written, whatever the host does with the address.
        unsafe { hash(BLAKE3, 0, 0, NOWHERE) };
        Verdict::Succeeded("the host wrote outside of memory".to_owned())
    }),
    Attack::new("result-misaligned", "trap", || {
        let mut result = Area::default();
        // SAFETY: the area is larger than the result by more than the offset.
        unsafe { hash(BLAKE3, 0, 0, result.address() + 1) };
        Verdict::Succeeded(format!("the host wrote across words: {:?}", result.0))
    }),
    Attack::new("handle-forged", "trap", || update(0x00ab_cdef)),
    Attack::new("handle-zero", "trap", || update(0)),
    Attack::new("handle-largest", "trap", || update(u32::MAX)),
    Attack::new("handle-of-another-type", "trap", || {
        update(monotonic_clock::subscribe_duration(u64::MAX).take_handle())
    }),
    Attack::new("handle-after-drop", "trap", || {
        let hasher = open();
        // SAFETY: dropping a handle touches no memory.
        unsafe { hasher_drop(hasher) };
        update(hasher)
    }),
    Attack::new("handle-dropped-twice", "trap", || {
        let hasher = open();
        // SAFETY: dropping a handle touches no memory.
        unsafe { (hasher_drop(hasher), hasher_drop(hasher)) };
        Verdict::Succeeded("dropped twice".to_owned())
    }),
    Attack::new("load-out-of-memory", "trap", || {
        // SAFETY: none; the sandbox must stop it.
        let value = unsafe { ptr::read_volatile(black_box(NOWHERE) as *const u8) };
        Verdict::Succeeded(format!("read {value}"))
    }),
    Attack::new("call-out-of-table", "trap", || {
        // SAFETY: none; the sandbox must stop it.
        let function = unsafe { mem::transmute::<usize, fn()>(black_box(NOWHERE)) };
        function();
        Verdict::Succeeded("called what does not exist".to_owned())
    }),
];

/// Where the host writes a result: larger and more aligned than any of these needs.
#[derive(Default)]
#[repr(align(16))]
struct Area([u32; 8]);

impl Area {
    fn address(&mut self) -> usize {
        (&raw mut self.0) as usize
    }
}

fn hash_at(algorithm: u32, data: usize, length: usize) -> Verdict {
    let mut result = Area::default();
    // SAFETY: the area takes the result; what is read lies outside of what Rust knows about.
    unsafe { hash(algorithm, data, length, result.address()) };
    Verdict::Succeeded(format!("the host answered {:?}", result.0))
}

fn text(topic: &[u8]) -> Verdict {
    let mut result = Area::default();
    // SAFETY: both texts are live, and the area takes the result.
    unsafe { note(topic.as_ptr() as usize, topic.len(), topic.as_ptr() as usize, 1, result.address()) };
    Verdict::Succeeded(format!("the host answered {:?}", result.0))
}

fn open() -> u32 {
    let mut result = Area::default();
    // SAFETY: the area takes the result.
    unsafe { hasher_open(BLAKE3, result.address()) };
    let [_, hasher, ..] = black_box(result).0;
    hasher
}

fn update(hasher: u32) -> Verdict {
    let mut result = Area::default();
    // SAFETY: nothing is read, and the area takes the result.
    unsafe { hasher_update(hasher, 0, 0, result.address()) };
    Verdict::Succeeded(format!("the host answered {:?}", result.0))
}
