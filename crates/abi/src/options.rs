//! The option string of `-d NAME options`: words separated by commas or white space, each `key=value`
//! or a bare flag; a value with separators in it stands in quotes. Parsed once, against the module's
//! table, into typed values.

use core::ffi::CStr;
use core::fmt;

use crate::raw::{self, iopkt_option};

/// What kind of value an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    U32,
    Text,
    Mac,
}

impl Kind {
    pub fn from_raw(kind: u32) -> Option<Kind> {
        match kind {
            raw::OPT_BOOL => Some(Kind::Bool),
            raw::OPT_U32 => Some(Kind::U32),
            raw::OPT_STRING => Some(Kind::Text),
            raw::OPT_MAC => Some(Kind::Mac),
            _ => None,
        }
    }

    const fn to_raw(self) -> u32 {
        match self {
            Kind::Bool => raw::OPT_BOOL,
            Kind::U32 => raw::OPT_U32,
            Kind::Text => raw::OPT_STRING,
            Kind::Mac => raw::OPT_MAC,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Kind::Bool => "on or off",
            Kind::U32 => "a number (decimal or 0x…)",
            Kind::Text => "a word",
            Kind::Mac => "12 hexadecimal digits or xx:xx:xx:xx:xx:xx",
        }
    }
}

/// One row of a module's option table.
#[repr(transparent)]
pub struct OptionSpec(iopkt_option);

// SAFETY: the pointers name constant strings.
unsafe impl Sync for OptionSpec {}

impl OptionSpec {
    /// The row that ends a table.
    pub const END: OptionSpec =
        OptionSpec(iopkt_option { name: core::ptr::null(), help: core::ptr::null(), kind: 0, reserved: 0 });

    pub const fn new(name: &'static CStr, kind: Kind, help: &'static CStr) -> OptionSpec {
        OptionSpec(iopkt_option { name: name.as_ptr(), help: help.as_ptr(), kind: kind.to_raw(), reserved: 0 })
    }

    /// Whether this is [`OptionSpec::END`].
    pub const fn is_end(&self) -> bool {
        self.0.name.is_null()
    }
}

/// A known key, as the parser wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub name: String,
    pub kind: Kind,
    pub help: String,
}

/// Options that every driver has.
pub const DRIVER_GENERIC: [(&str, Kind, &str); 5] = [
    ("name", Kind::Text, "base name of the interface, instead of en"),
    ("unit", Kind::U32, "unit number of the interface"),
    ("mac", Kind::Mac, "Ethernet address"),
    ("mtu", Kind::U32, "bytes of IP in a frame"),
    ("verbose", Kind::U32, "log more (1-4)"),
];

/// Options that every protocol has.
pub const PROTOCOL_GENERIC: [(&str, Kind, &str); 1] = [("verbose", Kind::U32, "log more (1-4)")];

/// Copies a module's table, up to its end, and adds the generic options it does not define itself.
/// `None` when a row is of an unknown kind or not UTF-8.
///
/// # Safety
/// `table` is null, or names a table that ends with a null name.
pub unsafe fn known(table: *const iopkt_option, generic: &[(&str, Kind, &str)]) -> Option<Vec<Known>> {
    let mut all = Vec::new();
    let mut row = table;
    // SAFETY: within the table, by the caller's promise: the loop ends at its last row.
    while !row.is_null() && unsafe { !(*row).name.is_null() } {
        // SAFETY: as above; names and helps are NUL-terminated strings.
        let (name, help, kind) = unsafe {
            let help = if (*row).help.is_null() { c"" } else { CStr::from_ptr((*row).help) };
            (CStr::from_ptr((*row).name), help, (*row).kind)
        };
        all.push(Known {
            name: name.to_str().ok()?.to_owned(),
            kind: Kind::from_raw(kind)?,
            help: help.to_string_lossy().into_owned(),
        });
        // SAFETY: this row is not the last.
        row = unsafe { row.add(1) };
    }
    for (name, kind, help) in generic {
        if !all.iter().any(|k| k.name == *name) {
            all.push(Known { name: (*name).to_owned(), kind: *kind, help: (*help).to_owned() });
        }
    }
    Some(all)
}

/// Why an option string was refused. Its text names the word that was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError(pub String);

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for OptionError {}

/// A parsed option string. Of an option given twice the last value counts, except to [`Options::all`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    given: Vec<(String, String)>,
}

impl Options {
    pub fn parse(text: &str, known: &[Known]) -> Result<Options, OptionError> {
        let mut given = Vec::new();
        for (key, value) in split(text)? {
            let Some(spec) = known.iter().find(|k| k.name == key) else {
                let names: Vec<_> = known.iter().map(|k| k.name.as_str()).collect();
                return Err(OptionError(format!("unknown option \"{key}\"; known: {}", names.join(", "))));
            };
            given.push((key, checked(spec, value)?));
        }
        Ok(Options { given })
    }

    /// Whether the option was given at all.
    pub fn has(&self, key: &str) -> bool {
        self.text(key).is_some()
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.given.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Every value of an option that may be repeated, in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.given.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    pub fn flag(&self, key: &str, otherwise: bool) -> bool {
        self.text(key).and_then(parse_bool).unwrap_or(otherwise)
    }

    pub fn number(&self, key: &str) -> Option<u32> {
        self.text(key).and_then(parse_u32)
    }

    /// A number that has to lie in `range`; the error says so.
    pub fn number_in(&self, key: &str, range: core::ops::RangeInclusive<u32>) -> Result<Option<u32>, OptionError> {
        match self.number(key) {
            Some(n) if !range.contains(&n) => {
                Err(OptionError(format!("{key}={n} is out of range; expected {} to {}", range.start(), range.end())))
            }
            n => Ok(n),
        }
    }

    pub fn mac(&self, key: &str) -> Option<[u8; 6]> {
        self.text(key).and_then(parse_mac)
    }
}

/// Bare flags get the value that stands for "yes" in their kind.
fn checked(spec: &Known, value: Option<String>) -> Result<String, OptionError> {
    let name = &spec.name;
    let Some(value) = value else {
        return match spec.kind {
            Kind::Bool => Ok(String::new()),
            Kind::U32 if name == "verbose" => Ok("1".to_owned()),
            kind => Err(OptionError(format!("option \"{name}\" needs a value: {name}={}", kind.expected()))),
        };
    };
    let fits = match spec.kind {
        Kind::Bool => parse_bool(&value).is_some(),
        Kind::U32 => parse_u32(&value).is_some(),
        Kind::Text => !value.is_empty(),
        Kind::Mac => parse_mac(&value).is_some(),
    };
    if fits {
        Ok(value)
    } else {
        Err(OptionError(format!("{name}={value} is not valid; expected {}", spec.kind.expected())))
    }
}

/// Cuts the string into keys and values. Quotes, single or double, may stand anywhere in a value.
fn split(text: &str) -> Result<Vec<(String, Option<String>)>, OptionError> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| *c == ',' || c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(words);
        }
        let mut key = String::new();
        let mut value: Option<String> = None;
        while let Some(c) = chars.next_if(|c| *c != ',' && !c.is_whitespace()) {
            match (&mut value, c) {
                (None, '=') if key.is_empty() => {
                    return Err(OptionError(format!("\"{text}\": a value without a key before \"=\"")));
                }
                (None, '=') => value = Some(String::new()),
                (None, c) => key.push(c),
                (Some(value), quote @ ('"' | '\'')) => loop {
                    match chars.next() {
                        Some(c) if c == quote => break,
                        Some('\0') | None => {
                            return Err(OptionError(format!("{key}={value}: the quote {quote} is not closed")));
                        }
                        Some(c) => value.push(c),
                    }
                },
                (Some(value), c) => value.push(c),
            }
        }
        words.push((key, value));
    }
}

/// `""` is a bare flag: on.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "" | "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

pub fn parse_u32(text: &str) -> Option<u32> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((text, 10), |h| (h, 16));
    // from_str_radix alone would take a sign as well.
    if !digits.bytes().next()?.is_ascii_hexdigit() {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

/// An individual (not group) address other than zero.
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut digits = String::with_capacity(12);
    if text.contains([':', '-']) {
        let parts: Vec<_> = text.split([':', '-']).collect();
        if parts.len() != 6 || parts.iter().any(|p| p.is_empty() || p.len() > 2) {
            return None;
        }
        parts.iter().for_each(|p| digits.extend(format!("{p:0>2}").chars()));
    } else {
        digits.push_str(text);
    }
    if digits.len() != 12 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let value = u64::from_str_radix(&digits, 16).ok()?;
    let bytes = value.to_be_bytes();
    let mac = [bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]];
    (mac[0] & 1 == 0 && mac != [0; 6]).then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Vec<Known> {
        let own = [("if", Kind::Text), ("promisc", Kind::Bool), ("irq", Kind::U32), ("addr", Kind::Mac)];
        let generic = DRIVER_GENERIC.iter().map(|(n, k, _)| (*n, *k));
        own.into_iter()
            .chain(generic)
            .map(|(name, kind)| Known { name: name.into(), kind, help: String::new() })
            .collect()
    }

    fn parse(text: &str) -> Result<Options, OptionError> {
        Options::parse(text, &table())
    }

    #[test]
    fn commas_and_spaces_separate_alike() {
        for text in ["if=eth0,irq=0x1f,promisc", "if=eth0 irq=31  promisc", " if=eth0, irq=31 ,,promisc=on,"] {
            let o = parse(text).unwrap();
            assert_eq!((o.text("if"), o.number("irq"), o.flag("promisc", false)), (Some("eth0"), Some(31), true));
        }
        assert!(!parse("promisc=off").unwrap().flag("promisc", true));
        assert!(parse("").unwrap().flag("promisc", true));
    }

    #[test]
    fn quotes_keep_separators_in_a_value() {
        assert_eq!(parse("if=\"a, b\"c").unwrap().text("if"), Some("a, bc"));
        assert_eq!(parse("if='x=\"y\"'").unwrap().text("if"), Some("x=\"y\""));
        assert!(parse("if=\"open").unwrap_err().0.contains("not closed"));
    }

    #[test]
    fn an_unknown_key_lists_the_known_ones() {
        let text = parse("fi=eth0").unwrap_err().0;
        assert_eq!(text, "unknown option \"fi\"; known: if, promisc, irq, addr, name, unit, mac, mtu, verbose");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named() {
        assert_eq!(parse("irq=many").unwrap_err().0, "irq=many is not valid; expected a number (decimal or 0x…)");
        for bad in ["irq", "irq=", "irq=-1", "irq=0x", "irq=+1", "irq=4294967296", "promisc=maybe", "if", "=x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("verbose").unwrap().number("verbose"), Some(1));
        let o = parse("irq=70").unwrap();
        assert_eq!(o.number_in("irq", 1..=64).unwrap_err().0, "irq=70 is out of range; expected 1 to 64");
    }

    #[test]
    fn both_forms_of_an_ethernet_address() {
        let mac = Some([2, 0, 0xa, 0xb, 0xc, 0xd]);
        assert_eq!(parse_mac("02000a0b0c0d"), mac);
        assert_eq!(parse_mac("2:0:a:b:C:0d"), mac);
        for bad in [
            "",
            "02000a0b0c",
            "02:00:0a:0b:0c",
            "02:00:0a:0b:0c:0d:0e",
            "zz000a0b0c0d",
            "01005e000001",
            "+2000a0b0c0d",
            "000000000000",
        ] {
            assert_eq!(parse_mac(bad), None, "{bad}");
        }
    }

    #[test]
    fn repeated_options_keep_their_order() {
        let o = parse("if=a,if=b").unwrap();
        assert_eq!(o.all("if").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(o.text("if"), Some("b"));
    }
}
