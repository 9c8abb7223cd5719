//! The real memory manager with two processes and a file, for tests of what is seen of them.

use std::mem::offset_of;

use pagelab_abi::{
    PAGE_SIZE,
    mman::Prot,
    root::Root,
    slab::CacheFlags,
    task::{TaskList, TaskStruct},
    zone::ZoneModel,
};
use pagelab_mm::{
    Mm,
    page_cache::FileId,
    testing::{TestMachine, boot},
    user_mm::{MmapRequest, UserMm},
    zone::ZoneConfig,
};
use zerocopy::IntoBytes;

use super::test_guest::{ROOT, TestImage};

const RAM: u64 = 32 << 20;
const PAGE: u64 = PAGE_SIZE;
const RW: Prot = Prot::READ.union(Prot::WRITE);

/// Where the kernel's top-level table and two processes are put: in memory that is reserved.
const KERNEL_PGD: u64 = 0x6000;
pub(super) const TASKS: [u64; 2] = [0xa000, 0xa100];

/// How far below the other areas one is that was only read.
pub(super) const UNTOUCHED: u64 = 4 * PAGE;

/// A guest with two processes and a file.
pub(super) struct Programs {
    mm: *mut Mm<TestMachine>,
    pub(super) users: Vec<UserMm<TestMachine>>,
    file: Option<FileId>,
    /// Where the first process has its areas.
    pub(super) at: u64,
}

impl Programs {
    pub(super) fn new() -> Self {
        let zones = ZoneConfig::with_limits(ZoneModel::Classic, &[4 << 20, 16 << 20]).unwrap();
        let mm = boot(RAM, zones);
        mm.slab_init(CacheFlags::empty()).unwrap();
        mm.vm_init().unwrap();
        let mm = Box::into_raw(Box::new(mm));
        let mut programs = Self {
            mm,
            users: Vec::new(),
            file: None,
            at: 0,
        };
        for _ in 0..2 {
            let mut user = UserMm::new(programs.mm()).unwrap();
            // Five areas: between them, every other page is taken away again.
            let at = user.mmap(&MmapRequest::anonymous(9 * PAGE, RW)).unwrap();
            user.write(at, &[7; 9 * PAGE as usize]).unwrap();
            for page in [1, 3, 5, 7] {
                user.munmap(at + page * PAGE, PAGE).unwrap();
            }
            let request = MmapRequest::anonymous(PAGE, RW).fixed(at - UNTOUCHED);
            let untouched = user.mmap(&request).unwrap();
            user.read(untouched, &mut [0]).unwrap();
            programs.at = at;
            programs.users.push(user);
        }
        let file = programs.mm().file_new().unwrap();
        let content = [1; 3 * PAGE as usize];
        programs.mm().file_write(file, 70 * PAGE, &content).unwrap();
        programs.file = Some(file);
        programs
    }

    fn mm(&self) -> &'static Mm<TestMachine> {
        // SAFETY: it lives until this value is dropped, after all that hangs from it.
        unsafe { &*self.mm }
    }

    pub(super) fn give_back(&mut self) {
        self.users.clear();
        if let Some(file) = self.file.take() {
            self.mm().file_put(file);
        }
    }

    /// A copy of its memory, with a process in each address space.
    pub(super) fn image(&self) -> TestImage {
        let mut image = TestImage::of(self.mm(), RAM);
        image.write(KERNEL_PGD, &[0; PAGE as usize]);
        image.write(
            ROOT + offset_of!(Root, kernel.cr3) as u64,
            &KERNEL_PGD.to_le_bytes(),
        );
        for (index, user) in self.users.iter().enumerate() {
            let mut task = TaskStruct::new();
            *task.pid.get_mut() = index as u32 + 1;
            *task.ppid.get_mut() = index as u32;
            *task.mm.get_mut() = user.gpa();
            *task.next.get_mut() = TASKS.get(index + 1).copied().unwrap_or(0);
            *task.comm[0].get_mut() = b'a';
            image.write(TASKS[index], task.as_mut_bytes());
        }
        if !self.users.is_empty() {
            let list = ROOT + offset_of!(Root, tasks) as u64;
            image.write(
                list + offset_of!(TaskList, head) as u64,
                &TASKS[0].to_le_bytes(),
            );
            let count = list + offset_of!(TaskList, count) as u64;
            image.write(count, &(self.users.len() as u32).to_le_bytes());
        }
        image
    }

    /// The field of the first process's address space.
    pub(super) fn mm_field(&self, field: usize) -> u64 {
        self.users[0].gpa() + field as u64
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        self.give_back();
        // SAFETY: it came from a box, and nothing hangs from it any more.
        drop(unsafe { Box::from_raw(self.mm) });
    }
}
