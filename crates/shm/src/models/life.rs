//! loom's atomics with death: a thread may be told to die before its n-th step. A step is whatever another side
//! can notice: a write to shared memory, or a system call of the model's kernel. Death unwinds, and nothing of the
//! code under test undoes anything while it unwinds, so what is left is what SIGKILL leaves.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub(crate) use loom::sync::atomic::fence;
use loom::sync::atomic::{self, Ordering};

loom::thread_local! {
    static STEPS_LEFT: Cell<usize> = Cell::new(usize::MAX);
}

struct Killed;

/// To be called before each step.
pub(crate) fn step() {
    let left = STEPS_LEFT.with(|steps| steps.replace(steps.get().saturating_sub(1)));
    if left == 0 {
        resume_unwind(Box::new(Killed));
    }
}

/// Runs `life`, which is killed before its `steps`-th step (counted from 0). `None`: it was.
pub(crate) fn mortal<T>(steps: usize, life: impl FnOnce() -> T) -> Option<T> {
    STEPS_LEFT.with(|left| left.set(steps));
    let outcome = catch_unwind(AssertUnwindSafe(life));
    STEPS_LEFT.with(|left| left.set(usize::MAX));
    outcome.map(Some).unwrap_or_else(|cause| if cause.is::<Killed>() { None } else { resume_unwind(cause) })
}

macro_rules! mortal_atomic {
    ($name:ident, $int:ty) => {
        pub(crate) struct $name {
            value: atomic::$name,
            /// loom remembers the last access to an object alone when it looks for others that could have come before
            /// it; a thread that loads and then stores hides so what other threads loaded. All accesses touch this
            /// one, so that each is tried in each order. It orders nothing by itself, and loads still see old values.
            touched: atomic::AtomicUsize,
        }

        #[allow(dead_code)]
        impl $name {
            pub(crate) fn new(value: $int) -> $name {
                $name { value: atomic::$name::new(value), touched: atomic::AtomicUsize::new(0) }
            }

            fn touch(&self) -> &atomic::$name {
                self.touched.fetch_add(1, Ordering::Relaxed);
                &self.value
            }

            /// The address of a futex.
            pub(crate) fn as_ptr(&self) -> *mut $int {
                unreachable!("a model brings its own kernel")
            }

            pub(crate) fn load(&self, order: Ordering) -> $int {
                self.touch().load(order)
            }

            pub(crate) fn store(&self, value: $int, order: Ordering) {
                step();
                self.touch().store(value, order);
            }

            pub(crate) fn fetch_or(&self, bits: $int, order: Ordering) -> $int {
                step();
                self.touch().fetch_or(bits, order)
            }

            pub(crate) fn fetch_and(&self, bits: $int, order: Ordering) -> $int {
                step();
                self.touch().fetch_and(bits, order)
            }

            pub(crate) fn fetch_add(&self, n: $int, order: Ordering) -> $int {
                step();
                self.touch().fetch_add(n, order)
            }

            pub(crate) fn fetch_sub(&self, n: $int, order: Ordering) -> $int {
                step();
                self.touch().fetch_sub(n, order)
            }

            pub(crate) fn compare_exchange(
                &self,
                old: $int,
                new: $int,
                ok: Ordering,
                no: Ordering,
            ) -> Result<$int, $int> {
                step();
                self.touch().compare_exchange(old, new, ok, no)
            }
        }
    };
}

mortal_atomic!(AtomicU32, u32);
mortal_atomic!(AtomicU64, u64);

/// The bounds of every model: at most so many involuntary switches between threads in one execution.
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(model);
}
