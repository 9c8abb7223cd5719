//! Files: names, inodes, open files, descriptors, pipes, devices, and the system calls on them.
//!
//! There is a ramfs, whose contents are in the page cache of `pagelab-mm`, and below /mnt a disk. All of
//! its objects are in slab caches, and making any of them can fail.
//!
//! * `ramfs`: the file system, filled from the initial ramfs's archive (`cpio`).
//! * `inode`, `dentry`: what names stand for, and names. `path`: from a path to a name.
//! * `file`: open files; `reading`: how they are read. `table`: a process's descriptors and directory. `pipe`: pipes.
//! * `device`, `line`: /dev, and where a program's output goes. `proc`: /proc; `fail`: two files of it;
//!   `task`: what it says of processes.
//! * `knob`: files that are settings; `sysctl`: those in /proc/sys; `cgroup`: memory groups.
//! * `locks`: locks on files. `poll`: whether a read or a write would wait.
//! * `disk`: the file system on a disk.
//! * `transfer`, `iov`: bytes between files and a program's memory. `user`: that memory.
//! * `calls`: the system calls.
//! * `kernel`: what the rest of the kernel uses.
//! * `object`, `memory`: slab objects, by counted references. `clock`: what time it is.
//!
//! # Locks
//!
//! Each name, pipe and chunk of descriptors has its own, held for some loads and stores. Never two
//! at once but the chunks of a parent and its child-to-be, and never across an allocation. There is
//! one thread of execution, so none of them is ever waited for. The table of `locks` has one, taken
//! under none of these and with none taken under it.

mod calls;
mod cgroup;
pub(crate) mod clock;
mod cpio;
mod dentry;
pub(crate) mod device;
pub(crate) mod disk;
mod fail;
mod file;
mod inode;
mod iov;
mod kernel;
mod knob;
mod line;
mod locks;
mod memory;
mod object;
mod path;
pub(crate) mod pipe;
mod poll;
mod proc;
mod ramfs;
mod reading;
mod sysctl;
mod table;
mod task;
#[cfg(test)]
mod tests;
mod transfer;
mod user;

use calls::{Caller, call};
use inode::Content;
pub(crate) use kernel::{ExecFile, file_of, load_path, mapping, open_exec, syscall};
pub(crate) use memory::init;
pub(crate) use object::Bytes;
pub(crate) use ramfs::{Ramfs, RamfsError};
pub(crate) use table::Files;
use transfer::Stop;
use user::Program;
