//! The vCPU's part of a snapshot.

use std::io;

use kvm_bindings::{
    Msrs, kvm_debugregs, kvm_mp_state, kvm_msr_entry, kvm_regs, kvm_sregs, kvm_vcpu_events,
    kvm_xcrs, kvm_xsave,
};
use serde::{Deserialize, Serialize};

use super::error::SnapshotError;
use crate::machine::host::{self, HostError};
use crate::machine::machine::Machine;
use crate::machine::vcpu::Vcpu;

/// CR4.PGE: changing it makes KVM drop all translations of the guest (Intel SDM vol. 3, 4.10.4.1).
const CR4_PGE: u64 = 1 << 7;

/// MSRs that count by themselves (Intel SDM vol. 4; Linux, arch/x86/include/uapi/asm/kvm_para.h): TSC, its
/// adjustment, APERF and MPERF, KVM's clocks. Setting them back has KVM start its clocks anew, so a
/// machine that goes back lets them go on: the guest's time is its events.
const COUNTERS: [u32; 8] = [TSC, 0x3b, 0xe7, 0xe8, 0x11, 0x12, 0x4b56_4d00, 0x4b56_4d01];

/// Hyper-V's registers, of which some count as well. The guest is not told of them.
const HYPERV: std::ops::RangeInclusive<u32> = 0x4000_0000..=0x4000_0fff;

/// The time-stamp counter. A new vCPU's goes on where the snapshot's was.
const TSC: u32 = 0x10;

/// All registers of a vCPU between two instructions.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CpuState {
    pub(super) regs: kvm_regs,
    pub(super) sregs: kvm_sregs,
    xsave: Box<kvm_xsave>,
    xcrs: kvm_xcrs,
    debug: kvm_debugregs,
    events: kvm_vcpu_events,
    mp_state: kvm_mp_state,
    /// Number and value of each model-specific register that can be read.
    msrs: Vec<(u32, u64)>,
    /// What KVM says of the vCPU when it returns from it.
    if_flag: u8,
    ready_for_interrupt_injection: u8,
}

impl CpuState {
    /// Numbers of the model-specific registers that it has.
    pub(super) fn model_specific(&self) -> Vec<u32> {
        self.msrs.iter().map(|(number, _)| *number).collect()
    }
}

impl Machine {
    /// Lets the vCPU finish the access at which it left the guest: until then its registers are those of
    /// before, and KVM would finish it in the state of a snapshot.
    pub(super) fn finish_exit(&mut self) -> Result<(), SnapshotError> {
        if !self.unfinished {
            return Ok(());
        }
        self.vcpu.fd.set_kvm_immediate_exit(1);
        let result = self.vcpu.fd.run().map(|exit| format!("{exit:?}"));
        self.vcpu.fd.set_kvm_immediate_exit(0);
        match result {
            Err(error) if error.errno() == libc::EINTR => {}
            Err(error) => return Err(SnapshotError::Unfinished(error.into())),
            // An access of several pieces may come back for its next one.
            Ok(exit) => return Err(SnapshotError::Unfinished(io::Error::other(exit))),
        }
        self.unfinished = false;
        Ok(())
    }
}

impl CpuState {
    /// Whether all is the same but for what counts by itself.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let kept = |state: &Self| -> Vec<(u32, u64)> {
            let all = state.msrs.iter().copied();
            let counts = |number: &u32| COUNTERS.contains(number) || HYPERV.contains(number);
            all.filter(|(number, _)| !counts(number)).collect()
        };
        let Self {
            regs,
            sregs,
            xsave,
            xcrs,
            debug,
            events,
            mp_state,
            msrs: _,
            if_flag,
            ready_for_interrupt_injection,
        } = self;
        *regs == other.regs
            && *sregs == other.sregs
            && xsave.region == other.xsave.region
            && *xcrs == other.xcrs
            && *debug == other.debug
            && *events == other.events
            && *mp_state == other.mp_state
            && kept(self) == kept(other)
            && *if_flag == other.if_flag
            && *ready_for_interrupt_injection == other.ready_for_interrupt_injection
    }
}

impl Vcpu {
    /// The state, once the last exit is finished, with those of these model-specific registers that can be
    /// read.
    pub(super) fn state(&mut self, model_specific: &[u32]) -> Result<CpuState, HostError> {
        let fd = &self.fd;
        let state = CpuState {
            regs: self.general_registers()?,
            sregs: self.system_registers()?,
            xsave: Box::new(fd.get_xsave().map_err(failed("read the extended state"))?),
            xcrs: fd.get_xcrs().map_err(failed("read the XCRs"))?,
            debug: fd
                .get_debug_regs()
                .map_err(failed("read the debug registers"))?,
            events: fd
                .get_vcpu_events()
                .map_err(failed("read pending events"))?,
            mp_state: fd
                .get_mp_state()
                .map_err(failed("read whether the CPU runs"))?,
            msrs: self.msrs(model_specific)?,
            if_flag: 0,
            ready_for_interrupt_injection: 0,
        };
        let run = self.fd.get_kvm_run();
        Ok(CpuState {
            if_flag: run.if_flag,
            ready_for_interrupt_injection: run.ready_for_interrupt_injection,
            ..state
        })
    }

    /// Makes this vCPU, which has run, what it was. With `flush` it forgets all translations.
    pub(super) fn restore(&mut self, state: &CpuState, flush: bool) -> Result<(), HostError> {
        if flush {
            let mut other = state.sregs;
            other.cr4 ^= CR4_PGE;
            self.fd
                .set_sregs(&other)
                .map_err(failed("set the system registers"))?;
        }
        self.restore_registers(state)?;
        self.restore_msrs(state, |number| !COUNTERS.contains(&number))
    }

    /// Makes this vCPU, which is new, what another one was.
    pub(super) fn restore_new(&mut self, state: &CpuState) -> Result<(), HostError> {
        self.restore_registers(state)?;
        self.restore_msrs(state, |number| number == TSC || !COUNTERS.contains(&number))
    }

    fn restore_registers(&mut self, state: &CpuState) -> Result<(), HostError> {
        let fd = &self.fd;
        fd.set_mp_state(state.mp_state)
            .map_err(failed("set whether the CPU runs"))?;
        fd.set_sregs(&state.sregs)
            .map_err(failed("set the system registers"))?;
        fd.set_regs(&state.regs)
            .map_err(failed("set the registers"))?;
        fd.set_xcrs(&state.xcrs).map_err(failed("set the XCRs"))?;
        // SAFETY: the area has the 4096 bytes that KVM takes, as this process has asked for no extended
        // state that is enabled on demand.
        unsafe { fd.set_xsave(&state.xsave) }.map_err(failed("set the extended state"))?;
        fd.set_debug_regs(&state.debug)
            .map_err(failed("set the debug registers"))?;
        fd.set_vcpu_events(&state.events)
            .map_err(failed("set pending events"))?;
        let run = self.fd.get_kvm_run();
        run.if_flag = state.if_flag;
        run.ready_for_interrupt_injection = state.ready_for_interrupt_injection;
        run.request_interrupt_window = 0;
        Ok(())
    }

    /// Sets those registers that are to be restored and have another value now: setting one costs more
    /// than reading it, and some cannot be set at all.
    fn restore_msrs(
        &self,
        state: &CpuState,
        wanted: impl Fn(u32) -> bool,
    ) -> Result<(), HostError> {
        let saved: Vec<_> = state
            .msrs
            .iter()
            .filter(|(number, _)| wanted(*number))
            .collect();
        let numbers: Vec<u32> = saved.iter().map(|(number, _)| *number).collect();
        // In the same order, less those that cannot be read now.
        let mut now = self.msrs(&numbers)?.into_iter().peekable();
        let differ = saved.into_iter().filter(|entry| {
            let same_number = now.next_if(|(number, _)| *number == entry.0);
            same_number.as_ref() != Some(*entry)
        });
        let entries: Vec<kvm_msr_entry> = differ
            .map(|&(index, data)| kvm_msr_entry {
                index,
                data,
                ..Default::default()
            })
            .collect();
        if entries.is_empty() {
            return Ok(());
        }
        let step = "set the model-specific registers";
        let msrs = Msrs::from_entries(&entries).map_err(|_| out_of_memory(step))?;
        let set = self.fd.set_msrs(&msrs).map_err(failed(step))?;
        match entries.get(set) {
            None => Ok(()),
            Some(_) => Err(failed(step)(vmm_sys_util::errno::Error::new(libc::EINVAL))),
        }
    }

    /// A model-specific register, if it can be read.
    pub(in crate::machine) fn msr(&self, number: u32) -> Result<Option<u64>, HostError> {
        Ok(self.msrs(&[number])?.first().map(|(_, value)| *value))
    }

    /// The registers of `numbers` that can be read.
    fn msrs(&self, numbers: &[u32]) -> Result<Vec<(u32, u64)>, HostError> {
        let step = "read the model-specific registers";
        let mut values = Vec::with_capacity(numbers.len());
        let mut left = numbers;
        while !left.is_empty() {
            let entries: Vec<kvm_msr_entry> = left
                .iter()
                .map(|&index| kvm_msr_entry {
                    index,
                    ..Default::default()
                })
                .collect();
            let mut msrs = Msrs::from_entries(&entries).map_err(|_| out_of_memory(step))?;
            let read = self.fd.get_msrs(&mut msrs).map_err(failed(step))?;
            let read_entries = &msrs.as_slice()[..read.min(left.len())];
            values.extend(read_entries.iter().map(|entry| (entry.index, entry.data)));
            // KVM stops at the first that it does not have.
            left = left.get(read + 1..).unwrap_or(&[]);
        }
        Ok(values)
    }
}

fn failed(step: &'static str) -> impl FnOnce(vmm_sys_util::errno::Error) -> HostError {
    HostError::kvm(step)
}

fn out_of_memory(step: &'static str) -> HostError {
    failed(step)(vmm_sys_util::errno::Error::new(libc::ENOMEM))
}

/// Numbers of the model-specific registers that KVM has here.
pub(super) fn model_specific() -> Result<Vec<u32>, HostError> {
    let list = host::open()?.get_msr_index_list();
    let list = list.map_err(failed("list the model-specific registers"))?;
    Ok(list.as_slice().to_vec())
}
