//! The chips that the flow knows: how the tools are told, and what their resources are called.

/// Chips that share a synthesis command, a place-and-route tool and a packer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Ecp5,
    Ice40,
    Gowin,
}

/// One chip in one package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// As on the command line.
    pub name: &'static str,
    pub family: Family,
    /// What nextpnr is told about it.
    pub nextpnr: &'static [&'static str],
    /// What the packer is told about it.
    pub packer: &'static [&'static str],
}

impl Device {
    pub const ALL: [Device; 6] = [
        Device {
            name: "ecp5-85f",
            family: Family::Ecp5,
            nextpnr: &["--85k", "--package", "CABGA381", "--speed", "6"],
            packer: &[],
        },
        Device {
            name: "ecp5-45f",
            family: Family::Ecp5,
            nextpnr: &["--45k", "--package", "CABGA381", "--speed", "6"],
            packer: &[],
        },
        Device {
            name: "ecp5-25f",
            family: Family::Ecp5,
            nextpnr: &["--25k", "--package", "CABGA381", "--speed", "6"],
            packer: &[],
        },
        Device {
            name: "ice40-up5k",
            family: Family::Ice40,
            nextpnr: &["--up5k", "--package", "sg48"],
            packer: &[],
        },
        Device {
            name: "gw2ar-18",
            family: Family::Gowin,
            nextpnr: &["--device", "GW2AR-LV18QN88C8/I7", "--vopt", "family=GW2A-18C"],
            packer: &["-d", "GW2A-18C"],
        },
        Device {
            name: "gw1nr-9",
            family: Family::Gowin,
            nextpnr: &["--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"],
            packer: &["-d", "GW1N-9C"],
        },
    ];

    /// The device with this name.
    pub fn from_name(name: &str) -> Option<Device> {
        Device::ALL.into_iter().find(|device| device.name == name)
    }
}

/// What a design uses of a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    Lut,
    FlipFlop,
    Dsp,
    BlockRam,
    /// Large memories with one port, of iCE40 UltraPlus.
    SinglePortRam,
}

impl Resource {
    pub const ALL: [Resource; 5] =
        [Resource::Lut, Resource::FlipFlop, Resource::Dsp, Resource::BlockRam, Resource::SinglePortRam];

    pub fn name(self) -> &'static str {
        match self {
            Resource::Lut => "LUT",
            Resource::FlipFlop => "FF",
            Resource::Dsp => "DSP",
            Resource::BlockRam => "block RAM",
            Resource::SinglePortRam => "SPRAM",
        }
    }
}

impl Family {
    /// Yosys commands that make `netlist` of the Verilog already read.
    pub(super) fn synthesis(self, top: &str, netlist: &str, target_mhz: f64) -> String {
        match self {
            Family::Ecp5 => format!("synth_ecp5 -top {top} -json {netlist}"),
            Family::Ice40 => format!("synth_ice40 -dsp -spram -top {top} -json {netlist}"),
            // A flip-flop has the place of a LUT, unless it takes that LUT's own output: a wide LUT's output costs another place. Logic need not be
            // faster than it has to be.
            Family::Gowin => format!(
                "scratchpad -set abc9.D {}; synth_gowin -nowidelut -top {top} -json {netlist}",
                (1e6 / target_mhz) as u64
            ),
        }
    }

    /// What a constraint file's name ends in.
    pub fn constraint_suffix(self) -> &'static str {
        match self {
            Family::Ecp5 => "lpf",
            Family::Ice40 => "pcf",
            Family::Gowin => "cst",
        }
    }

    /// What a bitstream's name ends in, for the programs that load it.
    pub fn bitstream_suffix(self) -> &'static str {
        match self {
            Family::Ecp5 => "bit",
            Family::Ice40 => "bin",
            Family::Gowin => "fs",
        }
    }

    /// The macro that chooses the family's leaves, where there are any.
    pub(super) fn defines(self) -> &'static [&'static str] {
        match self {
            Family::Ecp5 => &[frugal_hdl::leaves::ecp5::MACRO],
            Family::Gowin => &[frugal_hdl::leaves::gowin::MACRO],
            Family::Ice40 => &[frugal_hdl::leaves::ice40::MACRO],
        }
    }

    pub(super) fn nextpnr(self) -> &'static str {
        match self {
            Family::Ecp5 => "nextpnr-ecp5",
            Family::Ice40 => "nextpnr-ice40",
            Family::Gowin => "nextpnr-himbaechel-gowin",
        }
    }

    pub(super) fn packer(self) -> &'static str {
        match self {
            Family::Ecp5 => "ecppack",
            Family::Ice40 => "icepack",
            Family::Gowin => "gowin_pack",
        }
    }

    /// What nextpnr calls the cells of a resource. An iCE40 cell is a LUT and a flip-flop.
    pub(super) fn cells(self, resource: Resource) -> &'static [&'static str] {
        match (self, resource) {
            (Family::Ecp5, Resource::Lut) => &["TRELLIS_COMB"],
            (Family::Ecp5, Resource::FlipFlop) => &["TRELLIS_FF"],
            (Family::Ecp5, Resource::Dsp) => &["MULT18X18D"],
            (Family::Ecp5, Resource::BlockRam) => &["DP16KD"],
            (Family::Ice40, Resource::Lut | Resource::FlipFlop) => &["ICESTORM_LC"],
            (Family::Ice40, Resource::Dsp) => &["ICESTORM_DSP"],
            (Family::Ice40, Resource::BlockRam) => &["ICESTORM_RAM"],
            (Family::Ice40, Resource::SinglePortRam) => &["ICESTORM_SPRAM"],
            (Family::Ecp5 | Family::Gowin, Resource::SinglePortRam) => &[],
            (Family::Gowin, Resource::Lut) => &["LUT4"],
            (Family::Gowin, Resource::FlipFlop) => &["DFF"],
            (Family::Gowin, Resource::Dsp) => &["MULT9X9", "MULT18X18"],
            (Family::Gowin, Resource::BlockRam) => &["BSRAM"],
        }
    }
}
