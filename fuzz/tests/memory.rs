//! What any input costs in memory: bounded while it is worked on, and all of it given back.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use fuzz::TARGETS;

/// The engine with full tables, buffers of some connections, and what the test itself holds.
const STACK_MAX: usize = 8 << 20;
/// A parser, and the copies that its target makes.
const FORMAT_MAX: usize = 256 << 10;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: everything is handed on to the system's allocator as it is; only sizes are added up.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test in this file, alone in its process: nothing else may allocate meanwhile.
#[test]
fn memory_is_bounded_and_comes_back() {
    let corpora = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let limit = if name.starts_with("stack_") { STACK_MAX } else { FORMAT_MAX };
        let mut highest = 0;
        // What is set up once and for all.
        target(&[]);
        for entry in fs::read_dir(corpora.join(name)).expect("a corpus") {
            let path = entry.expect("a readable folder").path();
            let input = fs::read(&path).expect("a readable file");
            let before = LIVE.load(Relaxed);
            PEAK.store(before, Relaxed);
            target(&input);
            let (after, peak) = (LIVE.load(Relaxed), PEAK.load(Relaxed) - before);
            assert!(peak <= limit, "{}: {peak} bytes at once", path.display());
            assert_eq!(after, before, "{}: bytes not given back", path.display());
            highest = highest.max(peak);
        }
        println!("{name}: {highest} bytes at most");
    }
}
