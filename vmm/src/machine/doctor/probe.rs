//! Machines of a few instructions that show what KVM does with them.

use std::arch::x86_64::__cpuid;
use std::fmt;
use std::time::{Duration, Instant};

use kvm_bindings::CpuId;
use kvm_ioctls::Kvm;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Capability, Need};
use crate::machine::crash::CrashKind;
use crate::machine::tiny::pvh_elf;
use crate::machine::{Kernel, Machine, MachineConfig, MachineError, Stop, cpuid};

/// How KVM runs a guest's ring 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// Intel VT-x.
    VtX,
    /// AMD-V, or Hygon's.
    AmdV,
    /// Page-table based KVM: ring 3 runs natively, ring 0 in KVM's instruction emulator.
    InterpretedRing0,
    /// Native, on a CPU of another maker.
    OtherNative,
}

impl Backend {
    /// What this CPU says of itself, for reports: costs one instruction and tries nothing, while
    /// [`super::examine`] does. VMX and SVM are the bits of Intel SDM volume 2, CPUID leaf 1, and
    /// of AMD APM volume 3, leaf 8000_0001.
    pub fn claimed() -> Self {
        const VMX: u32 = 1 << 5;
        const SVM: u32 = 1 << 2;
        if __cpuid(1).ecx & VMX != 0 {
            Self::VtX
        } else if __cpuid(0x8000_0001).ecx & SVM != 0 {
            Self::AmdV
        } else {
            Self::InterpretedRing0
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::VtX => "VT-x",
            Self::AmdV => "AMD-V",
            Self::InterpretedRing0 => "interpreted ring 0",
            Self::OtherNative => "native, unknown maker",
        })
    }
}

/// How fast ring 0 runs, measured once: an order of magnitude, not a benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Speed {
    /// Simple instructions per second, in millions.
    pub million_instructions_per_second: f64,
    /// Time for a port exit and back, in microseconds.
    pub exit_microseconds: f64,
}

pub(super) struct Probe {
    pub(super) backend: Backend,
    pub(super) speed: Speed,
    pub(super) physical_address_bits: u32,
    pub(super) cpu: Vec<Capability>,
}

pub(super) fn run(kvm: &Kvm) -> Result<Probe, MachineError> {
    let cpuid = cpuid::supported(kvm)?;
    let backend = backend(&cpuid)?;
    Ok(Probe {
        backend,
        speed: Speed {
            million_instructions_per_second: instructions_per_second(backend)? / 1e6,
            exit_microseconds: exit_seconds()? * 1e6,
        },
        physical_address_bits: cpuid::physical_address_bits(&cpuid),
        cpu: control_bits()?,
    })
}

fn machine(code: &[u8]) -> Result<Machine, MachineError> {
    let config = MachineConfig {
        memory: 16 << 20,
        balloon: false,
        watchdog: Duration::from_secs(5),
        ..MachineConfig::new(Kernel::Bytes(pvh_elf(code)))
    };
    Machine::new(config)
}

/// `xor eax, eax; mov edx, 0xf4; out dx, eax`
const EXIT: [u8; 8] = [0x31, 0xc0, 0xba, 0xf4, 0, 0, 0, 0xef];

/// KVM's instruction emulator does not know popcnt, which every CPU of the last 15 years does: if
/// it fails in ring 0, then ring 0 is emulated.
fn backend(cpuid: &CpuId) -> Result<Backend, MachineError> {
    // popcnt eax, eax
    let mut code = vec![0xf3, 0x0f, 0xb8, 0xc0];
    code.extend(EXIT);
    if let Stop::Crash(report) = machine(&code)?.run()?
        && matches!(report.cause, CrashKind::Emulation { .. })
    {
        return Ok(Backend::InterpretedRing0);
    }
    Ok(match cpuid::vendor(cpuid).as_slice() {
        b"GenuineIntel" => Backend::VtX,
        b"AuthenticAMD" | b"HygonGenuine" => Backend::AmdV,
        _ => Backend::OtherNative,
    })
}

/// Runs `code` to its end a few times; the shortest counts, as others may want the CPU too.
fn seconds(code: &[u8]) -> Result<f64, MachineError> {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let mut machine = machine(code)?;
        let start = Instant::now();
        machine.run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn instructions_per_second(backend: Backend) -> Result<f64, MachineError> {
    let rounds: u32 = match backend {
        Backend::InterpretedRing0 => 20_000,
        _ => 2_000_000,
    };
    // mov ecx, rounds; 1: dec ecx; jnz 1b
    let mut code = vec![0xb9];
    code.extend(rounds.to_le_bytes());
    code.extend([0x49, 0x75, 0xfd]);
    code.extend(EXIT);
    Ok(f64::from(rounds) * 2.0 / seconds(&code)?)
}

fn exit_seconds() -> Result<f64, MachineError> {
    const EXITS: u16 = 500;
    // mov ecx, EXITS; mov edx, 0x3ff; 1: out dx, al; dec ecx; jnz 1b: the console's scratch register.
    let [low, high] = EXITS.to_le_bytes();
    let mut code = vec![0xb9, low, high, 0, 0, 0xba, 0xff, 3, 0, 0];
    code.extend([0xee, 0x49, 0x75, 0xfc]);
    code.extend(EXIT);
    Ok(seconds(&code)? / f64::from(EXITS))
}

/// Bits of CR4 that the guest's paging depends on (Intel SDM vol. 3, 2.5), set in vain or not.
fn control_bits() -> Result<Vec<Capability>, MachineError> {
    const BITS: [(&str, u32, &str); 6] = [
        ("CR4.PGE", 7, "global pages"),
        ("CR4.LA57", 12, "5-level paging"),
        ("CR4.PCIDE", 17, "PCIDs"),
        ("CR4.SMEP", 20, "SMEP"),
        ("CR4.SMAP", 21, "SMAP"),
        ("CR4.PKE", 22, "protection keys"),
    ];
    let machine = machine(&EXIT)?;
    let mut found = Vec::new();
    for (name, bit, used_for) in BITS {
        found.push(Capability {
            name,
            used_for,
            present: machine.vcpu.accepts_cr4(1 << bit)?,
            need: Need::Optional,
            remedy: "the guest does without; use another host to test it",
        });
    }
    Ok(found)
}
