//! What programs write into their pairs.

use e2e::{Lab, Link};

use super::{Held, attack, back_at, count, no_sockets_left, serves};

#[test]
fn anything_written_into_pairs_at_any_time_harms_only_its_writer() {
    let mut lab = Lab::new(Link::Packet);
    let daemon = lab.daemon().pid();
    serves(&lab);
    attack(&lab, "hostile_pairs.py", "", &["700", "1"]);
    let before = Held::by(daemon);
    for seed in ["2", "3", "4"] {
        attack(&lab, "hostile_pairs.py", "", &[&count(700, 10_000), seed]);
        serves(&lab);
    }
    no_sockets_left(&lab);
    back_at(daemon, before);
}
