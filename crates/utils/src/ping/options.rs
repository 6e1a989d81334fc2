//! The command line of `ping`.

use std::time::Duration;

use crate::command::Failure;
use crate::getopt::{Getopt, number};

/// Most bytes of data: an IPv4 packet's worth.
const SIZE_MAX: usize = 65_507;
/// Least time between sends, and that of a flood without answers.
const INTERVAL_MIN: f64 = 0.001;
const FLOOD_INTERVAL: Duration = Duration::from_millis(10);
/// A year and more: what `-i`, `-w` and `-W` may say.
const SECONDS_MAX: f64 = 1e8;

#[derive(Clone, Debug, PartialEq)]
pub struct Options<'a> {
    pub prefix: Option<&'a str>,
    pub host: &'a str,
    pub bell: bool,
    pub count: Option<u64>,
    pub dont_fragment: bool,
    pub flood: bool,
    /// An interface's name, or a source address.
    pub interface: Option<&'a str>,
    pub interval: Duration,
    pub once: bool,
    pub quiet: bool,
    pub verbose: bool,
    /// Bytes of data.
    pub size: usize,
    pub ttl: Option<u8>,
    /// Wait for the last answer.
    pub last_wait: Option<Duration>,
    /// End of all.
    pub deadline: Option<Duration>,
}

pub fn parse(words: &[String]) -> Result<Options<'_>, Failure> {
    let mut o = Options {
        prefix: None,
        host: "",
        bell: false,
        count: None,
        dont_fragment: false,
        flood: false,
        interface: None,
        interval: Duration::from_secs(1),
        once: false,
        quiet: false,
        verbose: false,
        size: 56,
        ttl: None,
        last_wait: None,
        deadline: None,
    };
    let mut interval = None;
    let mut options = Getopt::new(words, "aDfnoqv46c:h:I:i:m:p:S:s:T:t:W:w:");
    while let Some((letter, value)) = options.option()? {
        match letter {
            'a' => o.bell = true,
            'D' => o.dont_fragment = true,
            'f' => o.flood = true,
            'o' => o.once = true,
            'q' => o.quiet = true,
            'v' => o.verbose = true,
            'c' => o.count = Some(number('c', value, 1..=u64::MAX)?),
            'h' | 'm' | 'T' | 't' => o.ttl = Some(number(letter, value, 1..=255)?),
            'I' | 'S' => o.interface = Some(value),
            'i' => interval = Some(seconds('i', value)?),
            'p' => o.prefix = Some(value),
            's' => o.size = number('s', value, 0..=SIZE_MAX)?,
            'W' => o.last_wait = Some(seconds('W', value)?),
            'w' => o.deadline = Some(seconds('w', value)?),
            // Numbers are shown in any case; the family follows from the command or the address.
            _ => {}
        }
    }
    match options.rest() {
        [host] => o.host = host,
        [] => return Err(Failure::usage("no host named")),
        [_, extra, ..] => return Err(Failure::usage(format!("{extra}: not expected"))),
    }
    o.interval = interval.unwrap_or(if o.flood { FLOOD_INTERVAL } else { o.interval });
    Ok(o)
}

fn seconds(letter: char, text: &str) -> Result<Duration, Failure> {
    Ok(Duration::from_secs_f64(number(letter, text, INTERVAL_MIN..=SECONDS_MAX)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_and_their_defaults() {
        let w = words("10.0.0.1");
        let o = parse(&w).expect("a host");
        assert_eq!((o.size, o.interval, o.count), (56, Duration::from_secs(1), None));
        let w = words("-q -c 3 -i 0.2 -s 1400 -t 5 -W 2 -w 10 -p /dev/io-net2 host");
        let o = parse(&w).expect("all known");
        assert_eq!((o.count, o.size, o.ttl, o.prefix), (Some(3), 1400, Some(5), Some("/dev/io-net2")));
        assert_eq!((o.interval, o.last_wait), (Duration::from_millis(200), Some(Duration::from_secs(2))));
        let w = words("-f host");
        assert_eq!(parse(&w).map(|o| o.interval), Ok(FLOOD_INTERVAL));
    }

    #[test]
    fn an_error_names_the_word_that_was_wrong() {
        for (line, message) in [
            ("-c none host", "-c none: not a number from 1 to 18446744073709551615"),
            ("-t 256 host", "-t 256: not a number from 1 to 255"),
            ("-i 0 host", "-i 0: not a number from 0.001 to 100000000"),
            ("-i NaN host", "-i NaN: not a number from 0.001 to 100000000"),
            ("-s 65508 host", "-s 65508: not a number from 0 to 65507"),
            ("", "no host named"),
            ("a b", "b: not expected"),
        ] {
            let w = words(line);
            assert_eq!(parse(&w).map_err(|f| f.message), Err(message.into()), "{line}");
        }
    }
}
