//! QEMU with pagelab's guest in it, and a wire to its monitor.

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use pagelab::machine::embedded;
use serde_json::{Value, json};

/// Longest time that any step may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running QEMU; ended when dropped.
pub(crate) struct Qemu {
    child: Child,
    monitor: BufReader<UnixStream>,
    console: PathBuf,
}

impl Qemu {
    /// Starts the guest. None, with a word about it, if there is no QEMU.
    pub(crate) fn boot(dir: &Path) -> Option<Self> {
        let kernel = dir.join("guest.elf");
        fs::write(&kernel, embedded::kernel()).expect("a file");
        let socket = dir.join("qmp");
        let console = dir.join("console");
        let child = Command::new("qemu-system-x86_64")
            .args([
                "-M",
                "microvm,acpi=off",
                "-accel",
                "tcg",
                "-cpu",
                "max",
                "-m",
                "64M",
            ])
            .args([
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
                "-no-reboot",
            ])
            .args(["-append", "console=ttyS0 workload=none"])
            .arg("-kernel")
            .arg(&kernel)
            .arg("-serial")
            .arg(format!("file:{}", console.display()))
            .arg("-qmp")
            .arg(format!("unix:{},server=on,wait=off", socket.display()))
            .stdin(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // If standard error is closed there is nobody to tell.
                let _ = writeln!(std::io::stderr(), "SKIPPED: there is no qemu-system-x86_64");
                return None;
            }
            Err(error) => panic!("cannot start QEMU: {error}"),
        };
        let stream = wait_for("QEMU's monitor", || UnixStream::connect(&socket).ok());
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut qemu = Self {
            child,
            monitor: BufReader::new(stream),
            console,
        };
        let greeting = qemu.read();
        assert!(greeting.get("QMP").is_some(), "{greeting}");
        qemu.execute("qmp_capabilities", json!({}));
        Some(qemu)
    }

    /// Waits until the guest has booted, and stops it.
    pub(crate) fn stop_at_ready(&mut self) {
        let console = self.console.clone();
        wait_for("the guest's last line of boot", || {
            let text = fs::read_to_string(&console).unwrap_or_default();
            text.contains("workload:").then_some(())
        });
        self.execute("stop", json!({}));
    }

    /// Dumps the guest's memory, with or without its virtual addresses.
    pub(crate) fn dump(&mut self, path: &Path, paging: bool) {
        let protocol = format!("file:{}", path.display());
        self.execute(
            "dump-guest-memory",
            json!({ "paging": paging, "protocol": protocol }),
        );
    }

    /// Sends a command and waits for its answer.
    fn execute(&mut self, command: &str, arguments: Value) {
        let message = json!({ "execute": command, "arguments": arguments });
        writeln!(self.monitor.get_mut(), "{message}").expect("a monitor that listens");
        loop {
            let answer = self.read();
            assert!(answer.get("error").is_none(), "{command}: {answer}");
            if answer.get("return").is_some() {
                return;
            }
        }
    }

    /// The next message.
    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.monitor
            .read_line(&mut line)
            .expect("a monitor that answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries until something is there.
fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(
            Instant::now() < end,
            "{what} did not come within {PATIENCE:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}
