//! Finding the guest's root page.

use pagelab_abi::root::{MAGIC, Root};

use super::{ImageError, PAGE_BYTES, PhysMem, read_object};

/// The root page lies in the kernel's data, which is in low memory in every zone model.
const SEARCH_END: u64 = 896 << 20;

/// The first page that starts with the root's magic number, and its physical address. `None` for
/// memory that holds another kernel.
///
/// # Errors
/// A root page of another version: its layout, and that of all it points to, is unknown.
pub fn find_root(mem: &(impl PhysMem + ?Sized)) -> Result<Option<(u64, Root)>, ImageError> {
    for range in mem.ranges() {
        for gpa in (range.start..range.end.min(SEARCH_END)).step_by(PAGE_BYTES) {
            if mem.slice(gpa, MAGIC.len()) == Some(&MAGIC) {
                return read_root(mem, gpa).map(|root| Some((gpa, root)));
            }
        }
    }
    Ok(None)
}

/// A copy of the root page at `gpa`, checked for magic number, version and size.
///
/// # Errors
/// There is no root page of this program's version at `gpa`.
pub fn read_root(mem: &(impl PhysMem + ?Sized), gpa: u64) -> Result<Root, ImageError> {
    let root: Root = read_object(mem, gpa)?;
    if root.magic != MAGIC {
        return Err(ImageError::NoRoot { gpa });
    }
    if root.version != pagelab_abi::VERSION || root.size as usize != size_of::<Root>() {
        return Err(ImageError::WrongAbi {
            gpa,
            found: root.version,
            expected: pagelab_abi::VERSION,
        });
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::super::SegmentedMemory;
    use super::*;
    use zerocopy::IntoBytes;

    fn memory_with(mut root: Root) -> SegmentedMemory<Vec<u8>> {
        let mut memory = SegmentedMemory::flat(vec![0; 8 * PAGE_BYTES], None).unwrap();
        memory
            .slice_mut(0x3000, PAGE_BYTES)
            .unwrap()
            .copy_from_slice(root.as_mut_bytes());
        memory
    }

    #[test]
    fn the_root_is_found_by_its_magic() {
        let mut root = Root::new();
        root.kernel.cr3 = 0x1234_5000;
        let memory = memory_with(root);
        let (gpa, found) = find_root(&memory).unwrap().unwrap();
        assert_eq!((gpa, found.kernel.cr3), (0x3000, 0x1234_5000));
        assert!(matches!(
            read_root(&memory, 0x2000),
            Err(ImageError::NoRoot { gpa: 0x2000 })
        ));
    }

    #[test]
    fn another_kernel_has_no_root() {
        let memory = SegmentedMemory::flat(vec![0; 8 * PAGE_BYTES], None).unwrap();
        assert!(find_root(&memory).unwrap().is_none());
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let mut root = Root::new();
        root.version += 1;
        let error = find_root(&memory_with(root)).unwrap_err();
        assert!(
            matches!(error, ImageError::WrongAbi { gpa: 0x3000, .. }),
            "{error}"
        );
    }
}
