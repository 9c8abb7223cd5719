//! Where the objects of the file system live: slab caches of the kernel's memory manager, or, in a
//! test, of one that each thread has for itself.

#[cfg(not(test))]
pub(crate) use crate::machine::Guest as Ram;
#[cfg(test)]
pub(crate) use pagelab_mm::testing::TestMachine as Ram;

use pagelab_abi::slab::CacheFlags;
use pagelab_mm::{
    Mm,
    slab::{CreateError, KmemCache},
};

use super::{
    dentry::Dentry,
    file::OpenFile,
    inode::Inode,
    object::{Body, Pooled},
    pipe::Pipe,
    table::Chunk,
};

pub(crate) use world::init;
pub(super) use world::{mm, pools};

/// The slab caches, under Linux's names where it has the like.
pub(crate) struct Pools {
    pub(super) dentry: KmemCache,
    pub(super) inode: KmemCache,
    pub(super) filp: KmemCache,
    pub(super) files: KmemCache,
    pub(super) pipe: KmemCache,
}

impl Pools {
    fn new(mm: &Mm<Ram>) -> Result<Self, CreateError> {
        Ok(Self {
            dentry: pool::<Dentry>(mm, "dentry")?,
            inode: pool::<Inode>(mm, "ramfs_inode_cache")?,
            filp: pool::<OpenFile>(mm, "filp")?,
            files: pool::<Chunk>(mm, "files_cache")?,
            pipe: pool::<Pipe>(mm, "pipe_inode_info")?,
        })
    }
}

fn pool<T: Pooled>(mm: &Mm<Ram>, name: &str) -> Result<KmemCache, CreateError> {
    let (size, align) = (size_of::<Body<T>>() as u32, align_of::<Body<T>>() as u32);
    mm.slab()
        .kmem_cache_create(name, size, align, CacheFlags::empty(), None)
}

#[cfg(not(test))]
mod world {
    use super::{Mm, Pools, Ram};
    use pagelab_mm::slab::CreateError;
    use spin::Once;

    static POOLS: Once<Pools> = Once::new();

    /// The memory manager.
    pub(in crate::fs) fn mm() -> &'static Mm<Ram> {
        crate::memory::mm()
    }

    /// Makes the slab caches, if they are not there yet. They stay.
    pub(crate) fn init() -> Result<(), CreateError> {
        POOLS.try_call_once(|| Pools::new(mm())).map(|_| ())
    }

    pub(in crate::fs) fn pools() -> &'static Pools {
        POOLS
            .get()
            .expect("the file system's caches exist from boot on")
    }
}

#[cfg(test)]
mod world {
    use super::{Mm, Pools, Ram};
    use pagelab_abi::{slab::CacheFlags, zone::ZoneModel};
    use pagelab_mm::{slab::CreateError, testing::boot, zone::ZoneConfig};

    struct World {
        mm: &'static Mm<Ram>,
        pools: &'static Pools,
    }

    impl World {
        fn new() -> Self {
            let zones = ZoneConfig::with_limits(ZoneModel::Classic, &[2 << 20, 8 << 20]).unwrap();
            let mm: &'static Mm<Ram> = Box::leak(Box::new(boot(16 << 20, zones)));
            mm.slab_init(CacheFlags::DEBUG).unwrap();
            let pools = Box::leak(Box::new(Pools::new(mm).unwrap()));
            Self { mm, pools }
        }
    }

    thread_local! {
        static WORLD: World = World::new();
    }

    /// A thread's caches make themselves.
    pub(crate) fn init() -> Result<(), CreateError> {
        Ok(())
    }

    pub(in crate::fs) fn mm() -> &'static Mm<Ram> {
        WORLD.with(|world| world.mm)
    }

    pub(in crate::fs) fn pools() -> &'static Pools {
        WORLD.with(|world| world.pools)
    }
}
