//! The arguments of the `pagelab` command.

use super::{
    campaign::CampaignArguments, merge::MergeArguments, minimize::MinimizeArguments,
    replay::ReplayArguments, report::ReportArguments,
};
use crate::{
    fault::{BitflipSpec, FaultError, FaultSpec, HostFault, is_bitflip, is_host_fault},
    machine::DiskSource,
    program::{ExtraFile, Variable},
    scenario::{self, Cpu, Inspection, StopAt, TransparentHugepage, ZoneLimits, ZoneModel},
    size::ByteSize,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{ffi::OsString, num::NonZeroU64, path::PathBuf, str::FromStr};

/// A laboratory for memory management.
///
/// Boots a small kernel under KVM that does Linux-style memory management, watches its page
/// tables, zones and slabs from outside, squeezes it, lets allocations fail, and judges what
/// became of it. Without a command: `pagelab run`.
#[derive(Debug, Parser)]
#[command(name = "pagelab", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Flags of `pagelab run`.
    #[command(flatten)]
    pub(super) run: RunArguments,
}

const EXAMPLES: &str = "\
Examples:
  pagelab                                   the default scenario
  pagelab run --memory 2G --zones x86_64    the same on another machine
  pagelab run --fault fail_page_alloc,nth=7 --format json
  pagelab run --stop-at 5000 --inspect pagetable,buddyinfo
  pagelab run --workload buddy --save vm.core && pagelab inspect vm.core
  pagelab run -- ./hello one two            a static Linux program as the workload
  pagelab run --stop-at 5000 --snapshot run.snap -- ./hello && pagelab resume run.snap
  pagelab doctor                            can this host run it, and how

Exit status:
  0 every audit held; with a program, its own status, 128 + N if signal N killed it
  1 an audit or a check failed
  2 bad input, or a host that cannot run it
  3 the guest panicked     4 triple fault   5 emulation failure
  6 the guest hung         7 the guest found its machine unfit
  8 the program's processes wait for each other for ever";

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Boot the guest, run a workload or a program, inspect, squeeze, judge.
    Run(Box<RunArguments>),
    /// Try what happens to a workload at each point where memory can go wrong.
    Campaign(Box<CampaignArguments>),
    /// Put the record files of a campaign's parts together.
    Merge(MergeArguments),
    /// Show the records of a campaign: tables, a page, JUnit's XML.
    Report(ReportArguments),
    /// Run one experiment of a record file again.
    Replay(ReplayArguments),
    /// Make a failing experiment smaller, and print it as one command.
    Minimize(MinimizeArguments),
    /// Go on with a run that was kept with `pagelab run --snapshot`.
    Resume(ResumeArguments),
    /// Read the page tables and structures of a saved image.
    Inspect(InspectArguments),
    /// Tell what this host's /dev/kvm can do, and the remedy for what it cannot.
    Doctor(DoctorArguments),
    /// Measure what needs a VM, as ratios against a peer in the same run.
    Bench(BenchArguments),
    /// Print the JSON schema of the report that `--format json` writes.
    Schema,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people: 80 columns, colours on a terminal.
    #[default]
    Human,
    /// One JSON document.
    Json,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Flags of `pagelab run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(super) struct RunArguments {
    /// RAM of the machine, 16M to 64G.
    #[arg(long, value_name = "SIZE", default_value = "1G")]
    pub(super) memory: ByteSize,
    /// What the CPU tells a program it is: baseline (x86-64-v2, the same on every host, and so the
    /// same run), or host. With host, RDTSC counts the host's time, and page
    /// faults are taken as the host reports them.
    #[arg(long, value_name = "CPU", default_value = "baseline")]
    pub(super) cpu: Cpu,
    /// Which memory of a program may come in huge pages: always (all), madvise (what it says so of),
    /// never.
    #[arg(long, value_name = "WHEN", default_value = "madvise")]
    pub(super) transparent_hugepage: TransparentHugepage,
    /// Zone model: DMA/NORMAL/HIGHMEM or DMA/DMA32/NORMAL/MOVABLE.
    #[arg(long, value_name = "MODEL", default_value = "classic")]
    pub(super) zones: ZoneModel,
    /// Where the lower zones end, such as 16M,896M (classic) or 16M,4G (x86_64).
    #[arg(long, value_name = "SIZE,SIZE")]
    pub(super) zone_limits: Option<ZoneLimits>,
    /// What the guest does; `--workload help` lists them.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(super) workload: String,
    /// A disk for the guest to swap to: a size, kept in memory of the host, or a file.
    #[arg(long, value_name = "SIZE|FILE")]
    pub(super) swap: Option<DiskSource>,
    /// A disk with files for a program, mounted at /mnt: a size, for an empty one in memory of the host; a
    /// directory, for a copy of it in memory; or a file with an ext2 file system (mke2fs -t ext2 -b 4096).
    #[arg(long, value_name = "SIZE|DIR|FILE")]
    pub(super) disk: Option<DiskSource>,
    /// Copy what is on the disk at the end into this directory, which must be empty or not there.
    #[arg(long, value_name = "DIR")]
    pub(super) disk_out: Option<PathBuf>,
    /// Seed of everything random.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Balloon pressure: a profile's name, or step:SIZE@EVENT,… and the like;
    /// `--pressure help` lists them.
    #[arg(long, value_name = "PROFILE")]
    pub(super) pressure: Option<String>,
    /// Failing allocations (fail_page_alloc, failslab) or requests to the swap device (swap_io)
    /// or to the disk with files (file_io), with
    /// Linux's knobs; may be repeated. pid=, comm=, task-filter=1 and site=FUNCTION choose whose
    /// allocations; delay=EVENTS has requests succeed that much later. Or bitflip: one bit at=ADDRESS,
    /// or of a struct= (page, zone, vma, pte, user).
    /// Or machine_check: the memory of a frame breaks, pfn=, gva= with pid=, or the nth= of= user, anon,
    /// file, free, slab or kernel, at=EVENT.
    /// Or readonly: stores are dropped to frames pfn=A..B, one named as there, or that of a struct=
    /// (page, zone, pte), from at=EVENT on. Or host_latency: each page of memory takes delay=MICROSECONDS
    /// when it is first touched; with handler=dies, the nth= of them never comes.
    #[arg(long, value_name = "NAME,KNOB=VALUE,…")]
    pub(super) fault: Vec<Fault>,
    /// What to print of the guest at the end, or at --stop-at: pagetable, a file of /proc, or one of
    /// /proc/PID (maps, smaps, pagemap, rmap), or spaces, wx, diff, working-set, of one process
    /// (maps=1) or of all.
    #[arg(long, value_name = "WHAT,…", value_delimiter = ',')]
    pub(super) inspect: Vec<Inspection>,
    /// End the run at this event and inspect there.
    #[arg(long, value_name = "EVENT")]
    pub(super) stop_at: Option<StopAt>,
    /// The first of two moments, for --inspect diff and working-set; the events of a kind that
    /// --stop-at counts then count from there.
    #[arg(long, value_name = "EVENT")]
    pub(super) since: Option<StopAt>,
    /// Audit a program that runs at its first system call after each so many events, and not at
    /// distances that double; 1 is at each system call.
    #[arg(long, value_name = "EVENTS", requires = "program")]
    pub(super) audit_every: Option<NonZeroU64>,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
    /// When to use colours.
    #[arg(long, value_enum, default_value_t)]
    pub(super) color: Colour,
    /// Save the machine's memory and registers at the end as an ELF core.
    #[arg(long, value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
    /// Write each event from the end of boot on, with what the host does, as a file for ui.perfetto.dev or
    /// chrome://tracing; an event is drawn as a microsecond.
    #[arg(long, value_name = "FILE")]
    pub(super) trace: Option<PathBuf>,
    /// Keep the run where --stop-at ends it in a file, to go on from there with `pagelab resume`.
    #[arg(long, value_name = "FILE", requires = "stop_at")]
    pub(super) snapshot: Option<PathBuf>,
    /// Boot another PVH kernel than the built-in guest.
    #[arg(long, value_name = "FILE")]
    pub(super) kernel: Option<PathBuf>,
    /// More words for the kernel's command line.
    #[arg(long, value_name = "WORDS")]
    pub(super) append: Option<String>,
    /// Slab debugging by Linux's letters: F sanity, Z red zones, P poison, U users.
    #[arg(long, value_name = "FZPU", value_parser = scenario::slab_debug)]
    pub(super) slab_debug: Option<String>,
    /// Show the guest's serial console on standard error as it runs.
    #[arg(long)]
    pub(super) console: bool,
    /// Seconds without any sign of life after which the guest counts as hung.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) watchdog: u64,
    /// Seconds after which the run ends as hung, whatever the guest does.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub(super) time_limit: u64,
    /// Set a variable in the program's environment, which is otherwise PATH, HOME and TERM; may be
    /// repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) env: Vec<Variable>,
    /// Give the guest a file of the host, at /NAME or at the path behind the colon; may be
    /// repeated.
    #[arg(long, value_name = "HOST[:GUEST]")]
    pub(super) file: Vec<ExtraFile>,
    /// Memory that the program and its children may have, in pages of their own and of files: a
    /// memory group with a limit, as memory.max of a cgroup.
    #[arg(long, value_name = "SIZE", requires = "program")]
    pub(super) memory_max: Option<ByteSize>,
    /// Memory above which the program and its children reclaim their own pages and are slowed down, as
    /// memory.high of a cgroup.
    #[arg(long, value_name = "SIZE", requires = "program")]
    pub(super) memory_high: Option<ByteSize>,
    /// Swap that the program and its children may have, as memory.swap.max of a cgroup.
    #[arg(long, value_name = "SIZE", requires_all = ["program", "swap"])]
    pub(super) swap_max: Option<ByteSize>,
    /// How much reclaim prefers swap to pages of files: 0 (as long as there are any) to 200, as
    /// /proc/sys/vm/swappiness; 60 if it is not given.
    #[arg(long, value_name = "0..200", requires = "program",
        value_parser = clap::value_parser!(u32).range(0..=200))]
    pub(super) swappiness: Option<u32>,
    /// A static x86-64 Linux program and its arguments: the workload. Its output is pagelab's own,
    /// and so is its exit status if all audits hold.
    #[arg(last = true, value_name = "PROGRAM", conflicts_with = "workload")]
    pub(super) program: Vec<OsString>,
}

const RUN_EXAMPLES: &str = "\
Examples:
  pagelab run --memory 64M --zone-limits 16M,48M
  pagelab run --workload buddy --pressure step:512M@1000,0@4000
  pagelab run --fault failslab,cache=kmalloc-64,probability=10,times=5
  pagelab run --fault fail_page_alloc,nth=1,comm=sh,site=fork -- ./busybox sh
  pagelab run --fault bitflip,struct=zone,zone=Normal,field=free_pages,bit=3,event=2000
  pagelab run --fault machine_check,nth=5,of=anon,at=900 -- ./program
  pagelab run --workload swap --swap 256M --fault swap_io,rw=write,probability=5
  pagelab run --memory 16M --swap 64M --fault swap_io,rw=read,probability=10,delay=500 -- ./program
  pagelab run --stop-at page_alloc,nth=3,min-order=2 --inspect buddyinfo
  pagelab run -- ./hello one two            run a program (cc -static -o hello hello.c)
  pagelab run --file input.txt:/data/in --env LANG=C -- ./sum /data/in
  pagelab run --stop-at 5000 --inspect maps,rmap=1 -- ./hello
  pagelab run --since syscall,nth=40 --stop-at syscall --inspect diff -- ./hello
  pagelab run --trace out.json -- ./hello   what happened, for ui.perfetto.dev
  pagelab run --format json -- ./hello      its output, status and the audits, as one document";

/// Flags of `pagelab resume`.
#[derive(Debug, Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub(super) struct ResumeArguments {
    /// What `pagelab run --snapshot` has written, on a host with the same CPU.
    pub(super) snapshot: PathBuf,
    /// What to print of the guest at the end, as for `pagelab run`; nothing that is of two moments.
    #[arg(long, value_name = "WHAT,…", value_delimiter = ',')]
    pub(super) inspect: Vec<Inspection>,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
    /// When to use colours.
    #[arg(long, value_enum, default_value_t)]
    pub(super) color: Colour,
}

const RESUME_EXAMPLES: &str = "\
Examples:
  pagelab run --stop-at syscall,nth=40 --snapshot run.snap -- ./hello
  pagelab resume run.snap                   from there to its end
  pagelab resume run.snap --inspect meminfo --format json";

/// Flags of `pagelab inspect`.
#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    /// An ELF core (of `pagelab run --save`, or of QEMU's dump-guest-memory), what `pagelab run --snapshot`
    /// has written, or raw memory.
    pub(super) image: PathBuf,
    /// What to print, as for `pagelab run`.
    #[arg(long, value_name = "WHAT,…", value_delimiter = ',')]
    pub(super) inspect: Vec<Inspection>,
    /// Page-table root, for an image that does not tell; hexadecimal with 0x, or decimal.
    #[arg(long, value_name = "ADDRESS", value_parser = number)]
    pub(super) cr3: Option<u64>,
    /// CR0, for an image that does not tell.
    #[arg(long, value_name = "BITS", value_parser = number)]
    pub(super) cr0: Option<u64>,
    /// CR4, for an image that does not tell.
    #[arg(long, value_name = "BITS", value_parser = number)]
    pub(super) cr4: Option<u64>,
    /// EFER, for an image that does not tell.
    #[arg(long, value_name = "BITS", value_parser = number)]
    pub(super) efer: Option<u64>,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
    /// When to use colours.
    #[arg(long, value_enum, default_value_t)]
    pub(super) color: Colour,
}

/// Flags of `pagelab doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// How the findings are written.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Subject {
    /// Boot and exit, beside a machine whose CPU halts at once.
    ColdStart,
    /// Memory of the VMM itself, beside what the guest touched.
    Footprint,
    /// Taking touched memory back through the balloon, beside a bare madvise.
    Reclaim,
    /// The default scenario, beside the same machine that only boots.
    Scenario,
    /// Going back to a snapshot, by pages that were stored to, beside a copy of all RAM.
    Restore,
    /// An experiment, beside its restore and the guest's own execution; two threads; recording.
    Campaign,
    /// Faults, mmap, fork and the like in the guest, beside the Linux that pagelab runs on; exact
    /// instruction counts under scripts/nested-kvm --icount.
    Vm,
}

/// Flags of `pagelab bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArguments {
    /// What to measure; all if none is named.
    #[arg(value_enum)]
    pub(super) what: Vec<Subject>,
    /// Runs of each side, of which the median counts.
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) runs: u32,
}

/// What `--fault` takes.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// Requests that fail.
    Fails(Box<FaultSpec>),
    /// A bit that is turned over.
    Bitflip(BitflipSpec),
    /// Something that the host does to the machine itself.
    Host(HostFault),
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        if is_bitflip(text) {
            return text.parse().map(Self::Bitflip);
        }
        if is_host_fault(text) {
            return text.parse().map(Self::Host);
        }
        text.parse().map(|spec| Self::Fails(Box::new(spec)))
    }
}

/// A number in decimal, or in hexadecimal after 0x.
fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(&digits.replace('_', ""), 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("'{text}' is not a number; write 0x1000 or 4096"))
}
