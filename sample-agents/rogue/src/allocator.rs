//! An allocator that turns on the host: to hand over a result, the host calls into the guest for memory.
#![expect(unsafe_code, reason = "implements an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

use kos_sdk::identity;
use wasip2::clocks::monotonic_clock;

use crate::Attack;
use crate::verdict::Verdict;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::new("allocator-never-returns", "fuel", || provoke(SPINS)),
    Attack::new("allocator-returns-nowhere", "trap", || provoke(RETURNS_NOWHERE)),
    Attack::new("allocator-calls-the-host", "trap", || provoke(CALLS_THE_HOST)),
];

const HONEST: u8 = 0;
const SPINS: u8 = 1;
const RETURNS_NOWHERE: u8 = 2;
const CALLS_THE_HOST: u8 = 3;

/// What the allocator does next.
static MODE: AtomicU8 = AtomicU8::new(HONEST);

#[global_allocator]
static ALLOCATOR: Turncoat = Turncoat;

struct Turncoat;

// SAFETY: none once the mode is not honest; the host must not depend on it.
unsafe impl GlobalAlloc for Turncoat {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match MODE.load(Ordering::Relaxed) {
            SPINS => loop {
                MODE.store(SPINS, Ordering::Relaxed);
            },
            RETURNS_NOWHERE => ptr::without_provenance_mut(0xffff_fff0),
            CALLS_THE_HOST => {
                monotonic_clock::now();
                ptr::null_mut()
            }
            // SAFETY: the caller keeps the contract of the system's allocator.
            _ => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Asks for a result that the host must find memory for.
fn provoke(mode: u8) -> Verdict {
    MODE.store(mode, Ordering::Relaxed);
    let answer = identity::me();
    MODE.store(HONEST, Ordering::Relaxed);
    Verdict::Succeeded(format!("the host answered {}", answer.is_ok()))
}
