//! What the front door must know of a program file: for which machine it is, who interprets it,
//! whether Go made it (elf(5)). Damaged files come from anywhere: every offset is checked.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
/// Most program headers looked at, and longest segment read.
const HEADERS_MAX: u16 = 256;
const SEGMENT_MAX: u64 = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// EI_CLASS and EI_DATA: word length and byte order.
    pub form: [u8; 2],
    pub machine: u16,
    /// The dynamic loader; none for a static program.
    pub interpreter: Option<String>,
    pub go: bool,
}

/// `None` when the file is no ELF file at all, or one that ends too early.
pub fn read(path: &Path) -> io::Result<Option<Elf>> {
    let file = File::open(path)?;
    Ok(parse(&|offset, len| {
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }))
}

/// `at(offset, len)` gives the bytes of the file there, if it has that many.
fn parse(at: &dyn Fn(u64, u64) -> Option<Vec<u8>>) -> Option<Elf> {
    let ident = at(0, 16)?;
    if !ident.starts_with(b"\x7fELF") {
        return None;
    }
    let form = [ident[4], ident[5]];
    let wide = form[0] == 2;
    let field = Field { wide, big_endian: form[1] == 2 };
    let head = at(0, if wide { 64 } else { 52 })?;
    let machine = field.u16(&head, 18)?;
    let (phoff, phentsize, phnum) = match wide {
        true => (field.u64(&head, 32)?, field.u16(&head, 54)?, field.u16(&head, 56)?),
        false => (field.u32(&head, 28)?.into(), field.u16(&head, 42)?, field.u16(&head, 44)?),
    };
    let mut elf = Elf { form, machine, interpreter: None, go: false };
    for i in 0..u64::from(phnum.min(HEADERS_MAX)) {
        let header = at(phoff.checked_add(i * u64::from(phentsize))?, phentsize.into())?;
        let kind = field.u32(&header, 0)?;
        if kind != PT_INTERP && kind != PT_NOTE {
            continue;
        }
        let (offset, len) = match wide {
            true => (field.u64(&header, 8)?, field.u64(&header, 32)?),
            false => (field.u32(&header, 4)?.into(), field.u32(&header, 16)?.into()),
        };
        let segment = at(offset, len.min(SEGMENT_MAX))?;
        match kind {
            PT_INTERP => {
                let text = segment.split(|b| *b == 0).next().unwrap_or_default();
                elf.interpreter = Some(String::from_utf8_lossy(text).into_owned());
            }
            _ => elf.go |= has_note(&segment, b"Go\0\0", field),
        }
    }
    Some(elf)
}

/// Whether a row of notes holds one of this owner. Name and descriptor are padded to four bytes.
fn has_note(notes: &[u8], owner: &[u8], field: Field) -> bool {
    let padded = |n: u32| (n as usize).checked_next_multiple_of(4);
    let mut rest = notes;
    while let (Some(name_len), Some(desc_len)) = (field.u32(rest, 0), field.u32(rest, 4)) {
        if rest.get(12..12 + owner.len()) == Some(owner) && name_len as usize == owner.len() {
            return true;
        }
        let skip = padded(name_len).zip(padded(desc_len)).and_then(|(n, d)| n.checked_add(d)?.checked_add(12));
        match skip.and_then(|n| rest.get(n..)) {
            Some(next) => rest = next,
            None => return false,
        }
    }
    false
}

#[derive(Clone, Copy)]
struct Field {
    wide: bool,
    big_endian: bool,
}

impl Field {
    fn bytes<const N: usize>(self, b: &[u8], at: usize) -> Option<[u8; N]> {
        let mut field: [u8; N] = *b.get(at..)?.first_chunk()?;
        if self.big_endian {
            field.reverse();
        }
        Some(field)
    }

    fn u16(self, b: &[u8], at: usize) -> Option<u16> {
        self.bytes(b, at).map(u16::from_le_bytes)
    }

    fn u32(self, b: &[u8], at: usize) -> Option<u32> {
        self.bytes(b, at).map(u32::from_le_bytes)
    }

    fn u64(self, b: &[u8], at: usize) -> Option<u64> {
        debug_assert!(self.wide);
        self.bytes(b, at).map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Option<Elf> {
        parse(&|offset, len| {
            let start = usize::try_from(offset).ok()?;
            bytes.get(start..start.checked_add(usize::try_from(len).ok()?)?).map(<[u8]>::to_vec)
        })
    }

    /// A 64-bit little-endian file with the given segments.
    fn image(segments: &[(u32, &[u8])]) -> Vec<u8> {
        let mut data_at = 64 + 56 * segments.len() as u64;
        let mut b = vec![0; 64];
        b[..6].copy_from_slice(b"\x7fELF\x02\x01");
        b[18] = 62;
        b[32] = 64;
        b[54] = 56;
        b[56] = segments.len() as u8;
        for (kind, data) in segments {
            let mut h = [0; 56];
            h[..4].copy_from_slice(&kind.to_le_bytes());
            h[8..16].copy_from_slice(&data_at.to_le_bytes());
            h[32..40].copy_from_slice(&(data.len() as u64).to_le_bytes());
            b.extend_from_slice(&h);
            data_at += data.len() as u64;
        }
        segments.iter().for_each(|(_, data)| b.extend_from_slice(data));
        b
    }

    #[test]
    fn the_interpreter_and_a_go_note_are_found() {
        let note = b"\x04\0\0\0\x02\0\0\0\x01\0\0\0GNU\0xx\0\0\x04\0\0\0\x04\0\0\0\x04\0\0\0Go\0\0abcd";
        let elf = of(&image(&[(1, b"code"), (PT_INTERP, b"/lib64/ld.so\0"), (PT_NOTE, note)])).expect("an ELF file");
        assert_eq!(elf, Elf { form: [2, 1], machine: 62, interpreter: Some("/lib64/ld.so".into()), go: true });
        let plain = of(&image(&[(PT_NOTE, &note[..24])])).expect("an ELF file");
        assert_eq!((plain.interpreter, plain.go), (None, false));
    }

    #[test]
    fn no_cut_file_brings_it_down() {
        let whole = image(&[(PT_INTERP, b"/lib64/ld.so\0"), (PT_NOTE, b"\x04\0\0\0\xff\xff\xff\xff\x01\0\0\0GNU\0")]);
        for n in 0..whole.len() {
            let _ = of(&whole[..n]);
        }
        assert_eq!(of(b"#!/bin/sh\n and more than sixteen bytes"), None);
    }

    #[test]
    fn this_very_test_is_a_dynamic_program() {
        let own = read(Path::new("/proc/self/exe")).expect("readable").expect("an ELF file");
        assert!(own.interpreter.is_some() && !own.go);
    }
}
