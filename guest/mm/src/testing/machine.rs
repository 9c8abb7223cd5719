//! The machines.

use super::{arena::Arena, disk::TestDisk};
use crate::{
    Config, Memblock, Mm,
    machine::{Machine, SwapRequest},
    oom::OomControl,
    validate::Violation,
    zone::ZoneConfig,
};
use core::{
    cell::Cell,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{
    PAGE_SIZE,
    control::Control,
    event::{EventClock, EventKind},
    fault::CallSite,
};
use std::{
    boxed::Box,
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    thread_local,
    vec::Vec,
};

thread_local! {
    /// CPU that the thread plays.
    static CPU: Cell<usize> = const { Cell::new(0) };
}

/// Windows that a CPU has.
const WINDOWS: usize = 4;

/// Runs `body` as another CPU.
pub fn with_cpu<R>(cpu: usize, body: impl FnOnce() -> R) -> R {
    let before = CPU.replace(cpu);
    let result = body();
    CPU.set(before);
    result
}

/// RAM from address 0 on, of which the lower part is in the direct map. Everything that the
/// memory manager does is recorded.
pub struct TestMachine {
    ram: Arena,
    direct_map_end: u64,
    control: Control,
    clock: EventClock,
    events: Mutex<Vec<(EventKind, u64, u64)>>,
    windows: Mutex<Vec<usize>>,
    tlb: Mutex<BTreeMap<u64, u64>>,
    disk: TestDisk,
    caller: AtomicU64,
    candidates: AtomicU64,
    oom: Mutex<Option<OomHook>>,
}

/// What a test does when memory has run out; see [`Machine::oom_kill`].
pub type OomHook = Box<dyn FnMut(OomControl) -> bool + Send>;

impl TestMachine {
    /// A machine with `size` bytes of RAM (a multiple of the page size).
    pub fn new(size: u64, direct_map_end: u64) -> Self {
        Self {
            ram: Arena::take(size as usize),
            direct_map_end,
            control: Control::new(),
            clock: EventClock::new(),
            events: Mutex::new(Vec::new()),
            windows: Mutex::new(Vec::new()),
            tlb: Mutex::new(BTreeMap::new()),
            disk: TestDisk::default(),
            caller: AtomicU64::new(0),
            candidates: AtomicU64::new(0),
            oom: Mutex::new(None),
        }
    }

    /// Fills all RAM with a byte: nobody may count on zeros.
    pub fn fill(&self, byte: u8) {
        // SAFETY: the whole arena; the memory manager is not there yet.
        unsafe { self.ram.base().write_bytes(byte, self.ram.size()) }
    }

    /// The bytes of a frame, wherever it is.
    pub fn frame(&self, pfn: u32) -> Option<NonNull<u8>> {
        self.ram.at(pfn as usize * PAGE_SIZE as usize)
    }

    /// Calls `hook` when memory has run out, unless it is inside it already.
    pub fn on_oom(&self, hook: OomHook) {
        *self.lock_oom() = Some(hook);
    }

    fn lock_oom(&self) -> std::sync::MutexGuard<'_, Option<OomHook>> {
        self.oom.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The swap device.
    pub fn disk(&self) -> &TestDisk {
        &self.disk
    }

    /// Lets everything be called from this address.
    pub fn set_caller(&self, address: u64) {
        self.caller.store(address, Relaxed);
    }

    /// How often a candidate for an injected failure was shown.
    pub fn candidates(&self) -> u64 {
        self.candidates.load(Relaxed)
    }

    /// What the host asks for, to be changed.
    pub fn control_mut(&mut self) -> &mut Control {
        &mut self.control
    }

    /// The event clock.
    pub fn clock(&self) -> &EventClock {
        &self.clock
    }

    /// Takes all events since the last time.
    pub fn take_events(&self) -> Vec<(EventKind, u64, u64)> {
        core::mem::take(&mut *self.lock_events())
    }

    fn lock_events(&self) -> std::sync::MutexGuard<'_, Vec<(EventKind, u64, u64)>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pages of which the CPU has cached the translation, with that.
    pub(crate) fn lock_tlb(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, u64>> {
        self.tlb.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_windows(&self) -> std::sync::MutexGuard<'_, Vec<usize>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TestMachine {
    fn drop(&mut self) {
        self.ram.give_back();
    }
}

impl Machine for TestMachine {
    fn cpu(&self) -> usize {
        CPU.get()
    }

    fn direct_map(&self, pfn: u32) -> Option<NonNull<u8>> {
        let address = u64::from(pfn) * PAGE_SIZE;
        if address >= self.direct_map_end {
            return None;
        }
        self.ram.at(address as usize)
    }

    fn virt_to_pfn(&self, address: usize) -> Option<u32> {
        let offset = address.checked_sub(self.ram.base().as_ptr() as usize)? as u64;
        (offset < self.direct_map_end.min(self.ram.size() as u64))
            .then_some((offset / PAGE_SIZE) as u32)
    }

    fn kmap_local(&self, pfn: u32) -> Option<NonNull<u8>> {
        if let Some(pointer) = self.direct_map(pfn) {
            return Some(pointer);
        }
        let pointer = self.frame(pfn)?;
        let mut windows = self.lock_windows();
        if windows.len() == WINDOWS {
            return None;
        }
        windows.push(pointer.as_ptr() as usize);
        Some(pointer)
    }

    unsafe fn kunmap_local(&self, window: NonNull<u8>) {
        let address = window.as_ptr() as usize;
        if self.virt_to_pfn(address).is_none() {
            let last = self.lock_windows().pop();
            assert_eq!(last, Some(address), "windows are closed in reverse order");
        }
    }

    fn flush_tlb_page(&self, address: u64) {
        self.lock_tlb()
            .retain(|page, _| *page != address & !(PAGE_SIZE - 1));
    }

    fn flush_tlb_all(&self) {
        self.lock_tlb().clear();
    }

    fn kernel_pgd(&self) -> Option<u64> {
        None
    }

    fn swap_pages(&self) -> u64 {
        self.disk.pages()
    }

    fn swap_read(&self, requests: &mut [SwapRequest<'_>]) {
        self.disk.notified();
        for request in requests {
            request.done = self.disk.read(request, |pfn| self.frame(pfn.0));
        }
    }

    fn swap_write(&self, requests: &mut [SwapRequest<'_>]) {
        self.disk.notified();
        for request in requests {
            request.done = self.disk.write(request, |pfn| self.frame(pfn.0));
        }
    }

    fn event(&self, kind: EventKind, a: u64, b: u64) {
        let mut events = self.lock_events();
        events.push((kind, a, b));
        let _ = self.clock.tick(kind, a, b);
    }

    fn oom_kill(&self, control: OomControl) -> bool {
        let Some(mut hook) = self.lock_oom().take() else {
            return false;
        };
        let helped = hook(control);
        self.lock_oom().get_or_insert(hook);
        helped
    }

    fn control(&self) -> &Control {
        &self.control
    }

    fn is_called_from(&self, sites: &[CallSite]) -> bool {
        let caller = self.caller.load(Relaxed);
        let contains = |site: &CallSite| (site.start..site.end).contains(&caller);
        sites.iter().any(contains)
    }

    fn candidate(&self) {
        self.candidates.fetch_add(1, Relaxed);
    }
}

/// As fast as a machine can be, with or without the event clock: for benchmarks.
pub struct BenchMachine<const CLOCK: bool> {
    ram: Arena,
    control: Control,
    clock: EventClock,
    stops: AtomicU64,
}

impl<const CLOCK: bool> BenchMachine<CLOCK> {
    /// A machine with `size` bytes of RAM, all in the direct map.
    pub fn new(size: u64) -> Self {
        Self {
            ram: Arena::take(size as usize),
            control: Control::new(),
            clock: EventClock::new(),
            stops: AtomicU64::new(0),
        }
    }
}

impl<const CLOCK: bool> Machine for BenchMachine<CLOCK> {
    #[inline(always)]
    fn cpu(&self) -> usize {
        0
    }

    fn direct_map(&self, pfn: u32) -> Option<NonNull<u8>> {
        self.ram.at(pfn as usize * PAGE_SIZE as usize)
    }

    fn virt_to_pfn(&self, address: usize) -> Option<u32> {
        let offset = address.checked_sub(self.ram.base().as_ptr() as usize)?;
        (offset < self.ram.size()).then_some((offset / PAGE_SIZE as usize) as u32)
    }

    fn kmap_local(&self, pfn: u32) -> Option<NonNull<u8>> {
        self.direct_map(pfn)
    }

    unsafe fn kunmap_local(&self, _window: NonNull<u8>) {}

    fn flush_tlb_page(&self, _address: u64) {}

    fn flush_tlb_all(&self) {}

    fn kernel_pgd(&self) -> Option<u64> {
        None
    }

    #[inline(always)]
    fn event(&self, kind: EventKind, a: u64, b: u64) {
        if CLOCK && self.clock.tick(kind, a, b) {
            self.stops.fetch_add(1, Relaxed);
        }
    }

    #[inline(always)]
    fn control(&self) -> &Control {
        &self.control
    }
}

/// A memory manager over RAM from 0 to `size`, of which the first MiB is reserved.
pub fn boot(size: u64, zones: ZoneConfig) -> Mm<TestMachine> {
    boot_with(size, zones, 1, &[(0, 1 << 20)])
}

/// A memory manager over RAM from 0 to `size`, with these ranges (start, bytes) reserved. RAM is
/// filled with garbage before.
pub fn boot_with(
    size: u64,
    zones: ZoneConfig,
    cpus: u32,
    reserved: &[(u64, u64)],
) -> Mm<TestMachine> {
    let direct_map_end = zones.direct_map_end(size);
    let machine = TestMachine::new(size, direct_map_end);
    machine.fill(0xa5);
    let mut memblock = Memblock::new();
    memblock.add(0, size).expect("room for one region");
    for &(base, size) in reserved {
        memblock.reserve(base, size).expect("room for the regions");
    }
    let config = Config {
        zones,
        cpus,
        direct_map_end,
    };
    Mm::init(machine, &mut memblock, config).expect("memory for the metadata")
}

/// All that [`Mm::validate`] finds.
pub fn violations<M: Machine>(mm: &Mm<M>) -> Vec<Violation> {
    let mut all = Vec::new();
    mm.validate(&mut |violation| all.push(violation));
    all
}
