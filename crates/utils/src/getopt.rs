//! getopt(3) as BSD has it: single letters, options end at the first word that is none or at `--`.

use crate::command::Failure;

/// Options off the front of a list of words.
#[derive(Debug)]
pub struct Getopt<'a> {
    words: &'a [String],
    /// Letters; one followed by `:` takes an argument.
    spec: &'a str,
    next: usize,
    /// Byte offset inside the word at `next`, for options written together.
    within: usize,
}

impl<'a> Getopt<'a> {
    pub fn new(words: &'a [String], spec: &'a str) -> Getopt<'a> {
        Getopt { words, spec, next: 0, within: 0 }
    }

    /// The next option and its argument; `None` at the end of the options.
    ///
    /// Errors: an unknown letter, or an argument that is missing.
    pub fn option(&mut self) -> Result<Option<(char, &'a str)>, Failure> {
        if self.within == 0 {
            match self.words.get(self.next).map(String::as_str) {
                Some("--") => {
                    self.next += 1;
                    return Ok(None);
                }
                Some(word) if word.len() > 1 && word.starts_with('-') => self.within = 1,
                _ => return Ok(None),
            }
        }
        let word = self.words[self.next].as_str();
        let rest = &word[self.within..];
        let letter = rest.chars().next().expect("`within` is inside the word");
        let after = &rest[letter.len_utf8()..];
        let takes = match self.spec.split_once(letter) {
            Some((_, tail)) if letter != ':' => tail.starts_with(':'),
            _ => return Err(Failure::usage(format!("unknown option -- {letter}"))),
        };
        if !takes {
            self.within = if after.is_empty() { 0 } else { word.len() - after.len() };
            self.next += usize::from(after.is_empty());
            return Ok(Some((letter, "")));
        }
        self.within = 0;
        self.next += 1;
        if !after.is_empty() {
            return Ok(Some((letter, after)));
        }
        let argument = self.words.get(self.next);
        self.next += 1;
        match argument {
            Some(a) => Ok(Some((letter, a))),
            None => Err(Failure::usage(format!("option requires an argument -- {letter}"))),
        }
    }

    /// The words after the options.
    pub fn rest(&self) -> &'a [String] {
        self.words.get(self.next..).unwrap_or_default()
    }
}

/// An option's number, in the given range.
pub fn number<T>(letter: char, text: &str, range: std::ops::RangeInclusive<T>) -> Result<T, Failure>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match text.parse() {
        Ok(n) if range.contains(&n) => Ok(n),
        _ => Err(Failure::new(format!("-{letter} {text}: not a number from {} to {}", range.start(), range.end()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn letters_may_stand_together_and_an_argument_may_be_joined() {
        let w = words("-rn -p/alt -f inet rest -n");
        let mut g = Getopt::new(&w, "rnp:f:");
        let mut seen = Vec::new();
        while let Some(o) = g.option().expect("all known") {
            seen.push(o);
        }
        assert_eq!(seen, [('r', ""), ('n', ""), ('p', "/alt"), ('f', "inet")]);
        assert_eq!(g.rest(), words("rest -n"));
    }

    #[test]
    fn two_dashes_end_the_options() {
        let w = words("-- -n");
        let mut g = Getopt::new(&w, "n");
        assert_eq!(g.option(), Ok(None));
        assert_eq!(g.rest(), ["-n"]);
    }

    #[test]
    fn an_unknown_letter_and_a_missing_argument_are_named() {
        let w = words("-x");
        assert_eq!(Getopt::new(&w, "n").option().map_err(|f| f.message), Err("unknown option -- x".into()));
        let w = words("-p");
        let e = Getopt::new(&w, "p:").option().map_err(|f| f.message);
        assert_eq!(e, Err("option requires an argument -- p".into()));
    }
}
