//! Names of links: en0, en1, … in order of attachment, unless the driver has a name of its own or
//! `name=`, `unit=` say otherwise.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::Options;

/// As IFNAMSIZ, without the final NUL.
const NAME_MAX: usize = 15;

/// What a link is called when neither driver nor operator cares.
const DEFAULT_BASE: &str = "en";

/// The names taken. Shared with the links, which give theirs back when they end.
#[derive(Clone, Debug)]
pub struct LinkNames(Arc<Mutex<BTreeSet<String>>>);

impl Default for LinkNames {
    /// `lo0` is the daemon's own.
    fn default() -> LinkNames {
        LinkNames(Arc::new(Mutex::new(BTreeSet::from(["lo0".to_owned()]))))
    }
}

/// What the operator asked for. A `name=` that ends in a digit is the whole name of the first link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    base: Option<String>,
    unit: Option<u32>,
}

/// A name held by a link; dropping it frees it.
#[derive(Debug)]
pub struct HeldName {
    name: String,
    names: LinkNames,
}

impl HeldName {
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl Drop for HeldName {
    fn drop(&mut self) {
        self.names.lock().remove(&self.name);
    }
}

impl LinkNames {
    pub(super) fn plan(&self, options: &Options) -> Result<Plan, String> {
        let mut plan = Plan { base: options.text("name").map(str::to_owned), unit: options.number("unit") };
        let Some(name) = plan.base.clone() else { return Ok(plan) };
        check(&name)?;
        let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &name[base.len()..];
        if digits.is_empty() {
            return Ok(plan);
        }
        if plan.unit.is_some() {
            return Err(format!("name={name} has a unit already; leave it out, or unit="));
        }
        let number = abi::options::parse_u32(digits).filter(|n| n.to_string() == digits);
        let number = number.ok_or_else(|| format!("name={name}: \"{digits}\" is not a unit number"))?;
        plan = Plan { base: Some(base.to_owned()), unit: Some(number) };
        self.free(&name)?;
        Ok(plan)
    }

    /// The name of the `nth` link of an attachment.
    pub(super) fn take(
        &self,
        plan: &Plan,
        driver_base: Option<&str>,
        driver_unit: Option<u32>,
        nth: usize,
    ) -> Result<HeldName, String> {
        let base = plan.base.as_deref().or(driver_base).unwrap_or(DEFAULT_BASE);
        let fixed = plan.unit.map(|u| u.saturating_add(nth as u32)).or(driver_unit);
        let name = match fixed {
            Some(unit) => format!("{base}{unit}"),
            None => {
                let taken = self.lock();
                let mut names = (0u32..).map(|unit| format!("{base}{unit}"));
                names.find(|name| !taken.contains(name)).unwrap_or_default()
            }
        };
        check(&name)?;
        self.free(&name)?;
        self.lock().insert(name.clone());
        Ok(HeldName { name, names: self.clone() })
    }

    fn free(&self, name: &str) -> Result<(), String> {
        if self.lock().contains(name) { Err(format!("there is an interface {name} already")) } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(name: &str) -> Result<(), String> {
    let fine = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        && name.len() <= NAME_MAX;
    if fine {
        Ok(())
    } else {
        Err(format!("\"{name}\" can not name an interface: a letter, then up to 14 letters, digits, \"_-.\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::Kind;
    use abi::options::Known;

    fn plan(names: &LinkNames, text: &str) -> Result<Plan, String> {
        let known = [("name", Kind::Text), ("unit", Kind::U32)].map(|(name, kind)| Known {
            name: name.into(),
            kind,
            help: String::new(),
        });
        names.plan(&Options::parse(text, &known).unwrap())
    }

    fn first(names: &LinkNames, text: &str, base: Option<&str>) -> Result<HeldName, String> {
        names.take(&plan(names, text)?, base, None, 0)
    }

    #[test]
    fn links_are_numbered_in_order_and_names_come_back() {
        let names = LinkNames::default();
        let held: Vec<_> = (0..3).map(|_| first(&names, "", None).unwrap()).collect();
        assert_eq!(held.iter().map(HeldName::as_str).collect::<Vec<_>>(), ["en0", "en1", "en2"]);
        assert_eq!(first(&names, "", Some("fec")).unwrap().as_str(), "fec0");
        drop(held);
        assert_eq!(first(&names, "", None).unwrap().as_str(), "en0");
    }

    #[test]
    fn name_and_unit_have_the_last_word() {
        let names = LinkNames::default();
        assert_eq!(first(&names, "name=wm", Some("fec")).unwrap().as_str(), "wm0");
        assert_eq!(first(&names, "unit=3", None).unwrap().as_str(), "en3");
        assert_eq!(first(&names, "name=wan,unit=2", None).unwrap().as_str(), "wan2");
        assert_eq!(first(&names, "name=wan7", None).unwrap().as_str(), "wan7");
        let two = plan(&names, "unit=4").unwrap();
        assert_eq!(names.take(&two, None, None, 1).unwrap().as_str(), "en5");
    }

    #[test]
    fn what_can_not_be_a_name_is_refused() {
        let names = LinkNames::default();
        for bad in ["name=9p", "name='a b'", "name=a/b", "name=averyveryverylongname", "name=en01", "name=x1,unit=2"] {
            assert!(first(&names, bad, None).is_err(), "{bad}");
        }
        assert_eq!(first(&names, "name=lo", None).unwrap().as_str(), "lo1");
        assert_eq!(first(&names, "name=lo0", None).unwrap_err(), "there is an interface lo0 already");
    }
}
