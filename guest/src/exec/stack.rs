//! What a program finds on its stack (System V ABI, x86-64, 3.4.1; Linux fs/binfmt_elf.c:
//! `create_elf_tables`), from the top down:
//!
//! ```text
//! 8 zero bytes, path, environment strings, argument strings
//! platform, 16 random bytes
//! auxiliary vector, 0, environment pointers, 0, argument pointers, number of arguments  <- RSP
//! ```

use super::{
    image::Image,
    load::Program,
    strings::{List, Measure, Strings, store},
};
use crate::{arch::user::cpuid, cred::Ids, task::Space};
use linux_raw_sys::auxvec as at;
use pagelab_abi::{PAGE_SIZE, errno::Errno, mman::Prot, pte::USER_END};

/// The string for AT_PLATFORM.
const PLATFORM: &[u8] = b"x86_64\0";

/// Bytes of the stack area above what is on it (Linux: `stack_expand`).
const ROOM: u64 = 128 << 10;

/// Bytes that arguments and environment may have at least, whatever the limit of the stack (Linux:
/// `ARG_MAX`), and at most (three quarters of `_STK_LIM`).
const MIN_STRINGS: u64 = 128 << 10;
const MAX_STRINGS: u64 = 6 << 20;

/// Entries of the auxiliary vector, its end included.
const AUXV: usize = 18;

/// All that goes on the stack.
pub(super) struct Stack<'a> {
    pub(super) program: &'a Program,
    pub(super) path: &'a [u8],
    pub(super) argv: Strings<'a>,
    pub(super) envp: List<'a>,
    /// Of both.
    pub(super) measures: (Measure, Measure),
    pub(super) random: [u8; 16],
    /// Bytes that the stack may have.
    pub(super) limit: u64,
    pub(super) executable: bool,
    /// Whose the program will be.
    pub(super) uid: Ids,
    pub(super) gid: Ids,
}

/// Measures arguments and environment for a stack of at most `limit` bytes.
///
/// # Errors
/// E2BIG; EFAULT.
pub(super) fn measure(
    argv: &Strings<'_>,
    envp: &List<'_>,
    mut old: Option<&mut Space>,
    limit: u64,
) -> Result<(Measure, Measure), Errno> {
    let limit = (limit / 4).clamp(MIN_STRINGS, MAX_STRINGS);
    let argv = argv.measure(old.as_deref_mut(), limit)?;
    let used = argv.bytes + 8 * argv.count;
    let envp = Strings::new(*envp).measure(old, limit - used)?;
    Ok((argv, envp))
}

impl Stack<'_> {
    /// Maps the stack and writes it. Returns the stack pointer.
    ///
    /// # Errors
    /// EFAULT; ENOMEM.
    pub(super) fn build(&self, mut old: Option<&mut Space>, new: &mut Space) -> Result<u64, Errno> {
        let (argv, envp) = self.measures;
        let path_at = USER_END - 8 - (self.path.len() as u64 + 1);
        let env_at = path_at - envp.bytes;
        let arg_at = env_at - argv.bytes;
        let platform_at = arg_at - PLATFORM.len() as u64;
        let random_at = platform_at - self.random.len() as u64;
        let sp = Self::bottom(random_at, argv, envp);
        self.map(new, USER_END - sp)?;

        store(new, path_at, self.path)?;
        store(new, platform_at, PLATFORM)?;
        store(new, random_at, &self.random)?;
        store(new, sp, &argv.count.to_le_bytes())?;
        let argv_table = sp + 8;
        let envp_table = argv_table + 8 * (argv.count + 1);
        let auxv_table = envp_table + 8 * (envp.count + 1);
        self.argv
            .copy(old.as_deref_mut(), new, arg_at, argv_table)?;
        Strings::new(self.envp).copy(old, new, env_at, envp_table)?;
        for (i, (kind, value)) in self
            .auxv(path_at, platform_at, random_at)
            .iter()
            .enumerate()
        {
            let entry = auxv_table + 16 * i as u64;
            store(new, entry, &u64::from(*kind).to_le_bytes())?;
            store(new, entry + 8, &value.to_le_bytes())?;
        }
        note_bounds(new, arg_at, env_at, path_at);
        Ok(sp)
    }

    /// Whether the program acts as another than who starts it, and should trust no environment.
    fn is_secure(&self) -> bool {
        self.uid.real != self.uid.effective || self.gid.real != self.gid.effective
    }

    /// The stack pointer: aligned to 16, with room for all tables up to `top`.
    fn bottom(top: u64, argv: Measure, envp: Measure) -> u64 {
        let words = 1 + argv.count + 1 + envp.count + 1 + 2 * AUXV as u64;
        (top - 8 * words) & !15
    }

    fn map(&self, new: &mut Space, used: u64) -> Result<(), Errno> {
        let size = (used + ROOM).next_multiple_of(PAGE_SIZE);
        new.map_stack(USER_END, size, self.limit.max(size))?;
        if self.executable {
            let all = Prot::READ | Prot::WRITE | Prot::EXEC;
            new.mprotect(USER_END - size, size, all)?;
        }
        Ok(())
    }

    fn auxv(&self, path: u64, platform: u64, random: u64) -> [(u32, u64); AUXV] {
        // The clock that times counts with.
        const CLOCK_TICKS: u64 = 100;
        [
            (at::AT_HWCAP, cpuid::hwcap().into()),
            (at::AT_PAGESZ, PAGE_SIZE),
            (at::AT_CLKTCK, CLOCK_TICKS),
            (at::AT_PHDR, self.program.headers_at),
            (at::AT_PHENT, Image::header_size()),
            (at::AT_PHNUM, self.program.header_count),
            (at::AT_BASE, 0),
            (at::AT_FLAGS, 0),
            (at::AT_ENTRY, self.program.entry),
            (at::AT_UID, self.uid.real.into()),
            (at::AT_EUID, self.uid.effective.into()),
            (at::AT_GID, self.gid.real.into()),
            (at::AT_EGID, self.gid.effective.into()),
            (at::AT_SECURE, self.is_secure().into()),
            (at::AT_RANDOM, random),
            (at::AT_EXECFN, path),
            (at::AT_PLATFORM, platform),
            (at::AT_NULL, 0),
        ]
    }
}

/// Where the strings are, for those who look from outside.
fn note_bounds(space: &Space, args: u64, env: u64, path: u64) {
    space.note_strings(args..env, env..path);
}
