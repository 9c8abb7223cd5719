//! The device: what a request does.

use std::io;

use log::warn;
use virtio_bindings::bindings::virtio_blk::{
    VIRTIO_BLK_ID_BYTES, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP,
    VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
};
use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;
use vm_memory::GuestMemoryBackend;

use super::backing::Backing;
use super::config;
use super::delay::Delay;
use super::request::{OutsideRam, Request, Run};
use super::{
    Counters, FEATURE_BLK_SIZE, FEATURE_FLUSH, FEATURE_RO, FEATURE_SEG_MAX, MAX_DATA, QUEUE_SIZE,
    SECTOR_SIZE,
};
use crate::devices::virtio::queue::Virtqueue;
use crate::devices::virtio::{Violation, VirtioDevice};
use crate::fault::{Decision, Injector, ReadWrite};

/// A disk. The host's side of it is on [`super::BlockDevice`].
#[derive(Debug)]
pub struct Block {
    pub(super) backing: Backing,
    /// What a driver reads as the disk's serial number.
    id: &'static str,
    pub(super) features: u64,
    pub(super) counters: Counters,
    /// Makes reads and writes fail, or wait.
    pub(super) injector: Injector,
    /// Those that wait.
    pub(super) delay: Delay,
}

/// Why a request is not carried out.
#[derive(Debug)]
enum Refusal {
    /// It makes no sense.
    Malformed,
    /// There is no such request.
    Unsupported,
    /// It was made to fail.
    Injected,
    /// The host failed.
    Host(io::Error),
}

impl From<OutsideRam> for Refusal {
    fn from(_: OutsideRam) -> Self {
        Self::Malformed
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Host(error)
    }
}

impl Refusal {
    fn status(&self) -> u32 {
        match self {
            Self::Unsupported => VIRTIO_BLK_S_UNSUPP,
            Self::Malformed | Self::Injected | Self::Host(_) => VIRTIO_BLK_S_IOERR,
        }
    }
}

impl Block {
    /// A disk with these sectors. `id` is its serial number, of at most 20 bytes.
    pub fn new(backing: Backing, id: &'static str) -> Self {
        Self {
            backing,
            id,
            features: 0,
            counters: Counters::default(),
            injector: Injector::default(),
            delay: Delay::default(),
        }
    }

    /// What becomes of a request: one that makes no sense, or is neither a read nor a write, is no candidate.
    fn decide<M: GuestMemoryBackend>(&mut self, request: &Request, ram: &M) -> Decision {
        let Request {
            data_out, data_in, ..
        } = request;
        let (what, data, other) = match request.kind {
            VIRTIO_BLK_T_IN => (ReadWrite::Read, data_in, data_out),
            VIRTIO_BLK_T_OUT if !self.backing.is_read_only() => {
                (ReadWrite::Write, data_out, data_in)
            }
            _ => return Decision::Pass,
        };
        if self.check(request.sector, data, other).is_err() || !data.is_in_ram(ram) {
            return Decision::Pass;
        }
        self.injector.decide(what, data.len())
    }

    /// Carries a request out, and answers it.
    fn finish<M: GuestMemoryBackend>(
        &mut self,
        head: u16,
        request: &Request,
        fails: bool,
        queue: &mut Virtqueue,
        ram: &M,
    ) -> Result<(), Violation> {
        let done = if fails {
            Err(self.injected(request.kind))
        } else {
            self.serve(request, ram)
        };
        let (status, written) = match done {
            // The status follows what was written only if the driver left no more room.
            Ok(data) if u64::from(data) == request.data_in.len() => (VIRTIO_BLK_S_OK, data + 1),
            Ok(data) => (VIRTIO_BLK_S_OK, data),
            Err(refusal) => {
                self.count_refusal(request.kind, &refusal);
                let written = u32::from(request.data_in.is_empty());
                (refusal.status(), written)
            }
        };
        request.answer(ram, status as u8);
        queue.give_back(ram, head, written)
    }

    /// A request is made to fail.
    fn injected(&mut self, kind: u32) -> Refusal {
        match kind {
            VIRTIO_BLK_T_IN => self.counters.injected_reads += 1,
            _ => self.counters.injected_writes += 1,
        }
        Refusal::Injected
    }

    /// Carries a request out. Returns the bytes that were written into the driver's buffers.
    fn serve<M: GuestMemoryBackend>(&mut self, request: &Request, ram: &M) -> Result<u32, Refusal> {
        match request.kind {
            VIRTIO_BLK_T_IN => self.read(request, ram),
            VIRTIO_BLK_T_OUT => self.write(request, ram).map(|()| 0),
            VIRTIO_BLK_T_FLUSH => self.flush(request).map(|()| 0),
            VIRTIO_BLK_T_GET_ID => self.tell_id(request, ram),
            _ => Err(Refusal::Unsupported),
        }
    }

    /// Checks what reads and writes have in common: `other` are buffers that it has no use for.
    fn check(&self, sector: u64, data: &Run, other: &Run) -> Result<(), Refusal> {
        let len = data.len();
        let fits = len > 0
            && len <= MAX_DATA
            && len.is_multiple_of(SECTOR_SIZE)
            && other.is_empty()
            && self.backing.contains(sector, len);
        if fits {
            Ok(())
        } else {
            Err(Refusal::Malformed)
        }
    }

    fn read<M: GuestMemoryBackend>(&mut self, request: &Request, ram: &M) -> Result<u32, Refusal> {
        let data = &request.data_in;
        self.check(request.sector, data, &request.data_out)?;
        if !data.is_in_ram(ram) {
            return Err(Refusal::Malformed);
        }
        let mut bytes = vec![0; data.len() as usize];
        self.backing.read(request.sector, &mut bytes)?;
        data.write(ram, &bytes)?;
        self.counters.reads += 1;
        self.counters.bytes_read += data.len();
        Ok(bytes.len() as u32)
    }

    fn write<M: GuestMemoryBackend>(&mut self, request: &Request, ram: &M) -> Result<(), Refusal> {
        let data = &request.data_out;
        self.check(request.sector, data, &request.data_in)?;
        if self.backing.is_read_only() {
            return Err(Refusal::Malformed);
        }
        let bytes = data.read(ram)?;
        self.backing.write(request.sector, &bytes)?;
        if self.features & FEATURE_FLUSH == 0 {
            // A driver that cannot flush counts on it (section 5.2.6.2).
            self.backing.flush()?;
        }
        self.counters.writes += 1;
        self.counters.bytes_written += data.len();
        Ok(())
    }

    fn flush(&mut self, request: &Request) -> Result<(), Refusal> {
        if self.features & FEATURE_FLUSH == 0 {
            return Err(Refusal::Unsupported);
        }
        if request.sector != 0 || !request.data_out.is_empty() || !request.data_in.is_empty() {
            return Err(Refusal::Malformed);
        }
        self.backing.flush()?;
        self.counters.flushes += 1;
        Ok(())
    }

    fn tell_id<M: GuestMemoryBackend>(&self, request: &Request, ram: &M) -> Result<u32, Refusal> {
        const LEN: usize = VIRTIO_BLK_ID_BYTES as usize;
        let data = &request.data_in;
        if data.len() < LEN as u64 || !request.data_out.is_empty() || !data.is_in_ram(ram) {
            return Err(Refusal::Malformed);
        }
        let mut bytes = [0; LEN];
        for (byte, of_id) in bytes.iter_mut().zip(self.id.bytes()) {
            *byte = of_id;
        }
        data.write(ram, &bytes)?;
        Ok(LEN as u32)
    }

    fn count_refusal(&mut self, kind: u32, refusal: &Refusal) {
        match kind {
            VIRTIO_BLK_T_IN => self.counters.read_errors += 1,
            VIRTIO_BLK_T_OUT => self.counters.write_errors += 1,
            _ => {}
        }
        match refusal {
            Refusal::Malformed | Refusal::Unsupported => self.counters.refused += 1,
            Refusal::Injected => {}
            Refusal::Host(error) => {
                if self.counters.host_errors == 0 {
                    warn!(
                        "the host fails a request of the disk '{}': {error}",
                        self.id
                    );
                }
                self.counters.host_errors += 1;
            }
        }
    }
}

impl<M: GuestMemoryBackend> VirtioDevice<M> for Block {
    fn id(&self) -> u32 {
        VIRTIO_ID_BLOCK
    }

    fn features(&self) -> u64 {
        let read_only = match self.backing.is_read_only() {
            true => FEATURE_RO,
            false => 0,
        };
        FEATURE_SEG_MAX | FEATURE_BLK_SIZE | FEATURE_FLUSH | read_only
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        config::read(self.backing.size(), offset, data);
    }

    fn write_config(&mut self, _offset: u64, _data: &[u8]) {}

    fn activate(&mut self, features: u64) {
        self.features = features;
    }

    fn notify(&mut self, _index: usize, queue: &mut Virtqueue, ram: &M) -> Result<(), Violation> {
        for held in self.delay.take_due(ram) {
            self.finish(held.head, &held.request, false, queue, ram)?;
        }
        for chain in queue.take_all(ram)? {
            let request = Request::parse(&chain, ram)?;
            let decision = self.decide(&request, ram);
            let request = match decision {
                Decision::Delay(events) => {
                    match self.delay.hold(ram, events, chain.head(), request) {
                        Ok(()) => {
                            self.counters.delayed += 1;
                            continue;
                        }
                        Err(request) => request,
                    }
                }
                Decision::Pass | Decision::Fail => request,
            };
            let fails = decision == Decision::Fail;
            self.finish(chain.head(), &request, fails, queue, ram)?;
        }
        self.delay.tell(ram);
        Ok(())
    }

    fn reset(&mut self) {
        self.features = 0;
        self.delay.clear();
    }
}
