//! Tests of the choice, the report, and of what becomes of memory.

use super::{Candidate, Oom, OomControl, badness, choice, oom_score};
use crate::{
    Mm, Order,
    testing::{TestMachine, boot, violations},
    user_mm::{Access, FaultSignal, MmapRequest, UserMm},
    zone::ZoneConfig,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SIZE,
    event::EventKind,
    gfp::Gfp,
    mm_struct::RssStat,
    mman::{MapFlags, Prot},
    slab::CacheFlags,
    task::{TaskList, TaskStruct},
    vmstat::VmEvent,
};
use std::{boxed::Box, string::String, sync::Arc, sync::Mutex, vec::Vec};

const PAGE: u64 = PAGE_SIZE;

const RW: Prot = Prot::READ.union(Prot::WRITE);

const AT: u64 = 0x1000_0000;

fn task(pid: u32, pages: u64, adj: i32) -> Candidate {
    let mut comm = [0; 16];
    comm[..4].copy_from_slice(b"task");
    let mut rss = [0; 4];
    rss[RssStat::Anon as usize] = pages;
    Candidate {
        pid,
        uid: 0,
        comm,
        oom_score_adj: adj,
        mm: 0,
        total_vm: 2 * pages,
        rss,
        pgtables: 1,
        group: None,
        is_victim: false,
        in_vfork: false,
    }
}

fn chosen(tasks: &[Candidate]) -> Option<u32> {
    choice::select(tasks.iter().copied(), 100_000).map(|task| task.pid)
}

#[test]
fn badness_is_memory_and_the_adjustment() {
    let total = 100_000;
    let mut one = task(1, 500, 0);
    assert_eq!(badness(&one, total), Some(501));
    one.rss[RssStat::Swap as usize] = 20;
    one.rss[RssStat::File as usize] = 3;
    one.pgtables = 7;
    assert_eq!(badness(&one, total), Some(530));
    one.oom_score_adj = 10;
    assert_eq!(badness(&one, total), Some(1530));
    one.oom_score_adj = -999;
    assert_eq!(badness(&one, total), Some(530 - 99_900));
    one.oom_score_adj = -1000;
    assert_eq!(badness(&one, total), None);
    one.rss = [u64::MAX / 8; 4];
    one.oom_score_adj = 1000;
    assert!(badness(&one, u64::MAX).is_some(), "no overflow");
}

#[test]
fn the_score_is_that_of_proc() {
    let total = 100_000;
    // Linux: (1000 + 1000 * badness / total) * 2 / 3.
    assert_eq!(oom_score(&task(1, 49_999, 0), total), 1000);
    assert_eq!(oom_score(&task(1, 99_999, 1000), total), 2000);
    assert_eq!(oom_score(&task(1, 0, -1000), total), 0);
    assert_eq!(oom_score(&task(1, 0, -999), total), 1);
}

#[test]
fn the_worst_is_chosen_and_some_never() {
    assert_eq!(chosen(&[]), None);
    let (small, large) = (task(1, 10, 0), task(2, 1000, 0));
    assert_eq!(chosen(&[small, large]), Some(2));
    assert_eq!(chosen(&[large, small]), Some(2));
    assert_eq!(chosen(&[small, task(3, 10, 0)]), Some(3), "the youngest");
    assert_eq!(chosen(&[task(1, 10, 100), large]), Some(1));
    let protected = task(2, 1000, -1000);
    assert_eq!(chosen(&[small, protected]), Some(1));
    assert_eq!(chosen(&[protected]), None);
    let reaped = Candidate {
        is_victim: true,
        ..large
    };
    let borrower = Candidate {
        in_vfork: true,
        ..large
    };
    assert_eq!(chosen(&[reaped, borrower, small]), Some(1));
}

/// Processes without a kernel around them.
struct World {
    mm: &'static Mm<TestMachine>,
    tasks: &'static TaskList,
    spaces: Vec<UserMm<TestMachine>>,
}

impl World {
    fn new() -> Self {
        let mm = boot(32 << 20, ZoneConfig::CLASSIC);
        mm.slab_init(CacheFlags::empty()).unwrap();
        mm.vm_init().unwrap();
        Self {
            mm: Box::leak(Box::new(mm)),
            tasks: Box::leak(Box::new(TaskList::new())),
            spaces: Vec::new(),
        }
    }

    /// A process with so many pages of private memory, and one with another number.
    fn add(&mut self, pid: u32, pages: u64) -> &'static TaskStruct {
        let mut space = UserMm::new(self.mm).unwrap();
        let mut request = MmapRequest::anonymous(1 << 30, RW).fixed(AT);
        request.flags |= MapFlags::NORESERVE;
        space.mmap(&request).unwrap();
        for page in 0..pages {
            space.write(AT + page * PAGE, &[1]).unwrap();
        }
        let at = self
            .mm
            .slab()
            .kmalloc(size_of::<TaskStruct>(), Gfp::KERNEL)
            .unwrap();
        let gpa = self.mm.slab().physical(at);
        let at = at.cast::<TaskStruct>();
        // SAFETY: the object is large enough, and never freed.
        let task: &TaskStruct = unsafe {
            at.write(TaskStruct::new());
            at.as_ref()
        };
        task.pid.store(pid, Relaxed);
        task.comm[0].store(b'a' + pid as u8 - 1, Relaxed);
        task.mm.store(space.gpa(), Relaxed);
        self.spaces.push(space);
        let mut link = &self.tasks.head;
        while link.load(Relaxed) != 0 {
            // SAFETY: this function's own links.
            link = unsafe {
                &self
                    .mm
                    .slab()
                    .object(link.load(Relaxed))
                    .cast::<TaskStruct>()
                    .as_ref()
                    .next
            };
        }
        link.store(gpa, Relaxed);
        task
    }

    fn oom(&self) -> Oom<'static, TestMachine> {
        oom(
            self.mm,
            self.tasks,
            OomControl {
                gfp: Gfp::HIGHUSER_MOVABLE,
                order: Order::ZERO,
                memcg: None,
            },
        )
    }

    fn rss(&self, space: usize) -> u64 {
        self.spaces[space].resident()
    }

    fn check(&self) {
        assert_eq!(violations(self.mm), []);
        self.mm.slab().validate().unwrap();
    }
}

fn oom(
    mm: &'static Mm<TestMachine>,
    tasks: &'static TaskList,
    control: OomControl,
) -> Oom<'static, TestMachine> {
    // SAFETY: `World::add` made the list, and its processes live as long as the test.
    unsafe { Oom::new(mm, tasks, control) }
}

#[test]
fn a_victim_that_waits_loses_all_at_once() {
    let mut world = World::new();
    world.add(1, 10);
    world.add(2, 700);
    let shared = MmapRequest {
        flags: MapFlags::SHARED | MapFlags::ANONYMOUS,
        ..MmapRequest::anonymous(16 * PAGE, RW)
    };
    let at = world.spaces[1].mmap(&shared).unwrap();
    world.spaces[1].write(at, &[2; 2 * PAGE as usize]).unwrap();
    world.tasks.current.store(1, Relaxed);
    let oom = world.oom();
    let victim = oom.choose().unwrap();
    assert_eq!((victim.pid, victim.resident()), (2, 702));
    world.mm.machine().take_events();
    let killed = oom.kill(victim);
    assert!(killed.freed >= 702 + 2, "{killed:?}");
    assert_eq!(world.mm.event_count(VmEvent::OomKill), 1);
    let events = world.mm.machine().take_events();
    assert_eq!(events.last(), Some(&(EventKind::OomKill, 2, killed.freed)));
    assert_eq!((world.rss(0), world.rss(1)), (10, 0));
    assert_eq!(world.spaces[1].total_vm(), 0, "shared memory as well");
    let refused = world.spaces[1].fault_in(AT, Access::Write);
    assert_eq!(refused, Err(FaultSignal::Oom));
    assert_eq!(oom.choose().unwrap().pid, 1, "the victim has nothing more");
    world.check();
}

#[test]
fn a_victim_at_work_keeps_its_areas_and_what_is_shared() {
    let mut world = World::new();
    world.add(1, 700);
    let shared = MmapRequest {
        flags: MapFlags::SHARED | MapFlags::ANONYMOUS,
        ..MmapRequest::anonymous(16 * PAGE, RW)
    };
    let at = world.spaces[0].mmap(&shared).unwrap();
    world.spaces[0].write(at, &[2]).unwrap();
    world.tasks.current.store(1, Relaxed);
    let (oom, areas) = (world.oom(), world.spaces[0].total_vm());
    assert!(!oom.is_for_victim());
    let killed = oom.kill(oom.choose().unwrap());
    assert!(killed.freed >= 700);
    assert_eq!((world.rss(0), world.spaces[0].total_vm()), (1, areas));
    assert!(oom.is_for_victim(), "its allocations fail from now on");
    assert!(world.spaces[0].fork().is_err());
    world.check();
    world.spaces.clear();
    world.check();
}

#[test]
fn the_memory_of_a_vfork_child_is_its_parents() {
    let mut world = World::new();
    let parent = world.add(1, 100);
    let child = world.add(2, 5);
    child.mm.store(parent.mm.swap(0, Relaxed), Relaxed);
    child.lender.store(1, Relaxed);
    let victim = world.oom().choose().unwrap();
    assert_eq!((victim.pid, victim.resident()), (1, 100));
    assert_eq!(victim.mm, child.mm.load(Relaxed));
}

/// Each allocation of the fault of `storing` finds no memory, until somebody is killed.
#[test]
fn a_fault_goes_on_when_another_was_killed() {
    let mut world = World::new();
    world.add(1, 1);
    world.add(2, 5000);
    world.tasks.current.store(1, Relaxed);
    let (mm, tasks) = (world.mm, world.tasks);
    let killed = Arc::new(Mutex::new(Vec::new()));
    let log = killed.clone();
    mm.machine().on_oom(Box::new(move |control| {
        let oom = oom(mm, tasks, control);
        if oom.is_for_victim() {
            return false;
        }
        let Some(victim) = oom.choose() else {
            return false;
        };
        log.lock().unwrap().push(oom.kill(victim).victim.pid);
        true
    }));
    let mut at = AT;
    let failed = loop {
        if let Err(signal) = world.spaces[0].fault_in(at, Access::Write) {
            break signal;
        }
        at += PAGE;
    };
    // First the other, which had more, then itself.
    assert_eq!(*killed.lock().unwrap(), [2, 1]);
    assert_eq!(failed, FaultSignal::Oom);
    assert!(at - AT > 5000 * PAGE, "{at:#x}");
    world.check();
    world.spaces.clear();
    world.check();
}

/// A store to a page that a parent and its child share needs a copy, and the killing that makes
/// room for it takes the page itself.
#[test]
fn a_copy_on_write_survives_the_loss_of_its_page() {
    let mut world = World::new();
    world.add(1, 600);
    let mut child = world.spaces[0].fork().unwrap();
    // Its own, so that the killing makes room.
    for page in 600..700 {
        world.spaces[0].write(AT + page * PAGE, &[1]).unwrap();
    }
    world.tasks.current.store(1, Relaxed);
    let (mm, tasks) = (world.mm, world.tasks);
    let mut held = Vec::new();
    while let Ok(pfn) = mm.alloc_pages(Gfp::HIGHUSER_MOVABLE, Order::ZERO) {
        held.push(pfn);
    }
    mm.machine().on_oom(Box::new(move |control| {
        let oom = oom(mm, tasks, control);
        oom.choose().map(|victim| oom.kill(victim)).is_some()
    }));
    // The copy is thrown away, as there is nothing to put in its place.
    assert_eq!(world.spaces[0].fault_in(AT, Access::Write), Ok(()));
    assert_eq!((world.rss(0), child.resident()), (0, 600));
    let again = world.spaces[0].fault_in(AT, Access::Write);
    assert_eq!(again, Err(FaultSignal::Oom));
    world.check();
    let mut byte = [0];
    child.read(AT, &mut byte).unwrap();
    assert_eq!(byte, [1]);
    drop(child);
    mm.free_pages_bulk(&held);
    world.check();
}

#[test]
fn the_report_is_written_as_linux_writes_it() {
    let mut world = World::new();
    world.add(1, 10);
    let large = world.add(2, 20);
    large.oom_score_adj.store((-5_i32).cast_unsigned(), Relaxed);
    large.uid[0].store(1000, Relaxed);
    world.tasks.current.store(1, Relaxed);
    let oom = world.oom();
    let victim = oom.candidates().nth(1).unwrap();
    let mut text = String::new();
    oom.report(Some(&victim), &mut text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "a invoked oom-killer: gfp_mask=0x18c(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0"
    );
    assert_eq!(lines[1], "Mem-Info:");
    let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
    for start in [
        "Node 0 DMA free:",
        "Node 0 Normal free:",
        "lowmem_reserve[]:",
        "Node 0 Normal: ",
        "Free swap  = 0kB",
        "8192 pages RAM",
    ] {
        assert!(has(start), "{start}: {text}");
    }
    let (vm, pages) = ((1 << 30) / PAGE, 20 + 4);
    let tail: [String; 6] = [
        "Tasks state (memory values in pages):".into(),
        "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name".into(),
        "[      1]     0     1   262144       10    16384        0             0 a".into(),
        "[      2]  1000     2   262144       20    16384        0            -5 b".into(),
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),global_oom,task_memcg=/,task=b,pid=2,uid=1000"
            .into(),
        std::format!(
            "Out of memory: Killed process 2 (b) total-vm:{}kB, anon-rss:80kB, file-rss:0kB, \
             shmem-rss:0kB, UID:1000 pgtables:{}kB oom_score_adj:-5",
            vm * 4,
            (pages - 20) * 4
        ),
    ];
    assert_eq!(&lines[lines.len() - 6..], tail);
    let mut text = String::new();
    oom.report(None, &mut text).unwrap();
    assert_eq!(
        text.lines().last(),
        Some("Out of memory and no killable processes...")
    );
}

#[test]
fn the_free_blocks_of_a_report_add_up() {
    let world = World::new();
    let mut text = String::new();
    world.mm.mem_info(&mut text).unwrap();
    let mut sums = 0;
    for line in text
        .lines()
        .filter(|line| line.contains("= ") && line.contains("*4kB "))
    {
        let (blocks, sum) = line.split_once("= ").unwrap();
        let blocks = blocks.split(' ').filter_map(|word| word.split_once('*'));
        let total: u64 = blocks
            .map(|(count, size)| {
                let size = size.strip_suffix("kB").unwrap();
                count.parse::<u64>().unwrap() * size.parse::<u64>().unwrap()
            })
            .sum();
        assert_eq!(std::format!("{total}kB"), sum);
        sums += total;
    }
    assert_eq!(sums, world.mm.free_pages_total() * 4);
}
