//! Parts of the accelerator that are synthesised on their own, to see what they cost and how fast they are.

use frugal_hdl::accelerator::Accelerator;
use frugal_hdl::emit::{describe, emit, VerilogFile};
use frugal_hdl::leaves::Requantise;
use frugal_hdl::mac_array::MacArray;
use frugal_hdl::memories::LoadedMemory;
use frugal_hdl::sdram::{SdramChip, SdramController};
use frugal_hdl::VerilogError;
use frugal_isa::Config;
use rust_hdl_core::prelude::*;

/// A part of the accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// The MAC array with the weight scratchpad that feeds it.
    MacArray,
    /// One lane of the output stage.
    Requantise,
    /// All of it, without a board around.
    Accelerator,
    /// The SDRAM controller of the ULX3S, whose chip has 16 bits, at 100 MHz.
    Sdram,
}

impl Block {
    pub const ALL: [Block; 4] = [Block::MacArray, Block::Requantise, Block::Accelerator, Block::Sdram];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Block::MacArray => "mac-array",
            Block::Requantise => "requantise",
            Block::Accelerator => "accelerator",
            Block::Sdram => "sdram",
        }
    }

    /// The block with this name.
    pub fn from_name(name: &str) -> Option<Block> {
        Block::ALL.into_iter().find(|block| block.name() == name)
    }

    /// Multiply-accumulates a cycle, of blocks that are there for them. 4-bit weights double them.
    pub fn macs(self, config: &Config) -> Option<usize> {
        matches!(self, Block::MacArray | Block::Accelerator).then(|| config.peak())
    }

    /// Its Verilog; the top module has the block's name, with an underscore.
    pub fn verilog(self, config: &Config) -> Result<VerilogFile, VerilogError> {
        config.validate()?;
        let header = format!("Frugal, block '{}' of configuration '{}'.", self.name(), config.name);
        let name = self.name().replace('-', "_");
        Ok(match self {
            Block::MacArray => emit(&ArrayWithWeights::new(config), &name, &header)?,
            Block::Sdram => {
                let controller = SdramController::new(&SdramChip::ULX3S_32_MIB, 100_000, 0)
                    .expect("a chip and a clock that fit");
                emit(&controller, &name, &header)?
            }
            Block::Requantise => emit(&Requantise::default(), &name, &header)?,
            Block::Accelerator if config.bus_bits == 128 => {
                emit(&Accelerator::<128, 16>::new(config), &name, &header)?
            }
            Block::Accelerator => emit(&Accelerator::<64, 8>::new(config), &name, &header)?,
        })
    }
}

/// The MAC array and the weight scratchpad. Everything else comes from outside, where out-of-context timing ends.
#[derive(LogicBlock)]
struct ArrayWithWeights {
    pub clock: Signal<In, Clock>,
    pub read_enable: Signal<In, Bit>,
    pub read_address: Signal<In, Bits<16>>,
    pub write_valid: Signal<In, Bit>,
    pub write_address: Signal<In, Bits<16>>,
    pub write_enable: Vec<Signal<In, Bits<4>>>,
    pub write_data: Vec<Signal<In, Bits<32>>>,
    pub activation: Vec<Signal<In, Bits<32>>>,
    pub enable: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub last: Signal<In, Bit>,
    pub depthwise: Signal<In, Bit>,
    pub four_bit: Signal<In, Bit>,
    pub scale: Vec<Signal<In, Bits<32>>>,
    pub earlier: Vec<Signal<In, Bits<32>>>,
    pub total: Vec<Signal<Out, Bits<32>>>,
    pub total_valid: Signal<Out, Bit>,
    weights: LoadedMemory,
    array: MacArray,
    _words: usize,
    _tile_words: usize,
    _scale_words: usize,
    _earlier_words: usize,
    _totals: usize,
}

impl ArrayWithWeights {
    fn new(config: &Config) -> Self {
        let (rows, cols, taps) = (config.rows, config.cols, config.depthwise_taps);
        let array = MacArray::new(rows, cols, taps, config.four_bit);
        let (words, tile_words) = (rows / 4, rows * cols / 4);
        let (scale_words, earlier_words, totals) =
            (array.scale.len(), array.earlier.len(), array.total.len());
        fn ports<D: Direction, const N: usize>(count: usize) -> Vec<Signal<D, Bits<N>>> {
            (0..count).map(|_| Signal::default()).collect()
        }
        Self {
            clock: Signal::default(),
            read_enable: Signal::default(),
            read_address: Signal::default(),
            write_valid: Signal::default(),
            write_address: Signal::default(),
            write_enable: ports(tile_words),
            write_data: ports(tile_words),
            activation: ports(words),
            enable: Signal::default(),
            first: Signal::default(),
            last: Signal::default(),
            depthwise: Signal::default(),
            four_bit: Signal::default(),
            scale: ports(scale_words),
            earlier: ports(earlier_words),
            total: ports(totals),
            total_valid: Signal::default(),
            weights: LoadedMemory::weights(config.weight_depth, rows, cols),
            array,
            _words: words,
            _tile_words: tile_words,
            _scale_words: scale_words,
            _earlier_words: earlier_words,
            _totals: totals,
        }
    }
}

impl Logic for ArrayWithWeights {
    #[hdl_gen]
    fn update(&mut self) {
        self.weights.clock.next = self.clock.val();
        self.weights.read_enable.next = self.read_enable.val();
        self.weights.read_address.next = self.read_address.val();
        self.weights.write_valid.next = self.write_valid.val();
        self.weights.write_address.next = self.write_address.val();
        self.array.clock.next = self.clock.val();
        self.array.enable.next = self.enable.val();
        self.array.first.next = self.first.val();
        self.array.last.next = self.last.val();
        self.array.depthwise.next = self.depthwise.val();
        self.array.four_bit.next = self.four_bit.val();
        for w in 0..self._tile_words {
            self.weights.write_enable[w].next = self.write_enable[w].val();
            self.weights.write_data[w].next = self.write_data[w].val();
            self.array.weight[w].next = self.weights.read_data[w].val();
        }
        for w in 0..self._words {
            self.array.activation[w].next = self.activation[w].val();
        }
        for w in 0..self._scale_words {
            self.array.scale[w].next = self.scale[w].val();
        }
        for w in 0..self._earlier_words {
            self.array.earlier[w].next = self.earlier[w].val();
        }
        for k in 0..self._totals {
            self.total[k].next = self.array.total[k].val();
        }
        self.total_valid.next = self.array.total_valid.val();
    }
    fn timing(&self) -> Vec<TimingInfo> {
        describe("array_with_weights", "The MAC array and the weight scratchpad that feeds it.")
    }
}
