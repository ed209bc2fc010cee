//! Saved machines: what a translation depends on, MMU and physical memory.
//!
//! ```text
//!   pagewalk snapshot 1\n
//!   {"mmu": "sv39", "asid": 1, "root": 4096, "ram_bytes": 67108864, "frame_bytes": 4096}\n
//!   frame number, 8 bytes, little-endian │ the frame's bytes       each frame that is not zero
//!   …
//! ```

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use pagewalk_explain::{Scene, SparseMemory};
use pagewalk_machine::Machine;
use pagewalk_machine::config::RAM_BYTES_MAX;
use pagewalk_mmu::tlb::TlbConfig;
use pagewalk_mmu::{Asid, Pfn, PhysAddr, Tables};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::options::plain;

const MAGIC: &str = "pagewalk snapshot 1";

/// No header is longer.
const LINE_MAX: u64 = 4096;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    mmu: String,
    asid: u16,
    root: u64,
    ram_bytes: u64,
    frame_bytes: u64,
}

/// Writes a machine.
///
/// # Errors
/// The writer's.
pub fn save(machine: &Machine, out: &mut impl Write) -> io::Result<()> {
    let (mmu, ram) = (machine.mmu(), machine.ram());
    let header = Header {
        mmu: mmu.tables().name().into(),
        asid: mmu.asid().0,
        root: mmu.root().table.0,
        ram_bytes: ram.bytes(),
        frame_bytes: ram.page().bytes(),
    };
    writeln!(out, "{MAGIC}")?;
    serde_json::to_writer(&mut *out, &header)?;
    writeln!(out)?;
    for number in 0..header.ram_bytes / header.frame_bytes {
        let frame = ram.frame(Pfn(number));
        if frame.iter().any(|&byte| byte != 0) {
            out.write_all(&number.to_le_bytes())?;
            out.write_all(frame)?;
        }
    }
    Ok(())
}

/// Reads a machine.
///
/// # Errors
/// What is wrong with the file.
pub fn load(path: &Path, tlb: Option<TlbConfig>) -> Result<Scene, Failure> {
    let refuse = |problem: String| Failure::bad_file(path, problem);
    let file = File::open(path).map_err(|error| {
        refuse(format!("{}; give a file that run --snapshot wrote", plain(&error)))
    })?;
    let mut input = BufReader::new(file);
    if line(&mut input).map_err(|error| refuse(plain(&error)))? != MAGIC {
        return Err(refuse("is no snapshot: give a file that run --snapshot wrote".into()));
    }
    let text = line(&mut input).map_err(|error| refuse(plain(&error)))?;
    let header: Header = serde_json::from_str(&text)
        .map_err(|error| refuse(format!("line 2 is no header: {error}")))?;
    let frames = header.ram_bytes.checked_div(header.frame_bytes).unwrap_or(0);
    let tables = Tables::by_name(&header.mmu, frames)
        .filter(|tables| tables.base_page().bytes() == header.frame_bytes)
        .filter(|_| header.ram_bytes <= RAM_BYTES_MAX)
        .ok_or_else(|| refuse("line 2 describes no machine of this version".into()))?;
    let mut memory = SparseMemory::new(header.ram_bytes);
    read_frames(&mut input, &header, &mut memory).map_err(refuse)?;
    Scene::new(tables, tlb, memory, PhysAddr(header.root), Asid(header.asid))
        .map_err(|cause| refuse(format!("no root at {:#x}: {cause}", header.root)))
}

fn read_frames(
    input: &mut impl Read,
    header: &Header,
    memory: &mut SparseMemory,
) -> Result<(), String> {
    let mut record = vec![0; 8 + header.frame_bytes as usize];
    loop {
        let mut read = 0;
        while read < record.len() {
            match input.read(&mut record[read..]).map_err(|error| plain(&error))? {
                0 if read == 0 => return Ok(()),
                0 => return Err("ends in the middle of a frame".into()),
                bytes => read += bytes,
            }
        }
        let (number, frame) = record.split_at(8);
        let number = number.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte));
        let at = number.checked_mul(header.frame_bytes).map(PhysAddr);
        if at.is_none_or(|at| memory.put(at, frame).is_err()) {
            return Err(format!("frame {number} lies outside memory"));
        }
    }
}

/// A line without its end.
fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    input.take(LINE_MAX).read_until(b'\n', &mut bytes)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
