//! Control bits by name: CR0.WP, sstatus.SUM, PSTATE.PAN and the like.

use pagewalk_mmu::Tables;
use pagewalk_mmu::radix::{
    Aarch64, AdUpdate, Format, Ia32, Pae, Radix, RiscV, RiscVControls, X86_64, X86Controls,
};

const X86: &str = "wp, nxe, smep, smap, ac, pse, page1gb, pge";
const RISCV: &str = "sum, mxr, svade";
const AARCH64: &str = "ha, hd, pan, wxn";

/// The tables with a control bit set or cleared.
///
/// # Errors
/// The names that there are, if there is no such bit.
pub fn with_control(tables: Tables, name: &str, on: bool) -> Result<Tables, String> {
    let unknown = |names: &str| Err(format!("no control bit {name:?}: give one of {names}"));
    let Tables::Radix(format) = tables else {
        return Err(format!("no control bit {name:?}: {} has none", tables.name()));
    };
    let format = match format {
        Format::Ia32(old) => match x86(*old.controls(), name, on) {
            Some(controls) => Format::Ia32(Ia32::new(controls)),
            None => return unknown(X86),
        },
        Format::Pae(old) => match x86(*old.controls(), name, on) {
            Some(controls) => Format::Pae(Pae::new(controls)),
            None => return unknown(X86),
        },
        Format::X86_64(old) => match x86(*old.controls(), name, on) {
            Some(controls) => {
                Format::X86_64(X86_64::new(old.geometry().levels.len() as u8, controls))
            }
            None => return unknown(X86),
        },
        Format::RiscV(old) => match riscv(old.controls, name, on) {
            Some(controls) => Format::RiscV(RiscV::new(old.scheme, controls)),
            None => return unknown(RISCV),
        },
        Format::Aarch64(old) => {
            let mut controls = *old.controls();
            match name {
                "ha" => controls.ha = on,
                "hd" => controls.hd = on,
                "pan" => controls.pan = on,
                "wxn" => controls.wxn = on,
                _ => return unknown(AARCH64),
            }
            Format::Aarch64(Aarch64::new(old.granule(), controls))
        }
        other => return Err(format!("no control bit {name:?}: {} has none", other.name())),
    };
    Ok(Tables::Radix(format))
}

fn x86(mut controls: X86Controls, name: &str, on: bool) -> Option<X86Controls> {
    let bit = match name {
        "wp" => &mut controls.wp,
        "nxe" => &mut controls.nxe,
        "smep" => &mut controls.smep,
        "smap" => &mut controls.smap,
        "ac" => &mut controls.ac,
        "pse" => &mut controls.pse,
        "page1gb" => &mut controls.page1gb,
        "pge" => &mut controls.pge,
        _ => return None,
    };
    *bit = on;
    Some(controls)
}

fn riscv(mut controls: RiscVControls, name: &str, on: bool) -> Option<RiscVControls> {
    match name {
        "sum" => controls.sum = on,
        "mxr" => controls.mxr = on,
        "svade" => controls.ad = if on { AdUpdate::Svade } else { AdUpdate::Svadu },
        _ => return None,
    }
    Some(controls)
}
