//! What a ping has counted, and the summary at its end.

use std::time::Duration;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub sent: u64,
    pub received: u64,
    pub duplicates: u64,
    /// Times in milliseconds.
    min: f64,
    pub max: f64,
    sum: f64,
    sum_of_squares: f64,
}

impl Tally {
    /// An answer that is no duplicate.
    pub fn answer(&mut self, time: Duration) {
        let ms = milliseconds(time);
        self.min = if self.received == 0 { ms } else { self.min.min(ms) };
        self.max = self.max.max(ms);
        self.sum += ms;
        self.sum_of_squares += ms * ms;
        self.received += 1;
    }

    pub fn summary(&self, host: &str, v6: bool) -> String {
        let (name, deviation) = if v6 { ("ping6", "std-dev") } else { ("ping", "stddev") };
        let mut text = format!(
            "\n--- {host} {name} statistics ---\n{} packets transmitted, {} packets received",
            self.sent, self.received
        );
        if self.duplicates > 0 {
            text.push_str(&format!(", +{} duplicates", self.duplicates));
        }
        if self.sent > 0 {
            let lost = self.sent.saturating_sub(self.received) as f64 * 100.0 / self.sent as f64;
            text.push_str(&format!(", {lost:.1}% packet loss"));
        }
        text.push('\n');
        if self.received > 0 {
            let n = self.received as f64;
            let mean = self.sum / n;
            let spread = (self.sum_of_squares / n - mean * mean).max(0.0).sqrt();
            text.push_str(&format!(
                "round-trip min/avg/max/{deviation} = {:.3}/{mean:.3}/{:.3}/{spread:.3} ms\n",
                self.min, self.max
            ));
        }
        text
    }
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_bsds() {
        let mut t = Tally { sent: 4, ..Tally::default() };
        for ms in [1, 2, 3] {
            t.answer(Duration::from_millis(ms));
        }
        assert_eq!(
            t.summary("host", false),
            "
--- host ping statistics ---
4 packets transmitted, 3 packets received, 25.0% packet loss
round-trip min/avg/max/stddev = 1.000/2.000/3.000/0.816 ms
"
        );
        t.duplicates = 2;
        assert!(
            t.summary("host", true).contains("ping6 statistics ---\n4 packets transmitted, 3 packets received, +2 ")
        );
    }

    #[test]
    fn silence_has_no_times() {
        let t = Tally { sent: 2, ..Tally::default() };
        let text = t.summary("host", false);
        assert!(text.ends_with("2 packets transmitted, 0 packets received, 100.0% packet loss\n"), "{text}");
    }
}
