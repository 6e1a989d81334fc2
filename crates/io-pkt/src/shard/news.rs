//! What happens to the configuration by itself, as lines of the log. Others on a link can make it happen
//! as often as they like, so the lines have a limit.

use stack::net::ConfigEvent;
use stack::{Duration, Instant};

/// Lines in each span of time; of more, only the number is told.
const LINES_MAX: u64 = 50;
const SPAN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct News {
    until: Instant,
    events: u64,
}

impl Default for News {
    fn default() -> News {
        News { until: Instant::ZERO, events: 0 }
    }
}

impl News {
    pub fn tell(&mut self, now: Instant, events: Vec<ConfigEvent>) {
        for event in events {
            if now >= self.until {
                let untold = self.events.saturating_sub(LINES_MAX);
                if untold > 0 {
                    tracing::info!("{untold} more changes are not told one by one");
                }
                *self = News { until: now + SPAN, events: 0 };
            }
            self.events += 1;
            if self.events <= LINES_MAX {
                tracing::info!("{event}");
            }
        }
    }
}
