//! A snapshot to look at, without a machine.

use std::ops::Range;
use std::path::Path;

use pagelab_abi::PAGE_SHIFT;

use super::Snapshot;
use crate::inspect::image::{self, CpuRegisters, ImageError, PhysMem};
use crate::inspect::pagetable::{CpuModel, PagingState};
use crate::inspect::report;

impl PhysMem for Snapshot {
    fn ranges(&self) -> &[Range<u64>] {
        self.0.memory.ranges()
    }

    fn slice(&self, gpa: u64, len: usize) -> Option<&[u8]> {
        self.0.memory.slice(gpa, len)
    }
}

impl Snapshot {
    /// Saves memory and registers as an ELF core, as `pagelab run --save` does.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_core(&self, path: &Path) -> Result<(), ImageError> {
        let parts = &*self.0;
        let model = CpuModel::from_cpuid(&parts.cpuid);
        let paging = PagingState::from_kvm(&parts.cpu.sregs, model);
        let cpu = CpuRegisters::from_kvm(&parts.cpu.regs, &parts.cpu.sregs);
        let root = parts
            .run
            .root_pfn
            .and_then(|pfn| pfn.checked_mul(1 << PAGE_SHIFT));
        let root = root.filter(|root| self.page(*root).is_some());
        let views = report::kernel_views(self, paging).unwrap_or_default();
        image::save(path, self, &[cpu], model, root, &views).map(drop)
    }
}
