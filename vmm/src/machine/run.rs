//! The run loop: enters the guest, serves its exits, and says why it stopped.

use std::time::Instant;

use kvm_bindings::{
    KVM_INTERNAL_ERROR_EMULATION, KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES, kvm_run,
};
use kvm_ioctls::VcpuExit;
use log::warn;
use pagelab_abi::platform::{Doorbell, ExitCode, IRQ_BASE};

use super::crash::CrashKind;
use super::error::MachineError;
use super::host::HostError;
use super::latency::Latency;
use super::machine::{FirstLine, Machine, RingCount, RunPhase};
use super::stop::Stop;
use super::watchdog::Interruptible;
use crate::devices::bus::BusEvent;

/// Most doorbells without a guest event between them; a guest under test rings some thousand times.
pub(super) const MAX_RINGS: u64 = 1 << 18;

/// What one entry of the guest led to.
enum Exit {
    /// Nothing that concerns the loop.
    Served,
    /// A device has something to say.
    Event(BusEvent),
    /// The guest executed `hlt`.
    Halt,
    /// A signal arrived.
    Interrupted,
    /// The CPU cannot go on.
    Broken(CrashKind),
}

impl Machine {
    /// Runs the guest until it stops.
    ///
    /// # Errors
    /// [`MachineError::Host`] if KVM fails, [`MachineError::Ended`] if the machine has ended. What
    /// the guest does wrong is a [`Stop`].
    pub fn run(&mut self) -> Result<Stop, MachineError> {
        match self.phase {
            RunPhase::Ended => return Err(MachineError::Ended),
            RunPhase::Halted if self.devices.irqs.pending() == 0 => return Ok(Stop::Idle),
            RunPhase::Halted => self.phase = RunPhase::Running,
            RunPhase::Running => {}
        }
        if let (Some(limit), None) = (self.time_limit, self.deadline) {
            self.deadline = Some(Instant::now() + limit);
        }
        self.watchdog.start()?;
        let guard = Interruptible::new(self.vcpu.fd.get_kvm_run());
        let stop = self.run_until_stop();
        drop(guard);
        if !matches!(stop, Ok(Stop::Doorbell(_) | Stop::Idle)) {
            self.phase = RunPhase::Ended;
        }
        stop
    }

    fn run_until_stop(&mut self) -> Result<Stop, MachineError> {
        if let Some(stop) = self.check_deadline()? {
            return Ok(stop);
        }
        loop {
            if self.latency.as_ref().is_some_and(Latency::has_died) {
                return self.hung(CrashKind::MemoryHandlerDied);
            }
            let stop = match self.enter()? {
                Exit::Served => None,
                Exit::Event(event) => self.on_event(event)?,
                Exit::Halt => self.on_halt()?,
                Exit::Interrupted => self.on_interrupted()?,
                Exit::Broken(kind) => Some(self.crash(kind)?),
            };
            if let Some(stop) = stop {
                return Ok(stop);
            }
        }
    }

    /// Enters the guest once and serves the exit.
    fn enter(&mut self) -> Result<Exit, MachineError> {
        self.deliver_interrupts()?;
        self.unfinished = true;
        let exit = match self.vcpu.run() {
            Ok(VcpuExit::IoOut(port, data)) => match self.devices.ports.write(port.into(), data) {
                Some(event) => Exit::Event(event),
                None => Exit::Served,
            },
            Ok(VcpuExit::IoIn(port, data)) => {
                self.devices.ports.read(port.into(), data);
                Exit::Served
            }
            // As a ROM does.
            Ok(VcpuExit::MmioWrite(address, _)) if self.slots.drops(address) => Exit::Served,
            Ok(VcpuExit::MmioWrite(address, data)) => {
                match self.devices.mmio.write(address, data) {
                    Some(event) => Exit::Event(event),
                    None if self.devices.have_observed() => {
                        Exit::Event(BusEvent::Doorbell(Doorbell::Candidate))
                    }
                    None => Exit::Served,
                }
            }
            Ok(VcpuExit::MmioRead(address, data)) => {
                self.devices.mmio.read(address, data);
                Exit::Served
            }
            Ok(VcpuExit::IrqWindowOpen | VcpuExit::Intr) => Exit::Served,
            Ok(VcpuExit::Hlt) => Exit::Halt,
            Ok(VcpuExit::Shutdown) => Exit::Broken(CrashKind::TripleFault),
            Ok(VcpuExit::FailEntry(reason, cpu)) => {
                Exit::Broken(CrashKind::EntryFailed { reason, cpu })
            }
            Ok(VcpuExit::MemoryFault { flags, gpa, size }) => {
                Exit::Broken(CrashKind::MemoryFault { gpa, size, flags })
            }
            Ok(VcpuExit::InternalError) => Exit::Broken(internal_error(self.vcpu.fd.get_kvm_run())),
            Ok(_) => {
                let reason = self.vcpu.fd.get_kvm_run().exit_reason;
                Exit::Broken(CrashKind::UnknownExit { reason })
            }
            Err(error) => match error.errno() {
                libc::EINTR => Exit::Interrupted,
                libc::EAGAIN => Exit::Served,
                _ => return Err(HostError::kvm("run the guest")(error).into()),
            },
        };
        Ok(exit)
    }

    /// Injects the lowest raised line if the guest can take an interrupt now, and otherwise asks
    /// KVM to stop as soon as it can. This happens between two entries only, so an interrupt's
    /// place in the guest's instruction stream depends on nothing but the guest.
    fn deliver_interrupts(&mut self) -> Result<(), MachineError> {
        let mut pending = self.devices.irqs.pending();
        let run = self.vcpu.fd.get_kvm_run();
        if pending == 0 {
            run.request_interrupt_window = 0;
            return Ok(());
        }
        if run.ready_for_interrupt_injection != 0
            && run.if_flag != 0
            && let Some(line) = self.devices.irqs.take()
        {
            self.vcpu.interrupt(IRQ_BASE + line as u8)?;
            pending = self.devices.irqs.pending();
        }
        self.vcpu.fd.get_kvm_run().request_interrupt_window = (pending != 0).into();
        Ok(())
    }

    fn on_event(&mut self, event: BusEvent) -> Result<Option<Stop>, MachineError> {
        Ok(match event {
            BusEvent::Exit(ExitCode::Panic) => Some(self.crash(CrashKind::Panic)?),
            BusEvent::Exit(code) => Some(Stop::Exit(code)),
            BusEvent::UnknownExit(value) => Some(Stop::UnknownExit(value)),
            BusEvent::Doorbell(reason) => Some(self.on_doorbell(reason)?),
            BusEvent::UnknownDoorbell(value) => {
                warn!("the guest rang the doorbell with {value}, which has no meaning");
                None
            }
            BusEvent::Root { pfn } => {
                self.root_pfn = Some(pfn.into());
                None
            }
            BusEvent::FirstLine => {
                self.first_line = Some(FirstLine {
                    elapsed: self.elapsed(),
                    events: self.events(),
                });
                None
            }
        })
    }

    /// A guest that does nothing but ring would keep its host busy for ever.
    fn on_doorbell(&mut self, reason: Doorbell) -> Result<Stop, MachineError> {
        let event = self.events();
        if event != self.rings.event {
            self.rings = RingCount { event, count: 0 };
        }
        self.rings.count += 1;
        if self.rings.count >= MAX_RINGS {
            return self.hung(CrashKind::Ringing {
                count: self.rings.count,
            });
        }
        Ok(Stop::Doorbell(reason))
    }

    fn on_halt(&mut self) -> Result<Option<Stop>, MachineError> {
        if self.vcpu.fd.get_kvm_run().if_flag == 0 {
            // Nothing can wake it: there are no NMIs here.
            return Ok(Some(self.crash(CrashKind::HaltedForever)?));
        }
        if self.devices.irqs.pending() != 0 {
            return Ok(None);
        }
        self.phase = RunPhase::Halted;
        Ok(Some(Stop::Idle))
    }

    /// A signal has interrupted the guest: the watchdog's, or any other.
    fn on_interrupted(&mut self) -> Result<Option<Stop>, MachineError> {
        self.vcpu.fd.set_kvm_immediate_exit(0);
        if self.watchdog.tick(self.events()) {
            let seconds = self.watchdog.limit().as_secs_f64();
            return Ok(Some(self.hung(CrashKind::NoProgress { seconds })?));
        }
        self.check_deadline()
    }

    fn check_deadline(&self) -> Result<Option<Stop>, MachineError> {
        match (self.deadline, self.time_limit) {
            (Some(deadline), Some(limit)) if Instant::now() >= deadline => {
                let seconds = limit.as_secs_f64();
                Ok(Some(self.hung(CrashKind::TimeLimit { seconds })?))
            }
            _ => Ok(None),
        }
    }

    fn hung(&self, kind: CrashKind) -> Result<Stop, MachineError> {
        Ok(Stop::Hung(Box::new(self.crash_report(kind)?)))
    }

    fn crash(&self, kind: CrashKind) -> Result<Stop, MachineError> {
        Ok(Stop::Crash(Box::new(self.crash_report(kind)?)))
    }
}

/// Reads what KVM says about an internal error (Documentation/virt/kvm/api.rst,
/// KVM_EXIT_INTERNAL_ERROR). In ring 0 KVM always stops at an instruction that it cannot emulate;
/// KVM_CAP_EXIT_ON_EMULATION_FAILURE, which makes it stop in ring 3 too, stays off, so that a
/// program gets its #UD and the guest's kernel deals with it.
fn internal_error(run: &kvm_run) -> CrashKind {
    // SAFETY: the exit reason says that this member of the union is the valid one, and any bits
    // are valid for its integers.
    let (error, emulation) = unsafe {
        let exit = &run.__bindgen_anon_1;
        (exit.internal, exit.emulation_failure)
    };
    if error.suberror != KVM_INTERNAL_ERROR_EMULATION {
        let len = (error.ndata as usize).min(error.data.len());
        return CrashKind::InternalError {
            suberror: error.suberror,
            data: error.data[..len].to_vec(),
        };
    }
    let has_bytes = error.ndata >= 1
        && emulation.flags & u64::from(KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0;
    if !has_bytes {
        return CrashKind::Emulation { bytes: Vec::new() };
    }
    // SAFETY: the flag says that this member is filled in; it is plain bytes.
    let instruction = unsafe { emulation.__bindgen_anon_1.__bindgen_anon_1 };
    let len = usize::from(instruction.insn_size).min(instruction.insn_bytes.len());
    CrashKind::Emulation {
        bytes: instruction.insn_bytes[..len].to_vec(),
    }
}
