//! A Verilated board behind its serial line, with the chips around it: what a driver says to it goes over the line bit by bit.

use crate::compare::Family;
use crate::sdram::{SdramModel, SdramPins, SdramViolation};
use crate::verilated::{BuildOptions, PortHandle, VerilateError, VerilatedModel};
use frugal_device::link::Transport;
use frugal_hdl::board::{self, BoardError, BoardMemory, BoardOptions};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// Why there is no simulated board.
#[derive(Debug, thiserror::Error)]
pub enum SimulatedBoardError {
    #[error(transparent)]
    Board(#[from] BoardError),
    #[error(transparent)]
    Verilate(#[from] VerilateError),
}

/// The chip, and the board's pins that go to it.
struct Sdram {
    chip: SdramModel,
    clock_enable: PortHandle,
    cs_n: PortHandle,
    ras_n: PortHandle,
    cas_n: PortHandle,
    we_n: PortHandle,
    address: PortHandle,
    bank: PortHandle,
    data_mask: PortHandle,
    data_out: PortHandle,
    data_out_enable: PortHandle,
    data_in: PortHandle,
}

impl Sdram {
    fn new(model: &VerilatedModel, chip: SdramModel) -> Sdram {
        Sdram {
            chip,
            clock_enable: model.port("sdram_clock_enable"),
            cs_n: model.port("sdram_cs_n"),
            ras_n: model.port("sdram_ras_n"),
            cas_n: model.port("sdram_cas_n"),
            we_n: model.port("sdram_we_n"),
            address: model.port("sdram_address"),
            bank: model.port("sdram_bank"),
            data_mask: model.port("sdram_data_mask"),
            data_out: model.port("sdram_data_out"),
            data_out_enable: model.port("sdram_data_out_enable"),
            data_in: model.port("sdram_data_in"),
        }
    }

    /// The chip's side of a cycle; the board's comes after it.
    fn cycle(&mut self, model: &mut VerilatedModel) {
        let get = |port| model.get(port);
        let flag = |port| model.get(port) != 0;
        let pins = SdramPins {
            clock_enable: flag(self.clock_enable),
            cs_n: flag(self.cs_n),
            ras_n: flag(self.ras_n),
            cas_n: flag(self.cas_n),
            we_n: flag(self.we_n),
            address: get(self.address) as u16,
            bank: get(self.bank) as u8,
            data_mask: get(self.data_mask) as u8,
            data_out: get(self.data_out) as u32,
            data_out_enable: flag(self.data_out_enable),
        };
        let data = self.chip.data();
        self.chip.cycle(&pins);
        model.set(self.data_in, data.into());
    }
}

/// A board that is simulated cycle by cycle while somebody waits for its bytes.
pub struct SimulatedBoard {
    model: VerilatedModel,
    sdram: Option<Sdram>,
    reset: PortHandle,
    receive: PortHandle,
    transmit: PortHandle,
    leds: PortHandle,
    build: u32,
    bit_cycles: u32,
    /// Bytes that are still to go to the board, and the one that is going: its bits, and cycles until the next one.
    to_board: VecDeque<u8>,
    sending: u32,
    bits_left: u32,
    send_countdown: u32,
    /// The byte that is coming, in the same way.
    receiving: u32,
    bit: u32,
    receive_countdown: u32,
    from_board: VecDeque<u8>,
    cycles: u64,
    /// Cycles without a byte after which [`Transport::read`] returns.
    pub quiet_cycles: u64,
}

impl SimulatedBoard {
    /// Builds the board or takes it from the cache, and lets it wake up.
    pub fn new(options: &BoardOptions) -> Result<SimulatedBoard, SimulatedBoardError> {
        SimulatedBoard::of_family(options, None)
    }

    /// The same with the leaves' texts for a family, and models of its cells.
    pub fn of_family(
        options: &BoardOptions,
        family: Option<Family>,
    ) -> Result<SimulatedBoard, SimulatedBoardError> {
        let verilog = board::verilog(options)?;
        let file = match family {
            Some(family) => family.of(verilog.file),
            None => verilog.file,
        };
        let model = VerilatedModel::new(&file, &BuildOptions::default())?;
        let mut board = SimulatedBoard {
            reset: model.port("reset"),
            receive: model.port("receive"),
            transmit: model.port("transmit"),
            leds: model.port("leds"),
            sdram: match options.memory {
                BoardMemory::OnChip(_) => None,
                BoardMemory::Sdram(chip) => {
                    Some(Sdram::new(&model, SdramModel::new(&chip, options.clock_khz)))
                }
            },
            model,
            build: verilog.build,
            bit_cycles: options.bit_cycles as u32,
            to_board: VecDeque::new(),
            sending: 0,
            bits_left: 0,
            send_countdown: 0,
            receiving: 0,
            bit: 0,
            receive_countdown: 0,
            from_board: VecDeque::new(),
            cycles: 0,
            quiet_cycles: 400_000,
        };
        board.model.set(board.receive, 1);
        board.run(300);
        Ok(board)
    }

    /// The build that the board answers when it is asked.
    pub fn build(&self) -> u32 {
        self.build
    }

    /// Cycles since it woke up.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    /// Assertions in the Verilog that failed so far, and rules of the SDRAM chip that were broken.
    pub fn errors(&self) -> u64 {
        self.model.errors() + self.sdram_violations().len() as u64
    }

    /// Rules of the SDRAM chip that were broken; none without such a chip.
    pub fn sdram_violations(&self) -> &[SdramViolation] {
        self.sdram.as_ref().map_or(&[], |sdram| sdram.chip.violations())
    }

    /// What the LEDs show.
    pub fn leds(&self) -> u8 {
        self.model.get(self.leds) as u8
    }

    /// Presses the reset button for a moment.
    pub fn press_reset(&mut self) {
        self.model.set(self.reset, 1);
        self.run(200);
        self.model.set(self.reset, 0);
        self.run(200);
    }

    /// Forgets what is on its way on both wires, as a host does that goes away.
    pub fn unplug(&mut self) {
        self.to_board.clear();
        self.bits_left = 0;
        self.model.set(self.receive, 1);
        self.from_board.clear();
    }

    /// Puts bytes on the wire to the board, behind those that are still on their way.
    pub fn send(&mut self, bytes: &[u8]) {
        self.to_board.extend(bytes);
    }

    /// What has come from the board.
    pub fn received(&mut self) -> impl Iterator<Item = u8> + '_ {
        self.from_board.drain(..)
    }

    /// Bytes are still on their way to the board.
    pub fn is_receiving(&self) -> bool {
        !self.to_board.is_empty() || self.bits_left > 0
    }

    /// So many cycles.
    pub fn run(&mut self, cycles: u64) {
        for _ in 0..cycles {
            self.cycle();
        }
    }

    fn cycle(&mut self) {
        if self.send_countdown > 0 {
            self.send_countdown -= 1;
        } else if self.bits_left > 0 {
            self.model.set(self.receive, u64::from(self.sending & 1));
            self.sending >>= 1;
            self.bits_left -= 1;
            self.send_countdown = self.bit_cycles - 1;
        } else if let Some(byte) = self.to_board.pop_front() {
            // A start bit, the byte, a stop bit; the first goes out now.
            self.model.set(self.receive, 0);
            self.sending = u32::from(byte) | 0x100;
            self.bits_left = 9;
            self.send_countdown = self.bit_cycles - 1;
        }
        if let Some(sdram) = &mut self.sdram {
            sdram.cycle(&mut self.model);
        }
        self.model.cycle();
        self.cycles += 1;
        let level = self.model.get(self.transmit) as u32;
        if self.bit == 0 {
            if level == 0 {
                (self.bit, self.receiving) = (1, 0);
                self.receive_countdown = self.bit_cycles + self.bit_cycles / 2 - 1;
            }
        } else if self.receive_countdown > 0 {
            self.receive_countdown -= 1;
        } else if self.bit == 9 {
            if level == 1 {
                self.from_board.push_back(self.receiving as u8);
            }
            self.bit = 0;
        } else {
            self.receiving |= level << (self.bit - 1);
            self.bit += 1;
            self.receive_countdown = self.bit_cycles - 1;
        }
    }
}

impl Transport for SimulatedBoard {
    fn name(&self) -> String {
        "simulated board".into()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.send(bytes);
        Ok(())
    }

    /// Time on the simulated line is cycles: the timeout is [`SimulatedBoard::quiet_cycles`].
    fn read(&mut self, buffer: &mut [u8], _timeout: Duration) -> io::Result<usize> {
        let mut quiet = 0;
        while self.from_board.is_empty() && quiet < self.quiet_cycles {
            quiet = if self.is_receiving() { 0 } else { quiet + 1 };
            self.cycle();
        }
        let count = buffer.len().min(self.from_board.len());
        buffer.iter_mut().zip(self.from_board.drain(..count)).for_each(|(to, from)| *to = from);
        Ok(count)
    }
}
