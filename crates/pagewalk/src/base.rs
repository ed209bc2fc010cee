//! What `--machine` gives, and what the options beside it change.
//!
//! ```text
//!              --machine M        without
//!   --mmu      M's                sv39
//!   --tlb      M's                the MMU's own
//!   --walk-cache, --cache   M's   none
//!   --ram      M's                64 MiB
//!   --cost     laid over M's      laid over the model's defaults
//! ```
//!
//! 1. An option that is given wins over the machine.
//! 2. What remains of the machine must go with what was given: an MMU whose base pages the
//!    machine's TLB cannot hold, or RAM beyond its physical addresses, is refused.

use pagewalk_machine::config::{RAM_BYTES_MAX, RAM_BYTES_MIN};
use pagewalk_machine::{CostModel, Hardware};
use pagewalk_machines::Description;
use pagewalk_mmu::WalkCacheConfig;
use pagewalk_mmu::cache::CacheConfig;
use pagewalk_mmu::tlb::{Arrays, LevelConfig, TlbConfig};

use crate::failure::Failure;
use crate::number::size;

/// The MMU of a machine that nobody described …
const MMU: &str = "sv39";
/// … and its RAM.
const RAM_BYTES: u64 = 64 << 20;

/// What options are laid over.
pub struct Base {
    machine: Option<Description>,
}

impl Base {
    /// The machine of that name or in that file; without a name, the simulator's own.
    ///
    /// # Errors
    /// What is wrong with the name or the file.
    pub fn new(name: Option<&str>) -> Result<Self, Failure> {
        let load = |name| pagewalk_machines::load(name).map_err(refuse_machine);
        Ok(Self { machine: name.map(load).transpose()? })
    }

    /// The machine's name.
    pub fn name(&self) -> Option<String> {
        self.machine.as_ref().map(|machine| machine.name.clone())
    }

    /// RAM in bytes; `mmu` is the option that is given beside it.
    ///
    /// # Errors
    /// If the text is no size, or out of range.
    pub fn ram(&self, text: Option<&str>, mmu: Option<&str>) -> Result<u64, Failure> {
        let Some(text) = text else {
            return Ok(self.machine.as_ref().map_or(RAM_BYTES, |machine| machine.memory.ram));
        };
        let refuse = |problem| Failure::bad_value("ram", text, problem);
        let bytes = size(text).map_err(refuse)?;
        if !(RAM_BYTES_MIN..=RAM_BYTES_MAX).contains(&bytes) {
            return Err(refuse("give 64KiB to 1TiB".into()));
        }
        match self.machine.as_ref().filter(|_| mmu.is_none()) {
            Some(machine) if bytes > 1 << machine.mmu.physical_bits => {
                let Description { name, mmu, .. } = machine;
                let bits = mmu.physical_bits;
                let problem = format!("{name} has physical addresses of {bits} bits: give less");
                Err(refuse(problem))
            }
            _ => Ok(bytes),
        }
    }

    /// What translates addresses.
    ///
    /// # Errors
    /// If there is no such MMU.
    pub fn hardware(&self, name: Option<&str>, ram_bytes: u64) -> Result<Hardware, Failure> {
        if let Some(machine) = self.machine.as_ref()
            && name.is_none_or(|name| name == machine.mmu.name)
        {
            return machine.hardware(ram_bytes).map_err(Failure::unusable);
        }
        let name = name.unwrap_or(MMU);
        let expected = || format!("give one of {}", Hardware::NAMES.join(", "));
        let hardware = Hardware::by_name(name, ram_bytes);
        hardware.ok_or_else(|| Failure::bad_value("mmu", name, expected()))
    }

    /// The TLB; `None` for none.
    ///
    /// # Errors
    /// If the text is no TLB, or the TLB does not go with the MMU.
    pub fn tlb(
        &self,
        text: Option<&str>,
        hardware: &Hardware,
    ) -> Result<Option<TlbConfig>, Failure> {
        match (text, &self.machine) {
            (Some(text), _) => given_tlb(text, hardware),
            (None, Some(machine)) => machine_tlb(machine, hardware).map(Some),
            (None, None) => Ok(Some(hardware.default_tlb())),
        }
    }

    /// The cache of pointers to page tables. That of the machine is left out where the MMU has no
    /// tables of its levels.
    ///
    /// # Errors
    /// If the text is none, or does not go with the MMU.
    pub fn walk_cache(
        &self,
        text: Option<&str>,
        hardware: &Hardware,
    ) -> Result<Option<WalkCacheConfig>, Failure> {
        match (text, &self.machine) {
            (Some("none"), _) | (None, None) => Ok(None),
            (Some(text), _) => given_walk_cache(text, hardware).map(Some),
            (None, Some(machine)) => {
                let own = machine.walk_cache().map_err(Failure::unusable)?;
                let fits = |config: &WalkCacheConfig| {
                    hardware.tables().is_some_and(|tables| config.check(tables).is_ok())
                };
                Ok(own.filter(fits))
            }
        }
    }

    /// The data caches.
    ///
    /// # Errors
    /// If the text is none.
    pub fn cache(&self, text: Option<&str>) -> Result<Option<CacheConfig>, Failure> {
        match (text, &self.machine) {
            (Some("none"), _) | (None, None) => Ok(None),
            (Some(text), _) => CacheConfig::parse(text)
                .map(Some)
                .map_err(|problem| Failure::bad_value("cache", text, problem)),
            (None, Some(machine)) => machine.cache().map_err(Failure::unusable),
        }
    }

    /// The costs, with those of the TOML text in their place.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn cost(&self, text: Option<&str>) -> Result<CostModel, String> {
        let base = self.machine.as_ref().map(Description::cost).unwrap_or_default();
        text.map_or(Ok(base), |text| pagewalk_machines::overlay(&base, text))
    }
}

/// Refuses a machine's description.
pub fn refuse_machine(error: pagewalk_machines::DescriptionError) -> Failure {
    Failure::refused("--machine", error)
}

fn given_tlb(text: &str, hardware: &Hardware) -> Result<Option<TlbConfig>, Failure> {
    let refuse = |problem| Failure::bad_value("tlb", text, problem);
    let tlb = match text {
        "none" => None,
        text => Some(TlbConfig::parse(text).map_err(|problem| refuse(problem.to_string()))?),
    };
    hardware.check_tlb(tlb.as_ref()).map_err(refuse)?;
    Ok(tlb)
}

fn given_walk_cache(text: &str, hardware: &Hardware) -> Result<WalkCacheConfig, Failure> {
    let refuse = |problem: String| Failure::bad_value("walk-cache", text, problem);
    let config = WalkCacheConfig::parse(text).map_err(|problem| refuse(problem.to_string()))?;
    let Some(tables) = hardware.tables() else {
        let name = hardware.name();
        return Err(refuse(format!("--mmu {name} has no page tables; leave the option out")));
    };
    config.check(tables).map_err(|problem| refuse(problem.to_string()))?;
    Ok(config)
}

fn machine_tlb(machine: &Description, hardware: &Hardware) -> Result<TlbConfig, Failure> {
    let tlb = machine.tlb().map_err(Failure::unusable)?;
    let checked = check_base_page(&tlb, hardware).and_then(|()| hardware.check_tlb(Some(&tlb)));
    checked.map_err(|problem| {
        let both = format!("--machine {} --mmu {}", machine.name, hardware.name());
        Failure::refused(both, format!("{problem}; or give --tlb as well"))
    })?;
    Ok(tlb)
}

/// Whether each side of the first level holds base pages.
fn check_base_page(tlb: &TlbConfig, hardware: &Hardware) -> Result<(), String> {
    let page = hardware.base_page();
    let holds = |arrays: &Arrays| arrays.iter().any(|array| array.pages().contains(page));
    let is_held = match &tlb.l1 {
        LevelConfig::Unified(arrays) => holds(arrays),
        LevelConfig::Split { instruction, data } => holds(instruction) && holds(data),
    };
    match is_held || hardware.tables().is_none() {
        true => Ok(()),
        false => {
            Err(format!("the machine's TLB, {tlb}, holds no pages of {page}: leave --mmu out"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(name: &str) -> Base {
        Base::new(Some(name)).expect("a machine")
    }

    #[test]
    fn without_a_machine_there_are_defaults() {
        let base = Base::new(None).unwrap();
        let hardware = base.hardware(None, RAM_BYTES).unwrap();
        assert_eq!((base.name(), hardware.name()), (None, "sv39"));
        assert_eq!(base.ram(None, None).unwrap(), 64 << 20);
        assert_eq!(base.tlb(None, &hardware).unwrap(), Some(TlbConfig::default()));
        assert_eq!(base.walk_cache(None, &hardware).unwrap(), None);
        assert_eq!(base.cache(None).unwrap(), None);
        assert_eq!(base.cost(None), Ok(CostModel::default()));
    }

    #[test]
    fn options_win_over_the_machine() {
        let skylake = base("skylake");
        let own = skylake.hardware(None, 1 << 30).unwrap();
        assert_eq!(own.name(), "x86-64");
        assert_eq!(skylake.ram(Some("1G"), None).unwrap(), 1 << 30);
        assert_eq!(skylake.tlb(Some("none"), &own).unwrap(), None);
        let sv48 = skylake.hardware(Some("sv48"), 1 << 30).unwrap();
        assert_eq!(sv48.name(), "sv48");
        assert_eq!(skylake.tlb(None, &sv48).unwrap(), skylake.tlb(None, &own).unwrap());
        let written = |config: Option<WalkCacheConfig>| config.map(|config| config.to_string());
        let walk_cache = |text, hardware| written(skylake.walk_cache(text, hardware).unwrap());
        assert_eq!(walk_cache(None, &own).as_deref(), Some("l1=8x4:lru"));
        assert_eq!(walk_cache(Some("none"), &own), None);
        let ppc = skylake.hardware(Some("ppc"), 1 << 30).unwrap();
        assert_eq!(walk_cache(None, &ppc), None);
        assert!(
            skylake.cache(None).unwrap().is_some()
                && skylake.cache(Some("none")).unwrap().is_none()
        );
        let cost = skylake.cost(Some("trap = 5")).unwrap();
        assert_eq!((cost.trap, cost.clock_mhz), (5, 2200));
    }

    #[test]
    fn a_linear_machine_keeps_its_page() {
        let vax = base("vax-11-780");
        for name in [None, Some("linear")] {
            assert_eq!(vax.hardware(name, 8 << 20).unwrap().base_page().bytes(), 512);
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let told = |failure: Failure| format!("{failure:?}");
        let i386 = base("i386");
        let error = told(i386.ram(Some("8G"), None).unwrap_err());
        assert!(error.contains("i386 has physical addresses of 32 bits"), "{error}");
        assert_eq!(i386.ram(Some("8G"), Some("sv39")).unwrap(), 8 << 30);
        let skylake = base("skylake");
        let wide = skylake.hardware(Some("aarch64-64k"), 1 << 30).unwrap();
        let error = told(skylake.tlb(None, &wide).unwrap_err());
        assert!(error.contains("no pages of 64 KiB") && error.contains("--tlb"), "{error}");
        let r3000 = skylake.hardware(Some("r3000"), 1 << 30).unwrap();
        let error = told(skylake.tlb(None, &r3000).unwrap_err());
        assert!(error.contains("--machine skylake --mmu r3000"), "{error}");
        let none = skylake.hardware(Some("none"), 1 << 30).unwrap();
        assert!(skylake.tlb(None, &none).is_ok());
    }
}
