//! What the inspector has to say of an image, whatever the image is.

use std::ops::Range;

use pagelab_abi::root::{KernelMap, Root};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    AuditResult,
    image::{ImageError, OpenError, PhysMem, SavedImage, VirtualView, read_root},
    pagetable::{
        AddressMap, DeviceRange, Expected, KERNEL_HALF, Mapping, PageTables, PagingError,
        PagingState, Regions, Visitor, WalkLimits, audit,
    },
};

/// The page tables of an image.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PagetableReport {
    /// What is mapped.
    pub map: AddressMap,
    /// What the audits say of it.
    pub audits: Vec<AuditResult>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There are no page tables to walk.
    #[error(transparent)]
    Paging(#[from] PagingError),
    /// The image cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Walks and audits the page tables that `state` points to. `root` is the guest's root page; without
/// it the image is another kernel's, regions have no names and what asks for them is skipped.
///
/// # Errors
/// The CPU is not in 64-bit paging mode, or CR3 is outside the image.
pub fn pagetable(
    mem: &(impl PhysMem + ?Sized),
    state: PagingState,
    root: Option<&Root>,
    devices: &[DeviceRange],
) -> Result<PagetableReport, PagingError> {
    let tables = PageTables::new(mem, state)?;
    let kernel: Option<&KernelMap> = root.map(|root| &root.kernel);
    let regions = kernel.map(Regions::of_guest).unwrap_or_default();
    let map = AddressMap::read(&tables, &regions);
    // While a program runs, CR3 leads to its tables. They are audited with the other processes';
    // what is audited here are the kernel's own, which no program can change.
    let own = kernel
        .map(|kernel| kernel.cr3)
        .filter(|cr3| *cr3 != state.cr3 && *cr3 != 0);
    let kernels = match own {
        Some(cr3) => Some(AddressMap::read(
            &PageTables::new(mem, PagingState { cr3, ..state })?,
            &regions,
        )),
        None => None,
    };
    let audits = audit(
        kernels.as_ref().unwrap_or(&map),
        &Expected {
            ram: mem.ranges(),
            devices,
            kernel,
        },
    );
    Ok(PagetableReport { map, audits })
}

/// As [`pagetable`], for a saved image.
///
/// # Errors
/// The page tables cannot be walked, or the guest's root page is of another version.
pub fn saved_pagetable(
    image: &SavedImage,
    devices: &[DeviceRange],
) -> Result<PagetableReport, ReportError> {
    let root = image
        .root()
        .map(|gpa| read_root(image.memory(), gpa))
        .transpose()?;
    Ok(pagetable(
        image.memory(),
        image.paging(),
        root.as_ref(),
        devices,
    )?)
}

/// Views for [`save`](super::image::save) of all RAM that the kernel's half maps, so that a
/// debugger finds the kernel's addresses in the file.
///
/// # Errors
/// As [`pagetable`].
pub fn kernel_views(
    mem: &(impl PhysMem + ?Sized),
    state: PagingState,
) -> Result<Vec<VirtualView>, PagingError> {
    let mut views = KernelViews {
        mem,
        views: Vec::new(),
    };
    let tables = PageTables::new(mem, state)?;
    tables.walk(KERNEL_HALF..=u64::MAX, WalkLimits::default(), &mut views);
    Ok(views.views)
}

struct KernelViews<'a, M: ?Sized> {
    mem: &'a M,
    views: Vec<VirtualView>,
}

impl<M: PhysMem + ?Sized> Visitor for KernelViews<'_, M> {
    fn mapping(&mut self, mapping: &Mapping) {
        let Mapping { va, gpa, len, .. } = *mapping;
        let in_one_range = |gpas: Range<u64>| {
            let mut ranges = self.mem.ranges().iter();
            ranges.any(|range| range.start <= gpas.start && gpas.end <= range.end)
        };
        if !in_one_range(gpa..gpa + len) {
            return;
        }
        // Rights, which split runs, do not matter to a debugger.
        match self.views.last_mut() {
            Some(last)
                if last.va.wrapping_add(last.len) == va
                    && last.gpa + last.len == gpa
                    && in_one_range(last.gpa..gpa + len) =>
            {
                last.len += len;
            }
            _ => self.views.push(VirtualView { va, gpa, len }),
        }
    }
}
