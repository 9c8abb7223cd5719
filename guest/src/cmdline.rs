//! The kernel command line (`pagelab_abi::platform` has the keys). Words that are not pagelab's are
//! left alone, as another VMM adds its own; a value that cannot be used makes the machine unfit.

use core::{fmt, ops::Range};
use log::LevelFilter;
use pagelab_abi::{
    memcg::{
        CMDLINE_MEMORY_HIGH, CMDLINE_MEMORY_MAX, CMDLINE_SWAP_MAX, CMDLINE_SWAPPINESS,
        MAX_SWAPPINESS,
    },
    platform::{
        CMDLINE_CPU, CMDLINE_DISK, CMDLINE_DOORBELL, CMDLINE_FAIL_PAGE_ALLOC, CMDLINE_FAILSLAB,
        CMDLINE_LOGLEVEL, CMDLINE_MUTATION, CMDLINE_PRESSURE, CMDLINE_SEED, CMDLINE_SLAB_DEBUG,
        CMDLINE_SWAP, CMDLINE_TRANSPARENT_HUGEPAGE, CMDLINE_VIEWS, CMDLINE_VIRTIO_MMIO,
        CMDLINE_WORKLOAD, CMDLINE_ZONE_LIMITS, CMDLINE_ZONES,
    },
    program::CMDLINE_INIT,
    zone::ZoneModel,
};
use pagelab_mm::{mutation::Mutation, user_mm::ThpEnabled};

/// Devices that a command line may announce; the others are left alone.
pub(crate) const MAX_DEVICES: usize = 8;

/// Zone limits that a command line may give.
const MAX_LIMITS: usize = 3;

/// A virtio-mmio device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Device {
    /// Its registers, physical.
    pub(crate) window: Range<u64>,
    /// Its interrupt line.
    pub(crate) line: u32,
}

/// `<interval>,<probability>,<space>,<times>`, as Linux's `setup_fault_attr` takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FaultKnobs {
    pub(crate) interval: u32,
    pub(crate) probability: u32,
    pub(crate) space: i32,
    pub(crate) times: i32,
}

/// All that the command line says.
#[derive(Debug)]
pub(crate) struct Cmdline<'a> {
    pub(crate) model: ZoneModel,
    zone_limits: [u64; MAX_LIMITS],
    limit_count: usize,
    pub(crate) workload: &'a str,
    /// Path of the program that is the workload.
    pub(crate) init: Option<&'a str>,
    pub(crate) seed: u64,
    /// Bytes that the program and its children may have.
    pub(crate) memory_max: Option<u64>,
    /// Bytes above which they are slowed down.
    pub(crate) memory_high: Option<u64>,
    /// Bytes of swap that they may have.
    pub(crate) swap_max: Option<u64>,
    /// How much swap is preferred to pages of files, 0 to 200.
    pub(crate) swappiness: Option<u32>,
    pub(crate) loglevel: LevelFilter,
    /// Letters of `slab_debug=`, if it is there.
    pub(crate) slab_debug: Option<&'a str>,
    pub(crate) fail_page_alloc: Option<FaultKnobs>,
    pub(crate) failslab: Option<FaultKnobs>,
    /// Whether CPUID tells programs the same on every host.
    pub(crate) fixed_cpu: bool,
    /// Which memory of programs may come in huge pages.
    pub(crate) thp: ThpEnabled,
    /// A bug to plant.
    pub(crate) mutation: Option<Mutation>,
    pub(crate) doorbell: bool,
    pub(crate) views: bool,
    pub(crate) pressure: bool,
    /// Register window of the disk for swap, physical.
    pub(crate) swap: Option<u64>,
    /// Register window of the disk for files, physical.
    pub(crate) disk: Option<u64>,
    devices: [Device; MAX_DEVICES],
    device_count: usize,
}

/// A value that cannot be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BadValue<'a> {
    key: &'static str,
    value: &'a str,
    wanted: &'static str,
}

impl fmt::Display for BadValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, wanted } = self;
        write!(f, "command line: {key}={value} is not {wanted}")
    }
}

impl<'a> Cmdline<'a> {
    /// Reads a command line.
    pub(crate) fn parse(text: &'a str) -> Result<Self, BadValue<'a>> {
        let mut this = Self {
            model: ZoneModel::Classic,
            zone_limits: [0; MAX_LIMITS],
            limit_count: 0,
            workload: "default",
            init: None,
            seed: 1,
            memory_max: None,
            memory_high: None,
            swap_max: None,
            swappiness: None,
            loglevel: LevelFilter::Info,
            slab_debug: None,
            fail_page_alloc: None,
            failslab: None,
            fixed_cpu: true,
            thp: ThpEnabled::default(),
            mutation: None,
            doorbell: false,
            views: false,
            pressure: false,
            swap: None,
            disk: None,
            devices: Default::default(),
            device_count: 0,
        };
        for word in text.split_ascii_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            this.set(key, value)?;
        }
        Ok(this)
    }

    /// Upper ends of the lower zones in bytes; empty for the usual ones.
    pub(crate) fn zone_limits(&self) -> &[u64] {
        &self.zone_limits[..self.limit_count]
    }

    /// The devices that are announced.
    pub(crate) fn devices(&self) -> &[Device] {
        &self.devices[..self.device_count]
    }

    fn set(&mut self, key: &str, value: &'a str) -> Result<(), BadValue<'a>> {
        let bad = |key, wanted| BadValue { key, value, wanted };
        match key {
            CMDLINE_ZONES => {
                self.model = [ZoneModel::Classic, ZoneModel::X86_64]
                    .into_iter()
                    .find(|model| model.name() == value)
                    .ok_or(bad(CMDLINE_ZONES, "classic or x86_64"))?;
            }
            CMDLINE_ZONE_LIMITS => {
                for (i, text) in value.split(',').enumerate() {
                    let wanted = bad(CMDLINE_ZONE_LIMITS, "a list of one to three sizes");
                    *self.zone_limits.get_mut(i).ok_or(wanted)? = size(text).ok_or(wanted)?;
                    self.limit_count = i + 1;
                }
            }
            CMDLINE_WORKLOAD => self.workload = value,
            CMDLINE_INIT => self.init = Some(value),
            CMDLINE_MEMORY_MAX => {
                let wanted = bad(CMDLINE_MEMORY_MAX, "a size");
                self.memory_max = Some(size(value).ok_or(wanted)?);
            }
            CMDLINE_MEMORY_HIGH => {
                let wanted = bad(CMDLINE_MEMORY_HIGH, "a size");
                self.memory_high = Some(size(value).ok_or(wanted)?);
            }
            CMDLINE_SWAP_MAX => {
                let wanted = bad(CMDLINE_SWAP_MAX, "a size");
                self.swap_max = Some(size(value).ok_or(wanted)?);
            }
            CMDLINE_SWAPPINESS => {
                let wanted = bad(CMDLINE_SWAPPINESS, "a number from 0 to 200");
                let number = value.parse().ok();
                let number = number.filter(|number| *number <= MAX_SWAPPINESS);
                self.swappiness = Some(number.ok_or(wanted)?);
            }
            CMDLINE_SEED => {
                self.seed = value
                    .parse()
                    .map_err(|_| bad(CMDLINE_SEED, "a decimal number"))?;
            }
            CMDLINE_LOGLEVEL => {
                // Linux's numbers are another VMM's way to say it, and not an error.
                if let Ok(level) = value.parse() {
                    self.loglevel = level;
                }
            }
            CMDLINE_SLAB_DEBUG => self.slab_debug = Some(value),
            CMDLINE_FAIL_PAGE_ALLOC => {
                let wanted = bad(CMDLINE_FAIL_PAGE_ALLOC, FaultKnobs::FORM);
                self.fail_page_alloc = Some(FaultKnobs::parse(value).ok_or(wanted)?);
            }
            CMDLINE_FAILSLAB => {
                let wanted = bad(CMDLINE_FAILSLAB, FaultKnobs::FORM);
                self.failslab = Some(FaultKnobs::parse(value).ok_or(wanted)?);
            }
            CMDLINE_CPU => {
                self.fixed_cpu = match value {
                    "baseline" => true,
                    "host" => false,
                    _ => return Err(bad(CMDLINE_CPU, "baseline or host")),
                };
            }
            CMDLINE_TRANSPARENT_HUGEPAGE => {
                let wanted = bad(CMDLINE_TRANSPARENT_HUGEPAGE, "always, madvise or never");
                let found = ThpEnabled::ALL.into_iter().find(|it| it.name() == value);
                self.thp = found.ok_or(wanted)?;
            }
            CMDLINE_MUTATION => {
                let wanted = bad(CMDLINE_MUTATION, "a bug of a kernel that is built for it");
                let found = value.parse().ok().filter(|_| cfg!(feature = "mutations"));
                self.mutation = Some(found.ok_or(wanted)?);
            }
            CMDLINE_DOORBELL => self.doorbell = true,
            CMDLINE_VIEWS => self.views = true,
            CMDLINE_PRESSURE => self.pressure = true,
            CMDLINE_SWAP => {
                let wanted = bad(CMDLINE_SWAP, "the address of a device");
                self.swap = Some(size(value).ok_or(wanted)?);
            }
            CMDLINE_DISK => {
                let wanted = bad(CMDLINE_DISK, "the address of a device");
                self.disk = Some(size(value).ok_or(wanted)?);
            }
            CMDLINE_VIRTIO_MMIO => {
                let wanted = bad(CMDLINE_VIRTIO_MMIO, "<size>@<address>:<line>");
                let device = Device::parse(value).ok_or(wanted)?;
                if let Some(slot) = self.devices.get_mut(self.device_count) {
                    *slot = device;
                    self.device_count += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Device {
    /// Linux's form: `<size>@<baseaddr>:<irq>[:<id>]`.
    fn parse(text: &str) -> Option<Self> {
        let (bytes, rest) = text.split_once('@')?;
        let mut parts = rest.split(':');
        let start = size(parts.next()?)?;
        let line = parts.next()?.parse().ok()?;
        let bytes = size(bytes)?;
        let end = start.checked_add(bytes)?;
        (bytes > 0 && bytes <= 1 << 20 && line < crate::arch::interrupt::LINES).then_some(Self {
            window: start..end,
            line,
        })
    }
}

impl FaultKnobs {
    const FORM: &'static str = "<interval>,<probability>,<space>,<times>";

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let knobs = Self {
            interval: parts.next()?.parse().ok()?,
            probability: parts
                .next()?
                .parse()
                .ok()
                .filter(|percent| *percent <= 100)?,
            space: parts.next()?.parse().ok()?,
            times: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(knobs)
    }
}

/// A size as Linux's `memparse` takes it: decimal or 0x hexadecimal, then K, M, G or T.
fn size(text: &str) -> Option<u64> {
    let last = text.chars().last()?;
    let shift = match last.to_ascii_uppercase() {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        _ => 0,
    };
    let digits = if shift == 0 {
        text
    } else {
        &text[..text.len() - 1]
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    value.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_and_foreign_words_are_left_alone() {
        let text = "console=ttyS0 zones=x86_64 zone_limits=16M,0x40000000 workload=none seed=7 \
                    loglevel=warn slab_debug=FZ fail_page_alloc=2,50,4096,-1 pagelab.doorbell \
                    virtio_mmio.device=4K@0xd0000000:5 virtio_mmio.device=512@0xfeb00e00:12 \
                    swap=0xd0001000 quiet";
        let cmdline = Cmdline::parse(text).unwrap();
        assert_eq!(cmdline.model, ZoneModel::X86_64);
        assert_eq!(cmdline.zone_limits(), [16 << 20, 1 << 30]);
        assert_eq!((cmdline.workload, cmdline.seed), ("none", 7));
        assert_eq!(cmdline.loglevel, LevelFilter::Warn);
        assert_eq!(cmdline.slab_debug, Some("FZ"));
        assert!(cmdline.doorbell && !cmdline.views && cmdline.failslab.is_none());
        assert_eq!(cmdline.swap, Some(0xd000_1000));
        let knobs = cmdline.fail_page_alloc.unwrap();
        assert_eq!((knobs.interval, knobs.probability), (2, 50));
        assert_eq!((knobs.space, knobs.times), (4096, -1));
        let [first, second] = cmdline.devices() else {
            panic!("two devices, not {:?}", cmdline.devices());
        };
        assert_eq!(
            (&first.window, first.line),
            (&(0xd000_0000..0xd000_1000), 5)
        );
        assert_eq!(
            (&second.window, second.line),
            (&(0xfeb0_0e00..0xfeb0_1000), 12)
        );
    }

    #[test]
    fn an_empty_line_gives_the_default_scenario() {
        let cmdline = Cmdline::parse("").unwrap();
        assert_eq!(cmdline.model, ZoneModel::Classic);
        assert_eq!((cmdline.workload, cmdline.seed), ("default", 1));
        assert!(cmdline.zone_limits().is_empty() && cmdline.devices().is_empty());
    }

    #[test]
    fn a_bad_value_is_named_with_its_key() {
        for (word, wanted) in [
            ("zones=flat", "classic or x86_64"),
            ("swap=yes", "the address of a device"),
            ("zone_limits=16M,", "one to three sizes"),
            ("zone_limits=1,2,3,4", "one to three sizes"),
            ("mutation=cow-reuse", "built for it"),
            ("zone_limits=99999999999T", "one to three sizes"),
            ("seed=-1", "a decimal number"),
            ("memory.high=much", "a size"),
            ("memory.swap.max=", "a size"),
            ("sysctl.vm.swappiness=201", "a number from 0 to 200"),
            ("fail_page_alloc=1,101,0,-1", "<interval>"),
            ("failslab=1,2,3", "<interval>"),
            (
                "virtio_mmio.device=4K@0xd0000000:16",
                "<size>@<address>:<line>",
            ),
            (
                "virtio_mmio.device=4K@0xfffffffffffff000:5",
                "<size>@<address>:<line>",
            ),
            (
                "virtio_mmio.device=0@0xd0000000:5",
                "<size>@<address>:<line>",
            ),
            ("virtio_mmio.device=4K", "<size>@<address>:<line>"),
        ] {
            let message = Cmdline::parse(word).unwrap_err().to_string();
            assert!(
                message.contains(word) && message.contains(wanted),
                "{message}"
            );
        }
    }

    #[test]
    fn more_devices_than_there_is_room_for_are_left_alone() {
        let text = "virtio_mmio.device=4K@0xd0000000:5 ".repeat(MAX_DEVICES + 3);
        assert_eq!(Cmdline::parse(&text).unwrap().devices().len(), MAX_DEVICES);
    }

    #[test]
    fn sizes_are_read_as_linux_does() {
        assert_eq!(size("4K"), Some(4096));
        assert_eq!(size("0x10m"), Some(16 << 20));
        assert_eq!(size("512"), Some(512));
        assert_eq!(size("2T"), Some(2 << 40));
        for bad in ["", "K", "4KB", "-1", "18446744073709551615K", "0x"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
