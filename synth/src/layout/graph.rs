//! What the layout has to know of a netlist: cells, the nets between them, and how many levels of logic a net's paths have.

use super::{Kind, LayoutError};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

pub(super) struct Graph {
    /// Name of the top module.
    pub(super) top: String,
    pub(super) cells: Vec<Cell>,
    pub(super) nets: Vec<Net>,
}

pub(super) struct Cell {
    pub(super) name: String,
    /// None of logic.
    pub(super) kind: Option<Kind>,
    /// LUTs that it takes the place of.
    pub(super) luts: f64,
}

pub(super) struct Net {
    /// Each once, in ascending order.
    pub(super) cells: Vec<usize>,
    /// Levels of logic on the longest path through the net, from register to register, the net itself being one.
    pub(super) levels: f64,
}

#[derive(Deserialize)]
struct Netlist {
    modules: BTreeMap<String, Module>,
}

#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    attributes: BTreeMap<String, serde_json::Value>,
    cells: BTreeMap<String, YosysCell>,
}

#[derive(Deserialize)]
struct YosysCell {
    #[serde(rename = "type")]
    kind: String,
    parameters: BTreeMap<String, serde_json::Value>,
    port_directions: BTreeMap<String, String>,
    connections: BTreeMap<String, Vec<Bit>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Bit {
    Net(u64),
    Constant(#[allow(dead_code)] String),
}

/// How a type of cells counts: its kind, its LUTs, and its level if signals pass through it.
fn about(kind: &str) -> Option<(Option<Kind>, f64, Option<f64>)> {
    Some(match kind {
        "MULT18X18D" => (Some(Kind::Multiplier), 0.0, None),
        "DP16KD" => (Some(Kind::BlockRam), 0.0, None),
        "LUT4" => (None, 1.0, Some(1.0)),
        // Carries are fast, and what selects between LUTs is faster.
        "CCU2C" => (None, 2.0, Some(0.3)),
        "PFUMX" | "L6MUX21" => (None, 0.0, Some(0.1)),
        // Most share a slice with the LUT in front.
        "TRELLIS_FF" => (None, 0.15, None),
        "TRELLIS_DPR16X4" => (None, 8.0, None),
        _ => return None,
    })
}

/// A block RAM without output registers takes as long as so many levels of logic, and so does a multiplier's array behind inputs without registers.
const BLOCK_RAM_LEVELS: f64 = 6.0;
const MULTIPLIER_LEVELS: f64 = 4.0;

impl Graph {
    /// Reads what Yosys' `write_json` writes of a flat design. Pads, clock lines and the like are passed over.
    pub(super) fn parse(netlist: &[u8]) -> Result<Graph, LayoutError> {
        let netlist: Netlist = serde_json::from_slice(netlist)?;
        let is_top = |module: &Module| module.attributes.contains_key("top");
        let (top, module) =
            netlist.modules.into_iter().find(|(_, module)| is_top(module)).ok_or(LayoutError::NoTop)?;
        // nextpnr places the multipliers of an ALU beside it, and refuses sites for them alone.
        let has_slices = module.cells.values().any(|cell| cell.kind == "ALU54B");
        let mut builder = Builder { has_slices, ..Builder::default() };
        for (name, cell) in &module.cells {
            builder.add(name, cell);
        }
        Ok(builder.finish(top))
    }
}

#[derive(Default)]
struct Builder {
    /// Multipliers are left to the placer.
    has_slices: bool,
    cells: Vec<Cell>,
    /// Level of each cell that signals pass through.
    levels: Vec<Option<f64>>,
    inputs: Vec<Vec<usize>>,
    outputs: Vec<Vec<usize>>,
    numbers: HashMap<u64, usize>,
    drivers: Vec<Option<usize>>,
    /// Levels before a net's drivers and behind its readers, as far as hard blocks have any.
    before: Vec<f64>,
    behind: Vec<f64>,
}

impl Builder {
    fn add(&mut self, name: &str, cell: &YosysCell) {
        let Some((kind, luts, level)) = about(&cell.kind) else { return };
        if self.has_slices && kind == Some(Kind::Multiplier) {
            return;
        }
        let parameter = |name: &str| cell.parameters.get(name).and_then(|value| value.as_str());
        let is_late = kind == Some(Kind::BlockRam)
            && ["REGMODE_A", "REGMODE_B"].iter().all(|name| parameter(name) != Some("OUTREG"));
        let is_early = kind == Some(Kind::Multiplier) && parameter("REG_INPUTA_CLK") != Some("CLK0");
        let number = self.cells.len();
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for (port, bits) in &cell.connections {
            if port.starts_with("CLK") || port == "WCK" {
                continue;
            }
            let drives = cell.port_directions.get(port).is_some_and(|direction| direction == "output");
            for bit in bits {
                let Bit::Net(bit) = bit else { continue };
                let next = self.drivers.len();
                let net = *self.numbers.entry(*bit).or_insert(next);
                if net == next {
                    self.drivers.push(None);
                    self.before.push(0.0);
                    self.behind.push(0.0);
                }
                if drives {
                    self.drivers[net] = Some(number);
                    self.before[net] = if is_late { BLOCK_RAM_LEVELS } else { 0.0 };
                    outputs.push(net);
                } else {
                    if is_early {
                        self.behind[net] = MULTIPLIER_LEVELS;
                    }
                    inputs.push(net);
                }
            }
        }
        self.cells.push(Cell { name: name.to_owned(), kind, luts });
        self.levels.push(level);
        self.inputs.push(inputs);
        self.outputs.push(outputs);
    }

    fn finish(mut self, top: String) -> Graph {
        let order = self.order();
        for cell in &order {
            let level = self.levels[*cell].unwrap_or(0.0);
            let latest = self.inputs[*cell].iter().map(|net| self.before[*net]).fold(0.0, f64::max);
            for net in &self.outputs[*cell] {
                self.before[*net] = latest + level;
            }
        }
        for cell in order.iter().rev() {
            let level = self.levels[*cell].unwrap_or(0.0);
            let longest = self.outputs[*cell].iter().map(|net| self.behind[*net]).fold(0.0, f64::max);
            for net in &self.inputs[*cell] {
                self.behind[*net] = self.behind[*net].max(longest + level);
            }
        }
        let mut nets: Vec<Net> = self
            .before
            .iter()
            .zip(&self.behind)
            .map(|(before, behind)| Net { cells: Vec::new(), levels: before + behind + 1.0 })
            .collect();
        for (cell, ports) in self.inputs.iter().zip(&self.outputs).enumerate() {
            for net in ports.0.iter().chain(ports.1) {
                if nets[*net].cells.last() != Some(&cell) {
                    nets[*net].cells.push(cell);
                }
            }
        }
        Graph { top, cells: self.cells, nets }
    }

    /// Cells that signals pass through, those in front first. What is in a loop is left out.
    fn order(&self) -> Vec<usize> {
        let passes = |cell: usize| self.levels[cell].is_some();
        let mut readers = vec![Vec::new(); self.drivers.len()];
        let mut waits = vec![0; self.cells.len()];
        for (cell, inputs) in self.inputs.iter().enumerate().filter(|(cell, _)| passes(*cell)) {
            for net in inputs {
                if self.drivers[*net].is_some_and(passes) {
                    readers[*net].push(cell);
                    waits[cell] += 1;
                }
            }
        }
        let mut ready: Vec<usize> =
            (0..self.cells.len()).filter(|cell| passes(*cell) && waits[*cell] == 0).collect();
        let mut order = Vec::new();
        while let Some(cell) = ready.pop() {
            order.push(cell);
            for reader in self.outputs[cell].iter().flat_map(|net| &readers[*net]) {
                waits[*reader] -= 1;
                if waits[*reader] == 0 {
                    ready.push(*reader);
                }
            }
        }
        order
    }
}
