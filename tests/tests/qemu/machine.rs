//! A QEMU process with pagelab's guest in it.

use crate::qmp::Qmp;
use pagelab::machine::embedded;
use std::{
    env, fs,
    io::Write,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Set to `1`, this variable turns a test that is skipped for want of QEMU into one that fails.
const REQUIRE: &str = "PAGELAB_REQUIRE_QEMU";

const PROGRAM: &str = "qemu-system-x86_64";

/// After this a guest counts as stuck: many times what it takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// True if there is a QEMU. If not, says so, and fails where [`REQUIRE`] is `1`.
pub(crate) fn has_qemu() -> bool {
    let version = Command::new(PROGRAM).arg("--version").output();
    let Err(error) = version else { return true };
    let required = env::var_os(REQUIRE).is_some_and(|value| value == "1");
    assert!(
        !required,
        "{REQUIRE}=1, but {PROGRAM} cannot be started: {error}"
    );
    let test = thread::current();
    // Past the test harness's capture; if standard error is closed there is nobody to tell.
    let _ = writeln!(
        std::io::stderr(),
        "{}: SKIPPED: {PROGRAM} cannot be started: {error}; Debian has it in qemu-system-x86",
        test.name().unwrap_or("test")
    );
    false
}

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accel {
    /// QEMU's software CPU.
    Tcg,
    /// /dev/kvm.
    Kvm,
}

/// What the machine is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) accel: Accel,
    /// As QEMU's `-m` takes it.
    pub(crate) memory: &'a str,
    /// The guest's command line; QEMU adds the devices.
    pub(crate) append: &'a str,
    /// Whether there is an exit port. Without it the guest stands still when it is done.
    pub(crate) exit_port: bool,
}

impl<'a> Setup<'a> {
    /// A machine of 256 MiB under the software CPU, with an exit port.
    pub(crate) fn new(append: &'a str) -> Self {
        Self {
            accel: Accel::Tcg,
            memory: "256M",
            append,
            exit_port: true,
        }
    }
}

/// A running QEMU; killed when dropped.
pub(crate) struct Qemu {
    process: Child,
    directory: TempDir,
}

impl Qemu {
    /// Starts the guest.
    pub(crate) fn start(setup: Setup<'_>) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let at = |name: &str| directory.path().join(name).display().to_string();
        fs::write(at("guest.elf"), embedded::kernel()).expect("the kernel can be written");
        let mut command = Command::new(PROGRAM);
        // Without ACPI, microvm announces its devices on the kernel's command line. QEMU's virtio-mmio is
        // the legacy one unless told otherwise.
        command.args(["-global", "virtio-mmio.force-legacy=false"]);
        command.args(["-M", "microvm,acpi=off,x-option-roms=off,rtc=off", "-accel"]);
        command.arg(match setup.accel {
            Accel::Tcg => "tcg",
            Accel::Kvm => "kvm",
        });
        command.args([
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
        ]);
        command.args([
            "-m",
            setup.memory,
            "-kernel",
            &at("guest.elf"),
            "-append",
            setup.append,
        ]);
        command.args(["-serial", &format!("file:{}", at("serial"))]);
        command.args(["-qmp", &format!("unix:{},server=on,wait=off", at("qmp"))]);
        command.args([
            "-device",
            "virtio-balloon-device,id=balloon,deflate-on-oom=on,free-page-reporting=on",
        ]);
        if setup.exit_port {
            command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]);
        }
        let messages = fs::File::create(at("messages")).expect("a file for QEMU's messages");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(messages);
        let process = command.spawn().expect("QEMU can be started");
        Self { process, directory }
    }

    /// A connection to QEMU's monitor.
    pub(crate) fn qmp(&mut self) -> Qmp {
        let path = self.path("qmp");
        self.wait_for("its monitor", |_| path.exists().then_some(()));
        Qmp::connect(&path, PATIENCE).expect("QEMU's monitor answers")
    }

    /// A path in the machine's own temporary directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What the guest has written to its console.
    pub(crate) fn serial(&self) -> String {
        let bytes = fs::read(self.path("serial")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// Waits until `done` gives something; `what` says what for.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        mut done: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = done(self) {
                return value;
            }
            if let Some(status) = self.process.try_wait().expect("QEMU is our child") {
                panic!(
                    "QEMU ended ({status}) while we waited for {what}:\n{}",
                    self.words()
                );
            }
            assert!(
                start.elapsed() < PATIENCE,
                "no {what} in QEMU:\n{}",
                self.words()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until QEMU ends, and gives what the guest wrote to the exit port.
    pub(crate) fn exit_code(&mut self) -> u32 {
        let start = Instant::now();
        let status: ExitStatus = loop {
            if let Some(status) = self.process.try_wait().expect("QEMU is our child") {
                break status;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "the guest does not end:\n{}",
                self.words()
            );
            thread::sleep(Duration::from_millis(10));
        };
        // isa-debug-exit: (value << 1) | 1. An even status is QEMU's own.
        match status.code() {
            Some(code) if code & 1 == 1 && !self.words().contains(PROGRAM) => code as u32 >> 1,
            _ => panic!("QEMU ended by itself ({status}):\n{}", self.words()),
        }
    }

    /// Console and QEMU's messages, for a failed test.
    fn words(&self) -> String {
        let messages = fs::read_to_string(self.path("messages")).unwrap_or_default();
        let own = messages.lines().filter(|line| !line.contains("warning:"));
        format!("{}{}", self.serial(), own.collect::<Vec<_>>().join("\n"))
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
