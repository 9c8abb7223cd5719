//! The machine against guests of a few instructions. Each starts at `CODE` in 32-bit protected
//! mode without paging.

use std::time::Duration;

use pagelab_abi::platform::{Doorbell, ExitCode};
use vm_memory::{Bytes, GuestAddress};

use super::crash::{CrashKind, CrashReport};
use super::run::MAX_RINGS;
use super::testing::{CODE, has_kvm, pvh_elf};
use super::{Kernel, Machine, MachineConfig, MachineError, Stop};
use crate::devices::lock;

/// `mov eax, value; mov edx, port; out dx, eax`
fn out32(port: u16, value: u32) -> Vec<u8> {
    let mut code = vec![0xb8];
    code.extend(value.to_le_bytes());
    code.push(0xba);
    code.extend(u32::from(port).to_le_bytes());
    code.push(0xef);
    code
}

/// `mov al, byte; mov edx, port; out dx, al`
fn out8(port: u16, byte: u8) -> Vec<u8> {
    let mut code = vec![0xb0, byte, 0xba];
    code.extend(u32::from(port).to_le_bytes());
    code.push(0xee);
    code
}

fn exit(code: u32) -> Vec<u8> {
    out32(0xf4, code)
}

fn machine(code: &[u8]) -> Machine {
    // Long enough for a guest that gets on to end by itself, however slow the host.
    watched_machine(code, Duration::from_secs(300))
}

fn watched_machine(code: &[u8], watchdog: Duration) -> Machine {
    let config = MachineConfig {
        memory: 16 << 20,
        watchdog,
        ..MachineConfig::new(Kernel::Bytes(pvh_elf(code)))
    };
    Machine::new(config).unwrap()
}

/// Soon over, for guests that never get on.
const SOON: Duration = Duration::from_millis(200);

fn crash(stop: Stop) -> CrashReport {
    match stop {
        Stop::Crash(report) | Stop::Hung(report) => *report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_guest_prints_rings_and_exits() {
    if !has_kvm() {
        return;
    }
    let mut code: Vec<u8> = b"hi\n".iter().flat_map(|c| out8(0x3f8, *c)).collect();
    code.extend(out32(0x510, Doorbell::Ready as u32));
    code.extend(exit(0));
    let mut machine = machine(&code);
    let stop = machine.run().unwrap();
    assert!(matches!(stop, Stop::Doorbell(Doorbell::Ready)), "{stop:?}");
    assert_eq!(lock(&machine.console()).text(), "hi\n");
    assert_eq!(machine.first_line().unwrap().events, 0);
    let stop = machine.run().unwrap();
    assert!(matches!(stop, Stop::Exit(ExitCode::Success)), "{stop:?}");
    assert!(matches!(machine.run(), Err(MachineError::Ended)));
}

#[test]
fn the_guest_gets_its_start_info() {
    if !has_kvm() {
        return;
    }
    // mov eax, [ebx]; mov edx, 0xf4; out dx, eax: the magic number as exit code.
    let code = [0x8b, 0x03, 0xba, 0xf4, 0, 0, 0, 0xef];
    let stop = machine(&code).run().unwrap();
    assert!(matches!(stop, Stop::UnknownExit(0x336e_c578)), "{stop:?}");
}

#[test]
fn halting_with_interrupts_disabled_is_the_end() {
    if !has_kvm() {
        return;
    }
    let report = crash(machine(&[0xf4]).run().unwrap());
    assert_eq!(report.cause, CrashKind::HaltedForever);
}

#[test]
fn a_halted_guest_is_idle_until_an_interrupt() {
    if !has_kvm() {
        return;
    }
    // sti; hlt
    let mut machine = machine(&[0xfb, 0xf4]);
    for _ in 0..3 {
        assert!(matches!(machine.run().unwrap(), Stop::Idle));
    }
    // Without an IDT the interrupt ends in a triple fault, which shows that it was delivered.
    machine.devices.irqs.line(5).unwrap().raise();
    let report = crash(machine.run().unwrap());
    assert_eq!(report.cause, CrashKind::TripleFault);
    assert_eq!(machine.devices.irqs.pending(), 0);
}

#[test]
fn an_interrupt_waits_until_the_guest_enables_them() {
    if !has_kvm() {
        return;
    }
    // Doorbell, then a marker, sti, nop, hlt.
    let mut code = out32(0x510, Doorbell::Idle as u32);
    code.extend(out8(0x3f8, b'!'));
    code.extend([0xfb, 0x90, 0xf4]);
    let mut machine = machine(&code);
    machine.run().unwrap();
    machine.devices.irqs.line(5).unwrap().raise();
    let report = crash(machine.run().unwrap());
    assert_eq!(report.cause, CrashKind::TripleFault);
    assert_eq!(lock(&machine.console()).text(), "!");
}

#[test]
fn a_triple_fault_is_reported_with_its_instruction() {
    if !has_kvm() {
        return;
    }
    // mov eax, 0x1234; ud2, without an IDT.
    let report = crash(
        machine(&[0xb8, 0x34, 0x12, 0, 0, 0x0f, 0x0b])
            .run()
            .unwrap(),
    );
    assert_eq!(report.cause, CrashKind::TripleFault);
    if report.reset {
        // AMD-V: what was in the registers is gone.
        assert_eq!(report.registers.rip, 0xfff0);
        return;
    }
    assert_eq!(report.registers.rax, 0x1234);
    let instruction = report.instruction.unwrap();
    assert_eq!(instruction.text, "ud2");
    assert_eq!(instruction.address, CODE + 5);
    assert_eq!(report.backtrace[0].address, CODE + 5);
}

#[test]
fn the_watchdog_ends_an_endless_loop() {
    if !has_kvm() {
        return;
    }
    let report = crash(watched_machine(&[0xeb, 0xfe], SOON).run().unwrap());
    assert_eq!(report.cause, CrashKind::NoProgress { seconds: 0.2 });
    assert_eq!(report.registers.rip, CODE);
    assert!(report.instruction.unwrap().text.starts_with("jmp"));
}

#[test]
fn the_watchdog_ends_an_endless_loop_of_exits() {
    if !has_kvm() {
        return;
    }
    // in al, 0x80; jmp back
    let mut machine = watched_machine(&[0xe4, 0x80, 0xeb, 0xfc], SOON);
    let report = crash(machine.run().unwrap());
    assert_eq!(report.cause, CrashKind::NoProgress { seconds: 0.2 });
    assert!(machine.unclaimed_accesses() > 0);
}

/// Rings the doorbell for ever.
fn ringer() -> Vec<u8> {
    let mut code = out32(0x510, Doorbell::Stop as u32);
    code.extend([0xeb, 0u8.wrapping_sub(code.len() as u8 + 2)]);
    code
}

#[test]
fn a_guest_that_only_rings_is_ended() {
    if !has_kvm() {
        return;
    }
    let mut machine = machine(&ringer());
    // Start close to the limit: all of it takes some seconds.
    machine.rings.count = MAX_RINGS - 3;
    for _ in 0..2 {
        let stop = machine.run().unwrap();
        assert!(matches!(stop, Stop::Doorbell(Doorbell::Stop)), "{stop:?}");
    }
    let report = crash(machine.run().unwrap());
    assert_eq!(report.cause, CrashKind::Ringing { count: MAX_RINGS });
}

#[test]
fn the_time_limit_ends_a_guest_that_rings_for_ever() {
    if !has_kvm() {
        return;
    }
    let config = MachineConfig {
        memory: 16 << 20,
        time_limit: Some(Duration::from_millis(20)),
        ..MachineConfig::new(Kernel::Bytes(pvh_elf(&ringer())))
    };
    let mut machine = Machine::new(config).unwrap();
    let report = loop {
        match machine.run().unwrap() {
            Stop::Doorbell(Doorbell::Stop) => {}
            other => break crash(other),
        }
    };
    assert_eq!(report.cause, CrashKind::TimeLimit { seconds: 0.02 });
}

#[test]
fn execution_outside_memory_is_reported() {
    if !has_kvm() {
        return;
    }
    // jmp to the device hole: KVM cannot fetch there.
    let mut code = vec![0xb8];
    code.extend(0xd800_0000_u32.to_le_bytes());
    code.extend([0xff, 0xe0]);
    let report = crash(machine(&code).run().unwrap());
    assert!(
        matches!(
            report.cause,
            CrashKind::Emulation { .. } | CrashKind::InternalError { .. }
        ),
        "{report}"
    );
    assert_eq!(report.registers.rip, 0xd800_0000);
}

#[test]
fn unclaimed_addresses_read_all_ones() {
    if !has_kvm() {
        return;
    }
    // mov eax, [0xd8000000]; mov [0xd8000000], eax; and out it.
    let mut code = vec![0xa1];
    code.extend(0xd800_0000_u32.to_le_bytes());
    code.push(0xa3);
    code.extend(0xd800_0000_u32.to_le_bytes());
    code.extend([0xba, 0xf4, 0, 0, 0, 0xef]);
    let mut machine = machine(&code);
    let stop = machine.run().unwrap();
    assert!(matches!(stop, Stop::UnknownExit(u32::MAX)), "{stop:?}");
    assert_eq!(machine.unclaimed_accesses(), 2);
}

#[test]
fn a_root_page_outside_memory_is_an_error_not_a_crash() {
    if !has_kvm() {
        return;
    }
    let mut code = out32(0x514, u32::MAX);
    code.extend(exit(1));
    let mut machine = machine(&code);
    assert!(machine.root().is_err());
    let stop = machine.run().unwrap();
    assert!(matches!(stop, Stop::Exit(ExitCode::Failure)), "{stop:?}");
    let text = machine.root().unwrap_err().to_string();
    assert!(text.contains("0xffffffff is not in its memory"), "{text}");
}

#[test]
fn a_panic_without_a_record_is_a_crash_too() {
    if !has_kvm() {
        return;
    }
    let report = crash(machine(&exit(ExitCode::Panic as u32)).run().unwrap());
    assert_eq!(report.cause, CrashKind::Panic);
    assert_eq!(report.panic, None);
}

#[test]
fn random_accesses_to_ports_and_devices_do_no_harm() {
    if !has_kvm() {
        return;
    }
    // A linear congruential generator (Numerical Recipes) drives 2,000 rounds of port and memory
    // reads and writes of every width, outside the ports that stop the guest.
    #[rustfmt::skip]
    let code = [
        0xbe, 0x01, 0x00, 0x00, 0x00,       //    mov esi, 1
        0xb9, 0xd0, 0x07, 0x00, 0x00,       //    mov ecx, 2000
        // 1:
        0x69, 0xf6, 0x0d, 0x66, 0x19, 0x00, //    imul esi, esi, 1664525
        0x81, 0xc6, 0x5f, 0xf3, 0x6e, 0x3c, //    add esi, 1013904223
        0x89, 0xf2,                         //    mov edx, esi
        0xc1, 0xea, 0x10,                   //    shr edx, 16
        0x80, 0xce, 0x08,                   //    or dh, 8
        0x89, 0xf0,                         //    mov eax, esi
        0xee,                               //    out dx, al
        0x66, 0xef,                         //    out dx, ax
        0xef,                               //    out dx, eax
        0xec,                               //    in al, dx
        0x66, 0xed,                         //    in ax, dx
        0xed,                               //    in eax, dx
        0x66, 0xba, 0xf8, 0x03,             //    mov dx, 0x3f8
        0x89, 0xf3,                         //    mov ebx, esi
        0xc1, 0xeb, 0x1d,                   //    shr ebx, 29
        0x01, 0xda,                         //    add edx, ebx (upper half is noise)
        0x0f, 0xb7, 0xd2,                   //    movzx edx, dx
        0xef,                               //    out dx, eax
        0xed,                               //    in eax, dx
        0x89, 0xf3,                         //    mov ebx, esi
        0xc1, 0xeb, 0x06,                   //    shr ebx, 6
        0x81, 0xcb, 0x00, 0x00, 0x00, 0xd0, //    or ebx, 0xd0000000
        0x89, 0x03,                         //    mov [ebx], eax
        0x66, 0x89, 0x03,                   //    mov [ebx], ax
        0x8a, 0x23,                         //    mov ah, [ebx]
        0x8b, 0x1b,                         //    mov ebx, [ebx]
        0x49,                               //    dec ecx
        0x75, 0xbb,                         //    jnz 1b
        0x31, 0xc0,                         //    xor eax, eax
        0xba, 0xf4, 0x00, 0x00, 0x00,       //    mov edx, 0xf4
        0xef,                               //    out dx, eax
    ];
    let mut machine = machine(&code);
    let stop = machine.run().unwrap();
    assert!(matches!(stop, Stop::Exit(ExitCode::Success)), "{stop:?}");
    assert!(machine.unclaimed_accesses() > 10_000);
}

#[test]
fn the_balloon_is_found_where_the_command_line_says() {
    if !has_kvm() {
        return;
    }
    // mov eax, [0xd0000000 + 8]; mov edx, 0xf4; out dx, eax: the device id as exit code.
    let code = [0xa1, 8, 0, 0, 0xd0, 0xba, 0xf4, 0, 0, 0, 0xef];
    let mut machine = machine(&code);
    let mut text = [0; 64];
    let cmdline = GuestAddress(0x7000);
    machine.memory().read_slice(&mut text, cmdline).unwrap();
    let announced = b"pagelab.doorbell virtio_mmio.device=4K@0xd0000000:5\0";
    assert_eq!(text[..announced.len()], *announced);
    let stop = machine.run().unwrap();
    assert!(matches!(stop, Stop::UnknownExit(5)), "{stop:?}");
    machine.balloon().unwrap().set_target(8 << 20);
    assert_eq!(machine.balloon().unwrap().target(), 8 << 20);
}

#[test]
fn an_instruction_that_kvm_cannot_emulate_is_named() {
    if !has_kvm() {
        return;
    }
    // popcnt eax, ebx: runs natively, but not in KVM's instruction emulator.
    let mut code = vec![0xf3, 0x0f, 0xb8, 0xc3];
    code.extend(exit(0));
    match machine(&code).run().unwrap() {
        Stop::Exit(ExitCode::Success) => {}
        other => {
            let report = crash(other);
            assert!(
                matches!(report.cause, CrashKind::Emulation { .. }),
                "{report}"
            );
            assert_eq!(report.registers.rip, CODE);
            assert_eq!(report.instruction.unwrap().text, "popcnt %ebx,%eax");
        }
    }
}

#[test]
fn guests_of_random_bytes_do_no_harm() {
    if !has_kvm() {
        return;
    }
    // xorshift64 (Marsaglia 2003); the seed is arbitrary.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..40 {
        let code: Vec<u8> = (0..12).flat_map(|_| random().to_le_bytes()).collect();
        let mut machine = watched_machine(&code, Duration::from_millis(40));
        loop {
            match machine.run() {
                Ok(Stop::Doorbell(_)) => {}
                Ok(Stop::Crash(report) | Stop::Hung(report)) => {
                    let text = report.to_string();
                    assert!(
                        text.lines().all(|line| line.chars().count() <= 80),
                        "{text}"
                    );
                    break;
                }
                Ok(_) => break,
                Err(error) => panic!("{code:02x?}: {error}"),
            }
        }
    }
}
