//! Taking more of the host than was granted: memory, handles, stack.

use std::arch::wasm32;
use std::hint::black_box;

use kos_sdk::crypto::{Algorithm, Hasher};
use wasip2::clocks::monotonic_clock;

use crate::Attack;
use crate::verdict::Verdict;

/// Far beyond any limit on handles.
const HANDLES: usize = 1_000_000;

const MIB: usize = 1024 * 1024;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::new("memory-bit-by-bit", "memory", memory_bit_by_bit),
    Attack::new("memory-at-once", "memory", || {
        Verdict::Succeeded(format!("{} bytes", black_box(vec![1_u8; 1024 * MIB]).len()))
    }),
    Attack::new("memory-by-instruction", "memory", || {
        Verdict::Succeeded(format!("{} pages", wasm32::memory_grow::<0>(40_000)))
    }),
    Attack::new("hashers", "handles", hashers),
    Attack::new("pollables", "handles", pollables),
    Attack::new("recursion", "stack", || Verdict::Succeeded(descend(black_box(u64::MAX)).to_string())),
    Attack::new("recursion-with-large-frames", "trap", || {
        Verdict::Succeeded(descend_with_frames(black_box(u64::MAX)).to_string())
    }),
];

fn memory_bit_by_bit() -> Verdict {
    let mut taken = Vec::new();
    loop {
        taken.push(black_box(vec![1_u8; MIB]));
        if taken.len() > 4096 {
            return Verdict::Succeeded("4 GiB".to_owned());
        }
    }
}

fn hashers() -> Verdict {
    let mut held = Vec::new();
    for _ in 0..HANDLES {
        match Hasher::new(Algorithm::Blake3) {
            Ok(hasher) => held.push(hasher),
            Err(error) => return Verdict::Unexpected(error.to_string()),
        }
    }
    Verdict::Succeeded(format!("{} handles", held.len()))
}

fn pollables() -> Verdict {
    let held: Vec<_> = (0..HANDLES).map(|_| monotonic_clock::subscribe_duration(u64::MAX)).collect();
    Verdict::Succeeded(format!("{} handles", held.len()))
}

/// Fills the stack of the machine: nothing in it needs the stack that lies in linear memory, and no optimiser turns two
/// calls of itself into a loop.
#[inline(never)]
fn descend(depth: u64) -> u64 {
    if depth == 0 {
        return 1;
    }
    descend(depth - 1).wrapping_mul(descend(depth / 2)) ^ depth
}

/// Fills the stack in linear memory first, and so runs out of that memory at its lower end.
#[inline(never)]
fn descend_with_frames(depth: u64) -> u64 {
    let frame = black_box([depth; 512]);
    if depth == 0 { 0 } else { descend_with_frames(depth - 1).wrapping_add(frame.iter().sum()) }
}
