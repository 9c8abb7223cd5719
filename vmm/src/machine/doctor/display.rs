//! The report as a person reads it: at most 80 columns.

use std::fmt;

use super::{Backend, HostReport};
use crate::machine::crash::wrapped;
use crate::size::ByteSize;

const WIDTH: usize = 80;
const INDENT: usize = 14;

impl fmt::Display for HostReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        item(f, "host kernel", &self.kernel)?;
        if let Some(backend) = self.backend {
            item(f, "backend", &format!("{backend}: {}", meaning(backend)))?;
        }
        if let Some(speed) = self.speed {
            let text = format!(
                "{:.1} million ring-0 instructions/s, {:.1} us an exit",
                speed.million_instructions_per_second, speed.exit_microseconds
            );
            item(f, "speed", &text)?;
        }
        item(f, "memory", &self.memory())?;
        for capability in &self.capabilities {
            let mark = if capability.present { "yes" } else { "no" };
            let name = capability.name;
            writeln!(f, "  {mark:<4}{name:<36}{}", capability.used_for)?;
            if !capability.present {
                for line in wrapped(capability.remedy, WIDTH - 8) {
                    writeln!(f, "        {line}")?;
                }
            }
        }
        match &self.problem {
            Some(problem) => {
                item(f, "verdict", "no machine can run here")?;
                item(f, "remedy", problem)
            }
            None => item(f, "verdict", "machines run here"),
        }
    }
}

impl HostReport {
    fn memory(&self) -> String {
        let mut text = format!("machines of up to {}", ByteSize(self.largest_memory));
        if let Some(bits) = self.physical_address_bits {
            text += &format!(", {bits} physical address bits");
        }
        if let Some(slots) = self.memory_slots {
            text += &format!(", {slots} slots");
        }
        text
    }
}

fn meaning(backend: Backend) -> &'static str {
    match backend {
        Backend::VtX | Backend::AmdV | Backend::OtherNative => "the guest runs natively",
        Backend::InterpretedRing0 => {
            "page-table based KVM; ring 3 runs natively, ring 0 in KVM's instruction emulator"
        }
    }
}

/// A name and its text, which wraps under itself.
fn item(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    let mut name = name;
    for line in wrapped(text, WIDTH - INDENT) {
        writeln!(f, "{name:<INDENT$}{line}")?;
        name = "";
    }
    Ok(())
}
