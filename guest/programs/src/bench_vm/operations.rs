//! What is measured: each returns the ticks of as many operations as it was asked for.

use crate::clock::{least, ticks};
use pagelab_programs::sys::{Child, Fd, Mapping, PAGE_SIZE, getppid};
use syscalls::Errno;

/// An operation.
pub(crate) struct Operation {
    /// Its name in the table, without spaces.
    pub(crate) name: &'static str,
    /// How often it is done in one measurement.
    pub(crate) count: usize,
    /// Ticks of that many.
    pub(crate) measure: fn(usize) -> Result<u64, Errno>,
}

/// All of them, in the order of the table.
pub(crate) const OPERATIONS: &[Operation] = &[
    operation("system-call", 1000, system_call),
    operation("write-fault", PAGES, write_fault),
    operation("write-fault-1000-areas", PAGES, write_fault_1000),
    operation("write-fault-8000-areas", PAGES, write_fault_8000),
    operation("zero-page-read-fault", PAGES, read_fault),
    operation("cow-fault", PAGES, cow_fault),
    operation("page-cache-fault", PAGES, page_cache_fault),
    operation("munmap-page", PAGES, munmap_page),
    operation("mmap-munmap", 100, mmap_munmap),
    operation("mmap-touch-munmap", 100, mmap_touch_munmap),
    operation("fork-exit-wait", 10, fork_exit_wait),
];

/// Pages of a measurement of faults: a quarter of a node of the last level.
const PAGES: usize = 128;

/// Pages that a forking process has of its own, about as many as a small C program.
const FORKED_PAGES: usize = 32;

const fn operation(
    name: &'static str,
    count: usize,
    measure: fn(usize) -> Result<u64, Errno>,
) -> Operation {
    Operation {
        name,
        count,
        measure,
    }
}

fn system_call(count: usize) -> Result<u64, Errno> {
    least(|| {
        ticks(|| {
            (0..count).for_each(|_| getppid());
            Ok(())
        })
    })
}

/// Stores to untouched anonymous pages.
fn write_fault(count: usize) -> Result<u64, Errno> {
    least(|| {
        let mapping = Mapping::anonymous(count * PAGE_SIZE)?;
        ticks(|| {
            mapping.write_each();
            Ok(())
        })
    })
}

fn write_fault_1000(count: usize) -> Result<u64, Errno> {
    write_fault_beside(1000, count)
}

fn write_fault_8000(count: usize) -> Result<u64, Errno> {
    write_fault_beside(8000, count)
}

/// The same in an address space of many areas.
fn write_fault_beside(areas: usize, count: usize) -> Result<u64, Errno> {
    let others = Mapping::anonymous(areas * PAGE_SIZE)?;
    others.stripe()?;
    let result = write_fault(count)?;
    others.unmap()?;
    Ok(result)
}

/// Loads from untouched anonymous pages.
fn read_fault(count: usize) -> Result<u64, Errno> {
    least(|| {
        let mapping = Mapping::anonymous(count * PAGE_SIZE)?;
        ticks(|| {
            mapping.read_each();
            Ok(())
        })
    })
}

/// Stores to pages that a child has as well.
fn cow_fault(count: usize) -> Result<u64, Errno> {
    least(|| {
        let mapping = Mapping::anonymous(count * PAGE_SIZE)?;
        mapping.write_each();
        let _child = Child::paused()?;
        ticks(|| {
            mapping.write_each();
            Ok(())
        })
    })
}

/// Loads from pages of a file that are in the page cache.
fn page_cache_fault(count: usize) -> Result<u64, Errno> {
    let file = Fd::in_memory(c"bench", count * PAGE_SIZE)?;
    Mapping::shared(count * PAGE_SIZE, &file)?.write_each();
    least(|| {
        let mapping = Mapping::shared(count * PAGE_SIZE, &file)?;
        ticks(|| {
            mapping.read_each();
            Ok(())
        })
    })
}

/// munmap of touched pages.
fn munmap_page(count: usize) -> Result<u64, Errno> {
    least(|| {
        let mapping = Mapping::anonymous(count * PAGE_SIZE)?;
        mapping.write_each();
        ticks(|| mapping.unmap())
    })
}

/// mmap and munmap of 16 pages that nobody touches.
fn mmap_munmap(count: usize) -> Result<u64, Errno> {
    least(|| ticks(|| (0..count).try_for_each(|_| Mapping::anonymous(16 * PAGE_SIZE)?.unmap())))
}

/// mmap of 16 pages, a store to one, and munmap.
fn mmap_touch_munmap(count: usize) -> Result<u64, Errno> {
    least(|| {
        ticks(|| {
            (0..count).try_for_each(|_| {
                let mapping = Mapping::anonymous(16 * PAGE_SIZE)?;
                mapping.write_first();
                mapping.unmap()
            })
        })
    })
}

/// fork, exit in the child, wait in the parent.
fn fork_exit_wait(count: usize) -> Result<u64, Errno> {
    let mapping = Mapping::anonymous(FORKED_PAGES * PAGE_SIZE)?;
    mapping.write_each();
    let result = least(|| ticks(|| (0..count).try_for_each(|_| Child::exiting()?.wait())))?;
    mapping.unmap()?;
    Ok(result)
}
