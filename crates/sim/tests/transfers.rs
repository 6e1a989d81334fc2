//! Point 1 of what must hold: over a hostile network every byte arrives, once, in order, every
//! connection ends, and nothing is left.

use sim::transfer::{self, Outcome};

/// 300 seeds, 2,000 in the full count (`IOPKT_TEST_FULL`); `IOPKT_SIM_SEEDS=N` runs that many,
/// `IOPKT_SIM_SEED=S` one alone.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    match number("IOPKT_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let usual = if std::env::var_os("IOPKT_TEST_FULL").is_some() { 2000 } else { 300 };
            0..number("IOPKT_SIM_SEEDS").unwrap_or(usual)
        }
    }
}

#[test]
fn every_byte_arrives_once_in_order_and_every_connection_ends() {
    let seeds = seeds();
    let many = seeds.end - seeds.start > 10;
    let mut all = Outcome::default();
    for seed in seeds {
        let o = std::panic::catch_unwind(|| transfer::run(seed))
            .unwrap_or_else(|_| panic!("IOPKT_SIM_SEED={seed} fails; its message is above"));
        all.lost += o.lost;
        all.reordered += o.reordered;
        all.duplicated += o.duplicated;
        all.corrupted += o.corrupted;
        all.retransmitted += o.retransmitted;
        all.timeouts += o.timeouts;
        all.fast_retransmits += o.fast_retransmits;
        all.changes += o.changes;
        all.put_off += o.put_off;
    }
    println!("{all:?}");
    if many {
        for (what, n) in [
            ("losses", all.lost),
            ("reorderings", all.reordered),
            ("duplicates", all.duplicated),
            ("corruptions", all.corrupted),
            ("retransmissions", all.retransmitted),
            ("time-outs", all.timeouts),
            ("fast retransmits", all.fast_retransmits),
            ("changes of mode", all.changes),
            ("changes put off", all.put_off),
        ] {
            assert!(n > 0, "a run without {what} proves nothing");
        }
    }
}
