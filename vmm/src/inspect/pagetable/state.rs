//! The registers that decide how a CPU reads its page tables.

use kvm_bindings::{CpuId, kvm_sregs};
use schemars::JsonSchema;
use serde::Serialize;

use super::bits::{
    CR0_PG, CR0_WP, CR4_LA57, CR4_PAE, CR4_PKE, CR4_SMAP, CR4_SMEP, EFER_LMA, EFER_LME, EFER_NXE,
};
use crate::{
    inspect::{hex, image::CpuRegisters},
    machine::registers::ControlRegisters,
};

/// What CPUID says about paging.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CpuModel {
    /// Width of a physical address (MAXPHYADDR), 32 to 52; address bits above it are reserved.
    pub phys_bits: u8,
    /// 1 GiB pages exist; without them PS is reserved on level 3.
    pub gib_pages: bool,
    /// Bit 8 is reserved in entries of levels 4 and 5, as on AMD (APM volume 2, section 5.3).
    pub upper_global_reserved: bool,
}

/// An impossible CPU model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("physical addresses of {phys_bits} bits do not exist; give 32 to 52")]
pub struct CpuModelError {
    /// Width found.
    pub phys_bits: u8,
}

impl Default for CpuModel {
    /// The widest addresses, on which fewest bits are reserved.
    fn default() -> Self {
        Self {
            phys_bits: 52,
            gib_pages: true,
            upper_global_reserved: false,
        }
    }
}

impl CpuModel {
    /// The CPU that a `CPUID` table describes (SDM volume 2, CPUID leaves 0, 80000001H and
    /// 80000008H). A CPU without the last has addresses of 36 bits.
    pub fn from_cpuid(cpuid: &CpuId) -> Self {
        let leaf = |function| {
            cpuid
                .as_slice()
                .iter()
                .find(|entry| entry.function == function)
        };
        let vendor = leaf(0).map_or([0; 3], |entry| [entry.ebx, entry.edx, entry.ecx]);
        let vendor = vendor.map(u32::to_le_bytes);
        Self {
            phys_bits: leaf(0x8000_0008).map_or(36, |entry| entry.eax as u8),
            gib_pages: leaf(0x8000_0001).is_some_and(|entry| entry.edx & 1 << 26 != 0),
            upper_global_reserved: [*b"AuthenticAMD", *b"HygonGenuine"]
                .iter()
                .any(|name| name == vendor.as_flattened()),
        }
    }

    /// Checks that such a CPU can be.
    ///
    /// # Errors
    /// The address width is impossible.
    pub fn check(self) -> Result<(), CpuModelError> {
        match self.phys_bits {
            32..=52 => Ok(()),
            phys_bits => Err(CpuModelError { phys_bits }),
        }
    }
}

/// The registers and properties of a CPU on which the meaning of page tables depends.
///
/// Left out, because the machines pagelab runs do not have them: protection keys for supervisor
/// pages (CR4.PKS), linear-address masking and shadow stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PagingState {
    /// CR0: PG and WP count.
    #[serde(serialize_with = "hex::serialize")]
    #[schemars(with = "String")]
    pub cr0: u64,
    /// CR3: the physical address of the top table.
    #[serde(serialize_with = "hex::serialize")]
    #[schemars(with = "String")]
    pub cr3: u64,
    /// CR4: PAE, LA57, SMEP, SMAP and PKE count.
    #[serde(serialize_with = "hex::serialize")]
    #[schemars(with = "String")]
    pub cr4: u64,
    /// EFER: LMA and NXE count.
    #[serde(serialize_with = "hex::serialize")]
    #[schemars(with = "String")]
    pub efer: u64,
    /// PKRU: for each of the 16 keys, bit 2k denies access and bit 2k+1 denies writing.
    pub pkru: u32,
    /// The CPU.
    pub model: CpuModel,
}

impl PagingState {
    /// The state of a vCPU as KVM returns it. PKRU is not among these registers and is taken as 0,
    /// which denies nothing.
    pub fn from_kvm(sregs: &kvm_sregs, model: CpuModel) -> Self {
        Self {
            cr0: sregs.cr0,
            cr3: sregs.cr3,
            cr4: sregs.cr4,
            efer: sregs.efer,
            pkru: 0,
            model,
        }
    }

    /// The state of a machine's vCPU.
    pub fn from_control(control: &ControlRegisters, model: CpuModel) -> Self {
        Self {
            cr0: control.cr0,
            cr3: control.cr3,
            cr4: control.cr4,
            efer: control.efer,
            pkru: control.pkru,
            model,
        }
    }

    /// The state of a CPU in an image; `efer` is used if the image does not tell it.
    pub fn from_registers(cpu: &CpuRegisters, efer: u64, model: CpuModel) -> Self {
        Self {
            cr0: cpu.cr[0],
            cr3: cpu.cr[3],
            cr4: cpu.cr[4],
            efer: cpu.efer.unwrap_or(efer),
            pkru: cpu.pkru.unwrap_or(0),
            model,
        }
    }

    /// Levels of tables, 4 or 5; `None` unless 64-bit paging is on.
    pub fn levels(&self) -> Option<u8> {
        // LMA follows from LME and PG; some sources of registers have only LME.
        let long = self.efer & (EFER_LMA | EFER_LME) != 0;
        if self.cr0 & CR0_PG == 0 || self.cr4 & CR4_PAE == 0 || !long {
            return None;
        }
        Some(if self.cr4 & CR4_LA57 != 0 { 5 } else { 4 })
    }

    /// Whether ring 0 obeys read-only pages.
    pub fn write_protect(&self) -> bool {
        self.cr0 & CR0_WP != 0
    }

    /// Whether the NX bit exists.
    pub fn nx_enabled(&self) -> bool {
        self.efer & EFER_NXE != 0
    }

    /// Whether ring 0 is kept from executing user pages.
    pub fn smep(&self) -> bool {
        self.cr4 & CR4_SMEP != 0
    }

    /// Whether ring 0 is kept from touching user pages.
    pub fn smap(&self) -> bool {
        self.cr4 & CR4_SMAP != 0
    }

    /// Whether user pages have protection keys.
    pub fn protection_keys(&self) -> bool {
        self.cr4 & CR4_PKE != 0
    }
}
