//! What a dying guest leaves behind for the host to symbolise.

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// Bytes kept of a panic message.
pub const MESSAGE_LEN: usize = 480;

/// Written once, before [`crate::platform::ExitCode::Panic`] goes to the exit port.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct PanicRecord {
    /// Bytes of `message` in use; 0 means that the guest did not panic.
    pub len: u32,
    /// Vector of the exception that caused the panic, or [`NO_VECTOR`].
    pub vector: u32,
    /// Its error code.
    pub error_code: u64,
    /// Instruction pointer at the exception, or of the panic itself.
    pub rip: u64,
    /// Stack pointer there.
    pub rsp: u64,
    /// Frame pointer there, the start of the backtrace.
    pub rbp: u64,
    /// CR2 there.
    pub cr2: u64,
    /// UTF-8 text.
    pub message: [u8; MESSAGE_LEN],
}

/// [`PanicRecord::vector`] of a panic that no exception caused.
pub const NO_VECTOR: u32 = u32::MAX;

impl PanicRecord {
    /// No panic.
    pub const fn new() -> Self {
        Self {
            len: 0,
            vector: NO_VECTOR,
            error_code: 0,
            rip: 0,
            rsp: 0,
            rbp: 0,
            cr2: 0,
            message: [0; MESSAGE_LEN],
        }
    }
}

impl Default for PanicRecord {
    fn default() -> Self {
        Self::new()
    }
}
