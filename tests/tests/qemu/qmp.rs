//! QEMU's monitor: JSON objects, one a line, over a Unix socket (QEMU's docs/interop/qmp-spec).

use serde_json::{Value, json};
use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// A connection whose capabilities are negotiated.
pub(crate) struct Qmp {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Qmp {
    /// Connects, and gives up on an answer after `patience`.
    pub(crate) fn connect(socket: &Path, patience: Duration) -> io::Result<Self> {
        let writer = UnixStream::connect(socket)?;
        writer.set_read_timeout(Some(patience))?;
        let reader = BufReader::new(writer.try_clone()?);
        let mut this = Self { reader, writer };
        let greeting = this.line()?;
        if greeting.get("QMP").is_none() {
            return Err(io::Error::other(format!("no greeting: {greeting}")));
        }
        this.try_execute("qmp_capabilities", json!({}))?;
        Ok(this)
    }

    /// Executes a command and gives what it returns.
    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> Value {
        self.try_execute(command, arguments)
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    fn try_execute(&mut self, command: &str, arguments: Value) -> io::Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.writer, "{request}")?;
        loop {
            let mut answer = self.line()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            // Anything else is an event, which nobody here waits for.
            if let Some(error) = answer.get("error") {
                return Err(io::Error::other(error.to_string()));
            }
        }
    }

    fn line(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Bytes that the guest has left, as its balloon says.
    pub(crate) fn balloon_actual(&mut self) -> u64 {
        let info = self.execute("query-balloon", json!({}));
        info["actual"].as_u64().expect("query-balloon tells bytes")
    }

    /// Asks the guest to keep no more than `bytes`.
    pub(crate) fn set_balloon(&mut self, bytes: u64) {
        self.execute("balloon", json!({ "value": bytes }));
    }
}
